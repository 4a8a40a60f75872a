"""Other models of a study, in the report: each drawn and named, its numbers those of the tables."""

from __future__ import annotations

import dataclasses
import re

import pandas as pd
import pytest

from babelscope.gaps.baselines.models import beside, told_beside
from babelscope.gaps.result import TABLE_COLUMNS, Result
from babelscope.report.page import render
from babelscope.report.section import figures_of
from babelscope.report.sections.models import models
from synthetic import synthetic_result

LABELS = ("pocket (adapter untrained)", "<b>ridge</b>")


def _distances(scale: float) -> pd.DataFrame:
    rows = [
        {
            "kind": "modality_gap", "point": point, "stage": "shared", "depth": depth, "language_a": language,
            "language_b": language, "distance": scale * (2 - depth), "low": 0.1, "high": 3.0, "n": 40,
        }
        for point, depth in (("shared.input", 0.5), ("shared.pooled", 1.0))
        for language in ("en", "fr")
    ]  # fmt: skip
    return pd.DataFrame(rows)[list(TABLE_COLUMNS["centroids"])]


@pytest.fixture(scope="module")
def result() -> Result:
    """A made-up result with two others beside it, at its last four speech points; the second has one point alone."""
    own = synthetic_result(("en", "fr", "ru"))
    others = {}
    for seed, label in enumerate(LABELS, 1):
        one = synthetic_result(("en", "fr", "ru"), seed=seed)
        late = list(dict.fromkeys(one.curves[one.curves["kind"] == "modality_similarity"]["point"]))[
            -4 if seed == 1 else -1 :
        ]
        tables = {"centroids": _distances(1.5)} if seed == 1 else {}
        others[label] = Result(one.scores, one.curves[one.curves["point"].isin(late)], one.meta, tables)
    meta = own.meta | {"beside": [{"label": label, "notes": [f"Note on {label}."]} for label in LABELS]}
    return dataclasses.replace(own, meta=meta, tables=beside(others) | {"centroids": _distances(1.0)})


def test_every_model_is_drawn_in_every_comparison(result: Result) -> None:
    shown = models(result)
    assert shown is not None
    figures = {one.name: one for one in figures_of([shown])}
    assert {name.split(".")[1] for name in figures if name.startswith("models.")} == {
        "modality_similarity",
        "language_similarity_speech",
    }
    table = result.tables["beside"]
    for name, figure in figures.items():
        spec = figure.spec()
        key = next(layer for layer in spec["layer"] if layer.get("name") == "key")
        said = key["encoding"]["stroke"]["scale"]["domain"]
        assert said[:3] == [result.meta["model"]["name"], *LABELS] and "null (mean to 95th percentile)" in said, name
        drawn = {row["value"] for rows in spec["datasets"].values() for row in rows if row.get("value") is not None}
        assert set(figure.data["value"]) <= drawn
        pd.testing.assert_frame_equal(figure.data, table.loc[figure.data.index])


def test_differences_are_said_with_their_interval_and_what_was_not_tested_is_said_so(result: Result) -> None:
    row = {
        "kind": "modality_similarity", "measure": "retrieval()", "point": "speech.norm", "against": "text.pooled",
        "value": 0.6, "chance_corrected": 0.59, "strongest": False, "n": 40.0, "groups": 3, "of": 3,
    }  # fmt: skip
    rows = [
        row | {"baseline": LABELS[0], "baseline_value": 0.2, "difference": 0.4, "low": 0.25, "high": 0.55},
        row | {"baseline": LABELS[1], "baseline_value": 0.55, "difference": 0.05, "low": -0.02, "high": 0.12},
    ]
    table = pd.DataFrame(rows).reindex(columns=list(TABLE_COLUMNS["against_baselines"]))
    shown = models(dataclasses.replace(result, tables=result.tables | {"against_baselines": table}))
    assert shown is not None and shown.figure is not None
    said = str(shown.sentences[0])
    assert f"{LABELS[0]} reaches 0.20 and is exceeded (by 0.40, 95 % 0.25 to 0.55)" in said
    assert f"{LABELS[1]} reaches 0.55 and is not found to be exceeded (difference 0.05, 95 % −0.02 to 0.12)" in said
    assert shown.figure.data["low"].tolist() == [0.25, -0.02]
    untested = models(result)
    assert untested is not None and str(untested.sentences[0]) == "No difference from the other models was tested."


def test_the_page_shows_it_escaped(result: Result) -> None:
    page = render(result)
    part = re.search(r'<section id="models".*?</section>', page, re.DOTALL)
    assert part is not None and '<a href="#models">' in page
    assert "&lt;b&gt;ridge&lt;/b&gt;" in part[0] and "<b>ridge" not in page
    assert "Note on pocket" in part[0]


def test_without_other_models_there_is_no_such_section() -> None:
    alone = synthetic_result(("en", "fr"))
    assert models(alone) is None and 'id="models"' not in render(alone)


def test_the_headline_says_where_each_ends_and_how_far_the_means_come_together(result: Result) -> None:
    ends, means = told_beside(result)
    table = result.tables["beside"]
    at = table[
        (table["kind"] == "modality_similarity") & (table["group"] == "mean") & table["measure"].str.match("retrieval")
    ]
    point = at[at["model"] == LABELS[1]]["point"].iloc[0]
    for label in LABELS:
        value = float(at[(at["model"] == label) & (at["point"] == point)]["value"].iloc[0])
        assert f"{label} {value:.2f}" in ends
    assert "1.50" in means and "1.00" in means and f"{LABELS[0]} 2.25 and 1.50" in means
    assert told_beside(synthetic_result(("en", "fr"))) == []
