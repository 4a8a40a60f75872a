"""A study of thirty languages finds what is planted, after a correction for all that it tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from babelscope.gaps import compare
from babelscope.similarity import false_discovery
from babelscope.testing import Planted, planted_activations

LANGUAGES = tuple(f"x{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(30))


@pytest.mark.slow
def test_ninety_percent_of_true_pairs_pass_at_five_percent_false_discoveries(tmp_path: Path) -> None:
    """One point of four has an effect in every pair; with p-values at a floor of 1/201 nothing could pass there."""
    points = {f"shared.{number}": Planted(meaning=0.35 * (number == 3)) for number in range(4)}
    store = planted_activations(tmp_path / "a.zarr", points, n=100, languages=LANGUAGES, width=64)
    scores = compare(
        store, ["svcca(variance=0.9)", "linear_cka", "retrieval"], controls=["none"], interval=False
    ).scores
    for measure, rows in scores.groupby("measure"):
        q = false_discovery(rows["p"])
        true = (rows["point_a"] == "shared.3").to_numpy()
        assert (q[true] <= 0.05).mean() >= 0.9, measure
        assert (q[~true] <= 0.05).sum() <= 0.1 * (q <= 0.05).sum(), measure


def test_every_language_can_pass_a_correction_for_many_points(tmp_path: Path) -> None:
    points = {f"shared.{number}": Planted(meaning=0.5) for number in range(30)}
    store = planted_activations(tmp_path / "a.zarr", points, n=40, languages=("xa", "xb", "xc"))
    result = compare(store, ["linear_cka"], kinds=["modality_similarity"], controls=["none"])
    assert (result.tables["languages"]["p"] < 0.01).all(), "with 200 permutations it was 30 / 201 at best"
    assert np.isfinite(result.scores["low"]).all()
