"""SONAR in small: the converted text encoder, the original one, and speech encoders under both kinds of names.

The original files' names stand here as they are in the released ones, an array a line, and are not derived from the
loader's rules: what reads them is tested against them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import M2M100Config, NllbTokenizer
from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

from babelscope.models.sonar import TEXT_FILE
from babelscope.models.sonar_sides import SonarSpeechEncoder
from babelscope.models.weights.sonar import SpeechSizes

WIDTH = 32
TEXT_LAYERS = 3
TEXT_HEADS = 16  # as released: the original file does not tell
CONFORMER_LAYERS = 2

#: The released files of these languages, and how many layers their poolers have.
SPEECH_FILES: dict[str, tuple[str, int]] = {
    "eng": ("spenc.eng.pt", 3),
    "fra": ("spenc.v3ap.fra.pt", 6),
    "spa": ("spenc.v3ap.spa.pt", 6),
    "ita": ("spenc.v3ap.ita.pt", 6),
    "rus": ("spenc.v5ap.rus.pt", 6),
    "jpn": ("spenc.v5ap.jpn.pt", 6),
}

_LINEAR = ("weight", "bias")

#: One layer of the text encoder: fairseq2's name, transformers' name.
_TEXT_LAYER = {
    "self_attn.q_proj": "self_attn.q_proj",
    "self_attn.k_proj": "self_attn.k_proj",
    "self_attn.v_proj": "self_attn.v_proj",
    "self_attn.output_proj": "self_attn.out_proj",
    "self_attn_layer_norm": "self_attn_layer_norm",
    "ffn.inner_proj": "fc1",
    "ffn.output_proj": "fc2",
    "ffn_layer_norm": "final_layer_norm",
}

#: One conformer layer: fairseq's name, fairseq2's name, transformers' name; with what follows the name.
_CONFORMER_LAYER = (
    ("ffn1.layer_norm", "ffn1_layer_norm", "ffn1_layer_norm", _LINEAR),
    ("ffn1.w_1", "ffn1.inner_proj", "ffn1.intermediate_dense", _LINEAR),
    ("ffn1.w_2", "ffn1.output_proj", "ffn1.output_dense", _LINEAR),
    ("self_attn_layer_norm", "self_attn_layer_norm", "self_attn_layer_norm", _LINEAR),
    ("self_attn.linear_q", "self_attn.q_proj", "self_attn.linear_q", _LINEAR),
    ("self_attn.linear_k", "self_attn.k_proj", "self_attn.linear_k", _LINEAR),
    ("self_attn.linear_v", "self_attn.v_proj", "self_attn.linear_v", _LINEAR),
    ("self_attn.linear_out", "self_attn.output_proj", "self_attn.linear_out", _LINEAR),
    ("self_attn.linear_pos", "self_attn.sdpa.r_proj", "self_attn.linear_pos", ("weight",)),
    ("self_attn.pos_bias_u", "self_attn.sdpa.u_bias", "self_attn.pos_bias_u", ()),
    ("self_attn.pos_bias_v", "self_attn.sdpa.v_bias", "self_attn.pos_bias_v", ()),
    ("conv_module.layer_norm", "conv_layer_norm", "conv_module.layer_norm", _LINEAR),
    ("conv_module.pointwise_conv1", "conv.pointwise_conv1", "conv_module.pointwise_conv1", ("weight",)),
    ("conv_module.depthwise_conv", "conv.depthwise_conv", "conv_module.depthwise_conv", ("weight",)),
    (
        "conv_module.batch_norm",
        "conv.batch_norm",
        "conv_module.batch_norm",
        (*_LINEAR, "running_mean", "running_var", "num_batches_tracked"),
    ),
    ("conv_module.pointwise_conv2", "conv.pointwise_conv2", "conv_module.pointwise_conv2", ("weight",)),
    ("ffn2.layer_norm", "ffn2_layer_norm", "ffn2_layer_norm", _LINEAR),
    ("ffn2.w_1", "ffn2.inner_proj", "ffn2.intermediate_dense", _LINEAR),
    ("ffn2.w_2", "ffn2.output_proj", "ffn2.output_dense", _LINEAR),
    ("final_layer_norm", "layer_norm", "final_layer_norm", _LINEAR),
)

#: One layer of the pooler: fairseq's name (also Bart's), fairseq2's name.
_POOLER_LAYER = {
    "self_attn.q_proj": "self_attn.q_proj",
    "self_attn.k_proj": "self_attn.k_proj",
    "self_attn.v_proj": "self_attn.v_proj",
    "self_attn.out_proj": "self_attn.output_proj",
    "self_attn_layer_norm": "self_attn_layer_norm",
    "encoder_attn.q_proj": "encoder_decoder_attn.q_proj",
    "encoder_attn.k_proj": "encoder_decoder_attn.k_proj",
    "encoder_attn.v_proj": "encoder_decoder_attn.v_proj",
    "encoder_attn.out_proj": "encoder_decoder_attn.output_proj",
    "encoder_attn_layer_norm": "encoder_decoder_attn_layer_norm",
    "fc1": "ffn.inner_proj",
    "fc2": "ffn.output_proj",
    "final_layer_norm": "ffn_layer_norm",
}


def text(folder: Path) -> Path:
    """Write the converted port: config.json, model.safetensors, tokenizer.json.

    Returns
    -------
    Path
        The folder.
    """
    _text_encoder().save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def text_original(folder: Path) -> Path:
    """Write the same encoder as ``sonar_text_encoder.pt``, under fairseq2's names, and the tokenizer next to it.

    Returns
    -------
    Path
        The folder.
    """
    arrays = _text_encoder().state_dict()
    names = {f"layer_norm.{kind}": f"layer_norm.{kind}" for kind in _LINEAR}
    for layer in range(TEXT_LAYERS):
        for original, here in _TEXT_LAYER.items():
            for kind in _LINEAR:
                names[f"encoder.layers.{layer}.{original}.{kind}"] = f"layers.{layer}.{here}.{kind}"
    state = {original: arrays[here].clone() for original, here in names.items()}
    embedding = arrays["embed_tokens.weight"]
    # fairseq2 counts pad, unknown, begin, end; the tokenizer begin, pad, end, unknown.
    begin, pad, end, unknown = embedding[:4]
    state["encoder_frontend.embed.weight"] = torch.cat([torch.stack([pad, unknown, begin, end]), embedding[4:]])
    torch.save({"model": state}, folder / TEXT_FILE)
    _tokenizer().save_pretrained(folder)
    return folder


def speech(folder: Path, languages: Sequence[str] = tuple(SPEECH_FILES)) -> Path:
    """Write speech encoders under fairseq's names, remains of pre-training included, under the released file names.

    Returns
    -------
    Path
        The folder.
    """
    for language in languages:
        file, layers = SPEECH_FILES[language]
        encoder = _speech_encoder(language, layers)
        state = dict(_under(_fairseq_names(layers), encoder.state_dict()))
        state["encoder.w2v_model.mask_emb"] = torch.zeros(WIDTH)
        for ending in ("bias", "weight_g", "weight_v"):
            state[f"encoder.w2v_model.encoder.pos_conv.0.{ending}"] = torch.zeros(WIDTH, 1, 4)
        torch.save({"model": state}, folder / file)
    return folder


def speech_fairseq2(folder: Path, languages: Sequence[str] = tuple(SPEECH_FILES)) -> Path:
    """Write the same speech encoders under fairseq2's names.

    Returns
    -------
    Path
        The folder.
    """
    for language in languages:
        file, layers = SPEECH_FILES[language]
        encoder = _speech_encoder(language, layers)
        torch.save({"model": dict(_under(_fairseq2_names(layers), encoder.state_dict()))}, folder / file)
    return folder


def both(folder: Path) -> Path:
    """Write the converted text encoder and the speech encoders into one folder.

    Returns
    -------
    Path
        The folder.
    """
    return speech(text(folder))


def _under(names: Mapping[str, str], arrays: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    assert sorted(names.values()) == sorted(arrays), "every array has one name"
    return ((original, arrays[here].clone()) for original, here in names.items())


def _fairseq_names(pooler_layers: int) -> dict[str, str]:
    names = {"decoder.embed_tokens.weight": "pooler.query.weight", "decoder.embed_out": "projection_out.weight"}
    for kind in _LINEAR:
        names[f"encoder.w2v_model.layer_norm.{kind}"] = f"feature_projection.layer_norm.{kind}"
        names[f"encoder.w2v_model.post_extract_proj.{kind}"] = f"feature_projection.projection.{kind}"
        names[f"encoder.w2v_model.encoder.layer_norm.{kind}"] = f"encoder.layer_norm.{kind}"
    for layer in range(CONFORMER_LAYERS):
        for original, _, here, parts in _CONFORMER_LAYER:
            for ending in [f".{kind}" for kind in parts] or [""]:
                names[f"encoder.w2v_model.encoder.layers.{layer}.{original}{ending}"] = (
                    f"encoder.layers.{layer}.{here}{ending}"
                )
    for layer in range(pooler_layers):
        for original in _POOLER_LAYER:
            for kind in _LINEAR:
                names[f"decoder.layers.{layer}.{original}.{kind}"] = (
                    f"pooler.layers.{layer - pooler_layers}.{original}.{kind}"
                )
    return names


def _fairseq2_names(pooler_layers: int) -> dict[str, str]:
    names = {
        "encoder_pooler.decoder_frontend.embed.weight": "pooler.query.weight",
        "encoder_pooler.projection_out.weight": "projection_out.weight",
    }
    for kind in _LINEAR:
        names[f"encoder_frontend.post_extract_layer_norm.{kind}"] = f"feature_projection.layer_norm.{kind}"
        names[f"encoder_frontend.model_dim_proj.{kind}"] = f"feature_projection.projection.{kind}"
        names[f"layer_norm.{kind}"] = f"encoder.layer_norm.{kind}"
    for layer in range(CONFORMER_LAYERS):
        for _, original, here, parts in _CONFORMER_LAYER:
            for ending in [f".{kind}" for kind in parts] or [""]:
                names[f"encoder.layers.{layer}.{original}{ending}"] = f"encoder.layers.{layer}.{here}{ending}"
    for layer in range(pooler_layers):
        for here, original in _POOLER_LAYER.items():
            for kind in _LINEAR:
                names[f"encoder_pooler.decoder.layers.{layer}.{original}.{kind}"] = (
                    f"pooler.layers.{layer - pooler_layers}.{here}.{kind}"
                )
    return names


def _text_encoder() -> M2M100Encoder:
    config = M2M100Config(
        vocab_size=len(_tokenizer()) + 2,
        d_model=WIDTH,
        encoder_layers=TEXT_LAYERS,
        encoder_attention_heads=TEXT_HEADS,
        encoder_ffn_dim=48,
        decoder_layers=1,
        max_position_embeddings=1024,
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    encoder = M2M100Encoder(config)
    _draw(encoder, 0)
    return encoder


def _speech_encoder(language: str, pooler_layers: int) -> SonarSpeechEncoder:
    sizes = SpeechSizes(
        features=160,
        width=WIDTH,
        layers=CONFORMER_LAYERS,
        heads=4,
        feed_forward=48,
        kernel=31,
        queries=WIDTH,
        pooler_layers=pooler_layers,
        pooler_feed_forward=40,
    )
    encoder = SonarSpeechEncoder(sizes)
    _draw(encoder, 1 + list(SPEECH_FILES).index(language))
    return encoder


@torch.no_grad()
def _draw(module: nn.Module, seed: int) -> None:
    # The one generator whose stream is promised never to change: what the reference gave for these weights is kept.
    generator = np.random.RandomState(seed)
    for name, tensor in sorted(module.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            tensor.fill_(1000)
            continue
        drawn = torch.from_numpy(generator.standard_normal(tuple(tensor.shape)))
        if name.endswith("running_var"):
            drawn = 0.5 + drawn.abs()
        elif "norm" in name and name.endswith("weight"):
            drawn = 1 + 0.3 * drawn
        elif tensor.ndim < 2 or "pos_bias" in name:
            drawn = 0.3 * drawn
        else:
            drawn = drawn * 1.5 / tensor[0].numel() ** 0.5
        tensor.copy_(drawn)


def _tokenizer() -> NllbTokenizer:
    pieces = ["▁", *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'-", "an", "▁a", "en", "er"]
    vocabulary = {piece: place for place, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces])}
    merges = [("a", "n"), ("▁", "a"), ("e", "n"), ("e", "r")]
    return NllbTokenizer(vocab=vocabulary, merges=merges, extra_special_tokens=list(FAIRSEQ_LANGUAGE_CODES))
