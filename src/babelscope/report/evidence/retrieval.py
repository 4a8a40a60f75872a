"""Retrieval at the last point with its controls, one row a language or pair."""

from __future__ import annotations

from typing import Any

from babelscope.gaps.baselines.sentences import title_of
from babelscope.gaps.result import Result
from babelscope.report import charts, select, words
from babelscope.report.figure import Figure
from babelscope.report.section import Column, Evidence, Table
from babelscope.report.told import Sentence

#: Rows of one table and figure before it is cut to the pairs with one language.
MOST_ROWS = 40


def evidence(result: Result) -> Evidence | None:
    """Return one figure and table a kind for which retrieval was measured; None where it was not."""
    blocks: list[Any] = []
    for kind in select.kinds(result):
        table = select.retrieval_rows(result, kind, MOST_ROWS)
        if table.empty:
            continue
        lead = Sentence(
            "Retrieval P@1, {line}, at {point}: how often the nearest neighbour is the sentence’s own counterpart.",
            line=words.KIND_LINES[kind],
            point=str(table.attrs["last"]),
        )
        figure = Figure(
            f"retrieval.{kind}",
            lambda width, kind=kind: charts.retrieval_chart(result, kind, most=MOST_ROWS, width=width),  # type: ignore[misc]
            select.retrieval_rows(result, kind),
            lead,
            str(charts.retrieval_chart(result, kind, most=MOST_ROWS).description),
        )
        blocks += [lead, figure, _table(table, kind)]
    return Evidence("Retrieval, with its controls", tuple(blocks)) if blocks else None


def _table(table: Any, kind: str) -> Table:
    heads = {
        "first": f"first point ({table.attrs['first']})",
        "value": f"last point ({table.attrs['last']})",
        "length_regressed": words.CONTROL_TITLES["length_regressed"],
        "baseline": title_of(table.attrs["baseline"]),
        "shuffled": words.CONTROL_TITLES["shuffled"],
        "chance": "chance",
        "p": "p, uncorrected",
    }
    shown = [name for name in heads if table[name].notna().any()]
    if table.attrs["first"] == table.attrs["last"]:
        shown = [name for name in shown if name != "first"]
    single = kind in select.OF_ONE_LANGUAGE
    rows = tuple(
        (
            str(row["language_a"]) if single else f"{row['language_a']} – {row['language_b']}",
            *(words.p_value(row[name]) if name == "p" else words.number(row[name]) for name in shown),
        )
        for _, row in table.iterrows()
    )
    pivot = table.attrs["pivot"]
    caption = words.KIND_TITLES[kind] + (f", pairs with {pivot} ({len(rows)} of {table.attrs['of']})" if pivot else "")
    return Table(
        caption, (Column("language" if single else "pair", False), *(Column(heads[name]) for name in shown)), rows
    )
