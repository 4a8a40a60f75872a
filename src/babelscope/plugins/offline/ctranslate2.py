"""Whisper from the CTranslate2 container (``model.bin``), into the names of transformers' Whisper.

The container is a flat list of named arrays: a version, the specification's name, and for each variable its name,
shape, type and bytes, little-endian throughout; then aliases. It needs neither pickle nor ctranslate2.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import WhisperConfig, WhisperForConditionalGeneration

from babelscope.errors import DataError
from babelscope.models.weights.accounting import fill, refuse_not_finite, with_axes
from babelscope.models.weights.containers import Container
from babelscope.plugins.offline.cursor import Cursor

_MOST_AXES = 8
_TYPES: dict[int, np.dtype[np.generic]] = {
    0: np.dtype("<f4"),
    1: np.dtype("i1"),
    2: np.dtype("<i2"),
    3: np.dtype("<i4"),
    4: np.dtype("<f2"),
}


def read_whisper(folder: Path) -> Container:
    """Read the asset: Whisper whole, under the names of transformers' ``WhisperForConditionalGeneration``.

    Raises
    ------
    DataError
        As :func:`read_container` and :func:`whisper_state`; or if its sizes are no Whisper's.
    """
    path = folder / "model.bin"
    arrays = read_container(path)
    state = whisper_state(arrays, path)
    for name in ("encoder.conv1.weight", "encoder.embed_positions.weight", "decoder.embed_positions.weight"):
        with_axes(state, f"model.{name}", 3 if "conv" in name else 2, path)
    with_axes(state, "model.decoder.embed_tokens.weight", 2, path)
    heads = [arrays.get(f"{side}/num_heads") for side in ("encoder", "decoder")]
    if any(each is None or each.size != 1 or int(each.item()) < 1 for each in heads):
        raise DataError(f"weights {path} lack the numbers of heads: they are not a whole Whisper model")
    width = with_axes(state, "model.encoder.layer_norm.weight", 1, path).shape[0]
    config = WhisperConfig(
        vocab_size=state["model.decoder.embed_tokens.weight"].shape[0],
        num_mel_bins=state["model.encoder.conv1.weight"].shape[1],
        d_model=width,
        encoder_layers=layer_count(arrays, "encoder"),
        decoder_layers=layer_count(arrays, "decoder"),
        encoder_attention_heads=int(arrays["encoder/num_heads"].item()),
        decoder_attention_heads=int(arrays["decoder/num_heads"].item()),
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_source_positions=state["model.encoder.embed_positions.weight"].shape[0],
        max_target_positions=state["model.decoder.embed_positions.weight"].shape[0],
        pad_token_id=50257,
        bos_token_id=50257,
        eos_token_id=50257,
        decoder_start_token_id=50258,
    )
    try:
        with torch.device("meta"):
            blank = WhisperForConditionalGeneration(config)
    except Exception as error:  # a configuration may be refused by whatever checks it
        raise DataError(f"weights {path} are of sizes that no Whisper has ({error})") from error
    fill(blank.state_dict(), state.items(), str(path))
    return Container(config, state, path)


def read_container(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read every array of a CTranslate2 ``model.bin``.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to ndarray
        Aliases are resolved.

    Raises
    ------
    DataError
        If the file is cut short, of another format, or goes on after its end.
    """
    reader = Cursor(path)
    if not 2 <= reader.number("I") <= 6:
        raise DataError(f"weights {path} are not a CTranslate2 container of version 2 to 6")
    reader.string()
    reader.number("I")
    arrays: dict[str, NDArray[np.generic]] = {}
    for _ in range(reader.number("I")):
        name = reader.string()
        shape = tuple(reader.number("I") for _ in range(reader.number("B")))
        code, size = reader.number("B"), reader.number("I")
        if code not in _TYPES:
            raise DataError(
                f"weights {path}: array {name!r} has type {code}, which is not float32, float16 or an integer"
            )
        if size != math.prod(shape) * _TYPES[code].itemsize or not size:
            raise DataError(f"weights {path} are damaged: array {name!r} has {size} bytes for shape {shape[:8]}")
        if len(shape) > _MOST_AXES:
            raise DataError(f"weights {path} are damaged: array {name!r} has {len(shape)} axes")
        arrays[name] = np.frombuffer(reader.take(size), dtype=_TYPES[code]).reshape(shape)
    for _ in range(reader.number("I")):
        alias, target = reader.string(), reader.string()
        if target not in arrays:
            raise DataError(f"weights {path} are damaged: alias {alias!r} points to no array")
        arrays[alias] = arrays[target]
    if reader.offset != len(reader.data):
        raise DataError(
            f"weights {path} go on for {len(reader.data) - reader.offset} bytes behind their end: fetch them again"
        )
    return arrays


def whisper_state(arrays: dict[str, NDArray[np.generic]], path: Path) -> dict[str, Tensor]:
    """Rename a container's arrays to transformers' ``WhisperForConditionalGeneration``.

    CTranslate2 joins the projections of q, k and v (and of k and v in cross-attention) into one matrix, and gives k a
    bias that Whisper does not have; that bias must be zero.

    Raises
    ------
    DataError
        If an array is missing, an unknown one is left over, or k has a bias.
    """
    left = dict(arrays)

    def tensor(name: str) -> Tensor:
        if name not in left:
            raise DataError(f"weights {path} lack the array {name!r}: they are not a whole Whisper model")
        array = torch.from_numpy(left.pop(name).astype(np.float32))
        refuse_not_finite(name, array, str(path))
        return array

    state: dict[str, Tensor] = {}

    def norm(target: str, source: str) -> None:
        state[f"{target}.weight"], state[f"{target}.bias"] = tensor(f"{source}/gamma"), tensor(f"{source}/beta")

    def linear(target: str, source: str) -> None:
        state[f"{target}.weight"], state[f"{target}.bias"] = tensor(f"{source}/weight"), tensor(f"{source}/bias")

    def joined(target: str, source: str, parts: str) -> None:
        weight, bias = tensor(f"{source}/weight"), tensor(f"{source}/bias")
        if weight.ndim != 2 or bias.ndim != 1 or len(weight) != len(bias) or len(bias) % len(parts):
            raise DataError(
                f"weights {path}: {source} has shapes {tuple(weight.shape)} and {tuple(bias.shape)}, which are no "
                f"{len(parts)} projections"
            )
        weights, biases = weight.chunk(len(parts)), bias.chunk(len(parts))
        for projection, weight, bias in zip(parts, weights, biases, strict=True):
            state[f"{target}.{projection}_proj.weight"] = weight.clone()
            if projection != "k":
                state[f"{target}.{projection}_proj.bias"] = bias.clone()
            elif bias.abs().max() > 0:
                raise DataError(f"weights {path}: {source} gives the keys a bias, which Whisper does not have")

    for convolution in ("conv1", "conv2"):
        linear(f"model.encoder.{convolution}", f"encoder/{convolution}")
    for side in ("encoder", "decoder"):
        state[f"model.{side}.embed_positions.weight"] = tensor(f"{side}/position_encodings/encodings")
        norm(f"model.{side}.layer_norm", f"{side}/layer_norm")
        for index in range(layer_count(arrays, side)):
            source, target = f"{side}/layer_{index}", f"model.{side}.layers.{index}"
            norm(f"{target}.self_attn_layer_norm", f"{source}/self_attention/layer_norm")
            joined(f"{target}.self_attn", f"{source}/self_attention/linear_0", "qkv")
            linear(f"{target}.self_attn.out_proj", f"{source}/self_attention/linear_1")
            if side == "decoder":
                norm(f"{target}.encoder_attn_layer_norm", f"{source}/attention/layer_norm")
                linear(f"{target}.encoder_attn.q_proj", f"{source}/attention/linear_0")
                joined(f"{target}.encoder_attn", f"{source}/attention/linear_1", "kv")
                linear(f"{target}.encoder_attn.out_proj", f"{source}/attention/linear_2")
            norm(f"{target}.final_layer_norm", f"{source}/ffn/layer_norm")
            linear(f"{target}.fc1", f"{source}/ffn/linear_0")
            linear(f"{target}.fc2", f"{source}/ffn/linear_1")
    state["model.decoder.embed_tokens.weight"] = tensor("decoder/embeddings/weight")
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    unread = sorted(
        name for name in left if name.endswith(("weight", "bias", "gamma", "beta", "encodings")) and not _is_tied(name)
    )
    if unread:
        raise DataError(
            f"weights {path} hold {len(unread)} arrays that no part of Whisper takes, such as {unread[0]!r}"
        )
    return state


def _is_tied(name: str) -> bool:
    return name.startswith("decoder/projection/")


def layer_count(arrays: dict[str, NDArray[np.generic]], side: str) -> int:
    """Return how many layers ``encoder`` or ``decoder`` has in a container."""
    prefix = f"{side}/layer_"
    return len(
        {name.split("/")[1] for name in arrays if name.startswith(prefix) and name.split("/")[1] != "layer_norm"}
    )
