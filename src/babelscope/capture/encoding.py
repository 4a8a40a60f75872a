"""From a corpus and a model to a store of activations: block by block, so that a killed run resumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from babelscope.capture.jobs import BATCH_SIZE, EncodeConfig, Encoder, HasEncoder, Job, Work, open_jobs
from babelscope.capture.journal import Journal
from babelscope.capture.layout import check_store_dtype
from babelscope.capture.preparing import Prefetcher, known_columns
from babelscope.capture.reuse import PreviousStore, SharedSide
from babelscope.capture.running import encode_job, kept_of
from babelscope.capture.storage import tidy
from babelscope.capture.store import Activations, Block, Layout, Writer, lock, now, versions
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.models.base import Model
from babelscope.progress import Progress, silent

#: Sentences that are written together: one file for all points of the model.
BLOCK = 128


def encode(
    model: Model,
    corpus: Corpus,
    path: Path | str,
    *,
    pooling: str = "mean",
    batch_size: int = BATCH_SIZE,
    batch_tokens: int | None = None,
    batch_seconds: float | None = None,
    workers: int | None = None,
    skip_bad: bool = False,
    block: int = BLOCK,
    store_dtype: str = "float32",
    overwrite: bool = False,
    progress: Progress | None = None,
    engine: HasEncoder | None = None,
    earlier: SharedSide | None = None,
) -> Activations:
    """Run a model on a corpus and store one vector an utterance at every point.

    Parameters
    ----------
    model : Model
        All its points are stored; narrow them with :meth:`Model.select_points`.
    corpus : Corpus
        Complete in the modalities that the model takes: every sentence in every language. Of several recordings the
        first is used.
    path : Path or str
        The store: a folder, or a URL such as ``s3://bucket/study.zarr``. One of the same contents is resumed; another
        is refused unless `overwrite`.
    pooling : {"mean", "max", "first", "last"}
        Over the valid positions of an utterance, in float32.
    batch_size : int
        Most utterances in one forward pass. How utterances are batched does not change the numbers (to 1e-5): a run
        that is resumed gives the same bits under the same batch options.
    batch_tokens : int, optional
        Most tokens of a padded batch of texts: utterances x longest. If left out 256, and 1024 on a GPU.
    batch_seconds : float, optional
        The same for recordings; a model that hears a window of fixed length counts the window. If left out 15, and 60
        on a GPU.
    workers : int, optional
        How many read and prepare recordings ahead of the model: threads where it runs on the processor, processes where
        it runs on a GPU; 0 for none. They do not change the numbers.
    skip_bad : bool
        Skip a sentence, in all languages and both modalities, whose text or recording is missing or broken somewhere,
        or gives an activation that is not finite; :attr:`Activations.skipped` lists them with the reason.
    block : int
        Sentences written together. A store that was begun with blocks of another size keeps them.
    store_dtype : {"float32", "float16", "bfloat16"}
        The number format that activations are kept in: :data:`babelscope.capture.layout.STORE_DTYPES`. What rounding
        does to each vector is measured and kept next to it: :meth:`Activations.rounding`.
    overwrite : bool
        Replace a store of other contents.
    progress : callable, optional
        Called with what is being done ("speech en"), how many utterances are done, and how many there are.
    engine : Engine, optional
        Of :func:`babelscope.engines.open_engine`: where the model runs; this process if left out. Both give the same
        bits.
    earlier : SharedSide, optional
        Another model that was run on this corpus, and its activations: those of a side that this model shares are
        reused.

    Returns
    -------
    Activations

    Raises
    ------
    DataError
        If a text or recording is missing, broken, or gives an activation that is not finite, unless `skip_bad`; what
        was finished before is kept. With it, if no sentence is left.
    UsageError
        If the store holds something else, or an option is wrong.
    """
    check_store_dtype(store_dtype)
    config = EncodeConfig(pooling, batch_size, batch_tokens, batch_seconds, skip_bad, workers)
    if block < 1:
        raise UsageError(f"block: {block} is not a positive number")
    if not corpus.sentences:
        raise DataError(f"corpus {corpus.name} has no sentence left after its filters: loosen them")
    layout = _layout(model, corpus, config, block, store_dtype)
    with lock(path):
        tidy(path)
        writer = Writer(path, layout, overwrite=overwrite)
        writer.write_clusters(corpus.clusters)
        _fill(writer, model, corpus, config, progress or silent, engine.encoder if engine else None, earlier)
        writer.finish()
        Journal.clear(writer.path)
        writer.storage.drop_previous()
    stored = Activations(path)
    if not stored.sentences:
        raise DataError(
            f"corpus {corpus.name}: every sentence was skipped; the first reason: {stored.skipped[0].reason}"
        )
    return stored


def _fill(
    writer: Writer,
    model: Model,
    corpus: Corpus,
    config: EncodeConfig,
    progress: Progress,
    encoder: Encoder | None,
    earlier: SharedSide | None,
) -> None:
    """Write all blocks that are not in the store yet: those that another store holds, then those to be computed."""
    layout = writer.layout
    Journal(writer.path, layout).open(clear_all=writer.created)
    skipped = set() if config.skip_bad else writer.blocks_with_skipped()
    jobs = open_jobs(layout, lambda *cell: writer.is_done(*cell) and (cell[0], cell[1], cell[2].start) not in skipped)
    total = len(layout.modalities) * len(layout.languages) * len(layout.sentences)
    finished, described = total - sum(len(job) for job in jobs), set[int]()

    def describe(column: int) -> Callable[[], None] | None:
        if column in described:
            return None
        described.add(column)
        columns = known_columns(corpus, layout.languages[column], layout.sentences)
        return partial(writer.write_language, column, columns)

    def report(job: Job, is_done: bool) -> None:
        nonlocal finished
        finished += len(job) if is_done else 0
        progress(str(job), finished, total)

    def reused(job: Job, block: Block | None) -> bool:
        if block is not None:
            writer.write_block(job.modality, job.column, job.rows, block)
            report(job, True)
        return block is not None

    if earlier is not None:
        jobs = [job for job in jobs if not reused(job, earlier.block(model, layout, job))]
    previous = PreviousStore.of(writer.path, layout, corpus)
    if previous is None:
        writer.storage.drop_previous()
    else:
        names = {modality: [point.name for point in side.points] for modality, side in model.sides.items()}
        changed = [job for job in jobs if not reused(job, previous.block(layout, job, names[job.modality]))]
        if jobs:
            progress(_what_changed(jobs, changed), finished, total)
        jobs = changed
    (encoder or LocalEncoder()).encode(Work(model, corpus, jobs, config, writer, describe, report))
    for column in range(len(layout.languages)):  # of which no block is open, but texts were removed
        if column not in described and not writer.is_described(column) and (write := describe(column)):
            write()


def _what_changed(jobs: Sequence[Job], changed: Sequence[Job]) -> str:
    """Say which of the blocks that are open are no longer what the store before this one holds."""
    if len(changed) == len(jobs):
        return "what changed: every block"
    anew = ", ".join(dict.fromkeys(map(str, changed))) or "nothing"
    return f"what changed: {anew} ({len(jobs) - len(changed)} of {len(jobs)} blocks are reused)"


class LocalEncoder:
    """Runs jobs in this process: recordings are prepared ahead of the model, and blocks written behind it."""

    def encode(self, work: Work) -> None:
        """Run and write all jobs, in their order."""
        journal = Journal(work.writer.path, work.writer.layout)
        prefetcher = Prefetcher(work.model, work.corpus, work.jobs, work.config.workers)
        with prefetcher, AsyncWriter() as writes:
            for job in work.jobs:
                work.report(job, False)
                kept = kept_of(journal, work.model, job)
                encoded = encode_job(work.model, work.corpus, job, work.config, prefetcher.take(job), kept=kept)
                block = partial(work.writer.write_block, job.modality, job.column, job.rows, encoded)
                writes.put(work.describe(job.column), block, kept.discard)
                work.report(job, True)


class AsyncWriter:
    """A thread that does the writes it is given, in order, for as long as the ``with`` block lasts.

    Leaving the block waits for what was given before. An error of a write is raised where the next is given, which is
    not begun, or on leaving; an error of the block itself goes first.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="babelscope-writes")
        self._last: Future[None] | None = None

    def __enter__(self) -> AsyncWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        if error is None and self._last is not None:
            self._last.result()

    def put(self, *writes: Callable[[], None] | None) -> None:
        """Give writes to be done one by one; waits until those before are done, and raises what these raised."""

        def write() -> None:
            for each in filter(None, writes):
                each()

        if self._last is not None:
            self._last.result()
        self._last = self._pool.submit(write)


def _in_order(model: Model) -> tuple[dict[str, Any], ...]:
    """Return the points of both sides by depth, each side's in its own order, a shared one once and as "both"."""
    shared = set(model.shared_points)
    sides = [[row for row in model.describe() if row["modality"] == modality] for modality in model.modalities]
    ordered: list[dict[str, Any]] = []
    while heads := [side[0] for side in sides if side]:
        # A shared point waits until it is the next one on both sides.
        own = [row for row in heads if row["name"] not in shared]
        row = min(own or heads, key=lambda each: each["depth"])
        ordered.append(row if row["name"] not in shared else row | {"modality": "both"})
        sides = [[each for each in side if each["name"] != row["name"]] for side in sides]
    return tuple(ordered)


def _dropped(corpus: Corpus) -> dict[str, int]:
    """Return how many sentences each filter dropped."""
    whole = corpus.lost[corpus.lost["language"] == "any"]
    return {str(name): int(count) for name, count in zip(whole["filter"], whole["sentences"], strict=True)}


def _layout(model: Model, corpus: Corpus, config: EncodeConfig, block: int, store_dtype: str) -> Layout:
    points = _in_order(model)
    identity = {
        "model": model.name,
        "weights": [file.sha256 for file in model.weights],
        "model options": dict(model.options),
        "points": sorted(point["name"] for point in points),
        "pooling": config.pooling,
        "corpus": corpus.fingerprint(skip_bad=config.skip_bad),
        "languages": list(corpus.languages),
        "sentences": hashlib.sha256("\0".join(corpus.sentences).encode()).hexdigest(),
        "block": block,
    }
    if store_dtype != "float32":
        identity["store dtype"] = store_dtype
    provenance = {
        "model": {
            "name": model.name,
            "revision": model.revision,
            "licence": model.licence,
            "options": dict(model.options),
            "notes": list(model.notes),
            "shared": bool(model.shared_points),
            "weights": [vars(file) for file in model.weights],
            "sides": [
                {
                    "modality": modality,
                    "family": side.family,
                    "unit": side.unit,
                    "parameters": side.parameters,
                    "weights_by_language": side.weights_by_language,
                    "points": [row for row in model.describe() if row["modality"] == modality],
                }
                for modality, side in model.sides.items()
            ],
        },
        "corpus": {
            "name": corpus.name,
            "title": corpus.title,
            "fingerprint": identity["corpus"],
            "languages": list(corpus.languages),
            "n": len(corpus.sentences),
            "licence": corpus.licence,
            "attribution": corpus.attribution,
            "notes": list(corpus.notes),
            "left_out": list(corpus.left_out),
            "dropped": _dropped(corpus),
        },
        "pooling": config.pooling,
        "store_dtype": store_dtype,
        "batch_size_independent_to": 1e-5,
        "created": now(),
        "versions": versions(),
    }
    json.dumps(provenance)
    sentences, languages = tuple(corpus.sentences), tuple(corpus.languages)
    return Layout(sentences, languages, model.modalities, points, block, identity, provenance, store_dtype)
