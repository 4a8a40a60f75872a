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
    together = "detectable" in table
    level = 98 if "deficit" in table else 97
    order = table.groupby("language", sort=False)["rank"].min().sort_values(kind="stable")
    rows = []
    for language in order.index:
        own = table[table["language"] == language]
        cells = (own[own["stage"] == stage] for stage in stages)
        rows.append((str(language), *(_cell(cell_rows.iloc[0]) if len(cell_rows) else NOTHING for cell_rows in cells)))
    caption = (
        f"Loss at each stage: how much less chance-corrected {measure_title(str(table['measure'].iloc[0]))} of "
        f"speech and text a language gains over it than {_AGAINST[together]}, with {level} % intervals"
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
    first = table.drop_duplicates("language")
    if lower.empty:
        return Sentence(
            "In none of the {all} languages is the similarity of speech and text found to be lower than in the others.",
            all=told_count("diagnosis", first),
        )
    if worst.empty:
        return Sentence(
            "In {some} of {all} languages the similarity of speech and text is found to be lower than in the others; "
            "at which stage this arises is inconclusive.",
            some=told_count("diagnosis", lower.drop_duplicates("language")),
            all=told_count("diagnosis", first),
        )
    stage = str(worst["stage"].value_counts().index[0])
    arising = worst[worst["stage"] == stage]
    return Sentence(
        "In {some} of {all} languages the similarity of speech and text is found to be lower than in the others, which "
        "arises at the {stage} stage.",
        some=told_count("diagnosis", arising.drop_duplicates("language")),
        all=told_count("diagnosis", first),
        stage=stage,
    )


def _largest(worst: pd.DataFrame) -> list[Sentence]:
    lost = worst[worst["loss"].notna()]
    if lost.empty:
        return []
    row = queries.highest(lost, "loss")
    text = "The largest loss at such a stage is that of {language} at the {stage} stage: {loss}."
    loss = tell("diagnosis", row, "loss")
    return [Sentence(text, language=str(row["language"]), stage=str(row["stage"]), loss=loss)]


def _placed(text: str, rows: pd.DataFrame, row: pd.Series[Any]) -> Sentence:
    """Return an advice whose numbers know their places."""
    own = rows[rows["language"] == row["language"]]
    own = pd.concat([own.loc[[row.name]], own.drop(index=row.name)])
    if "detectable" not in rows and row["rank"] == 1:
        return placed(text, "diagnosis", own[:1], ["similarity", "text_similarity"])
    return placed(text, "diagnosis", own, NUMBERS)


def _advice(result: Result, rows: pd.DataFrame) -> list[Any]:
    """Return each advice once, with the languages that it is for, in their ranks; then the rows behind it."""
    advised_rows: dict[str, list[pd.Series[Any]]] = {}
    advised = rows[rows["advice"].fillna("").astype(str).str.strip() != ""]
    led = advised.sort_values(["rank", "worst"], ascending=[True, False], kind="stable").drop_duplicates("language")
    for _, row in led.iterrows():
        advised_rows.setdefault(str(row["advice"]).strip(), []).append(row)
    blocks: list[Any] = []
    for text, those in advised_rows.items():
        names = listed([str(row["language"]) for row in those], 14)
        blocks.append(Sentence("{names}: {text}", names=names, text=_placed(text, rows, those[0])))
        blocks += evidence_rows.table(result, those[0]["evidence"])
    return blocks
