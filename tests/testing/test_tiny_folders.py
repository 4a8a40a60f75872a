"""Tiny folders are what a release is: they load with the released class, through its own processor, name for name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors import safe_open

from babelscope.models.adapters import quirks
from babelscope.testing import tiny
from babelscope.testing.tiny import ARCHITECTURES, released

#: What the release publishes: configurations, processors, indexes of weights.
RELEASED = Path(__file__).parents[3] / "shared" / "data" / "released"

#: Unlike ones, for the quick tests.
QUICK = ("whisper", "xls-r", "qwen2-audio", "voxtral", "labse")

#: How many names the released indexes have, numbers made equal, and the start of the SHA-256 of their sorted lines.
PUBLISHED = {
    "Qwen/Qwen2-Audio-7B-Instruct": (39, "98e79f41d4b81526"),
    "Qwen/Qwen2.5-Omni-3B": (131, "7859e12030be24c6"),
    "ibm-granite/granite-speech-4.1-2b-plus": (81, "6f3669a5ba6afcb3"),
    "mistralai/Voxtral-Mini-3B-2507": (36, "561db2d35c223173"),
    "nvidia/audio-flamingo-3-hf": (41, "dac00b15b8ef5284"),
}

every = pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES]
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function from a name to its folder, written once."""
    written: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in written:
            written[name] = tiny(name, tmp_path_factory.mktemp(name))
        return written[name]

    return folder


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    transformers.logging.disable_progress_bar()
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity(before)


def load(name: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Load with the class that the release names."""
    content = released(name)
    kind = getattr(transformers, content.loaded_as or content.whole or content.config["architectures"][0])
    with quirks.building(transformers.AutoConfig.from_pretrained(folder)):
        model, loading = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    return model.eval(), loading


def names(folder: Path) -> dict[str, str]:
    """Return the dtype of every array of the folder's safetensors."""
    index = folder / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if index.is_file():
        files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    arrays: dict[str, str] = {}
    for file in files:
        with safe_open(folder / file, "pt") as opened:
            arrays |= {name: opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118
    return arrays


def without_numbers(arrays: Any) -> set[str]:
    return {re.sub(r"\.\d+(?=\.)", ".N", name) for name in arrays}


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@every
def test_a_folder_is_small_and_always_the_same(name: str, folders: Any, tmp_path: Path) -> None:
    folder = folders(name)
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 2_000_000
    assert contents(folder) == contents(tiny(name, tmp_path))


@every
def test_every_array_is_read_by_the_released_class(name: str, folders: Any) -> None:
    model, loading = load(name, folders(name))
    assert not loading["missing_keys"] and not loading["mismatched_keys"]
    assert set(loading["unexpected_keys"]) <= {array for array, _ in released(name).added}
    assert all(torch.isfinite(array).all() for array in model.state_dict().values())


@every
def test_no_two_rows_and_no_bias_are_what_a_new_model_has(name: str, folders: Any) -> None:
    """Norms are not one and biases not zero, so that padding that leaks shows."""
    model, _ = load(name, folders(name))
    plain = [
        array
        for array, values in model.named_parameters()
        if values.numel() > 1 and ((values == 0).all() or (values == 1).all())
    ]
    assert not plain


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if released(name).model in PUBLISHED])
def test_names_are_as_many_and_the_same_as_published(name: str, folders: Any) -> None:
    made = sorted(without_numbers(names(folders(name))))
    digest = hashlib.sha256("\n".join(made).encode()).hexdigest()[:16]
    assert (len(made), digest) == PUBLISHED[released(name).model], made


@every
def test_names_are_those_of_the_release(name: str, folders: Any) -> None:
    """The same against the whole index, which shows what differs."""
    index = RELEASED / released(name).model.replace("/", "--") / "model.safetensors.index.json"
    if not index.is_file():
        pytest.skip(f"there is no {index.name} of {released(name).model} in ../shared/data/released")
    published = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    assert without_numbers(names(folders(name))) == without_numbers(published)


@every
def test_keys_of_the_configuration_are_those_of_the_release(name: str, folders: Any) -> None:
    """Every key of the tiny config.json is one that the released file has, at the same place."""
    path = RELEASED / released(name).model.replace("/", "--") / "config.json"
    if not path.is_file():
        pytest.skip(f"there is no config.json of {released(name).model} in ../shared/data/released")
    published = json.loads(path.read_text(encoding="utf-8"))
    made = json.loads((folders(name) / "config.json").read_text(encoding="utf-8"))

    def further(ours: Any, theirs: Any, at: str = "") -> Iterator[str]:
        for key, value in ours.items():
            if key not in theirs:
                yield f"{at}{key}"
            elif isinstance(value, dict):
                yield from further(value, theirs[key], f"{at}{key}.")

    # sizes that a release leaves to the class's defaults, which a small model cannot
    assert set(further(made, published)) <= set(released(name).sizes)
    assert made["architectures"] == published["architectures"]
    assert made["model_type"] == published["model_type"]


@every
def test_tokens_have_the_ids_that_the_configuration_says(name: str, folders: Any) -> None:
    folder = folders(name)
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not (folder / "tokenizer.json").is_file() and not (folder / "tekken.json").is_file():
        pytest.skip("the release has no tokenizer")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    settings = settings.get("thinker_config", settings)
    held = [settings, *(part for part in settings.values() if isinstance(part, dict))]
    assert len(tokenizer) <= max(part.get("vocab_size") or 0 for part in held)
    said = tokenizer("The train leaves. Поезд 火车", add_special_tokens=False).input_ids
    assert 8 <= len(said) <= 60 and len(set(said)) > 6
    for part in held:
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            numbers = part.get(key)
            for number in numbers if isinstance(numbers, list) else [numbers]:
                assert number is None or tokenizer.convert_ids_to_tokens(number).strip("<|>[]/").isidentifier()


def speak(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.RandomState(seed).standard_normal(round(seconds * 16_000))).astype(np.float32)


@every
def test_its_own_forward_runs_on_text_and_speech(name: str, folders: Any) -> None:
    """Whatever the model reads goes through the folder's own processor, and what comes out depends on it."""
    folder = folders(name)
    model, _ = load(name, folder)
    where = ARCHITECTURES[name].partition(":")[0].rpartition(".")[2]
    if where == "text_models":
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        ran = [run(model, tokenizer(text, return_tensors="pt")) for text in ("The train", "The house")]
    elif where == "speech_encoders":
        features = transformers.AutoFeatureExtractor.from_pretrained(folder)
        ran = [run(model, features(speak(2, s), sampling_rate=16_000, return_tensors="pt")) for s in (0, 1)]
    else:
        ran = [run(model, heard(name, folder, speak(2, s))) for s in (0, 1)]
    assert all(torch.isfinite(values).all() for values in ran)
    assert 1e-3 < (ran[0] - ran[1]).abs().max() < 1e3


def heard(name: str, folder: Path, samples: np.ndarray) -> Any:
    """Return the inputs of a recording by the folder's own processor and chat template, where that can be had."""
    if name == "voxtral":  # its template comes with Mistral's own library, as the processor of the next does
        features = transformers.AutoFeatureExtractor.from_pretrained(folder)
        padded = {"padding": True, "pad_to_multiple_of": 480_000, "truncation": False}
        mel = features(samples, sampling_rate=16_000, return_tensors="pt", **padded)["input_features"]
        prompt = "<s>[INST][BEGIN_AUDIO]" + "[AUDIO]" * 375 + "hear[/INST]"
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
        assert (ids == 24).sum() == 375
        return {"input_ids": ids, "input_features": mel}
    if name == "voxtral-realtime":
        features = transformers.AutoFeatureExtractor.from_pretrained(folder)
        mel = features(samples, sampling_rate=16_000, return_tensors="pt", pad_to_multiple_of=1_280)["input_features"]
        ids = torch.full((1, mel.shape[-1] // 8), 32)
        return {"input_ids": ids, "input_features": mel, "num_delay_tokens": 6}
    turn = {"role": "user", "content": [{"type": "audio", "audio": samples}]}
    if name == "granite-speech":  # its template takes strings alone
        turn["content"] = "<|audio|>can you transcribe the speech?"
    processor = hearing(folder)
    text = processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    return processor(text=text, audio=samples, return_tensors="pt")


def hearing(folder: Path) -> Any:
    """Return the folder's processor; if it cannot be made, without what sees, which wants torchvision."""
    try:
        return transformers.AutoProcessor.from_pretrained(folder)
    except ImportError:
        settings: dict[str, Any] = {}
        for file in ("preprocessor_config.json", "processor_config.json", "chat_template.json"):
            if (folder / file).is_file():
                settings |= json.loads((folder / file).read_text(encoding="utf-8"))
    if (folder / "chat_template.jinja").is_file():
        settings["chat_template"] = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    kind = getattr(transformers, settings["processor_class"])

    class Hearing(kind):  # type: ignore[misc, valid-type]
        def check_argument_for_proper_class(self, name: str, argument: Any) -> None:
            del name, argument

    features = quirks.feature_extractor(folder) or transformers.AutoFeatureExtractor.from_pretrained(folder)
    parts = {part: features if "feature" in part or "audio" in part else None for part in kind.get_attributes()}
    parts["tokenizer"] = transformers.AutoTokenizer.from_pretrained(folder)
    return Hearing(**parts, chat_template=settings["chat_template"])


@torch.no_grad()
def run(model: Any, inputs: Any) -> torch.Tensor:
    module = model.get_encoder() if model.config.is_encoder_decoder else model
    allowed = {
        key: value for key, value in inputs.items() if not (model.config.model_type == "whisper" and "mask" in key)
    }
    outputs = module(**allowed)
    values: torch.Tensor = outputs["logits"] if "logits" in outputs else next(iter(outputs.values()))
    return values[:, -1] if values.ndim == 3 else values
