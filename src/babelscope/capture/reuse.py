"""Blocks that another store holds already are reused, to the same bits, and not computed again.

The other store is of another model that shares a side with this one (:class:`SharedSide`), or it stood where this one
is written, before the corpus was changed (:class:`PreviousStore`). A block is reused whole or not at all: which
utterances are in it decides how they are batched, and with that the last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from babelscope.capture.jobs import Job
from babelscope.capture.layout import MAY_DIFFER, Block, Layout, differing
from babelscope.capture.storage import Folder, storage_of
from babelscope.capture.store import Activations
from babelscope.corpora import Corpus
from babelscope.errors import BabelscopeError
from babelscope.models.base import Modality, Model

#: What must be the same in two models' stores.
_SAME = frozenset({"corpus", "sentences", "languages", "pooling"})


class SharedSide(NamedTuple):
    """Another model that was run on the same corpus, and its activations."""

    model: Model
    activations: Activations

    def block(self, model: Model, layout: Layout, job: Job) -> Block | None:
        """Return a block as the other model's store holds it; None if this model may compute another.

        It computes the same where the two sides say so (:meth:`babelscope.models.base.Side.computes_as`), and the other
        store holds the same sentences, pooled alike, all of them, and unrounded. `layout` is of the store to be filled.
        """
        stored, modality = self.activations, job.modality
        theirs, side = self.model.sides.get(modality), model.sides[modality]
        names = [point.name for point in side.points]
        if (
            theirs is None
            or not side.computes_as(theirs)
            or stored.skipped
            or stored.store_dtype != "float32"
            or not _SAME.isdisjoint(differing(stored.identity, layout.identity))
            or not set(names) <= set(stored.points(modality))
        ):
            return None
        return stored.block_at(modality, layout.languages[job.column], job.rows, names)


class PreviousStore:
    """The store that stood where this one is written, of the same model and options: what is the same is reused.

    A block is the same if it holds the same sentences with the same texts, or recordings of the same content, as the
    new corpus, and nothing in it was skipped.
    """

    def __init__(self, stored: Activations, corpus: Corpus) -> None:
        self._stored, self._corpus = stored, corpus
        ids = [str(sentence) for sentence in stored.dataset["sentence"].values]
        self._parts = {
            tuple(ids[start : start + stored.block]): slice(start, min(start + stored.block, len(ids)))
            for start in range(0, len(ids), stored.block)
        }
        self._skipped = {skipped.sentence for skipped in stored.skipped}

    @classmethod
    def of(cls, location: Path | str, layout: Layout, corpus: Corpus) -> PreviousStore | None:
        """Return the store that was set aside for another; None if nothing of it can be reused."""
        place = storage_of(location)
        if not isinstance(place, Folder) or not (place.previous / "zarr.json").is_file():
            return None
        try:
            stored = Activations(place.previous)
            changed = differing(stored.identity, layout.identity)
            known = "content" in stored.dataset and stored.store_dtype == layout.dtype == "float32"
            versions = stored.meta["versions"] == layout.provenance["versions"]
            return cls(stored, corpus) if known and versions and not changed - MAY_DIFFER else None
        except (BabelscopeError, KeyError):
            return None

    def block(self, layout: Layout, job: Job, points: Sequence[str]) -> Block | None:
        """Return a block of the new store as the previous one holds it; None if it does not."""
        language = layout.languages[job.column]
        rows = self._parts.get(layout.sentences[job.rows])
        if rows is None or not self._skipped.isdisjoint(layout.sentences[job.rows]):
            return None
        try:
            if not self._has(job.modality, language, rows, points) or not self._same(job, language, rows):
                return None
            block = self._stored.block_at(job.modality, language, rows, points)
        except BabelscopeError:  # what is damaged is made again
            return None
        return block if all(np.isfinite(values).all() for values in block.vectors.values()) else None

    def _has(self, modality: Modality, language: str, rows: slice, points: Sequence[str]) -> bool:
        stored = self._stored
        if modality not in stored.modalities or language not in stored.languages:
            return False
        cell = stored.modalities.index(modality), stored.languages.index(language), rows.start // stored.block
        return bool(stored.done[cell]) and set(points) <= set(stored.points(modality))

    def _same(self, job: Job, language: str, rows: slice) -> bool:
        name, content_of = ("text", self._corpus.text) if job.modality == "text" else ("content", self._corpus.content)
        before = self._stored.dataset[name].sel(language=language).values[rows]
        now = [content_of(sentence, language) or "" for sentence in self._corpus.sentences[job.rows]]
        return [str(value) for value in before] == now and "" not in now and "missing" not in now
