"""Pairs of languages as their tokenizer sees them: shared tokens and the similarity of their texts."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report import charts, queries
from babelscope.report.evidence.rows import listing
from babelscope.report.figure import PALETTE, Figure, finished, tooltips
from babelscope.report.section import Evidence, Table
from babelscope.report.sentences import Sentence, interval, p_clause, tell
from babelscope.report.wording import measure_title

#: Pairs of languages that are written as a table too.
MOST_PAIRS = 60

#: What is correlated with similarity, in words.
_PREDICTORS: dict[str, str] = {
    "shared_token_share": "The share of tokens in common",
    "tokens_per_word_ratio": "The difference of two languages’ tokens a word",
}


def evidence(result: Result) -> Evidence | None:
    """Return shared tokens and similarity of texts, as a figure and a table; None where there is none.

    One dot is one pair of languages, at the last text point and under the leading measure.
    """
    if (table := queries.table(result, "tokens")) is None:
        return None
    there = table[table["shared_token_share"].notna() & table["chance_corrected"].notna()]
    there = _one_row_a_pair(result, there)
    if len(there) < 2:
        return None
    measure, point = str(there["measure"].iloc[0]), str(there["point"].iloc[0])
    most, least = queries.highest(there, "shared_token_share"), queries.lowest(there, "shared_token_share")
    lead = Sentence(
        "{a} and {b} share the most tokens ({share}); the chance-corrected {measure} of their texts at {point} is "
        "{score}. {c} and {d} share the fewest ({least}); theirs is {other}.",
        a=str(most["language_a"]), b=str(most["language_b"]), c=str(least["language_a"]), d=str(least["language_b"]),
        share=tell("tokens", most, "shared_token_share"), least=tell("tokens", least, "shared_token_share"),
        score=tell("tokens", most, "chance_corrected"), other=tell("tokens", least, "chance_corrected"),
        measure=measure_title(measure), point=point,
    )  # fmt: skip
    associations = result.tables.get("associations", pd.DataFrame({"measure": []}))
    tests = [_association(row) for _, row in associations[associations["measure"] == measure].iterrows()]
    text = f"Each dot a pair of languages. {lead}"
    figure = Figure("shared_tokens", lambda width: chart(result, there, width), there, lead, text)
    return Evidence("Tokens in common", (lead, *tests, figure, _table(there)))


def _one_row_a_pair(result: Result, table: pd.DataFrame) -> pd.DataFrame:
    """Keep the leading measure at the last point: one row a pair."""
    if table.empty:
        return table
    measure = queries.leading_measure(result)
    known = set(table["measure"].astype(str))
    table = table[table["measure"] == (measure if measure in known else table["measure"].iloc[0])]
    there = set(table["point"].astype(str))
    points = queries.points(result, "language_similarity_text")
    ordered = [point.name for point in points if point.name in there]
    table = table[table["point"] == (ordered[-1] if ordered else table["point"].iloc[-1])]
    return table.drop_duplicates(["language_a", "language_b"])


def chart(result: Result, rows: pd.DataFrame, width: int) -> alt.Chart:
    """Draw one dot a pair of languages."""
    measure, point = str(rows["measure"].iloc[0]), str(rows["point"].iloc[0])
    columns = ["language_a", "language_b", "shared_token_share", "chance_corrected"]
    made: alt.Chart = alt.Chart(rows[columns])
    made = made.mark_point(filled=True, size=45, opacity=0.75, color=PALETTE["language-0"]).encode(
        x=alt.X("shared_token_share:Q", title="share of tokens in common", axis=alt.Axis(format=".0%")),
        y=alt.Y("chance_corrected:Q", title="similarity of the two texts, chance-corrected"),
        tooltip=tooltips(columns[:2], columns[2:]),
    )
    lines = [f"one dot a pair of languages; {measure_title(measure)} at {point}", charts.about(result)]
    return finished(made, width, 220, "Shared tokens and similarity of texts", lines)


def _association(row: pd.Series[Any]) -> Sentence:
    """Say how far tokens go with the similarity of texts, as a correlation and no more."""
    p, ends = tell("associations", row, "p"), interval("associations", row)
    return Sentence(
        "{what} and the chance-corrected {measure} of their texts at {point} have a rank correlation of {rho} over "
        "{pairs} pairs (" + ("{low} to {high} for other languages; " if ends else "") + p_clause(p)
        + ", by permuting the languages).",
        what=_PREDICTORS.get(str(row["predictor"]), str(row["predictor"])), point=str(row["point"]), p=p, **ends,
        measure=measure_title(str(row["measure"])), rho=tell("associations", row, "rho"),
        pairs=tell("associations", row, "pairs", 0),
    )  # fmt: skip


def _table(there: pd.DataFrame) -> Table:
    shown = there.sort_values("shared_token_share", ascending=False, kind="stable").head(MOST_PAIRS)
    shown = shown.assign(pair=shown["language_a"].astype(str) + " – " + shown["language_b"].astype(str))
    caption = f"Pairs by tokens in common{'' if len(there) <= MOST_PAIRS else f' (first {MOST_PAIRS} of {len(there)})'}"
    numbers = {
        "tokens_per_word_a": "tokens a word, first", "tokens_per_word_b": "tokens a word, second",
        "shared_token_share": "tokens in common", "chance_corrected": "similarity, chance-corrected",
    }  # fmt: skip
    return listing("tokens", shown, caption, {"pair": "pair"}, numbers)
