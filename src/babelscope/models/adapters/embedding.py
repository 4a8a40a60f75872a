"""One vector of a sentence, as an embedder defines it: which positions, a prefix, dense layers, a norm of 1.

A folder of sentence-transformers says so itself (``modules.json``, ``1_Pooling``, ``2_Dense``); of other embedders it
is declared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from babelscope.cache import sha256_of
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.fetch.archives import is_safe_name
from babelscope.models.weights.accounting import arrays_in, fill
from babelscope.models.weights.settings import read_json, read_settings
from babelscope.sides import WeightsFile


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over a text's positions."""
    return hidden.masked_fill(~mask[..., None], 0.0).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def first(hidden: Tensor, mask: Tensor) -> Tensor:
    """The first position: that of [CLS]."""
    return hidden[:, 0]


def last(hidden: Tensor, mask: Tensor) -> Tensor:
    """The last of a text's positions."""
    return hidden[torch.arange(len(hidden), device=hidden.device), mask.shape[1] - 1 - mask.flip(1).int().argmax(dim=1)]


def largest(hidden: Tensor, mask: Tensor) -> Tensor:
    """The largest value of each feature over a text's positions."""
    return hidden.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)


#: How positions become one vector, by the name that a declaration and the option ``pooled`` give it.
WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mean": mean, "cls": first, "last": last, "max": largest}

#: What sentence-transformers calls them.
_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}

_ACTIVATIONS = {"Tanh": nn.Tanh, "Identity": nn.Identity, "GELU": nn.GELU, "ReLU": nn.ReLU}


class Embedding(nn.Module):
    """From the last hidden states to the vector of a sentence.

    Parameters
    ----------
    way : str
        One of :data:`WAYS`.
    dense : sequence of Module
        Layers after the pooling.
    normalised : bool
        Whether vectors are brought to length 1.
    """

    def __init__(self, way: str, dense: list[nn.Module] | None = None, *, normalised: bool = True) -> None:
        super().__init__()
        self.way, self.normalised = way, normalised
        self.dense = nn.Sequential(*(dense or []))

    def width(self, hidden: int) -> int:
        """Return how many features the vector has, given how many a hidden state has."""
        linear = [module for module in self.dense.modules() if isinstance(module, nn.Linear)]
        return linear[-1].out_features if linear else hidden

    @property
    def formula(self) -> str:
        """What is done, for people."""
        return self.way + ("-dense" if len(self.dense) else "")

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return one vector a text: shape (batch, width), float32.

        Parameters
        ----------
        hidden : Tensor, shape (batch, positions, width)
        mask : Tensor of bool, shape (batch, positions)
            Where a text's own positions are.
        """
        pooled = self.dense(WAYS[self.way](hidden.float(), mask))
        return nn.functional.normalize(pooled, dim=1) if self.normalised else pooled


def declared(way: str) -> Embedding:
    """Return what a declaration or the option ``pooled`` says.

    Raises
    ------
    UsageError
        If there is no such way.
    """
    plain = way.removesuffix("-dense")
    if plain not in WAYS:
        raise UsageError(f"pooled {way!r} is unknown; {did_you_mean(plain, WAYS)}")
    return Embedding(plain)


def read_embedding(folder: Path, source: str) -> tuple[Embedding, str, tuple[WeightsFile, ...]] | None:
    """Read how a folder of sentence-transformers makes one vector of a sentence.

    Parameters
    ----------
    source : str
        Where it came from, for the identity of its weights.

    Returns
    -------
    embedding : Embedding
    prefix : str
        Text before every sentence, where the folder names one for all of them.
    files : tuple of WeightsFile
        Of the dense layers.

    or None if the folder is none of sentence-transformers.

    Raises
    ------
    DataError
        If it has a module that is not known, or its files are damaged.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return None
    modules = read_json(path)
    if not isinstance(modules, list) or not all(isinstance(module, Mapping) for module in modules):
        raise DataError(f"weights: {path} is no list of modules: fetch it again")
    way, normalised, dense, files = "", False, list[nn.Module](), list[WeightsFile]()
    for module in modules:
        kind, where = str(module.get("type", "")).rsplit(".", 1)[-1], str(module.get("path", ""))
        if where and (not is_safe_name(where) or "/" in where):
            raise DataError(f"weights: {path} names {where!r}, which is no folder next to it: refused")
        if kind == "Pooling":
            way = _way(folder / where / "config.json")
        elif kind == "Dense":
            layer, file = _dense(folder / where, source)
            dense.append(layer)
            files.append(file)
        elif kind == "Normalize":
            normalised = True
        elif kind != "Transformer":
            raise DataError(
                f"weights: {path} has a module of a kind that is not known ({kind}): name the model's own part"
            )
    if not way:
        return None
    return Embedding(way, dense, normalised=normalised), _prefix(folder), tuple(files)


def _way(path: Path) -> str:
    settings = read_settings(path)
    if isinstance(named := settings.get("pooling_mode"), str):
        chosen = [{"lasttoken": "last"}.get(named, named)]
    else:
        chosen = [way for switch, way in _SWITCHES.items() if settings.get(switch)]
    others = [
        name for name, on in settings.items() if name.startswith("pooling_mode_") and on and name not in _SWITCHES
    ]
    if len(chosen) != 1 or others or chosen[0] not in WAYS:
        named = ", ".join([*chosen, *others]) or "nothing"
        raise DataError(f"weights: {path} pools by {named}, which is not known here: choose with the option 'pooled'")
    return chosen[0]


def _prefix(folder: Path) -> str:
    path = folder / "config_sentence_transformers.json"
    settings: Mapping[str, Any] = read_settings(path) if path.is_file() else {}
    prompts, name = settings.get("prompts"), settings.get("default_prompt_name")
    return str(prompts.get(name, "")) if isinstance(prompts, Mapping) and name else ""


def _dense(folder: Path, source: str) -> tuple[nn.Module, WeightsFile]:
    settings, file = read_settings(folder / "config.json"), folder / "model.safetensors"
    activation = str(settings.get("activation_function", "torch.nn.modules.linear.Identity")).rsplit(".", 1)[-1]
    if activation not in _ACTIVATIONS:
        raise DataError(f"weights: {folder / 'config.json'} has the activation {activation!r}, which is not known here")
    if not file.is_file():
        raise DataError(
            f"weights: {folder} holds no model.safetensors (pickled weights are not read): save the model again"
        )
    try:
        sizes = int(settings["in_features"]), int(settings["out_features"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"weights: {folder / 'config.json'} says no sizes of its dense layer: fetch it again"
        ) from error
    linear = nn.Linear(*sizes, bias=bool(settings.get("bias", True)))
    fill({f"linear.{name}": tensor for name, tensor in linear.state_dict().items()}, arrays_in([file]), str(file))
    layer = nn.Sequential(linear, _ACTIVATIONS[activation]()).eval().requires_grad_(False)
    return layer, WeightsFile(f"{folder.name}/{file.name}", sha256_of(file), source)
