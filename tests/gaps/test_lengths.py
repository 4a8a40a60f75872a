"""Length as a covariate: what is taken out, what is left, and that the regression itself makes nothing look alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelscope.errors import DataError
from babelscope.gaps.lengths import project_out, standardised_log
from babelscope.similarity import linear_cka, pairwise, regress_out


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


def test_dependent_covariates_count_once() -> None:
    generator = np.random.default_rng(0)
    x, one = generator.standard_normal((20, 3)), generator.standard_normal((20, 1))
    twice = project_out(x, np.hstack([one, 2 * one, np.ones((20, 1))]))
    np.testing.assert_allclose(twice.T @ twice, (once := project_out(x, one)).T @ once, atol=1e-10)


def test_too_many_covariates_are_refused() -> None:
    with pytest.raises(DataError, match="degrees of freedom"):
        project_out(np.ones((6, 2)), np.random.default_rng(0).standard_normal((6, 4)))


def test_the_null_of_projected_data_is_that_of_independent_data() -> None:
    """Unrelated data, a strong common length effect: after projection p is uniform and debiased CKA is 0 on average."""
    generator = np.random.default_rng(3)
    values, ps = [], []
    for _ in range(150):
        length = generator.standard_normal((24, 1))
        covariates = np.hstack([length, generator.standard_normal((24, 3))])
        x = generator.standard_normal((24, 8)) + 3 * length
        y = generator.standard_normal((24, 8)) + 3 * length
        assert linear_cka(x, y) > 0.3
        a, b = project_out(x, covariates), project_out(y, covariates)
        found = pairwise(
            {"a": a, "b": b}, ["linear_cka"], null="permutation", permutations=99, seed=int(generator.integers(10**6))
        )
        values.append(float(found["value"].values[0, 0]))
        ps.append(float(found["p"].values[0, 0]))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(150) + 0.01
    assert 0.01 < np.mean(np.array(ps) < 0.1) < 0.2
    assert 0.4 < np.mean(ps) < 0.6


def test_lengths_that_say_nothing_give_no_column() -> None:
    assert standardised_log(np.full(5, 3.0)) is None
    assert standardised_log(np.array([1.0, np.nan, 2.0])) is None
    column = standardised_log(np.array([1.0, 2.0, 4.0, 8.0]))
    assert column is not None and column.shape == (4, 1)
    np.testing.assert_allclose([column.mean(), column.std()], [0, 1], atol=1e-12)
