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


def audio_flamingo_3() -> Released:
    """Audio Flamingo 3: its settings say float32, its arrays have two bytes; the processor's settings are one file."""
    special = (*QWEN_SPECIAL, "<sound>", "[BOS]", "[PAD]")
    ids = _ids(special)
    size = _START + len(special)
    text = DECODER | {
        "bos_token_id": ids["[BOS]"],
        "eos_token_id": ids["<|im_end|>"],
        "layer_types": ["full_attention"] * 3,
        "max_window_layers": 3,
        "model_max_length": 32768,
        "model_type": "qwen2",
        "pad_token_id": ids["[PAD]"],
        "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"},
        "sliding_window": None,
        "use_cache": False,
        "use_sliding_window": False,
        "vocab_size": size,
    }
    config = {
        "architectures": ["AudioFlamingo3ForConditionalGeneration"],
        "audio_config": _TOWER | {"model_type": "audioflamingo3_encoder"},
        "audio_token_id": ids["<sound>"],
        "dtype": "float32",
        "model_type": "audioflamingo3",
        "projector_bias": True,
        "projector_hidden_act": "gelu",
        "text_config": text,
    }
    files = qwen_files(special, "", pad_token="[PAD]", bos_token="[BOS]", processor_class="AudioFlamingo3Processor")  # noqa: S106
    del files["tokenizer_config.json"]["chat_template"]
    files |= {
        "chat_template.jinja": chatml("<sound>"),
        "generation_config.json": {"bos_token_id": ids["[BOS]"], "eos_token_id": ids["<|im_end|>"]},
        "processor_config.json": {
            "audio_token": "<sound>",
            "feature_extractor": log_mel("AudioFlamingo3Processor", 128, dither=0.0, return_attention_mask=True),
            "processor_class": "AudioFlamingo3Processor",
        },
    }
    return Released(
        "nvidia/audio-flamingo-3-hf",
        config,
        files,
        lambda: qwen_tokenizer(special),
        renamed=_FIRST_NAMES,
        shards=4,
        dtype="bfloat16",
    )


def glm_asr() -> Released:
    """GLM-ASR: rotary positions in the encoder, four positions joined to one; the head tied."""
    special = ("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>",
        "<|assistant|>", "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>",
        "<|end_of_video|>", "<|pad|>", "<|begin_of_audio|>", "<|end_of_audio|>")  # fmt: skip
    ids = _ids(special)
    size = _START + len(special) + 1
    ends = [ids["<|endoftext|>"], ids["<|user|>"], ids["<|observation|>"]]
    rope = {"rope_theta": 10000.0, "rope_type": "default"}
    text = DECODER | {
        "attention_bias": False,
        "eos_token_id": ends,
        "head_dim": 8,
        "mlp_bias": False,
        "model_type": "llama",
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_parameters": rope,
        "vocab_size": size,
    }
    tower = {
        "attention_dropout": 0.0,
        "head_dim": 4,
        "hidden_act": "gelu",
        "hidden_size": 16,
        "initializer_range": 0.02,
        "intermediate_size": 64,
        "max_position_embeddings": 1500,
        "model_type": "glmasr_encoder",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 4,
        "num_mel_bins": 128,
        "partial_rotary_factor": 0.5,
        "rope_parameters": {"partial_rotary_factor": 0.5} | rope,
    }
    config = {
        "architectures": ["GlmAsrForConditionalGeneration"],
        "audio_config": tower,
        "audio_token_id": ids["<|pad|>"],
        "dtype": "bfloat16",
        "hidden_size": 32,
        "model_type": "glmasr",
        "projector_hidden_act": "gelu",
        "text_config": text,
        "vocab_size": size,
    }
    features = log_mel("", 128, dither=0.0)
    del features["processor_class"]
    template = (
        "{% for message in messages %}<|{{ message['role'] }}|>\n{% for content in message['content'] %}"
        "{% if content['type'] == 'audio' %}<|begin_of_audio|><|pad|><|end_of_audio|>{% else %}{{ content['text'] }}"
        "{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    )
    files: dict[str, Any] = {
        "chat_template.jinja": template,
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": ends},
        "processor_config.json": {
            "audio_token": "<|pad|>",
            "default_transcription_prompt": "Please transcribe this audio into text",
            "feature_extractor": features,
            "max_audio_len": 655,
            "processor_class": "GlmAsrProcessor",
        },
        "tokenizer_config.json": {
            "additional_special_tokens": list(special),
            "eos_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
            "processor_class": "GlmAsrProcessor",
            "tokenizer_class": "TokenizersBackend",
        },
    }
    return Released(
        "zai-org/GLM-ASR-Nano-2512",
        config,
        files,
        lambda: vocabularies.byte_level("Qwen2Tokenizer", special),
        renamed=_FIRST_NAMES,
        dtype="bfloat16",
    )


def qwen3_asr() -> Released:
    """Qwen3-ASR in the layout that transformers reads; the first release has another, which is silently misread."""
    special = (*QWEN_SPECIAL, "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>", "<asr_text>", "<timestamp>")
    ids = _ids(special)
    text = DECODER | {
        "attention_bias": False,
        "head_dim": 8,
        "model_type": "qwen3",
        "rope_parameters": {"rope_theta": 1000000, "rope_type": "default"},
        "tie_word_embeddings": True,
        "vocab_size": _START + 16,
    }
    tower = {key: value for key, value in _TOWER_OLD.items() if key != "max_source_positions"} | {
        "downsample_hidden_size": 8,
        "model_type": "qwen3_asr_encoder",
        "n_window": 50,
        "n_window_infer": 800,
        "output_dim": 32,
    }
    config = {
        "architectures": ["Qwen3ASRForConditionalGeneration"],
        "audio_config": tower,
        "audio_token_id": ids["<|audio_pad|>"],
        "dtype": "bfloat16",
        "eos_token_id": [ids["<|endoftext|>"], ids["<|im_end|>"]],
        "model_type": "qwen3_asr",
        "pad_token_id": ids["<|endoftext|>"],
        "text_config": text,
        "tie_word_embeddings": True,
        "timestamp_token_id": ids["<timestamp>"],
    }
    marks = {
        "audio_bos_token": "<|audio_start|>",
        "audio_eos_token": "<|audio_end|>",
        "audio_token": "<|audio_pad|>",
    }
    features = {
        "chunk_length": 30,
        "dither": 0.0,
        "feature_extractor_type": "Qwen3ASRFeatureExtractor",
        "feature_size": 128,
        "hop_length": 160,
        "min_length": 8000,
        "n_fft": 400,
        "n_window": 50,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
        "sampling_rate": 16000,
    }
    files = qwen_files(special, "", extra_special_tokens=marks, processor_class="Qwen3ASRProcessor", **marks)
    del files["tokenizer_config.json"]["chat_template"]
    files |= {
        "chat_template.jinja": "<|im_start|>system\n<|im_end|>\n"
        + chatml("<|audio_start|><|audio_pad|><|audio_end|>", system=""),
        "processor_config.json": {"feature_extractor": features, "processor_class": "Qwen3ASRProcessor"},
    }
    return Released("Qwen/Qwen3-ASR-0.6B-hf", config, files, lambda: qwen_tokenizer(special), dtype="bfloat16")
