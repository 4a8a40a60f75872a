"""Speech encoders in small: Whisper, and those that read samples or spectra without a language model."""

from __future__ import annotations

from typing import Any

from babelscope.testing.tiny import vocabularies
from babelscope.testing.tiny.writing import Released, Settings

_WHISPER_SPECIAL = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|de|>", "<|es|>", "<|ru|>",
    "<|fr|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>",
    "<|notimestamps|>")  # fmt: skip
_END = vocabularies.BYTE_PIECES


def log_mel(kind: str, mels: int, **more: Any) -> Settings:
    """Return the ``preprocessor_config.json`` of a model that hears as Whisper does."""
    return {
        "chunk_length": 30, "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": mels,
        "hop_length": 160, "n_fft": 400, "n_samples": 480000, "nb_max_frames": 3000, "padding_side": "right",
        "padding_value": 0.0, "processor_class": kind, "return_attention_mask": False, "sampling_rate": 16000,
    } | more  # fmt: skip


def whisper() -> Released:
    """Whisper: names begin with ``model.``, the head is tied and absent."""
    config = {
        "architectures": ["WhisperForConditionalGeneration"], "activation_function": "gelu",
        "begin_suppress_tokens": [220, _END], "bos_token_id": _END, "d_model": 16, "decoder_attention_heads": 4,
        "decoder_ffn_dim": 24, "decoder_layers": 1, "decoder_start_token_id": _END + 1, "encoder_attention_heads": 4,
        "encoder_ffn_dim": 24, "encoder_layers": 3, "eos_token_id": _END, "is_encoder_decoder": True,
        "max_source_positions": 1500, "max_target_positions": 448, "model_type": "whisper", "num_hidden_layers": 3,
        "num_mel_bins": 80, "pad_token_id": _END, "scale_embedding": False, "torch_dtype": "float16",
        "use_cache": True, "vocab_size": _END + len(_WHISPER_SPECIAL),
    }  # fmt: skip
    languages = {token: _END + number for number, token in enumerate(_WHISPER_SPECIAL) if len(token) == 6}
    generation = {
        "bos_token_id": _END, "decoder_start_token_id": _END + 1, "eos_token_id": _END, "is_multilingual": True,
        "lang_to_id": languages, "no_timestamps_token_id": _END + len(_WHISPER_SPECIAL) - 1, "pad_token_id": _END,
        "task_to_id": {"transcribe": _END + 9, "translate": _END + 8},
    }  # fmt: skip
    named = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "<|endoftext|>")
    return Released(
        "openai/whisper-large-v3-turbo", config,
        {
            "generation_config.json": generation,
            "preprocessor_config.json": log_mel("WhisperProcessor", 80, dither=0.0),
            "tokenizer_config.json": {
                "additional_special_tokens": list(_WHISPER_SPECIAL[1:]),
                "errors": "replace",
                "model_max_length": 1024,
                "processor_class": "WhisperProcessor",
                "tokenizer_class": "WhisperTokenizer",
            }
            | named,
        },
        lambda: vocabularies.byte_level("WhisperTokenizer", _WHISPER_SPECIAL, **named), dtype="float16",
    )  # fmt: skip


_SAMPLES: Settings = {
    "activation_dropout": 0.0, "apply_spec_augment": True, "attention_dropout": 0.1, "bos_token_id": 1,
    "codevector_dim": 8, "conv_dim": [16] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2], "eos_token_id": 2, "feat_extract_activation": "gelu",
    "feat_quantizer_dropout": 0.0, "hidden_act": "gelu", "hidden_size": 32, "intermediate_size": 48,
    "layer_norm_eps": 1e-05, "layerdrop": 0.05, "mask_time_prob": 0.05, "num_attention_heads": 4,
    "num_codevector_groups": 2, "num_codevectors_per_group": 6, "num_conv_pos_embedding_groups": 4,
    "num_conv_pos_embeddings": 16, "num_feat_extract_layers": 7, "num_hidden_layers": 3, "pad_token_id": 0,
    "proj_codevector_dim": 8, "torch_dtype": "float32", "vocab_size": 32,
}  # fmt: skip
_GROUP: Settings = {"conv_bias": False, "do_stable_layer_norm": False, "feat_extract_norm": "group"}
_LAYER: Settings = {"conv_bias": True, "do_stable_layer_norm": True, "feat_extract_norm": "layer"}
#: The older names of a normalised weight's length and direction.
_WEIGHT_NORM = (
    (r"parametrizations\.weight\.original0$", "weight_g"),
    (r"parametrizations\.weight\.original1$", "weight_v"),
)


def _samples(model: str, kind: str, model_type: str, norm: Settings, normalised: bool, **more: Any) -> Released:
    """Return an encoder that reads samples; `normalised` says whether each recording is set to variance 1."""
    features = {
        "do_normalize": normalised, "feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1,
        "padding_side": "right", "padding_value": 0, "return_attention_mask": norm is _LAYER, "sampling_rate": 16000,
    }  # fmt: skip
    config = _SAMPLES | norm | {"architectures": [kind], "model_type": model_type} | more
    return Released(model, config, {"preprocessor_config.json": features}, renamed=_WEIGHT_NORM)


def wav2vec2() -> Released:
    """wav2vec 2.0 base, with group norm in front and a head for letters."""
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
    base = _samples("facebook/wav2vec2-base-960h", "Wav2Vec2ForCTC", "wav2vec2", _GROUP, True)
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    files: dict[str, Any] = {
        "special_tokens_map.json": named,
        "tokenizer_config.json": {
            "do_lower_case": False, "tokenizer_class": "Wav2Vec2CTCTokenizer", "word_delimiter_token": "|",
        } | named,
        "vocab.json": {letter: number for number, letter in enumerate(letters)},
    }  # fmt: skip
    return Released(base.model, base.config, {**base.files, **files}, renamed=base.renamed)


def xls_r() -> Released:
    """XLS-R (and MMS): layer norm in front, with the quantizer of its training."""
    return _samples("facebook/wav2vec2-xls-r-300m", "Wav2Vec2ForPreTraining", "wav2vec2", _LAYER, True)


def hubert() -> Released:
    """HuBERT base, with group norm in front."""
    return _samples("facebook/hubert-base-ls960", "HubertModel", "hubert", _GROUP, True)


def hubert_large() -> Released:
    """HuBERT large, with layer norm in front."""
    return _samples("facebook/hubert-large-ll60k", "HubertModel", "hubert", _LAYER, True)


def wavlm() -> Released:
    """WavLM base plus: group norm in front, the first layer's table of distances used by all."""
    return _samples("microsoft/wavlm-base-plus", "WavLMModel", "wavlm", _GROUP, False, num_buckets=8)


def wavlm_large() -> Released:
    """WavLM large: layer norm in front."""
    return _samples("microsoft/wavlm-large", "WavLMModel", "wavlm", _LAYER | {"conv_bias": False}, False, num_buckets=8)


def w2v_bert() -> Released:
    """w2v-BERT 2.0: filterbanks, two frames a position; no adapter."""
    config: Settings = {
        "add_adapter": False, "architectures": ["Wav2Vec2BertModel"], "conformer_conv_dropout": 0.1,
        "conv_depthwise_kernel_size": 5, "feature_projection_input_dim": 160, "hidden_act": "swish", "hidden_size": 32,
        "intermediate_size": 48, "layer_norm_eps": 1e-05, "layerdrop": 0.1, "left_max_position_embeddings": 64,
        "max_source_positions": 5000, "model_type": "wav2vec2-bert", "num_attention_heads": 4, "num_hidden_layers": 3,
        "output_hidden_size": 32, "position_embeddings_type": "relative_key", "right_max_position_embeddings": 8,
        "torch_dtype": "float32", "vocab_size": None,
    }  # fmt: skip
    features = {
        "feature_extractor_type": "SeamlessM4TFeatureExtractor", "feature_size": 80, "num_mel_bins": 80,
        "padding_side": "right", "padding_value": 1, "processor_class": "Wav2Vec2BertProcessor",
        "return_attention_mask": True, "sampling_rate": 16000, "stride": 2,
    }  # fmt: skip
    return Released("facebook/w2v-bert-2.0", config, {"preprocessor_config.json": features})


def parakeet() -> Released:
    """Parakeet: mel spectra, a fast conformer, and a head for letters."""
    encoder: Settings = {
        "activation_dropout": 0.1, "attention_bias": True, "attention_dropout": 0.1, "conv_kernel_size": 9,
        "dropout": 0.1, "dropout_positions": 0.0, "hidden_act": "silu", "hidden_size": 32, "initializer_range": 0.02,
        "intermediate_size": 48, "layerdrop": 0.1, "max_position_embeddings": 5000, "model_type": "parakeet_encoder",
        "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 4, "num_mel_bins": 80,
        "scale_input": True, "subsampling_conv_channels": 16, "subsampling_conv_kernel_size": 3,
        "subsampling_conv_stride": 2, "subsampling_factor": 8,
    }  # fmt: skip
    config = {
        "architectures": ["ParakeetForCTC"], "ctc_loss_reduction": "mean", "ctc_zero_infinity": True,
        "dtype": "bfloat16", "encoder_config": encoder, "initializer_range": 0.02, "model_type": "parakeet_ctc",
    }  # fmt: skip

    tokenizer = vocabularies.plain(("<unk>",), ("<pad>",))
    size = len(tokenizer)
    features = {
        "feature_extractor_type": "ParakeetFeatureExtractor", "feature_size": 80, "hop_length": 160, "n_fft": 512,
        "padding_side": "right", "padding_value": 0.0, "preemphasis": 0.97, "processor_class": "ParakeetProcessor",
        "return_attention_mask": True, "sampling_rate": 16000, "win_length": 400,
    }  # fmt: skip
    files: dict[str, Any] = {
        "preprocessor_config.json": features,
        "tokenizer_config.json": {
            "pad_token": "<pad>", "processor_class": "ParakeetProcessor", "tokenizer_class": "ParakeetTokenizer",
            "unk_token": "<unk>",
        },
    }  # fmt: skip
    sizes = {"pad_token_id": size - 1, "vocab_size": size}
    return Released("nvidia/parakeet-ctc-0.6b", config | sizes, files, lambda: tokenizer, dtype="bfloat16")
