"""Distances between means: unbiased, free of scale, and with intervals that cover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from babelscope.errors import DataError
from babelscope.gaps.centroids import CentroidDistance, centroid_distance, centroids_table
from babelscope.gaps.result import TABLE_COLUMNS
from babelscope.testing import Planted, planted_activations


def drawn(generator: np.random.Generator, n: int, distance: float, d: int = 16, shared: float = 0.5) -> Any:
    """Two sides of unit total variance whose sentences go together, and whose means are `distance` apart."""
    common = generator.standard_normal((n, d))
    x, y = (
        np.sqrt(shared / d) * common + np.sqrt((1 - shared) / d) * generator.standard_normal((n, d)) for _ in range(2)
    )
    x[:, 0] += distance
    return x, y


def squared(found: CentroidDistance) -> float:
    return float(np.sign(found.distance) * found.distance**2)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(4, 12), d=st.integers(1, 6), seed=st.integers(0, 999))
def test_it_is_the_corrected_distance_over_the_spread(n: int, d: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.standard_normal((n, d)) + 2, generator.standard_normal((n, d))
    gap = ((x.mean(0) - y.mean(0)) ** 2).sum() - (x - y).var(0, ddof=1).sum() / n
    within = (x.var(0, ddof=1).sum() + y.var(0, ddof=1).sum()) / 2
    found = centroid_distance(x, y)
    assert squared(found) == pytest.approx(gap / within, abs=1e-9)
    assert found.low <= found.distance <= found.high


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(1e-3, 1e3), far=st.floats(-1e3, 1e3))
def test_turning_moving_and_scaling_the_space_change_nothing(seed: int, scale: float, far: float) -> None:
    generator = np.random.default_rng(seed)
    x, y = drawn(generator, 12, 1.0, d=5)
    turn, _ = np.linalg.qr(generator.standard_normal((5, 5)))
    before, after = centroid_distance(x, y), centroid_distance(scale * (x @ turn + far), scale * (y @ turn + far))
    assert (after.distance, after.low, after.high) == pytest.approx(
        (before.distance, before.low, before.high), abs=1e-5
    )
    mirrored = centroid_distance(y, x)
    assert mirrored.distance == pytest.approx(before.distance)


@pytest.mark.parametrize("distance", [0.0, 0.4, 3.0])
def test_the_square_is_right_on_average(distance: float) -> None:
    generator = np.random.default_rng(4)
    found = [squared(centroid_distance(*drawn(generator, 12, distance))) for _ in range(300)]
    # The ratio leans by the order of 1 / (n d); the corrected numerator does not.
    assert abs(np.mean(found) - distance**2) < 3.5 * np.std(found) / np.sqrt(300) + distance**2 / (12 * 16)
    if not distance:
        assert 0.2 < np.mean(np.array(found) < 0) < 0.8


def _coverage(draws: int, n: int, distance: float) -> float:
    generator = np.random.default_rng(8)
    found = [centroid_distance(*drawn(generator, n, distance)) for _ in range(draws)]
    return float(np.mean([one.low <= distance <= one.high for one in found]))


def test_most_intervals_cover() -> None:
    assert _coverage(120, 30, 0.8) > 0.88


@pytest.mark.slow
@pytest.mark.parametrize(("n", "distance"), [(40, 0.5), (40, 2.0), (200, 0.5), (200, 2.0)])
def test_intervals_cover(n: int, distance: float) -> None:
    covered = _coverage(500, n, distance)
    print(n, distance, covered)
    assert 0.92 <= covered <= 0.98


def test_where_the_means_agree_the_interval_is_rather_too_wide() -> None:
    assert _coverage(200, 40, 0.0) > 0.95


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros((6, 2)), np.zeros((6, 3)), "same sentences x features"),
        (np.zeros((3, 2)), np.zeros((3, 2)), "too few"),
        (np.full((6, 2), 0.1), np.full((6, 2), 0.3), "neither side varies"),
        (np.eye(6), np.where(np.eye(6) == 1, np.nan, 0), "y is not finite in row 0"),
    ],
)
def test_what_has_no_distance_is_named(x: Any, y: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        centroid_distance(x, y)


def test_the_table_holds_every_pair_that_stands_at_one_point(tmp_path: Path) -> None:
    points = {"shared.0": Planted(meaning=0.5), "shared.1": Planted(meaning=0.2, language=0.3)}
    activations = planted_activations(tmp_path / "a.zarr", points, n=20, languages=("xa", "xb", "xc"))
    table = centroids_table(activations)
    assert tuple(table.columns) == TABLE_COLUMNS["centroids"]
    for point in points:
        assert table[table["point"] == point]["kind"].value_counts().to_dict() == {
            "modality_gap": 3,
            "language_gap_text": 3,
            "language_gap_speech": 3,
            "cross_gap": 6,
        }
    row = table[(table["kind"] == "cross_gap") & (table["point"] == "shared.1")].iloc[2]
    assert (row["language_a"], row["language_b"]) == ("xb", "xa")
    by_hand = centroid_distance(
        activations.matrix("shared.1", "speech", "xb"), activations.matrix("shared.1", "text", "xa")
    )
    assert (row["distance"], row["low"], row["high"]) == pytest.approx(
        (by_hand.distance, by_hand.low, by_hand.high), abs=1e-6
    )
    assert (table["distance"] < 0.6).all()  # no means were planted apart


def test_one_language_has_a_modality_gap_alone(tmp_path: Path) -> None:
    activations = planted_activations(tmp_path / "a.zarr", {"shared.0": Planted(meaning=0.5)}, n=10, languages=("xa",))
    assert centroids_table(activations)["kind"].tolist() == ["modality_gap"]


def test_clusters_leave_out_whole_documents_and_pair_different_ones() -> None:
    generator, clusters = np.random.default_rng(0), np.arange(24) // 3
    x, y = generator.standard_normal((2, 24, 5)) + generator.standard_normal((2, 8, 5))[:, clusters]
    y = y + 2
    found = centroid_distance(x, y, clusters=clusters)
    apart, difference = clusters[:, None] != clusters, x - y
    within = [((side**2).sum(1).mean() - (side @ side.T)[apart].mean()) for side in (x, y)]
    squared = (difference @ difference.T)[apart].mean() / np.mean(within)
    assert found.distance == pytest.approx(np.sqrt(squared))
    keep = [clusters != one for one in range(8)]
    without = np.array([centroid_distance(x[k], y[k], clusters=clusters[k]).distance ** 2 for k in keep])
    reach = stdtrit(7, 0.975) * np.sqrt(7 / 8 * ((without - without.mean()) ** 2).sum())
    assert found.high == pytest.approx(np.sqrt(squared + reach))
    single = centroid_distance(x, y, clusters=np.arange(24))
    assert single == centroid_distance(x, y)
