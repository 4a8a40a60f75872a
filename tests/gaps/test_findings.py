"""Findings, classes and diagnosis on planted activations: what was planted is said, and nothing that was not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from babelscope.gaps import Result, compare
from babelscope.gaps.contrasts import Contrast
from babelscope.gaps.diagnosis import diagnosis
from babelscope.gaps.findings import CANNOT_TELL, HOLDS, HOLDS_NOT, VOICES, findings, verdict
from babelscope.gaps.result import TABLE_COLUMNS
from babelscope.similarity import holm, parse_measure
from babelscope.testing import Planted, planted_activations, planted_likeness
from planting import Planting

#: High: en, de; medium: uk, th, he; low: sw, cy, lo; x- has no class.
LANGUAGES = ("en", "de", "fr", "sw", "cy", "lo", "x-mine")

TRUE = {
    "front": Planted(meaning=0.05, modality=0.5, stage="front end"),
    "encoder": Planted(meaning=0.15, modality=0.4, language=0.05, lost={"sw": 0.1}, stage="encoder"),
    "adapted": Planted(meaning=0.6, modality=0.2, language=0.05, lost={"sw": 0.55}, stage="length adaptation"),
    "shared": Planted(meaning=0.65, modality=0.2, language=0.05, lost={"sw": 0.6}),
}
#: The same at every depth, in every language, in speech as in text: nothing of what is claimed is so.
FALSE = {name: Planted(meaning=0.5, modality=0.1, language=0.1, stage=planted.stage) for name, planted in TRUE.items()}


def said(planting: Planting, seed: int = 0) -> dict[tuple[str, str], str]:
    scores, scored = planting.draw(seed)
    table = findings(planting.store, scored, scores)
    kept = table[table["basis"] == "chance_corrected"]
    return {(str(one), str(group)): str(said) for one, group, said in kept[["id", "group", "verdict"]].to_numpy()}


def test_verdicts_are_right_with_enough_sentences(tmp_path: Path) -> None:
    (tmp_path / "true").mkdir()
    (tmp_path / "false").mkdir()
    true = said(Planting(tmp_path / "true", TRUE, n=150, languages=LANGUAGES))
    assert true["convergence", "all"] == HOLDS
    assert true["length_adaptation", "all"] == true["length_adaptation", "high"] == HOLDS
    assert true["modality_over_language", "all"] == CANNOT_TELL  # voices: test_readers.py has second recordings
    false = said(Planting(tmp_path / "false", FALSE, n=200, languages=LANGUAGES))
    of_all = {name: one for (name, group), one in false.items() if group == "all"}
    assert {one for name, one in of_all.items() if name not in VOICES} == {HOLDS_NOT}
    assert {one for name, one in of_all.items() if name in VOICES} == {CANNOT_TELL}
    assert HOLDS not in false.values()  # three languages of a class may leave it open
    assert {group for name, group in false if name == "length_adaptation"} == {"all", "high", "low", "high-low"}


def test_nothing_can_be_told_from_few_sentences(tmp_path: Path) -> None:
    few = said(Planting(tmp_path, TRUE, n=15, languages=LANGUAGES))
    assert few
    assert set(few.values()) == {CANNOT_TELL}


def test_the_rules_of_the_verdict() -> None:
    def of(value: float, error: float, beyond: bool = True, n: int = 100, p: float | None = None) -> str:
        return verdict(Contrast(value, error, error, 0.0, 19.0, 5), beyond, 0.05, n, p)[0]

    assert of(0.2, 0.05) == HOLDS
    assert of(0.02, 0.005) == HOLDS  # small, but there
    assert of(0.2, 0.09) == HOLDS and of(0.2, 0.09, p=0.06) == CANNOT_TELL  # after correction for other findings
    assert of(0.0, 0.01) == HOLDS_NOT
    assert of(-0.3, 0.05) == HOLDS_NOT
    assert of(0.05, 0.05) == CANNOT_TELL
    assert of(0.2, 0.05, beyond=False) == CANNOT_TELL
    assert of(0.2, 0.05, n=19) == CANNOT_TELL
    assert of(0.2, float("nan")) == CANNOT_TELL


@pytest.mark.parametrize("kind", ["modality_similarity", "language_similarity_text", "language_similarity_speech"])
def test_the_planted_likeness_is_what_is_measured(tmp_path: Path, kind: str) -> None:
    points = {"shared": Planted(meaning=0.4, modality=0.2, language=0.1, length=0.2)}
    planting = Planting(tmp_path, points, n=200, languages=("xa", "xb", "xc"))
    found = []
    for seed in range(4):
        scores, _ = planting.draw(seed)
        found.append(scores.loc[scores["kind"] == kind, "value"].mean())
    assert np.mean(found) == pytest.approx(planted_likeness(points["shared"], kind, width=16), abs=0.03)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    store = planted_activations(
        tmp_path_factory.mktemp("findings") / "a.zarr", TRUE, n=40, languages=LANGUAGES[:5], width=16
    )
    return compare(store, ["svcca(variance=0.9)", "linear_cka"], permutations=29, controls=["none", "length_regressed"])


def test_the_tables_have_the_columns_that_are_promised(result: Result) -> None:
    for name in ("by_class", "findings", "diagnosis", "languages"):
        assert tuple(result.tables[name].columns) == TABLE_COLUMNS[name], name
    table = result.tables["findings"]
    assert not table.duplicated(["id", "group", "basis"]).any()
    assert set(table["basis"]) == {"chance_corrected", "raw_svcca", "chance_corrected_svcca"}
    assert set(table["verdict"]) <= {HOLDS, HOLDS_NOT, CANNOT_TELL}


def test_every_effect_can_be_traced_to_the_scores(result: Result) -> None:
    """An effect is the weighted sum of its evidence, and evidence is what the rows that it names give."""
    for row in result.tables["findings"].itertuples():
        evidence = json.loads(str(row.evidence))
        for part in evidence:
            assert part["value"] == pytest.approx(_looked_up(result, part))
        assert row.effect == pytest.approx(sum(part["weight"] * part["value"] for part in evidence))
    for row in result.tables["diagnosis"].itertuples():
        parts = json.loads(str(row.evidence))
        assert all(part["value"] == pytest.approx(_looked_up(result, part)) for part in parts)
        assert row.similarity == pytest.approx(parts[-1]["value"])
        assert row.loss == pytest.approx(sum(part["weight"] * part["value"] for part in parts))


def _looked_up(result: Result, part: dict[str, object]) -> float:
    rows = result.scores
    where = part["where"]
    assert part["table"] == "scores"
    assert isinstance(where, dict)
    for column, wanted in where.items():
        rows = rows[rows[column].isin(wanted if isinstance(wanted, list) else [wanted])]
    assert len(rows) == part["rows"]
    if part["column"] == "value":
        return float(rows["value"].mean())
    assert part["column"] == "chance_corrected"
    best = parse_measure(str(rows["measure"].iloc[0])).best
    return float(((rows["value"] - rows["null_mean"]) / (best - rows["null_mean"])).mean())


def test_classes_average_their_languages(result: Result) -> None:
    table, scores = result.tables["by_class"], result.scores
    assert set(table["group"]) == {"all", "high", "low", "high-low", "low-high"}
    at = (table["measure"] == "linear_cka") & (table["point"] == "shared") & (table["control"] == "none")
    high = table[at & (table["kind"] == "modality_similarity") & (table["group"] == "high")].iloc[0]
    held = scores[
        (scores["kind"] == "modality_similarity") & (scores["measure"] == "linear_cka") & (scores["control"] == "none")
    ]
    held = held[(held["point_a"] == "shared") & held["language_a"].isin(["en", "de", "fr"])]
    assert high["value"] == pytest.approx(held["value"].mean())
    assert high["groups"] == 3
    assert high["low"] < high["value"] < high["high"]
    across = table[at & (table["group"] == "high-low")].set_index("kind")["groups"].to_dict()
    assert across == {"language_similarity_text": 6, "language_similarity_speech": 6, "cross_similarity": 6}
    low = table[at & (table["kind"] == "modality_similarity") & (table["group"] == "low")].iloc[0]
    assert pd.isna(low["low"])
    assert low["groups"] == 2  # two languages say nothing of others


def test_the_stage_that_loses_a_language_is_named(tmp_path: Path) -> None:
    planting = Planting(tmp_path, TRUE, n=150, languages=LANGUAGES)
    scores, scored = planting.draw(1)
    table = diagnosis(planting.store, scored, scores)
    worst = table[table["worst"]]
    assert list(zip(worst["language"], worst["stage"], strict=True)) == [("sw", "length adaptation")]
    assert int(worst["rank"].iloc[0]) == len(LANGUAGES)
    assert "look first at the length adaptation" in worst["advice"].iloc[0]
    last = table[table["stage"] == "shared"].set_index("language")["similarity"]
    lost = table.groupby("language")["loss"].sum()
    others = (last.sum() - last) / (len(last) - 1)
    assert np.allclose(lost, (others - last)[lost.index])
    assert np.allclose(lost, table.groupby("language")["output_deficit"].first()[lost.index])
    assert (table.groupby("language")["advice"].apply(lambda texts: (texts != "").sum()) == 1).all()


def test_no_stage_is_blamed_where_languages_are_alike(tmp_path: Path) -> None:
    planting = Planting(tmp_path, FALSE, n=40, languages=LANGUAGES)
    blamed = 0
    for seed in range(12):
        scores, scored = planting.draw(seed)
        blamed += bool(diagnosis(planting.store, scored, scores)["worst"].any())
    assert blamed <= 3  # one in twenty is expected


def test_the_languages_and_where_their_gap_is_narrowest(result: Result) -> None:
    table = result.tables["languages"].set_index("language")
    assert table.loc["en", "name"] == "English"
    assert table.loc["sw", "resource_class"] == "low"
    assert set(table["rank"]) == {1, 2, 3, 4, 5}
    assert table.loc["sw", "rank"] == 5
    assert (table["low"] < table["value"]).all()
    scores = result.scores.query("kind == 'modality_similarity' and control == 'none' and measure == 'linear_cka'")
    adjusted = pd.Series(holm(scores["p"]), scores.index)  # over five languages and four points
    for code, row in table.iterrows():
        own = scores[(scores["language_a"] == code) & (scores["point_a"] == row["point"])]
        assert row["p"] == pytest.approx(adjusted[own.index].item())
    assert (table["tokens_per_word"] > 0).all()


def test_kinds_are_chosen(tmp_path: Path) -> None:
    store = planted_activations(
        tmp_path / "a.zarr", {"shared": Planted(meaning=0.5)}, n=12, languages=("xa", "xb", "xc"), width=8
    )
    found = compare(
        store, ["linear_cka"], permutations=19, kinds=["cross_similarity"], controls=["none"], interval=False
    )
    assert set(found.scores["kind"]) == {"cross_similarity"}
    pairs = set(zip(found.scores["language_a"], found.scores["language_b"], strict=True))
    assert len(pairs) == 6
    assert set(found.scores["modality_a"]) == {"speech"}
    assert set(found.scores["modality_b"]) == {"text"}
    assert "findings" not in found.tables
