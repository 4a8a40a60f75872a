"""SONAR's original checkpoints: PyTorch files whose ``model`` entry holds tensors under fairseq's or fairseq2's names.

The text encoder was released under fairseq2's names, with fairseq2's order of the four special rows (pad, unknown,
begin, end), where the NLLB tokenizer of transformers counts begin, pad, end, unknown. The speech encoders were released
under fairseq's names, with remains of pre-training that nothing uses (``mask_emb``, ``pos_conv``); files that fairseq2
wrote are read too. The names on the other side are those of transformers' M2M100, SeamlessM4T v1 and Bart modules.

Files are read with ``weights_only``: tensors in plain containers, and nothing that they say is run.

Source of the names: SONAR's own converters (``sonar/models/sonar_text/handler.py``,
``sonar/models/sonar_speech/handler.py``).
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babelscope.errors import DataError

#: Attention heads of the text encoder as released: no array's shape tells them.
TEXT_HEADS = 16

#: Row of each special token in transformers' order (begin, pad, end, unknown), in fairseq2's order.
SPECIAL_ROWS = (2, 0, 3, 1)

_TEXT = (
    (r"encoder_frontend\.embed\.weight", r"embed_tokens.weight"),
    (r"layer_norm\.(weight|bias)", r"layer_norm.\1"),
    (r"encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)", r"layers.\1.self_attn.\2_proj.\3"),
    (r"encoder\.layers\.(\d+)\.self_attn\.output_proj\.(weight|bias)", r"layers.\1.self_attn.out_proj.\2"),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.(weight|bias)", r"layers.\1.self_attn_layer_norm.\2"),
    (r"encoder\.layers\.(\d+)\.ffn\.inner_proj\.(weight|bias)", r"layers.\1.fc1.\2"),
    (r"encoder\.layers\.(\d+)\.ffn\.output_proj\.(weight|bias)", r"layers.\1.fc2.\2"),
    (r"encoder\.layers\.(\d+)\.ffn_layer_norm\.(weight|bias)", r"layers.\1.final_layer_norm.\2"),
)

_FAIRSEQ_SPEECH = (
    (r"encoder\.w2v_model\.layer_norm\.(.+)", r"feature_projection.layer_norm.\1"),
    (r"encoder\.w2v_model\.post_extract_proj\.(.+)", r"feature_projection.projection.\1"),
    (r"encoder\.w2v_model\.encoder\.(layers\.\d+\.ffn[12])\.layer_norm\.(.+)", r"encoder.\1_layer_norm.\2"),
    (r"encoder\.w2v_model\.encoder\.(layers\.\d+\.ffn[12])\.w_1\.(.+)", r"encoder.\1.intermediate_dense.\2"),
    (r"encoder\.w2v_model\.encoder\.(layers\.\d+\.ffn[12])\.w_2\.(.+)", r"encoder.\1.output_dense.\2"),
    (r"encoder\.w2v_model\.encoder\.(layers\.\d+\..+)", r"encoder.\1"),
    (r"encoder\.w2v_model\.encoder\.layer_norm\.(.+)", r"encoder.layer_norm.\1"),
    (r"decoder\.layers\.(.+)", r"pooler.layers.\1"),
    (r"decoder\.embed_tokens\.weight", r"pooler.query.weight"),
    (r"decoder\.embed_out", r"projection_out.weight"),
)

_FAIRSEQ2_SPEECH = (
    (r"encoder_frontend\.post_extract_layer_norm\.(.+)", r"feature_projection.layer_norm.\1"),
    (r"encoder_frontend\.model_dim_proj\.(.+)", r"feature_projection.projection.\1"),
    (r"encoder\.(layers\.\d+)\.conv_layer_norm\.(.+)", r"encoder.\1.conv_module.layer_norm.\2"),
    (r"encoder\.(layers\.\d+)\.conv\.(.+)", r"encoder.\1.conv_module.\2"),
    (r"encoder\.(layers\.\d+\.ffn[12])_layer_norm\.(.+)", r"encoder.\1_layer_norm.\2"),
    (r"encoder\.(layers\.\d+\.ffn[12])\.inner_proj\.(.+)", r"encoder.\1.intermediate_dense.\2"),
    (r"encoder\.(layers\.\d+\.ffn[12])\.output_proj\.(.+)", r"encoder.\1.output_dense.\2"),
    (r"encoder\.(layers\.\d+\.self_attn_layer_norm\..+)", r"encoder.\1"),
    (r"encoder\.(layers\.\d+\.self_attn)\.([qkv])_proj\.(.+)", r"encoder.\1.linear_\2.\3"),
    (r"encoder\.(layers\.\d+\.self_attn)\.output_proj\.(.+)", r"encoder.\1.linear_out.\2"),
    (r"encoder\.(layers\.\d+\.self_attn)\.sdpa\.r_proj\.(.+)", r"encoder.\1.linear_pos.\2"),
    (r"encoder\.(layers\.\d+\.self_attn)\.sdpa\.([uv])_bias", r"encoder.\1.pos_bias_\2"),
    (r"encoder\.(layers\.\d+)\.layer_norm\.(.+)", r"encoder.\1.final_layer_norm.\2"),
    (r"layer_norm\.(.+)", r"encoder.layer_norm.\1"),
    (r"encoder_pooler\.decoder\.(layers\.\d+\.self_attn_layer_norm\..+)", r"pooler.\1"),
    (r"encoder_pooler\.decoder\.(layers\.\d+)\.encoder_decoder_attn_layer_norm\.(.+)",
     r"pooler.\1.encoder_attn_layer_norm.\2"),
    (r"encoder_pooler\.decoder\.(layers\.\d+)\.encoder_decoder_attn\.output_proj\.(.+)",
     r"pooler.\1.encoder_attn.out_proj.\2"),
    (r"encoder_pooler\.decoder\.(layers\.\d+)\.encoder_decoder_attn\.(.+)", r"pooler.\1.encoder_attn.\2"),
    (r"encoder_pooler\.decoder\.(layers\.\d+\.self_attn)\.output_proj\.(.+)", r"pooler.\1.out_proj.\2"),
    (r"encoder_pooler\.decoder\.(layers\.\d+\.self_attn\..+)", r"pooler.\1"),
    (r"encoder_pooler\.decoder\.(layers\.\d+)\.ffn\.inner_proj\.(.+)", r"pooler.\1.fc1.\2"),
    (r"encoder_pooler\.decoder\.(layers\.\d+)\.ffn\.output_proj\.(.+)", r"pooler.\1.fc2.\2"),
    (r"encoder_pooler\.decoder\.(layers\.\d+)\.ffn_layer_norm\.(.+)", r"pooler.\1.final_layer_norm.\2"),
    (r"encoder_pooler\.decoder_frontend\.embed\.weight", r"pooler.query.weight"),
    (r"encoder_pooler\.projection_out\.weight", r"projection_out.weight"),
)  # fmt: skip

#: What pre-training and fairseq's bookkeeping left behind and SONAR's own loader drops.
_LEFT_BEHIND = re.compile(
    r"encoder\.w2v_model\.mask_emb"
    r"|encoder\.w2v_model\.encoder\.pos_conv\..+"
    r"|(encoder|decoder)\.version"
    r"|(encoder|decoder)\.embed_positions\._float_tensor"
)


@dataclass(frozen=True)
class TextCheckpoint:
    """A text encoder: its sizes, and its arrays under M2M100Encoder's names, rows in the tokenizer's order."""

    vocabulary: int
    width: int
    layers: int
    feed_forward: int
    heads: int
    state: Mapping[str, Tensor]


@dataclass(frozen=True)
class SpeechSizes:
    """The sizes of a speech encoder, from its arrays' shapes."""

    features: int
    width: int
    layers: int
    heads: int
    feed_forward: int
    kernel: int
    queries: int
    pooler_layers: int
    pooler_feed_forward: int


@dataclass(frozen=True)
class SpeechCheckpoint:
    """A speech encoder: its sizes, its arrays under the names of SonarSpeechEncoder, and whose names the file bears."""

    sizes: SpeechSizes
    names: str
    state: Mapping[str, Tensor]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the ``model`` entry of a PyTorch file: tensors by name, mapped from the disk where the format allows it.

    Raises
    ------
    DataError
        If the file is missing, cut short, holds anything but tensors in plain containers, or has no ``model``.
    """
    if not path.is_file():
        raise DataError(f"weights: there is no file {path}")
    try:
        try:
            held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            held = torch.load(path, map_location="cpu", weights_only=True)  # the format from before PyTorch 1.6
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error):
            raise DataError(f"weights {path} are cut short or no PyTorch file: fetch them again") from error
        named = re.search(r"GLOBAL (\S+)", str(error))
        raise DataError(
            f"weights {path} hold {named.group(1) if named else 'objects'} besides tensors, and to read that would "
            f"run code from the file: save its 'model' entry alone"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = str(error).split("\n", 1)[0]
        raise DataError(f"weights {path} are cut short or damaged ({reason}): fetch them again") from error
    model = held.get("model") if isinstance(held, dict) else None
    if not isinstance(model, dict):
        found = ", ".join(sorted(map(str, held))[:5]) if isinstance(held, dict) else type(held).__name__
        raise DataError(f"weights {path} have no entry 'model' (found: {found}): they are no checkpoint of SONAR")
    strange = [str(name) for name, value in model.items() if not isinstance(value, Tensor)]
    if strange:
        raise DataError(f"weights {path}: {strange[0]!r} under 'model' is no tensor: they are no checkpoint of SONAR")
    return {str(name): value for name, value in model.items()}


def read_text(path: Path) -> TextCheckpoint:
    """Read ``sonar_text_encoder.pt``.

    Returns
    -------
    TextCheckpoint
        Its embedding rows are in the order of transformers' NLLB tokenizer.

    Raises
    ------
    DataError
        As :func:`read_checkpoint`; or if the arrays are not those of a SONAR text encoder.
    """
    state, left = _renamed(read_checkpoint(path), _TEXT)
    if "embed_tokens.weight" not in state:
        raise DataError(f"weights {path} lack 'encoder_frontend.embed.weight': they are no text encoder of SONAR")
    _refuse(left, path)
    embedding = _axes(state, "embed_tokens.weight", 2, path)
    rows = torch.arange(embedding.shape[0])
    if len(rows) < len(SPECIAL_ROWS):
        raise DataError(f"weights {path}: {len(rows)} rows are too few for a vocabulary")
    rows[: len(SPECIAL_ROWS)] = torch.tensor(SPECIAL_ROWS)
    width = embedding.shape[1]
    if width % TEXT_HEADS:
        raise DataError(f"weights {path}: width {width} is not a multiple of SONAR's {TEXT_HEADS} heads")
    inner = _axes(state, "layers.0.fc1.weight", 2, path)
    return TextCheckpoint(
        vocabulary=embedding.shape[0],
        width=width,
        layers=_count(state, r"layers\.(\d+)\."),
        feed_forward=inner.shape[0],
        heads=TEXT_HEADS,
        state=state | {"embed_tokens.weight": embedding[rows]},
    )


def read_speech(path: Path) -> SpeechCheckpoint:
    """Read one language's speech encoder, ``spenc.v3ap.fra.pt`` or the like, under either kind of names.

    Returns
    -------
    SpeechCheckpoint
        Its pooler's layers are counted from the end, "-1" being the last.

    Raises
    ------
    DataError
        As :func:`read_checkpoint`; or if the arrays are not those of a SONAR speech encoder.
    """
    held = read_checkpoint(path)
    fairseq2 = any(name.startswith("encoder_frontend.") for name in held)
    state, left = _renamed(held, _FAIRSEQ2_SPEECH if fairseq2 else _FAIRSEQ_SPEECH)
    if "feature_projection.projection.weight" not in state or "pooler.query.weight" not in state:
        raise DataError(f"weights {path} lack the front end or the pooler: they are no speech encoder of SONAR")
    _refuse([name for name in left if not _LEFT_BEHIND.fullmatch(name)], path)
    projection = _axes(state, "feature_projection.projection.weight", 2, path)
    query = _axes(state, "pooler.query.weight", 2, path)
    if query.shape[0] < 3:
        raise DataError(f"weights {path}: {query.shape[0]} rows of the pooler's embedding; the query is row 2")
    sizes = SpeechSizes(
        features=projection.shape[1],
        width=projection.shape[0],
        layers=_count(state, r"encoder\.layers\.(\d+)\."),
        heads=_axes(state, "encoder.layers.0.self_attn.pos_bias_u", 2, path).shape[0],
        feed_forward=_axes(state, "encoder.layers.0.ffn1.intermediate_dense.weight", 2, path).shape[0],
        kernel=_axes(state, "encoder.layers.0.conv_module.depthwise_conv.weight", 3, path).shape[2],
        queries=query.shape[0],
        pooler_layers=_count(state, r"pooler\.layers\.(\d+)\."),
        pooler_feed_forward=_axes(state, "pooler.layers.0.fc1.weight", 2, path).shape[0],
    )
    if sizes.width % sizes.heads or sizes.kernel % 2 == 0:
        raise DataError(
            f"weights {path}: width {sizes.width}, {sizes.heads} heads and a kernel of {sizes.kernel} do not fit "
            f"together: they are no speech encoder of SONAR"
        )
    from_the_end = re.compile(r"pooler\.layers\.(\d+)\.(.+)")
    counted = {
        f"pooler.layers.{int(match[1]) - sizes.pooler_layers}.{match[2]}"
        if (match := from_the_end.fullmatch(name))
        else name: tensor
        for name, tensor in state.items()
    }
    return SpeechCheckpoint(sizes, "fairseq2" if fairseq2 else "fairseq", counted)


def account(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path | str) -> None:
    """Compare the arrays that were read with those that the model needs, by name and shape.

    Parameters
    ----------
    state, expected : mapping of str to Tensor
        `expected` may be on the ``meta`` device: only shapes count.
    path : Path or str
        For the complaint.

    Raises
    ------
    DataError
        If an array is missing, unexpected, or of another shape.
    """
    # An old BatchNorm has no count of batches, which matters in training alone.
    missing = sorted(name for name in expected.keys() - state.keys() if not name.endswith("num_batches_tracked"))
    if missing:
        raise DataError(f"weights {path} lack {len(missing)} arrays of the model, such as {missing[0]!r}")
    _refuse(sorted(state.keys() - expected.keys()), path)
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise DataError(
                f"weights {path}: {name!r} has the shape {tuple(tensor.shape)} where {tuple(expected[name].shape)} "
                f"fits the rest"
            )


def _refuse(unexpected: Sequence[str], path: Path | str) -> None:
    if unexpected:
        raise DataError(
            f"weights {path} hold {len(unexpected)} arrays that no SONAR encoder has: "
            f"{', '.join(map(repr, unexpected[:5]))}{', …' if len(unexpected) > 5 else ''}"
        )


def _renamed(held: Mapping[str, Tensor], rules: Sequence[tuple[str, str]]) -> tuple[dict[str, Tensor], list[str]]:
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    state: dict[str, Tensor] = {}
    left: list[str] = []
    for name, tensor in held.items():
        matches = (match.expand(new) for pattern, new in compiled if (match := pattern.fullmatch(name)))
        renamed = next(matches, None)
        if renamed is None or renamed in state:
            left.append(name)
        else:
            state[renamed] = tensor
    return state, left


def _axes(state: Mapping[str, Tensor], name: str, axes: int, path: Path) -> Tensor:
    if name not in state:
        raise DataError(f"weights {path} lack the array that becomes {name!r}: they are not complete")
    if state[name].ndim != axes or 0 in state[name].shape:
        raise DataError(f"weights {path}: {name!r} has the shape {tuple(state[name].shape)}, not {axes} axes")
    return state[name]


def _count(state: Mapping[str, Any], pattern: str) -> int:
    return len({match.group(1) for name in state if (match := re.match(pattern, name))})
