"""Languages whose speech is less similar to its text than in the others, and at which stage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.diagnosis import uncompared
from babelscope.gaps.result import Result
from babelscope.report import select, words
from babelscope.report.evidence import rows as evidence_rows
from babelscope.report.section import Column, Evidence, Table
from babelscope.report.told import Sentence, count, joined, placed, tell

#: Columns that an advice is made of.
NUMBERS = (
    "output_deficit", "output_deficit_low", "output_deficit_high", "loss", "low", "high", "detectable", "deficit",
    "deficit_low", "deficit_high", "deficit_shrunk",
)  # fmt: skip

#: What the losses are against; results of earlier versions have no column ``detectable``.
_AGAINST = {
    True: "the mean of the other languages",
    False: "the language whose speech ends most similar to its text",
}


def leading_rows(result: Result) -> pd.DataFrame | None:
    """Return the rows of the first measure that was diagnosed; None where there are none."""
    table = result.tables.get("diagnosis")
    if table is None or table.empty:
        return None
    return select.rows(table, measure=str(table["measure"].iloc[0]))


def evidence(result: Result) -> Evidence | None:
    """Return the table of languages and stages, and the advice; None where there is none."""
    table = leading_rows(result)
    if table is None:
        return None
    blocks: list[Any] = [
        *joined([_largest(table[table["worst"].astype(bool)])]),
        _losses(table),
        *_advice(result, table),
    ]
    return Evidence("Stage by stage", tuple(blocks))


def _losses(table: pd.DataFrame) -> Table:
    stages = [str(name) for name in table["stage"].drop_duplicates()]
    together = "detectable" in table
    level = 98 if "deficit" in table else 97
    order = table.groupby("language", sort=False)["rank"].min().sort_values(kind="stable")
    rows = []
    for language in order.index:
        part = table[table["language"] == language]
        cells = (part[part["stage"] == stage] for stage in stages)
        rows.append((str(language), *(_cell(here.iloc[0]) if len(here) else words.NOTHING for here in cells)))
    caption = (
        f"Loss at each stage: how much less chance-corrected {words.measure_title(str(table['measure'].iloc[0]))} of "
        f"speech and text a language gains over it than {_AGAINST[together]}, with {level} % intervals"
        f"{' for all languages and stages together' if together else ''}. ◆: where a deficit arises."
    )
    return Table(caption, (Column("language", False), *(Column(stage) for stage in stages)), tuple(rows))


def _cell(row: pd.Series[Any]) -> Any:
    if not np.isfinite(float(row["loss"])):
        return words.NOTHING
    parts: dict[str, Any] = {"loss": tell("diagnosis", row, "loss")}
    text = "◆ {loss}" if bool(row["worst"]) else "{loss}"
    if np.isfinite(float(row["low"])) and np.isfinite(float(row["high"])):
        parts |= {"low": tell("diagnosis", row, "low"), "high": tell("diagnosis", row, "high")}
        text += " ({low} to {high})"
    return Sentence(text, **parts)


def lead(table: pd.DataFrame) -> Sentence:
    """Say for how many languages speech and text are found to be less similar, and at which stage that arises."""
    if why := uncompared(table):
        return Sentence("{why}", why=why)
    worst = table[table["worst"].astype(bool)]
    lower = table[table["deficit_low"] > 0] if "deficit_low" in table else worst
    first = table.drop_duplicates("language")
    if lower.empty:
        return Sentence(
            "In none of the {all} languages is the similarity of speech and text found to be lower than in the others.",
            all=count("diagnosis", first),
        )
    if worst.empty:
        return Sentence(
            "In {part} of {all} languages the similarity of speech and text is found to be lower than in the others; "
            "at which stage this arises cannot be told.",
            part=count("diagnosis", lower.drop_duplicates("language")),
            all=count("diagnosis", first),
        )
    stage = str(worst["stage"].value_counts().index[0])
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
        return placed(text, "diagnosis", own[:1], ["similarity", "text_similarity"])
    return placed(text, "diagnosis", own, NUMBERS)


def _advice(result: Result, rows: pd.DataFrame) -> list[Any]:
    """Return each advice once, with the languages that it is for, in their ranks; then the rows behind it."""
    told: dict[str, list[pd.Series[Any]]] = {}
    advised = rows[rows["advice"].fillna("").astype(str).str.strip() != ""]
    led = advised.sort_values(["rank", "worst"], ascending=[True, False], kind="stable").drop_duplicates("language")
    for _, row in led.iterrows():
        told.setdefault(str(row["advice"]).strip(), []).append(row)
    found: list[Any] = []
    for text, those in told.items():
        names = words.listed([str(row["language"]) for row in those], 14)
        found.append(Sentence("{names}: {text}", names=names, text=_placed(text, rows, those[0])))
        found += evidence_rows.table(result, those[0]["evidence"])
    return found
