"""Models by name: what loads, what is refused, and in which words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from babelscope import models
from babelscope.errors import DataError, FetchError, UsageError
from babelscope.models import Model, Stage


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("whisper-bse", "did you mean 'whisper-base'"),
        ("e5-small+whisper-base", "speech+text"),
        ("whisper-base+e5-small+e5-small", "one speech model + one text model"),
        ("whisper-base+e5-smal", "did you mean 'e5-small'"),
    ],
)
def test_a_wrong_name_says_what_was_meant(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("+", r"\+")):
        models.load(name)


def test_weights_that_are_not_here_name_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path))
    with pytest.raises(FetchError, match="babelscope fetch whisper-base"):
        models.load("whisper-base")


def test_a_pair_has_ordered_points_and_says_that_it_is_a_pair(tiny_model: Model) -> None:
    assert tiny_model.modalities == ("text", "speech")
    speech = tiny_model.sides["speech"].points
    assert [point.name for point in speech] == [
        "speech.conv1", "speech.conv2", "speech.input", "speech.layer.0", "speech.layer.1", "speech.norm"
    ]  # fmt: skip
    assert [point.name for point in tiny_model.sides["text"].points] == [
        "text.embeddings", "text.layer.0", "text.layer.1", "text.layer.2", "text.pooled"
    ]  # fmt: skip
    for side in tiny_model.sides.values():
        depths = [point.depth for point in side.points]
        assert depths[0] == 0 and depths[-1] == 1 and depths == sorted(depths)
    assert speech[0].stage is Stage.FRONT_END and tiny_model.sides["text"].points[-1].stage is Stage.POOLED
    assert any("never trained together" in note for note in tiny_model.notes)
    assert any("window of 2 s" in note for note in tiny_model.notes)
    assert tiny_model.shared_points == ()
    assert len(tiny_model.weights) == 2 and all(len(weights.sha256) == 64 for weights in tiny_model.weights)


def test_points_are_chosen_by_pattern(tiny_model: Model) -> None:
    chosen = tiny_model.select_points(["speech.layer.*", "text.pooled"])
    assert [row["name"] for row in chosen.describe()] == ["text.pooled", "speech.layer.0", "speech.layer.1"]
    assert tiny_model.select_points(["speech.*"]).modalities == ("speech",)
    with pytest.raises(UsageError, match=r"no point 'speech.layr.0'; did you mean 'speech.layer.0'"):
        tiny_model.select_points(["speech.layr.0"])


@pytest.mark.parametrize("window", [0.5, 31, 2.5])
def test_a_window_that_whisper_cannot_have_is_refused(whisper_folder: Path, window: float) -> None:
    with pytest.raises(UsageError, match="whole number of seconds"):
        models.load("whisper-base", weights=str(whisper_folder), window_seconds=window)


def test_options_of_the_machine_are_checked(whisper_folder: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'float16'"):
        models.load("whisper-base", weights=str(whisper_folder), dtype="flot16")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA"):
            models.load("whisper-base", weights=str(whisper_folder), device="cuda")
    with pytest.raises(UsageError, match="cannot be used"):
        models.load("whisper-base", weights=str(whisper_folder), device="toaster")
    with pytest.raises(UsageError, match="has two parts"):
        models.load("whisper-base+e5-small", weights=str(whisper_folder))
    with pytest.raises(UsageError, match="has no part 'whisper'"):
        models.load("whisper-base+e5-small", weights={"whisper": str(whisper_folder)})


def test_a_folder_with_missing_weights_is_refused_by_the_key(whisper_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(whisper_folder, broken)
    state = load_file(broken / "model.safetensors")
    del state["model.encoder.layers.1.fc1.weight"]
    save_file(state, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"lack 1 arrays of the model, such as 'layers.1.fc1.weight'"):
        models.load("whisper-base", weights=str(broken))


def test_a_folder_that_is_cut_short_pickled_or_absent_is_one_line(whisper_folder: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(whisper_folder, cut)
    whole = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cut short or damaged") as caught:
        models.load("whisper-base", weights=str(cut))
    assert "\n" not in str(caught.value)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    (pickled / "pytorch_model.bin").write_bytes(b"not even a pickle")
    with pytest.raises(DataError, match="pickled weights are not read"):
        models.load("whisper-base", weights=str(pickled))
    with pytest.raises(DataError, match="there is no folder"):
        models.load("whisper-base", weights=str(tmp_path / "nowhere"))
