"""The permutation null against the package calibrated-similarity, on the same draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from calibrated_similarity import calibrate as reference
from calibrated_similarity import calibrate_layers

from babelscope import similarity as sim
from babelscope.errors import DataError, UsageError
from babelscope.gaps import compare
from babelscope.similarity.permutation import ENOUGH, FIRST, calibrate, permutations
from babelscope.testing import Planted, planted_activations
from clouds import related

RNG = np.random.default_rng


def feeding(orders: Any) -> Any:
    """Return a `perm_fn` that hands out given permutations in turn."""
    queue = iter(orders)
    return lambda n, device: torch.from_numpy(next(queue))


@pytest.mark.parametrize(
    "name", ["svcca(variance=0.9)", "linear_cka", "mutual_knn", "retrieval", "procrustes", "pwcca"]
)
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_calibration_is_that_of_calibrated_similarity(name: str, strength: float) -> None:
    x, y = related(RNG(0), 40, 20, 20, 3, strength)
    count = 39
    found = sim.score(x, y, name, null="permutation", permutations=count, seed=5)
    calibrated, p, tau = reference(
        torch.from_numpy(x),
        torch.from_numpy(y),
        lambda a, b: sim.parse_measure(name).between(a, b),
        K=count,
        perm_fn=feeding(permutations(40, count, 5)),
    )
    assert found.calibrated == pytest.approx(float(calibrated), abs=2e-6)
    assert found.p == pytest.approx(float(p), abs=1e-7)
    assert float(tau) <= 1.0


def test_the_best_layer_is_tested_as_calibrated_similarity_does() -> None:
    rng = RNG(1)
    xs = [related(rng, 30, 8, 8, 2, s)[0] for s in (0.0, 0.5, 1.0)]
    y = related(rng, 30, 8, 8, 2, 1.0)[1]
    count = 59
    table = sim.cross_layer(
        dict(enumerate(xs)), {"y": y}, "linear_cka", null="permutation", permutations=count, seed=2, keep_null=True
    )
    found = sim.max_over(table.value.values[:, 0, 0], table.null_draws.values[:, 0, 0])
    calibrated, p, tau = calibrate_layers(
        [torch.from_numpy(x) for x in xs],
        [torch.from_numpy(y)],
        lambda a, b: sim.linear_cka(a, b),
        K=count,
        perm_fn=feeding(permutations(30, count, 2)),
    )
    assert found.calibration.calibrated == pytest.approx(float(calibrated), abs=2e-6)
    assert found.calibration.p == pytest.approx(float(p), abs=1e-7)
    assert found.calibration.threshold == pytest.approx(float(tau), abs=2e-6)


def test_the_best_of_many_unrelated_layers_is_not_a_discovery() -> None:
    rng = RNG(2)
    discoveries, naive = 0, 0
    for _ in range(40):
        y = rng.normal(size=(25, 10))
        layers = {i: rng.normal(size=(25, 10)) for i in range(12)}
        table = sim.cross_layer(layers, {"y": y}, "linear_cka", null="permutation", permutations=60, keep_null=True)
        best = sim.max_over(table.value.values[:, 0, 0], table.null_draws.values[:, 0, 0])
        discoveries += best.calibration.p <= 0.05
        naive += float(table.p.min()) <= 0.05
    assert discoveries <= 7, "5 % of 40, with room"
    assert naive > discoveries + 5, "the best of twelve passes by itself far too often"


def test_tau_and_p_by_hand() -> None:
    nulls = np.arange(19) / 100.0  # 0 .. .18
    found = sim.calibrate(0.5, nulls)
    assert found.threshold == pytest.approx(0.18), "the 19th of 20, the observed one among them"
    assert found.p == pytest.approx(1 / 20)
    assert found.calibrated == pytest.approx((0.5 - 0.18) / 0.82)
    below = sim.calibrate(0.1, nulls)
    assert below.calibrated == 0.0
    assert below.p == pytest.approx((1 + 9) / 20)


def test_permutations_are_permutations_and_depend_on_the_seed() -> None:
    drawn = permutations(17, 50, 3)
    assert (np.sort(drawn, axis=1) == np.arange(17)).all()
    assert (drawn == permutations(17, 50, 3)).all()
    assert not (drawn == permutations(17, 50, 4)).all()
    with pytest.raises(UsageError, match="at least 1"):
        permutations(17, 0)


def test_max_over_refuses_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="m x K"):
        sim.max_over([1.0, 2.0], np.zeros((3, 5)))
    with pytest.raises(DataError, match="NaN"):
        sim.max_over([1.0], np.full((1, 5), np.nan))


def test_sequential_p_values_are_valid_and_not_stuck_at_a_floor() -> None:
    """Of uniform scores p <= a in a share of at most a; a score that nothing reaches gets 1 in 2,001, not 1 in 201."""
    rng = np.random.default_rng(0)
    drawn, ps = [], []
    for _ in range(4000):
        null = rng.random(2000)
        value = rng.random()
        taken = FIRST
        while taken < 2000 and (null[:taken] >= value).sum() < ENOUGH:
            taken = min(2 * taken, 2000)
        found = calibrate(value, null[:taken], best=2.0, sequential=True)
        drawn.append(taken)
        ps.append(found.p)
    for level in (0.002, 0.01, 0.05, 0.2, 0.5):
        assert np.mean(np.array(ps) <= level) <= level + 3 * (level / 4000) ** 0.5
    assert np.mean(np.array(ps) <= 0.05) > 0.035
    assert np.mean(drawn) < 330, "most decisions need no more than the first"
    assert calibrate(1.5, rng.random(2000), best=2.0, sequential=True).p == pytest.approx(1 / 2001)


def test_a_study_draws_as_many_permutations_as_the_decision_needs(tmp_path: Path) -> None:
    counted: list[int] = []
    points = {"shared.0": Planted(), "shared.1": Planted(meaning=0.8)}
    store = planted_activations(tmp_path / "a.zarr", points, n=24, languages=("xa", "xb"))

    @dataclass(frozen=True)
    class Counting(sim.Procrustes):
        name = "counting"

        def permuted(self, x: Any, y: Any, orders: Any) -> Any:
            counted.append(len(orders))
            return super().permuted(x, y, orders)

    result = compare(
        store, [Counting()], kinds=["modality_similarity"], controls=["none"], interval=False, baselines=False
    )
    ps = {point: rows["p"].to_numpy() for point, rows in result.scores.groupby("point_a")}
    assert (ps["shared.1"] == 1 / 2001).all() and (ps["shared.0"] > 0.01).all()
    assert set(result.scores["null"]) == {"permutation"}
    assert sum(counted) <= 2 * 2000 + 2 * 800
