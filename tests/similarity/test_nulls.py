"""Closed-form nulls against permutations: all of them where n is small, real draws where it is not."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from babelscope import similarity as sim
from babelscope.similarity.nulls import (
    CentredSums,
    OffDiagonalSums,
    assignment_counts,
    assignment_moments,
    centred_moments,
    offdiagonal_moments,
    wachter,
)
from babelscope.similarity.permutation import permutations
from clouds import FloatArray, cloud, related

RNG = np.random.default_rng


def every(n: int) -> Any:
    return np.array(list(itertools.permutations(range(n))))


def moments(scores: FloatArray) -> tuple[float, float, float]:
    centred = scores - scores.mean()
    return float(scores.mean()), float((centred**2).mean()), float((centred**3).mean())


def centre(matrix: FloatArray) -> FloatArray:
    n = len(matrix)
    flat = np.eye(n) - 1 / n
    out: FloatArray = flat @ matrix @ flat
    return out


@pytest.mark.parametrize("n", [6, 7])
@pytest.mark.parametrize("kind", ["gram", "any sign", "peaked", "shifted"])
def test_three_moments_of_a_trace_form_are_those_of_all_permutations(n: int, kind: str) -> None:
    rng = RNG(n)

    def one() -> FloatArray:
        raw = rng.normal(size=(n, n))
        if kind == "gram":
            raw = raw[:, :3]
            return centre(raw @ raw.T)
        if kind == "peaked":
            raw = rng.standard_t(1.5, size=(n, 2))
            return centre(raw @ raw.T)
        return centre(raw + raw.T) + (50 * centre(np.eye(n)) if kind == "shifted" else 0)

    a, b = one(), one()
    scores = np.array([(a * b[np.ix_(p, p)]).sum() for p in every(n)])
    mean, variance, third = moments(scores)
    found = centred_moments(CentredSums.of(a), CentredSums.of(b))
    assert found[0] == pytest.approx(mean, rel=1e-9, abs=1e-9)
    assert found[1] == pytest.approx(variance, rel=1e-8)
    assert found[2] * found[1] ** 1.5 == pytest.approx(third, rel=1e-6, abs=1e-8 * variance**1.5)


def test_the_sums_of_a_projector_are_those_of_its_matrix() -> None:
    u = np.linalg.qr(centre(RNG(0).standard_t(3, size=(30, 30)))[:, :7])[0]
    whole, short = CentredSums.of(u @ u.T), CentredSums.of_projector(u)
    for name in vars(whole):
        assert getattr(short, name) == pytest.approx(getattr(whole, name), abs=1e-11), name
    quick = CentredSums.of_leverages((u**2).sum(1), 7)
    assert centred_moments(quick, quick)[:2] == pytest.approx(centred_moments(whole, whole)[:2])


def test_moments_of_an_off_diagonal_form_are_those_of_all_permutations() -> None:
    rng = RNG(1)
    a, b = ((rng.random((6, 6)) < 0.4) * (1 - np.eye(6)) for _ in range(2))
    scores = np.array([(a * b[np.ix_(p, p)]).sum() for p in every(6)])
    found = offdiagonal_moments(OffDiagonalSums.of(a), OffDiagonalSums.of(b))
    assert found == pytest.approx(moments(scores)[:2])


def test_moments_of_an_assignment_are_those_of_all_permutations() -> None:
    w = RNG(2).normal(size=(6, 6)) ** 3
    scores = np.array([w[np.arange(6), p].sum() for p in every(6)])
    mean, variance, third = moments(scores)
    found = assignment_moments(w)
    assert found == pytest.approx((mean, variance, third / variance**1.5))


def test_hits_follow_the_compound_poisson_law() -> None:
    rng = RNG(3)
    n = 150
    w = np.zeros((n, n))
    w[np.arange(n), rng.integers(n, size=n)] += 0.5
    w[rng.integers(n, size=n), np.arange(n)] += 0.5
    support, mass = assignment_counts(w)
    scores = w[np.arange(n), permutations(n, 20000, 0)].sum(1)
    for value, probability in zip(support[:8], mass[:8], strict=True):
        assert np.mean(np.abs(scores - value) < 1e-9) == pytest.approx(probability, abs=0.012)
    assert float(support @ mass) == pytest.approx(w.sum() / n, rel=1e-6)


@pytest.mark.parametrize(("kx", "ky", "n"), [(20, 20, 80), (8, 30, 60), (25, 30, 40), (1, 6, 40), (60, 40, 250)])
def test_wachter_with_its_correction_is_the_mean_of_random_subspaces(kx: int, ky: int, n: int) -> None:
    rng = RNG(4)
    draws = 300
    sums = []
    for _ in range(draws):
        u, v = (np.linalg.qr(rng.normal(size=(n - 1, k)))[0] for k in (kx, ky))
        sums.append(np.linalg.svd(u.T @ v, compute_uv=False).sum())
    mean, sd = wachter(kx, ky, n)
    error = np.std(sums) / np.sqrt(draws)
    assert abs(mean - np.mean(sums)) < max(4 * error, 0.001 * mean)
    assert sd == pytest.approx(np.std(sums), rel=0.2)


#: n, d, spectrum, tail of one side, then of the other.
CLOUDS = [
    (40, 64, "power", None, "power", None),
    (100, 200, "flat", None, "power", None),
    (120, 64, "power", 3.0, "power", 3.0),
    (60, 128, "steep", 2.0, "flat", 2.0),
]
EXACT = [
    "svcca",
    "svcca(variance=0.99)",
    "svcca(variance=0.9)",
    "svcca(squared=True)",
    "cca(squared=True)",
    "linear_cka",
    "linear_cka(debiased=False)",
    "rbf_cka",
    "rsa",
    "rsa(metric='euclidean', compare='pearson')",
    "mutual_knn(k=5)",
    "anc",
    "retrieval",
    "retrieval(mrr=True)",
    "retrieval(k=3, direction='xy')",
    "xsim",
    "mexa",
]


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("shape", CLOUDS, ids=lambda shape: "-".join(str(item) for item in shape))
def test_closed_forms_agree_with_a_thousand_permutations(name: str, shape: Any) -> None:
    n, d, spectrum_x, tail_x, spectrum_y, tail_y = shape
    rng = RNG(5)
    measure = sim.parse_measure(name)
    x, y = (
        measure.prepare(sim.Representation(cloud(rng, n, d, spectrum, tail)))
        for spectrum, tail in ((spectrum_x, tail_x), (spectrum_y, tail_y))
    )
    law = measure.law(x, y)
    if law is None:
        assert name.startswith("svcca"), "only the mean correlation has a form that may be refused"
        return
    draws = 1000
    scores = measure.permuted(x, y, permutations(n, draws, 6))
    sampling = scores.std() / np.sqrt(draws)
    assert abs(law.mean - scores.mean()) < 0.01 * abs(scores.mean()) + 4.5 * sampling
    assert law.sd == pytest.approx(scores.std(), rel=0.25 if tail_x == 2.0 else 0.13)
    sign = 1.0 if measure.higher_is_better else -1.0
    p = np.array([law.scaled(sign).above(sign * score) for score in scores])
    # At most a share of about alpha falls below alpha; counts are coarse and may fall well short of it.
    for alpha, slack in ((0.05, 0.028), (0.01, 0.013)):
        assert np.mean(p <= alpha) < alpha + slack


@pytest.mark.parametrize(("n", "k"), [(12, 2), (20, 3), (20, 10)])
def test_p_of_neighbours_is_that_of_permutations_though_few_scores_are_possible(n: int, k: int) -> None:
    rng, measure = RNG(n + k), sim.parse_measure(f"mutual_knn(k={k})")
    shared = rng.normal(size=(n, 6))
    x, y = (measure.prepare(sim.Representation(0.3 * shared + rng.normal(size=(n, 6)))) for _ in range(2))
    law, scores = measure.law(x, y), measure.permuted(x, y, permutations(n, 8000, 6))
    assert law is not None
    for score in np.unique(scores):
        assert law.above(score) == pytest.approx((scores >= score - 1e-9).mean(), abs=0.016)  # off by .03 without steps
    step = 1 / (n * k)
    assert law.quantile(0.95) == pytest.approx(np.quantile(scores, 0.95, method="inverted_cdf"), abs=1.01 * step)
    assert law.quantile(0.95) / step == pytest.approx(round(law.quantile(0.95) / step))


@pytest.mark.parametrize(
    "name", ["svcca", "svcca(squared=True)", "linear_cka", "linear_cka(debiased=False)", "rbf_cka", "rsa", "anc"]
)
def test_p_is_uniform_on_unrelated_data(name: str) -> None:
    # New data each time, not only new permutations of one pair.
    rng = RNG(7)
    measure = sim.parse_measure(name)
    p = []
    for _ in range(1000):
        x, y = (measure.prepare(sim.Representation(cloud_fast(rng, 40, 24))) for _ in range(2))
        law = measure.law(x, y)
        assert law is not None
        p.append(law.above(measure.value(x, y)))
    assert kstest(p, "uniform").pvalue > 0.001
    assert 0.03 < np.mean(np.array(p) < 0.05) < 0.075


def cloud_fast(rng: np.random.Generator, n: int, d: int) -> FloatArray:
    return rng.normal(size=(n, d)) * np.arange(1, d + 1) ** -0.5


def test_p_has_power_on_a_planted_signal_and_agrees_with_permutations() -> None:
    x, y = related(RNG(8), 100, 40, 40, 3, 0.7)
    for name in ("svcca(variance=0.9)", "linear_cka", "rsa", "mutual_knn"):
        exact = sim.score(x, y, name, null="exact")
        drawn = sim.score(x, y, name, null="permutation", permutations=400)
        assert exact.p < 0.005, name
        assert drawn.p == pytest.approx(1 / 401), name
        assert exact.calibrated == pytest.approx(drawn.calibrated, abs=0.02), name
        assert exact.null_q95 == pytest.approx(drawn.null_q95, abs=0.02), name


def test_a_measure_where_smaller_is_better_is_calibrated_the_other_way_round() -> None:
    rng = RNG(9)
    x = rng.normal(size=(80, 20))
    y = x + 0.7 * rng.normal(size=(80, 20))
    exact = sim.score(x, y, "xsim", null="exact")
    drawn = sim.score(x, y, "xsim", null="permutation")
    for found in (exact, drawn):
        assert not found.higher_is_better
        assert found.value < found.null_q95 < found.null_mean
        assert found.calibrated == pytest.approx(1 - found.value / found.null_q95)
        assert found.p < 0.01
    unrelated = sim.score(x, rng.permutation(y), "procrustes(form='angle')")
    assert unrelated.calibrated == 0.0
    assert unrelated.p > 0.01
    alike = sim.score(x, y, "procrustes(form='angle')")
    assert alike.p == pytest.approx(1 / 201)


def test_the_form_for_mean_correlation_is_refused_where_it_is_not_good() -> None:
    rng = RNG(10)
    x, y = rng.standard_t(1.5, size=(2, 60, 6))
    found = sim.score(x, y, "cca", null="auto")
    assert found.null == "permutation", "sentences of extreme leverage on both sides"
    assert sim.score(x, y, "cca(squared=True)", null="auto").null == "exact"


def test_saturation_is_said_and_scores_nothing() -> None:
    rng = RNG(11)
    x, y = rng.normal(size=(30, 64)), rng.normal(size=(30, 64))
    for null in ("auto", "permutation"):
        found = sim.score(x, y, "cca", null=null)
        assert found.value == pytest.approx(1.0)
        assert found.saturated
        assert (found.calibrated, found.p) == (0.0, 1.0)
        assert any("saturated" in note and "29 of 29" in note for note in found.notes)
        assert "saturated" in str(found)
    partly = sim.score(x, y, "svcca(variance=0.9)")
    assert not partly.saturated
    assert any("force" in note for note in partly.notes)
