"""From a corpus and a model to a store of activations: block by block, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from babelscope.capture.jobs import How, encode_job, open_jobs
from babelscope.capture.preparing import known_columns
from babelscope.capture.store import Activations, Layout, Writer, lock, now, versions
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.models.base import Model

#: Sentences that are written together: what a killed run loses at most, a modality and language.
BLOCK = 32

#: Called with what is being done ("speech en"), how many utterances are done, and how many there are.
Progress = Callable[[str, int, int], None]


def encode(
    model: Model,
    corpus: Corpus,
    path: Path | str,
    *,
    pooling: str = "mean",
    batch_size: int = 8,
    block: int = BLOCK,
    overwrite: bool = False,
    progress: Progress | None = None,
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
        The store. One of the same contents is taken up where it ends; another is refused unless `overwrite`.
    pooling : {"mean", "max", "first", "last"}
        Over the valid positions of an utterance, in float32.
    batch_size : int
        Most utterances in one forward pass. It does not change the numbers (to 1e-5).
    block : int
        Sentences written together.
    overwrite : bool
        Replace a store of other contents.
    progress : callable, optional

    Returns
    -------
    Activations

    Raises
    ------
    DataError
        If a text or recording is missing, broken, or gives an activation that is not finite; what was finished before
        is kept.
    UsageError
        If the store holds something else, or an option is wrong.
    """
    path = Path(path)
    how = How(pooling, batch_size)
    if block < 1:
        raise UsageError(f"block: {block} is not a positive number")
    if not corpus.sentences:
        raise DataError(f"corpus {corpus.name} has no sentence left after its filters: loosen them")
    layout = _layout(model, corpus, pooling, block)
    total = len(layout.modalities) * len(layout.languages) * len(layout.sentences)
    with lock(path):
        writer = Writer(path, layout, overwrite=overwrite)
        jobs = open_jobs(layout, writer.is_done)
        finished, begun = total - sum(len(job) for job in jobs), -1
        for job in jobs:
            if job.column != begun:
                begun = job.column
                writer.write_language(begun, known_columns(corpus, job.language, layout.sentences))
            if progress:
                progress(str(job), finished, total)
            writer.write_block(job.modality, job.column, job.part, encode_job(model, corpus, job, how))
            finished += len(job)
            if progress:
                progress(str(job), finished, total)
    return Activations(path)


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


def _layout(model: Model, corpus: Corpus, pooling: str, block: int) -> Layout:
    points = _in_order(model)
    weights = [vars(file) for file in model.weights]
    identity = {
        "model": model.name,
        "weights": [file.sha256 for file in model.weights],
        "model options": dict(model.options),
        "points": sorted(point["name"] for point in points),
        "pooling": pooling,
        "corpus": corpus.fingerprint(),
        "languages": list(corpus.languages),
        "sentences": hashlib.sha256("\0".join(corpus.sentences).encode()).hexdigest(),
        "block": block,
    }
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
        },
        "pooling": pooling,
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
    )
