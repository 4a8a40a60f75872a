"""A result in a notebook shows what it found; its charts can be restyled; its tables go into pandas and LaTeX."""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
import types
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import babelscope
from babelscope.errors import DataError, UsageError
from babelscope.gaps import Result
from babelscope.gaps.result import TABLE_COLUMNS
from babelscope.report.evidence.variance import COMPONENTS
from babelscope.report.latex import escape, to_latex
from babelscope.report.notebook import View, html, view
from synthetic import MEASURES, synthetic_result
from synthetic_tables import crossed

EVIL = '<script>alert("x")</script> & $10_000 100% \\input{x} ^~#{}'


def tables() -> dict[str, pd.DataFrame]:
    """Further tables, made up."""
    points = [("shared.0", 0.0), ("shared.1", 1.0)]
    rows: dict[str, list[dict[str, Any]]] = {
        "decomposition": [
            {"part": "all", "point": point, "stage": "shared", "depth": depth, "component": name, "share": 1 / 7,
             "low": 0.1, "high": 0.2, "n": 40, "convention": ""}
            for point, depth in points for name in COMPONENTS
        ],
        "centroids": [
            {"kind": "modality_similarity", "point": point, "stage": "shared", "depth": depth, "language_a": one,
             "language_b": one, "distance": 1.5, "low": 1.0, "high": 2.0, "n": 40}
            for point, depth in points for one in ("en", "es")
        ],
        "findings": [
            {"id": "converges", "group": "all", "basis": basis, "measure": "linear_cka", "statement": EVIL,
             "effect": 0.31, "effect_of": "", "low": 0.2, "high": 0.42, "p": 0.0004, "verdict": "holds", "n": 40,
             "groups": 5, "evidence": "[]", "caveats": "[]"}
            for basis in ("chance_corrected", "raw_svcca")
        ],
        "projection": [
            {"point": "shared.1", "modality": modality, "language": "en", "sentence": EVIL, "x": 0.0, "y": 1.0,
             "share_x": 0.4, "share_y": 0.2}
            for modality in ("text", "speech")
        ],
    }  # fmt: skip
    return {name: pd.DataFrame(found, columns=list(TABLE_COLUMNS[name])) for name, found in rows.items()}


@pytest.fixture(scope="module")
def full() -> Result:
    return dataclasses.replace(synthetic_result(), tables=tables())


class Reading(HTMLParser):
    """Which elements a page opens and leaves open, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reading:
    page = Reading()
    page.feed(text)
    page.close()
    assert not page.open
    return page


def test_a_view_shows_headline_findings_and_means_escaped(full: Result) -> None:
    meta = {**full.meta, "headline": [f"Speech {EVIL}"], "caveats": [{"id": "a", "title": EVIL, "text": ""}]}
    page = read(view(dataclasses.replace(full, meta=meta))._repr_html_())
    assert "script" not in page.opened
    assert page.text.count(EVIL) == 3  # headline, finding (once, not by each basis), caveat
    assert "holds" in page.text
    mean = full.curves.query("kind == 'modality_similarity' and control == 'none' and group == 'mean'")
    last = mean[mean["measure"] == "retrieval()"].sort_values("depth").iloc[-1]
    assert f"{last['value']:.2f}" in page.text
    assert str(last["point"]) in page.text


def test_a_result_without_further_tables_shows_what_it_has() -> None:
    page = read(str(html(synthetic_result())))
    assert "Findings" not in page.text
    assert "Means at the last point" in page.text
    assert "verdict" not in page.text


def test_ipython_is_told_how_a_result_shows_itself(monkeypatch: pytest.MonkeyPatch, full: Result) -> None:
    told: dict[tuple[str, str], Callable[[Result], str]] = {}
    formatter = types.SimpleNamespace(for_type_by_name=lambda module, name, f: told.update({(module, name): f}))
    shell = types.SimpleNamespace(display_formatter=types.SimpleNamespace(formatters={"text/html": formatter}))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    importlib.reload(babelscope)
    (show,) = told.values()
    assert told.keys() == {(Result.__module__, Result.__name__)}
    assert show(full) == view(full)._repr_html_()


def test_in_ipython_itself_a_result_is_shown(full: Result) -> None:
    testing = pytest.importorskip("IPython.core.interactiveshell")
    shell = testing.InteractiveShell.instance()
    try:
        importlib.reload(babelscope)
        shown, _ = shell.display_formatter.format(full)
        assert shown["text/html"] == view(full)._repr_html_()
    finally:
        testing.InteractiveShell.clear_instance()


@pytest.mark.parametrize(
    "draw",
    [
        lambda found: found.curves("modality_similarity", "linear_cka(debiased=True)"),
        lambda found: found.curves("language_similarity_text"),
        lambda found: found.heat_map("speech"),
        lambda found: found.retrieval(),
        lambda found: found.decomposition(),
        lambda found: found.centroids(),
        lambda found: found.points(),
    ],
    ids=["curves", "panels", "heat map", "retrieval", "decomposition", "centroids", "points"],
)
def test_charts_are_altairs_and_can_be_restyled(draw: Callable[[View], Any], full: Result) -> None:
    chart = draw(view(full)).properties(title="Mine")
    spec = chart.to_dict()
    assert spec["title"] == "Mine" or spec["title"]["text"] == "Mine"
    assert spec["$schema"].startswith("https://vega.github.io/schema/vega-lite/")


def test_the_decomposition_draws_every_share_once(full: Result) -> None:
    spec = view(full).decomposition(width=333).to_dict()
    assert spec["width"] == 333
    assert spec["encoding"]["color"]["scale"]["domain"] == [title for title, _ in COMPONENTS.values()]
    (rows,) = spec["datasets"].values()
    assert sorted((row["point"], row["component"]) for row in rows) == sorted(
        (point, name) for point in ("shared.0", "shared.1") for name in COMPONENTS
    )


def test_to_dataframe_selects_and_copies(full: Result, tmp_path: Path) -> None:
    found = view(full)
    part = found.to_dataframe(kind="modality_similarity", group="en", control="none", measure="retrieval()")
    assert len(part) == 9
    assert part.index.tolist() == list(range(9))
    part["value"] = -1.0
    assert (full.curves["value"] != -1.0).all()
    assert len(found.to_dataframe("scores")) == len(full.scores)
    assert len(found.to_dataframe("findings", basis="raw_svcca")) == 1
    again = view(full.save(tmp_path))
    pd.testing.assert_frame_equal(again.to_dataframe("findings"), found.to_dataframe("findings"))
    assert repr(found).startswith("<View of ")
    for asked, said in (
        ({"table": "curvs"}, "did you mean 'curves'"),
        ({"kindd": "modality_similarity"}, "did you mean 'kind'"),
        ({"kind": "modality_gpa"}, "did you mean 'modality_similarity'"),
    ):
        with pytest.raises(UsageError, match=said):
            found.to_dataframe(**asked)
    with pytest.raises(DataError, match="no rows of 'diagnosis'"):
        found.to_dataframe("diagnosis")
    for draw in (found.decomposition, found.points):
        with pytest.raises(UsageError, match=r"known: |did you mean"):
            draw("nothing of the kind")
    with pytest.raises(DataError, match="no rows of 'centroids'"):
        view(synthetic_result()).centroids()


def _well_formed(text: str, columns: int) -> list[list[str]]:
    """The rows of a LaTeX table, after checks of what LaTeX would trip over."""
    assert text.count(r"\begin{") == text.count(r"\end{")
    bare = re.sub(r"\\.", "", text)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert not re.search(r"(?<!\\)[#%_^~]", text)
    lines = [line.strip().removesuffix(r" \\") for line in text.splitlines() if line.endswith(r" \\")]
    rows = [re.split(r"(?<!\\) & ", line) for line in lines]
    assert {len(row) for row in rows} == {columns}
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert rule in text
    return rows


def test_latex_of_the_gaps_tells_n_null_and_control(full: Result) -> None:
    text = view(full).to_latex(digits=3)
    rows = _well_formed(text, 4)
    assert [row[0] for row in rows] == ["Language", "en", "es", "fr", "it", "ru", "Mean", "Chance, 95th percentile"]
    plain = view(full).to_dataframe(kind="modality_similarity", control="none", measure=MEASURES[1])
    english, mean = (plain[plain["group"] == group].iloc[-1] for group in ("en", "mean"))
    assert rows[1][2].startswith(f"{english['value']:.3f}")
    assert rows[-2][2].startswith(f"{mean['value']:.3f}")
    assert rows[-1][2] == f"{mean['null_q95']:.3f}"
    caption = next(line for line in text.splitlines() if r"\caption" in line)
    assert "n = 40 sentences" in caption
    assert f"null: {full.meta['options']['permutations']} permutation" in caption
    assert "control: as it is" in caption
    less = view(full).to_latex(
        control="length\x5fregressed", column="chance_corrected", kind="language_similarity_text"
    )
    assert "regressed out of both sides" in less
    assert "[" not in _well_formed(less, 4)[1][1]


def test_latex_of_findings_and_decomposition_is_escaped(full: Result) -> None:
    rows = _well_formed(to_latex(full, "findings"), 5)
    assert rows[1][0] == escape(EVIL)
    assert rows[1][2:] == [r"0.31 {\scriptsize[0.20, 0.42]}", "$<$0.001", "holds"]
    rows = _well_formed(to_latex(full, "decomposition"), 1 + len(COMPONENTS))
    assert [row[0] for row in rows[1:]] == ["shared.0", "shared.1"]
    with pytest.raises(DataError, match="no findings"):
        to_latex(synthetic_result(), "findings")
    with pytest.raises(UsageError, match="did you mean 'gaps'"):
        to_latex(full, "gasp")
    with pytest.raises(UsageError, match="did you mean 'calibrated'"):
        to_latex(full, column="calibratd")


def test_latex_has_no_live_character_left() -> None:
    text = escape(EVIL + "\x00\n|<é–")
    assert "\x00" not in text
    assert re.sub(
        r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}|\\[{}$&#_%]", "", text
    ) == ('scriptalert("x")/script  10000 100 inputx  é--')


def test_the_cross_layer_map_has_a_cell_for_every_pair_of_points(full: Result) -> None:
    result = crossed(synthetic_result(("en", "fr"), speech=3, text=4, measures=MEASURES[1:2]))
    chart = View(result).cross_layer().properties(width=200)
    spec = chart.to_dict()
    every = next(iter(spec["datasets"].values()))
    assert {row["group"] for row in every} == {"mean", "en", "fr"}
    assert spec["params"][0]["value"] == "mean"  # a language can be chosen
    rows = [row for row in every if row["group"] == "mean"]
    assert len(rows) == 12 == len({(row["point"], row["against"]) for row in rows})
    means = result.curves.query("kind == 'modality_similarity' and group == 'mean' and control == 'none'")
    assert {row["chance_corrected"] for row in rows} == set(means["chance_corrected"])
    assert spec["width"] == 200 and spec["encoding"]["y"]["sort"][0] == "text.pooled"
    with pytest.raises(DataError, match='match = "all"'):
        View(full).cross_layer()
    with pytest.raises(UsageError, match="no measure 'linear_ckb'"):
        View(result).cross_layer("linear_ckb")
