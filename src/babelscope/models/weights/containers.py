"""Weights in a format of their own, which a plug-in reads: the assets that package registries have."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.initialization import no_init_weights

from babelscope.cache import sha256_of
from babelscope.errors import DataError
from babelscope.fetch import asset_folder, asset_source
from babelscope.models.weights.places import Place
from babelscope.sides import WeightsFile

#: Entry-point group of readers: each, by an asset's name, takes the asset's folder and returns a :class:`Container`.
ENTRY_POINTS = "babelscope.weights"


class Container(NamedTuple):
    """What a reader makes of an asset.

    Attributes
    ----------
    config : transformers.PreTrainedConfig
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

    def weights(self, asset: str) -> tuple[WeightsFile, ...]:
        """Return which file was read."""
        return (WeightsFile(self.file.name, sha256_of(self.file), f"asset {asset}"),)


def authors_folder(asset: str) -> Place | None:
    """Return the folder of a fetched asset in transformers' own format, as its authors publish it; None of another.

    Raises
    ------
    FetchError
        If the asset is not here.
    DataError
        If a file of it is damaged.
    """
    folder = asset_folder(asset)
    return Place(folder, asset_source(asset)) if (folder / "model.safetensors").is_file() else None


def read_asset(asset: str, folder: Path) -> Container:
    """Read an asset's weights with the plug-in for it.

    Raises
    ------
    DataError
        If no plug-in that is installed reads them, or they are damaged.
    """
    entry = next(iter(entry_points(group=ENTRY_POINTS, name=asset)), None)
    try:
        reader = entry.load() if entry else None
    except ImportError:
        reader = None
    if reader is None:
        raise DataError(
            f"weights {folder} are in a format of their own, and no plug-in for {asset!r} is installed (entry points "
            f"of the group {ENTRY_POINTS}): name a folder in transformers' format, or a hub id, as weights"
        )
    container: Container = reader(folder)
    return container


def filled(kind: Any, config: Any, state: Mapping[str, Tensor], **options: Any) -> Any:
    """Return a model of transformers with these weights, all of them accounted for, and with sdpa attention.

    Parameters
    ----------
    kind : type
    config : transformers.PreTrainedConfig
    state : mapping of str to Tensor
    **options
        For the class's constructor.
    """
    config._attn_implementation = "sdpa"
    with no_init_weights():
        model: nn.Module = kind(config, **options)
    model.load_state_dict(dict(state), strict=True)
    return model


def blank(kind: Any, config: Any, **options: Any) -> Any:
    """Return a model without weights, in evaluation mode and without gradients, on the "meta" device."""
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        return kind(config, **options).eval().requires_grad_(False)
