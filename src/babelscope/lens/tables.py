"""What speech reads as at shared points: words of the transcript, of a translation, or of neither.

A position counts as a word of the transcript if one of its k nearest entries is, after folding of case, one of the
transcript's tokens (special tokens, punctuation and single letters never count); as a word of a translation if one is a
token of the same sentence in another language of the study and not of the transcript. Frequent tokens match any
sentence, and so every share is compared with the same readings scored against the texts of *other* sentences:
permutations of the sentences that keep documents together. The same ones serve all points and languages, and
``p_adjusted`` is corrected for all rows (largest standardised score; Westfall & Young 1993).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from babelscope.capture.hooks import Capture
from babelscope.capture.jobs import Job
from babelscope.capture.pooling import Spans
from babelscope.capture.preparing import prepare_job
from babelscope.capture.store import Activations
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.gaps.tokens import own_tokens
from babelscope.lens.languages_read import LANGUAGES_READ_COLUMNS, MATCH_COLUMNS, languages_read
from babelscope.lens.options import LensOptions
from babelscope.lens.vocabulary import Readout, readout, surface
from babelscope.models.base import Model, Point, Side
from babelscope.similarity import student
from babelscope.similarity.checkpoint import Checkpoint
from babelscope.similarity.permutation import permutations

#: One row a point, language (and "mean" over them) and `of`: "transcript", "translation" or "neither". `share` is of
#: positions with one of the k nearest entries so, `share_nearest` with the nearest one; `other_sentences` is the share
#: against the texts of other sentences, `excess` the difference with its 95 % interval for other sentences.
LENS_COLUMNS: tuple[str, ...] = (
    "point",
    "stage",
    "depth",
    "language",
    "of",
    "share",
    "share_nearest",
    "other_sentences",
    "excess",
    "low",
    "high",
    "p",
    "p_adjusted",
    "by",
    "k",
    "n",
    "clusters",
    "positions",
)

#: One row a position of a recording that is shown: the nearest entries, a JSON list, and what the position counts as.
READINGS_COLUMNS: tuple[str, ...] = (
    "language",
    "sentence",
    "point",
    "position",
    "positions",
    "entries",
    "of",
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class LensPlan:
    """What reading takes: the points, forward passes of one utterance, products, and bytes in memory."""

    points: tuple[str, ...]
    passes: int
    memory: int


def points_to_read(model: Model, patterns: Sequence[str] | None) -> tuple[str, ...]:
    """Return the shared points of speech with positions that match, or five spread over the depth.

    Raises
    ------
    UsageError
        If there is none, or a pattern matches none.
    """
    side = model.sides.get("speech")
    shared = set(model.shared_points)
    able = [
        point.name
        for point in (side.points if side is not None else ())
        if point.name in shared and point.module and point.layout != "bd"
    ]
    if not able:
        raise UsageError(f"lens: speech and text of {model.name} share no layer with positions: nothing can be read")
    if patterns is None:
        places = np.linspace(0, len(able) - 1, min(5, len(able))).round().tolist()
        return tuple(able[int(place)] for place in dict.fromkeys(places))
    for pattern in patterns:
        if not any(fnmatchcase(name, "*" if pattern == "all" else pattern) for name in able):
            raise UsageError(
                f"lens.points: {pattern!r} is no shared point with positions; "
                f"{did_you_mean(pattern, dict.fromkeys(able))}"
            )
    return tuple(name for name in able if any(fnmatchcase(name, "*" if one == "all" else one) for one in patterns))


def plan_lens(model: Model, options: LensOptions, sentences: int, languages: int) -> LensPlan:
    """Choose the points and say what reading them takes.

    Raises
    ------
    UsageError
        If nothing can be read.
    """
    from babelscope.lens.vocabulary import ENTRIES, POSITIONS

    chosen = points_to_read(model, options.points)
    width = max(point.width for point in model.sides["speech"].points if point.name in chosen)
    n = min(options.n, sentences)
    # A part of the vocabulary in single precision, cosines with it, and a table of n x n scores.
    memory = 4 * ENTRIES * (width + 2 * POSITIONS) + 16 * n * n * len(chosen) * languages
    return LensPlan(chosen, n * languages, memory)


class _Reading(Capture):
    """Reads the utterance's own positions inside the hook; nothing else of them is kept."""

    def __init__(self, side: Side, reader: Readout, k: int) -> None:
        super().__init__(side)
        self.reader, self.k = reader, k

    def _keep(self, point: Point, tensor: Tensor, spans: Spans) -> Tensor:
        front, back = point.around
        own = tensor[0, front : max(spans.longest - back, front + 1)]
        return self.reader.nearest(own, point.name, self.k)


def lens_tables(
    model: Model,
    corpus: Corpus,
    activations: Activations,
    options: LensOptions | None = None,
    *,
    clusters: NDArray[np.int64] | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    notice: Callable[[str], None] = lambda line: None,
) -> dict[str, pd.DataFrame]:
    """Read the positions of speech at shared points.

    Parameters
    ----------
    model : Model
        Both sides.
    corpus : Corpus
    activations : Activations
        Of this model on this corpus: the texts' tokens, and the means of positions.
    options : LensOptions, optional
    clusters : ndarray of int, shape (n,), optional
        Which sentences of the store belong together, from 0.
    seed : int
        Of the sentences and permutations.
    checkpoint : Path, optional
        A folder that keeps what was read, by language; a run that is called again goes on there.
    progress : callable, optional
        Called with (recordings read, recordings).
    notice : callable
        Called with a line on what cannot be done.

    Returns
    -------
    dict of str to DataFrame
        ``lens`` (:data:`LENS_COLUMNS`), ``lens_languages`` and ``lens_language_match``
        (:mod:`babelscope.lens.languages_read`), and ``lens_readings`` of the recordings that are shown.

    Raises
    ------
    UsageError, DataError
        If nothing can be read.

    References
    ----------
    nostalgebraist 2020 (the logit lens); Ogunremi et al. 2025, arXiv 2510.02569 (nearest tokens of an adapter's
    output).
    """
    options = options or LensOptions()
    names = points_to_read(model, options.points)
    reader = readout(model)
    notice(f"lens: positions are read by {reader.by} ({reader.source})")
    ids = {language: activations.token_ids(language) for language in activations.languages}
    if any(tokens is None for tokens in ids.values()):
        raise DataError(f"lens: the store holds no tokens of the texts of {model.name}: nothing can be compared")
    total = len(activations.sentences)
    units = np.arange(total) if clusters is None else np.unique(clusters, return_inverse=True)[1].astype(np.int64)
    rows = np.sort(np.random.default_rng([seed, total, options.n]).permutation(total)[: options.n])
    units = np.unique(units[rows], return_inverse=True)[1].astype(np.int64)
    if int(units.max(initial=-1)) + 1 < 8:
        raise DataError(f"lens: {int(units.max(initial=-1)) + 1} clusters of sentences are too few: 8 are needed")
    if options.centre and reader.embeddings is not None:
        reader = reader.centred(_means(activations, names))
    sentences = [activations.sentences[row] for row in rows]
    nearest = _read(model, corpus, activations, sentences, names, reader, options, checkpoint, seed, progress)
    texts = {language: [own_tokens(tokens or [])[row] for row in rows.tolist()] for language, tokens in ids.items()}
    scored = _Scored(nearest, texts, reader, units)
    orders = permutations(len(units), options.permutations, seed, units)
    lens = _table(scored, names, activations, reader.by, options, orders)
    read_as, match = languages_read(
        {
            (point, language): [scored.text_of(point, language, row) for row in range(len(rows))]
            for point in names
            for language in activations.languages
        },
        {language: [activations.texts(language)[row] for row in rows] for language in activations.languages},
        names,
        units,
        options.permutations,
        seed,
        notice,
    )
    stages = {point: (str(activations.stage(point, "speech")), activations.depth(point, "speech")) for point in names}
    for table in (read_as, match):
        table.insert(1, "depth", [stages[point][1] for point in table["point"]])
    return {
        "lens": lens,
        "lens_languages": read_as[list(LANGUAGES_READ_COLUMNS)],
        "lens_language_match": match[list(MATCH_COLUMNS)],
        "lens_readings": _shown(scored, names, sentences, activations.languages, options.shown),
    }


def _means(activations: Activations, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the mean of speech at each point, over sentences and languages."""
    return {
        name: torch.from_numpy(
            np.mean([activations.matrix(name, "speech", one).mean(0) for one in activations.languages], axis=0)
        ).float()
        for name in names
    }


def _read(
    model: Model,
    corpus: Corpus,
    activations: Activations,
    sentences: Sequence[str],
    names: Sequence[str],
    reader: Readout,
    options: LensOptions,
    checkpoint: Path | None,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> dict[tuple[str, str], list[IntArray]]:
    """Return the nearest entries by point and language: a list over the sentences of arrays (positions, k)."""
    plan = {
        "activations": activations.identity,
        "sentences": list(sentences),
        "points": list(names),
        "options": options.model_dump(mode="json"),
        "by": reader.by,
        "seed": seed,
    }
    kept = Checkpoint(checkpoint, plan) if checkpoint is not None else None
    places = {sentence: place for place, sentence in enumerate(corpus.sentences)}
    nearest: dict[tuple[str, str], list[IntArray]] = {}
    done = 0
    for column, language in enumerate(activations.languages):
        block = kept.load(f"language-{column:03}") if kept else None
        if block is None:
            reading_model = replace(model, sides={"speech": model.sides["speech"].for_language(language)})
            side = reading_model.select_points(list(names)).sides["speech"]
            read: dict[str, list[IntArray]] = {name: [] for name in names}
            with _Reading(side, reader, options.k) as capture:
                for sentence in sentences:
                    place = places[sentence]
                    (item,) = prepare_job(model, corpus, Job("speech", language, 0, place, place + 1))
                    if isinstance(item, DataError):
                        raise item
                    for name, entries in capture.run(side.collate([item.prepared])).items():
                        read[name].append(entries.numpy().astype(np.int64))
                    done += 1
                    if progress:
                        progress(done, len(sentences) * len(activations.languages))
            block = {f"{name} counts": np.array([len(entries) for entries in read[name]]) for name in names}
            block |= {name: np.concatenate(read[name]) for name in names}
            if kept:
                kept.save(f"language-{column:03}", block)
        else:
            done += len(sentences)
        for name in names:
            edges = np.cumsum(block[f"{name} counts"])[:-1]
            nearest[name, language] = [np.asarray(entries) for entries in np.split(block[name], edges)]
    return nearest


class _Scored:
    """Readings, and which texts each of their entries is a word of."""

    def __init__(
        self,
        nearest: Mapping[tuple[str, str], list[IntArray]],
        texts: Mapping[str, list[NDArray[np.int64]]],
        reader: Readout,
        units: IntArray,
    ) -> None:
        self.nearest, self.units = nearest, units
        numbers = sorted(
            {int(number) for readings in nearest.values() for entries in readings for number in entries.ravel()}
            | {int(number) for transcripts in texts.values() for tokens in transcripts for number in tokens}
        )
        self.written = dict(zip(numbers, reader.pieces(numbers), strict=True))
        surfaces = {number: surface(piece) for number, piece in self.written.items()}
        self._columns = {word: place for place, word in enumerate(dict.fromkeys(surfaces.values()))}
        self._column_of = {number: self._columns[word] for number, word in surfaces.items()}
        n = len(units)
        has_word = {language: np.zeros((n, len(self._columns)), dtype=bool) for language in texts}
        for language, transcripts in texts.items():
            for row, tokens in enumerate(transcripts):
                has_word[language][row, [self._column_of[int(number)] for number in tokens]] = True
            if "" in self._columns:
                has_word[language][:, self._columns[""]] = False
        self.words = has_word

    def targets(self, language: str) -> dict[str, NDArray[np.bool_]]:
        """Return which words each sentence's transcript has, and which its translations have beyond them."""
        own = self.words[language]
        others = [has_word for other, has_word in self.words.items() if other != language]
        targets = {"transcript": own}
        return targets | ({"translation": np.any(others, axis=0) & ~own} if others else {})

    def columns(self, entries: IntArray) -> IntArray:
        """Return the words of entries."""
        return np.array([self._column_of[int(number)] for number in entries.ravel()], dtype=np.int64).reshape(
            entries.shape
        )

    def scores(self, point: str, language: str) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Return shares of the positions of reading i that are words of text j, (n, n); by all k, by the nearest."""
        readings = [self.columns(entries) for entries in self.nearest[point, language]]
        return {
            of: (
                np.stack([has_word[:, columns].any(2).mean(1) for columns in readings]),
                np.stack([has_word[:, columns[:, 0]].mean(1) for columns in readings]),
            )
            for of, has_word in self.targets(language).items()
        }

    def kinds(self, point: str, language: str, row: int) -> list[str]:
        """Return what each position of a reading counts as."""
        columns = self.columns(self.nearest[point, language][row])
        counted_as = ["neither"] * len(columns)
        for of, has_word in reversed(self.targets(language).items()):
            for position in np.flatnonzero(has_word[row][columns].any(1)):
                counted_as[int(position)] = of
        return counted_as

    def text_of(self, point: str, language: str, row: int) -> str:
        """Return the nearest entries of a reading as a text, without repetitions."""
        pieces: list[str] = []
        for number in self.nearest[point, language][row][:, 0].tolist():
            piece = self.written[int(number)]
            if not pieces or pieces[-1] != piece:
                pieces.append(piece)
        return "".join(piece for piece in pieces if surface(piece)).strip()


def _table(
    scored: _Scored,
    names: Sequence[str],
    activations: Activations,
    by: str,
    options: LensOptions,
    orders: IntArray,
) -> pd.DataFrame:
    units, n = scored.units, len(scored.units)
    count = int(units.max()) + 1
    other = units[:, None] != units[None]
    rows: list[dict[str, Any]] = []
    drawn: list[FloatArray] = []
    own = np.arange(n)
    for point in names:
        squares = {language: scored.scores(point, language) for language in activations.languages}
        kinds = {
            language: [scored.kinds(point, language, row) for row in range(n)] for language in activations.languages
        }
        positions = {language: sum(map(len, kinds[language])) for language in activations.languages}
        place = {
            "point": point,
            "stage": str(activations.stage(point, "speech")),
            "depth": activations.depth(point, "speech"),
            "by": by,
            "k": options.k,
            "n": n,
            "clusters": count,
        }
        for of in next(iter(squares.values())):
            by_language = {language: squares[language][of] for language in activations.languages}
            mean = tuple(np.mean([shares[column] for shares in by_language.values()], axis=0) for column in (0, 1))
            for language, (scores, nearest) in [("mean", mean), *by_language.items()]:
                beyond = scores[own, own] - (scores * other).sum(1) / other.sum(1)
                sums = np.bincount(units, weights=beyond - beyond.mean())
                error = float(np.sqrt(count / (count - 1) * (sums**2).sum())) / n
                reach = student.quantile(0.975, count - 1) * error
                null = scores[own, orders].mean(1)
                value = float(np.trace(scores) / n)
                spread = max(float(np.append(null, value).std()), 1e-12)
                centre = float(np.append(null, value).mean())
                drawn.append((np.append(value, null) - centre) / spread)
                rows.append(
                    place
                    | {
                        "language": language,
                        "of": of,
                        "share": value,
                        "share_nearest": float(np.trace(nearest) / n),
                        "other_sentences": value - float(beyond.mean()),
                        "excess": float(beyond.mean()),
                        "low": float(beyond.mean()) - reach,
                        "high": float(beyond.mean()) + reach,
                        "p": float((1 + (null >= value - 1e-12).sum()) / (len(null) + 1)),
                        "positions": sum(positions.values()) if language == "mean" else positions[language],
                    }
                )
        neither = {
            language: float(np.mean([np.mean([kind == "neither" for kind in reading]) for reading in kinds[language]]))
            for language in activations.languages
        }
        for language, share in [("mean", float(np.mean(list(neither.values())))), *neither.items()]:
            rows.append(place | {"language": language, "of": "neither", "share": share})
            drawn.append(np.full(len(orders) + 1, -np.inf))
    largest = np.max(drawn, axis=0)
    for row, scores in zip(rows, drawn, strict=True):
        if row["of"] != "neither":
            row["p_adjusted"] = float((largest >= scores[0] - 1e-9).mean())
    return pd.DataFrame(rows, columns=list(LENS_COLUMNS))


def _shown(
    scored: _Scored, names: Sequence[str], sentences: Sequence[str], languages: Sequence[str], count: int
) -> pd.DataFrame:
    rows = [
        {
            "language": language,
            "sentence": sentences[row],
            "point": point,
            "position": position,
            "positions": len(entries),
            "entries": json.dumps([scored.written[int(one)] for one in entries[position]], ensure_ascii=False),
            "of": kind,
        }
        for row in range(min(count, len(sentences)))
        for language in languages
        for point in names
        for entries in [scored.nearest[point, language][row]]
        for position, kind in enumerate(scored.kinds(point, language, row))
    ]
    return pd.DataFrame(rows, columns=list(READINGS_COLUMNS))
