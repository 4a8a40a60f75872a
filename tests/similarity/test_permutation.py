"""The permutation null against the package calibrated-similarity, on the same draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from calibrated_similarity import calibrate as reference
from calibrated_similarity import calibrate_layers

from babelscope import similarity as sim
from babelscope.errors import DataError, UsageError
from babelscope.similarity.permutation import permutations
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
