"""Make ``sonar.json``: what SONAR's own modules give for the tiny weights of ``babelscope.testing.tiny``.

Needs checkouts of facebookresearch/SONAR (008da24) and facebookresearch/fairseq2 (v0.4.5), whose packages cannot be
installed beside today's PyTorch. Of fairseq2 only pure Python is used; its compiled half and the packages that its
command line wants are replaced by empty shells. The released formats are read by SONAR's own converters, strictly.

Usage: ``python make_sonar.py SONAR-CHECKOUT FAIRSEQ2-CHECKOUT``
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.abc
import importlib.machinery
import json
import sys
import tempfile
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from transformers import SeamlessM4TFeatureExtractor

from babelscope.testing import tiny
from babelscope.testing.tiny import sonar as small

SENTENCES = (("eng_Latn", "Hello there"), ("fra_Latn", "An apple, and a pear."), ("rus_Cyrl", "a"))
SAMPLES = (900, 4160, 4320, 11111)  # 4, 24, 25 and 67 frames
SHELLS = ("fairseq2n", "importlib_resources", "importlib_metadata", "mypy_extensions", "psutil", "editdistance",
          "blobfile", "tiktoken", "sacrebleu", "torcheval", "wandb", "tensorboard")  # fmt: skip


class _Shells(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] in SHELLS else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__name__ = [], spec, spec.name
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def bare_package(name: str, folder: Path) -> None:
    """Register a package without running its ``__init__``."""
    module: Any = types.ModuleType(name)
    module.__path__, module.__version__, module.setup_fairseq2 = [str(folder)], "0.4.5", lambda: None
    sys.modules[name] = module


def recording(samples: int) -> np.ndarray:
    """Noise, whose stream is promised never to change."""
    return (0.1 * np.random.RandomState(samples).standard_normal(samples)).astype(np.float32)


def text(folder: Path) -> dict[str, Any]:
    config = importlib.import_module("sonar.models.sonar_text.config").SonarTextEncoderConfig
    factory = importlib.import_module("sonar.models.sonar_text.factory").SonarTextEncoderFactory
    vocabulary = importlib.import_module("fairseq2.data").VocabularyInfo
    batch = importlib.import_module("fairseq2.models.sequence").SequenceBatch
    state = torch.load(folder / "sonar_text_encoder.pt", weights_only=True)["model"]
    rows = len(state["encoder_frontend.embed.weight"])
    # All but the sizes as in SONAR's architecture "basic".
    model = factory(
        config(
            model_dim=small.WIDTH, max_seq_len=512, pooling="mean", ffn_inner_dim=48, _from_fairseq=True,
            vocab_info=vocabulary(size=rows, unk_idx=1, bos_idx=2, eos_idx=3, pad_idx=1),
            num_encoder_layers=small.TEXT_LAYERS, num_decoder_layers=small.TEXT_LAYERS,
            num_encoder_attn_heads=small.TEXT_HEADS, num_decoder_attn_heads=small.TEXT_HEADS,
        )
    ).create_model().eval()  # fmt: skip
    model.load_state_dict(state, strict=True)
    tokenizer = small._tokenizer()
    found = {}
    for language, sentence in SENTENCES:
        tokenizer.src_lang = language
        ids = [{0: 2, 1: 0, 2: 3, 3: 1}.get(number, number) for number in tokenizer(sentence).input_ids]
        layers = _watch(model.encoder.layers)
        with torch.inference_mode():
            out = model(batch(torch.tensor([ids]), None))
        found[f"{language} {sentence}"] = {
            **{f"text.layer.{index}": _mean(values, len(ids)) for index, values in enumerate(layers)},
            "text.norm": _mean(out.encoded_seqs, len(ids)),
            "shared.embedding": _mean(out.sentence_embeddings[:, None], 1),
        }
    return found


def speech(folder: Path, language: str) -> dict[str, Any]:
    config = importlib.import_module("sonar.models.sonar_speech.config").SonarSpeechEncoderConfig
    factory = importlib.import_module("sonar.models.sonar_speech.factory").SonarSpeechEncoderFactory
    convert = importlib.import_module("sonar.models.sonar_speech.handler").convert_sonar_speech_checkpoint
    w2vbert = importlib.import_module("fairseq2.models.w2vbert").W2VBertConfig
    order = importlib.import_module("fairseq2.nn.transformer").TransformerNormOrder
    batch = importlib.import_module("fairseq2.models.sequence").SequenceBatch
    padding = importlib.import_module("fairseq2.nn.padding").PaddingMask
    file, pooler = small.SPEECH_FILES[language]
    sizes = config(
        w2v2_encoder_config=dataclasses.replace(
            w2vbert().w2v2_config.encoder_config, model_dim=small.WIDTH, num_encoder_layers=small.CONFORMER_LAYERS,
            num_encoder_attn_heads=4, ffn_inner_dim=48,
        ),
        final_dropout_p=0.1, model_dim=small.WIDTH, max_seq_len=1024, pad_idx=1, bos_idx=2, num_decoder_layers=pooler,
        num_decoder_attn_heads=4, decoder_norm_order=order.POST, ffn_inner_dim=40, dropout_p=0.1,
    )  # fmt: skip
    model = factory(sizes).create_model().eval()
    model.load_state_dict(convert(torch.load(folder / file, weights_only=True), sizes)["model"], strict=True)
    extractor = SeamlessM4TFeatureExtractor()
    found = {}
    for samples in SAMPLES:
        fbank = extractor._extract_fbank_features(recording(samples))
        frames = len(fbank)
        fbank = (fbank - fbank.mean(0)) / np.sqrt(fbank.var(0, ddof=1) + 1e-7)
        seqs = torch.from_numpy(np.ascontiguousarray(fbank, dtype=np.float32))[None]
        mask = None
        if frames % 2:  # SONAR collates to a multiple of two frames
            seqs, mask = torch.cat([seqs, torch.zeros(1, 1, 80)], 1), padding(torch.tensor([frames]), frames + 1)
        layers, pooling = _watch(model.encoder.layers), _watch(model.encoder_pooler.decoder.layers)
        with torch.inference_mode():
            out = model(batch(seqs, mask))
        found[str(samples)] = {
            **{f"speech.layer.{index}": _mean(values, frames // 2) for index, values in enumerate(layers)},
            "speech.norm": _mean(out.encoded_seqs, frames // 2),
            **{f"speech.pooler.-{3 - index}": _mean(values, 1) for index, values in enumerate(pooling[-3:])},
            "shared.embedding": _mean(out.sentence_embeddings[:, None], 1),
        }
    return found


def _watch(layers: Sequence[Any]) -> list[torch.Tensor]:
    caught: list[torch.Tensor] = []
    for layer in layers:
        layer._forward_hooks.clear()
        layer.register_forward_hook(lambda module, args, output: caught.append(output[0].clone()))
    return caught


def _mean(values: torch.Tensor, positions: int) -> list[float]:
    return [round(value, 7) for value in values[0, :positions].double().mean(0).tolist()]


if __name__ == "__main__":
    sonar, fairseq2 = Path(sys.argv[1]) / "sonar", Path(sys.argv[2]) / "src"
    sys.meta_path.insert(0, _Shells())
    sys.path.insert(0, str(fairseq2))
    bare_package("fairseq2", fairseq2 / "fairseq2")
    for part in ("", ".models", ".models.sonar_speech", ".models.sonar_text", ".nn"):
        bare_package(f"sonar{part}", sonar.joinpath(*part.split(".")[1:]))
    with tempfile.TemporaryDirectory() as place:
        texts = tiny("sonar-text-original", Path(place) / "text")
        speeches = tiny("sonar-speech", Path(place) / "speech")
        made = {
            "made": "by make_sonar.py with SONAR 008da24 and fairseq2 0.4.5, means over real positions",
            "text": text(texts),
            "speech": {language: speech(speeches, language) for language in ("eng", "fra")},
        }
    lines = json.dumps(made, indent=1).replace("\n    ", " ").replace("\n   ]", "]")
    Path(__file__).with_name("sonar.json").write_text(lines + "\n", encoding="utf-8")
