"""Models beside the studied one, in the report: each drawn and named, its numbers those of the tables."""

from __future__ import annotations

import dataclasses
import re

import pandas as pd
import pytest

from babelscope.gaps.baselines.models import beside, told_beside
from babelscope.gaps.result import TABLE_COLUMNS, Result
from babelscope.report.page import render
from babelscope.report.sections.beside import section
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


def test_every_model_is_drawn_over_the_same_points(result: Result) -> None:
    shown = section(result)
    assert shown is not None
    assert [one["label"] for one in shown["models"]] == list(LABELS)
    assert [one["name"] for one in shown["key"]] == [result.meta["model"]["name"], *LABELS]
    by_name = {panel["name"]: panel for panel in shown["panels"]}
    assert "modality_gap.distance" in by_name and any(name.startswith("language_similarity_speech") for name in by_name)
    table = result.tables["beside"]
    for panel in shown["panels"]:
        if panel["name"] == "modality_gap.distance" or not panel["name"].startswith("modality_similarity"):
            continue
        rows = {row["label"]: row["cells"] for row in panel["numbers"]}
        assert list(rows) == [result.meta["model"]["name"], *LABELS]
        last = panel["points"][-1]["name"]
        wanted = table[
            (table["model"] == LABELS[1])
            & (table["kind"] == "modality_similarity")
            & (table["group"] == "mean")
            & (table["point"] == last)
        ]
        assert rows[LABELS[1]][-1] in set(wanted["value"]) and rows[LABELS[1]][0] is None


def test_the_page_shows_it_escaped(result: Result) -> None:
    page = render(result)
    part = re.search(r'<section id="beside">.*?</section>', page, re.DOTALL)
    assert part is not None and '<a href="#beside">' in page
    assert "&lt;b&gt;ridge&lt;/b&gt;" in part[0] and "<b>ridge" not in page
    assert "0.5" in part[0] and "Note on pocket" in part[0]


def test_without_other_models_there_is_no_such_section() -> None:
    alone = synthetic_result(("en", "fr"))
    assert section(alone) is None and 'id="beside"' not in render(alone)


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
