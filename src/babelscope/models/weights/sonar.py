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
from babelscope.models.weights.accounting import pickled_arrays, refuse, with_axes
from babelscope.models.weights.fairseq import BART, CONFORMER, FAIRSEQ_CONFORMER, Names

#: Attention heads of the text encoder as released: no array's shape tells them.
TEXT_HEADS = 16

#: Row of each special token in transformers' order (begin, pad, end, unknown), in fairseq2's order.
SPECIAL_ROWS = (2, 0, 3, 1)

_TEXT = Names(
    {"encoder_frontend.embed.": "embed_tokens.", "layer_norm.": "layer_norm."}, {"encoder.layers.": ("layers.", BART)}
)
_FAIRSEQ_SPEECH = Names(
    {
        "encoder.w2v_model.layer_norm.": "feature_projection.layer_norm.",
        "encoder.w2v_model.post_extract_proj.": "feature_projection.projection.",
        "encoder.w2v_model.encoder.layer_norm.": "encoder.layer_norm.",
        "decoder.embed_tokens.": "pooler.query.",
        "decoder.embed_out": "projection_out.weight",
    },
    {
        "encoder.w2v_model.encoder.layers.": ("encoder.layers.", FAIRSEQ_CONFORMER),
        "decoder.layers.": ("pooler.layers.", {}),
    },
)
_FAIRSEQ2_SPEECH = Names(
    {
        "encoder_frontend.post_extract_layer_norm.": "feature_projection.layer_norm.",
        "encoder_frontend.model_dim_proj.": "feature_projection.projection.",
        "layer_norm.": "encoder.layer_norm.",
        "encoder_pooler.decoder_frontend.embed.": "pooler.query.",
        "encoder_pooler.projection_out.": "projection_out.",
    },
    {
        "encoder.layers.": ("encoder.layers.", CONFORMER),
        "encoder_pooler.decoder.layers.": ("pooler.layers.", BART),
    },
)

#: What pre-training and fairseq's bookkeeping left behind and SONAR's own loader drops.
_LEFT_BEHIND = re.compile(
    r"encoder\.w2v_model\.mask_emb"
    r"|encoder\.w2v_model\.encoder\.pos_conv\..+"
    r"|(encoder|decoder)\.version"
    r"|(encoder|decoder)\.embed_positions\._float_tensor"
)


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


def read_text(path: Path) -> tuple[dict[str, int], dict[str, Tensor]]:
    """Read ``sonar_text_encoder.pt``.

    Returns
    -------
    sizes : dict of str to int
        As M2M100's configuration names them.
    state : dict of str to Tensor
        Under M2M100Encoder's names, the embedding's rows in the order of transformers' NLLB tokenizer.

    Raises
    ------
    DataError
        If the file is missing, damaged or holds more than tensors, or its arrays are not a SONAR text encoder's.
    """
    state, unknown = _TEXT.rename_all(pickled_arrays(path, "SONAR"), path)
    if "embed_tokens.weight" not in state:
        raise DataError(f"weights {path} lack 'encoder_frontend.embed.weight': they are no text encoder of SONAR")
    refuse(unknown, path, "the text encoder of SONAR")
    embedding = with_axes(state, "embed_tokens.weight", 2, path)
    rows = torch.arange(len(embedding))
    if len(rows) < len(SPECIAL_ROWS):
        raise DataError(f"weights {path}: {len(rows)} rows are too few for a vocabulary")
    rows[: len(SPECIAL_ROWS)] = torch.tensor(SPECIAL_ROWS)
    sizes = {
        "vocab_size": len(embedding),
        "d_model": embedding.shape[1],
        "encoder_layers": _count(state, r"layers\.(\d+)\."),
        "encoder_ffn_dim": len(with_axes(state, "layers.0.fc1.weight", 2, path)),
    }
    if sizes["d_model"] % TEXT_HEADS:
        raise DataError(f"weights {path}: width {sizes['d_model']} is not a multiple of SONAR's {TEXT_HEADS} heads")
    return sizes, state | {"embed_tokens.weight": embedding[rows]}


def read_speech(path: Path) -> tuple[SpeechSizes, dict[str, Tensor]]:
    """Read one language's speech encoder, ``spenc.v3ap.fra.pt`` or the like, under either kind of names.

    Returns
    -------
    sizes : SpeechSizes
    state : dict of str to Tensor
        Under SonarSpeechEncoder's names: its pooler's layers are counted from the end, "-1" being the last.

    Raises
    ------
    DataError
        If the file is missing, damaged or holds more than tensors, or its arrays are not a SONAR speech encoder's.
    """
    arrays = pickled_arrays(path, "SONAR")
    fairseq2 = any(name.startswith("encoder_frontend.") for name in arrays)
    state, unknown = (_FAIRSEQ2_SPEECH if fairseq2 else _FAIRSEQ_SPEECH).rename_all(arrays, path)
    if "feature_projection.projection.weight" not in state or "pooler.query.weight" not in state:
        raise DataError(f"weights {path} lack the front end or the pooler: they are no speech encoder of SONAR")
    refuse([name for name in unknown if not _LEFT_BEHIND.fullmatch(name)], path, "a speech encoder of SONAR")
    width, features = with_axes(state, "feature_projection.projection.weight", 2, path).shape
    queries = len(with_axes(state, "pooler.query.weight", 2, path))
    if queries < 3:
        raise DataError(f"weights {path}: {queries} rows of the pooler's embedding; the query is row 2")
    layer, pooler = "encoder.layers.0.", "pooler.layers."
    sizes = SpeechSizes(
        features=features,
        width=width,
        layers=_count(state, r"encoder\.layers\.(\d+)\."),
        heads=len(with_axes(state, f"{layer}self_attn.pos_bias_u", 2, path)),
        feed_forward=len(with_axes(state, f"{layer}ffn1.intermediate_dense.weight", 2, path)),
        kernel=with_axes(state, f"{layer}conv_module.depthwise_conv.weight", 3, path).shape[2],
        queries=queries,
        pooler_layers=_count(state, r"pooler\.layers\.(\d+)\."),
        pooler_feed_forward=len(with_axes(state, f"{pooler}0.fc1.weight", 2, path)),
    )
    if sizes.width % sizes.heads or sizes.kernel % 2 == 0:
        raise DataError(
            f"weights {path}: width {sizes.width}, {sizes.heads} heads and a kernel of {sizes.kernel} do not fit "
            f"together: they are no speech encoder of SONAR"
        )

    def from_the_end(layer: re.Match[str]) -> str:
        return f"{pooler}{int(layer[1]) - sizes.pooler_layers}."

    return sizes, {re.sub(r"^pooler\.layers\.(\d+)\.", from_the_end, name): array for name, array in state.items()}


def _count(state: Mapping[str, Any], pattern: str) -> int:
    return len({match.group(1) for name in state if (match := re.match(pattern, name))})
