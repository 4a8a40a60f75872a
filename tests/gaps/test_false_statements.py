"""What a whole report says of studies without an effect, and whether it says what was planted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from scipy.stats import binom

from babelscope.gaps import Result, compare
from babelscope.gaps.findings import HOLDS
from babelscope.testing import Planted, planted_activations
from planting import KINDS, Planting

STAGES = ("front end", "encoder", "length adaptation", "shared", "pooled")

#: Speech and text are equally similar at every point and in every language, and languages as much in text as in speech.
EQUAL = {f"p{at}": Planted(meaning=0.5, modality=0.1, language=0.1, stage=stage) for at, stage in enumerate(STAGES)}
NOISE = {name: Planted(stage=planted.stage) for name, planted in EQUAL.items()}


def languages(count: int) -> list[str]:
    return [f"x{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(count)]


def losing(lost: float) -> dict[str, Planted]:
    """The first language loses meaning in length adaptation; before, and in all others, nothing differs."""
    return {
        name: Planted(
            meaning=0.5, modality=0.1, language=0.1, stage=planted.stage, lost={"xaa": lost} if at >= 2 else {}
        )
        for at, (name, planted) in enumerate(EQUAL.items())
    }


def directions(result: Result) -> set[str]:
    """Every difference that a report states, by where it does; speech being similar to text is none."""
    first, second = result.meta["headline"]
    tables = result.tables
    advice = " ".join(tables["diagnosis"]["advice"])
    said = {
        "headline: a point": "are most similar" in first,
        "headline: a direction": second.startswith("Languages are more similar in"),
        "findings": bool((tables["findings"]["verdict"] == HOLDS).any()),
        "diagnosis: a stage": bool(tables["diagnosis"]["worst"].any()),
        "diagnosis: a language": "is lower than the mean of the other" in advice,
    }
    return {name for name, there in said.items() if there}


def above_chance(result: Result) -> set[str]:
    """Where a report states that speech and text are more similar than chance."""
    said = {
        "headline: above chance": "are not found to be more similar" not in result.meta["headline"][0],
        "languages": bool((result.tables["languages"]["p"] < 0.05).any()),
    }
    return {name for name, there in said.items() if there}


def study(folder: Path, points: dict[str, Planted], count: int, seed: int, n: int = 60) -> Result:
    """A study as users run it, with intervals in closed form."""
    store = planted_activations(folder / f"{seed}.zarr", points, n=n, languages=languages(count), width=16, seed=seed)
    return compare(store, ["linear_cka"], controls=["none"], kinds=KINDS, seed=seed)


def most(draws: int) -> int:
    """False statements that are still compatible with one study in twenty: exceeded in 1 of 1000 such tests."""
    return int(binom.ppf(0.999, draws, 0.05))


def test_equal_languages_and_points_are_not_told_apart(tmp_path: Path) -> None:
    planting = Planting(tmp_path, EQUAL, n=60, languages=languages(5))
    results = [planting.result(seed) for seed in range(10)]
    assert sum(bool(directions(result)) for result in results) <= most(10)
    assert all(above_chance(result) for result in results)
    assert all("no point is found to be lower" in result.meta["headline"][0] for result in results[:2])
    assert all("a deficit of 0." in " ".join(result.tables["diagnosis"]["advice"]) for result in results)


def test_of_pure_noise_nothing_is_said(tmp_path: Path) -> None:
    planting = Planting(tmp_path, NOISE, n=60, languages=languages(5))
    results = [planting.result(seed) for seed in range(10)]
    assert sum(bool(directions(result) | above_chance(result)) for result in results) <= most(10)


def test_what_was_planted_is_said(tmp_path: Path) -> None:
    points = {
        "front": Planted(meaning=0.1, modality=0.6, stage="front end"),
        "encoder": Planted(meaning=0.2, modality=0.4, stage="encoder"),
        "shared.0": Planted(meaning=0.6, modality=0.1, lost={"xaa": 0.35}),
        "shared.1": Planted(meaning=0.6, modality=0.1, lost={"xaa": 0.35}),
    }
    result = Planting(tmp_path, points, n=100, languages=languages(5)).result(0)
    assert "from shared.0 to shared.1 (2 of 4 points that cannot be distinguished)" in result.meta["headline"][0]
    table = result.tables["diagnosis"]
    assert set(table.loc[table["worst"], "language"]) == {"xaa"}
    text = table.loc[table["worst"], "advice"].iloc[0]
    assert text.startswith(
        "At the shared stage, the similarity of speech and text in xaa is lower than the mean of the"
    )
    assert "The deficit arises at the shared stage" in text
    (tmp_path / "single").mkdir()
    single = {**points, "shared.1": Planted(meaning=0.9)}
    assert (
        "are most similar at shared.1, "
        in Planting(tmp_path / "single", single, n=100, languages=languages(5)).result(0).meta["headline"][0]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("count", "draws"), [(5, 200), (30, 60)])
def test_at_most_one_study_in_twenty_without_effect_states_one(tmp_path: Path, count: int, draws: int) -> None:
    said: Counter[str] = Counter()
    for seed in range(draws):
        there = directions(study(tmp_path, EQUAL, count, seed))
        said.update(there | ({"any"} if there else set()))
    assert said["any"] <= most(draws), said


@pytest.mark.slow
def test_at_most_one_study_in_twenty_of_noise_states_anything(tmp_path: Path) -> None:
    results = (study(tmp_path, NOISE, 5, seed) for seed in range(200))
    assert sum(bool(directions(result) | above_chance(result)) for result in results) <= most(200)


@pytest.mark.slow
def test_a_language_that_loses_much_is_found_and_no_other(tmp_path: Path) -> None:
    found, others = 0, 0
    for seed in range(100):
        table = study(tmp_path, losing(0.2), 5, seed).tables["diagnosis"]
        low = table.groupby("language")["deficit_low"].max() > 0
        found += bool(low["xaa"])
        others += bool(low.drop("xaa").any())
    assert found >= 90
    assert others <= most(100)
