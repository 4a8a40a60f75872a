"""SONAR in small: the converted text encoder, the original one, and speech encoders under both kinds of names.

The original files' names are not derived from the loader's rules (:mod:`~babelscope.testing.tiny.fairseq_names`): what
reads them is tested against them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn
from transformers import M2M100Config, NllbTokenizer
from transformers.models.m2m_100.modeling_m2m_100 import M2M100Encoder
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

from babelscope.models.sonar import TEXT_FILE
from babelscope.models.sonar_sides import SonarSpeechEncoder
from babelscope.models.weights.sonar import SpeechSizes
from babelscope.testing.tiny.fairseq_names import CONFORMER, CROSS, TRANSFORMER, Names, in_layers, lines, under

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

_SINGLE = """
feature_projection.layer_norm encoder_frontend.post_extract_layer_norm encoder.w2v_model.layer_norm
feature_projection.projection encoder_frontend.model_dim_proj encoder.w2v_model.post_extract_proj
encoder.layer_norm layer_norm encoder.w2v_model.encoder.layer_norm
pooler.query encoder_pooler.decoder_frontend.embed decoder.embed_tokens
projection_out.weight encoder_pooler.projection_out.weight decoder.embed_out
"""


def _modules(pooler_layers: int) -> Iterator[Names]:
    """Yield the modules of a speech encoder; here the pooler's layers are counted from the end."""
    yield from lines(_SINGLE)
    roots = "encoder.layers.{n}. encoder.layers.{n}. encoder.w2v_model.encoder.layers.{n}."
    yield from in_layers(roots, CONFORMER, range(CONFORMER_LAYERS))
    for layer in range(pooler_layers):
        for module in lines(TRANSFORMER + CROSS):
            yield Names(
                f"pooler.layers.{layer - pooler_layers}.{module.fairseq}",  # Bart's are those of fairseq
                f"encoder_pooler.decoder.layers.{layer}.{module.fairseq2}",
                f"decoder.layers.{layer}.{module.fairseq}",
            )


def text(folder: Path) -> Path:
    """Write the converted port (config.json, model.safetensors, tokenizer.json), and return the folder."""
    _text_encoder().save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def text_original(folder: Path) -> Path:
    """Write the same encoder as ``sonar_text_encoder.pt``, under fairseq2's names, and the tokenizer next to it."""
    arrays = dict(_text_encoder().state_dict())
    embedding = arrays.pop("embed_tokens.weight")
    modules = in_layers("layers.{n}. encoder.layers.{n}. layers.{n}.", TRANSFORMER, range(TEXT_LAYERS))
    names = [Names(module.fairseq, module.fairseq2, "") for module in modules]  # M2M100's are those of fairseq
    state = under("fairseq2", [*names, Names("layer_norm", "layer_norm", "")], arrays)
    # fairseq2 counts pad, unknown, begin, end; the tokenizer begin, pad, end, unknown.
    begin, pad, end, unknown = embedding[:4]
    state["encoder_frontend.embed.weight"] = torch.cat([torch.stack([pad, unknown, begin, end]), embedding[4:]])
    torch.save({"model": state}, folder / TEXT_FILE)
    _tokenizer().save_pretrained(folder)
    return folder


def speech(
    folder: Path, languages: Sequence[str] = tuple(SPEECH_FILES), naming: Literal["fairseq", "fairseq2"] = "fairseq"
) -> Path:
    """Write speech encoders under the released file names; fairseq's have remains of pre-training, too."""
    for language in languages:
        file, layers = SPEECH_FILES[language]
        state = under(naming, _modules(layers), _speech_encoder(language, layers).state_dict())
        if naming == "fairseq":
            state["encoder.w2v_model.mask_emb"] = torch.zeros(WIDTH)
            for ending in ("bias", "weight_g", "weight_v"):
                state[f"encoder.w2v_model.encoder.pos_conv.0.{ending}"] = torch.zeros(WIDTH, 1, 4)
        torch.save({"model": state}, folder / file)
    return folder


#: The same speech encoders under fairseq2's names.
speech_fairseq2 = partial(speech, naming="fairseq2")


def both(folder: Path) -> Path:
    """Write the converted text encoder and the speech encoders into one folder."""
    return speech(text(folder))


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
