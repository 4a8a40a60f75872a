"""A model whose parts are put on several devices computes what it computes on one."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from babelscope import models
from babelscope.capture import Capture
from babelscope.errors import UsageError
from babelscope.testing import tiny

pytest.importorskip("accelerate")

PARTS = ("whisper", "beats", "fusion", "qformer", "projection", "language")
NAME = "seamless-m4t-v2-large"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("seamless")
    tiny("seamless-m4t-v2", made)
    return made


def _seen(model: models.Model) -> dict[str, torch.Tensor]:
    items: dict[str, Any] = {
        "text": "the cat in a hat",
        "speech": np.random.default_rng(0).normal(scale=0.1, size=12_345).astype(np.float32),
    }
    out: dict[str, torch.Tensor] = {}
    for modality, side in model.sides.items():
        batch = side.collate([side.prepare(items[modality], "en")]).to(side.device)
        with Capture(side) as capture:
            found = capture.run(batch)
        out |= {f"{modality} {name}": torch.as_tensor(values) for name, values in found.items()}
    return out


@pytest.mark.parametrize(
    "device_map",
    [
        {"": "cpu"},
        "auto",
        {"text_encoder": "cpu", "speech_encoder": "disk", "text_decoder": "cpu"},
        {"text_encoder": "disk", "speech_encoder": "cpu", "text_decoder": "disk"},
    ],
)
def test_the_same_numbers_wherever_the_weights_are(folder: Path, device_map: Any) -> None:
    plain = models.load(NAME, weights=str(folder))
    spread = models.load(NAME, weights=str(folder), options={"device_map": device_map})
    there, here = _seen(spread), _seen(plain)
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], here[name]) for name in here)
    if isinstance(device_map, dict):
        assert spread.options["device_map"] == device_map
    held = {parameter.device.type for parameter in spread.sides["speech"].root.parameters()}
    assert ("meta" in held) is ("disk" in str(device_map))


@pytest.mark.plugins
def test_salmonn_reads_its_weights_from_the_disk(tmp_path: Path) -> None:
    tiny("salmonn", tmp_path)
    plain = models.load("salmonn-7b", weights=str(tmp_path))
    spread = models.load(
        "salmonn-7b", weights=str(tmp_path), options={"device_map": dict.fromkeys(PARTS, "cpu") | {"language": "disk"}}
    )
    there, here = _seen(spread), _seen(plain)
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], here[name]) for name in here)


@pytest.mark.parametrize(
    ("device_map", "said"),
    [
        ({"text_encodr": "cpu"}, "no part 'text_encodr'; its parts are"),
        ({"text_encoder": "cpu"}, "is given no device: name 'speech_encoder' too"),
        ({"": "tpu"}, "'tpu' is no device"),
        ({"": "cuda:97"}, "there is no cuda:97 here"),
        ("balanced", "neither 'auto' nor a table"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(folder: Path, device_map: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        models.load(NAME, weights=str(folder), options={"device_map": device_map})


def test_a_device_beside_a_map_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="leave out device = 'cuda'"):
        models.load(NAME, weights=str(folder), device="cuda", options={"device_map": "auto"})


def test_a_family_that_is_one_small_part_has_no_map() -> None:
    with pytest.raises(UsageError, match="device_map"):
        models.load("sonar-text", options={"device_map": "auto"})


#: A process with a model on the disk, which says where and waits to be killed.
HOLDING = """
import sys, time
from babelscope import models
from babelscope.testing import tiny
model = models.load(sys.argv[1], weights=sys.argv[2], options={"device_map": {
    "text_encoder": "disk", "speech_encoder": "cpu", "text_decoder": "disk"}})
print("held", flush=True)
if sys.argv[3] == "wait":
    time.sleep(600)
"""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "tmp"
    made.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(made))
    monkeypatch.setenv("TMPDIR", str(made))
    return made


def _left(scratch: Path) -> list[str]:
    return sorted(path.name for path in scratch.iterdir() if "babelscope" in path.name)


def _hold(folder: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDING, NAME, str(folder), how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_model_on_the_disk_is_gone_from_it_when_nobody_uses_it(folder: Path, scratch: Path) -> None:
    where = {"text_encoder": "disk", "speech_encoder": "cpu", "text_decoder": "disk"}
    model = models.load(NAME, weights=str(folder), options={"device_map": where})
    assert len(_left(scratch)) == 2
    side = model.sides["text"]
    del model
    gc.collect()
    assert len(_left(scratch)) == 2, "a side of it is used"
    side.collate([side.prepare("a", "en")])
    del side
    gc.collect()
    assert _left(scratch) == []


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_after_the_next_start(folder: Path, scratch: Path) -> None:
    assert _hold(folder, "end").wait(timeout=60) == 0
    assert _left(scratch) == [], "a process that ends takes it along"
    killed, living = _hold(folder, "wait"), _hold(folder, "wait")
    try:
        assert len(_left(scratch)) == 4
        killed.kill()
        killed.wait()
        foreign = scratch / "babelscope-weights-of-somebody"
        foreign.mkdir()
        models.load(NAME, weights=str(folder))
        assert len(_left(scratch)) == 3 and foreign.is_dir(), "that of the living process, and what is not ours"
    finally:
        living.kill()
        living.wait()
