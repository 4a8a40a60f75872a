"""Loading by rules: which part of which class, its sizes as written, its weights without heads and other parts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from babelscope.errors import BabelscopeError, DataError
from babelscope.models.adapters.loading import load_model, read_configuration
from babelscope.models.options import LoadOptions
from babelscope.models.weights.places import Place
from babelscope.testing import tiny

RELEASED = Path(__file__).parents[2].parent / "shared" / "data" / "released"

#: Of released models: kind, class, and millions of parameters of what is loaded.
_RELEASED = {
    "BAAI--bge-m3": ("text-encoder", "XLMRobertaModel", 567),
    "Qwen--Qwen2-Audio-7B-Instruct": ("speech-llm", "Qwen2AudioModel", 7758),
    "Qwen--Qwen2.5-Omni-3B": ("speech-llm", "Qwen2_5OmniThinkerForConditionalGeneration", 4703),
    "Qwen--Qwen3-ASR-0.6B": ("speech-llm", "Qwen3ASRModel", 782),
    "facebook--nllb-200-distilled-600M": ("text-encoder", "M2M100Encoder", 413),
    "facebook--seamless-m4t-v2-large": ("encoder-decoder", "SeamlessM4Tv2Model", 2309),
    "facebook--w2v-bert-2.0": ("speech-encoder", "Wav2Vec2BertModel", 580),
    "facebook--wav2vec2-xls-r-300m-en-to-15": ("speech-encoder", "Wav2Vec2Model", 334),
    "google--gemma-4-26B-A4B-it": ("text-decoder", "Gemma4Model", 25806),
    "google--gemma-4-E2B": ("speech-llm", "Gemma4Model", 5104),
    "google--mt5-small": ("text-encoder", "MT5EncoderModel", 147),
    "ibm-granite--granite-speech-3.2-8b": ("speech-llm", "GraniteSpeechModel", 8483),
    "nvidia--parakeet-ctc-0.6b": ("speech-encoder", "ParakeetEncoder", 608),
    "openai--whisper-large-v3": ("speech-encoder", "WhisperEncoder", 637),
    "sentence-transformers--LaBSE": ("text-encoder", "BertModel", 470),
}


@pytest.mark.parametrize("name", _RELEASED)
def test_released_configurations_are_read_with_the_sizes_that_they_say(name: str) -> None:
    if not (RELEASED / name).is_dir():
        pytest.skip(f"{RELEASED / name} is not here")
    read = read_configuration(RELEASED / name)
    millions = sum(parameter.numel() for parameter in read.build().parameters()) / 1e6
    assert (read.kind, read.model_class.__name__) == _RELEASED[name][:2]
    assert abs(millions - _RELEASED[name][2]) < 1


@pytest.mark.parametrize("name", ["xlm-r", "labse", "nllb", "mt5", "qwen3", "whisper", "xls-r", "w2v-bert", "parakeet"])
def test_the_part_that_is_looked_at_has_the_released_weights(name: str, tmp_path: Path) -> None:
    """Every array of it is one of the files', under whatever name; heads and decoders are left."""
    import safetensors.torch

    folder = tiny(name, tmp_path)
    loaded = load_model(read_configuration(folder), Place(folder, name), LoadOptions(name))
    held = [array for file in folder.glob("*.safetensors") for array in safetensors.torch.load_file(file).values()]
    for key, parameter in loaded.model.named_parameters():
        assert any(parameter.shape == array.shape and torch.equal(parameter, array) for array in held), key
    assert len(loaded.files) == len(list(folder.glob("*.safetensors")))
    assert not loaded.model.training and not any(each.requires_grad for each in loaded.model.parameters())


def test_an_encoder_that_was_saved_alone_is_read_although_its_settings_are_of_two_halves(tmp_path: Path) -> None:
    """Classes of such encoders write in the configuration that they are made from."""
    from safetensors.torch import load_file, save_file

    folder = _changed(tiny("mt5", tmp_path), architectures=["MT5EncoderModel"])
    arrays = load_file(folder / "model.safetensors")
    encoder = {name: array for name, array in arrays.items() if name.startswith(("shared.", "encoder."))}
    save_file(encoder, folder / "model.safetensors", {"format": "pt"})
    loaded = load_model(read_configuration(folder), Place(folder, "x"), LoadOptions("x"))
    assert type(loaded.model).__name__ == "MT5EncoderModel"


def test_weights_come_in_the_dtype_that_is_asked_for(tmp_path: Path) -> None:
    folder = tiny("qwen3", tmp_path)
    loaded = load_model(read_configuration(folder), Place(folder, "x"), LoadOptions("x", dtype="bfloat16"))
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}
    assert loaded.options["dtype"] == "bfloat16"


def _changed(folder: Path, **settings: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model_type": "letters"}, "of model_type 'letters': transformers .* does not know it"),
        ({"model_type": "letters", "auto_map": {}}, "its own code .* is not done"),
        ({"model_type": None}, "does not say which kind"),
        ({"model_type": "vit", "architectures": ["ViTModel"]}, "neither reads text nor hears speech"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"text_config": {"hidden_size": 7}}, "text_config = .* reads nothing of it"),
        ({"num_hidden_layers": 5}, "lack"),
        ({"hidden_size": 33}, "is no configuration|lack"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(settings: dict[str, object], words: str, tmp_path: Path) -> None:
    folder = _changed(tiny("xlm-r", tmp_path), **settings)
    with pytest.raises(BabelscopeError, match=words) as caught:
        load_model(read_configuration(folder), Place(folder, "x"), LoadOptions("x"))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_sizes_that_transformers_reads_otherwise_are_refused(tmp_path: Path) -> None:
    """Such as an inner configuration that its class does not have."""
    folder = _changed(tiny("whisper", tmp_path), audio_config={"hidden_size": 8})
    with pytest.raises(DataError, match="audio_config"):
        read_configuration(folder)


_LOADING = """
import sys, threading, time
from pathlib import Path
from babelscope.models.adapters.loading import load_model, read_configuration
from babelscope.models.options import LoadOptions
from babelscope.models.weights.places import Place

def anonymous():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("RssAnon:")[1].split()[0])

def load(folder, dtype):
    return load_model(read_configuration(folder), Place(folder, "x"), LoadOptions("x", dtype=dtype)).model

small, large, dtype = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
load(small, dtype)  # imports what it needs
before, most, done = anonymous(), [0], threading.Event()

def watch():
    while not done.is_set():
        most[0] = max(most[0], anonymous())
        time.sleep(0.002)

watcher = threading.Thread(target=watch)
watcher.start()
model = load(large, dtype)
done.set()
watcher.join()
weights = sum(each.numel() * each.element_size() for each in model.parameters())
print((most[0] - before) / weights)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc to see how much memory is mapped")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_takes_little_more_than_the_weights(dtype: str, tmp_path: Path) -> None:
    """At most 1.15 times the weights in the dtype that is asked for, over what is mapped from the files."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    sizes = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 8, "num_attention_heads": 8}
    XLMRobertaModel(XLMRobertaConfig(vocab_size=50_000, **sizes)).save_pretrained(tmp_path / "large")
    small = tiny("xlm-r", tmp_path / "small")
    ran = subprocess.run(
        [sys.executable, "-c", _LOADING, str(small), str(tmp_path / "large"), dtype],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(ran.stdout.split()[-1]) <= 1.15
