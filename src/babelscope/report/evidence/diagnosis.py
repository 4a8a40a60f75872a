"""Languages whose speech is less similar to its text than in the others, and at which stage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.diagnosis import uncompared
from babelscope.gaps.result import Result
from babelscope.gaps.traced import told_count
from babelscope.report import queries
from babelscope.report.evidence import rows as evidence_rows
from babelscope.report.section import Column, Evidence, Table
from babelscope.report.sentences import Sentence, interval, placed, tell
from babelscope.report.wording import NOTHING, listed, measure_title

#: Columns that an advice is made of.
NUMBERS = (
    "output_deficit", "output_deficit_low", "output_deficit_high", "loss", "low", "high", "detectable", "deficit",
    "deficit_low", "deficit_high", "deficit_shrunk",
)  # fmt: skip


def leading_rows(result: Result) -> pd.DataFrame | None:
    """Return the rows of the first measure that was diagnosed; None where there are none."""
    if (table := queries.table(result, "diagnosis")) is None:
        return None
    return queries.rows(table, measure=str(table["measure"].iloc[0]))


def evidence(result: Result) -> Evidence | None:
    """Return the table of languages and stages, and the advice; None where there is none."""
    table = leading_rows(result)
    if table is None:
        return None
    largest = _largest(table[table["worst"].astype(bool)])
    return Evidence("Stage by stage", (*largest, _losses(table), *_advice(result, table)))


def _losses(table: pd.DataFrame) -> Table:
    stages = [str(name) for name in table["stage"].drop_duplicates()]
    together = "detectable" in table  # not in results of earlier versions
    against = "mean of the other languages" if together else "language whose speech ends most similar to its text"
    level = 98 if "deficit" in table else 97
    order = table.groupby("language", sort=False)["rank"].min().sort_values(kind="stable")
    rows = []
    for language in order.index:
        own = table[table["language"] == language]
        cells = (own[own["stage"] == stage] for stage in stages)
        rows.append((str(language), *(_cell(cell_rows.iloc[0]) if len(cell_rows) else NOTHING for cell_rows in cells)))
    caption = (
        f"Loss at each stage: how much less chance-corrected {measure_title(str(table['measure'].iloc[0]))} of "
        f"speech and text a language gains over it than the {against}, with {level} % intervals"
        f"{' for all languages and stages together' if together else ''}. ◆: where a deficit arises."
    )
    return Table(caption, (Column("language", False), *(Column(stage) for stage in stages)), tuple(rows))


def _cell(row: pd.Series[Any]) -> Any:
    if not np.isfinite(float(row["loss"])):
        return NOTHING
    ends = interval("diagnosis", row)
    text = ("◆ " if bool(row["worst"]) else "") + "{loss}" + (" ({low} to {high})" if ends else "")
    return Sentence(text, loss=tell("diagnosis", row, "loss"), **ends)


def lead(table: pd.DataFrame) -> Sentence:
    """Say for how many languages speech and text are found to be less similar, and at which stage that arises."""
    if why := uncompared(table):
        return Sentence("{why}", why=why)
    worst = table[table["worst"].astype(bool)]
    lower = table[table["deficit_low"] > 0] if "deficit_low" in table else worst
    every = told_count("diagnosis", table.drop_duplicates("language"))
    if lower.empty:
        return Sentence(
            "In none of the {all} languages is the similarity of speech and text found to be lower than in the others.",
            all=every,
        )
    stage, arising = "", lower
    outcome = "; at which stage this arises is inconclusive."
    if len(worst):
        stage = str(worst["stage"].value_counts().index[0])
        arising = worst[worst["stage"] == stage]
        outcome = ", which arises at the {stage} stage."
    return Sentence(
        "In {some} of {all} languages the similarity of speech and text is found to be lower than in the others"
        + outcome,
        some=told_count("diagnosis", arising.drop_duplicates("language")), all=every, stage=stage,
    )  # fmt: skip


def _largest(worst: pd.DataFrame) -> list[Sentence]:
    if not worst["loss"].notna().any():
        return []
    row = queries.highest(worst, "loss")
    text = "The largest loss at such a stage is that of {language} at the {stage} stage: {loss}."
    loss = tell("diagnosis", row, "loss")
    return [Sentence(text, language=str(row["language"]), stage=str(row["stage"]), loss=loss)]


def _advice(result: Result, rows: pd.DataFrame) -> list[Any]:
    """Return each advice once, with the languages that it is for, in their ranks; then the rows behind it."""
    advice = rows["advice"].fillna("").astype(str).str.strip()
    led = rows.assign(advice=advice)[advice != ""]
    led = led.sort_values(["rank", "worst"], ascending=[True, False], kind="stable").drop_duplicates("language")
    blocks: list[Any] = []
    for text, those in led.groupby("advice", sort=False):
        row = those.iloc[0]
        own = rows[rows["language"] == row["language"]]
        own = pd.concat([own.loc[[row.name]], own.drop(index=row.name)])
        said = placed(str(text), "diagnosis", own, NUMBERS)
        if "detectable" not in rows and row["rank"] == 1:
            said = placed(str(text), "diagnosis", own[:1], ("similarity", "text_similarity"))
        names = listed(list(those["language"].astype(str)), 14)
        blocks.append(Sentence("{names}: {text}", names=names, text=said))
        blocks += evidence_rows.table(result, row["evidence"])
    return blocks
