"""Text encoders and decoders in small, with the files that say how an embedder pools."""

from __future__ import annotations

from typing import Any

from babelscope.testing.tiny import vocabularies
from babelscope.testing.tiny.writing import Released, Settings

_BERT: Settings = {
    "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 32,
    "intermediate_size": 48, "max_position_embeddings": 514, "num_attention_heads": 4, "num_hidden_layers": 3,
    "position_embedding_type": "absolute", "torch_dtype": "float32", "use_cache": True,
}  # fmt: skip
_FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")
_NAMED = {
    "bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "sep_token": "</s>",
    "unk_token": "<unk>",
}  # fmt: skip

#: Sizes of a decoder, as its config.json spells them.
DECODER: Settings = {
    "attention_dropout": 0.0, "hidden_act": "silu", "hidden_size": 32, "initializer_range": 0.02,
    "intermediate_size": 48, "max_position_embeddings": 4096, "num_attention_heads": 4, "num_hidden_layers": 3,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "use_cache": True,
}  # fmt: skip


def sentence_modules(mode: str, width: int, *, dense: int = 0) -> dict[str, Any]:
    """Return the files of a sentence-transformers folder that say how positions become one vector.

    Parameters
    ----------
    mode : str
        ``cls``, ``mean`` or ``lasttoken``.
    dense : int
        Width of a dense head after the pooling; 0 for none. Its weights are to be written with the rest.
    """
    kinds = ["Transformer", "Pooling", *(["Dense"] if dense else []), "Normalize"]
    modes = {"cls": "cls_token", "mean": "mean_tokens", "lasttoken": "lasttoken"}
    pooling = {f"pooling_mode_{name}": kind == mode for kind, name in modes.items()}
    files: dict[str, Any] = {
        "1_Pooling/config.json": {"word_embedding_dimension": width, "include_prompt": True} | pooling,
        "modules.json": [
            {
                "idx": index,
                "name": str(index),
                "path": f"{index}_{kind}" if index else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for index, kind in enumerate(kinds)
        ],
        "sentence_bert_config.json": {"do_lower_case": False, "max_seq_length": 256},
    }
    if dense:
        activation = "torch.nn.modules.activation.Tanh"
        head = {"in_features": width, "out_features": dense, "bias": True, "activation_function": activation}
        files["2_Dense/config.json"] = head
    return files


def _xlm_r(model: str, kind: str, files: dict[str, Any]) -> Released:
    tokenizer = vocabularies.unigram("XLMRobertaTokenizer", _FAIRSEQ, ("<mask>",))
    config = _BERT | {
        "architectures": [kind], "bos_token_id": 0, "eos_token_id": 2, "layer_norm_eps": 1e-05,
        "model_type": "xlm-roberta", "output_past": True, "pad_token_id": 1, "type_vocab_size": 1,
        "vocab_size": len(tokenizer),
    }  # fmt: skip
    settings = {"model_max_length": 512, "tokenizer_class": "XLMRobertaTokenizer", "mask_token": "<mask>"} | _NAMED
    return Released(model, config, {"tokenizer_config.json": settings, **files}, lambda: tokenizer)


def xlm_r() -> Released:
    """XLM-R with its head for masked words."""
    return _xlm_r("FacebookAI/xlm-roberta-base", "XLMRobertaForMaskedLM", {})


def bge_m3() -> Released:
    """BGE-M3: an XLM-R whose first position is the sentence's vector."""
    return _xlm_r("BAAI/bge-m3", "XLMRobertaModel", sentence_modules("cls", 32))


def e5() -> Released:
    """The multilingual E5: an XLM-R whose mean over positions is the sentence's vector."""
    return _xlm_r("intfloat/multilingual-e5-large", "XLMRobertaModel", sentence_modules("mean", 32))


def labse() -> Released:
    """LaBSE: a cased BERT, its first position, then a dense head with tanh."""
    first = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    tokenizer = vocabularies.word_pieces("BertTokenizer", first, do_lower_case=False)
    config = _BERT | {
        "architectures": ["BertModel"], "directionality": "bidi", "gradient_checkpointing": False,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert", "pad_token_id": 0,
        "pooler_fc_size": 32, "pooler_type": "first_token_transform", "type_vocab_size": 2,
        "vocab_size": len(tokenizer),
    }  # fmt: skip
    del config["torch_dtype"]
    named = {"cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]", "sep_token": "[SEP]"}
    settings = {"do_lower_case": False, "model_max_length": 512, "unk_token": "[UNK]", "strip_accents": None} | named
    return Released(
        "sentence-transformers/LaBSE", config,
        {"tokenizer_config.json": settings, **sentence_modules("cls", 32, dense=32)}, lambda: tokenizer,
        other_weights={"2_Dense/model.safetensors": (("linear.weight", (32, 32)), ("linear.bias", (32,)))},
    )  # fmt: skip


def nllb() -> Released:
    """NLLB-200: an encoder and a decoder with one table of embeddings; a language's code before the sentence."""
    languages = ("arb_Arab", "deu_Latn", "eng_Latn", "fra_Latn", "rus_Cyrl", "spa_Latn", "zho_Hans")
    tokenizer = vocabularies.spaced(
        "NllbTokenizer", _FAIRSEQ, (*languages, "<mask>"), additional_special_tokens=list(languages)
    )
    config = {
        "activation_function": "relu", "architectures": ["M2M100ForConditionalGeneration"], "bos_token_id": 0,
        "d_model": 32, "decoder_attention_heads": 4, "decoder_ffn_dim": 48, "decoder_layers": 1,
        "decoder_start_token_id": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 48, "encoder_layers": 3,
        "eos_token_id": 2, "is_encoder_decoder": True, "max_position_embeddings": 1024, "model_type": "m2m_100",
        "num_hidden_layers": 3, "pad_token_id": 1, "scale_embedding": True, "tokenizer_class": "NllbTokenizer",
        "torch_dtype": "float32", "vocab_size": len(tokenizer),
    }  # fmt: skip
    settings = {
        "additional_special_tokens": list(languages), "mask_token": "<mask>", "model_max_length": 1024,
        "src_lang": None, "tgt_lang": None, "tokenizer_class": "NllbTokenizer",
    } | _NAMED  # fmt: skip
    generation = {"bos_token_id": 0, "decoder_start_token_id": 2, "eos_token_id": 2, "max_length": 200}
    files: dict[str, Any] = {"generation_config.json": generation, "tokenizer_config.json": settings}
    return Released("facebook/nllb-200-distilled-600M", config, files, lambda: tokenizer)


def mt5() -> Released:
    """MT5: relative distances from the first layer's table; the head is in the file, and said not to be tied."""
    tokenizer = vocabularies.unigram("T5Tokenizer", ("<pad>", "</s>", "<unk>"), extra_ids=0)
    config = {
        "architectures": ["MT5ForConditionalGeneration"], "d_ff": 48, "d_kv": 8, "d_model": 32,
        "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1, "feed_forward_proj": "gated-gelu",
        "initializer_factor": 1.0, "is_encoder_decoder": True, "layer_norm_epsilon": 1e-06, "model_type": "mt5",
        "num_decoder_layers": 1, "num_heads": 4, "num_layers": 3, "pad_token_id": 0,
        "relative_attention_num_buckets": 32, "tie_word_embeddings": False, "tokenizer_class": "T5Tokenizer",
        "vocab_size": len(tokenizer),
    }  # fmt: skip
    settings: Settings = {"eos_token": "</s>", "extra_ids": 0, "pad_token": "<pad>", "unk_token": "<unk>"}
    files: dict[str, Any] = {
        "generation_config.json": {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0},
        "tokenizer_config.json": settings,
    }
    head = (("lm_head.weight", (len(tokenizer), 32)),)
    return Released("google/mt5-small", config, files, lambda: tokenizer, added=head)


#: The special tokens in front of every Gemma's pieces.
GEMMA_FIRST = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")


def gemma_3() -> Released:
    """Gemma 3 for text: windows in some layers, the head tied."""
    turns = ("<start_of_turn>", "<end_of_turn>")
    tokenizer = vocabularies.spaced("GemmaTokenizer", GEMMA_FIRST, turns, fallback=True, begin="<bos>")
    config = DECODER | {
        "architectures": ["Gemma3ForCausalLM"], "attention_bias": False, "attn_logit_softcapping": None,
        "bos_token_id": 2, "eos_token_id": [1, len(tokenizer) - 1], "final_logit_softcapping": None, "head_dim": 8,
        "hidden_activation": "gelu_pytorch_tanh", "model_type": "gemma3_text", "pad_token_id": 0,
        "query_pre_attn_scalar": 8, "rope_local_base_freq": 10000, "rope_scaling": None, "rope_theta": 1000000,
        "sliding_window": 512, "sliding_window_pattern": 3, "torch_dtype": "bfloat16", "vocab_size": len(tokenizer),
    }  # fmt: skip
    del config["hidden_act"]
    template = (
        "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ 'model' if message['role'] == 'assistant' else "
        "message['role'] }}\n{{ message['content'] if message['content'] is string else "
        "message['content'][0]['text'] }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}"
        "<start_of_turn>model\n{% endif %}"
    )
    settings = {
        "add_bos_token": True, "add_eos_token": False, "bos_token": "<bos>", "chat_template": template,
        "eos_token": "<eos>", "mask_token": "<mask>", "pad_token": "<pad>", "tokenizer_class": "GemmaTokenizer",
        "unk_token": "<unk>",
    }  # fmt: skip
    files = {
        "generation_config.json": {"bos_token_id": 2, "eos_token_id": [1, len(tokenizer) - 1], "pad_token_id": 0},
        "tokenizer_config.json": settings,
    }
    return Released("google/gemma-3-1b-it", config, files, lambda: tokenizer, dtype="bfloat16")


def chatml(audio: str = "", system: str = "You are a helpful assistant.") -> str:
    """Return a chat template of the kind that Qwen's models have.

    Parameters
    ----------
    audio : str
        What a recording becomes, such as ``<|audio_bos|><|AUDIO|><|audio_eos|>``.
    system : str
        What is said first where the conversation has no system message.
    """
    default = (
        f"{{% if loop.first and message['role'] != 'system' %}}<|im_start|>system\n{system}<|im_end|>\n{{% endif %}}"
    )
    heard = f"{{% if content['type'] == 'audio' or 'audio' in content %}}{audio}{{% else %}}" if audio else ""
    return (
        "{% for message in messages %}" + (default if system else "") + "<|im_start|>{{ message['role'] }}\n"
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
        "{% for content in message['content'] %}"
        + heard
        + "{{ content['text'] }}"
        + ("{% endif %}" if audio else "")
        + "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


#: The first special tokens of every Qwen.
QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_QWEN_NAMED: Settings = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def qwen_files(special: tuple[str, ...], template: str, **more: Any) -> dict[str, Any]:
    """Return the tokenizer's settings of a Qwen, each special token with its id."""
    start = vocabularies.BYTE_PIECES
    how = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    decoder = {
        str(start + number): {"content": token, **how, "special": token.startswith("<|")}
        for number, token in enumerate(special)
    }
    settings = {
        "add_prefix_space": False, "added_tokens_decoder": decoder, "additional_special_tokens": list(special[1:]),
        "bos_token": None, "chat_template": template, "eos_token": "<|im_end|>", "errors": "replace",
        "model_max_length": 32768, "pad_token": "<|endoftext|>", "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }  # fmt: skip
    generation = {"bos_token_id": start, "eos_token_id": [start + 2, start], "pad_token_id": start}
    return {"generation_config.json": generation, "tokenizer_config.json": settings | more}


def qwen_tokenizer(special: tuple[str, ...]) -> Any:
    """Return a Qwen's tokenizer: byte pairs, special tokens after them."""
    return vocabularies.byte_level("Qwen2Tokenizer", special, **_QWEN_NAMED)


def qwen3() -> Released:
    """Qwen 3: norms on queries and keys, the head tied."""
    start = vocabularies.BYTE_PIECES
    config = DECODER | {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "bos_token_id": start,
        "eos_token_id": start + 2, "head_dim": 8, "max_window_layers": 3, "model_type": "qwen3", "rope_scaling": None,
        "rope_theta": 1000000, "sliding_window": None, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "use_sliding_window": False, "vocab_size": start + 16,
    }  # fmt: skip
    files = qwen_files(QWEN_SPECIAL, chatml(system=""))
    return Released("Qwen/Qwen3-0.6B", config, files, lambda: qwen_tokenizer(QWEN_SPECIAL), dtype="bfloat16")
