"""Intervals in closed form hold the score's mean over studies of as many other sentences, and equal brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from babelscope.errors import UsageError
from babelscope.gaps import compare
from babelscope.similarity import Retrieval, parse_measure
from babelscope.similarity.deviations import Deviations
from babelscope.similarity.intervals import SCALES, interval_on_scale
from babelscope.similarity.jackknife import deviations_by_cluster
from babelscope.similarity.representation import Representation
from babelscope.similarity.retrieval import Vectors
from babelscope.testing import Planted, planted_activations
from test_coverage_of_intervals import ends_of, share_held, sides

CLOSED = ("linear_cka", "rbf_cka", "rsa", "procrustes", "retrieval", "retrieval(k=5)", "retrieval(mrr=True)")


def deleted(name: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], float]:
    """The score, its influence values, and the variance that the jackknife counts twice."""
    measure = parse_measure(name)
    a, b = (measure.prepare(Representation(side)) for side in (x, y))
    outcome = measure.outcome(a, b, influence=True)
    assert outcome.influence is not None and outcome.pairs is not None
    return outcome.value, outcome.influence, float((outcome.pairs**2).sum())


@pytest.mark.parametrize("documents", [False, True])
@pytest.mark.parametrize("name", [*CLOSED, "rsa(compare='pearson')"])
def test_leaving_out_each_sentence_or_document_in_turn_gives_what_the_closed_form_says(
    name: str, documents: bool
) -> None:
    """Exactly for CKA, RSA by Pearson, and retrieval of a sentence among vectors that stay.

    Ranks, widths and rotations stay for the others; of what keeps a sentence from a hit, one sentence alone is seen.
    """
    x, y = sides(60, 3, 24, 0.5)
    clusters = np.random.default_rng(0).permutation(np.arange(60) // 3) if documents else np.arange(60)
    measure = parse_measure(name)
    a, b = (measure.prepare(Representation(side, clusters=clusters if documents else None)) for side in (x, y))
    value, influence = measure.value(a, b), measure.influence(a, b)
    assert influence is not None

    def without(cluster: int) -> float:
        keep = clusters != cluster
        if not isinstance(measure, Retrieval):
            score = measure.between(x[keep], y[keep])
        else:
            left, right = (Vectors(measure.prepare(Representation(side)).rows[keep]) for side in (x, y))
            score = measure.value(left, right)
        return float(keep.sum() * (value - score))

    brute = np.array([without(cluster) for cluster in range(clusters.max() + 1)])
    of_clusters = np.bincount(clusters, influence)
    if name in ("linear_cka", "rsa(compare='pearson')") or (isinstance(measure, Retrieval) and not documents):
        np.testing.assert_allclose(of_clusters, brute, atol=1e-12)
    else:
        assert np.corrcoef(of_clusters, brute)[0, 1] > 0.95
        assert np.std(of_clusters) == pytest.approx(np.std(brute), rel=0.1 if name != "procrustes" else 0.2)


def test_deviations_by_cluster_add_up_and_are_the_jackknife_s() -> None:
    generator = np.random.default_rng(0)
    influence, clusters = generator.normal(size=30), np.arange(30) // 3
    each = deviations_by_cluster(influence, np.arange(30))
    assert (each**2).sum() == pytest.approx(influence.var(ddof=1) / 30)
    both = deviations_by_cluster(2 * influence - influence[::-1], clusters)
    parts = 2 * deviations_by_cluster(influence, clusters) - deviations_by_cluster(influence[::-1], clusters)
    np.testing.assert_allclose(both, parts)
    copies = np.repeat(generator.normal(size=10), 3)  # three copies of ten sentences are ten sentences
    assert (deviations_by_cluster(copies, clusters) ** 2).sum() == pytest.approx(copies[::3].var(ddof=1) / 10)


@pytest.mark.parametrize("documents", [False, True])
def test_what_pairs_add_is_known_exactly_of_a_score_and_nearly_of_a_sum(documents: bool) -> None:
    codes, measure = np.arange(60) // (3 if documents else 1), parse_measure("linear_cka")
    membership = (codes[:, None] == np.arange(codes.max() + 1)).astype(float)

    def of_pairs(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y = sides(60, seed, 24, 0.0)
        a, b = (measure.prepare(Representation(side, clusters=codes if documents else None)) for side in (x, y))
        k, m = a.matrix, b.matrix
        pairs = membership.T @ (k * m - float(np.vdot(k, m)) / 2 * (k**2 + m**2)) @ membership
        np.fill_diagonal(pairs, 0.0)
        return measure.pair_sketch(a, b), pairs

    estimates, wanted = [], []
    for seed in range(0, 60, 2):
        (sketch, pairs), (other, further) = of_pairs(seed), of_pairs(seed + 1)
        assert float((sketch**2).sum()) == pytest.approx(2 * float((pairs**2).sum()))
        estimates.append(float(((sketch + other) ** 2).sum()))
        wanted.append(2 * float(((pairs + further) ** 2).sum()))
    assert np.mean(estimates) == pytest.approx(np.mean(wanted), rel=0.15)


def test_a_hit_that_one_sentence_alone_prevents_is_what_the_two_add_together() -> None:
    x, y = sides(40, 5, 16, 0.5)
    measure = parse_measure("retrieval")
    a, b = (measure.prepare(Representation(side)) for side in (x, y))

    def hits(gone: list[int]) -> float:
        keep = np.setdiff1d(np.arange(40), gone)
        return measure.value(*(Vectors(side.rows[keep]) for side in (a, b))) * len(keep)

    single = [hits([i]) for i in range(40)]
    both = {
        (i, j): hits([]) - single[i] - single[j] + hits([i, j]) for i in range(40) for j in range(i)
    }  # with two that prevent it together, which the closed form leaves out
    alone = sum(min(value, 0.0) ** 2 for value in both.values()) / 40**2
    assert float((measure.pair_sketch(a, b) ** 2).sum()) == pytest.approx(alone, rel=0.1)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("units", [8.0, 60.0, np.inf])
def test_an_interval_on_a_scale_holds_its_score_and_ends_in_order(scale: str, units: float) -> None:
    values = np.array([-0.9, -0.2, -1e-6, 0.0, 1e-6, 0.2, 0.7, 0.99, 1.0])
    values = np.abs(values) if scale == "proportion" else values
    for reach in (1e-6, 0.05, 0.6):
        low, high = interval_on_scale(values, np.full(values.size, reach), scale, units)
        inside = values < 1
        assert (low < values)[inside].all() and (values < high)[inside].all()
        assert (high <= 1).all() or scale in ("score", "proportion")  # a measure's own range cuts them
        if np.isfinite(units):  # no jump at 0
            np.testing.assert_allclose([low[2], high[2]], [low[4], high[4]], atol=1e-4)
    small = np.array([0.1, 0.5, 0.9])
    low, high = interval_on_scale(small, np.full(3, 1e-6), scale, units)
    np.testing.assert_allclose([high - small, small - low], 1e-6, rtol=1e-3)


def test_a_low_score_reaches_further_up_and_a_high_one_further_down() -> None:
    for scale in ("correlation", "squared correlation"):
        low, high = interval_on_scale(np.array([0.1, 0.9]), np.array([0.08, 0.08]), scale, 20.0)
        up, down = high - [0.1, 0.9], [0.1, 0.9] - low
        assert down[1] > up[1] and (up[0] > down[0] or scale == "correlation"), scale


def covered(
    count: int,
    n: int,
    width: int,
    falling: float,
    names: tuple[str, ...] = CLOSED,
    documents: int = 1,
    common: float = 0.5,
) -> dict[str, float]:
    values, ends = np.empty((count, len(names))), np.empty((count, len(names), 2))
    clusters = np.arange(n) // documents
    for seed in range(count):
        x, y = sides(n, seed, width, falling, common)
        if documents > 1:
            shared = np.random.default_rng([seed, 1]).standard_normal((clusters.max() + 1, 2 * width))[clusters]
            scale = np.arange(1, width + 1) ** -falling
            x, y = x + shared[:, :width] * scale, y + shared[:, width:] * scale
        for at, name in enumerate(names):
            values[seed, at], influence, twice = deleted(name, x, y)
            each, units = deviations_by_cluster(influence, clusters)[:, None], int(clusters.max()) + 1
            found = Deviations(each, np.array([[twice**0.5]]), units - 1.0, closed=True, units=units)
            ends[seed, at] = ends_of(name, values[seed, at], found)
    return dict(zip(names, share_held(values, ends), strict=True))


def test_they_cover(count: int = 60) -> None:
    shares = covered(count, 40, 16, 0.0, ("linear_cka", "rsa", "retrieval"))
    assert min(shares.values()) >= 0.85, shares


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "width", "falling"),
    [(20, 24, 0.0), (60, 24, 0.0), (60, 96, 0.75), (200, 96, 0.75)],
    ids=["few", "flat", "falling", "more"],
)
def test_they_cover_in_500_draws(n: int, width: int, falling: float) -> None:
    # Five of twenty are nearly always among them: retrieval at 5 has nothing that could vary there.
    names = tuple(name for name in CLOSED if n > 20 or name != "retrieval(k=5)")
    shares = covered(500, n, width, falling, names)
    assert all(0.91 <= share <= (0.99 if n == 20 else 0.985) for share in shares.values()), shares


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize("common", [0.0, 0.3, 0.5, 0.8])
def test_they_cover_where_few_directions_weigh(n: int, common: float) -> None:
    """Scores near chance, between, and near 1; where nothing is in common, nearly all intervals hold."""
    shares = covered(500, n, 32, 1.0, ("linear_cka", "rbf_cka", "rsa", "procrustes"), common=common)
    assert all(0.91 <= share <= (0.99 if common else 1) for share in shares.values()), shares


@pytest.mark.slow
def test_they_cover_by_document_where_sentences_belong_together() -> None:
    shares = covered(500, 90, 24, 0.0, ("linear_cka", "rsa", "retrieval"), documents=3)
    assert all(0.91 <= share <= 0.985 for share in shares.values()), shares


def test_a_study_gives_intervals_to_the_measures_that_it_names(tmp_path: Path) -> None:
    store = planted_activations(tmp_path / "a.zarr", {"shared": Planted(meaning=0.4)}, n=24, languages=("xa", "xb"))
    measures = ["svcca(k=3)", "linear_cka", "mutual_knn(k=3)"]
    only: dict[str, Any] = {"controls": ("none",), "kinds": ["modality_similarity"]}
    usual = compare(store, measures, **only)
    known = usual.scores.groupby("measure")["low"].apply(lambda column: column.notna().all())
    assert known.to_dict() == {"linear_cka": True, "mutual_knn(k=3)": True, "svcca(k=3)": False}
    ways = usual.meta["options"]["intervals"]
    assert [ways[name].split(":")[0] for name in measures] == ["none", "closed form", "drawn"]
    named = compare(store, measures, interval=["svcca(k=3)"], **only)
    known = named.scores.groupby("measure")["low"].apply(lambda column: column.notna().all())
    assert known.to_dict() == {"linear_cka": False, "mutual_knn(k=3)": False, "svcca(k=3)": True}
    with pytest.raises(UsageError, match="has no measure 'svcca'"):
        compare(store, measures, interval=["svcca"], **only)


def test_a_saturated_measure_has_no_interval_of_width_zero(tmp_path: Path) -> None:
    store = planted_activations(tmp_path / "a.zarr", {"shared": Planted(meaning=0.4)}, n=12, languages=("xa", "xb"))
    names = ["svcca(variance=0.99)", "linear_cka"]
    found = compare(store, names, interval=names, controls=("none",))
    widths = (found.scores["high"] - found.scores["low"]).to_numpy()
    svcca = (found.scores["measure"] == "svcca(variance=0.99)").to_numpy()
    assert not (widths <= 0).any() and np.isnan(widths[svcca]).any()


def test_a_study_of_few_sentences_does_not_warn_of_its_own_default(tmp_path: Path) -> None:
    store = planted_activations(
        tmp_path / "a.zarr", {"shared": Planted(meaning=0.4)}, n=20, languages=("xa", "xb"), width=64
    )
    for measure, saturated in (("svcca", False), ("svcca(variance=0.99)", True)):
        found = compare(store, [measure], controls=("none",))
        assert ("saturated" in {one["id"] for one in found.meta["caveats"]}) is saturated, measure
    assert (compare(store, controls=("none",)).scores["null_mean"] <= 0.41).all()
