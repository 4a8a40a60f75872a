"""What must hold for any data: invariances, symmetry, range, and the exact null on arbitrary matrices."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from babelscope import similarity as sim
from babelscope.errors import DataError
from babelscope.similarity.crossval import CVCCA
from babelscope.similarity.nulls import CentredSums, assignment_moments, centred_moments

FloatArray = npt.NDArray[np.float64]

settings.register_profile("similarity", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("similarity")

VARIANTS = [
    *sim.MEASURES,
    "cca(squared=True)",
    "svcca(variance=0.8)",
    "svcca(k=3)",
    "svcca(convention='google')",
    "svcca(convention='netrep')",
    "pwcca(side='x', variance=None)",
    "linear_cka(debiased=False)",
    "rsa(metric='euclidean', compare='pearson')",
    "rsa(metric='cosine')",
    "mutual_knn(k=3, metric='euclidean')",
    "mutual_knn(k=3, centre=False)",
    "retrieval(mrr=True, centre=False)",
    "retrieval(metric='euclidean', k=2, direction='yx')",
    "xsim(margin='distance', direction='both')",
    "mexa(centre=True)",
    "procrustes(form='angle')",
    "procrustes(form='distance')",
    "anc(absolute=True)",
    "centroid_gap(normalise=False)",
]
measures = st.sampled_from(VARIANTS).map(sim.parse_measure)
seeds = st.integers(0, 2**32 - 1)


def sides(seed: int, n: int = 40, d: int = 7) -> tuple[FloatArray, FloatArray]:
    """Return two sides in general position (no ties, full rank), partly alike."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * rng.uniform(0.5, 2, d) + rng.normal(size=d)
    y = rng.uniform(0, 1.5) * x + rng.normal(size=(n, d)) + rng.normal(size=d)
    return x, y


def close(a: float, b: float) -> None:
    assert a == pytest.approx(b, abs=1e-7)


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant != "cv_cca"])
@given(seed=seeds)
@settings(max_examples=3)
def test_the_order_of_the_sentences_does_not_matter(variant: str, seed: int) -> None:
    measure = sim.parse_measure(variant)
    x, y = sides(seed)
    order = np.random.default_rng(seed).permutation(len(x))
    close(measure.between(x[order], y[order]), measure.between(x, y))


@given(seed=seeds)
@settings(max_examples=5)
def test_of_cv_cca_the_order_decides_only_what_is_held_out_together(seed: int) -> None:
    measure = CVCCA()
    x, y = sides(seed)
    rng = np.random.default_rng(seed)
    order = np.arange(len(x))
    for part in measure.parts(len(x)):
        order[part] = rng.permutation(part)
    close(measure.between(x[order], y[order]), measure.between(x, y))


MAPS = ("rotation", "scale", "shift", "linear")


def moved_by(kind: str, side: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a side after a random map of a kind."""
    d = side.shape[1]
    turn, back = (np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(2))
    if kind == "rotation":
        return np.asarray(side @ turn)
    if kind == "scale":
        return side * float(np.exp(rng.uniform(-8, 8)))
    if kind == "shift":
        return side + rng.normal(size=d) * 10
    return np.asarray(side @ (turn * rng.uniform(0.1, 3, d)) @ back)


def change_by(kind: str, measure: sim.Measure, seed: int) -> float:
    """Return by how much maps of a kind change a score at most: three of each side."""
    rng = np.random.default_rng(seed)
    x, y = sides(seed)
    before = measure.between(x, y)
    after = [measure.between(moved_by(kind, x, rng), y) for _ in range(3)]
    after += [measure.between(x, moved_by(kind, y, rng)) for _ in range(3)]
    return float(np.abs(np.array(after) - before).max())


CLAIMS = [(variant, kind) for variant in VARIANTS for kind in MAPS]


@pytest.mark.parametrize(("variant", "kind"), CLAIMS)
@given(seed=seeds)
@settings(max_examples=3)
def test_a_measure_has_the_invariances_it_states_and_no_other(variant: str, kind: str, seed: int) -> None:
    measure = sim.parse_measure(variant)
    if kind in measure.invariances:
        assert change_by(kind, measure, seed) < 1e-7
    else:  # a score that counts may be the same by chance
        assert any(change_by(kind, measure, seed + other) > 1e-6 for other in range(8))


@pytest.mark.parametrize("seed", range(12))
def test_a_false_claim_is_caught_by_every_seed(seed: int) -> None:
    assert change_by("rotation", sim.parse_measure("anc"), seed) > 0.1


@given(measures, seeds)
def test_a_symmetric_measure_is_symmetric(measure: sim.Measure, seed: int) -> None:
    assume(measure.symmetric)
    x, y = sides(seed)
    if measure.name == "cv_cca":
        assert measure.between(x, y) == pytest.approx(measure.between(y, x), abs=1e-6)
    else:
        close(measure.between(x, y), measure.between(y, x))


@given(measures, seeds)
def test_every_value_lies_in_the_stated_range(measure: sim.Measure, seed: int) -> None:
    value = measure.between(*sides(seed))
    low, high = measure.range
    assert low - 1e-12 <= value <= high + 1e-12


@given(measures, seeds)
def test_a_side_agrees_with_itself_as_well_as_can_be(measure: sim.Measure, seed: int) -> None:
    x, _ = sides(seed)
    # An arccos near 1 turns a rounding of 1e-16 into 1e-8.
    assert measure.between(x, x) == pytest.approx(measure.best, abs=1e-6)


@given(st.sampled_from([name for name in sim.MEASURES if name not in ("centroid_gap", "cv_cca")]), seeds)
@settings(max_examples=15)
def test_more_shared_signal_is_never_taken_for_much_less(name: str, seed: int) -> None:
    measure = sim.MEASURES[name]
    rng = np.random.default_rng(seed)
    signal, a, b = (rng.normal(size=(60, 8)) for _ in range(3))
    sign = 1 if measure.higher_is_better else -1
    values = [sign * measure.between(s * signal + a, s * signal + b) for s in (0.0, 1.0, 3.0, 10.0)]
    assert all(later > earlier - 0.08 for earlier, later in itertools.pairwise(values))
    assert values[-1] > values[0]


@given(st.integers(6, 7), st.data())
@settings(max_examples=12)
def test_the_exact_null_holds_on_arbitrary_matrices(n: int, data: Any) -> None:
    numbers = st.floats(-10, 10, allow_nan=False, width=16)
    raw = [data.draw(hnp.arrays(np.float64, (n, n), elements=numbers)) for _ in range(2)]
    flat = np.eye(n) - 1 / n
    a, b = (flat @ (m + m.T) @ flat for m in raw)
    scores = np.array([(a * b[np.ix_(p, p)]).sum() for p in map(list, itertools.permutations(range(n)))])
    mean, variance, skewness = centred_moments(CentredSums.of(a), CentredSums.of(b))
    scale = max(float(np.abs(a).max() * np.abs(b).max()), 1e-12) * n
    assert mean == pytest.approx(scores.mean(), abs=1e-9 * scale)
    assert variance == pytest.approx(scores.var(), rel=1e-6, abs=1e-9 * scale**2)
    if scores.std() > 1e-3 * scale:
        assert skewness == pytest.approx((((scores - scores.mean()) / scores.std()) ** 3).mean(), abs=1e-4)


@given(hnp.arrays(np.float64, (6, 6), elements=st.floats(-5, 5, allow_nan=False, width=16)))
@settings(max_examples=12)
def test_the_assignment_null_holds_on_arbitrary_tables(table: FloatArray) -> None:
    scores = np.array([table[np.arange(6), list(p)].sum() for p in itertools.permutations(range(6))])
    mean, variance, _ = assignment_moments(table)
    assert mean == pytest.approx(scores.mean(), abs=1e-9)
    assert variance == pytest.approx(scores.var(), abs=1e-8)


@given(
    measures,
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.float16]),
        st.tuples(st.integers(1, 40), st.integers(1, 6)),
        elements=st.one_of(st.floats(-100, 100, width=16), st.sampled_from([0.0, 1.0])),
    ),
    seeds,
)
@settings(max_examples=120)
def test_any_matrix_gives_a_finite_score_or_one_clear_line(measure: sim.Measure, x: Any, seed: int) -> None:
    y = np.random.default_rng(seed).normal(size=x.shape)
    for left, right in ((x, y), (y, x), (x, x)):
        try:
            found = sim.score(left, right, measure, permutations=5)
        except DataError as error:
            assert "\n" not in str(error)
            assert len(str(error)) > 20
            continue
        assert np.isfinite(found.value)
        if found.null != "none":
            assert np.isfinite([found.null_mean, found.null_sd, found.null_q95, found.calibrated, found.p]).all()
            assert 0 < found.p <= 1 or found.p == 0.0
            assert found.calibrated >= 0


@given(st.sampled_from(["svcca", "linear_cka", "rsa", "mutual_knn(k=4)", "retrieval", "anc", "xsim", "mexa"]), seeds)
@settings(max_examples=15)
def test_closed_form_and_permutations_tell_the_same(name: str, seed: int) -> None:
    x, y = sides(seed, n=45, d=12)
    exact = sim.score(x, y, name, null="exact")
    drawn = sim.score(x, y, name, null="permutation", permutations=300, seed=1)
    assert exact.null_mean == pytest.approx(
        drawn.null_mean, abs=5 * drawn.null_sd / 300**0.5 + 0.01 * abs(drawn.null_mean)
    )
    assert exact.calibrated == pytest.approx(drawn.calibrated, abs=0.06)
