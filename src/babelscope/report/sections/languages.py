"""The table of languages, to sort and to filter, and the pairs of languages as their tokenizer sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report import drawing, select, words
from babelscope.report.told import Sentence, joined, tell

#: Pairs of languages that are written as a table too.
MOST_PAIRS = 60

_COLUMNS = (
    ("name", "language", "text"),
    ("script", "script", "text"),
    ("family", "family", "text"),
    ("resource_class", "resources", "text"),
    ("chance_corrected", "chance-corrected", "score"),
    ("ceiling", "ceiling", "number"),
    ("value", "value", "number"),
    ("p", "p", "p"),
    ("point", "most similar at", "code"),
    ("tokens_per_word", "tokens a word", "number"),
    ("tokens_median", "tokens", "whole"),
    ("seconds_median", "seconds", "tenth"),
    ("rank", "rank", "whole"),
)
_DIGITS = {"number": 2, "whole": 0, "tenth": 1, "score": 2}


def section(result: Result) -> dict[str, Any] | None:
    """Return the table with its leading sentence; None where there is none."""
    table = result.tables.get("languages")
    if table is None or table.empty:
        return None
    measure = str(table["measure"].iloc[0])
    table = table.sort_values("rank", kind="stable", na_position="last")
    columns = [(name, title, kind) for name, title, kind in _COLUMNS if _told(table[name])]
    rows = []
    for _, row in table.iterrows():
        cells = [_cell(row, name, kind) for name, _, kind in columns]
        rows.append({"language": str(row["language"]), "class": _text(row["resource_class"]), "cells": cells})
    known = select.distinct(table["resource_class"])
    classes = [name for name in ("high", "medium", "low") if name in known]
    return {
        "measure": words.measure_title(measure),
        "columns": [{"name": name, "title": title, "kind": kind} for name, title, kind in columns],
        "rows": rows,
        "classes": classes,
        "lead": joined([_lead(table, measure)]),
    }


def _told(column: pd.Series[Any]) -> bool:
    return bool(column.notna().any()) and bool((column.astype(str) != "").any())


def _text(value: object) -> str:
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) else str(value)


def _cell(row: pd.Series[Any], name: str, kind: str) -> dict[str, Any]:
    if kind in ("text", "code"):
        text = _text(row[name]) or (str(row["language"]) if name == "name" else "")
        return {"kind": kind, "text": text, "code": str(row["language"]) if name == "name" else "", "sort": text}
    value = float(row[name])
    if not np.isfinite(value):
        return {"kind": kind, "told": None, "sort": ""}
    cell: dict[str, Any] = {"kind": kind, "told": tell("languages", row, name, _DIGITS.get(kind, 2)), "sort": value}
    if name == "value":  # the interval is of the raw score
        cell["low"], cell["high"] = _end(row, "low"), _end(row, "high")
    if kind == "score":
        cell["share"] = round(100 * min(1.0, max(0.0, value)), 1)
    return cell


def _end(row: pd.Series[Any], name: str) -> Any:
    return tell("languages", row, name) if np.isfinite(float(row[name])) else None


def _lead(table: pd.DataFrame, measure: str) -> Sentence | None:
    there = table[table["chance_corrected"].notna()]
    if len(there) < 2:
        return None
    return Sentence(
        "At each language's best point, chance-corrected {measure} of speech and text is between {low} and {high}; "
        "whether languages differ is tested in the diagnosis.",
        high=tell("languages", select.highest(there, "chance_corrected"), "chance_corrected"),
        low=tell("languages", select.lowest(there, "chance_corrected"), "chance_corrected"),
        measure=words.measure_title(measure),
    )


#: What is correlated with similarity, in words.
_PREDICTORS: dict[str, str] = {
    "shared_token_share": "The share of tokens in common",
    "tokens_per_word_ratio": "The difference of two languages’ tokens a word",
}


def _association(row: pd.Series[Any]) -> Sentence:
    """Say how far tokens go with the similarity of texts, as a correlation and no more."""
    parts: dict[str, Any] = {
        "what": _PREDICTORS.get(str(row["predictor"]), str(row["predictor"])),
        "measure": words.measure_title(str(row["measure"])),
        "point": str(row["point"]),
        "rho": tell("associations", row, "rho"),
        "p": tell("associations", row, "p"),
        "pairs": tell("associations", row, "pairs", 0),
    }
    interval = ""
    if np.isfinite(float(row["low"])) and np.isfinite(float(row["high"])):
        parts |= {"low": tell("associations", row, "low"), "high": tell("associations", row, "high")}
        interval = "{low} to {high} for other languages; "
    sign = "" if str(parts["p"]).startswith("<") else "= "
    return Sentence(
        "{what} and the chance-corrected {measure} of their texts at {point} have a rank correlation of {rho} over "
        "{pairs} pairs (" + interval + "p " + sign + "{p}, by permuting the languages).",
        **parts,
    )  # fmt: skip


def tokens(result: Result) -> dict[str, Any] | None:
    """Return shared tokens and similarity of texts, as a picture and a table; None where there is none."""
    table = result.tables.get("tokens")
    if table is None or table.empty:
        return None
    there = table[table["shared_token_share"].notna() & table["chance_corrected"].notna()]
    if there.empty:
        return None
    measure, point = str(there["measure"].iloc[0]), str(there["point"].iloc[0])
    most, least = select.highest(there, "shared_token_share"), select.lowest(there, "shared_token_share")
    title = words.measure_title(measure)
    x = there["shared_token_share"].to_numpy(dtype=float)
    y = there["chance_corrected"].to_numpy(dtype=float)
    frame = drawing.Frame(
        x=(0.0, max(0.05, float(x.max()))),
        y=(min(0.0, float(y.min())), max(0.05, float(y.max()))),
        width=460, height=240, left=52, x_title="share of tokens in common", y_title=f"chance-corrected {title}",
    )  # fmt: skip
    text = (
        f"Each dot a pair of languages: share of tokens in common from {words.number(float(x.min()))} to "
        f"{words.number(float(x.max()))}, chance-corrected {title} of their texts from {words.number(float(y.min()))} "
        f"to {words.number(float(y.max()))}."
    )
    lead = Sentence(
        "{a} and {b} share the most tokens ({share}); the chance-corrected {measure} of their texts at {point} is "
        "{score}. {c} and {d} share the fewest ({least}); theirs is {other}.",
        a=str(most["language_a"]), b=str(most["language_b"]), c=str(least["language_a"]), d=str(least["language_b"]),
        share=tell("tokens", most, "shared_token_share"), least=tell("tokens", least, "shared_token_share"),
        score=tell("tokens", most, "chance_corrected"), other=tell("tokens", least, "chance_corrected"),
        measure=title, point=point,
    )  # fmt: skip
    found = result.tables.get("associations")
    if found is not None:
        found = found[found["measure"] == measure]
    shown = there.sort_values("shared_token_share", ascending=False, kind="stable").head(MOST_PAIRS)
    columns = ("tokens_per_word_a", "tokens_per_word_b", "shared_token_share", "chance_corrected")
    return {
        "lead": joined([lead, *(_association(row) for _, row in ([] if found is None else found.iterrows()))]),
        "picture": drawing.scatter(
            frame, [drawing.Cloud("pairs", list(x), list(y), "var(--language-0)")], "tokens-title", text
        ),
        "rows": [
            {
                "a": str(row["language_a"]),
                "b": str(row["language_b"]),
                "cells": [
                    tell("tokens", row, name) if np.isfinite(float(row[name])) else words.NOTHING for name in columns
                ],
            }
            for _, row in shown.iterrows()
        ],
        "of": len(there),
    }
