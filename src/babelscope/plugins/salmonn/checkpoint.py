"""SALMONN's released files: what it trained, and the Whisper and Vicuna folders that it stands on.

``salmonn_v1.pth`` (and ``salmonn_7b_v0.pth``) holds under ``model`` what was trained: two norms, the Q-Former, the
projection, and LoRA's arrays; besides, the optimiser's state, which is not read, and buffers that training left behind.
Names on the other side are those of :mod:`babelscope.plugins.salmonn.parts`.

Whisper and Vicuna are folders in transformers' format, in safetensors or as ``pytorch_model.bin``; of Whisper the
decoder is left out, of Vicuna the output layer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from babelscope.errors import DataError
from babelscope.models.weights.accounting import arrays_in, pickled_arrays, refuse, weights_files, with_axes
from babelscope.models.weights.fairseq import Names

#: Modules of a layer of the Q-Former, and LoRA's in a layer of Vicuna; PEFT puts the adapter's name behind them.
_QFORMER = {
    "attention.self": "layer.attention.attention",
    "crossattention.self": "layer.crossattention.attention",
    **{module: f"layer.{module}" for module in ("attention", "crossattention", "intermediate_query", "output_query")},
}
_LORA = {
    f"self_attn.{module}.lora_{half}.default": f"self_attn.{module}.lora_{half}"
    for module in ("q_proj", "v_proj")
    for half in "AB"
}
_TRAINED = Names(
    {
        "speech_query_tokens": "qformer.query",
        "ln_speech.": "fusion.ln_speech.",
        "ln_audio.": "fusion.ln_audio.",
        "speech_Qformer.bert.embeddings.LayerNorm.": "qformer.layernorm.",
        "speech_llama_proj.": "projection.",
    },
    {
        "speech_Qformer.bert.encoder.layer.": ("qformer.layers.", _QFORMER),
        "llama_model.base_model.model.model.layers.": ("language.layers.", _LORA),
    },
)

#: Buffers, and arrays that go by several names, which saving "all but what is frozen" leaves in the file.
_LEFT_BEHIND = re.compile(
    r"speech_Qformer\.bert\.embeddings\.position_ids"
    r"|llama_model\.base_model\.model\.model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
    r"|beats\.encoder\.layers\.\d+\.self_attn\.relative_attention_bias\.weight"
)


@dataclass(frozen=True)
class TrainedCheckpoint:
    """What SALMONN trained: its sizes, and its arrays under the names that they have here.

    Attributes
    ----------
    heard : int
        Width of Whisper's and BEATs's states side by side.
    width, layers, feed_forward : int
        Of the Q-Former.
    rank : int
        Of LoRA.
    state : mapping of str to Tensor
    """

    heard: int
    width: int
    layers: int
    feed_forward: int
    rank: int
    state: Mapping[str, Tensor]


def read_trained(path: Path) -> TrainedCheckpoint:
    """Read ``salmonn_v1.pth``.

    Raises
    ------
    DataError
        If the file is missing, cut short, or holds other arrays than SALMONN's.
    """
    arrays = pickled_arrays(path, "SALMONN")
    wanted = {name: array for name, array in arrays.items() if not _LEFT_BEHIND.fullmatch(name)}
    state, unknown = _TRAINED.rename_all(wanted, path)
    refuse(unknown, path, "SALMONN")
    query = with_axes(state, "qformer.query", 3, path)
    if query.shape[:2] != (1, 1):
        raise DataError(
            f"weights {path}: 'speech_query_tokens' has shape {tuple(query.shape)}; only SALMONN with one query a "
            f"window is known here"
        )
    first = "qformer.layers.0.layer"
    return TrainedCheckpoint(
        heard=with_axes(state, f"{first}.crossattention.attention.key.weight", 2, path).shape[1],
        width=query.shape[2],
        layers=len({name.split(".")[2] for name in state if name.startswith("qformer.layers.")}),
        feed_forward=with_axes(state, f"{first}.intermediate_query.dense.weight", 2, path).shape[0],
        rank=with_axes(state, "language.layers.0.self_attn.q_proj.lora_A.weight", 2, path).shape[0],
        state=state,
    )


def whisper_arrays(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the encoder's arrays of a Whisper folder, under WhisperEncoder's names.

    Raises
    ------
    DataError
        If the folder has no weights, or damaged ones.
    """
    left_out = re.compile(r"(model\.)?decoder\..+|proj_out\.weight")
    yield from _kept(folder, left_out, lambda name: name.removeprefix("model.").removeprefix("encoder."))


def vicuna_arrays(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the arrays of a Vicuna folder, under LlamaModel's names; the output layer is left out.

    Raises
    ------
    DataError
        If the folder has no weights, or damaged ones.
    """
    # older transformers stored the rotary frequencies, which follow from the configuration
    left_out = re.compile(r"lm_head\.weight|(model\.)?layers\.\d+\.self_attn\.rotary_emb\.inv_freq")
    yield from _kept(folder, left_out, lambda name: name.removeprefix("model."))


def _kept(folder: Path, left_out: re.Pattern[str], rename: Callable[[str], str]) -> Iterator[tuple[str, Tensor]]:
    arrays = arrays_in(weights_files(folder, pickled=True), lambda name: not left_out.fullmatch(name))
    yield from ((rename(name), array) for name, array in arrays)
