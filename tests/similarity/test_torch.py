"""Tensors give the numbers of arrays, on the device where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from babelscope import similarity as sim
from babelscope.errors import DataError, UsageError
from babelscope.gaps import compare
from babelscope.testing import Planted, planted_activations
from clouds import related

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture
def pair() -> Any:
    return related(np.random.default_rng(0), 50, 14, 14, 4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "name", [*sim.MEASURES, "svcca(convention='google')", "rsa(metric='euclidean')", "anc(absolute=True)"]
)
def test_a_tensor_gives_the_score_of_an_array(pair: Any, name: str, device: str) -> None:
    a, b = (torch.from_numpy(side).to(device) for side in pair)
    wanted = sim.score(pair[0], pair[1], name, permutations=10)
    found = sim.score(a, b, name, permutations=10)
    for field in ("value", "null_mean", "null_sd", "p", "kx"):
        assert getattr(found, field) == pytest.approx(getattr(wanted, field), abs=1e-9, nan_ok=True), field
    permuted = sim.score(a, b, name, permutations=10, null="permutation", interval=True)
    assert permuted.null_mean == pytest.approx(
        sim.score(pair[0], pair[1], name, permutations=10, null="permutation").null_mean, nan_ok=True
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_coarse_tensors_are_widened(pair: Any, kind: Any, device: str) -> None:
    tensors = [torch.from_numpy(side).to(device=device, dtype=kind).requires_grad_() for side in pair]
    assert sim.linear_cka(*tensors) == pytest.approx(sim.linear_cka(*pair), abs=0.02)


@pytest.mark.parametrize("device", DEVICES)
def test_pairwise_takes_tensors(pair: Any, device: str) -> None:
    sides = {"x": torch.from_numpy(pair[0]).to(device), "y": torch.from_numpy(pair[1]).to(device)}
    found = sim.pairwise(sides, ["svcca", "linear_cka", "mutual_knn(k=3)"])
    wanted = sim.pairwise(dict(zip("xy", pair, strict=True)), ["svcca", "linear_cka", "mutual_knn(k=3)"])
    np.testing.assert_allclose(found.value, wanted.value, atol=1e-10)
    np.testing.assert_allclose(found.p, wanted.p, atol=1e-8)


#: "cpu" alone means NumPy; with an index it is torch's.
@pytest.mark.parametrize("device", ["cpu:0", *(["cuda"] if torch.cuda.is_available() else [])])
def test_a_study_on_a_device_has_the_numbers_of_one_in_numpy(device: str, tmp_path: Path) -> None:
    points = {"shared.0": Planted(meaning=0.2, length=0.1), "shared.1": Planted(meaning=0.5)}
    store = planted_activations(tmp_path / "a.zarr", points, n=60, languages=("xa", "xb"), width=70)
    measures = [
        "svcca(variance=0.9)",
        "svcca(squared=True)",
        "linear_cka",
        "retrieval",
        "rsa(metric='euclidean')",
        "procrustes",
        "xsim",
    ]
    wanted, found = (compare(store, measures, device=place, permutations=19) for place in ("cpu", device))
    numbers = ["value", "null_mean", "null_sd", "null_q95", "calibrated", "p", "low", "high", "n", "kx", "ky"]
    pd.testing.assert_frame_equal(wanted.scores.drop(columns=numbers), found.scores.drop(columns=numbers))
    np.testing.assert_allclose(wanted.scores[numbers], found.scores[numbers], atol=1e-6)


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = planted_activations(tmp_path / "a.zarr", {"shared.0": Planted()}, n=12)
    for device, said in (("mps", "single precision"), ("qpu", "'qpu' cannot be used here")):
        with pytest.raises(UsageError, match=said):
            compare(store, ["linear_cka"], device=device)


def test_a_bad_number_in_a_tensor_is_named() -> None:
    x = torch.ones(10, 3)
    x[4, 1] = float("nan")
    with pytest.raises(DataError, match="y holds NaN in row 4"):
        sim.linear_cka(torch.randn(10, 3), x)
    with pytest.raises(DataError, match="complex"):
        sim.linear_cka(torch.randn(10, 3), torch.randn(10, 3) + 1j)
