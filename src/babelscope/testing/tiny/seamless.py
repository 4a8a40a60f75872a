"""Tiny SeamlessM4T: v2 and v1, as transformers saves them, and as original checkpoints in both dialects.

The original's names are written out here on their own, next to transformers', and not taken from the reader's tables:
so a slip in those tables fails to load.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    _write(folder, SeamlessM4Tv2Model, SeamlessM4Tv2Config, _SMALL_2, seed=2)
    return folder


def version_1(folder: Path) -> Path:
    """Write a tiny SeamlessM4T v1 as transformers saves it; return the folder."""
    _write(folder, SeamlessM4TModel, SeamlessM4TConfig, _SMALL_1, seed=1)
    return folder


def version_2_fairseq2(folder: Path) -> Path:
    """Write the weights of :func:`version_2` as a checkpoint with fairseq2's names; return the ``.pt``."""
    state = _companions(folder, *_drawn(SeamlessM4Tv2Model, SeamlessM4Tv2Config, _SMALL_2, seed=2))
    return _checkpoint(folder / "seamlessM4T_v2_large.pt", _renamed(state, dialect=1))


def version_2_fairseq(folder: Path) -> Path:
    """Write the weights of :func:`version_2` as a checkpoint with fairseq's names; return the ``.pt``."""
    state = _companions(folder, *_drawn(SeamlessM4Tv2Model, SeamlessM4Tv2Config, _SMALL_2, seed=2))
    return _checkpoint(folder / "seamlessM4T_v2_large.pt", _as_fairseq(_renamed(state, dialect=2)))


def version_1_fairseq(folder: Path) -> Path:
    """Write the weights of :func:`version_1` as a checkpoint with fairseq's names; return the ``.pt``."""
    state = _companions(folder, *_drawn(SeamlessM4TModel, SeamlessM4TConfig, _SMALL_1, seed=1))
    return _checkpoint(folder / "multitask_unity_large.pt", _as_fairseq(_renamed(state, dialect=2)))


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


def _drawn(kind: Any, config_kind: Any, small: dict[str, Any], seed: int) -> tuple[Any, SeamlessM4TTokenizer]:
    tokenizer = _tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
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


def _write(folder: Path, kind: Any, config_kind: Any, small: dict[str, Any], seed: int) -> None:
    disable_progress_bar()
    model, tokenizer = _drawn(kind, config_kind, small, seed)
    model.save_pretrained(folder, max_shard_size="250KB")
    tokenizer.save_pretrained(folder)
    SeamlessM4TFeatureExtractor().save_pretrained(folder)


def _companions(folder: Path, model: Any, tokenizer: SeamlessM4TTokenizer) -> dict[str, Tensor]:
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    codes = {"text_decoder_lang_to_code_id": model.generation_config.text_decoder_lang_to_code_id}
    (folder / "generation_config.json").write_text(json.dumps(codes), encoding="utf-8")
    return dict(model.state_dict())


def _checkpoint(path: Path, state: dict[str, Tensor]) -> Path:
    torch.save({"model": {name: tensor.clone() for name, tensor in state.items()}}, path)
    return path


_PAIR = ("weight", "bias")

# One line a module: its path in transformers, in fairseq2, in fairseq; {n} is a layer's number.
_CONFORMER = """
speech_encoder.encoder.layers.{n}. speech_encoder.inner.layers.{n}. encoder.w2v_encoder.w2v_model.encoder.layers.{n}.
ffn1_layer_norm ffn1_layer_norm ffn1.layer_norm
ffn1.intermediate_dense ffn1.inner_proj ffn1.w_1
ffn1.output_dense ffn1.output_proj ffn1.w_2
self_attn_layer_norm self_attn_layer_norm self_attn_layer_norm
conv_module.layer_norm conv_layer_norm conv_module.layer_norm
conv_module.pointwise_conv1 conv.pointwise_conv1 conv_module.pointwise_conv1
conv_module.depthwise_conv conv.depthwise_conv conv_module.depthwise_conv
conv_module.depthwise_layer_norm conv.layer_norm conv_module.layer_norm2
conv_module.batch_norm conv.batch_norm conv_module.batch_norm
conv_module.pointwise_conv2 conv.pointwise_conv2 conv_module.pointwise_conv2
ffn2_layer_norm ffn2_layer_norm ffn2.layer_norm
ffn2.intermediate_dense ffn2.inner_proj ffn2.w_1
ffn2.output_dense ffn2.output_proj ffn2.w_2
final_layer_norm layer_norm final_layer_norm
"""
_ATTENTION_1 = """
self_attn.linear_q self_attn.q_proj self_attn.linear_q
self_attn.linear_k self_attn.k_proj self_attn.linear_k
self_attn.linear_v self_attn.v_proj self_attn.linear_v
self_attn.linear_out self_attn.output_proj self_attn.linear_out
self_attn.linear_pos self_attn.sdpa.r_proj self_attn.linear_pos
self_attn.pos_bias_u self_attn.sdpa.u_bias self_attn.pos_bias_u
self_attn.pos_bias_v self_attn.sdpa.v_bias self_attn.pos_bias_v
"""
_ATTENTION_2 = """
self_attn.linear_q self_attn.q_proj self_attn.q_proj
self_attn.linear_k self_attn.k_proj self_attn.k_proj
self_attn.linear_v self_attn.v_proj self_attn.v_proj
self_attn.linear_out self_attn.output_proj self_attn.out_proj
self_attn.distance_embedding self_attn.sdpa.rel_k_embed self_attn.rel_k_embedding
"""
_ADAPTER = """
speech_encoder.adapter.layers.{n}. speech_encoder.adaptor_layers.{n}. encoder.adaptor.layers.{n}.
residual_layer_norm residual_layer_norm residual_layer_norm
residual_conv residual_conv residual_pool.1
self_attn_layer_norm self_attn_layer_norm self_attn_layer_norm
self_attn_conv self_attn_conv attn_pool.1
self_attn.linear_q self_attn.q_proj self_attn.q_proj
self_attn.linear_k self_attn.k_proj self_attn.k_proj
self_attn.linear_v self_attn.v_proj self_attn.v_proj
self_attn.linear_out self_attn.output_proj self_attn.out_proj
ffn_layer_norm ffn_layer_norm final_layer_norm
ffn.intermediate_dense ffn.inner_proj fc1
ffn.output_dense ffn.output_proj fc2
"""
_ENCODER = """
text_encoder.layers.{n}. text_encoder.layers.{n}. text_encoder.layers.{n}.
self_attn_layer_norm self_attn_layer_norm self_attn_layer_norm
self_attn.q_proj self_attn.q_proj self_attn.q_proj
self_attn.k_proj self_attn.k_proj self_attn.k_proj
self_attn.v_proj self_attn.v_proj self_attn.v_proj
self_attn.out_proj self_attn.output_proj self_attn.out_proj
ffn_layer_norm ffn_layer_norm final_layer_norm
ffn.fc1 ffn.inner_proj fc1
ffn.fc2 ffn.output_proj fc2
"""
_CROSS = """
cross_attention_layer_norm encoder_decoder_attn_layer_norm encoder_attn_layer_norm
cross_attention.q_proj encoder_decoder_attn.q_proj encoder_attn.q_proj
cross_attention.k_proj encoder_decoder_attn.k_proj encoder_attn.k_proj
cross_attention.v_proj encoder_decoder_attn.v_proj encoder_attn.v_proj
cross_attention.out_proj encoder_decoder_attn.output_proj encoder_attn.out_proj
"""
_DECODER = _ENCODER.replace("text_encoder", "text_decoder").replace(
    "text_decoder.layers.{n}.\n", "target_letter_decoder.layers.{n}.\n"
)
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
_SUFFIXES = ("", ".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked")


def _modules() -> Iterator[tuple[str, str, str]]:
    """Yield every module's path in the three namings."""
    for line in _SINGLE.strip().splitlines():
        yield _three(line)
    for table, layers in (
        (_CONFORMER + _ATTENTION_1, _LAYERS),
        (_CONFORMER + _ATTENTION_2, _LAYERS),
        (_ADAPTER, 1),
        (_ENCODER, _LAYERS),
        (_DECODER + _CROSS, _LAYERS),
    ):
        head, *rest = [line for line in table.splitlines() if line]
        for number in range(layers):
            for line in rest:
                ours, new, old = (
                    root.format(n=number) + path for root, path in zip(_three(head), _three(line), strict=True)
                )
                yield ours, new, old


def _three(line: str) -> tuple[str, str, str]:
    ours, new, old = line.split()
    return ours, new, old


def _renamed(state: dict[str, Tensor], dialect: int) -> dict[str, Tensor]:
    """Rename to fairseq2 (dialect 1) or fairseq (2). Of the text-to-unit model one array is kept."""
    left = {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith(("t2u_model.", "vocoder."))
        and not name.endswith(("embed_tokens.weight", "lm_head.weight"))
    }
    embedding = left.pop("shared.weight")
    names = (
        ("final_proj", "text_encoder_frontend.embed", "text_decoder_frontend.embed")
        if dialect == 1
        else (
            "target_letter_decoder.output_projection",
            "text_encoder.embed_tokens",
            "target_letter_decoder.embed_tokens",
        )
    )
    written = {f"{name}.weight": embedding for name in names}
    for module in _modules():
        for suffix in _SUFFIXES:
            if module[0] + suffix in left:
                written[module[dialect] + suffix] = left.pop(module[0] + suffix)
    if left:
        raise AssertionError(f"no original name for {sorted(left)[:5]}")
    unit = "t2u_model.encoder" if dialect == 1 else "synthesizer_encoder"
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
