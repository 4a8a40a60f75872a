"""From a corpus and a model to a store of activations: block by block, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from babelscope.capture.job import Job
from babelscope.capture.jobs import (
    BATCH_SIZE,
    Encoder,
    How,
    Work,
    encode_job,
    kept_of,
    open_jobs,
)
from babelscope.capture.journal import Journal
from babelscope.capture.layout import check_store_dtype
from babelscope.capture.places import tidy
from babelscope.capture.preparing import Ahead, known_columns
from babelscope.capture.store import Activations, Block, Layout, Writer, lock, now, versions
from babelscope.capture.taking_over import Earlier, Former, take_over
from babelscope.capture.writing import WriteBehind
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.models.base import Model

#: Sentences that are written together: one file for all points of the model.
BLOCK = 128

#: Called with what is being done ("speech en"), how many utterances are done, and how many there are.
Progress = Callable[[str, int, int], None]


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
    engine: Encoder | None = None,
    earlier: Earlier | None = None,
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
        The store: a folder, or a URL such as ``s3://bucket/study.zarr``. One of the same contents is taken up where it
        ends; another is refused unless `overwrite`.
    pooling : {"mean", "max", "first", "last"}
        Over the valid positions of an utterance, in float32.
    batch_size : int
        Most utterances in one forward pass. How utterances are batched does not change the numbers (to 1e-5): a run
        that goes on gives the same bits under the same batch options.
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
        does to each vector is measured and kept beside it: :meth:`Activations.rounding`.
    overwrite : bool
        Replace a store of other contents.
    progress : callable, optional
    engine : Encoder, optional
        Who runs the jobs: this process if left out, or :class:`babelscope.engines.ray.Ray`, to the same bits.
    earlier : Earlier, optional
        Another model that was run on this corpus, and its store: what a side gave that is a part of this model too is
        taken over.

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
    how = How(pooling, batch_size, batch_tokens, batch_seconds, skip_bad)
    if block < 1:
        raise UsageError(f"block: {block} is not a positive number")
    if not corpus.sentences:
        raise DataError(f"corpus {corpus.name} has no sentence left after its filters: loosen them")
    layout = _layout(model, corpus, pooling, block, store_dtype, skip_bad)
    total = len(layout.modalities) * len(layout.languages) * len(layout.sentences)
    with lock(path):
        tidy(path)
        writer = Writer(path, layout, overwrite=overwrite)
        layout = writer.layout
        writer.write_clusters(corpus.clusters)
        journal = Journal(writer.path, layout)
        journal.open(afresh=writer.created)
        skipped = set() if skip_bad else writer.blocks_with_skipped()
        jobs = open_jobs(
            layout, lambda *cell: writer.is_done(*cell) and (cell[0], cell[1], cell[2].start) not in skipped
        )
        finished, described = total - sum(len(job) for job in jobs), set[int]()

        def describing(column: int) -> Callable[[], None] | None:
            if column in described:
                return None
            described.add(column)
            columns = known_columns(corpus, layout.languages[column], layout.sentences)
            return partial(writer.write_language, column, columns)

        def told(job: Job, is_done: bool) -> None:
            nonlocal finished
            finished += len(job) if is_done else 0
            if progress:
                progress(str(job), finished, total)

        if earlier is not None:
            jobs = [job for job in jobs if not _taken_over(take_over(earlier, model, layout, job), writer, job, told)]
        former = Former.of(path, layout, corpus)
        if former is None:
            writer.place.forget()
        else:
            names = {modality: [point.name for point in side.points] for modality, side in model.sides.items()}
            changed = [
                job
                for job in jobs
                if not _taken_over(former.take_over(layout, job, names[job.modality]), writer, job, told)
            ]
            if progress and jobs:
                progress(_what_changed(jobs, changed), finished, total)
            jobs = changed
        (engine or Here()).encode(Work(model, corpus, jobs, how, writer, workers, describing, told))
        for column in range(len(layout.languages)):  # of which no block is open, but texts were removed
            if column not in described and not writer.is_described(column) and (write := describing(column)):
                write()
        writer.finish()
        Journal.clear(writer.path)
        writer.place.forget()
    stored = Activations(path)
    if not stored.sentences:
        raise DataError(
            f"corpus {corpus.name}: every sentence was skipped; the first reason: {stored.skipped[0].reason}"
        )
    return stored


def _what_changed(jobs: Sequence[Job], changed: Sequence[Job]) -> str:
    """Say which of the blocks that are open are no longer what the store before this one holds."""
    if len(changed) == len(jobs):
        return "what changed: every block"
    anew = ", ".join(dict.fromkeys(map(str, changed))) or "nothing"
    return f"what changed: {anew} ({len(jobs) - len(changed)} of {len(jobs)} blocks are reused)"


def _taken_over(block: Block | None, writer: Writer, job: Job, told: Callable[[Job, bool], None]) -> bool:
    """Write a block that another store has; tell whether it has it."""
    if block is None:
        return False
    writer.write_block(job.modality, job.column, job.part, block)
    told(job, True)
    return True


class Here:
    """The engine of this process: recordings are prepared ahead of the model, and blocks written behind it."""

    def encode(self, work: Work) -> None:
        """Run and write all jobs, in their order."""
        journal = Journal(work.writer.path, work.writer.layout)
        with Ahead(work.model, work.corpus, work.jobs, work.workers) as ahead, WriteBehind() as behind:
            for job in work.jobs:
                work.told(job, False)
                kept = kept_of(journal, work.model, job)
                encoded = encode_job(work.model, work.corpus, job, work.how, ahead.take(job), kept=kept)
                block = partial(work.writer.write_block, job.modality, job.column, job.part, encoded)
                behind.put(partial(_in_turn, work.describing(job.column), block, kept.discard))
                work.told(job, True)


def _in_turn(*writes: Callable[[], None] | None) -> None:
    for write in writes:
        if write is not None:
            write()


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


def _layout(model: Model, corpus: Corpus, pooling: str, block: int, store_dtype: str, skip_bad: bool = False) -> Layout:
    points = _in_order(model)
    weights = [vars(file) for file in model.weights]
    identity = {
        "model": model.name,
        "weights": [file.sha256 for file in model.weights],
        "model options": dict(model.options),
        "points": sorted(point["name"] for point in points),
        "pooling": pooling,
        "corpus": corpus.fingerprint(skip_bad=skip_bad),
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
            "weights": weights,
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
        "pooling": pooling,
        "store_dtype": store_dtype,
        "batch_size_independent_to": 1e-5,
        "created": now(),
        "versions": versions(),
    }
    json.dumps(provenance)
    return Layout(
        tuple(corpus.sentences),
        tuple(corpus.languages),
        model.modalities,
        points,
        block,
        identity,
        provenance,
        store_dtype,
    )
