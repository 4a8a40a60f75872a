"""The charts as a user meets them: Altair objects that can be restyled, and one clear line where a name is wrong."""

from __future__ import annotations

import re

import altair as alt
import numpy as np
import pytest
from rich.console import Console

from babelscope.errors import DataError, UsageError
from babelscope.gaps.result import Result
from babelscope.report import heat_map, layer_curves, queries, retrieval_chart, summary_table, wording
from synthetic import LANGUAGES, MEASURES, synthetic_result


@pytest.fixture(scope="module")
def result() -> Result:
    return synthetic_result()


def test_layer_curves_can_be_restyled(result: Result) -> None:
    chart = layer_curves(result, "modality_similarity", MEASURES[1])
    spec = chart.properties(width=500).to_dict()
    assert spec["width"] == 500
    assert {"null", "each", "mean", "regressed", "stages"} <= {layer.get("name") for layer in spec["layer"]}


def test_layer_curves_of_all_measures_have_a_panel_each(result: Result) -> None:
    chart = layer_curves(result, "language_similarity_text")
    assert isinstance(chart, alt.ConcatChart)
    assert len(chart.to_dict()["concat"]) == len(MEASURES)


def test_layer_curves_may_leave_out_languages_and_control(result: Result) -> None:
    names = {
        layer.get("name")
        for layer in layer_curves(result, "modality_similarity", MEASURES[1], each=False, regressed=False).to_dict()[
            "layer"
        ]
    }
    assert "mean" in names
    assert "null" in names
    assert not names & {"each", "regressed", "regressednull"}


def test_a_chart_says_in_words_what_it_shows(result: Result) -> None:
    assert (
        "the null's mean at speech.norm is"
        in layer_curves(result, "modality_similarity", MEASURES[1]).to_dict()["description"]
    )


def test_a_heat_map_shows_each_pair_twice_and_no_language_with_itself(result: Result) -> None:
    spec = heat_map(result, "text", "text.layer.3", MEASURES[1]).to_dict()
    cells = next(iter(spec["datasets"].values()))
    assert len(cells) == len(LANGUAGES) * (len(LANGUAGES) - 1)
    scores = result.scores
    pair = scores[
        (scores["kind"] == "language_similarity_text") & (scores["point_a"] == "text.layer.3")
        & (scores["measure"] == MEASURES[1]) & (scores["control"] == "none")
        & (scores["language_a"] == "en") & (scores["language_b"] == "it")
    ]  # fmt: skip
    found = {(cell["a"], cell["b"]): cell["value"] for cell in cells}
    assert found["en", "it"] == found["it", "en"] == pytest.approx(pair["value"].item())


def test_a_heat_map_takes_the_last_point_and_a_measure_that_says_something(result: Result) -> None:
    title = heat_map(result, "speech").to_dict()["title"]
    assert title["text"].endswith("speech.norm")
    assert not any("SVCCA" in line for line in title["subtitle"])


def test_a_heat_map_keeps_the_order_asked_for(result: Result) -> None:
    spec = heat_map(result, "text", order=["ru", "en"]).to_dict()
    assert [cell["a"] for cell in next(iter(spec["datasets"].values()))] == ["ru", "en"]


def test_a_number_that_cannot_be_told_from_the_null_stands_in_brackets(result: Result) -> None:
    quiet = Result(result.scores.assign(p=0.4), result.curves, result.meta)
    labels = [cell["label"] for cell in next(iter(heat_map(quiet, "text").to_dict()["datasets"].values()))]
    assert all(label.startswith("(") for label in labels)


def test_retrieval_has_a_row_for_each_pair(result: Result) -> None:
    spec = retrieval_chart(result, "language_similarity_speech").to_dict()
    assert {"scores", "chance"} <= {layer["name"] for layer in spec["layer"]}
    rows = max(spec["datasets"].values(), key=len)
    assert len({row["pair"] for row in rows}) == 10
    controls = {wording.CONTROL_TITLES[name] for name in ("none", "length_regressed", "shuffled")}
    assert {row["series"] for row in rows} == controls | {"length alone"}


def test_many_pairs_are_cut_to_those_with_english() -> None:
    large = synthetic_result(
        ["de", "en", *(f"x{index}" for index in range(12))], speech=2, text=2, measures=MEASURES[2:]
    )
    table = queries.retrieval_rows(large, "language_similarity_text", 20)
    assert len(table) == 13
    assert table.attrs["pivot"] == "en"
    assert table.attrs["of"] == 91


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda found: layer_curves(found, "modalty_gap"), "did you mean 'modality_similarity'?"),
        (lambda found: layer_curves(found, "modality_similarity", "retrival()"), "did you mean 'retrieval()'?"),
        (lambda found: heat_map(found, "speach"), "did you mean 'speech'?"),
        (lambda found: heat_map(found, "text", "text.layer.33"), "did you mean 'text.layer.3'?"),
        (lambda found: heat_map(found, "text", order=["english"]), "known: en, es"),
    ],
)
def test_an_unknown_name_gets_a_hint(result: Result, call: object, hint: str) -> None:
    assert callable(call)
    with pytest.raises(UsageError, match="the result has no") as caught:
        call(result)
    assert hint in str(caught.value)


def test_a_control_without_scores_at_that_point_is_named(result: Result) -> None:
    with pytest.raises(DataError, match="nothing was compared"):
        heat_map(result, "text", control="length_only")


def test_points_of_equal_depth_keep_the_models_order() -> None:
    result = synthetic_result(speech=3, text=4)
    flat = Result(result.scores, result.curves.assign(depth=0.5).iloc[::-1], result.meta)
    listed = [point["name"] for point in result.meta["model"]["sides"][1]["points"]]
    assert [point.name for point in queries.points(flat, "language_similarity_text")] == listed


@pytest.mark.parametrize(
    ("measure", "title"),
    [
        ("svcca(variance=0.99)", "SVCCA, variance 0.99"),
        ("linear_cka(debiased=True)", "Linear CKA, debiased"),
        ("linear_cka(debiased=False)", "Linear CKA, not debiased"),
        ("retrieval()", "Retrieval P@1"),
        ("retrieval", "Retrieval P@1"),
        ("my_own(k=3)", "my_own(k=3)"),
    ],
)
def test_measures_are_called_by_name(measure: str, title: str) -> None:
    assert wording.measure_title(measure) == title


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.4251, "0.43"),
        (-0.001, "0.00"),
        (-0.5, "−0.50"),
        (float("nan"), "–"),
        (None, "–"),
        (np.float64(1), "1.00"),
        (3, "3.00"),
    ],
)
def test_numbers(value: object, text: str) -> None:
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0004, "< 0.001"), (0.0249, "0.025"), (0.5, "0.50"), (float("nan"), "–")]
)
def test_p_values(value: float, text: str) -> None:
    assert wording.p_value(value) == text


def test_the_terminal_shows_first_best_and_last(result: Result) -> None:
    console = Console(width=110, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(summary_table(result))
    text = captured.get()
    curves = result.curves
    part = curves[
        (curves["kind"] == "modality_similarity")
        & (curves["measure"] == MEASURES[1])
        & (curves["control"] == "none")
        & (curves["group"] == "mean")
    ]
    line = next(line for line in text.splitlines() if "Linear CKA" in line)
    expected = [
        part["value"].iloc[0],
        part["value"].max(),
        part["value"].iloc[-1],
        part["null_mean"].iloc[-1],
        part["chance_corrected"].iloc[-1],
    ]
    assert re.split("  +", line)[2:7] == [wording.number(value) for value in expected]
    assert part["point"].iloc[int(part["value"].argmax())] in line
    assert "SVCCA, variance 0.99 !" in text


def test_the_terminal_does_not_read_markup_in_names() -> None:
    result = synthetic_result(("en", "fr"), speech=2, text=2, measures=("[red]odd[/red]()",), controls=("none",))
    console = Console(width=110)
    with console.capture() as captured:
        console.print(summary_table(result))
    assert "[red]odd[/red]()" in captured.get()
