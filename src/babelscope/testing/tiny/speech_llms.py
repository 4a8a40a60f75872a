"""Language models that hear, in small: an encoder of speech, a projector, a decoder of text."""

from __future__ import annotations

from typing import Any

from babelscope.testing.tiny import vocabularies
from babelscope.testing.tiny.speech_encoders import log_mel
from babelscope.testing.tiny.text_models import DECODER, QWEN_SPECIAL, chatml, qwen_files, qwen_tokenizer
from babelscope.testing.tiny.writing import Released, Settings

_START = vocabularies.BYTE_PIECES

#: An encoder as Whisper's, in the two spellings that released configurations have.
_TOWER_OLD: Settings = {
    "activation_function": "gelu",
    "d_model": 16,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 24,
    "encoder_layers": 3,
    "max_source_positions": 1500,
    "num_mel_bins": 128,
    "scale_embedding": False,
}
_TOWER: Settings = {
    "activation_function": "gelu",
    "hidden_size": 16,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "max_source_positions": 1500,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "num_mel_bins": 128,
    "scale_embedding": False,
}

#: From today's names to those of the first version of these classes.
_FIRST_NAMES = (
    (r"^lm_head", "language_model.lm_head"),
    (r"^model\.language_model\.", "language_model.model."),
    (r"^model\.(audio_tower|multi_modal_projector)\.", r"\1."),
)


def _ids(special: tuple[str, ...]) -> dict[str, int]:
    return {token: _START + number for number, token in enumerate(special)}


def qwen2_audio() -> Released:
    """Qwen2-Audio: the token that stands for sound is named by an index, in no class's defaults."""
    special = (*QWEN_SPECIAL, "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")
    missing = ("hidden_size", "num_attention_heads", "num_hidden_layers", "num_key_value_heads")
    text = {key: DECODER[key] for key in (*missing, "intermediate_size", "max_position_embeddings")} | {
        "bos_token_id": _START,
        "eos_token_id": _START + 2,
        "model_type": "qwen2",
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000,
        "sliding_window": 32768,
        "torch_dtype": "bfloat16",
        "use_mrope": False,
        "vocab_size": _START + 16,
    }
    config = {
        "architectures": ["Qwen2AudioForConditionalGeneration"],
        "audio_config": {"model_type": "qwen2_audio_encoder"} | _TOWER_OLD,
        "audio_token_index": _ids(special)["<|AUDIO|>"],
        "ignore_index": -100,
        "model_type": "qwen2_audio",
        "text_config": text,
        "vocab_size": _START + 16,
    }
    template = chatml("Audio: <|audio_bos|><|AUDIO|><|audio_eos|>\n")
    files = qwen_files(special, "", processor_class="Qwen2AudioProcessor")
    del files["tokenizer_config.json"]["chat_template"]
    files |= {
        "chat_template.json": {"chat_template": template},
        "preprocessor_config.json": log_mel("Qwen2AudioProcessor", 128, return_attention_mask=True),
    }
    return Released(
        "Qwen/Qwen2-Audio-7B-Instruct",
        config,
        files,
        lambda: qwen_tokenizer(special),
        renamed=_FIRST_NAMES,
        shards=5,
        dtype="bfloat16",
        sizes=tuple(f"text_config.{key}" for key in missing),
    )


#: The special tokens of Mistral's seventh tokenizer, in front of the pieces; what is not used has a number as its name.
_TEKKEN = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]",
    "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]", *(f"<SPECIAL_{rank}>" for rank in range(20, 24)),
    "[AUDIO]", "[BEGIN_AUDIO]", *(f"<SPECIAL_{rank}>" for rank in range(26, 32)), "[STREAMING_PAD]",
    "[STREAMING_WORD]", "[TRANSCRIBE]", *(f"<SPECIAL_{rank}>" for rank in range(35, 40)))  # fmt: skip


def voxtral() -> Released:
    """Voxtral: ``tekken.json`` is its only tokenizer; 375 positions for 30 seconds, whatever was said."""
    text = DECODER | {
        "attention_bias": False,
        "head_dim": 8,
        "mlp_bias": False,
        "model_type": "llama",
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 100000000.0,
        "sliding_window": None,
        "vocab_size": _START + len(_TEKKEN),
    }
    tower = _TOWER | {
        "head_dim": 4,
        "layerdrop": 0.0,
        "model_type": "voxtral_encoder",
        "num_key_value_heads": 4,
        "vocab_size": 51866,
    }
    config = {
        "architectures": ["VoxtralForConditionalGeneration"],
        "audio_config": tower,
        "audio_token_id": _TEKKEN.index("[AUDIO]"),
        "hidden_size": 32,
        "model_type": "voxtral",
        "projector_hidden_act": "gelu",
        "text_config": text,
        "torch_dtype": "bfloat16",
        "vocab_size": _START + len(_TEKKEN),
    }
    files: dict[str, Any] = {
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 11},
        "preprocessor_config.json": log_mel("VoxtralProcessor", 128, dither=0.0),
        "tekken.json": vocabularies.tekken(_TEKKEN),
    }
    return Released(
        "mistralai/Voxtral-Mini-3B-2507",
        config,
        files,
        renamed=_FIRST_NAMES,
        shards=2,
        dtype="bfloat16",
        kept=r"^audio_tower\.embed_positions",
    )
