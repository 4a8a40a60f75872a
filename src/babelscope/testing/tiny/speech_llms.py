"""Language models that hear, in small: an encoder of speech, a projector, a decoder of text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from babelscope.testing.tiny import vocabularies
from babelscope.testing.tiny.speech_encoders import log_mel
from babelscope.testing.tiny.text_models import DECODER, QWEN_SPECIAL, chatml, qwen_files, qwen_tokenizer
from babelscope.testing.tiny.writing import Released, Settings

_START = vocabularies.BYTE_PIECES

#: An encoder as Whisper's, in the two spellings that released configurations have.
_TOWER_OLD: Settings = {
    "activation_function": "gelu", "d_model": 16, "encoder_attention_heads": 4, "encoder_ffn_dim": 24,
    "encoder_layers": 3, "max_source_positions": 1500, "num_mel_bins": 128, "scale_embedding": False,
}  # fmt: skip
_TOWER: Settings = {
    "activation_function": "gelu", "hidden_size": 16, "initializer_range": 0.02, "intermediate_size": 64,
    "max_source_positions": 1500, "num_attention_heads": 4, "num_hidden_layers": 3, "num_mel_bins": 128,
    "scale_embedding": False,
}  # fmt: skip

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
        "bos_token_id": _START, "eos_token_id": _START + 2, "model_type": "qwen2", "rms_norm_eps": 1e-05,
        "rope_theta": 10000, "sliding_window": 32768, "torch_dtype": "bfloat16", "use_mrope": False,
        "vocab_size": _START + 16,
    }  # fmt: skip
    config = {
        "architectures": ["Qwen2AudioForConditionalGeneration"],
        "audio_config": {"model_type": "qwen2_audio_encoder"} | _TOWER_OLD,
        "audio_token_index": _ids(special)["<|AUDIO|>"], "ignore_index": -100, "model_type": "qwen2_audio",
        "text_config": text, "vocab_size": _START + 16,
    }  # fmt: skip
    template = chatml("Audio: <|audio_bos|><|AUDIO|><|audio_eos|>\n")
    files = qwen_files(special, "", processor_class="Qwen2AudioProcessor")
    del files["tokenizer_config.json"]["chat_template"]
    files |= {
        "chat_template.json": {"chat_template": template},
        "preprocessor_config.json": log_mel("Qwen2AudioProcessor", 128, return_attention_mask=True),
    }
    return Released(
        "Qwen/Qwen2-Audio-7B-Instruct", config, files, lambda: qwen_tokenizer(special), renamed=_FIRST_NAMES, shards=5,
        dtype="bfloat16", sizes=tuple(f"text_config.{key}" for key in missing),
    )  # fmt: skip


#: The special tokens of Mistral's seventh tokenizer, in front of the pieces; what is not used has a number as its name.
_TEKKEN = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]",
    "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]", *(f"<SPECIAL_{rank}>" for rank in range(20, 24)),
    "[AUDIO]", "[BEGIN_AUDIO]", *(f"<SPECIAL_{rank}>" for rank in range(26, 32)), "[STREAMING_PAD]",
    "[STREAMING_WORD]", "[TRANSCRIBE]", *(f"<SPECIAL_{rank}>" for rank in range(35, 40)))  # fmt: skip


def voxtral() -> Released:
    """Voxtral: ``tekken.json`` is its only tokenizer; 375 positions for 30 seconds, whatever was said."""
    text = DECODER | {
        "attention_bias": False, "head_dim": 8, "mlp_bias": False, "model_type": "llama", "pretraining_tp": 1,
        "rms_norm_eps": 1e-05, "rope_scaling": None, "rope_theta": 100000000.0, "sliding_window": None,
        "vocab_size": _START + len(_TEKKEN),
    }  # fmt: skip
    tower = _TOWER | {
        "head_dim": 4, "layerdrop": 0.0, "model_type": "voxtral_encoder", "num_key_value_heads": 4,
        "vocab_size": 51866,
    }  # fmt: skip
    config = {
        "architectures": ["VoxtralForConditionalGeneration"], "audio_config": tower,
        "audio_token_id": _TEKKEN.index("[AUDIO]"), "hidden_size": 32, "model_type": "voxtral",
        "projector_hidden_act": "gelu", "text_config": text, "torch_dtype": "bfloat16",
        "vocab_size": _START + len(_TEKKEN),
    }  # fmt: skip
    files: dict[str, Any] = {
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 11},
        "preprocessor_config.json": log_mel("VoxtralProcessor", 128, dither=0.0),
        "tekken.json": vocabularies.tekken(_TEKKEN),
    }
    return Released(
        "mistralai/Voxtral-Mini-3B-2507", config, files, renamed=_FIRST_NAMES, shards=2, dtype="bfloat16",
        kept=r"^audio_tower\.embed_positions",
    )  # fmt: skip


def audio_flamingo_3() -> Released:
    """Audio Flamingo 3: its settings say float32, its arrays have two bytes; the processor's settings are one file."""
    special = (*QWEN_SPECIAL, "<sound>", "[BOS]", "[PAD]")
    ids = _ids(special)
    size = _START + len(special)
    text = DECODER | {
        "bos_token_id": ids["[BOS]"], "eos_token_id": ids["<|im_end|>"], "layer_types": ["full_attention"] * 3,
        "max_window_layers": 3, "model_max_length": 32768, "model_type": "qwen2", "pad_token_id": ids["[PAD]"],
        "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}, "sliding_window": None,
        "use_cache": False, "use_sliding_window": False, "vocab_size": size,
    }  # fmt: skip
    config = {
        "architectures": ["AudioFlamingo3ForConditionalGeneration"],
        "audio_config": _TOWER | {"model_type": "audioflamingo3_encoder"}, "audio_token_id": ids["<sound>"],
        "dtype": "float32", "model_type": "audioflamingo3", "projector_bias": True, "projector_hidden_act": "gelu",
        "text_config": text,
    }  # fmt: skip
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
        "nvidia/audio-flamingo-3-hf", config, files, lambda: qwen_tokenizer(special), renamed=_FIRST_NAMES, shards=4,
        dtype="bfloat16",
    )  # fmt: skip


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
        "attention_bias": False, "eos_token_id": ends, "head_dim": 8, "mlp_bias": False, "model_type": "llama",
        "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_parameters": rope, "vocab_size": size,
    }  # fmt: skip
    tower = {
        "attention_dropout": 0.0, "head_dim": 4, "hidden_act": "gelu", "hidden_size": 16, "initializer_range": 0.02,
        "intermediate_size": 64, "max_position_embeddings": 1500, "model_type": "glmasr_encoder",
        "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 4, "num_mel_bins": 128,
        "partial_rotary_factor": 0.5, "rope_parameters": {"partial_rotary_factor": 0.5} | rope,
    }  # fmt: skip
    config = {
        "architectures": ["GlmAsrForConditionalGeneration"], "audio_config": tower, "audio_token_id": ids["<|pad|>"],
        "dtype": "bfloat16", "hidden_size": 32, "model_type": "glmasr", "projector_hidden_act": "gelu",
        "text_config": text, "vocab_size": size,
    }  # fmt: skip
    features = log_mel("", 128, dither=0.0)
    del features["processor_class"]
    template = (
        "{% for message in messages %}<|{{ message['role'] }}|>\n{% for content in message['content'] %}"
        "{% if content['type'] == 'audio' %}<|begin_of_audio|><|pad|><|end_of_audio|>{% else %}{{ content['text'] }}"
        "{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    )
    files: dict[str, Any] = {
        "chat_template.jinja": template, "generation_config.json": {"bos_token_id": 1, "eos_token_id": ends},
        "processor_config.json": {
            "audio_token": "<|pad|>", "default_transcription_prompt": "Please transcribe this audio into text",
            "feature_extractor": features, "max_audio_len": 655, "processor_class": "GlmAsrProcessor",
        },
        "tokenizer_config.json": {
            "additional_special_tokens": list(special), "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>",
            "processor_class": "GlmAsrProcessor", "tokenizer_class": "TokenizersBackend",
        },
    }  # fmt: skip
    return Released(
        "zai-org/GLM-ASR-Nano-2512", config, files, lambda: vocabularies.byte_level("Qwen2Tokenizer", special),
        renamed=_FIRST_NAMES, dtype="bfloat16",
    )  # fmt: skip


def qwen3_asr() -> Released:
    """Qwen3-ASR in the layout that transformers reads; the first release has another, which is silently misread."""
    special = (*QWEN_SPECIAL, "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>", "<asr_text>", "<timestamp>")
    ids = _ids(special)
    text = DECODER | {
        "attention_bias": False, "head_dim": 8, "model_type": "qwen3",
        "rope_parameters": {"rope_theta": 1000000, "rope_type": "default"}, "tie_word_embeddings": True,
        "vocab_size": _START + 16,
    }  # fmt: skip
    tower = {key: value for key, value in _TOWER_OLD.items() if key != "max_source_positions"} | {
        "downsample_hidden_size": 8, "model_type": "qwen3_asr_encoder", "n_window": 50, "n_window_infer": 800,
        "output_dim": 32,
    }  # fmt: skip
    config = {
        "architectures": ["Qwen3ASRForConditionalGeneration"], "audio_config": tower,
        "audio_token_id": ids["<|audio_pad|>"], "dtype": "bfloat16",
        "eos_token_id": [ids["<|endoftext|>"], ids["<|im_end|>"]], "model_type": "qwen3_asr",
        "pad_token_id": ids["<|endoftext|>"], "text_config": text, "tie_word_embeddings": True,
        "timestamp_token_id": ids["<timestamp>"],
    }  # fmt: skip
    marks = {
        "audio_bos_token": "<|audio_start|>", "audio_eos_token": "<|audio_end|>", "audio_token": "<|audio_pad|>",
    }  # fmt: skip
    features = {
        "chunk_length": 30, "dither": 0.0, "feature_extractor_type": "Qwen3ASRFeatureExtractor", "feature_size": 128,
        "hop_length": 160, "min_length": 8000, "n_fft": 400, "n_window": 50, "padding_side": "right",
        "padding_value": 0.0, "return_attention_mask": True, "sampling_rate": 16000,
    }  # fmt: skip
    files = qwen_files(special, "", extra_special_tokens=marks, processor_class="Qwen3ASRProcessor", **marks)
    del files["tokenizer_config.json"]["chat_template"]
    files |= {
        "chat_template.jinja": "<|im_start|>system\n<|im_end|>\n"
        + chatml("<|audio_start|><|audio_pad|><|audio_end|>", system=""),
        "processor_config.json": {"feature_extractor": features, "processor_class": "Qwen3ASRProcessor"},
    }
    return Released("Qwen/Qwen3-ASR-1.7B-hf", config, files, lambda: qwen_tokenizer(special), dtype="bfloat16")


def voxtral_realtime() -> Released:
    """Voxtral Realtime: sound is added to the embeddings of every position; the head is tied."""
    text = DECODER | {
        "head_dim": 8, "max_position_embeddings": 131072, "model_type": "voxtral_realtime_text", "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}, "sliding_window": 8192,
        "vocab_size": _START + len(_TEKKEN),
    }  # fmt: skip
    tower = {
        "activation_function": "gelu", "attention_dropout": 0.0, "head_dim": 4, "hidden_act": "silu",
        "hidden_size": 16, "initializer_range": 0.02, "intermediate_size": 32, "max_position_embeddings": 1500,
        "model_type": "voxtral_realtime_encoder", "num_attention_heads": 4, "num_hidden_layers": 3,
        "num_mel_bins": 128, "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}, "sliding_window": 50,
        "vocab_size": 131072,
    }  # fmt: skip
    config = {
        "architectures": ["VoxtralRealtimeForConditionalGeneration"], "audio_config": tower, "audio_length_per_tok": 8,
        "default_num_delay_tokens": 6, "downsample_factor": 4, "dtype": "bfloat16", "model_type": "voxtral_realtime",
        "projector_hidden_act": "gelu", "text_config": text, "tie_word_embeddings": True,
    }  # fmt: skip
    features = {
        "feature_extractor_type": "VoxtralRealtimeFeatureExtractor", "feature_size": 128, "global_log_mel_max": 1.5,
        "hop_length": 160, "n_fft": 400, "padding_side": "right", "padding_value": 0.0, "sampling_rate": 16000,
        "win_length": 400,
    }  # fmt: skip
    audio = {
        "audio_encoding_config": {"hop_length": 160, "num_mel_bins": 128, "window_size": 400}, "frame_rate": 12.5,
        "sampling_rate": 16000, "transcription_delay_ms": 480,
    }  # fmt: skip
    files: dict[str, Any] = {
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 11},
        "processor_config.json": {"feature_extractor": features, "processor_class": "VoxtralRealtimeProcessor"},
        "tekken.json": vocabularies.tekken(_TEKKEN) | {"audio": audio},
    }
    return Released("mistralai/Voxtral-Mini-4B-Realtime-2602", config, files, renamed=_FIRST_NAMES, dtype="bfloat16")


def _granite(model: str, encoder: Settings, text: Settings, special: tuple[str, ...], lists: bool) -> Released:
    """Return a Granite; `lists` says whether its chat template takes messages of several pieces."""
    plus = "cat_hidden_layers" in encoder
    ids = _ids(special)
    tower = {
        "context_size": 40, "conv_expansion_factor": 2, "conv_kernel_size": 15, "dim_head": 8, "dropout": 0.1,
        "feedforward_mult": 2, "hidden_dim": 32, "input_dim": 160, "max_pos_emb": 64, "num_heads": 4, "num_layers": 4,
        "output_dim": 20,
    } | encoder  # fmt: skip
    projector = {
        "_attn_implementation_autoset": True, "attention_probs_dropout_prob": 0.1, "cross_attention_frequency": 1,
        "encoder_hidden_size": 64 if plus else 32, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 32,
        "initializer_range": 0.02, "intermediate_size": 48, "layer_norm_eps": 1e-12, "max_position_embeddings": 2048,
        "model_type": "blip_2_qformer", "num_attention_heads": 4, "num_hidden_layers": 2,
        "position_embedding_type": "absolute", "use_qformer_text_input": False, "vocab_size": 30522,
    }  # fmt: skip
    decoder = (
        DECODER
        | {
            "attention_bias": False,
            "attention_multiplier": 0.125,
            "embedding_multiplier": 12.0,
            "logits_scaling": 8.0,
            "mlp_bias": False,
            "model_type": "granite",
            "residual_multiplier": 0.22,
            "rms_norm_eps": 1e-05,
            "tie_word_embeddings": True,
            "vocab_size": _START + len(special),
        }
        | dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), ids["<|end_of_text|>"])
    )
    config = {
        "architectures": [f"GraniteSpeech{'Plus' if plus else ''}ForConditionalGeneration"],
        "audio_token_index": ids["<|audio|>"], "downsample_rate": 5, "encoder_config": tower,
        "has_lora_adapter": not plus, "initializer_range": 0.02,
        "model_type": "granite_speech_plus" if plus else "granite_speech", "projector_config": projector,
        "text_config": decoder | text, "dtype" if plus else "torch_dtype": "bfloat16", "window_size": 15,
    }  # fmt: skip
    pieces = (
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
        "{{ '<|audio|>' if content['type'] == 'audio' else content['text'] }}{% endfor %}{% endif %}"
    )
    template = (
        "{% for message in messages %}<|start_of_role|>{{ message['role'] }}<|end_of_role|>"
        + (pieces if lists else "{{ message['content'] }}")
        + "<|end_of_text|>\n{% endfor %}{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>"
        "{% endif %}"
    )
    named = dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), "<|end_of_text|>")
    settings: Settings = {
        "add_bos_token": False, "additional_special_tokens": list(special[1:-1]),
        "model_max_length": 9223372036854775807, "padding_side": "left", "tokenizer_class": "GPT2Tokenizer",
    } | named  # fmt: skip
    files: dict[str, Any] = {
        "chat_template.jinja": template, "preprocessor_config.json": {},
        "processor_config.json": {"audio_token": "<|audio|>", "processor_class": "GraniteSpeechProcessor"},
        "tokenizer_config.json": settings,
    }  # fmt: skip
    return Released(
        model, config, files, lambda: vocabularies.byte_level("GPT2Tokenizer", special, **named),
        renamed=(*_FIRST_NAMES[:2], (r"^model\.(encoder|projector)\.", r"\1.")), shards=3, dtype="bfloat16",
    )  # fmt: skip


_GRANITE_SPECIAL = ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>", "<|audio|>")


def granite_speech() -> Released:
    """Granite speech 3.3: an empty ``preprocessor_config.json``, a chat template for strings, LoRA for speech."""
    base = _granite(
        "ibm-granite/granite-speech-3.3-2b",
        {"model_type": "granite_speech_encoder"},
        {"rope_scaling": None, "rope_theta": 10000000.0, "torch_dtype": "bfloat16"},
        _GRANITE_SPECIAL,
        lists=False,
    )
    adapter = {
        "base_model_name_or_path": "ibm-granite/granite-speech-3.3-2b", "bias": "none", "fan_in_fan_out": False,
        "inference_mode": True, "lora_alpha": 32, "lora_dropout": 0.0, "peft_type": "LORA", "r": 4,
        "target_modules": ["v_proj", "q_proj"], "task_type": "CAUSAL_LM",
    }  # fmt: skip
    arrays = []
    for layer in range(DECODER["num_hidden_layers"]):
        for kind, width in (("q_proj", 32), ("v_proj", 16)):
            at = f"base_model.model.language_model.model.layers.{layer}.self_attn.{kind}"
            arrays += [(f"{at}.lora_A.weight", (4, 32)), (f"{at}.lora_B.weight", (width, 4))]
    return replace(
        base, files={**base.files, "adapter_config.json": adapter}, other_weights={"adapter_model.safetensors": arrays},
    )  # fmt: skip


def granite_speech_plus() -> Released:
    """Granite speech 4.1 plus: a layer in the middle and the last, side by side; no adapter."""
    return _granite(
        "ibm-granite/granite-speech-4.1-2b-plus",
        {"cat_hidden_layers": [1], "model_type": "granite_speech_plus_encoder"},
        {"dtype": "float32", "rope_parameters": {"rope_theta": 10000, "rope_type": "default"}}, _GRANITE_SPECIAL,
        lists=True,
    )  # fmt: skip


def phi_4_multimodal() -> Released:
    """Phi-4-multimodal in transformers' own layout: the tower is among the embeddings, the token in its settings."""
    special = ("<|endoftext|>", "<|image|>", "<|audio|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
    ids = _ids(special)
    ears = {
        "audio_token_id": ids["<|audio|>"], "depthwise_separable_out_channel": 32, "ext_pw_out_channel": 32,
        "feature_layer": -2, "hidden_size": 32, "input_size": 80, "intermediate_size": 48, "kernel_size": 3,
        "left_chunk": 18, "model_type": "phi4_multimodal_audio", "nemo_conv_channels": 32, "num_attention_heads": 4,
        "num_blocks": 3, "time_reduction": 8,
    }  # fmt: skip
    eyes = {
        "crop_size": 28, "feature_layer": -2, "hidden_size": 32, "image_size": 28, "image_token_id": ids["<|image|>"],
        "intermediate_size": 48, "model_type": "phi4_multimodal_vision", "num_attention_heads": 4,
        "num_hidden_layers": 2, "patch_size": 14,
    }  # fmt: skip
    config = DECODER | {
        "architectures": ["Phi4MultimodalForCausalLM"], "audio_config": ears, "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": [ids["<|end|>"], ids["<|endoftext|>"]], "model_type": "phi4_multimodal",
        "original_max_position_embeddings": 4096, "pad_token_id": ids["<|endoftext|>"], "partial_rotary_factor": 0.75,
        "rms_norm_eps": 1e-05, "rope_scaling": None, "rope_theta": 10000.0, "sliding_window": 262144,
        "tie_word_embeddings": True, "torch_dtype": "bfloat16", "vision_config": eyes, "vocab_size": _START + 16,
    }  # fmt: skip
    template = (
        "{% for message in messages %}<|{{ message['role'] }}|>{% if message['content'] is string %}"
        "{{ message['content'] }}{% else %}{% for content in message['content'] %}"
        "{{ '<|audio|>' if content['type'] == 'audio' else content['text'] }}{% endfor %}{% endif %}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    named = dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), "<|endoftext|>")
    marks = {"audio_token": "<|audio|>", "image_token": "<|image|>"}
    files: dict[str, Any] = {
        "chat_template.jinja": template,
        "generation_config.json": {"eos_token_id": [ids["<|end|>"], ids["<|endoftext|>"]]},
        "preprocessor_config.json": {
            "audio_compression_rate": 8, "audio_downsample_rate": 1, "audio_feat_stride": 1, "dynamic_hd": 36,
            "feature_extractor_type": "Phi4MultimodalFeatureExtractor", "feature_size": 80,
            "image_processor_type": "Phi4MultimodalImageProcessorFast", "processor_class": "Phi4MultimodalProcessor",
            "sampling_rate": 16000,
        },
        "tokenizer_config.json": {
            "additional_special_tokens": list(special[1:]), "extra_special_tokens": marks, "model_max_length": 131072,
            "tokenizer_class": "GPT2Tokenizer",
        } | named | marks,
    }  # fmt: skip
    return Released(
        "microsoft/Phi-4-multimodal-instruct", config, files,
        lambda: vocabularies.byte_level("GPT2Tokenizer", special, **named), shards=3, dtype="bfloat16",
    )  # fmt: skip
