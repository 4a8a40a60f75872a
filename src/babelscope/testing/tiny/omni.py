"""Qwen's omni models in small: what hears and reads (the thinker), and what speaks, which no loader here needs."""

from __future__ import annotations

from typing import Any

from babelscope.testing.tiny import vocabularies
from babelscope.testing.tiny.speech_encoders import log_mel
from babelscope.testing.tiny.text_models import DECODER, QWEN_SPECIAL, chatml, qwen_files, qwen_tokenizer
from babelscope.testing.tiny.writing import Released, Settings

_START = vocabularies.BYTE_PIECES
_SIZE = _START + 32

#: The encoder of speech, as both spell it.
_TOWER: Settings = {
    "activation_dropout": 0.0, "activation_function": "gelu", "attention_dropout": 0.0, "d_model": 16, "dropout": 0.0,
    "encoder_attention_heads": 4, "encoder_ffn_dim": 24, "encoder_layers": 3, "max_source_positions": 1500,
    "num_hidden_layers": 3, "num_mel_bins": 128, "output_dim": 32, "scale_embedding": False,
}  # fmt: skip
_EYES: Settings = {
    "depth": 1, "hidden_size": 32, "in_channels": 3, "intermediate_size": 32, "num_heads": 4, "out_hidden_size": 32,
    "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip
_EYES_FEATURES: Settings = {
    "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "Qwen2VLImageProcessor", "image_std": [0.5, 0.5, 0.5],
    "max_pixels": 12845056, "merge_size": 2, "min_pixels": 3136, "temporal_patch_size": 2,
}  # fmt: skip
_LONG: Settings = {"n_samples": 4800000, "nb_max_frames": 30000, "return_attention_mask": True, "dither": 0.0}


def _decoder(**more: Any) -> Settings:
    rope = {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"}
    return DECODER | {"rope_scaling": rope, "rope_theta": 1000000.0, "use_sliding_window": False} | more


#: Names of the thinker's arrays in the file, from today's.
_THINKER = (
    (r"^thinker\.model\.(audio_tower|visual)\.", r"thinker.\1."),
    (r"^thinker\.model\.language_model\.", "thinker.model."),
)


def _files(special: tuple[str, ...], kind: str, marks: dict[str, str], template: str) -> dict[str, Any]:
    settings: Settings = {"extra_special_tokens": marks, "processor_class": kind, "split_special_tokens": False} | marks
    files = qwen_files(special, template, **settings)
    files["chat_template.json"] = {"chat_template": template}
    return files


def qwen2_5_omni() -> Released:
    """Qwen2.5-Omni: the class that the release names is gone; the thinker's names begin with ``thinker.``."""
    special = (*QWEN_SPECIAL, "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<|box_end|>", "<|quad_start|>",
        "<|quad_end|>", "<|vision_bos|>", "<|vision_eos|>", "<|vision_pad|>", "<|IMAGE|>", "<|VIDEO|>")  # fmt: skip
    ids = {token: _START + number for number, token in enumerate(special)}
    sound = {
        "audio_end_token_id": ids["<|audio_eos|>"], "audio_start_token_id": ids["<|audio_bos|>"],
        "audio_token_index": ids["<|AUDIO|>"], "image_token_index": ids["<|IMAGE|>"], "position_id_per_seconds": 25,
        "seconds_per_chunk": 2, "torch_dtype": "bfloat16", "video_token_index": ids["<|VIDEO|>"],
        "vision_end_token_id": ids["<|vision_eos|>"], "vision_start_token_id": ids["<|vision_bos|>"],
    }  # fmt: skip
    text = _decoder(model_type="qwen2_5_omni_text", tie_word_embeddings=False, vocab_size=_SIZE)
    del text["initializer_range"]
    thinker = sound | {
        "architectures": ["Qwen2OmniNaViTThinkerForConditionalGeneration"],
        "audio_config": _TOWER | {"model_type": "qwen2_5_omni_audio_encoder", "n_window": 100},
        "bos_token_id": ids["<|im_start|>"], "eos_token_id": ids["<|im_end|>"], "ignore_index": -100,
        "model_type": "qwen2_5_omni_thinker", "pad_token_id": ids["<|endoftext|>"], "text_config": text,
        "user_token_id": 82,
        "vision_config": _EYES | {
            "embed_dim": 32, "fullatt_block_indexes": [0], "hidden_act": "silu",
            "model_type": "qwen2_5_omni_vision_encoder", "patch_size": 14, "window_size": 112,
        },
        "vision_token_id": ids["<|vision_pad|>"],
    }  # fmt: skip
    codes = {f"tts_codec_{name}_token_id": 40 + number for number, name in enumerate(("pad", "start", "end", "mask"))}
    texts = {f"tts_text_{name}_token_id": _START + 20 + number for number, name in enumerate(("pad", "start", "end"))}
    talker = _decoder(
        architectures=["Qwen2OmniTalkerForConditionalGeneration"], embedding_size=32, head_dim=8, hidden_size=16,
        model_type="qwen2_5_omni_talker", num_hidden_layers=1, vocab_size=48, **texts, **codes, **sound,
    )  # fmt: skip
    # the class reads these keys and not the release's depth, dim and heads
    small = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    voice = {
        "bigvgan_config": {
            "mel_dim": 8, "model_type": "qwen2_5_omni_bigvgan", "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]],
            "resblock_kernel_sizes": [3, 7], "upsample_initial_channel": 16, "upsample_kernel_sizes": [11, 7],
            "upsample_rates": [5, 3],
        },
        "dit_config": {
            "depth": 1, "dim": 16, "emb_dim": 8, "enc_attention_channels": 8, "enc_channels": [16, 16, 16, 16, 48],
            "enc_dim": 8, "enc_emb_dim": 8, "enc_se_channels": 8, "head_dim": 8, "heads": 2, "mel_dim": 8,
            "model_type": "qwen2_5_omni_dit", "num_embeds": 49, "torch_dtype": "float32", **small,
        },
        "model_type": "qwen2_5_omni_token2wav",
    }  # fmt: skip
    config = {
        "architectures": ["Qwen2_5OmniModel"], "enable_audio_output": True, "enable_talker": True,
        "model_type": "qwen2_5_omni", "talker_config": talker, "thinker_config": thinker, "token2wav_config": voice,
        "torch_dtype": "bfloat16",
    }  # fmt: skip
    marks = {
        "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>", "audio_token": "<|AUDIO|>",
        "image_token": "<|IMAGE|>", "video_token": "<|VIDEO|>", "vision_bos_token": "<|vision_bos|>",
        "vision_eos_token": "<|vision_eos|>",
    }  # fmt: skip
    features = log_mel("Qwen2_5OmniProcessor", 128, chunk_length=300, patch_size=14, **_LONG) | _EYES_FEATURES
    template = chatml("<|audio_bos|><|AUDIO|><|audio_eos|>")
    return Released(
        "Qwen/Qwen2.5-Omni-3B", config,
        _files(special, "Qwen2_5OmniProcessor", marks, template)
        | {"generation_config.json": {"_from_model_config": True}, "preprocessor_config.json": features},
        lambda: qwen_tokenizer(special), renamed=_THINKER,
        added=(("token2wav.code2wav_dit_model.rotary_embed.inv_freq", (4,)),), shards=3, dtype="bfloat16",
        kept=r"^token2wav\.", sizes=tuple(f"token2wav_config.dit_config.{key}" for key in small),
        whole="Qwen2_5OmniForConditionalGeneration", loaded_as="Qwen2_5OmniThinkerForConditionalGeneration",
    )  # fmt: skip


def qwen3_omni() -> Released:
    """Qwen3-Omni: experts are separate in the file and one array in the class."""
    special = (*QWEN_SPECIAL, "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
        "<|audio_start|>", "<|audio_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>", "<tts_text_bos_single>",
        "<|audio_pad|>")  # fmt: skip
    ids = {token: _START + number for number, token in enumerate(special)}
    sound = {
        "audio_end_token_id": ids["<|audio_end|>"], "audio_start_token_id": ids["<|audio_start|>"],
        "audio_token_id": ids["<|audio_pad|>"], "image_token_id": ids["<|image_pad|>"], "position_id_per_seconds": 13,
        "seconds_per_chunk": 2, "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
    }  # fmt: skip
    rope = {"interleaved": True, "mrope_section": [2, 1, 1], "rope_type": "default", "type": "default"}  # fmt: skip
    experts = {
        "attention_bias": False, "decoder_sparse_step": 1, "head_dim": 8, "mlp_only_layers": [],
        "moe_intermediate_size": 16, "norm_topk_prob": True, "num_experts": 4, "num_experts_per_tok": 2,
    }  # fmt: skip
    text = _decoder(
        model_type="qwen3_omni_moe_text",
        rope_scaling=rope | {"mrope_interleaved": True},
        rope_theta=1000000,
        shared_expert_intermediate_size=0,
        tie_word_embeddings=False,
        use_qk_norm=True,
        vocab_size=_SIZE,
    )
    thinker = sound | {
        "audio_config": _TOWER | {
            "conv_chunksize": 500, "downsample_hidden_size": 8, "model_type": "qwen3_omni_moe_audio_encoder",
            "n_window": 50, "n_window_infer": 800,
        },
        "dtype": "bfloat16", "initializer_range": 0.02, "model_type": "qwen3_omni_moe_thinker",
        "text_config": text | experts, "user_token_id": 82,
        "vision_config": _EYES | {
            "apply_vit_abs_pos_embed": True, "deepstack_visual_indexes": [0], "hidden_act": "gelu_pytorch_tanh",
            "image_size": 64, "model_type": "qwen3_omni_moe_vision_encoder", "patch_size": 16,
        },
        "vision_end_token_id": ids["<|vision_end|>"],
    }  # fmt: skip
    small = _decoder(hidden_size=16, intermediate_size=16, num_hidden_layers=1, rope_scaling=rope)
    predictor = {key: value for key, value in small.items() if key not in ("rope_scaling", "rope_theta")}
    talker = sound | {
        "accept_hidden_layer": 1,
        "code_predictor_config": predictor | {
            "head_dim": 8, "model_type": "qwen3_omni_moe_talker_code_predictor", "num_code_groups": 2,
            "rope_theta": 1000000, "vocab_size": 24,
        },
        "model_type": "qwen3_omni_moe_talker", "num_code_groups": 2, "spatial_merge_size": 2,
        "speaker_id": {"ethan": 23},
        "text_config": small | experts | {"shared_expert_intermediate_size": 8, "vocab_size": 24},
        "thinker_hidden_size": 32,
    }  # fmt: skip
    del talker["vision_start_token_id"]
    voice = {
        "attention_bias": False, "attention_dropout": 0.0, "codebook_dim": 8, "codebook_size": 24, "decoder_dim": 16,
        "hidden_act": "silu", "hidden_size": 16, "intermediate_size": 16, "layer_scale_initial_scale": 0.01,
        "max_position_embeddings": 8000, "model_type": "", "num_attention_heads": 2, "num_hidden_layers": 1,
        "num_key_value_heads": 2, "num_quantizers": 2, "num_semantic_quantizers": 1, "rms_norm_eps": 1e-05,
        "rope_theta": 10000, "semantic_codebook_size": 24, "sliding_window": 72, "upsample_rates": [4, 3],
        "upsampling_ratios": [2, 2], "vector_quantization_hidden_dimension": 8,
    }  # fmt: skip
    config = {
        "architectures": ["Qwen3OmniMoeForConditionalGeneration"], "assistant_token_id": 83, "code2wav_config": voice,
        "dtype": "bfloat16", "enable_audio_output": True, "im_end_token_id": ids["<|im_end|>"],
        "im_start_token_id": ids["<|im_start|>"], "model_type": "qwen3_omni_moe", "system_token_id": 84,
        "talker_config": talker, "thinker_config": thinker, "tts_bos_token_id": ids["<tts_text_bos>"],
        "tts_eos_token_id": ids["<tts_text_eod>"], "tts_pad_token_id": ids["<tts_pad>"], "user_token_id": 82,
    }  # fmt: skip
    marks = {
        "audio_bos_token": "<|audio_start|>", "audio_eos_token": "<|audio_end|>", "audio_token": "<|audio_pad|>",
        "image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "vision_bos_token": "<|vision_start|>",
        "vision_eos_token": "<|vision_end|>",
    }  # fmt: skip
    features = log_mel("Qwen3OmniMoeProcessor", 128, patch_size=16, **_LONG) | _EYES_FEATURES
    del features["chunk_length"]
    template = chatml("<|audio_start|><|audio_pad|><|audio_end|>", system="")
    return Released(
        "Qwen/Qwen3-Omni-30B-A3B-Instruct", config,
        _files(special, "Qwen3OmniMoeProcessor", marks, template)
        | {"generation_config.json": {"talker_top_k": 50}, "preprocessor_config.json": features},
        lambda: qwen_tokenizer(special), renamed=_THINKER, shards=15, dtype="bfloat16",
        loaded_as="Qwen3OmniMoeThinkerForConditionalGeneration",
    )  # fmt: skip
