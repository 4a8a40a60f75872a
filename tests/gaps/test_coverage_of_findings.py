"""What the findings claim about themselves: intervals that cover what was planted, and nothing found in noise."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from babelscope.gaps.contrasts import Scored, Term
from babelscope.gaps.findings import HOLDS, MATTERS, Claim, claims, verdict
from babelscope.testing import Planted, planted_likeness
from planting import Planting

#: The languages differ at the last two points; six of the many that could have been drawn.
KNOWN = {
    "encoder.0": Planted(meaning=0.25, modality=0.35, language=0.1, stage="encoder"),
    "adapted": Planted(meaning=0.5, modality=0.2, language=0.1, spread=0.05, stage="length adaptation"),
    "shared.0": Planted(meaning=0.7, modality=0.1, language=0.1, spread=0.05),
}
NOISE = {name: Planted(stage=planted.stage) for name, planted in KNOWN.items()}
LANGUAGES = ("xa", "xb", "xc", "xd", "xe", "xf")


def truth(claim: Claim, points: dict[str, Planted]) -> float:
    return sum(
        part.weight * planted_likeness(points[part.where["point_a"]], part.where["kind"], width=16)
        for part in claim.parts
    )


def terms_of(claim: Claim, one: Scored) -> list[Term]:
    return [(part.weight, one.where(**part.where)) for part in claim.parts]


def judged(terms: list[Term], one: Scored, n: int) -> tuple[float, float, str]:
    contrast = one.contrast(terms)
    beyond = one.contrast([(1 / len(terms), rows) for _, rows in terms]).interval()[0] > 0
    return (*contrast.interval(), verdict(contrast, beyond, MATTERS, n)[0])


def covered(folder: Path, count: int, n: int = 40) -> dict[str, float]:
    """The share of draws in which each finding's 95 % interval holds what was planted."""
    planting = Planting(folder, KNOWN, n=n, languages=LANGUAGES)
    asked = claims(planting.store, planting.template)
    hits: Counter[str] = Counter()
    terms = {claim.id: terms_of(claim, planting.draw(0)[1]["linear_cka"]) for claim in asked}
    truths = {claim.id: truth(claim, KNOWN) for claim in asked}
    for seed in range(count):
        _, scored = planting.draw(seed)
        for name in terms:
            low, high, _ = judged(terms[name], scored["linear_cka"].corrected, n)
            hits[name] += low <= truths[name] <= high
    return {claim.id: hits[claim.id] / count for claim in asked}


def found_in_noise(folder: Path, count: int, n: int = 40) -> dict[str, float]:
    """The share of draws of pure noise in which each finding is said to hold, and in which any is."""
    planting = Planting(folder, NOISE, n=n, languages=LANGUAGES)
    asked = claims(planting.store, planting.template)
    hits: Counter[str] = Counter()
    terms = {claim.id: terms_of(claim, planting.draw(0)[1]["linear_cka"]) for claim in asked}
    for seed in range(count):
        _, scored = planting.draw(seed)
        found = [name for name in terms if judged(terms[name], scored["linear_cka"].corrected, n)[2] == HOLDS]
        hits.update([*found, *(["any"] if found else [])])
    return {name: hits[name] / count for name in [*(claim.id for claim in asked), "any"]}


def test_intervals_cover_what_was_planted(tmp_path: Path) -> None:
    shares = covered(tmp_path, 60)
    assert len(shares) == 4
    assert min(shares.values()) >= 0.85  # 51 of 60: one in a thousand where 95 % cover


def test_nothing_is_found_in_noise(tmp_path: Path) -> None:
    assert found_in_noise(tmp_path, 40)["any"] <= 0.125  # 5 of 40: one in twenty where 5 % are found


@pytest.mark.slow
def test_intervals_cover_what_was_planted_in_500_draws(tmp_path: Path) -> None:
    shares = covered(tmp_path, 500)
    assert all(0.92 <= share <= 0.98 for share in shares.values()), shares


@pytest.mark.slow
def test_nothing_is_found_in_500_draws_of_noise(tmp_path: Path) -> None:
    assert max(found_in_noise(tmp_path, 500).values()) <= 0.05


def test_no_interval_where_nothing_can_be_said(tmp_path: Path) -> None:
    planting = Planting(tmp_path, KNOWN, n=12, languages=("xa", "xb"))
    _, scored = planting.draw(0)
    for claim in claims(planting.store, planting.template):
        low, high, said = judged(terms_of(claim, scored["linear_cka"]), scored["linear_cka"].corrected, 12)
        assert said == "cannot tell"
        assert not np.isfinite([low, high]).any()
