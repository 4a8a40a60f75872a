"""What one model's side gave, taken over by another model of which that side is a part too: it is not run again."""

from __future__ import annotations

from typing import NamedTuple

from babelscope.capture.jobs import Job
from babelscope.capture.layout import Block, Layout
from babelscope.capture.store import Activations
from babelscope.models.base import Model

#: What must be the same in both stores.
_SAME = ("corpus", "sentences", "languages", "pooling")


class Earlier(NamedTuple):
    """A model that was run, and what it gave."""

    model: Model
    activations: Activations


def take_over(earlier: Earlier, model: Model, layout: Layout, job: Job) -> Block | None:
    """Return a block as another model's store holds it; None if it is not known to be what this model would give.

    It is known where the two sides say that they compute the same (:meth:`babelscope.models.base.Side.computes_as`),
    and the other store holds the same sentences, pooled alike, all of them, and unrounded.

    Parameters
    ----------
    earlier : Earlier
    model : Model
    layout : Layout
        Of the store to be filled.
    job : Job
        The block.
    """
    held, modality = earlier.activations, job.modality
    one, other = earlier.model.sides.get(modality), model.sides[modality]
    language = layout.languages[job.column]
    names = [point.name for point in other.points]
    if (
        one is None
        or not other.computes_as(one)
        or held.skipped
        or held.store_dtype != "float32"
        or any(held.identity.get(key) != layout.identity.get(key) for key in _SAME)
        or not set(names) <= set(held.points(modality))
    ):
        return None
    rows = {str(point): row for row, point in enumerate(held.dataset["point"].values)}
    counts = held.positions(modality, language)
    ids = held.token_ids(language) if modality == "text" else None
    return Block(
        {name: held.matrix(name, modality, language)[job.part] for name in names},
        {name: counts[rows[name], job.part].tolist() for name in names},
        held.lengths(modality, language)[job.part].tolist(),
        [one.tolist() for one in ids[job.part]] if ids is not None else (),
    )
