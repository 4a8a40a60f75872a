"""The Gemmas that hear, in small: 3n, 4, 4 without an encoder, and EmbeddingGemma 2."""

from __future__ import annotations

from typing import Any

from babelscope.testing.tiny import vocabularies
from babelscope.testing.tiny.text_models import DECODER, GEMMA_FIRST, sentence_modules
from babelscope.testing.tiny.writing import Released, Settings

_LAYERS = ["sliding_attention", "full_attention"] * 2
_TEXT: Settings = {key: value for key, value in DECODER.items() if key != "hidden_act"} | {
    "attention_bias": False, "bos_token_id": 2, "dtype": "bfloat16", "eos_token_id": 1,
    "final_logit_softcapping": 30.0, "head_dim": 8, "hidden_activation": "gelu_pytorch_tanh", "layer_types": _LAYERS,
    "num_hidden_layers": len(_LAYERS), "num_key_value_heads": 1, "pad_token_id": 0, "sliding_window": 512,
    "tie_word_embeddings": True,
}  # fmt: skip
#: Gemma 4 turns whole vectors in windows and a part of them elsewhere.
_ROPE: Settings = {
    "full_attention": {"partial_rotary_factor": 0.25, "rope_theta": 1000000.0, "rope_type": "proportional"},
    "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
}
_SPECIAL = ("<|image>", "<|audio>", "<|turn>", "<turn|>", "<|image|>", "<|audio|>", "<image|>", "<audio|>", "<|video|>")
_MARKS = {
    "audio_token": "<|audio|>", "boa_token": "<|audio>", "boi_token": "<|image>", "eoa_token": "<audio|>",
    "eoi_token": "<image|>", "image_token": "<|image|>",
}  # fmt: skip
_NAMED = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "mask", "pad", "unk")}
_SPECTRUM: Settings = {
    "dither": 0.0, "feature_extractor_type": "Gemma4AudioFeatureExtractor", "feature_size": 128, "fft_length": 512,
    "fft_overdrive": False, "frame_length": 320, "hop_length": 160, "input_scale_factor": 1.0, "max_frequency": 8000.0,
    "mel_floor": 0.001, "min_frequency": 0.0, "padding_side": "right", "padding_value": 0.0, "per_bin_mean": None,
    "per_bin_stddev": None, "preemphasis": 0.0, "preemphasis_htk_flavor": True, "return_attention_mask": True,
    "sampling_rate": 16000,
}  # fmt: skip
_EARS: Settings = {
    "attention_chunk_size": 12, "attention_context_left": 13, "attention_context_right": 0,
    "attention_invalid_logits_value": -1000000000.0, "attention_logit_cap": 50.0, "conv_kernel_size": 5,
    "dtype": "bfloat16", "gradient_clipping": 10000000000.0, "hidden_act": "silu", "hidden_size": 32,
    "initializer_range": 0.02, "model_type": "gemma4_audio", "num_attention_heads": 4, "num_hidden_layers": 3,
    "output_proj_dims": 24, "residual_weight": 0.5, "rms_norm_eps": 1e-06, "subsampling_conv_channels": [128, 8],
    "use_clipped_linears": True,
}  # fmt: skip
_EYES: Settings = {
    "attention_bias": False, "attention_dropout": 0.0, "default_output_length": 280, "dtype": "bfloat16",
    "global_head_dim": 8, "head_dim": 8, "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 32,
    "initializer_range": 0.02, "intermediate_size": 48, "max_position_embeddings": 4096, "model_type": "gemma4_vision",
    "num_attention_heads": 4, "num_hidden_layers": 1, "num_key_value_heads": 4, "patch_size": 4,
    "pooling_kernel_size": 3, "position_embedding_size": 64, "rms_norm_eps": 1e-06,
    "rope_parameters": {"rope_theta": 100.0, "rope_type": "default"}, "standardize": False,
    "use_clipped_linears": True,
}  # fmt: skip


def _tokenizer(special: tuple[str, ...]) -> Any:
    return vocabularies.spaced("GemmaTokenizer", GEMMA_FIRST, special, fallback=True, begin="<bos>")


def _template(open_turn: str, close_turn: str, sound: str) -> str:
    return (
        "{{ bos_token }}{% for message in messages %}" + open_turn + "{{ 'model' if message['role'] == 'assistant' "
        "else message['role'] }}\n{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
        "{% for content in message['content'] %}{{ '" + sound + "' if content['type'] == 'audio' else "
        "content['text'] | trim }}{% endfor %}{% endif %}" + close_turn + "\n{% endfor %}"
        "{% if add_generation_prompt %}" + open_turn + "model\n{% endif %}"
    )


def _ids(tokenizer: Any) -> Settings:
    """Return the ids of what stands for sound and images, as Gemma 4's configurations name them."""
    at = tokenizer.convert_tokens_to_ids
    return {
        "audio_token_id": at("<|audio|>"), "boa_token_id": at("<|audio>"), "boi_token_id": at("<|image>"),
        "eoa_token_id": at("<audio|>"), "eoa_token_index": at("<audio|>"), "eoi_token_id": at("<image|>"),
        "image_token_id": at("<|image|>"), "video_token_id": at("<|video|>"),
    }  # fmt: skip


def _files(kind: str, features: Settings) -> dict[str, Any]:
    image = {"image_processor_type": "Gemma4ImageProcessor", "max_soft_tokens": 280, "patch_size": 16}
    return {
        "chat_template.jinja": _template("<|turn>", "<turn|>", "<|audio|>"),
        "processor_config.json": {
            "audio_ms_per_token": 40, "audio_seq_length": 750, "feature_extractor": features,
            "image_processor": image | {"image_seq_length": 280, "pooling_kernel_size": 3}, "image_seq_length": 280,
            "processor_class": kind,
            "video_processor": {"max_soft_tokens": 70, "video_processor_type": "Gemma4VideoProcessor"},
        },
        "tokenizer_config.json": {
            "backend": "tokenizers", "extra_special_tokens": ["<|video|>"], "padding_side": "left",
            "processor_class": kind, "tokenizer_class": "GemmaTokenizer",
        } | _NAMED | _MARKS,
    }  # fmt: skip


def _shared(prefix: str, layers: range, width: int, heads: dict[int, int]) -> list[tuple[str, tuple[int, ...]]]:
    """Return what a release keeps for layers that read the keys and values of an earlier one, and nothing reads."""
    arrays: list[tuple[str, tuple[int, ...]]] = []
    for layer in layers:
        at = f"{prefix}.layers.{layer}.self_attn"
        arrays += [(f"{at}.{name}_proj.weight", (heads[layer], width)) for name in "kv"]
        arrays.append((f"{at}.k_norm.weight", (heads[layer],)))
    return arrays


def gemma_4() -> Released:
    """Gemma 4 E2B: an encoder of speech, an embedding for each layer, the last layers without keys of their own."""
    tokenizer = _tokenizer(_SPECIAL)
    size = len(tokenizer)
    text = _TEXT | {
        "attention_k_eq_v": False, "enable_moe_block": False, "expert_intermediate_size": None, "global_head_dim": 16,
        "hidden_size_per_layer_input": 8, "model_type": "gemma4_text", "num_experts": None,
        "num_global_key_value_heads": None, "num_kv_shared_layers": 2, "rope_parameters": _ROPE, "top_k_experts": None,
        "use_bidirectional_attention": None, "use_double_wide_mlp": True, "vocab_size": size,
        "vocab_size_per_layer_input": size,
    }  # fmt: skip
    config = _ids(tokenizer) | {
        "architectures": ["Gemma4ForConditionalGeneration"], "audio_config": _EARS, "dtype": "bfloat16",
        "eos_token_id": [1, tokenizer.convert_tokens_to_ids("<turn|>")], "initializer_range": 0.02,
        "model_type": "gemma4", "text_config": text, "tie_word_embeddings": True, "vision_config": _EYES,
        "vision_soft_tokens_per_image": 280,
    }  # fmt: skip
    generation = {"bos_token_id": 2, "eos_token_id": config["eos_token_id"], "pad_token_id": 0}
    return Released(
        "google/gemma-4-E2B-it", config, _files("Gemma4Processor", _SPECTRUM) | {"generation_config.json": generation},
        lambda: tokenizer, added=_shared("model.language_model", range(2, 4), 32, {2: 8, 3: 16}), dtype="bfloat16",
    )  # fmt: skip


def gemma_4_unified() -> Released:
    """Gemma 4 12B: no encoder, samples are projected 640 at a time."""
    tokenizer = _tokenizer(_SPECIAL)
    size = len(tokenizer)
    text = _TEXT | {
        "attention_k_eq_v": False, "global_head_dim": 16, "model_type": "gemma4_unified_text",
        "num_kv_shared_layers": 0, "rope_parameters": _ROPE, "sliding_window": 1024,
        "use_bidirectional_attention": "vision", "vocab_size": size,
    }  # fmt: skip
    config = _ids(tokenizer) | {
        "architectures": ["Gemma4UnifiedForConditionalGeneration"],
        "audio_config": {"audio_embed_dim": 640, "model_type": "gemma4_unified_audio", "rms_norm_eps": 1e-06},
        "dtype": "bfloat16", "model_type": "gemma4_unified", "text_config": text, "tie_word_embeddings": True,
        "vision_config": {
            "mm_embed_dim": 32, "mm_posemb_size": 16, "model_type": "gemma4_unified_vision", "output_proj_dims": 32,
            "patch_size": 2, "pooling_kernel_size": 3,
        },
    }  # fmt: skip
    features = {
        "audio_samples_per_token": 640, "feature_extractor_type": "Gemma4UnifiedAudioFeatureExtractor",
        "feature_size": 640, "padding_side": "right", "padding_value": 0.0, "return_attention_mask": True,
        "sampling_rate": 16000,
    }  # fmt: skip
    return Released(
        "google/gemma-4-12B-it", config, _files("Gemma4UnifiedProcessor", features), lambda: tokenizer,
        renamed=(
            (r"embed_vision\.multimodal_embedder\.", "embed_vision."),
            (r"embed_vision\.(patch_|pos_)", r"vision_embedder.\1"),
        ),
        dtype="bfloat16",
    )  # fmt: skip


def embedding_gemma_2() -> Released:
    """EmbeddingGemma 2: attends in both directions; text and speech end in one space; the mean is the embedding."""
    tokenizer = _tokenizer(_SPECIAL)
    text = _TEXT | {
        "embedding_dim": 24, "hidden_size_per_layer_input": 8, "model_type": "embedding_gemma2_text",
        "num_key_value_heads": 2, "rope_parameters": _ROPE, "vocab_size": len(tokenizer),
    }  # fmt: skip
    for key in ("final_logit_softcapping", "tie_word_embeddings", "use_cache"):
        del text[key]
    config = _ids(tokenizer) | {
        "architectures": ["EmbeddingGemma2Model"], "audio_config": _EARS, "dtype": "bfloat16",
        "initializer_range": 0.02, "model_type": "embedding_gemma2", "text_config": text, "vision_config": _EYES,
    }  # fmt: skip
    files = _files("EmbeddingGemma2Processor", _SPECTRUM) | sentence_modules("mean", 24)
    return Released("google/embeddinggemma-2", config, files, lambda: tokenizer, dtype="bfloat16")


def gemma_3n() -> Released:
    """Gemma 3n: 188 positions whatever was said, streams side by side; what sees wants a library of its own."""
    special = ("<image_soft_token>", "<audio_soft_token>", "<start_of_image>", "<start_of_audio>", "<end_of_image>",
        "<end_of_audio>", "<start_of_turn>", "<end_of_turn>")  # fmt: skip
    tokenizer = _tokenizer(special)
    at, size = tokenizer.convert_tokens_to_ids, len(tokenizer)
    # rows for sound and images come after the text's, which alone have an embedding for each layer
    text = _TEXT | {
        "activation_sparsity_pattern": [0.95, 0.95, 0.0, 0.0], "altup_active_idx": 0, "altup_coef_clip": 120.0,
        "altup_correct_scale": True, "altup_lr_multiplier": 1.0, "altup_num_inputs": 2,
        "hidden_size_per_layer_input": 8, "intermediate_size": [48] * len(_LAYERS), "laurel_rank": 4,
        "model_type": "gemma3n_text", "num_key_value_heads": 2, "num_kv_shared_layers": 2,
        "rope_local_base_freq": 10000.0, "rope_scaling": None, "rope_theta": 1000000.0, "torch_dtype": "bfloat16",
        "vocab_size": size + 16, "vocab_size_per_layer_input": size,
    }  # fmt: skip
    del text["dtype"], text["tie_word_embeddings"]
    ears = {
        "conf_attention_chunk_size": 12, "conf_attention_context_left": 13, "conf_attention_context_right": 0,
        "conf_attention_logit_cap": 50.0, "conf_conv_kernel_size": 5, "conf_num_attention_heads": 4,
        "conf_num_hidden_layers": 3, "conf_reduction_factor": 4, "conf_residual_weight": 0.5,
        "gradient_clipping": 10000000000.0, "hidden_size": 32, "input_feat_size": 128, "model_type": "gemma3n_audio",
        "rms_norm_eps": 1e-06, "sscp_conv_channel_size": [16, 8], "sscp_conv_kernel_size": [[3, 3], [3, 3]],
        "sscp_conv_stride_size": [[2, 2], [2, 2]], "torch_dtype": "bfloat16", "vocab_offset": size + 8,
        "vocab_size": 8,
    }  # fmt: skip
    eyes = {
        "architecture": "mobilenetv5_300m_enc", "do_pooling": False, "hidden_size": 32, "model_args": None,
        "model_type": "gemma3n_vision", "rms_norm_eps": 1e-06, "torch_dtype": "bfloat16", "vocab_offset": size,
        "vocab_size": 8,
    }  # fmt: skip
    config = {
        "architectures": ["Gemma3nForConditionalGeneration"], "audio_config": ears, "audio_soft_tokens_per_image": 188,
        "audio_token_id": at("<audio_soft_token>"), "boa_token_id": at("<start_of_audio>"),
        "boi_token_id": at("<start_of_image>"), "eoa_token_id": at("<end_of_audio>"),
        "eoi_token_id": at("<end_of_image>"), "eos_token_id": [1, at("<end_of_turn>")],
        "image_token_id": at("<image_soft_token>"), "initializer_range": 0.02, "model_type": "gemma3n",
        "text_config": text, "torch_dtype": "bfloat16", "vision_config": eyes, "vision_soft_tokens_per_image": 256,
    }  # fmt: skip
    features = {
        "dither": 0.0, "feature_extractor_type": "Gemma3nAudioFeatureExtractor", "feature_size": 128,
        "fft_length": 1024, "fft_overdrive": True, "frame_length": 512, "hop_length": 160,
        "image_processor_type": "SiglipImageProcessorFast", "input_scale_factor": 1.0, "max_frequency": 7600.0,
        "mel_floor": 1e-05, "min_frequency": 125.0, "padding_side": "right", "padding_value": 0.0, "preemphasis": 0.97,
        "preemphasis_htk_flavor": True, "processor_class": "Gemma3nProcessor", "return_attention_mask": False,
        "sampling_rate": 16000,
    }  # fmt: skip
    marks = {
        "audio_token": "<audio_soft_token>", "boa_token": "<start_of_audio>", "boi_token": "<start_of_image>",
        "eoa_token": "<end_of_audio>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>",
    }  # fmt: skip
    settings: Settings = {"add_bos_token": True, "extra_special_tokens": marks, "tokenizer_class": "GemmaTokenizer"}
    generation = {"bos_token_id": 2, "eos_token_id": [1, at("<end_of_turn>")], "pad_token_id": 0}
    files: dict[str, Any] = {
        "chat_template.jinja": _template("<start_of_turn>", "<end_of_turn>", "<audio_soft_token>"),
        "generation_config.json": generation, "preprocessor_config.json": features,
        "processor_config.json": {
            "audio_seq_length": 188, "image_seq_length": 256, "processor_class": "Gemma3nProcessor",
        },
        "tokenizer_config.json": settings | {"processor_class": "Gemma3nProcessor"} | _NAMED | marks,
    }  # fmt: skip
    eye = "model.vision_tower.timm_model"
    added = [
        (f"{eye}.conv_stem.conv.weight", (16, 3, 3, 3)),
        (f"{eye}.conv_stem.bn.weight", (16,)),
        *_shared("model.language_model", range(2, 4), 32, {2: 16, 3: 16}),
    ]
    return Released("google/gemma-3n-E2B-it", config, files, lambda: tokenizer, added=added, shards=3, dtype="bfloat16")
