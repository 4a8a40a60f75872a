"""Length as a covariate: what is taken out, what is left, and that the regression itself makes nothing look alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelscope.errors import DataError
from babelscope.gaps.lengths import standardised_log
from babelscope.similarity import linear_cka, parse_measure, regress_out
from babelscope.similarity.blocks import NONE, REGRESSED, Settings
from babelscope.similarity.pair_table import PairTable
from babelscope.similarity.representation import Representation
from babelscope.similarity.residuals import location, residual_rows, span_of
from babelscope.similarity.score import null_kind


def project_out(x: Any, covariates: Any) -> Any:
    return residual_rows(span_of(covariates)).map @ x


@settings(max_examples=50, deadline=None)
@given(n=st.integers(8, 40), d=st.integers(1, 12), c=st.integers(1, 4), seed=st.integers(0, 999))
def test_the_projection_has_the_residuals_geometry(n: int, d: int, c: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    covariates = generator.standard_normal((n, c))
    x = generator.standard_normal((n, d)) + covariates @ generator.standard_normal((c, d)) * 3 + 5
    reduced, residuals = project_out(x, covariates), regress_out(x, covariates)
    assert reduced.shape == (n - c, d)
    np.testing.assert_allclose(reduced.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(reduced.T @ reduced, residuals.T @ residuals, atol=1e-8)
    moved = x + covariates @ generator.standard_normal((c, d)) + generator.standard_normal(d)
    np.testing.assert_allclose(project_out(moved, covariates), reduced, atol=1e-8)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_rows_by_cluster_vary_together_as_sentences_of_a_document_do(size: int) -> None:
    """What documents have in common may vary more: its rows do so in the same way, so that they can be permuted."""
    generator = np.random.default_rng(size)
    clusters = generator.permutation(np.arange(36) // size)
    covariates = generator.standard_normal((36, 3)) + 2 * generator.standard_normal((36, 3))[clusters]
    rows = residual_rows(span_of(covariates), clusters)
    m = len(rows.map)
    centring = np.eye(m) - 1 / m
    np.testing.assert_allclose(rows.map @ rows.map.T, centring, atol=1e-10)
    np.testing.assert_allclose(rows.map @ covariates, 0, atol=1e-10)
    np.testing.assert_allclose(rows.map @ rows.span, 0, atol=1e-10)
    assert m == 36 - 3 * min(size, 2) and rows.clusters is not None
    together = (clusters[:, None] == clusters).astype(float)
    sizes = np.bincount(rows.clusters)[rows.clusters]
    expected = size * (rows.clusters[:, None] == rows.clusters) / sizes[:, None]
    np.testing.assert_allclose(rows.map @ together @ rows.map.T, centring @ expected @ centring, atol=1e-10)


def test_rows_by_cluster_are_near_the_sentences_they_stand_for() -> None:
    generator = np.random.default_rng(0)
    clusters = np.repeat(np.arange(60), np.resize([1, 2, 3], 60))[:120]
    rows = residual_rows(span_of(generator.standard_normal((120, 2))), clusters)
    largest = np.abs(rows.map).max(1)
    assert largest.mean() > 0.85 and (largest > 0.6).mean() > 0.9  # others mix clusters of like size
    np.testing.assert_allclose(rows.map @ rows.map.T, np.eye(len(rows.map)) - 1 / len(rows.map), atol=1e-10)


@pytest.mark.parametrize("sizes", [(1, 2, 3, 4, 5), (2, 1)])
def test_rows_of_unequal_clusters_vary_together_as_such_clusters_do(sizes: tuple[int, ...]) -> None:
    """As far as they can: a rotation to the nearest clusters alone is wrong by .20 to .25 here."""
    generator = np.random.default_rng(0)
    clusters = np.repeat(np.arange(60), np.resize(sizes, 60))[:60]
    covariates = generator.standard_normal((60, 3)) + generator.standard_normal((60, 3))[clusters]
    rows = residual_rows(span_of(covariates), clusters)
    assert rows.clusters is not None
    centring = np.eye(len(rows.map)) - 1 / len(rows.map)
    expected = centring @ (rows.clusters[:, None] == rows.clusters) @ centring
    there = rows.map @ (clusters[:, None] == clusters) @ rows.map.T
    assert np.linalg.norm(there - expected) < 0.15 * np.linalg.norm(expected)


def test_the_mean_that_is_put_back_is_independent_of_residuals_of_unequal_clusters() -> None:
    """Clusters that have all in common count alike, sentences that have nothing in common do."""
    clusters = np.repeat(np.arange(20), np.resize([1, 2, 3, 4, 5], 20))
    own, common = np.random.default_rng(0).standard_normal((2, 60, 500))
    for rows, weight in ((common[clusters], 1 / np.bincount(clusters)[clusters]), (own, np.ones(60))):
        found = location(rows, clusters, rows - rows.mean(0), clusters)
        expected = weight @ rows / weight.sum()
        assert np.corrcoef(found, expected)[0, 1] > 0.995


def test_dependent_covariates_count_once() -> None:
    generator = np.random.default_rng(0)
    x, one = generator.standard_normal((20, 3)), generator.standard_normal((20, 1))
    twice = project_out(x, np.hstack([one, 2 * one, np.ones((20, 1))]))
    np.testing.assert_allclose(twice.T @ twice, (once := project_out(x, one)).T @ once, atol=1e-10)


def test_too_many_covariates_are_refused() -> None:
    with pytest.raises(DataError, match="leave nothing of 6 sentences"):
        project_out(np.ones((6, 2)), np.random.default_rng(0).standard_normal((6, 4)))


def unrelated(generator: np.random.Generator, n: int, width: int) -> tuple[Any, Any, Any]:
    """Two sides that have nothing in common but a strong effect of length, and the covariates."""
    length = generator.standard_normal((n, 1))
    covariates = np.hstack([length, generator.standard_normal((n, 3))])
    x, y = (generator.standard_normal((n, width)) + 3 * length for _ in range(2))
    return x, y, covariates


@pytest.mark.parametrize(
    "name", ["linear_cka", "svcca(variance=0.9)", "svcca(k=3)", "svcca(variance=0.9, squared=True)"]
)
@pytest.mark.parametrize("null", ["closed form", "permutation"])
def test_the_null_of_regressed_sides_is_that_of_unrelated_data(name: str, null: str) -> None:
    """p is uniform after regressing out a strong common length, and debiased CKA is 0 on average."""
    if (name, null) == ("linear_cka", "permutation"):
        pytest.skip("its closed form is always there")
    measure, generator = parse_measure(name), np.random.default_rng(3)
    values, ps = [], []
    for _ in range(200):
        x, y, covariates = unrelated(generator, 24, 8)
        assert linear_cka(x, y) > 0.3
        q = span_of(covariates)
        a, b = (measure.regressed(measure.prepare(Representation(side)), q) for side in (x, y))
        values.append(measure.value(a, b))
        if null == "closed form":
            law = measure.law(a, b)
            assert law is not None
            ps.append(law.above(values[-1]))
        else:
            orders = generator.permuted(np.tile(np.arange(24), (99, 1)), axis=1)
            ps.append((1 + (measure.permuted(a, b, orders) >= values[-1]).sum()) / 100)
    if name == "linear_cka":
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert 0.04 < np.mean(np.array(ps) < 0.1) < 0.17
    assert 0.43 < np.mean(ps) < 0.57


def regressed(sides: Any, pairs: Any, covariates: Any, names: Any, **options: Any) -> Any:
    """Return value and p of pairs after regressing out covariates, as a study has them, by measure."""
    measures = tuple(map(parse_measure, names))
    kinds = tuple(null_kind(measure, "auto") for measure in measures)
    settings = Settings(measures, kinds, 99, 0, 0.05, controls=(NONE, REGRESSED), sequential=True)
    table = PairTable(sides, pairs, settings, keys=list(covariates), covariates=covariates, workers=1)
    table.compute()
    return [table.numbers[name][:, :, 1] for name in ("value", "p")]


def test_measures_that_are_prepared_again_find_nothing_in_unrelated_residuals() -> None:
    """Residuals of both sides lie in the same space, which is no agreement of theirs."""
    generator = np.random.default_rng(11)
    names = ["pwcca", "anc", "rbf_cka", "rsa", "rsa(metric='euclidean')", "mutual_knn(k=4)"]
    sides, covariates = {}, {}
    for draw in range(80):
        sides["x", draw], sides["y", draw], lengths = unrelated(generator, 24, 12)
        covariates[draw] = span_of(lengths)
    _, p = regressed(sides, [(("x", draw), ("y", draw)) for draw in covariates], covariates, names)
    for name, ps in zip(names, p.T, strict=True):
        assert (ps < 0.1).mean() < 0.2, name  # .23 to .75 with residual rows as they are
        assert 0.4 < ps.mean() < 0.62, name


def test_a_measure_that_does_not_centre_keeps_the_mean_when_lengths_are_regressed_out() -> None:
    """Lengths that say nothing change nothing, though the two sides have means far apart."""
    generator = np.random.default_rng(2)
    shared = generator.standard_normal((400, 6))
    x, y = shared + 5, shared + generator.standard_normal((400, 6)) - 5 * np.eye(6)[0]
    span = span_of(generator.standard_normal((400, 1)))
    names = ["xsim", "mexa", "rsa(metric='cosine')", "centroid_gap"]
    values, _ = regressed({"x": x, "y": y}, [("x", "y")], {"k": span}, names)
    for name, value in zip(names, values[0], strict=True):
        assert value == pytest.approx(parse_measure(name).between(x, y), abs=0.03), name


@pytest.mark.parametrize(
    "name", ["svcca(variance=0.9)", "cca", "pwcca", "linear_cka", "retrieval", "rsa(metric='euclidean')", "xsim", "anc"]
)
def test_a_side_that_lengths_explain_whole_has_no_score_under_that_control_alone(name: str) -> None:
    generator = np.random.default_rng(4)
    lengths, x = generator.standard_normal((30, 2)), generator.standard_normal((30, 4))
    whole = np.asarray(lengths @ generator.standard_normal((2, 4)), dtype=np.float32)
    sides, span = {"x": x, "whole": whole}, span_of(lengths)
    (value,), _ = regressed(sides, [("x", "whole")], {"k": span}, [name])
    assert np.isnan(value).all()
    (value,), _ = regressed(sides, [("x", "x")], {"k": span}, [name])
    assert np.isfinite(value).all()


@pytest.mark.parametrize(
    "name", ["linear_cka", "linear_cka(debiased=False)", "svcca(variance=0.9)", "cca", "retrieval"]
)
def test_regressing_a_prepared_side_is_regressing_its_rows_whatever_the_order_of_sentences(name: str) -> None:
    generator = np.random.default_rng(5)
    x, y, covariates = unrelated(generator, 40, 6)
    y += x
    measure, q = parse_measure(name), span_of(covariates)

    def scored(order: Any) -> float:
        sides = [measure.regressed(measure.prepare(Representation(side[order])), q[order]) for side in (x, y)]
        return measure.value(*sides)

    straight = scored(np.arange(40))
    for _ in range(5):
        assert scored(generator.permutation(40)) == pytest.approx(straight, abs=1e-10)
    less = [regress_out(side, covariates) for side in (x, y)]
    if name in ("linear_cka(debiased=False)", "cca", "retrieval"):  # the others keep directions, or debias, otherwise
        assert measure.between(*less) == pytest.approx(straight, abs=1e-9)
    if name == "linear_cka":
        a, b = (side @ side.T for side in less)
        room = 40 - 1 - q.shape[1]

        def product(k: Any, m: Any) -> float:
            return float((k * m).sum() - np.trace(k) * np.trace(m) / room)

        assert straight == pytest.approx(product(a, b) / np.sqrt(product(a, a) * product(b, b)), abs=1e-10)


def test_lengths_that_say_nothing_give_no_column() -> None:
    assert standardised_log(np.full(5, 3.0)) is None
    assert standardised_log(np.array([1.0, np.nan, 2.0])) is None
    assert standardised_log(np.array([1.0, 0.0, 2.0])) is None
    column = standardised_log(np.array([1.0, 2.0, 4.0, 8.0]))
    assert column is not None and column.shape == (4, 1)
    np.testing.assert_allclose([column.mean(), column.std()], [0, 1], atol=1e-12)
