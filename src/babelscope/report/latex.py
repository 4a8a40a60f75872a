"""Tables of a result for a paper: LaTeX with booktabs, everything escaped, the caption saying n, null and control."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from babelscope.errors import DataError
from babelscope.gaps.result import CONTROLS, Result
from babelscope.numbers import number
from babelscope.report import queries
from babelscope.report.wording import KIND_LINES, KIND_TITLES, measure_title

#: What LaTeX would take for commands, and how it is written.
_ESCAPES: dict[str, str] = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "−": "$-$",
    "…": r"\dots{}",
}

TABLES = ("gaps", "findings", "decomposition")


def escape(text: object) -> str:
    """Return text as LaTeX prints it; line breaks become spaces, other control characters are left out."""
    words = " ".join(str(text).split())
    return "".join(_ESCAPES.get(letter, letter) for letter in words if letter.isprintable())


def to_latex(
    result: Result,
    table: str = "gaps",
    *,
    kind: str = "modality_similarity",
    point: str | None = None,
    control: str = "none",
    column: str = "value",
    digits: int = 2,
) -> str:
    """Write a table of a result as LaTeX; it needs the package ``booktabs``.

    Parameters
    ----------
    result : Result
    table : {"gaps", "findings", "decomposition"}
        ``gaps``: languages (or pairs) down, measures across, at one point, with intervals, and what chance gives.
        ``findings``: effect, interval, p and verdict of each. ``decomposition``: shares of variance, points down.
    kind, point, control : str
        Of ``gaps``; without `point`, the last.
    column : {"value", "chance_corrected", "calibrated"}
        Of ``gaps``. Intervals and the line of chance belong to the value.
    digits : int
        Decimals.

    Returns
    -------
    str
        A ``table`` environment with caption and label.

    Raises
    ------
    UsageError
        If a name is unknown.
    DataError
        If the result has no such rows.
    """
    queries.known("table for LaTeX", table, TABLES)
    if table != "gaps":
        return _findings(result, digits) if table == "findings" else _decomposition(result, digits)
    kind = queries.known("kind of comparison", kind, queries.kinds(result))
    queries.known("control", control, list(CONTROLS))
    queries.known("column", column, ("value", "chance_corrected", "calibrated"))
    return _gaps(result, kind, point, control, column, digits)


def _gaps(result: Result, kind: str, point: str | None, control: str, column: str, digits: int) -> str:
    names = [at.name for at in queries.points(result, kind)]
    point = names[-1] if point is None else queries.known("point", point, names)
    columns: dict[str, dict[str, pd.Series[Any]]] = {}
    for measure in queries.measures(result):
        curve = queries.rows(queries.curve(result, kind, measure, control), point=point)
        if len(curve):
            columns[measure] = {str(row["group"]): row for _, row in curve.iterrows()}
    if not columns:
        raise DataError(f"the result has no {kind} at {point} under the control {control!r}: choose another")
    groups = [name for name in dict.fromkeys(name for rows in columns.values() for name in rows) if name != "mean"]
    body = [[escape(name), *(_cell(rows.get(name), column, digits) for rows in columns.values())] for name in groups]
    means = [rows.get("mean") for rows in columns.values()]
    last = [["Mean", *(_cell(row, column, digits) for row in means)]]
    if column == "value":
        last.append(["Chance, 95th percentile", *(_number(_of(row, "null_q95"), digits) for row in means)])
    first = next(row for row in means if row is not None)
    against = str(first["against"])
    caption = [
        f"{KIND_TITLES[kind]} ({KIND_LINES[kind]}) at {point}" + ("" if against == point else f" and {against}"),
        f"n = {int(first['n'])} sentences",
        f"null: {_null(result)}",
        f"control: {CONTROLS[control]}",
    ]
    if column == "calibrated":
        caption.append("calibrated (Gröger et al. 2026): 0 up to the null's 95th percentile, 1 perfect agreement")
    elif column == "chance_corrected":
        caption.append("chance-corrected: 0 is the mean of the null, 1 perfect agreement")
    elif any(math.isfinite(_of(row, "low")) for row in means):
        caption.append(f"in brackets the interval ({result.meta.get('options', {}).get('interval') or '95 %'})")
    unit = "Language" if kind == "modality_similarity" else "Pair"
    head = [unit, *(escape(measure_title(measure)) for measure in columns)]
    return _table(result, kind.replace("_", "-"), head, body, caption, "l" + "r" * len(columns), last)


def _findings(result: Result, digits: int) -> str:
    if (findings := queries.table(result, "findings")) is None:
        raise DataError("the result has no findings: the study allowed none, or was made before there were any")
    body = []
    for _, row in findings.iterrows():
        claim = escape(row["statement"]) + ("" if row["group"] == "all" else f" ({escape(row['group'])})")
        basis = escape(str(row["basis"]).replace("_", " "))
        body.append([claim, basis, _cell(row, "effect", digits), _p(row["p"]), escape(row["verdict"])])
    n = sorted({int(value) for value in findings["n"].dropna()})
    caption = ["Findings", f"n = {' or '.join(map(str, n))} sentences", "effects with 95 % intervals"]
    caption += [f"null: {_null(result)}", f"control: {CONTROLS['none']}"]
    head = ["Finding", "Basis", "Effect", "$p$", "Verdict"]
    return _table(result, "findings", head, body, caption, r"p{0.42\linewidth}lrrl")


def _decomposition(result: Result, digits: int) -> str:
    if (shares := queries.table(result, "decomposition")) is None:
        raise DataError("the result has no decomposition: no point is shared by speech and text, or languages are one")
    modalities = "all" if (shares["part"] == "all").any() else str(shares["part"].iloc[0])
    shares = shares[shares["part"] == modalities]
    components = queries.in_order(shares["component"])
    body = []
    for point in queries.in_order(shares["point"]):
        rows = {str(row["component"]): row for _, row in shares[shares["point"] == point].iterrows()}
        body.append([escape(point), *(_cell(rows.get(name), "share", digits) for name in components)])
    caption = [
        f"Shares of variance ({'speech and text crossed' if modalities == 'all' else modalities})",
        f"n = {int(shares['n'].max())} sentences",
        "in brackets 95 % intervals",
        "no null: the shares are corrected for bias",
        f"control: {CONTROLS['none']}",
    ]
    head = ["Point", *(escape(name.replace(":", " × ")) for name in components)]
    return _table(result, "decomposition", head, body, caption, "l" + "r" * len(components))


def _null(result: Result) -> str:
    """Return what the null was; results of earlier versions drew as many permutations for every score."""
    options = result.meta.get("options", {})
    null = str(options.get("null", "permutations of the sentences"))
    return f"{options.get('permutations', '?')} {null}" if null.startswith("permutation") else null


def _of(row: pd.Series[Any] | None, column: str) -> float:
    return math.nan if row is None else float(row[column])


def _number(value: float, digits: int) -> str:
    return number(value, digits, minus="$-$", nothing="--")


def _cell(row: pd.Series[Any] | None, column: str, digits: int) -> str:
    """Write a number with its interval; the interval of a score is that of its value."""
    text = _number(_of(row, column), digits)
    if row is None or column in ("chance_corrected", "calibrated") or not math.isfinite(_of(row, "low")):
        return text
    return rf"{text} {{\scriptsize[{_number(_of(row, 'low'), digits)}, {_number(_of(row, 'high'), digits)}]}}"


def _p(value: object) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "--"
    return "$<$0.001" if value < 0.001 else f"{value:.3f}"


def _table(
    result: Result, label: str, head: list[str], body: list[list[str]], caption: list[str], columns: str,
    last: Sequence[list[str]] = (),
) -> str:  # fmt: skip
    """Return the table's environment; the last rows are set off, and the caption ends with the model and the corpus."""
    names = {name: result.meta.get(name, {}).get("name", "") for name in ("model", "corpus")}
    written = escape("; ".join(caption + [f"{what}: {name}" for what, name in names.items() if name]) + ".")

    def line(cells: Sequence[str]) -> str:
        return "    " + " & ".join(cells) + r" \\"

    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{written}}}",
            rf"  \label{{tab:{label}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            line(head),
            r"    \midrule",
            *map(line, body),
            *([r"    \midrule"] if last else []),
            *map(line, last),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )
