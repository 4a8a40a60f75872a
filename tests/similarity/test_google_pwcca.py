"""PWCCA as google/svcca computes it: values made once by its own code (compute_pwcca, epsilon=0) on seeded data."""

from __future__ import annotations

import numpy as np
import pytest

from babelscope.errors import UsageError
from babelscope.similarity import parse_measure, pwcca


def _pair(seed: int, n: int, dx: int, dy: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=(n, 10))
    x = shared @ generator.normal(size=(10, dx)) + generator.normal(size=(n, dx)) * np.linspace(0.2, 2, dx)
    y = shared @ generator.normal(size=(10, dy)) + generator.normal(size=(n, dy))
    return x, y


@pytest.mark.parametrize(
    ("shape", "variance", "expected"),
    [
        ((0, 200, 30, 30), 0.99, 0.7530591822142741),
        ((0, 200, 30, 30), None, 0.7848856521610346),
        ((2, 150, 20, 40), 0.99, 0.8465974147094897),
        ((2, 150, 20, 40), 0.9, 0.8802827007318982),
        ((2, 150, 20, 40), None, 0.8639507924561902),
        ((3, 300, 60, 50), 0.99, 0.6270031562058402),
    ],
)
def test_the_reference_code_gives_the_same(
    shape: tuple[int, int, int, int], variance: float | None, expected: float
) -> None:
    x, y = _pair(*shape)
    assert pwcca(x, y, variance=variance, convention="google") == pytest.approx(expected, abs=1e-11)
    assert abs(pwcca(x, y, variance=variance) - expected) > 1e-4


def test_its_side_is_not_chosen_and_its_name_is_read() -> None:
    with pytest.raises(UsageError, match="chooses the side itself"):
        pwcca(*_pair(0, 50, 5, 5), side="x", convention="google")
    parsed = parse_measure("pwcca(convention='google')")
    assert "without whitening" in parsed.convention_text and not parsed.symmetric
    x, y = _pair(1, 200, 30, 20)  # where the reference stops with an IndexError: more directions on the first side
    assert 0 < pwcca(x, y, convention="google") < 1
    assert pwcca(y, x, convention="google") == pytest.approx(pwcca(x, y, convention="google"), abs=1e-9)
