"""For which languages speech and text are less similar than for the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.at_output import costly
from babelscope.gaps.diagnosis import uncompared
from babelscope.gaps.result import Result
from babelscope.languages import name_of
from babelscope.report import charts, queries
from babelscope.report.evidence import classes, diagnosis, maps, retrieval, shared_tokens
from babelscope.report.figure import PALETTE, Figure
from babelscope.report.section import Column, Evidence, Section, Table, section
from babelscope.report.sentences import Sentence, cell, interval
from babelscope.report.wording import NOTHING, listed, measure_title

_COLUMNS = {
    "name": "language",
    "script": "script",
    "family": "family",
    "resource_class": "resources",
    "chance_corrected": "similarity, chance-corrected",
    "ceiling": "noise ceiling",
    "value": "similarity (95 % interval)",
    "point": "most similar at",
    "tokens_per_word": "tokens a word",
    "tokens_median": "tokens",
    "seconds_median": "seconds",
    "rank": "rank, untested",
}
_TEXTS = ("name", "script", "family", "resource_class", "point")
_DIGITS = {"tokens_median": 0, "seconds_median": 1, "rank": 0}


@section(order=20)
def languages(result: Result) -> Section | None:
    """Return the deficits with their intervals; None with fewer than two languages."""
    names = queries.languages(result)
    if len(names) < 2:
        return None
    table = diagnosis.leading_rows(result)
    makers = (
        diagnosis.evidence, _table, classes.evidence, maps.evidence, retrieval.evidence, shared_tokens.evidence,
    )  # fmt: skip
    there = tuple(made for make in makers if (made := make(result)) is not None)
    across = "modality_similarity" in queries.kinds(result)
    question = "For which languages do they not?" if across else "Which languages are similar?"
    if table is None:
        untested = Sentence("{count} languages were compared; whether they differ was not tested.", count=len(names))
        return Section("languages", question, (untested,), None, None, there) if there else None
    lead = diagnosis.lead(table)
    sentences = (lead, *_costly(result))
    figure = None if uncompared(table) else _figure(result, table, lead)
    return Section("languages", question, sentences, figure, None, there)


def _costly(result: Result) -> list[Sentence]:
    """Say which languages cost retrieval, if any does."""
    table = result.tables.get("costs")
    if table is None or not len(rows := costly(table)):
        return []
    return [
        Sentence(
            "In {names} speech and text find each other less often than in the other languages on average (98 % "
            "intervals, all languages together).",
            names=listed([name_of(str(code)) for code in rows["language"]]),
        )
    ]


def _named(result: Result, code: str) -> str:
    """Return what the study calls a language, else its known name, else its code."""
    table = queries.table(result, "languages")
    names = [] if table is None else list(table.loc[table["language"] == code, "name"])
    name = names[0] if names else name_of(code)
    return name if isinstance(name, str) and name else code


def _figure(result: Result, table: pd.DataFrame, lead: Sentence) -> Figure | None:
    if "output_deficit" not in table or not table["output_deficit"].notna().any():
        return None
    last = table.drop_duplicates("language", keep="last")
    last = last[last["output_deficit"].notna()].sort_values("output_deficit", ascending=False, kind="stable")
    if len(last) < 2:
        return None
    names = [_named(result, str(code)) for code in last["language"]]
    verdicts = np.where(last["output_deficit_low"] > 0, "found to be lower", "not found to be lower")
    measure, point = measure_title(str(last["measure"].iloc[0])), str(last["point"].iloc[0])
    interval = "98 % intervals, for all languages and stages together"

    def draw(width: int) -> Any:
        return charts.forest(
            last, ("output_deficit", "output_deficit_low", "output_deficit_high"), names, width,
            label="language", title="Deficit of each language",
            x_title="deficit (similarity lower than the others’ mean)",
            lines=[f"{measure}, chance-corrected, at {point}; {interval}", charts.about(result)],
            verdicts=list(verdicts), zero="0: as similar as the others",
            colours={"found to be lower": PALETTE["language-1"], "not found to be lower": PALETTE["null-edge"]},
        )  # fmt: skip

    return Figure("deficits", draw, last.drop(columns=["evidence", "advice"]), lead, str(lead))


def _table(result: Result) -> Evidence | None:
    """Return what is known of each language, at the point where its speech and text are most similar."""
    if (table := queries.table(result, "languages")) is None:
        return None
    table = table.sort_values("rank", kind="stable", na_position="last")
    shown = [name for name in _COLUMNS if _says_something(table[name])]
    rows = tuple(tuple(_cell(row, name) for name in shown) for _, row in table.iterrows())
    columns = tuple(Column(_COLUMNS[name], name not in _TEXTS) for name in shown)
    lead = Sentence("What is known of each language.")
    if table["measure"].notna().any():
        lead = Sentence(
            "Each language at its own most similar point, under {measure}; the order was not tested.",
            measure=measure_title(str(table["measure"].dropna().iloc[0])),
        )
    return Evidence("Every language", (lead, Table("Languages", columns, rows)))


def _says_something(column: pd.Series[Any]) -> bool:
    """Whether a column holds something; one class that all languages have says nothing."""
    texts = column.dropna().astype(str)
    texts = texts[texts != ""]
    return bool(len(texts)) and not (column.name == "resource_class" and texts.nunique() < 2)


def _cell(row: pd.Series[Any], name: str) -> Any:
    if name in _TEXTS:
        text = "" if pd.isna(row[name]) else str(row[name])
        if name == "name":
            return f"{text} ({row['language']})" if text and text != str(row["language"]) else str(row["language"])
        return text or NOTHING
    value = cell("languages", row, name, _DIGITS.get(name, 2))
    if name == "value" and (ends := interval("languages", row)):
        return Sentence("{value} ({low} to {high})", value=value, **ends)
    return value
