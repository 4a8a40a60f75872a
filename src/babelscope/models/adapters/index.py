"""The index of a checkpoint's weights, compared with the class that it is for before any of them is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from babelscope.errors import DataError
from babelscope.models.adapters.loading import read_configuration
from babelscope.models.catalogue import Kind
from babelscope.models.weights.accounting import refuse_unplaced
from babelscope.models.weights.renaming import unplaced_names
from babelscope.models.weights.settings import read_settings

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class WeightsIndex:
    """What ``model.safetensors.index.json`` says.

    Attributes
    ----------
    names : tuple of str
        Of all arrays.
    size : int
        Bytes of all arrays; 0 if it does not say.
    """

    names: tuple[str, ...]
    files: tuple[str, ...]
    size: int


def read_index(folder: Path) -> WeightsIndex | None:
    """Return the index of a folder's weights; None if it has none.

    Raises
    ------
    DataError
        If it is damaged.
    """
    path = folder / INDEX
    if not path.is_file():
        return None
    said = read_settings(path)
    names, about = said.get("weight_map"), said.get("metadata")
    if not isinstance(names, dict) or not all(isinstance(file, str) for file in names.values()):
        raise DataError(f"weights: {path} is damaged (its weight_map names no files): fetch it again")
    size = about.get("total_size") if isinstance(about, dict) else None
    return WeightsIndex(tuple(names), tuple(sorted(set(names.values()))), int(size) if isinstance(size, int) else 0)


def check_index(folder: Path, kind: Kind = "") -> WeightsIndex | None:
    """Refuse an index by which a model would lack weights, or have weights without a place; return it.

    Parameters
    ----------
    folder : Path
        With ``config.json``; weights need not be there.
    kind : str
        As for :func:`babelscope.models.adapters.loading.read_configuration`.

    Raises
    ------
    DataError
        Naming one of the arrays.
    """
    index = read_index(folder)
    if index is not None:
        configuration = read_configuration(folder, kind)
        unplaced = unplaced_names(configuration.build(), index.names, configuration.renamed)
        refuse_unplaced(
            unplaced.missing,
            unplaced.unexpected,
            str(folder),
            configuration.model_class.__name__,
            ignore_unexpected=configuration.left,
        )
    return index
