"""What a model is before it is loaded: its points, its parameters, and the memory that its weights will take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from babelscope.models import info, load, naming, pair, parts, resolve, weights_by_part
from babelscope.models.catalogue import Kind
from babelscope.models.weights.accounting import has_all_weights
from babelscope.models.weights.places import locate
from babelscope.sides import DTYPES, Model

if TYPE_CHECKING:
    from babelscope.models.adapters.index import WeightsIndex


@dataclass(frozen=True)
class Plan:
    """A model as it will be.

    Attributes
    ----------
    model : Model
        Its points, notes and licence are to be read; if it was not made from weights, there is nothing to run.
    from_weights : bool
        True if weights were read for it; False if it was built from a configuration alone.
    sources : tuple of str
        Where its configuration is from, and what its weights are that were not read: a line each.
    """

    model: Model
    from_weights: bool
    sources: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """How many numbers the weights are; what both sides share counts once."""
        return _numbers(side.root.parameters() for side in self.model.sides.values())

    @property
    def memory(self) -> dict[str, int]:
        """Bytes that weights and tables (of positions) take, by dtype.

        Activations come on top: little, as they are pooled at once.
        """
        tables = _numbers(side.root.buffers() for side in self.model.sides.values())
        return {name: (self.parameters + tables) * dtype.itemsize for name, dtype in DTYPES.items()}


def _numbers(tensors: Iterable[Iterable[Tensor]]) -> int:
    return sum({id(tensor): tensor.numel() for some in tensors for tensor in some}.values())


def plan(name: str, folder: str | Mapping[str, str] | None = None) -> Plan:
    """Say what a model will be, without its weights where its family can (all that come along do), else by loading it.

    Parameters
    ----------
    name : str
        As for :func:`babelscope.models.load`. Of a hub id the small files are fetched, which say what the model is.
    folder : str or mapping, optional
        Where the weights are, as for :func:`babelscope.models.load`: then the configuration there counts, not
        the released one. For a pair a mapping from the part's name.

    Returns
    -------
    Plan

    Raises
    ------
    UsageError
        If the name is unknown, or a folder is named for a pair and not for one of its parts.
    FetchError
        If the family needs weights for this, or a hub id's small files, and they are not here.
    DataError
        If the folder is damaged, or another model's.
    """
    folders = weights_by_part(name, folder)
    made = [_planned(single, folders.get(single)) for single in parts(name)]
    model = made[0].model if len(made) == 1 else pair(name, *(each.model for each in made))
    sources = tuple(line for each in made for line in each.sources)
    return Plan(model, all(each.from_weights for each in made), sources)


def token_counter(name: str, weights: str | Mapping[str, str] | None = None) -> Callable[[str, str], int] | None:
    """Return what counts the tokens of a text, given with its language; None if the tokenizer is not here.

    Parameters
    ----------
    name, weights
        As for :func:`babelscope.models.load`.

    Raises
    ------
    UsageError
        If the name is unknown, or weights are named for what is no part of it.
    """
    single = parts(name)[-1]
    described, source = info(single), weights_by_part(name, weights).get(single)
    if described.declaration is not None:
        from babelscope.models.adapters import token_counter as counter_of  # transformers is slow to import

        return counter_of(described.declaration, source)
    return resolve(described.counter)(source) if described.counter else None


def _planned(name: str, folder: str | None) -> Plan:
    described = info(name)
    if not described.planner:
        return Plan(load(name, weights=folder), from_weights=True)
    declaration = described.declaration
    source = folder or (naming.location(declaration) if declaration is not None else None)
    if declaration is None or source is None:
        return Plan(resolve(described.planner)(name, folder), from_weights=False)
    place = locate(source, weights=False)
    model, index, released = _without_weights(
        described.planner,
        declaration.name,
        declaration.kind,
        place.folder,
        tuple(sorted((path.name, path.stat().st_mtime_ns) for path in place.folder.iterdir())),
    )
    licence = place.licence_or(model.licence or declaration.licence)
    notes = tuple(dict.fromkeys((*model.notes, *declaration.notes)))
    sources = [f"configuration: {place.source}"]
    if released != (loaded := Plan(model, from_weights=False).parameters):
        sources.append(
            f"released model: {released / 1e6:.1f} M parameters, {(released - loaded) / 1e6:.1f} M of them in heads "
            f"and other parts that are not loaded"
        )
    if index is not None:
        size = f", {index.size / 1e9:.1f} GB" if index.size else ""
        sources.append(
            f"weights: {len(index.files)} files{size}, not read; all {len(index.names)} arrays of their index have a "
            f"place"
        )
    return Plan(dataclasses.replace(model, licence=licence, notes=notes), from_weights=False, sources=tuple(sources))


@lru_cache(maxsize=4)
def _without_weights(
    planner: str, name: str, kind: Kind, folder: Path, files: tuple[tuple[str, int], ...]
) -> tuple[Model, WeightsIndex | None, int]:
    """Return a model without weights, its index if its weights are not here, and how many numbers the release has.

    Once for a state of a folder's files.

    It takes seconds, for a large speech LLM half a minute, and a study asks for it several times.
    """
    from babelscope.models.adapters.index import check_index  # transformers is slow to import
    from babelscope.models.adapters.loading import whole_parameters

    index = None if has_all_weights(folder) else check_index(folder, kind)
    return resolve(planner)(name, str(folder)), index, whole_parameters(folder)
