"""The verdicts: what the study finds, each with its effect, its interval and the rows that it is computed from."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.gaps.findings import CORRECTED, CORRECTED_SVCCA, RAW_SVCCA
from babelscope.gaps.result import Result
from babelscope.report import drawing, words
from babelscope.report.remembering import remembered
from babelscope.report.told import Sentence, Told, file_of, tell, tell_at

#: Rows of evidence that are shown; the filter that finds the others is shown too.
MOST_EVIDENCE = 12

#: Sign and colour of a verdict. The word stands beside the sign, so that neither colour nor shape is needed.
VERDICTS: dict[str, tuple[str, str]] = {
    "holds": ("✓", "yes"),
    "holds not": ("✗", "no"),
    "cannot tell": ("?", "open"),
}

#: What a reader calls the two ways to read the scores.
BASES: dict[str, str] = {
    CORRECTED: "chance-corrected",
    RAW_SVCCA: "raw SVCCA",
    CORRECTED_SVCCA: "chance-corrected SVCCA",
}

_LABELS = (
    "kind", "group", "component", "part", "stage", "point", "against", "point_a", "point_b", "language", "language_a",
    "language_b",
)  # fmt: skip
_NUMBERS = (
    "value", "share", "distance", "reached", "loss", "effect", "null_mean", "null_q95", "chance_corrected", "ceiling",
    "low", "high", "p", "n",
)  # fmt: skip


def section(result: Result) -> list[dict[str, Any]]:
    """Return one entry a finding, in the order of the table; empty where nothing was tested."""
    table = result.tables.get("findings")
    if table is None or table.empty:
        return []
    caveats = {
        str(one.get("id")): str(one.get("title") or one.get("id"))
        for one in result.meta.get("caveats") or []
        if isinstance(one, dict)
    }
    found = []
    for identifier in table["id"].drop_duplicates():
        rows = table[table["id"] == identifier]
        main = _main(rows)
        others = [_verdict(result, row, rows, caveats) for _, row in rows.iterrows() if row.name != main.name]
        told = _verdict(result, main, rows, caveats)
        told["others"] = others
        raw = rows[(rows["basis"] == RAW_SVCCA) & (rows["group"] == "all") & rows["low"].notna()]
        # Without an interval there is no verdict that could differ.
        told["raw"] = _verdict(result, raw.iloc[0], rows, caveats) if len(raw) else None
        told["by_class"] = [one for one in others if one["group"] != "all" and one["basis"] == told["basis"]]
        found.append(told)
    return found


def _main(rows: pd.DataFrame) -> pd.Series[Any]:
    """Return the row over all languages, chance-corrected: the one whose verdict leads."""
    rank = (rows["group"] != "all").astype(int) * 2 + (rows["basis"] != CORRECTED).astype(int)
    return rows.iloc[int(rank.to_numpy().argmin())]


def _verdict(result: Result, row: pd.Series[Any], rows: pd.DataFrame, caveats: dict[str, str]) -> dict[str, Any]:
    verdict = str(row["verdict"])
    sign, tone = VERDICTS.get(verdict, ("?", "open"))
    ends = rows[["effect", "low", "high"]].to_numpy(dtype=float)
    ends = ends[np.isfinite(ends)]
    domain = (min(0.0, float(ends.min())), max(0.0, float(ends.max()))) if len(ends) else (0.0, 1.0)
    return {
        "id": words.slug(str(row["id"])),
        "row": int(str(row.name)),
        "group": str(row["group"]),
        "basis": str(row["basis"]),
        "basis_title": BASES.get(str(row["basis"]), str(row["basis"])),
        "measure": str(row["measure"]),
        "measure_title": words.measure_title(str(row["measure"])),
        "statement": str(row["statement"]),
        "verdict": verdict,
        "sign": sign,
        "tone": tone,
        "of": str(row["effect_of"])[:1].upper() + str(row["effect_of"])[1:],
        "numbers": _effect(row),
        "picture": drawing.interval(
            float(row["effect"]), float(row["low"]), float(row["high"]), domain, f"var(--verdict-{tone})"
        ),
        "evidence": evidence(result, row["evidence"]),
        "caveats": _caveats(row["caveats"], caveats),
    }


def _effect(row: pd.Series[Any]) -> Sentence:
    """Return effect, interval, p and size, each with its place; what is missing is left out."""
    parts: dict[str, Any] = {}
    told = []
    if np.isfinite(float(row["effect"])):
        parts["effect"] = tell("findings", row, "effect", 3)
        told.append("{effect}")
    if np.isfinite(float(row["low"])) and np.isfinite(float(row["high"])):
        parts |= {"low": tell("findings", row, "low", 3), "high": tell("findings", row, "high", 3)}
        told.append("interval {low} to {high}")
    if np.isfinite(float(row["p"])):
        parts["p"] = tell("findings", row, "p")
        told.append("p {p}" if str(parts["p"]).startswith("<") else "p = {p}")
        if np.isfinite(float(row.get("p_adjusted", np.nan))):  # results of earlier versions have none
            parts["p_adjusted"] = tell("findings", row, "p_adjusted")
            told[-1] += " ({p_adjusted} corrected for all findings)"
    parts |= {"n": tell("findings", row, "n", 0), "groups": tell("findings", row, "groups", 0)}
    told += ["{n} sentences", "{groups} languages"]
    return Sentence(", ".join(told), **parts)


def _caveats(cell: object, known: dict[str, str]) -> list[dict[str, Any]]:
    """Return the caveats of a verdict: items with ``id`` and ``text``, or bare ids."""
    entries = _json(cell)
    found = []
    for entry in entries if isinstance(entries, list) else []:
        one = entry if isinstance(entry, dict) else {"id": entry}
        name = str(one.get("id", ""))
        found.append({"title": known.get(name, name), "text": str(one.get("text") or ""), "here": name in known})
    return found


def _json(cell: object) -> Any:
    if isinstance(cell, (list, dict)):
        return cell
    try:
        return json.loads(str(cell))
    except ValueError:
        return None


def evidence(result: Result, cell: object) -> list[dict[str, Any]]:
    """Return what a verdict rests on: for each item its table, the filter, and the rows that the filter finds there.

    Parameters
    ----------
    result : Result
        Whose tables the items name.
    cell : str or list
        The column ``evidence``: a JSON list of items with ``table``, ``where`` (column to value, or to a list of
        values), ``column`` and ``value``; ``of`` says what of the rows the value is, and ``weight`` how it enters.
    """
    entries = _json(cell)
    told = []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            continue
        name = str(entry.get("table", "scores"))
        where = entry.get("where")
        filters = where if isinstance(where, dict) else {}
        table = _table(result, name)
        kept = np.empty(0, dtype=np.intp) if table is None else table.where(filters)
        column = str(entry.get("column", ""))
        told.append(
            {
                "table": name,
                "file": file_of(name),
                "filter": [(str(key), _written(value)) for key, value in filters.items()],
                "column": column,
                "of_rows": f"{entry['of']} of" if entry.get("of") else "",
                "value": _written(entry["value"]) if entry.get("value") is not None else "",
                "weight": _written(entry["weight"]) if entry.get("weight") is not None else "",
                **_rows(name, table, kept, filters, column),
            }
        )
    return told


class _Table:
    """A table of the result that is searched many times: which rows a filter finds, and what stands there."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self._found: dict[tuple[str, str], NDArray[np.bool_]] = {}
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self._texts: dict[str, NDArray[np.object_]] = {}
        self._codes: dict[str, NDArray[np.intp]] = {}

    def where(self, filters: dict[str, Any]) -> NDArray[np.intp]:
        """Return the places of the rows in which every column has the given value, or one of a list of values."""
        keep = np.ones(len(self.frame), dtype=bool)
        for column, wanted in filters.items():
            if column not in self.frame:
                return np.empty(0, dtype=np.intp)
            key = (column, repr(wanted))
            if key not in self._found:
                self._found[key] = self._having(column, wanted)
            keep &= self._found[key]
        return np.flatnonzero(keep)

    def _having(self, column: str, wanted: Any) -> NDArray[np.bool_]:
        values = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
        if self.frame[column].dtype.kind == "f":
            numbers = [float(value) for value in values if isinstance(value, (int, float))]
            found = np.isclose(self.numbers(column)[:, None], np.array(numbers)[None, :], rtol=1e-9).any(axis=1)
        else:
            found = self.frame[column].isin(values).to_numpy()
        return np.asarray(found, dtype=bool)

    def numeric(self, column: str) -> bool:
        """Whether there is such a column, of numbers."""
        return column in self.frame and self.frame[column].dtype.kind in "fi"

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column of numbers."""
        if column not in self._numbers:
            self._numbers[column] = self.frame[column].to_numpy(dtype=float)
        return self._numbers[column]

    def any_number(self, column: str, kept: NDArray[np.intp]) -> bool:
        """Whether any of these rows has a number there."""
        return not np.isnan(self.numbers(column)[kept]).all()

    def texts(self, column: str) -> NDArray[np.object_]:
        """Return a column of texts."""
        if column not in self._texts:
            self._texts[column] = self.frame[column].to_numpy(dtype=object)
        return self._texts[column]

    def differs(self, column: str, kept: NDArray[np.intp]) -> bool:
        """Whether a column of texts holds more than one of them among these rows."""
        if column not in self._codes:
            self._codes[column] = pd.factorize(self.frame[column])[0]
        codes = self._codes[column][kept]
        return len(np.unique(codes[codes >= 0])) > 1


@remembered
def _table(result: Result, name: str) -> _Table | None:
    frame = {"scores": result.scores, "curves": result.curves}.get(name, result.tables.get(name))
    return None if frame is None else _Table(frame)


def _rows(
    name: str, table: _Table | None, kept: NDArray[np.intp], filters: dict[str, Any], column: str
) -> dict[str, Any]:
    if table is None or not len(kept):
        return {"columns": [], "labels": 0, "rows": [], "of": 0}
    frame = table.frame
    labels = [one for one in _LABELS if one in frame and table.differs(one, kept)]
    numbers = [
        one
        for one in dict.fromkeys((column, *_NUMBERS))
        if one not in filters and one not in labels and table.numeric(one) and table.any_number(one, kept)
    ]
    shown = kept[:MOST_EVIDENCE]
    rows: list[dict[str, Any]] = []
    for place, row in zip(shown.tolist(), frame.index[shown].tolist(), strict=True):
        cells: list[Told | str] = [str(table.texts(one)[place]) for one in labels]
        for one in numbers:
            value = float(table.numbers(one)[place])
            digits = 0 if one == "n" else 3
            cells.append(tell_at(name, row, one, value, digits) if np.isfinite(value) else words.NOTHING)
        rows.append({"row": row, "cells": cells})
    return {"columns": [*labels, *numbers], "labels": len(labels), "rows": rows, "of": len(kept)}


def _written(value: object) -> str:
    if isinstance(value, float):
        return words.number(value, 3)
    if isinstance(value, (list, tuple)):
        return words.listed([_written(one) for one in value], 12)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_written(one)}" for key, one in value.items())
    return str(value)
