"""Rows of a result's tables: those with certain values, those at the model's output, and what groups are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: The group of an average over all languages or pairs.
MEAN = "mean"


def matching(table: pd.DataFrame, **equal: Any) -> NDArray[np.bool_]:
    """Return of each row whether every named column equals the given value, or is in the given list."""
    keep = np.ones(len(table), dtype=bool)
    for column, wanted in equal.items():
        values = table[column]
        keep &= np.asarray(
            values.isin(wanted) if isinstance(wanted, (list, tuple, set)) else values == wanted, dtype=bool
        )
    return keep


def rows(table: pd.DataFrame, **equal: Any) -> pd.DataFrame:
    """Return the rows in which every named column equals the given value, or is in the given list."""
    return table[matching(table, **equal)]


def output(table: pd.DataFrame, point: str = "point", against: str = "against", depth: str = "depth") -> pd.DataFrame:
    """Return the rows of one kind and measure at the model's output.

    That is the deepest point, the last of those as deep, with the last text point that it is compared with; the further
    arguments name the columns.
    """
    if table.empty:
        return table
    table = rows(table, **{point: table.loc[table[depth] == table[depth].max(), point].iloc[-1]})
    return rows(table, **{against: table[against].iloc[-1]})


def groups(table: pd.DataFrame) -> pd.Series[Any]:
    """Return the group of each row: its language, or its two languages as ``en-fr``."""
    first, second = table["language_a"], table["language_b"]
    return first.where(first == second, first + "-" + second)
