"""The rows of a result that a verdict rests on: which table, by what filter, and what stands there."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.gaps.result import Result
from babelscope.gaps.traced import Number, file_of
from babelscope.report import queries
from babelscope.report.section import Column, Table
from babelscope.report.sentences import cell, known, percent
from babelscope.report.wording import NOTHING, listed, number

#: Items of one verdict that are shown; result.json's tables hold all.
MOST_ITEMS = 120


def listing(
    table: str,
    rows: pd.DataFrame,
    caption: str,
    texts: Mapping[str, str],
    numbers: Mapping[str, str],
    *,
    percents: Collection[str] = (),
    digits: int = 2,
) -> Table:
    """Return rows of a table of the result as a table to read: columns of texts, then of numbers, by their headings.

    Index labels of the rows are row numbers in the table. The columns `percents` are shares.
    """

    def written(row: pd.Series[Any], name: str) -> Number | str:
        return known(table, row, name, percent) or NOTHING if name in percents else cell(table, row, name, digits)

    columns = (*(Column(heading, False) for heading in texts.values()), *map(Column, numbers.values()))
    cells = [
        (*(str(row[name]) for name in texts), *(written(row, name) for name in numbers)) for _, row in rows.iterrows()
    ]
    return Table(caption, columns, tuple(cells))


def parsed(column: object) -> list[Any]:
    """Return the items of a column ``evidence`` or ``caveats``: a JSON list."""
    if isinstance(column, str):
        try:
            column = json.loads(column)
        except ValueError:
            return []
    return list(column) if isinstance(column, (list, tuple)) else []


def table(result: Result, evidence: object) -> list[Table]:
    """Return a column ``evidence`` as a table, a row an item; an empty list where it holds none.

    Its items have ``table``, ``where`` (column to value, or to a list of values), ``column`` and ``value``; ``of`` says
    what of the rows the value is, and ``weight`` how it enters.
    """
    items = [item for item in parsed(evidence) if isinstance(item, dict)]
    rows = []
    for item in items[:MOST_ITEMS]:
        name, column = str(item.get("table", "scores")), str(item.get("column", ""))
        where = item.get("where")
        filters = where if isinstance(where, dict) else {}
        kept = _where(result, name, filters)
        value: Any = _written(item.get("value")) if item.get("value") is not None else ""
        if len(kept) and isinstance(item.get("value"), float):
            value = Number(item["value"], name, tuple(int(row) for row in kept), column, str(value))
        said = ", ".join(f"{key} = {_written(one)}" for key, one in filters.items())
        of = f"{item['of']} of {column}" if item.get("of") else column
        weight = _written(item["weight"]) if item.get("weight") is not None else ""
        rows.append((file_of(name), said, of, value, str(len(kept)), weight))
    if not rows:
        return []
    more = f" (first {MOST_ITEMS} of {len(items)})" if len(items) > MOST_ITEMS else ""
    heads = {"file": False, "rows where": False, "column": False, "value": True, "rows": True, "weight": True}
    columns = tuple(Column(head, numeric) for head, numeric in heads.items())
    kept_columns = len(columns) if any(row[-1] for row in rows) else len(columns) - 1
    shown = tuple(row[:kept_columns] for row in rows)
    return [Table(f"What it is computed from{more}", columns[:kept_columns], shown)]


def _where(result: Result, name: str, filters: dict[str, Any]) -> NDArray[np.intp]:
    """Return the numbers of the rows in which every column has the given value, or one of a list of values."""
    frame = queries.table(result, name)
    if frame is None or any(column not in frame for column in filters):
        return np.empty(0, dtype=np.intp)
    keep = np.ones(len(frame), dtype=bool)
    for column, wanted in filters.items():
        keep &= _having(result, name, column, json.dumps(wanted))
    return np.asarray(frame.index[keep], dtype=np.intp)


@queries.remembered
def _having(result: Result, name: str, column: str, wanted: str) -> NDArray[np.bool_]:
    """Return in which rows a column has a value, or one of several; `wanted` is JSON, so that it can be remembered."""
    frame = queries.table(result, name)
    assert frame is not None
    values = json.loads(wanted)
    values = values if isinstance(values, list) else [values]
    if frame[column].dtype.kind == "f":
        numbers = np.array([float(value) for value in values if isinstance(value, (int, float))])
        there = frame[column].to_numpy(dtype=float)[:, None]
        return np.asarray(np.isclose(there, numbers[None, :], rtol=1e-9).any(axis=1), dtype=bool)
    return np.asarray(frame[column].isin(values).to_numpy(), dtype=bool)


def _written(value: object) -> str:
    if isinstance(value, float):
        return number(value, 3)
    if isinstance(value, (list, tuple)):
        return listed([_written(one) for one in value], 12)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_written(one)}" for key, one in value.items())
    return str(value)
