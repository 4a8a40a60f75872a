"""SALMONN in small: its own checkpoint, one of BEATs, and the folders of Whisper and Vicuna, as they were released.

The original files' names stand here as they are in the released ones and are not derived from the loader's rules: what
reads them is tested against them. ``tests/plugins/reference/make_salmonn.py`` loads them into SALMONN's own modules.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from torch import Tensor
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.utils.logging import disable_progress_bar

CHECKPOINT = "salmonn_v1.pth"
BEATS_FILE = "BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt"
WHISPER_FOLDER = "whisper-large-v2"
VICUNA_FOLDER = "vicuna"

#: Layers of Whisper's encoder, of BEATs, of the Q-Former, of Vicuna.
LAYERS = {"whisper": 2, "beats": 3, "qformer": 2, "vicuna": 3}
_WHISPER_WIDTH, _BEATS_WIDTH, _QFORMER_WIDTH, _VICUNA_WIDTH = 16, 24, 24, 32
_RANK = 4

#: The settings of BEATs_iter3+, with smaller sizes.
BEATS_SETTINGS: dict[str, Any] = {
    "encoder_layers": LAYERS["beats"],
    "encoder_embed_dim": _BEATS_WIDTH,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
    "activation_fn": "gelu",
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "encoder_layerdrop": 0.05,
    "dropout_input": 0.0,
    "layer_norm_first": False,
    "conv_bias": False,
    "conv_pos": 128,
    "conv_pos_groups": 4,
    "relative_position_embedding": True,
    "num_buckets": 32,
    "max_distance": 80,
    "gru_rel_pos": True,
    "deep_norm": True,
    "input_patch_size": 16,
    "layer_wise_gradient_decay_ratio": 0.6,
    "embed_dim": 12,
    "finetuned_model": True,
    "predictor_dropout": 0.0,
    "predictor_class": 5,
}

#: A Vicuna's config.json, with smaller sizes.
VICUNA_SETTINGS: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": _VICUNA_WIDTH,
    "initializer_range": 0.02,
    "intermediate_size": 48,
    "max_position_embeddings": 160,
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_hidden_layers": LAYERS["vicuna"],
    "pad_token_id": 0,
    "rms_norm_eps": 1e-06,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "use_cache": True,
}

#: Of which the tokenizer's pieces are made.
_LINES = ("user: the cat in the hat and the other one", "un chat et un autre chat", "кот в шляпе", "USER: <Speech>")


def folder(place: Path, seconds: int = 10) -> Path:
    """Write all files into one folder; Whisper's window has so many seconds, the released one's 30."""
    _whisper(place / WHISPER_FOLDER, 50 * seconds)
    _vicuna(place / VICUNA_FOLDER)
    beats = beats_state()
    torch.save({"cfg": BEATS_SETTINGS, "model": beats}, place / BEATS_FILE)
    trained = _drawn(dict(_trained_arrays()), 3)
    first = trained["speech_query_tokens"]
    # what training wrote next to the weights: buffers, and what goes by several names; the optimiser's state, the loss
    # scaler's, the settings
    trained["speech_Qformer.bert.embeddings.position_ids"] = torch.arange(512)[None]
    for layer in range(LAYERS["vicuna"]):
        at = f"llama_model.base_model.model.model.layers.{layer}"
        trained[f"{at}.self_attn.rotary_emb.inv_freq"] = _frequencies()
    for name, bias in beats.items():
        if name.endswith("relative_attention_bias.weight") and ".layers.0." not in name:
            trained[f"beats.{name}"] = bias
    left = {
        "optimizer": {
            "state": {0: {"step": torch.tensor(3.0), "exp_avg": first.clone(), "exp_avg_sq": first**2}},
            "param_groups": [{"lr": 3e-5, "betas": (0.9, 0.999), "params": [0]}],
        },
        "config": {"model": {"lora": True, "lora_rank": _RANK, "lora_alpha": 32, "whisper_path": "whisper"}},
        "scaler": {"scale": 65536.0, "growth_factor": 2.0, "_growth_tracker": 0},
        "epoch": 7,
    }
    torch.save({"model": trained, **left}, place / CHECKPOINT)
    return place


def beats_state() -> dict[str, Tensor]:
    """Return the arrays of BEATs's checkpoint, under the names that they have there."""
    return _drawn(dict(_beats_arrays()), 2)


def _whisper(place: Path, positions: int) -> None:
    config = WhisperConfig(
        vocab_size=60, num_mel_bins=80, d_model=_WHISPER_WIDTH, encoder_layers=LAYERS["whisper"], decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24,
        max_source_positions=positions, max_target_positions=20, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=3, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    disable_progress_bar()
    model = WhisperForConditionalGeneration(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name != "proj_out.weight"}
    drawn = _drawn(shapes, 0)
    model.load_state_dict(drawn | {"proj_out.weight": drawn["model.decoder.embed_tokens.weight"]})
    model.save_pretrained(place)


def _vicuna(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    (place / "tokenizer.model").write_bytes(tokenizer)
    vocabulary = sentencepiece.SentencePieceProcessor(model_proto=tokenizer).get_piece_size()
    settings = VICUNA_SETTINGS | {"vocab_size": vocabulary}
    (place / "config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    state = _drawn(dict(_vicuna_arrays(vocabulary)), 1)
    for layer in range(LAYERS["vicuna"]):
        state[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = _frequencies()
    files = {name: f"pytorch_model-0000{1 if name.startswith('model.layers.') else 2}-of-00002.bin" for name in state}
    for file in sorted(set(files.values())):
        torch.save({name: tensor for name, tensor in state.items() if files[name] == file}, place / file)
    index = {"metadata": {}, "weight_map": dict(sorted(files.items(), key=lambda pair: pair[1]))}
    (place / "pytorch_model.bin.index.json").write_text(json.dumps(index), encoding="utf-8")


def _tokenizer() -> bytes:
    """Train a tokenizer of Llama's kind: byte pairs, bytes for what is unknown, nothing normalised."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_LINES * 4), model_writer=written, model_type="bpe", vocab_size=330,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=True,
        pad_id=-1, num_threads=1, minloglevel=2,
    )  # fmt: skip
    return written.getvalue()


def _frequencies() -> Tensor:
    size = _VICUNA_WIDTH // int(VICUNA_SETTINGS["num_attention_heads"])
    return 1 / 10_000 ** (torch.arange(0, size, 2).float() / size)


def _vicuna_arrays(vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, inner = _VICUNA_WIDTH, int(VICUNA_SETTINGS["intermediate_size"])
    yield "model.embed_tokens.weight", (vocabulary, width)
    for layer in range(LAYERS["vicuna"]):
        at = f"model.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            yield f"{at}.self_attn.{name}.weight", (width, width)
        for name, shape in (("gate", (inner, width)), ("up", (inner, width)), ("down", (width, inner))):
            yield f"{at}.mlp.{name}_proj.weight", shape
        yield f"{at}.input_layernorm.weight", (width,)
        yield f"{at}.post_attention_layernorm.weight", (width,)
    yield "model.norm.weight", (width,)
    yield "lm_head.weight", (vocabulary, width)


def _beats_arrays() -> Iterator[tuple[str, tuple[int, ...]]]:
    said = BEATS_SETTINGS
    width, embed, inner = _BEATS_WIDTH, int(said["embed_dim"]), int(said["encoder_ffn_embed_dim"])
    heads, kernel = int(said["encoder_attention_heads"]), int(said["conv_pos"])
    yield from _linear("post_extract_proj", width, embed)
    yield "patch_embedding.weight", (embed, 1, 16, 16)
    yield "encoder.pos_conv.0.bias", (width,)
    yield "encoder.pos_conv.0.weight_g", (1, 1, kernel)
    yield "encoder.pos_conv.0.weight_v", (width, width // int(said["conv_pos_groups"]), kernel)
    for layer in range(LAYERS["beats"]):
        at = f"encoder.layers.{layer}"
        yield f"{at}.self_attn.grep_a", (1, heads, 1, 1)
        yield f"{at}.self_attn.relative_attention_bias.weight", (int(said["num_buckets"]), heads)
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield from _linear(f"{at}.self_attn.{name}", width, width)
        yield from _linear(f"{at}.self_attn.grep_linear", 8, width // heads)
        yield from _norm(f"{at}.self_attn_layer_norm", width)
        yield from _linear(f"{at}.fc1", inner, width)
        yield from _linear(f"{at}.fc2", width, inner)
        yield from _norm(f"{at}.final_layer_norm", width)
    yield from _norm("encoder.layer_norm", width)
    yield from _norm("layer_norm", embed)
    yield from _linear("predictor", int(said["predictor_class"]), width)


def _trained_arrays() -> Iterator[tuple[str, tuple[int, ...]]]:
    width, heard, inner, read = _QFORMER_WIDTH, _WHISPER_WIDTH + _BEATS_WIDTH, 40, _VICUNA_WIDTH
    yield "speech_query_tokens", (1, 1, width)
    for layer in range(LAYERS["vicuna"]):
        for name in ("q_proj", "v_proj"):
            at = f"llama_model.base_model.model.model.layers.{layer}.self_attn.{name}"
            yield f"{at}.lora_A.default.weight", (_RANK, read)
            yield f"{at}.lora_B.default.weight", (read, _RANK)
    yield from _norm("ln_speech", _WHISPER_WIDTH)
    yield from _norm("ln_audio", _BEATS_WIDTH)
    yield from _norm("speech_Qformer.bert.embeddings.LayerNorm", width)
    for layer in range(LAYERS["qformer"]):
        at = f"speech_Qformer.bert.encoder.layer.{layer}"
        for kind, source in (("attention", width), ("crossattention", heard)):
            yield from _linear(f"{at}.{kind}.self.query", width, width)
            yield from _linear(f"{at}.{kind}.self.key", width, source)
            yield from _linear(f"{at}.{kind}.self.value", width, source)
            yield from _linear(f"{at}.{kind}.output.dense", width, width)
            yield from _norm(f"{at}.{kind}.output.LayerNorm", width)
        yield from _linear(f"{at}.intermediate_query.dense", inner, width)
        yield from _linear(f"{at}.output_query.dense", width, inner)
        yield from _norm(f"{at}.output_query.LayerNorm", width)
    yield from _linear("speech_llama_proj", read, width)


def _linear(name: str, out: int, into: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Draw arrays so wide that nothing is small by chance; the one bias of BEATs for distances once."""
    # the one generator whose stream is promised never to change: what the reference gave for these weights is kept
    generator = np.random.RandomState(seed)
    drawn: dict[str, Tensor] = {}
    for name, shape in sorted(shapes.items()):
        array = generator.standard_normal(shape)
        if "norm" in name.lower() and name.endswith("weight"):
            array = 1 + 0.3 * array
        elif name.endswith("weight_g"):
            array = 0.3 + abs(array)
        elif "embed_" in name or "relative_attention_bias" in name or name.endswith(("query_tokens", "grep_a")):
            array = 0.5 * array
        elif len(shape) < 2:
            array = 0.3 * array
        else:  # LoRA's products are scaled up by 8
            array = (0.5 if "lora_" in name else 1.5) * array / np.prod(shape[1:]) ** 0.5
        drawn[name] = torch.from_numpy(array.astype(np.float32))
    shared = [name for name in sorted(drawn) if name.endswith("relative_attention_bias.weight")]
    return drawn | dict.fromkeys(shared, drawn[shared[0]]) if shared else drawn
