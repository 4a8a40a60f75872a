"""Numbers in sentences, each with the row and column that it was read from.

The report says nothing that a reader could not look up. So a number in a sentence is never a text: it is a
:class:`~babelscope.gaps.traced.Number`, which knows its table, its rows and its column, and writes all three into the
page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pandas as pd
from markupsafe import Markup

from babelscope.errors import harmless
from babelscope.gaps.traced import Number, with_minus
from babelscope.report.wording import NOTHING, number, p_value

#: Writes one number of one row, such as :func:`tell`.
Writer = Callable[[str, "pd.Series[Any]", str], Number]


def tell(table: str, row: pd.Series[Any], column: str, digits: int = 2) -> Number:
    """Return one number of one row; its index label is its row number."""
    value = float(row[column])
    text = p_value(value) if column in ("p", "p_adjusted") else number(value, digits)
    return Number(value, table, (int(str(row.name)),), column, text)


def cell(table: str, row: pd.Series[Any], column: str, digits: int = 2) -> Number | str:
    """Return one number of one row, or a dash where there is none."""
    return tell(table, row, column, digits) if math.isfinite(float(row[column])) else NOTHING


def known(table: str, row: pd.Series[Any], column: str, write: Writer | None = None) -> Number | None:
    """Return one number of one row, or None where there is none."""
    return (write or tell)(table, row, column) if math.isfinite(float(row[column])) else None


def interval(table: str, row: pd.Series[Any], write: Writer | None = None) -> dict[str, Number]:
    """Return the ends of an interval as the parts ``low`` and ``high`` of a sentence; empty where one is missing."""
    ends = {name: known(table, row, name, write) for name in ("low", "high")}
    return {name: end for name, end in ends.items() if end is not None} if all(ends.values()) else {}


def p_clause(p: object) -> str:
    """Return how a part ``{p}`` is written behind the letter: ``p = {p}``, or ``p {p}`` for one with its own sign."""
    return "p {p}" if str(p).startswith("<") else "p = {p}"


def percent(table: str, row: pd.Series[Any], column: str) -> Number:
    """Return a share as a percentage, which stands in its row as a fraction; rounded as the fraction would be."""
    value = float(row[column])
    return Number(value, table, (int(str(row.name)),), column, f"{number(100 * round(value, 2), 0)} %")


def of_parts(sentence: str, parts: object) -> Sentence | str:
    """Return a sentence of the result with the places of its numbers, or as it is where the parts do not make it up.

    The parts are as :meth:`babelscope.gaps.traced.Traced.parts` gives them. They come from a file and are escaped like
    all data.
    """
    pieces = []
    for piece in parts if isinstance(parts, list) else []:
        if isinstance(piece, dict):
            try:
                rows = tuple(int(row) for row in piece["rows"])
                table, column, text = (str(piece[key]) for key in ("table", "column", "text"))
                piece = Number(float(piece["value"]), table, rows, column, text)
            except (KeyError, TypeError, ValueError):
                return sentence
        pieces.append(piece)
    return _joined(pieces) if "".join(map(str, pieces)) == sentence else sentence


def _joined(pieces: Iterable[Any]) -> Sentence:
    parts = {f"part{place}": piece for place, piece in enumerate(pieces)}
    return Sentence("".join(f"{{{name}}}" for name in parts), **parts)


_NUMBER = re.compile(r"[-−]?\d+\.\d+")


def placed(text: str, table: str, rows: pd.DataFrame, columns: Iterable[str]) -> Sentence:
    """Return a text in which every decimal number that a column of the rows holds knows its place.

    The text was made from these rows of a table, whose index labels are row numbers. The first row and column that hold
    the number as it is written are taken.
    """
    numbers: dict[str, Number] = {}
    for column in (name for name in columns if name in rows):
        for _, row in rows.iterrows():
            value = tell(table, row, column)
            numbers.setdefault(value.text.replace("−", "-"), value)
    pieces: list[Any] = []
    end = 0
    for match in _NUMBER.finditer(text):
        number_there = numbers.get(match.group().replace("−", "-"))
        if number_there is not None:
            pieces += [text[end : match.start()], replace(number_there, text=match.group())]
            end = match.end()
    return _joined([*pieces, text[end:]])


class Sentence:
    """A sentence of this package with names and numbers put in.

    Parameters
    ----------
    template : str
        Trusted text with ``{name}`` where something is put in.
    **parts
        :class:`Number` numbers, or texts from the data (escaped for where they are written).
    """

    def __init__(self, template: str, **parts: Any) -> None:
        self.template, self.parts = template, parts

    def __html__(self) -> Markup:
        parts = {name: with_minus(value) if isinstance(value, str) else value for name, value in self.parts.items()}
        return Markup(self.template).format(**parts)  # noqa: S704 - the parts are escaped

    def __str__(self) -> str:
        return self.template.format(**{name: with_minus(str(value)) for name, value in self.parts.items()})

    def markdown(self) -> str:
        """Return the sentence as Markdown, with what came from the data escaped; spaces at the ends of a part stay."""
        return self.template.format(
            **{name: _escaped(_SPACES.sub(" ", with_minus(str(value)))) for name, value in self.parts.items()}
        )


_SPACES = re.compile(r"\s+")
_MARKED = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def plain(text: object) -> str:
    """Return a text in which Markdown, and HTML inside Markdown, mean nothing, nor anything to a terminal."""
    return _escaped(" ".join(str(text).split()))


def _escaped(line: str) -> str:
    return _MARKED.sub(lambda mark: f"&#{ord(mark.group())};", harmless(line))
