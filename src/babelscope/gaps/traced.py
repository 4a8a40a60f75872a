"""Sentences whose numbers know where they stand: a table of the result, its rows, a column.

Nothing is said that a reader could not look up. The sentences go into the result as text, and also as parts, so that
a report can show the place of each number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from babelscope.numbers import number

#: Rows of a number that its place names; a count over more names the first of them.
MOST_NAMED = 12

_HYPHEN = re.compile(r"(?<![^\s(])-(?=\d+\.\d)")


def file_of(table: str) -> str:
    """Return the file of a result that holds a table."""
    return {"scores": "scores.parquet", "curves": "curves.csv"}.get(table, f"tables/{table}.parquet")


def with_minus(text: str) -> str:
    """Return a text in which negative numbers have a minus sign, as everywhere in the report."""
    return _HYPHEN.sub("−", text)


@dataclass(frozen=True)
class Number:
    """A number as a text quotes it (`text`), and where it stands: a table of the result, row numbers from 0, a column.

    For a count the value is the number of rows, and the column ``rows``; for several rows it is their mean.
    """

    value: float
    table: str
    rows: tuple[int, ...]
    column: str
    text: str

    @property
    def where(self) -> str:
        """The place in words: ``scores.parquet, row 12, column value``."""
        named = ", ".join(map(str, self.rows[:MOST_NAMED]))
        more = f", … ({len(self.rows)} rows)" if len(self.rows) > MOST_NAMED else ""
        if self.column == "rows":
            return f"{file_of(self.table)}, {len(self.rows)} rows counted: {named}{more}"
        return f"{file_of(self.table)}, row {named}{more}, column {self.column}"

    def __html__(self) -> Markup:
        rows = " ".join(map(str, self.rows))
        return Markup(  # noqa: S704 - each text is escaped
            f'<data value="{self.value!r}" data-table="{escape(self.table)}" data-rows="{rows}" '
            f'data-column="{escape(self.column)}" title="{escape(self.where)}">{escape(str(self))}</data>'
        )

    def __str__(self) -> str:
        return with_minus(self.text)


def told(table: str, row: Any, column: str, digits: int = 2) -> Number:
    """Return one number of one row (a Series); its name is its row number."""
    value = float(row[column])
    return Number(value, table, (int(row.name),), column, number(value, digits, minus="-"))


def told_mean(table: str, rows: pd.DataFrame, column: str) -> Number:
    """Return the mean of a column over some rows."""
    value = float(rows[column].mean())
    return Number(value, table, tuple(int(str(label)) for label in rows.index), column, number(value, minus="-"))


def told_count(table: str, rows: pd.DataFrame) -> Number:
    """Return how many rows a part of a table has."""
    return Number(len(rows), table, tuple(int(str(label)) for label in rows.index), "rows", str(len(rows)))


#: Rows that a count names, at most: a result would else hold its tables twice.
MOST_COUNTED = 500


def told_many(table: str, rows: pd.DataFrame) -> Number | str:
    """Return how many rows a part of a table has; without their numbers where they are many."""
    return told_count(table, rows) if len(rows) <= MOST_COUNTED else str(len(rows))


class Traced(str):
    """A sentence, and what it is made of: texts and :class:`Number`, put in for ``{name}`` in a template."""

    segments: tuple[str | Number, ...]

    def __new__(cls, template: str, **parts: Number | str) -> Traced:
        """Put the parts in."""
        pieces = re.split(r"\{(\w+)\}", template)
        segments: list[str | Number] = [
            parts[piece] if index % 2 else piece for index, piece in enumerate(pieces) if index % 2 or piece
        ]
        made = super().__new__(cls, "".join(one.text if isinstance(one, Number) else one for one in segments))
        made.segments = tuple(segments)
        return made

    def parts(self) -> list[Any]:
        """Return the segments as JSON holds them: texts, and dicts of value, table, rows, column, text."""
        return [{**vars(one), "rows": list(one.rows)} if isinstance(one, Number) else one for one in self.segments]
