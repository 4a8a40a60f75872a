"""The tables of a section ``[tokens]``: alignments of all pairs of layers by language, and what their paths say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.capture.positions import Positions
from babelscope.errors import DataError, UsageError
from babelscope.gaps.tokens import frame_of
from babelscope.tokens.alignment import ALIGNMENTS, Draws, Layers, Score, Sentence, in_word, p_max
from babelscope.tokens.options import TokenOptions
from babelscope.tokens.words import words_of

#: Begin and end in seconds of each word, by language, sentence and the word's number from 0.
Timings = Mapping[tuple[str, str], Mapping[int, tuple[float, float]]]

ALIGNMENT_COLUMNS: dict[str, str] = {
    "language": "",
    "speech_point": "",
    "text_point": "",
    "measure": "; ".join(ALIGNMENTS),
    "similarity": "mean over sentences of the centred cosine along the path",
    "other": "the same with texts of other sentences of like length",
    "excess": "similarity less other",
    "low": "95 % interval of the excess over sentences, or their clusters",
    "high": "",
    "p": "against texts permuted among sentences of like length, one-sided",
    "p_max": "the same for the largest standardised score over all pairs of layers of the language and measure",
    "shuffled": "similarity with the text's words in a random order",
    "p_order": "against these, one-sided",
    "p_order_max": "the same over all pairs of layers",
    "n": "sentences",
}
PATH_COLUMNS: dict[str, str] = {
    "language": "",
    "speech_point": "",
    "text_point": "",
    "norm_ratio": "mean log2 of a position's norm over its token's",
    "norm_ratio_low": "95 % interval over sentences, or their clusters",
    "norm_ratio_high": "",
    "positions_per_token": "",
    "no_match": "share of positions no more similar to their token than 5 % of those aligned to other sentences are; "
    "0.95 where nothing matches",
    "in_word": "share of the positions within some word that are aligned to a token of that word",
    "in_word_linear": "the same if positions were aligned in proportion",
    "in_word_positions": "",
    "n": "sentences",
}


def token_tables(
    positions: Positions,
    options: TokenOptions,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    timings: Timings | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    notice: Callable[[str], None] = lambda line: None,
) -> dict[str, pd.DataFrame]:
    """Align every layer's positions of speech to every layer's tokens of text of the same sentence.

    Parameters
    ----------
    positions : Positions
    options : TokenOptions
    seed : int
        Of both nulls.
    checkpoint : Path, optional
        A folder for the tables and notices of languages that are done.
    timings : mapping, optional
        When words are spoken; :attr:`TokenOptions.timings` if left out.
    progress : callable
    notice : callable
        Told, in one line each, what cannot be aligned.

    Returns
    -------
    dict of str to DataFrame
        ``tokens_rounding``, and for a model of both modalities ``tokens_alignment`` (:data:`ALIGNMENT_COLUMNS`) and
        ``tokens_paths`` (:data:`PATH_COLUMNS`; of points that both sides have under one name, and of the pair of layers
        with the largest standardised score).
    """
    tables = {"tokens_rounding": positions.rounding()}
    if not options.align or len(positions.modalities) < 2:
        return tables
    if timings is None:
        timings = read_timings(options.timings) if options.timings is not None else {}
    made: dict[str, list[pd.DataFrame]] = {"tokens_alignment": [], "tokens_paths": []}
    pairs = len(positions.points("speech")) * len(positions.points("text"))
    for number, language in enumerate(positions.languages):

        def told(done: int, before: int = number) -> None:
            progress(before * pairs + done, pairs * len(positions.languages))

        def align(notice: Callable[[str], None], language: str = language) -> dict[str, pd.DataFrame]:
            return _aligned(positions, language, options, timings, seed, told, notice)

        for name, table in _kept(checkpoint, language, align, notice).items():
            made[name].append(table)
    return tables | {name: pd.concat(parts, ignore_index=True) for name, parts in made.items() if parts}


def read_timings(path: Path) -> dict[tuple[str, str], dict[int, tuple[float, float]]]:
    """Read when words are spoken: CSV with columns language, sentence, word (from 0), start and end in seconds.

    Raises
    ------
    UsageError
        If the file is missing, lacks a column, or holds no times.
    """
    try:
        table = pd.read_csv(path, dtype={"language": str, "sentence": str})
    except (OSError, ValueError) as error:
        raise UsageError(f"tokens.timings: {path} cannot be read ({error})") from error
    if missing := [name for name in ("language", "sentence", "word", "start", "end") if name not in table]:
        raise UsageError(f"tokens.timings: {path} has no column {', '.join(missing)}")
    spans: dict[tuple[str, str], dict[int, tuple[float, float]]] = {}
    for row, (language, sentence, word, start, end) in enumerate(
        zip(table["language"], table["sentence"], table["word"], table["start"], table["end"], strict=True), 2
    ):
        try:
            span = float(start), float(end)
            number = int(word)
        except (TypeError, ValueError) as error:
            raise UsageError(f"tokens.timings: {path}, line {row}: {error}") from error
        if not 0 <= span[0] <= span[1]:
            raise UsageError(f"tokens.timings: {path}, line {row}: from {span[0]} to {span[1]} s is no span")
        spans.setdefault((str(language), str(sentence)), {})[number] = span
    return spans


def _kept(
    folder: Path | None,
    language: str,
    align: Callable[[Callable[[str], None]], dict[str, pd.DataFrame]],
    notice: Callable[[str], None],
) -> dict[str, pd.DataFrame]:
    """Return a language's tables, from the checkpoint if they are there, and repeat its notices."""
    if folder is None:
        return align(notice)
    names = ("tokens_alignment", "tokens_paths")
    done = folder / f"{language}.done"
    if done.is_file():
        for line in json.loads(done.read_text() or "[]"):
            notice(line)
        return {name: pd.read_parquet(folder / f"{language}.{name}.parquet") for name in names}
    lines: list[str] = []
    tables = align(lines.append)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        tables[name].to_parquet(folder / f"{language}.{name}.parquet")
    written = done.with_suffix(".new")
    written.write_text(json.dumps(lines))
    written.replace(done)
    for line in lines:
        notice(line)
    return tables


class _Language:
    """The sentences of a language that can be aligned, and their positions."""

    def __init__(self, positions: Positions, language: str, notice: Callable[[str], None]) -> None:
        self.positions, self.language = positions, language
        self.clusters = dict(zip(positions.sentences, positions.clusters, strict=True))
        both = [one for one in positions.sentences if all(positions.has(m, language, one) for m in ("text", "speech"))]
        self.texts = {one: positions.utterance("text", language, one) for one in both}
        self.frame = frame_of([np.array(text.token_ids) for text in self.texts.values()])
        self.sentences: list[Sentence] = []
        for one, text in self.texts.items():
            front, back = self.frame
            pieces = (text.pieces or ())[front : len(text.pieces or ()) - back]
            words = words_of(pieces, text.text) if pieces else np.empty(0, np.int64)
            if len(text.text.split()) < 2 and len(set(words.tolist())) < 2:
                notice(f"tokens: sentence {one!r} is one word in {language!r}: it is not aligned")
                continue
            self.sentences.append(Sentence(one, words, int(self.clusters[one])))
        if self.sentences and not all(len(one.words) for one in self.sentences):
            notice(f"tokens: the tokenizer does not tell words of {language!r}: their order is not tested")

    def texts_at(self, point: str) -> list[NDArray[np.float32]]:
        """Return the own tokens of each sentence at a point of the text side.

        Raises
        ------
        DataError
            If its positions are no tokens.
        """
        tokens = []
        for sentence in self.sentences:
            text = self.texts[sentence.name]
            span = text.tokens_at(point)
            if span is None:
                raise DataError(f"point {point}: its positions are not the tokens of the text")
            front, back = self.frame
            start, stop = max(front - span[0], 0), min(len(text.token_ids) - back, span[1]) - span[0]
            tokens.append(self.positions.values("text", self.language, sentence.name, point)[start:stop])
            if not len(tokens[-1]):
                raise DataError(f"point {point}: sentence {sentence.name!r} has no token of its own there")
        return tokens

    def speech_at(self, point: str) -> list[NDArray[np.float32]]:
        """Return the own positions of each recording at a point of the speech side."""
        own_positions = []
        for sentence in self.sentences:
            values = self.positions.values("speech", self.language, sentence.name, point)
            front, back = self.positions.utterance("speech", self.language, sentence.name).around(point)
            own_positions.append(values[front : len(values) - back])
            if not len(own_positions[-1]):
                raise DataError(f"point {point}: sentence {sentence.name!r} has no position of its own there")
        return own_positions

    def times(self, counts: Sequence[int]) -> list[NDArray[np.float64]]:
        """Return the middle of each position in seconds, given how many each recording has."""
        seconds = [self.positions.utterance("speech", self.language, one.name).seconds for one in self.sentences]
        return [(np.arange(count) + 0.5) * whole / count for count, whole in zip(counts, seconds, strict=True)]


def _aligned(
    positions: Positions,
    language: str,
    options: TokenOptions,
    timings: Timings,
    seed: int,
    report_progress: Callable[[int], None],
    notice: Callable[[str], None],
) -> dict[str, pd.DataFrame]:
    own = _Language(positions, language, notice)
    empty = {
        "tokens_alignment": pd.DataFrame(columns=list(ALIGNMENT_COLUMNS)),
        "tokens_paths": pd.DataFrame(columns=list(PATH_COLUMNS)),
    }
    front, back = own.frame
    lengths = [len(own.texts[sentence.name].token_ids) - front - back for sentence in own.sentences]
    try:
        draws = Draws(own.sentences, lengths, options.permutations, options.shuffles, seed)
    except DataError as error:
        notice(f"tokens: {language!r}: {error}")
        return empty
    scores: dict[tuple[str, str, str], Score] = {}
    paths: list[dict[str, Any]] = []
    done = 0
    wrong: dict[str, None] = {}
    for speech_point in positions.points("speech"):
        try:
            speech = own.speech_at(speech_point)
        except DataError as error:
            wrong[str(error)] = None
            continue
        for text_point in positions.points("text"):
            report_progress(done)
            done += 1
            try:
                layers = Layers(speech, own.texts_at(text_point), draws)
            except DataError as error:
                wrong[f"{error}" if text_point in str(error) else f"{speech_point} and {text_point}: {error}"] = None
                continue
            for measure in ALIGNMENTS:
                scores[speech_point, text_point, measure] = layers.score(measure)
            if speech_point == text_point:
                paths.append(_path_row(own, layers, speech_point, text_point, timings))
    _tell_wrong(language, wrong, notice)
    if not scores:
        return empty
    best = max((key for key in scores if key[2] == "dtw"), key=lambda key: scores[key].z)
    if best[0] != best[1]:
        layers = Layers(own.speech_at(best[0]), own.texts_at(best[1]), draws)
        paths.append(_path_row(own, layers, best[0], best[1], timings))
    return {
        "tokens_alignment": pd.DataFrame(
            _score_rows(language, scores, len(own.sentences)), columns=list(ALIGNMENT_COLUMNS)
        ),
        "tokens_paths": pd.DataFrame(paths, columns=list(PATH_COLUMNS)),
    }


def _tell_wrong(language: str, wrong: Mapping[str, None], notice: Callable[[str], None]) -> None:
    lines = list(wrong)
    for line in lines[:3]:
        notice(f"tokens: {language!r}: {line}: left out")
    if len(lines) > 3:
        notice(f"tokens: {language!r}: {len(lines) - 3} more pairs of points are left out for such reasons")


def _score_rows(language: str, scores: Mapping[tuple[str, str, str], Score], n: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for measure in ALIGNMENTS:
        own = {key: score for key, score in scores.items() if key[2] == measure}
        largest = p_max([one.z for one in own.values()], [one.null_z for one in own.values()])
        order = p_max([one.order_z for one in own.values()], [one.null_order_z for one in own.values()])
        for (key, score), p, p_order in zip(own.items(), largest, order, strict=True):
            rows.append(
                {
                    "language": language,
                    "speech_point": key[0],
                    "text_point": key[1],
                    "measure": measure,
                    "similarity": score.similarity,
                    "other": score.other,
                    "excess": score.similarity - score.other,
                    "low": score.low,
                    "high": score.high,
                    "p": score.p,
                    "p_max": p,
                    "shuffled": score.shuffled,
                    "p_order": score.p_order,
                    "p_order_max": p_order,
                    "n": n,
                }
            )
    return rows


def _path_row(own: _Language, layers: Layers, speech_point: str, text_point: str, timings: Timings) -> dict[str, Any]:
    details = layers.details()
    times = own.times([len(one) for one in details.tokens])
    spans = [timings.get((own.language, one.name), {}) for one in own.sentences]
    share, linear, count = in_word(details.tokens, own.sentences, times, spans)
    return {
        "language": own.language,
        "speech_point": speech_point,
        "text_point": text_point,
        "norm_ratio": details.ratio,
        "norm_ratio_low": details.ratio_low,
        "norm_ratio_high": details.ratio_high,
        "positions_per_token": details.positions_per_token,
        "no_match": details.no_match,
        "in_word": share,
        "in_word_linear": linear,
        "in_word_positions": count,
        "n": len(own.sentences),
    }
