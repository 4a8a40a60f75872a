"""Make ``salmonn.json``: what SALMONN's own code gives for the tiny weights of ``babelscope.testing.tiny``.

Needs a checkout of bytedance/SALMONN's branch ``salmonn`` (a58bba7, BEATs included), and a folder with the packages of
its time, as they cannot be installed beside today's:

    pip install --no-deps --target LIBRARIES transformers==4.28.0 tokenizers==0.13.3 huggingface_hub==0.14.1 \
        peft==0.3.0 accelerate==0.20.3 kaldi-native-fbank==1.22.4

torchaudio's Kaldi filterbank is stood in for by kaldi-native-fbank, the configuration of bert-base by a smaller one,
and Vicuna is loaded in float32 and not in float16; else SALMONN's code runs as it is, one utterance at a time.

Usage: ``python make_salmonn.py SALMONN-CHECKOUT LIBRARIES``
"""

from __future__ import annotations

import importlib
import importlib.machinery
import json
import re
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

SENTENCES = ("the cat", "A hat, and the other one.", "кот в шляпе")
SAMPLES = (1_000, 5_000, 16_000, 20_479, 33_333)
PROMPT = "USER: <Speech><SpeechHere></Speech> Recognize the speech and give me the transcription.\nASSISTANT:"


def recording(samples: int) -> np.ndarray:
    """Noise, whose stream is promised never to change."""
    return (0.1 * np.random.RandomState(samples).standard_normal(samples)).astype(np.float32)


def kaldi_fbank(waveform: torch.Tensor, num_mel_bins: int, **_: Any) -> torch.Tensor:
    """What torchaudio.compliance.kaldi.fbank gives, by another package."""
    knf = importlib.import_module("kaldi_native_fbank")
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.samp_freq = 16_000
    options.mel_opts.num_bins = num_mel_bins
    made = knf.OnlineFbank(options)
    made.accept_waveform(16_000, waveform[0].tolist())
    made.input_finished()
    return torch.from_numpy(np.stack([made.get_frame(index) for index in range(made.num_frames_ready)]))


def stand_ins() -> None:
    """Register what SALMONN and its libraries import, and what is not there."""
    for name in ("pkg_resources", "torchaudio", "torchaudio.compliance", "torchaudio.compliance.kaldi"):
        module: Any = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = module
    sys.modules["torchaudio.compliance.kaldi"].fbank = kaldi_fbank  # type: ignore[attr-defined]


def whole(folder: Path) -> Any:
    """Build SALMONN from the tiny files, and load its own checkpoint: every array finds its place."""
    salmonn = importlib.import_module("models.salmonn")
    salmonn.BertConfig.from_pretrained = lambda name: salmonn.BertConfig(hidden_size=24, intermediate_size=40)
    read = salmonn.LlamaForCausalLM.from_pretrained
    salmonn.LlamaForCausalLM.from_pretrained = lambda path, torch_dtype: read(path)
    checkpoint = torch.load(folder / "salmonn_v1.pth", map_location="cpu")
    model = salmonn.SALMONN(
        llama_path=str(folder / "vicuna"),
        whisper_path=str(folder / "whisper-large-v2"),
        beats_path=str(next(folder.glob("BEATs*.pt"))),
        lora_rank=checkpoint["config"]["model"]["lora_rank"],
        lora_alpha=checkpoint["config"]["model"]["lora_alpha"],
    )
    missing, unexpected = model.load_state_dict(checkpoint["model"], strict=False)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    print("trained and not in the file:", sorted(trained & set(missing)))
    print("in the file and nowhere:", unexpected)
    saved = {name for name in model.state_dict() if name in trained or name not in dict(model.named_parameters())}
    print("its own code would save besides:", sorted(saved - set(checkpoint["model"])))
    return model.float().eval()


class Watched:
    """The outputs of modules in one run."""

    def __init__(self, modules: dict[str, tuple[Any, Callable[[Any], torch.Tensor]]]) -> None:
        self.caught: dict[str, torch.Tensor] = {}
        self.handles = [
            module.register_forward_hook(
                lambda _, __, out, name=name, take=take: self.caught.__setitem__(name, take(out).clone())
            )
            for name, (module, take) in modules.items()
        ]

    def means(self, name: str, start: int, count: int) -> list[float]:
        values = self.caught[name].reshape(-1, self.caught[name].shape[-1])
        return [round(value, 7) for value in values[start : start + count].double().mean(0).tolist()]


def first(out: Any) -> torch.Tensor:
    return out if isinstance(out, torch.Tensor) else out[0]


def language_points(model: Any) -> dict[str, Any]:
    llama = model.llama_model.base_model.model.model
    layers = {f"shared.layer.{index}": (layer, first) for index, layer in enumerate(llama.layers)}
    return {**layers, "shared.norm": (llama.norm, first)}


def speech(model: Any, extractor: Any, samples: int) -> dict[str, Any]:
    heard = recording(samples)
    padded = np.concatenate([heard, np.zeros(max(16_000 - samples, 0), dtype=np.float32)])
    spectrogram = extractor(padded, sampling_rate=16_000, return_tensors="pt")["input_features"]
    encoder, beats, qformer = model.speech_encoder, model.beats, model.speech_Qformer.bert
    windows: list[torch.Tensor] = []
    handle = qformer.register_forward_pre_hook(
        lambda _, __, more: windows.append(more["encoder_hidden_states"].clone()), with_kwargs=True
    )
    watched = Watched(
        {f"speech.whisper.layer.{index}": (layer, first) for index, layer in enumerate(encoder.layers)}
        | {"speech.whisper.norm": (encoder.layer_norm, first)}
        | {f"speech.beats.layer.{index}": (layer, first) for index, layer in enumerate(beats.encoder.layers)}
        | {f"speech.qformer.layer.{index}": (layer, first) for index, layer in enumerate(qformer.encoder.layer)}
        | {"speech.after_adaptation": (model.speech_llama_proj, first)}
        | language_points(model)
    )
    with torch.inference_mode():
        embeds, atts = model.encode_speech(
            spectrogram, torch.from_numpy(padded)[None], torch.zeros(1, len(padded), dtype=torch.bool)
        )
        embeds, atts = model.prompt_wrap(embeds, atts, [PROMPT], multi_prompt=True)
        bos = model.llama_model.model.model.embed_tokens(torch.tensor([[model.llama_tokenizer.bos_token_id]]))
        embeds, atts = torch.cat([bos, embeds], 1), torch.cat([atts[:, :1], atts], 1)
        model.llama_model(inputs_embeds=embeds, attention_mask=atts)
    handle.remove()
    for each in watched.handles:
        each.remove()
    positions = -(-samples // 320)
    counts = {"whisper": positions, "beats": max(8, 8 * (((samples - 400) // 160 + 1) // 16))}
    tokens = min(88, -(-positions // 17))
    before = len(prefix(model))
    found = {
        name: watched.means(
            name,
            before if name.startswith("shared") else 0,
            counts.get(name.split(".")[1], tokens) if name.startswith("speech") else tokens,
        )
        for name in watched.caught
    }
    watched.caught["fused"] = windows[0].reshape(-1, windows[0].shape[-1])
    return found | {"speech.before_adaptation": watched.means("fused", 0, positions)}


def prefix(model: Any) -> list[int]:
    before = model.llama_tokenizer(PROMPT.split("<SpeechHere>")[0], add_special_tokens=False).input_ids
    return [model.llama_tokenizer.bos_token_id, *before]


def text(model: Any, sentence: str) -> dict[str, Any]:
    def pieces(words: str) -> list[int]:
        ids: list[int] = model.llama_tokenizer(words, add_special_tokens=False).input_ids
        return ids

    content = pieces(sentence)
    ids = torch.tensor([[*prefix(model), *content, *pieces(PROMPT.split("<SpeechHere>")[1])]])
    watched = Watched(language_points(model))
    with torch.inference_mode():
        model.llama_model(input_ids=ids, attention_mask=torch.ones_like(ids))
    for each in watched.handles:
        each.remove()
    means = {name: watched.means(name, len(prefix(model)), len(content)) for name in watched.caught}
    return {"ids": [*prefix(model), *content], **means}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        make = (
            "import pathlib, sys; from babelscope.testing.tiny import salmonn; "
            "salmonn.folder(pathlib.Path(sys.argv[1]), seconds=30)"
        )
        subprocess.run([sys.executable, "-c", make, place], check=True)  # with today's transformers
        sys.path[:0] = [str(Path(sys.argv[2]).resolve()), str(Path(sys.argv[1]).resolve())]
        stand_ins()
        extractor = importlib.import_module("transformers").WhisperFeatureExtractor()
        model = whole(Path(place))
        made: dict[str, Any] = {
            "made": "by make_salmonn.py with SALMONN a58bba7, transformers 4.28.0, peft 0.3.0 and kaldi-native-fbank "
            "1.22.4, means over real positions",
            "speech": {str(samples): speech(model, extractor, samples) for samples in SAMPLES},
            "text": {sentence: text(model, sentence) for sentence in SENTENCES},
        }
        with model.llama_model.disable_adapter():
            made["text without lora"] = {sentence: text(model, sentence) for sentence in SENTENCES}
        energies = kaldi_fbank(torch.from_numpy(recording(5_000))[None] * 2**15, 128)
        made["fbank"] = [round(value, 5) for value in energies.double().mean(0).tolist()]
    lines = re.sub(r"\n +(?=-?\d|\])", " ", json.dumps(made, indent=1, ensure_ascii=False))
    Path(__file__).with_name("salmonn.json").write_text(lines + "\n", encoding="utf-8")
