"""Numbers in sentences, each with the row and column that it was read from.

The report says nothing that a reader could not look up. So a number in a sentence is never a text: it is a
:class:`Told`, which knows its table, its rows and its column, and writes all three into the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from babelscope.errors import harmless
from babelscope.report.words import number, p_value

#: Where a table stands beside the report.
FILES: dict[str, str] = {"scores": "scores.parquet", "curves": "curves.csv"}

#: Rows named in a page for one number; a count over more names the first of them.
MOST_ROWS = 12


def file_of(table: str) -> str:
    """Return the file in which a table of the result stands."""
    return FILES.get(table, f"tables/{table}.parquet")


@dataclass(frozen=True)
class Told:
    """A number as it is told, and where it stands.

    Attributes
    ----------
    value : float
        As it stands there; for a count, the number of rows.
    text : str
        As it is written for a reader.
    table : str
        ``scores``, ``curves``, or the name of a further table.
    rows : tuple of int
        Row numbers in its file, from 0.
    column : str
        The column; ``rows`` for a count of rows.
    """

    value: float
    text: str
    table: str
    rows: tuple[int, ...]
    column: str

    @property
    def where(self) -> str:
        """The place in words: ``scores.parquet, row 12, column value``."""
        named = ", ".join(str(row) for row in self.rows[:MOST_ROWS])
        more = f", … ({len(self.rows)} rows)" if len(self.rows) > MOST_ROWS else ""
        if self.column == "rows":
            return f"{file_of(self.table)}, {len(self.rows)} rows counted: {named}{more}"
        return f"{file_of(self.table)}, row {named}{more}, column {self.column}"

    def __html__(self) -> Markup:
        rows = " ".join(str(row) for row in self.rows)
        return Markup(  # noqa: S704 - the parts are escaped
            f'<data value="{self.value!r}" data-table="{escape(self.table)}" data-rows="{rows}" '
            f'data-column="{escape(self.column)}" title="{escape(self.where)}">{escape(one_minus(self.text))}</data>'
        )

    def __str__(self) -> str:
        return one_minus(self.text)


def one_minus(text: str) -> str:
    """Return a text in which negative numbers are written with a minus sign, as everywhere in the report."""
    return _HYPHEN.sub("−", text)


_HYPHEN = re.compile(r"(?<![^\s(])-(?=\d+\.\d)")


def tell(table: str, row: pd.Series[Any], column: str, digits: int = 2) -> Told:
    """Return one number of one row; its index label is its row number."""
    return tell_at(table, int(str(row.name)), column, float(row[column]), digits)


def tell_at(table: str, row: int, column: str, value: float, digits: int = 2) -> Told:
    """Return one number that stands in a row, given by its number, and a column."""
    text = p_value(value) if column in ("p", "p_adjusted") else number(value, digits)
    return Told(value, text, table, (row,), column)


def percent(table: str, row: pd.Series[Any], column: str) -> Told:
    """Return a share as a percentage, which stands in its row as a fraction; rounded as the fraction would be."""
    value = float(row[column])
    return Told(value, f"{number(100 * round(value, 2), 0)} %", table, (int(str(row.name)),), column)


def count(table: str, part: pd.DataFrame) -> Told:
    """Return how many rows a part of a table has."""
    return Told(len(part), str(len(part)), table, tuple(int(str(label)) for label in part.index), "rows")


def of_parts(sentence: str, parts: object) -> Sentence | str:
    """Return a sentence of the result with the places of its numbers, or as it is where the parts do not make it up.

    Parameters
    ----------
    sentence : str
    parts : list
        As :meth:`babelscope.gaps.traced.Traced.parts` gives them. They come from a file and are escaped like all data.
    """
    pieces: dict[str, Any] = {}
    for place, part in enumerate(parts if isinstance(parts, list) else []):
        if isinstance(part, dict):
            try:
                rows = tuple(int(row) for row in part["rows"])
                part = Told(float(part["value"]), str(part["text"]), str(part["table"]), rows, str(part["column"]))
            except (KeyError, TypeError, ValueError):
                return sentence
        pieces[f"part{place}"] = part
    if "".join(map(str, pieces.values())) != sentence:
        return sentence
    return Sentence("".join(f"{{{name}}}" for name in pieces), **pieces)


_NUMBER = re.compile(r"[-−]?\d+\.\d+")


def placed(text: str, table: str, rows: pd.DataFrame, columns: Iterable[str]) -> Sentence:
    """Return a text in which every decimal number that a column of the rows holds knows its place.

    Parameters
    ----------
    text : str
        Made from these rows.
    table : str
    rows : DataFrame
        Its index labels are row numbers. The first row and column that hold the number as it is written are taken.
    columns : iterable of str
    """
    known: dict[str, Told] = {}
    for column in (name for name in columns if name in rows):
        for _, row in rows.iterrows():
            one = tell(table, row, column)
            known.setdefault(one.text.replace("−", "-"), one)
    pieces: dict[str, Any] = {}
    end = 0
    for found in _NUMBER.finditer(text):
        held = known.get(found.group().replace("−", "-"))
        if held is not None:
            pieces[f"part{len(pieces)}"] = text[end : found.start()]
            pieces[f"part{len(pieces)}"] = Told(held.value, found.group(), held.table, held.rows, held.column)
            end = found.end()
    pieces[f"part{len(pieces)}"] = text[end:]
    return Sentence("".join(f"{{{name}}}" for name in pieces), **pieces)


class Sentence:
    """A sentence of this package with names and numbers put in.

    Parameters
    ----------
    template : str
        Trusted text with ``{name}`` where something is put in.
    **parts
        :class:`Told` numbers, or texts from the data (escaped for where they are written).
    """

    def __init__(self, template: str, **parts: Any) -> None:
        self.template, self.parts = template, parts

    def __html__(self) -> Markup:
        parts = {name: one_minus(part) if isinstance(part, str) else part for name, part in self.parts.items()}
        return Markup(self.template).format(**parts)  # noqa: S704 - the parts are escaped

    def __str__(self) -> str:
        return self.template.format(**{name: one_minus(str(part)) for name, part in self.parts.items()})

    def markdown(self) -> str:
        """Return the sentence as Markdown, with what came from the data escaped; spaces at the ends of a part stay."""
        return self.template.format(
            **{name: _escaped(_SPACES.sub(" ", one_minus(str(part)))) for name, part in self.parts.items()}
        )


_SPACES = re.compile(r"\s+")
_MARKED = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def plain(text: object) -> str:
    """Return a text in which Markdown, and HTML inside Markdown, mean nothing, nor anything to a terminal."""
    return _escaped(" ".join(str(text).split()))


def _escaped(line: str) -> str:
    return _MARKED.sub(lambda found: f"&#{ord(found.group())};", harmless(line))


def joined(sentences: Iterable[Sentence | None]) -> list[Sentence]:
    """Return the sentences that there are."""
    return [one for one in sentences if one is not None]
