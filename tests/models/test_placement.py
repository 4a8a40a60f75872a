"""A model whose parts are put on several devices computes what it computes on one."""

from __future__ import annotations

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
        models.load("e5-small", options={"device_map": "auto"})
