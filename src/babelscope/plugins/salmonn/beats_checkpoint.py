"""BEATs's released checkpoints: PyTorch files with the settings under ``cfg`` and the arrays under ``model``.

Three things differ from :class:`babelscope.plugins.salmonn.beats.Beats`: the weight of the convolution is stored as
direction and size (weight normalisation over all but its last axis), every layer names the one bias for distances as
its own, and a fine-tuned checkpoint has a classifier, which is not loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from babelscope.errors import DataError
from babelscope.models.weights.accounting import pickled_arrays, read_checkpoint
from babelscope.plugins.salmonn.beats import PATCH, BeatsSizes

#: Settings that change what is computed, and the only value of each that is known here.
_FIXED: dict[str, Any] = {
    "input_patch_size": PATCH,
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "conv_bias": False,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
}

#: The settings that are sizes: their names in a checkpoint.
_SIZES = {
    "embed_dim": "embed",
    "encoder_embed_dim": "width",
    "encoder_layers": "layers",
    "encoder_attention_heads": "heads",
    "encoder_ffn_embed_dim": "feed_forward",
    "conv_pos": "conv_kernel",
    "conv_pos_groups": "conv_groups",
    "num_buckets": "buckets",
    "max_distance": "farthest",
}

_DISTANCES = re.compile(r"encoder\.layers\.\d+\.self_attn\.relative_attention_bias\.weight")
_CLASSIFIER = ("predictor.weight", "predictor.bias")


@dataclass(frozen=True)
class BeatsCheckpoint:
    """An encoder: its sizes, its arrays under the names of Beats, and what was left out."""

    sizes: BeatsSizes
    state: Mapping[str, Tensor]
    left_out: tuple[str, ...]


def read_beats(path: Path) -> BeatsCheckpoint:
    """Read ``BEATs_iter3_plus_AS2M*.pt`` or the like.

    Raises
    ------
    DataError
        If the file is missing, cut short, holds more than tensors and plain settings, or is of another architecture.
    """
    checkpoint = read_checkpoint(path)
    sizes = _sizes(checkpoint.get("cfg"), path)
    arrays = pickled_arrays(path, "BEATs", checkpoint)
    left_out = tuple(name for name in _CLASSIFIER if arrays.pop(name, None) is not None)
    biases = {name: arrays.pop(name) for name in list(arrays) if _DISTANCES.fullmatch(name)}
    if not biases:
        raise DataError(f"weights {path} lack 'encoder.layers.0.self_attn.relative_attention_bias.weight'")
    first, bias = next(iter(biases.items()))
    for name, other in biases.items():
        if other.shape != bias.shape or not bool((other == bias).all()):
            raise DataError(f"weights {path}: {first!r} and {name!r} differ, but are one array in BEATs")
    size, direction = (arrays.pop(f"encoder.pos_conv.0.weight_{factor}", None) for factor in "gv")
    if size is None or direction is None:
        raise DataError(f"weights {path} lack 'encoder.pos_conv.0.weight_g' or 'encoder.pos_conv.0.weight_v'")
    if direction.ndim != 3 or tuple(size.shape) != (1, 1, direction.shape[2]):
        raise DataError(
            f"weights {path}: the convolution's sizes and directions have shapes {tuple(size.shape)} and "
            f"{tuple(direction.shape)}, which do not fit together"
        )
    norm = direction.float().norm(dim=(0, 1), keepdim=True)
    state = {
        {"encoder.pos_conv.0.bias": "encoder.pos_conv.bias"}.get(name, name): array for name, array in arrays.items()
    } | {
        "encoder.relative_attention_bias.weight": bias,
        "encoder.pos_conv.weight": direction * (size / norm),
    }
    return BeatsCheckpoint(sizes, state, left_out)


def _sizes(said: Any, path: Path) -> BeatsSizes:
    if not isinstance(said, Mapping):
        raise DataError(f"weights {path} have no settings under 'cfg': they are no checkpoint of BEATs")
    for name, known in _FIXED.items():
        if said.get(name) != known:
            raise DataError(
                f"weights {path}: the setting {name} is {said.get(name)!r}; only BEATs_iter3+ is known here, where it "
                f"is {known!r}"
            )
    numbers: dict[str, int] = {}
    for name, here in _SIZES.items():
        number = said.get(name)
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise DataError(f"weights {path}: the setting {name} is {number!r}, not a positive number")
        numbers[here] = number
    sizes = BeatsSizes(**numbers, deep_norm=bool(said.get("deep_norm")))
    if sizes.width % sizes.heads or sizes.width % sizes.conv_groups or sizes.buckets < 4:
        raise DataError(
            f"weights {path}: width {sizes.width}, {sizes.heads} heads, {sizes.conv_groups} groups and "
            f"{sizes.buckets} buckets do not fit together"
        )
    return sizes
