"""Eigenvalues and leading eigenvectors as NumPy has them, whatever the matrix; threads do not wait for one another."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from babelscope.similarity.lapack import Symmetric, _routine, eigenvalues
from babelscope.similarity.representation import lazy


def _with_spectrum(values: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    n = values.size
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))
    a = (q * values) @ q.T
    return np.asarray((a + a.T) / 2)


SPECTRA = {
    "power law": np.arange(1, 121.0) ** -1.7,
    "flat": np.ones(120),
    "clusters": np.repeat([1.0, 0.5, 0.25, 1e-3], 30),
    "low rank": np.r_[np.linspace(2, 1, 10), np.zeros(110)],
    "tiny": 1e-150 * np.arange(1, 121.0) ** -1,
    "both signs": np.linspace(-1, 1, 120),
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("k", [1, 7, 60, 120])
def test_leading_vectors_are_orthonormal_and_belong_to_the_largest_values(name: str, k: int) -> None:
    a = _with_spectrum(SPECTRA[name])
    found = Symmetric(a)
    scale = np.abs(SPECTRA[name]).max()
    np.testing.assert_allclose(found.values, np.sort(SPECTRA[name]), atol=1e-13 * scale)
    u = found.leading(k)
    assert u.shape == (120, k)
    np.testing.assert_allclose(u.T @ u, np.eye(k), atol=1e-10)
    np.testing.assert_allclose(a @ u, u * found.values[::-1][:k], atol=1e-12 * scale)


@pytest.mark.parametrize("n", [1, 2, 3, 50, 200])
def test_eigenvalues_are_numpys(n: int) -> None:
    x = np.random.default_rng(n).normal(size=(n, n))
    a = x @ x.T
    kept = a.copy()
    np.testing.assert_allclose(eigenvalues(a), np.linalg.eigvalsh(a), atol=1e-12 * float(np.linalg.norm(a)))
    np.testing.assert_array_equal(a, kept)
    first = Symmetric(a).leading(1)[:, 0]
    assert float(first @ a @ first) == pytest.approx(float(np.linalg.eigvalsh(a)[-1]))


def test_a_routine_called_with_too_few_arguments_is_refused() -> None:
    with pytest.raises(TypeError, match="dsterf takes 4 arguments"):
        _routine("dsterf")(3)


def test_two_threads_compute_parts_of_two_instances_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)

    class Thing:
        @lazy
        def part(self) -> int:
            both.wait()  # passes only if the other thread is in here too
            return id(self)

    things = [Thing(), Thing()]
    threads = [threading.Thread(target=lambda thing=thing: thing.part) for thing in things]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken
    assert [thing.part for thing in things] == [id(thing) for thing in things]


@pytest.mark.parametrize("squared", [True, False])
def test_draws_in_single_precision_are_those_of_double(squared: bool) -> None:
    from babelscope.similarity import SVCCA, Representation
    from babelscope.similarity.permutation import permutations

    rng = np.random.default_rng(4)
    measure = SVCCA(squared=squared)
    x, y = (measure.prepare(Representation(rng.normal(size=(300, 40)) * np.arange(1, 41) ** -0.7)) for _ in range(2))
    orders = permutations(300, 50, 0)
    draws = measure.permuted(x, y, orders)
    moved = [measure.value(x, type(y)(y.u[order], y.k)) for order in orders]
    np.testing.assert_allclose(draws, moved, rtol=0, atol=1e-7)
    assert np.array_equal(np.argsort(draws), np.argsort(moved))
