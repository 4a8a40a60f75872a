"""Tiny SeamlessM4T: v2 and v1, as transformers saves them, and as original checkpoints in both dialects.

The original's names are not taken from the reader's tables, but from those that tiny models have of their own
(:mod:`~babelscope.testing.tiny.fairseq_names`).
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import (
    SeamlessM4TConfig,
    SeamlessM4TFeatureExtractor,
    SeamlessM4TModel,
    SeamlessM4TTokenizer,
    SeamlessM4Tv2Config,
    SeamlessM4Tv2Model,
)
from transformers.utils.logging import disable_progress_bar

from babelscope.testing.tiny.fairseq_names import ADAPTER, CONFORMER, CROSS, TRANSFORMER, in_layers, lines, under

#: The languages that a tiny model knows as text.
LANGUAGES = ("arb", "cmn", "deu", "eng", "fra", "rus", "spa", "swh")

_WIDTH = 16
_LAYERS = 2

_SMALL: dict[str, Any] = {
    "hidden_size": _WIDTH,
    "encoder_layers": _LAYERS,
    "decoder_layers": _LAYERS,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "max_position_embeddings": 64,
    "speech_encoder_layers": _LAYERS,
    "speech_encoder_attention_heads": 2,
    "speech_encoder_intermediate_size": 24,
    "conv_depthwise_kernel_size": 7,
    "t2u_vocab_size": 20,
    "t2u_encoder_layers": 1,
    "t2u_decoder_layers": 1,
    "t2u_encoder_ffn_dim": 16,
    "t2u_decoder_ffn_dim": 16,
    "t2u_encoder_attention_heads": 2,
    "t2u_decoder_attention_heads": 2,
    "t2u_max_position_embeddings": 32,
    "upsample_initial_channel": 32,
    "unit_hifi_gan_vocab_size": 20,
    "unit_embed_dim": 8,
    "lang_embed_dim": 8,
    "spkr_embed_dim": 8,
    "vocoder_num_langs": 3,
    "vocoder_num_spkrs": 2,
}
_SMALL_2: dict[str, Any] = {
    "char_vocab_size": 20,
    "t2u_variance_predictor_embed_dim": _WIDTH,
    "t2u_variance_predictor_hidden_dim": 8,
    "left_max_position_embeddings": 6,
    "right_max_position_embeddings": 3,
}
_SMALL_1: dict[str, Any] = {"unit_vocab_size": 20, "max_source_positions": 64}


def version_2(folder: Path) -> Path:
    """Write a tiny SeamlessM4T v2 as transformers saves it; return the folder."""
    return _write(folder, SeamlessM4Tv2Model, SeamlessM4Tv2Config, _SMALL_2)


def version_1(folder: Path) -> Path:
    """Write a tiny SeamlessM4T v1 as transformers saves it; return the folder."""
    return _write(folder, SeamlessM4TModel, SeamlessM4TConfig, _SMALL_1)


def version_2_fairseq2(folder: Path) -> Path:
    """Write the weights of :func:`version_2` as a checkpoint with fairseq2's names; return the ``.pt``."""
    return _checkpoint(folder, "seamlessM4T_v2_large.pt", "fairseq2", SeamlessM4Tv2Model, SeamlessM4Tv2Config, _SMALL_2)


def version_2_fairseq(folder: Path) -> Path:
    """Write the weights of :func:`version_2` as a checkpoint with fairseq's names; return the ``.pt``."""
    return _checkpoint(folder, "seamlessM4T_v2_large.pt", "fairseq", SeamlessM4Tv2Model, SeamlessM4Tv2Config, _SMALL_2)


def version_1_fairseq(folder: Path) -> Path:
    """Write the weights of :func:`version_1` as a checkpoint with fairseq's names; return the ``.pt``."""
    return _checkpoint(folder, "multitask_unity_large.pt", "fairseq", SeamlessM4TModel, SeamlessM4TConfig, _SMALL_1)


def _tokenizer() -> SeamlessM4TTokenizer:
    letters = "abcdefghijklmnopqrstuvwxyzäöüéñабвгдежзийклмнопрстуфхцчшщыьэюя中文字。.,!?'-0123456789"
    merges = [("t", "h"), ("th", "e"), ("i", "n"), ("▁", "a"), ("e", "r"), ("▁", "the")]
    pieces = ["<pad>", "<unk>", "<s>", "</s>", "▁", *letters, *("".join(merge) for merge in merges)]
    return SeamlessM4TTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=merges,
        src_lang="eng",
        tgt_lang="eng",
        extra_special_tokens=[f"__{language}__" for language in LANGUAGES],
    )


def _drawn(kind: Any, config_kind: Any, small: dict[str, Any]) -> tuple[Any, SeamlessM4TTokenizer]:
    tokenizer = _tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1 if kind is SeamlessM4TModel else 2)
        model = kind(config_kind(vocab_size=len(tokenizer), **_SMALL, **small)).eval()
        for name, tensor in model.state_dict().items():
            _draw(name, tensor)
    codes = {language: tokenizer.convert_tokens_to_ids(f"__{language}__") for language in LANGUAGES}
    model.generation_config.text_decoder_lang_to_code_id = codes
    return model, tokenizer


@torch.no_grad()
def _draw(name: str, tensor: Tensor) -> None:
    """Draw an array so wide that nothing is small by chance: norms are not 1, biases not 0, embeddings not 0."""
    if not tensor.is_floating_point():
        return
    if name.endswith("running_var"):
        tensor.copy_(torch.rand_like(tensor) + 0.5)
    elif "norm" in name and name.endswith("weight"):
        tensor.copy_(1 + 0.3 * torch.randn_like(tensor))
    elif name.endswith(("bias", "running_mean", "pos_bias_u", "pos_bias_v")):
        tensor.copy_(0.3 * torch.randn_like(tensor))
    elif name.endswith(("shared.weight", "embed_tokens.weight", "lm_head.weight")):
        tensor.copy_(0.5 * torch.randn_like(tensor))
    else:
        fan = tensor[0].numel() if tensor.ndim > 1 else tensor.numel()
        tensor.copy_(1.5 * torch.randn_like(tensor) / max(fan, 1) ** 0.5)


def _write(folder: Path, kind: Any, config_kind: Any, small: dict[str, Any]) -> Path:
    disable_progress_bar()
    model, tokenizer = _drawn(kind, config_kind, small)
    model.save_pretrained(folder, max_shard_size="250KB")
    tokenizer.save_pretrained(folder)
    SeamlessM4TFeatureExtractor().save_pretrained(folder)
    return folder


def _checkpoint(
    folder: Path, file: str, naming: Literal["fairseq", "fairseq2"], kind: Any, config_kind: Any, small: dict[str, Any]
) -> Path:
    model, tokenizer = _drawn(kind, config_kind, small)
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    codes = {"text_decoder_lang_to_code_id": model.generation_config.text_decoder_lang_to_code_id}
    (folder / "generation_config.json").write_text(json.dumps(codes), encoding="utf-8")
    state = _renamed(dict(model.state_dict()), naming)
    state = _as_fairseq(state) if naming == "fairseq" else state
    torch.save({"model": {name: tensor.clone() for name, tensor in state.items()}}, folder / file)
    return folder / file


_SINGLE = """
speech_encoder.feature_projection.layer_norm speech_encoder_frontend.post_extract_layer_norm \
encoder.w2v_encoder.w2v_model.layer_norm
speech_encoder.feature_projection.projection speech_encoder_frontend.model_dim_proj \
encoder.w2v_encoder.w2v_model.post_extract_proj
speech_encoder.encoder.layer_norm speech_encoder.inner_layer_norm encoder.w2v_encoder.w2v_model.encoder.layer_norm
speech_encoder.intermediate_ffn.intermediate_dense speech_encoder.proj1 encoder.adaptor.proj.0
speech_encoder.intermediate_ffn.output_dense speech_encoder.proj2 encoder.adaptor.proj.2
speech_encoder.inner_layer_norm speech_encoder.layer_norm encoder.adaptor.out_ln
text_encoder.layer_norm text_encoder.layer_norm text_encoder.layer_norm
text_decoder.layer_norm text_decoder.layer_norm target_letter_decoder.layer_norm
"""

#: A layer's path: transformers, fairseq2, fairseq.
_STACKS = (
    (
        "speech_encoder.encoder.layers.{n}. speech_encoder.inner.layers.{n}. "
        "encoder.w2v_encoder.w2v_model.encoder.layers.{n}.",
        CONFORMER,
        _LAYERS,
    ),
    ("speech_encoder.adapter.layers.{n}. speech_encoder.adaptor_layers.{n}. encoder.adaptor.layers.{n}.", ADAPTER, 1),
    ("text_encoder.layers.{n}. text_encoder.layers.{n}. text_encoder.layers.{n}.", TRANSFORMER, _LAYERS),
    (
        "text_decoder.layers.{n}. text_decoder.layers.{n}. target_letter_decoder.layers.{n}.",
        TRANSFORMER + CROSS,
        _LAYERS,
    ),
)


def _renamed(state: dict[str, Tensor], naming: Literal["fairseq", "fairseq2"]) -> dict[str, Tensor]:
    """Rename arrays as an original checkpoint does. Of the text-to-unit model one array is kept."""
    starts, ends = ("t2u_model.", "vocoder."), ("embed_tokens.weight", "lm_head.weight")
    left = {name: array for name, array in state.items() if not (name.startswith(starts) or name.endswith(ends))}
    embedding = left.pop("shared.weight")
    names, unit = ("final_proj", "text_encoder_frontend.embed", "text_decoder_frontend.embed"), "t2u_model.encoder"
    if naming == "fairseq":
        decoder, unit = "target_letter_decoder", "synthesizer_encoder"
        names = (f"{decoder}.output_projection", "text_encoder.embed_tokens", f"{decoder}.embed_tokens")
    stacks = (in_layers(roots, table, range(layers)) for roots, table, layers in _STACKS)
    written = {f"{name}.weight": embedding for name in names}
    written |= under(naming, (*lines(_SINGLE), *itertools.chain(*stacks)), left)
    written[f"{unit}.layers.0.self_attn.k_proj.weight"] = torch.zeros(2, 2)
    return written


def _as_fairseq(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give fairseq's order of the first rows, its dummy row, and the remains of its training."""
    embedding = state["target_letter_decoder.output_projection.weight"]
    pad, unknown, begin, end = embedding[:4]
    old = torch.cat([torch.stack([begin, pad, end, unknown]), embedding[4:], torch.zeros(1, embedding.shape[1])])
    for name in [name for name, tensor in state.items() if tensor is embedding]:
        state[name] = old
    return state | {
        "encoder.w2v_encoder.w2v_model.mask_emb": torch.zeros(_WIDTH),
        "target_letter_decoder.version": torch.tensor([3.0]),
        "target_letter_decoder.embed_positions._float_tensor": torch.zeros(1),
        "text_encoder.version": torch.tensor([3.0]),
        "text_encoder.embed_positions._float_tensor": torch.zeros(1),
    }
