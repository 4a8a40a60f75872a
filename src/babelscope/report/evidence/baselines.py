"""The model compared with its baselines: one table a kind of comparison, at the last point."""

from __future__ import annotations

from typing import Any

import pandas as pd

from babelscope.gaps.baselines.sentences import title_of
from babelscope.gaps.baselines.sides import BASELINES
from babelscope.gaps.result import Result
from babelscope.report import queries
from babelscope.report.section import Column, Evidence, Table
from babelscope.report.sentences import Sentence, cell, interval, tell
from babelscope.report.wording import KIND_TITLES, NOTHING, measure_title


def at_output(result: Result) -> pd.DataFrame | None:
    """Return the rows of ``against_baselines`` at the last point of each kind and measure; None without any."""
    if (table := queries.table(result, "against_baselines")) is None:
        return None
    last = table.groupby(["kind", "measure"], sort=False, observed=True)["point"].transform("last")
    return table[table["point"].astype(str) == last.astype(str)]


def evidence(result: Result) -> Evidence | None:
    """Return one table a kind, and what each baseline is; None where none was computed."""
    here = at_output(result)
    if here is None:
        return None
    there = queries.in_order(here["baseline"])
    names = [name for name in BASELINES if name in there] + [name for name in there if name not in BASELINES]
    tables = [
        _table(here[here["kind"] == kind], kind, names) for kind in queries.kinds(result) if kind in set(here["kind"])
    ]
    return Evidence("The model and its baselines", (*tables, *_described(result, names)))


def _described(result: Result, names: list[str]) -> list[Sentence]:
    sentences = []
    for baseline in queries.items(queries.get(result.meta, "options", "baselines")):
        parts = {key: str(queries.get(baseline, key) or "") for key in ("title", "text", "note")}
        if parts["note"] or queries.get(baseline, "name") in names:
            sentences.append(Sentence("{title}: {text}." + (" Missing: {note}." if parts["note"] else ""), **parts))
    return sentences


def _table(here: pd.DataFrame, kind: str, names: list[str]) -> Table:
    measures = queries.in_order(here["measure"])
    model: list[Any] = ["the model"]
    for measure in measures:
        own = here[(here["measure"] == measure) & (here["groups"] == here["of"])]
        model += [tell("against_baselines", own.iloc[0], "value") if len(own) else NOTHING, ""]
    rows = [model]
    for name in names:
        own = here[here["baseline"] == name]
        if len(own):
            first = own.iloc[0]
            coverage = f" ({first['groups']:.0f} of {first['of']:.0f})" if first["groups"] < first["of"] else ""
            cells = [cell for measure in measures for cell in _cells(own[own["measure"] == measure])]
            rows.append([title_of(name) + coverage, *cells])
    columns = [Column("", False)]
    for measure in measures:
        columns += [Column(measure_title(measure)), Column("model less baseline (95 % interval)")]
    points = ", ".join(queries.in_order(here["point"]))
    caption = (
        f"{KIND_TITLES[kind]}, at {points}. Differences are chance-corrected; intervals are for other sentences, "
        "all points of a kind and measure together. ◆: the strongest baseline."
    )
    return Table(caption, tuple(columns), tuple(map(tuple, rows)))


def _cells(rows: pd.DataFrame) -> list[Any]:
    if rows.empty:
        return ["", ""]
    row, table = rows.iloc[0], "against_baselines"
    value = Sentence("◆ {value}" if bool(row["strongest"]) else "{value}", value=cell(table, row, "baseline_value"))
    difference, ends = cell(table, row, "difference"), interval(table, row)
    if ends:
        return [value, Sentence("{difference} ({low} to {high})", difference=difference, **ends)]
    return [value, difference]
