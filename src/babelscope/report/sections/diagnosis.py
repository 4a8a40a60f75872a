"""The diagnosis: languages whose speech is less similar to its text than in the others, and at which stage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report import select, words
from babelscope.report.sections.findings import evidence
from babelscope.report.told import Sentence, count, joined, placed, tell

#: Rows that stand open; the others unfold.
FIRST_ROWS = 16

#: Columns that an advice is made of.
NUMBERS = (
    "behind", "behind_low", "behind_high", "loss", "low", "high", "detectable", "deficit", "deficit_low",
    "deficit_high", "deficit_shrunk",
)  # fmt: skip

#: What the losses are against; results of earlier versions have no column ``detectable``.
_AGAINST = {
    True: "the mean of the other languages",
    False: "the language whose speech ends most similar to its text",
}


def section(result: Result) -> dict[str, Any] | None:
    """Return the table of languages and stages, its leading sentences and the advice; None where there is none."""
    table = result.tables.get("diagnosis")
    if table is None or table.empty:
        return None
    stages = [str(name) for name in table["stage"].drop_duplicates()]
    measures = [str(name) for name in table["measure"].drop_duplicates()]
    measure = measures[0]
    table = table[table["measure"] == measure]
    worst = table[table["worst"].astype(bool)]
    losses = table["loss"].to_numpy(dtype=float)
    top = float(np.nanmax(losses)) if np.isfinite(losses).any() else 1.0
    rows = []
    order = table.groupby("language", sort=False)["rank"].min().sort_values(kind="stable")
    for language in order.index:
        part = table[table["language"] == language]
        cells = []
        for stage in stages:
            here = part[part["stage"] == stage]
            cells.append(None if here.empty else _cell(here.iloc[0], top))
        rows.append(
            {
                "language": str(language),
                "class": str(part["resource_class"].iloc[0] or ""),
                "rank": order[language],
                "cells": cells,
            }
        )
    return {
        "measure": words.measure_title(measure),
        "against": _AGAINST["detectable" in table],
        "together": "detectable" in table,
        "level": 98 if "deficit" in table else 97,
        "stages": stages,
        "rows": rows,
        "first": FIRST_ROWS,
        "lead": joined([_lead(worst, table), _largest(worst)]),
        "advice": _advice(result, table),
    }


def _cell(row: pd.Series[Any], top: float) -> dict[str, Any]:
    loss = float(row["loss"])
    return {
        "loss": tell("diagnosis", row, "loss") if np.isfinite(loss) else None,
        "low": tell("diagnosis", row, "low") if np.isfinite(float(row["low"])) else None,
        "high": tell("diagnosis", row, "high") if np.isfinite(float(row["high"])) else None,
        "reached": tell("diagnosis", row, "reached") if np.isfinite(float(row["reached"])) else None,
        "point": str(row["point"]),
        "share": round(100 * min(1.0, max(0.0, loss / top)), 1) if top > 0 and np.isfinite(loss) else 0,
        "worst": bool(row["worst"]),
    }


def _lead(worst: pd.DataFrame, table: pd.DataFrame) -> Sentence | None:
    lower = table[table["deficit_low"] > 0] if "deficit_low" in table else worst
    first = table.drop_duplicates("language")
    if lower.empty:
        return Sentence("In no language is the similarity of speech and text found to be lower than in the others.")
    if worst.empty:
        return Sentence(
            "In {part} of {all} languages the similarity of speech and text is found to be lower than in the others; "
            "at which stage this arises cannot be told.",
            part=count("diagnosis", lower.drop_duplicates("language")),
            all=count("diagnosis", first),
        )
    by_stage = worst["stage"].value_counts()
    stage = str(by_stage.index[0])
    part = worst[worst["stage"] == stage]
    return Sentence(
        "In {part} of {all} languages the similarity of speech and text is found to be lower than in the others, which "
        "arises at the {stage} stage.",
        part=count("diagnosis", part.drop_duplicates("language")),
        all=count("diagnosis", first),
        stage=stage,
    )


def _largest(worst: pd.DataFrame) -> Sentence | None:
    there = worst[worst["loss"].notna()]
    if there.empty:
        return None
    row = select.highest(there, "loss")
    return Sentence(
        "The largest loss at such a stage is that of {language} at the {stage} stage: {loss}.",
        language=str(row["language"]),
        stage=str(row["stage"]),
        loss=tell("diagnosis", row, "loss"),
    )


def _placed(text: str, rows: pd.DataFrame, row: pd.Series[Any]) -> Sentence:
    """Return an advice whose numbers know their places."""
    own = rows[rows["language"] == row["language"]]
    own = pd.concat([own.loc[[row.name]], own.drop(index=row.name)])
    if "detectable" not in rows and row["rank"] == 1:
        return placed(text, "diagnosis", own[:1], ["reached", "texts_reached"])
    return placed(text, "diagnosis", own, NUMBERS)


def _advice(result: Result, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each advice once, with the languages that it is for, in their ranks."""
    told: dict[str, list[pd.Series[Any]]] = {}
    advised = rows[rows["advice"].fillna("").astype(str).str.strip() != ""]
    led = advised.sort_values(["rank", "worst"], ascending=[True, False], kind="stable").drop_duplicates("language")
    for _, row in led.iterrows():
        told.setdefault(str(row["advice"]).strip(), []).append(row)
    return [
        {
            "text": _placed(text, rows, found[0]),
            "languages": [str(row["language"]) for row in found],
            "evidence": evidence(result, found[0]["evidence"]),
        }
        for text, found in told.items()
    ]
