"""How often ``--no-worse-than`` fails though nothing became worse, and how often it sees what did."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from babelscope.check import no_worse
from babelscope.gaps import Result, curves
from babelscope.gaps.contrasts import Scored, with_intervals
from babelscope.gaps.resample_table import draws_table
from babelscope.similarity.deviations import Deviations
from babelscope.testing import Planted
from planting import Planting

LANGUAGES = ("xa", "xb", "xc", "xd", "xe", "xf")
BEFORE = Planted(meaning=0.5, modality=0.1, language=0.1)


def results(planting: Planting, seed: int) -> list[Result]:
    """Two checkpoints on the same sentences: each point of the planted store as a study of its own."""
    scores, scored = planting.draw(seed, permutations=99)
    whole = scored["linear_cka"]
    found = []
    for point in planting.points:
        rows = np.flatnonzero(whole.rows["point_a"] == point)
        kept: Deviations = whole.deviations.at(rows)
        table = scores[scores["point_a"] == point].reset_index(drop=True)
        table = table.assign(point_a="output", point_b="output")
        one = {"linear_cka": Scored(table, kept)}
        table = with_intervals(table, one)
        meta = {
            "corpus": {"fingerprint": "", "languages": list(LANGUAGES), "n": planting.n},
            "options": {"measures": ["linear_cka"], "conventions": {}, "pooling": "mean", "seed": 0},
        }
        found.append(Result(table, curves(table), meta, {"draws": draws_table(one)}))
    return found


def failed(folder: Path, count: int, *, now: Planted, n: int = 60) -> float:
    """The share of checks in which anything is said to be worse."""
    planting = Planting(folder, {"before": BEFORE, "now": now}, n=n, languages=LANGUAGES)
    return float(
        np.mean(
            [
                not all(verdict.passed for verdict in no_worse(now, before))
                for before, now in (results(planting, seed) for seed in range(count))
            ]
        )
    )


def worse(by: float) -> Planted:
    return dataclasses.replace(BEFORE, meaning=BEFORE.meaning - by)


def test_a_loss_is_seen_and_no_change_passes(tmp_path: Path) -> None:
    for name in ("same", "worse"):
        (tmp_path / name).mkdir()
    assert failed(tmp_path / "same", 12, now=BEFORE) <= 2 / 12
    assert failed(tmp_path / "worse", 4, now=worse(0.2)) == 1


@pytest.mark.slow
def test_the_level_is_what_is_said_in_500_checks(tmp_path: Path) -> None:
    assert failed(tmp_path, 500, now=BEFORE) <= 0.05


@pytest.mark.slow
def test_how_small_a_loss_is_seen(tmp_path: Path) -> None:
    for name in ("small", "large"):
        (tmp_path / name).mkdir()
    assert failed(tmp_path / "large", 100, now=worse(0.1)) >= 0.8
