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

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babelscope.errors import DataError
from babelscope.models.weights.accounting import pickled_arrays, refuse, renamed, with_axes

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
_LEFT_BEHIND = (
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


def read_text(path: Path) -> TextCheckpoint:
    """Read ``sonar_text_encoder.pt``.

    Returns
    -------
    TextCheckpoint
        Its embedding rows are in the order of transformers' NLLB tokenizer.

    Raises
    ------
    DataError
        If the file is missing, damaged or holds more than tensors, or its arrays are not a SONAR text encoder's.
    """
    state, left = renamed(pickled_arrays(path, "SONAR"), _TEXT)
    if "embed_tokens.weight" not in state:
        raise DataError(f"weights {path} lack 'encoder_frontend.embed.weight': they are no text encoder of SONAR")
    refuse(left, path, "the text encoder of SONAR")
    embedding = with_axes(state, "embed_tokens.weight", 2, path)
    rows = torch.arange(embedding.shape[0])
    if len(rows) < len(SPECIAL_ROWS):
        raise DataError(f"weights {path}: {len(rows)} rows are too few for a vocabulary")
    rows[: len(SPECIAL_ROWS)] = torch.tensor(SPECIAL_ROWS)
    width = embedding.shape[1]
    if width % TEXT_HEADS:
        raise DataError(f"weights {path}: width {width} is not a multiple of SONAR's {TEXT_HEADS} heads")
    inner = with_axes(state, "layers.0.fc1.weight", 2, path)
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
        If the file is missing, damaged or holds more than tensors, or its arrays are not a SONAR speech encoder's.
    """
    arrays = pickled_arrays(path, "SONAR")
    fairseq2 = any(name.startswith("encoder_frontend.") for name in arrays)
    state, left = renamed(arrays, _FAIRSEQ2_SPEECH if fairseq2 else _FAIRSEQ_SPEECH, _LEFT_BEHIND)
    if "feature_projection.projection.weight" not in state or "pooler.query.weight" not in state:
        raise DataError(f"weights {path} lack the front end or the pooler: they are no speech encoder of SONAR")
    refuse(left, path, "a speech encoder of SONAR")
    projection = with_axes(state, "feature_projection.projection.weight", 2, path)
    query = with_axes(state, "pooler.query.weight", 2, path)
    if query.shape[0] < 3:
        raise DataError(f"weights {path}: {query.shape[0]} rows of the pooler's embedding; the query is row 2")
    sizes = SpeechSizes(
        features=projection.shape[1],
        width=projection.shape[0],
        layers=_count(state, r"encoder\.layers\.(\d+)\."),
        heads=with_axes(state, "encoder.layers.0.self_attn.pos_bias_u", 2, path).shape[0],
        feed_forward=with_axes(state, "encoder.layers.0.ffn1.intermediate_dense.weight", 2, path).shape[0],
        kernel=with_axes(state, "encoder.layers.0.conv_module.depthwise_conv.weight", 3, path).shape[2],
        queries=query.shape[0],
        pooler_layers=_count(state, r"pooler\.layers\.(\d+)\."),
        pooler_feed_forward=with_axes(state, "pooler.layers.0.fc1.weight", 2, path).shape[0],
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


def _count(state: Mapping[str, Any], pattern: str) -> int:
    return len({match.group(1) for name in state if (match := re.match(pattern, name))})
