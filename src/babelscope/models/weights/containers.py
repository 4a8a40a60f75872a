"""Weights in a format of their own, which a plug-in reads: the assets that package registries have."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from babelscope.errors import DataError
from babelscope.fetch import asset_folder, asset_source
from babelscope.models.weights.places import Place

#: Entry-point group of readers: each, by a model's name, takes an asset's folder and returns a :class:`Container`.
ENTRY_POINTS = "babelscope.weights"


class Container(NamedTuple):
    """What a reader makes of an asset.

    Attributes
    ----------
    state : mapping of str to Tensor
        Under the names of transformers' class.
    file : Path
        That was read.
    note : str
        What a reader of the model's numbers must know of it; empty if there is nothing.
    """

    config: Any
    state: Mapping[str, Tensor]
    file: Path
    note: str = ""


def open_asset(asset: str, model: str) -> tuple[Place, Container | None]:
    """Return the folder of a fetched asset, and its weights if they are in a format of their own.

    Parameters
    ----------
    model : str
        The name of the model whose weights it holds.

    Returns
    -------
    place : Place
    container : Container or None
        None if the folder is in transformers' format, as its authors publish it.

    Raises
    ------
    FetchError
        If the asset is not here.
    DataError
        If a file of it is damaged, or no plug-in that is installed reads it.
    """
    folder = asset_folder(asset)
    if (folder / "model.safetensors").is_file():
        return Place(folder, asset_source(asset)), None
    entry = next(iter(entry_points(group=ENTRY_POINTS, name=model)), None)
    try:
        reader = entry.load() if entry else None
    except ImportError:
        reader = None
    if reader is None:
        raise DataError(
            f"weights {folder} are in a format of their own, and no plug-in for {model!r} is installed (entry points "
            f"of the group {ENTRY_POINTS}): name a folder in transformers' format, or a hub id, as weights"
        )
    return Place(folder, f"asset {asset}"), reader(folder)
