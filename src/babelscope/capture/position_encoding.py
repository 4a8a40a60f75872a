"""Positions of a few sentences, not pooled, into a store of their own: for what asks *where* in an utterance.

It rounds: float16 or bfloat16, with the error of each position measured. Every utterance runs alone and is one file,
written whole when it has run. So memory is that of one utterance a thread, a run that was killed goes on after the last
utterance, and its bits are those of a run that was not: no batch, no number of threads and no earlier run changes them.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from babelscope.audio import SAMPLE_RATE
from babelscope.capture.hooks import Capture
from babelscope.capture.layout import differing, now, versions
from babelscope.capture.locking import lock
from babelscope.capture.pooling import Spans
from babelscope.capture.positions import INDEX, SCHEMA, Positions, key_of_utterance, listed, parsed_index
from babelscope.capture.preparing import item_of, prepare
from babelscope.capture.running import MOST_STREAMS, on_the_processor, sides_beside, token_ids
from babelscope.capture.storage import storage_of, tidy
from babelscope.capture.threads import SingleThreads
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.models.base import MODALITIES, Modality, Model, Point, Prepared, Side
from babelscope.progress import Progress

#: Number formats that positions can be kept in, and what they cost.
POSITION_DTYPES: dict[str, str] = {
    "float16": "11 bits of precision, nothing beyond 65504",
    "bfloat16": "8 bits of precision, the range of float32",
}
_TORCH = {"float16": torch.float16, "bfloat16": torch.bfloat16}

#: Sentences of each language whose positions are kept, if nobody says.
SENTENCES = 50


@dataclass(frozen=True)
class Chosen:
    """The points of a model at which positions are kept, and those that have none.

    Attributes
    ----------
    model : Model
        With these points alone.
    refused : tuple of str
        A line on each point that was asked for and has no positions.
    """

    model: Model
    refused: tuple[str, ...]


def with_positions(model: Model, points: Sequence[str] = ("all",)) -> Chosen:
    """Choose points that have positions.

    Parameters
    ----------
    points : sequence of str
        Names, with wildcards, or ``all``. A pooled output that is only covered by a wildcard is left out silently.

    Raises
    ------
    UsageError
        If a pattern matches nothing, or no point is left.
    """
    asked = model.select_points(points)
    every = [point for side in asked.sides.values() for point in side.points]
    kept = [point.name for point in every if point.layout != "bd" and point.module]
    without = dict.fromkeys(point.name for point in every if point.name not in kept)
    if not kept:
        raise UsageError(
            f"tokens.points: none of {', '.join(points)} has positions in {model.name}: name layers, such as "
            f"'shared.layer.*'"
        )
    wild = {pattern for pattern in points if pattern == "all" or set(pattern) & set("*?[")}
    refused = [name for name in without if name in set(points) - wild]
    lines = (f"tokens: point {name} is one vector a sentence and has no positions: left out" for name in refused)
    return Chosen(asked.select_points(kept), tuple(lines))


def choose_sentences(corpus: Corpus, n: int, seed: int = 0, modalities: Sequence[str] = MODALITIES) -> Corpus:
    """Return at most `n` sentences of a corpus, the same in all languages, drawn by their ids and `seed`.

    Parameters
    ----------
    modalities : sequence of {"text", "speech"}
        What is taken of each sentence.

    Raises
    ------
    UsageError
        If `n` is below 1.
    """
    if n < 1:
        raise UsageError(f"tokens.n: {n} is not a positive number")
    return (
        corpus if n >= len(corpus.sentences) else corpus.select(n=n, seed=seed, modalities=modalities, complete=False)
    )


class PositionCapture(Capture):
    """Hooks that keep the valid positions of one utterance, rounded, instead of pooling them.

    Parameters
    ----------
    side : Side
        Its points all have positions (:func:`with_positions`).
    dtype : {"float16", "bfloat16"}

    Attributes
    ----------
    rounding : dict of str to (float, float)
        By point, the mean and the largest error of a position: the norm of what rounding changed over the norm.
    """

    def __init__(self, side: Side, dtype: str = "float16") -> None:
        super().__init__(side)
        self.dtype = _TORCH[dtype]
        self.rounding: dict[str, tuple[float, float]] = {}

    def _keep(self, point: Point, tensor: Tensor, spans: Spans) -> Tensor:
        exact = tensor[0, : spans.longest].float()
        kept = exact.to(self.dtype)
        if not bool(torch.isfinite(kept).all()):
            if bool(torch.isfinite(exact).all()):
                raise DataError(
                    f"the activation at {point.name} reaches {float(exact.abs().max()):.4g}, beyond "
                    f"{str(self.dtype).removeprefix('torch.')}: set tokens.dtype = 'bfloat16'"
                )
            raise DataError(f"the activation at {point.name} is not finite")
        norms = torch.linalg.vector_norm(exact, dim=1)
        errors = torch.linalg.vector_norm(exact - kept.float(), dim=1)
        shares = torch.where(norms > 0, errors / norms, torch.zeros_like(norms))
        self.rounding[point.name] = float(shares.mean()), float(shares.max())
        return kept.cpu().contiguous()


class PositionsPlan(NamedTuple):
    """What keeping positions takes.

    Attributes
    ----------
    positions : int
        Over all utterances and points.
    disk : int
        Bytes of the store.
    memory : int
        Bytes of positions that are in memory at once, at most: the largest utterances, as many as run at once.
    shared : float
        Which share of the utterances of the pooled run are run once more.
    """

    utterances: int
    positions: int
    disk: int
    memory: int
    shared: float


def plan_positions(model: Model, corpus: Corpus, n: int = SENTENCES, seed: int = 0) -> PositionsPlan:
    """Say beforehand what keeping positions takes, from the texts and the durations of the recordings.

    Parameters
    ----------
    model : Model
        With the points that are kept (:func:`with_positions`).
    corpus : Corpus
        Before :func:`choose_sentences`.

    Raises
    ------
    UsageError
        If the model does not take a language.
    """
    chosen = choose_sentences(corpus, n, seed, model.modalities)
    sizes: list[int] = []
    positions = 0
    for modality, side in model.sides.items():
        for language in chosen.languages:
            own = side.for_language(language)
            for sentence in chosen.sentences:
                counts = _counts(own, chosen, modality, sentence, language)
                positions += sum(counts)
                sizes.append(sum(2 * count * point.width for count, point in zip(counts, own.points, strict=True)))
    streams = max((_streams(side) for side in model.sides.values()), default=1)
    # An utterance is there as it was caught, and once more as the file that is written.
    memory = 2 * sum(sorted(sizes, reverse=True)[:streams])
    every = len(corpus.sentences)
    return PositionsPlan(len(sizes), positions, sum(sizes), memory, len(chosen.sentences) / max(every, 1))


def _counts(side: Side, corpus: Corpus, modality: Modality, sentence: str, language: str) -> list[int]:
    try:
        item = item_of(corpus, modality, sentence, language)
        if isinstance(item, str):
            prepared = side.prepare(item, language)
            return [prepared.positions_at(point) for point in side.points]
        seconds = item.seconds or 0.0
    except DataError:
        return [0 for _ in side.points]
    samples = round(seconds * SAMPLE_RATE)
    if side.longest is not None and samples > side.longest:
        return [0 for _ in side.points]
    return [max(point.length(samples), 0) for point in side.points]


def encode_positions(
    model: Model,
    corpus: Corpus,
    path: Path | str,
    *,
    points: Sequence[str] = ("all",),
    n: int = SENTENCES,
    dtype: str = "float16",
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
    notice: Callable[[str], None] = lambda line: None,
) -> Positions:
    """Run a model on a few sentences and keep the positions themselves.

    Parameters
    ----------
    model : Model
    corpus : Corpus
    path : Path or str
        A folder, or a URL. A store of the same contents is resumed; another is refused unless `overwrite`.
    points : sequence of str
        Names, with wildcards, or ``all``. Those without positions are left out, with a line to `notice`.
    n : int
        Most sentences of each language: the same in all, drawn by their ids and `seed`.
    dtype : {"float16", "bfloat16"}
        What they are rounded to; :meth:`Positions.rounding` says what that did.
    seed : int
    overwrite : bool
        Replace a store of other contents.
    progress : callable, optional
    notice : callable
        Told of each point that has no positions, and each text or recording that could not be encoded, in one line.

    Returns
    -------
    Positions

    Raises
    ------
    UsageError
        If the store holds something else, an option is wrong, or no point has positions.
    DataError
        If no utterance at all could be encoded.
    """
    if dtype not in POSITION_DTYPES:
        raise UsageError(f"tokens.dtype {dtype!r} is unknown; {did_you_mean(dtype, POSITION_DTYPES)}")
    chosen = with_positions(model, points)
    for line in chosen.refused:
        notice(line)
    corpus = choose_sentences(corpus, n, seed, chosen.model.modalities)
    index = _index(chosen.model, corpus, dtype)
    place = storage_of(path)
    with lock(path):
        tidy(path)
        _open(path, index, overwrite)
        there = listed(place)
        total = len(chosen.model.sides) * len(corpus.languages) * len(corpus.sentences)
        finished = len({key.removesuffix(".skipped") for key in there})
        counted = threading.Lock()

        def run(capture: PositionCapture, key: str, sentence: str, language: str) -> None:
            nonlocal finished
            modality = capture.side.modality
            try:
                place.write(key, _encoded(capture, corpus, sentence, language))
            except DataError as error:
                reason = str(error) if repr(sentence) in str(error) else f"sentence {sentence!r}: {error}"
                place.write(f"{key}.skipped", json.dumps({"reason": reason}, ensure_ascii=False).encode())
            with counted:
                finished += 1
                if progress:
                    progress(f"{modality} {language}, positions", finished, total)

        for modality, side in chosen.model.sides.items():
            for language in corpus.languages:
                keys = {
                    key_of_utterance(modality, language, row): sentence for row, sentence in enumerate(corpus.sentences)
                }
                left = [
                    (key, sentence, language) for key, sentence in keys.items() if not {key, f"{key}.skipped"} & there
                ]
                if progress:
                    progress(f"{modality} {language}, positions", finished, total)
                _run_each(side.for_language(language), dtype, left, run)
    stored = Positions(path)
    if len(stored.skipped) == total:
        raise DataError(f"{path}: no utterance could be encoded; the first reason: {stored.skipped[0].reason}")
    for skipped in stored.skipped:  # those of an earlier run too
        notice(f"tokens: {skipped.modality} in {skipped.language!r} is skipped: {skipped.reason}")
    return stored


def _streams(side: Side) -> int:
    if not (on_the_processor(side) and side.runs_beside):
        return 1
    return max(1, min(torch.get_num_threads(), MOST_STREAMS))


def _run_each(
    side: Side,
    dtype: str,
    work: Sequence[tuple[str, str, str]],
    run: Callable[[PositionCapture, str, str, str], None],
) -> None:
    """Run utterances one at a time; on the processor in several threads, each with a replica of the side."""
    if not work:
        return
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1, user_api="blas"))
        if not on_the_processor(side):
            capture = stack.enter_context(PositionCapture(side, dtype))
            for each in work:
                run(capture, *each)
            return
        sides = sides_beside(side, min(_streams(side), len(work)))
        captures = [stack.enter_context(PositionCapture(copied, dtype)) for copied in sides]
        pool = stack.enter_context(SingleThreads(len(captures), "babelscope-positions"))
        waiting = iter(work)
        turn, ended = threading.Lock(), threading.Event()
        stack.callback(ended.set)

        def keep_on(capture: PositionCapture) -> None:
            while not ended.is_set():
                with turn:
                    each = next(waiting, None)
                if each is None:
                    return
                run(capture, *each)

        futures = [pool.submit(keep_on, capture) for capture in captures]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        if any(future.exception() for future in done):
            ended.set()
        for future in futures:
            future.result()


def _encoded(capture: PositionCapture, corpus: Corpus, sentence: str, language: str) -> bytes:
    """Run one utterance, and return its file."""
    side = capture.side
    text = side.modality == "text"
    item = item_of(corpus, side.modality, sentence, language)
    utterance = prepare(side, item, sentence, language)
    prepared = utterance.prepared
    for point in side.points:
        if prepared.positions_at(point) < 1:
            raise DataError(
                f"{prepared.length} {side.unit} leave no position at {point.name}: too short for this model"
            )
    kept = dict(capture.run(side.collate([prepared])))
    header: dict[str, Any] = {
        "rounding": capture.rounding,
        "around": {point.name: list(point.around) for point in side.points},
        "crc32": {name: zlib.crc32(_raw(tensor)) for name, tensor in kept.items()},
    }
    if text:
        header["text"] = item
        ids = token_ids(prepared)
        header["ids"] = ids
        header["pieces"] = side.pieces(ids)
        header["token_span"] = {point.name: _token_span(prepared, point, len(ids)) for point in side.points}
    else:
        header["seconds"] = utterance.amount
    # One key: the order of several would differ from run to run.
    content: bytes = save(kept, {"babelscope": json.dumps(header, ensure_ascii=False, sort_keys=True)})
    return content


def _raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def _token_span(prepared: Prepared, point: Point, ids: int) -> tuple[int, int] | None:
    """Return which of the token ids stand at a point's valid positions; None where positions are no tokens."""
    start, count = prepared.start_at(point), prepared.positions_at(point)
    if start + prepared.total_at(point) == ids:
        return start, start + count
    return (0, count) if count == ids else None


def _index(model: Model, corpus: Corpus, dtype: str) -> dict[str, Any]:
    identity = {
        "model": model.name,
        "weights": [file.sha256 for file in model.weights],
        "model options": dict(model.options),
        "points": {modality: [point.name for point in side.points] for modality, side in model.sides.items()},
        "corpus": corpus.fingerprint(skip_bad=True),
        "languages": list(corpus.languages),
        "sentences": list(corpus.sentences),
        "dtype": dtype,
    }
    provenance = {
        "model": {
            "name": model.name,
            "revision": model.revision,
            "licence": model.licence,
            "options": dict(model.options),
            "notes": list(model.notes),
            "weights": [vars(file) for file in model.weights],
            "points": model.describe(),
        },
        "corpus": {
            "name": corpus.name,
            "title": corpus.title,
            "licence": corpus.licence,
            "attribution": corpus.attribution,
            "notes": list(corpus.notes),
        },
        "batching": "every utterance alone",
        "created": now(),
        "versions": versions(),
    }
    clusters = {sentence: corpus.clusters[sentence] for sentence in corpus.sentences if sentence in corpus.clusters}
    index = {"schema": SCHEMA, "identity": identity, "provenance": provenance, "clusters": clusters}
    whole: dict[str, Any] = json.loads(json.dumps(index))  # as it will be read
    return whole


def _open(path: Path | str, index: Mapping[str, Any], overwrite: bool) -> None:
    """Make the store, unless one of the same identity is there."""
    place = storage_of(path)
    if (content := place.read(INDEX)) is not None:
        there = parsed_index(path, content)
        changed = sorted(differing(index["identity"], there["identity"]))
        if not changed:
            return
        if not overwrite and listed(place):
            raise UsageError(
                f"{path} holds positions made with another {', '.join(changed)}: choose another output, or pass "
                f"--overwrite to replace it"
            )
        place.clear()
    elif listed(place):
        raise DataError(f"{path} exists and is not a store of positions: choose another output")
    place.write(INDEX, json.dumps(index, ensure_ascii=False, indent=1).encode())
