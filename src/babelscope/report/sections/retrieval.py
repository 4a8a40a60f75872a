"""Retrieval at the last point with its controls, one row a language or pair."""

from __future__ import annotations

from typing import Any

from babelscope.gaps.result import Result
from babelscope.report import select

#: Rows of one table before it is cut to the pairs with one language.
RETRIEVAL_ROWS = 40


def section(result: Result) -> list[dict[str, Any]]:
    """Return one table a kind for which retrieval was measured."""
    tables = []
    for kind in select.kinds(result):
        table = select.retrieval_rows(result, kind, RETRIEVAL_ROWS)
        if table.empty:
            continue
        shown = [
            name
            for name in ("first", "value", "length_regressed", "length_only", "shuffled", "chance", "p")
            if table[name].notna().any()
        ]
        if table.attrs["first"] == table.attrs["last"]:
            shown.remove("first")
        tables.append(
            {"kind": kind, "rows": table.to_dict("records"), "columns": shown}
            | {name: table.attrs[name] for name in ("first", "last", "of", "pivot")}
        )
    return tables
