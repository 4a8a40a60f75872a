"""A row a language: how often its speech and text recognise one another, what that costs, and whether it stands out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.above_chance import above_chance
from babelscope.gaps.at_output import above_chance_at_output, at_output, costly, measure_at_output
from babelscope.gaps.diagnosis import uncompared
from babelscope.gaps.result import Result
from babelscope.gaps.selecting import MEAN
from babelscope.gaps.traced import Number
from babelscope.languages import name_of
from babelscope.report.first_screen.content import LanguageRow
from babelscope.report.first_screen.reading import writer
from babelscope.report.sentences import Sentence, known, percent, tell


def language_rows(result: Result) -> list[LanguageRow]:
    """Return a row a language, the costliest first; none where speech and text were not compared at the output."""
    measure = measure_at_output(result.curves, "modality_similarity")
    if measure is None:
        return []
    rows = at_output(result.curves, "modality_similarity", measure)
    rows = rows[rows["group"] != MEAN]
    write = writer(measure)
    costs, traits = result.tables.get("costs"), result.tables.get("languages")
    deficits = lower_languages(result)
    above = _above_somewhere(result)
    costly_codes = set() if costs is None else set(costly(costs)["language"].astype(str))
    language_rows = []
    for _, row in rows.iterrows():
        code = str(row["group"])
        cost, about = _row_of(costs, code), _row_of(traits, code)
        resource = "" if about is None else str(about["resource_class"] or "")
        flag, said = "", Sentence("")
        if code in deficits:
            flag, said = "lower", _said_lower(deficits[code])
        elif cost is not None and code in costly_codes:
            flag, said = "costly", _said_costly(cost)
        elif above is not None and code not in above:
            flag, said = "chance", Sentence("Not found to be above chance, at the output or inside the model.")
        language_rows.append(
            LanguageRow(
                code=code,
                name=name_of(code),
                resource=resource,
                value=write("curves", row, "value"),
                low=known("curves", row, "low", write),
                high=known("curves", row, "high", write),
                cost=None if cost is None else percent("costs", cost, "cost"),
                cost_low=None if cost is None else known("costs", cost, "low", percent),
                cost_high=None if cost is None else known("costs", cost, "high", percent),
                flag=flag,
                said=said,
            )
        )
    return sorted(language_rows, key=lambda row: -row.cost.value if row.cost is not None else 0.0)


def _row_of(table: pd.DataFrame | None, code: str) -> pd.Series[Any] | None:
    rows = None if table is None else table[table["language"] == code]
    return None if rows is None or rows.empty else rows.iloc[0]


def lower_languages(result: Result) -> dict[str, pd.DataFrame]:
    """Return the rows of the diagnosis by language, of those whose similarity was found to be lower than the others'.

    Where languages were not compared (too few sentences, nothing above chance) there are none.
    """
    table = result.tables.get("diagnosis")
    if table is None or "deficit_low" not in table or uncompared(table):
        return {}
    by_language = {str(code): rows for code, rows in table.groupby("language", sort=False)}
    return {code: rows for code, rows in by_language.items() if (rows["deficit_low"] > 0).any()}


def _said_lower(rows: pd.DataFrame) -> Sentence:
    """Say from which stage on a language is lower, and by how much after shrinking."""
    reach = (rows["deficit_low"] / (rows["deficit_high"] - rows["deficit_low"])).to_numpy()
    row = rows.iloc[int(np.nanargmax(reach))]
    return Sentence(
        "Less similar to its text than the other languages on average, by {deficit} ({low} to {high}) from the {stage} "
        "stage on.",
        deficit=tell("diagnosis", row, "deficit"), low=tell("diagnosis", row, "deficit_low"),
        high=tell("diagnosis", row, "deficit_high"), stage=str(row["stage"]),
    )  # fmt: skip


def _said_costly(row: pd.Series[Any]) -> Sentence:
    """Say how many sentences fewer a language recognises."""
    return Sentence(
        "Of 100 sentences {cost} fewer ({low} to {high}) are recognised than in the other languages on average.",
        **{name: _of_100(percent("costs", row, name)) for name in ("cost", "low", "high")},
    )


def _of_100(share: Number) -> Number:
    return replace(share, text=share.text.removesuffix(" %"))


def _above_somewhere(result: Result) -> set[str] | None:
    """Return the languages whose speech and text are above chance, at the output or inside; None without tests."""
    above: set[str] = set()
    any_test = False
    measure = measure_at_output(result.curves, "modality_similarity")
    if measure is not None:
        at_end = above_chance_at_output(result.curves, {"modality_similarity": measure})
        any_test = bool(at_end["p_adjusted"].notna().any())
        above |= set(at_end.loc[at_end["above"], "group"].astype(str))
    inside = result.tables.get("most_similar")
    if inside is not None and len(inside):
        tested = above_chance(result.scores, str(inside["measure"].iloc[0]))
        any_test = True
        above |= set(tested.loc[tested["above"], "language_a"].astype(str))
    return above if any_test else None
