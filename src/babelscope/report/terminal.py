"""What the terminal shows of a result: the first screen's verdict and tiles, and tables of means and differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.text import Text

from babelscope.gaps.result import Result
from babelscope.report import queries
from babelscope.report.first_screen import FirstScreen
from babelscope.report.wording import KIND_TITLES, measure_title, number, p_value
from babelscope.text_table import Column, TextTable

#: Lines on what was left out that a terminal shows.
MOST_LINES = 20


def summary(result: Result) -> list[dict[str, Any]]:
    """Return the mean of every kind and measure at the first, the best and the last point.

    One row a kind and measure: ``kind``, ``measure``, ``saturated``, and where it was measured the mean at the
    ``first``, ``best`` and ``last`` point; ``null_mean``, ``chance_corrected`` and the smallest and largest p-value of
    a language or pair (``p_low``, ``p_high``; None without a null) at the last; and ``best_at``.
    """
    rows: list[dict[str, Any]] = []
    for kind in queries.kinds(result):
        for measure in queries.measures(result):
            row: dict[str, Any] = {"kind": kind, "measure": measure}
            rows.append(row | {"saturated": queries.saturation(result, kind, measure) is not None})
            curve = queries.curve(result, kind, measure)
            mean = queries.mean_of(curve).dropna(subset=["value"])
            if mean.empty:
                continue
            first, last, best = mean.iloc[0], mean.iloc[-1], queries.highest(mean, "value")
            p = queries.rows(curve, point=str(last["point"]))["p"].dropna()
            rows[-1] |= {
                "first": float(first["value"]),
                "best": float(best["value"]),
                "last": float(last["value"]),
                "null_mean": float(last["null_mean"]),
                "chance_corrected": float(last["chance_corrected"]),
                "p_low": float(p.min()) if len(p) else None,
                "p_high": float(p.max()) if len(p) else None,
                "best_at": str(best["point"]),
            }
    return rows


def summary_table(result: Result) -> TextTable:
    """Return :func:`summary` for a terminal: a group a kind, a row a measure; a saturated one is marked by ``!``."""
    rows = [
        row
        | {
            "kind": KIND_TITLES[row["kind"]],
            "measure": measure_title(row["measure"]) + (" !" if row["saturated"] else ""),
            "p": "" if row.get("p_low") is None else _range(row["p_low"], row["p_high"]),
            "best_at": row.get("best_at", "not measured"),
        }
        for row in summary(result)
    ]
    heads = {"first": "first", "best": "best", "last": "last", "null_mean": "null", "chance_corrected": "corr."}
    numbers = [Column(key, head, number, right=True) for key, head in heads.items()]
    saturated = any(row["saturated"] for row in rows)
    caption = "! gives nearly 1 to unrelated sentences: its values say little, judge by p" if saturated else ""
    return TextTable(["measure", *numbers, Column("p", right=True), "best_at"], rows, caption=caption, group="kind")


def left_out(corpus: dict[str, Any]) -> list[str]:
    """Return what a study left out of its corpus, a line each with the reason: the first, and how many more."""
    lines = [f"Not in the corpus: {line}" for line in corpus.get("left_out", ())]
    lines += [f"Skipped: {one['reason']}" for one in corpus.get("skipped", ())]
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"… and {more} more: the report and result.json name them"] if more > 0 else lines


def differences_table(differences: pd.DataFrame) -> TextTable:
    """Return the means over languages or pairs of what :func:`babelscope.gaps.paired.paired` found."""
    means = differences[differences["group"] == "mean"]
    rows = []
    for (first, second, kind, measure), group in means.groupby(["first", "second", "kind", "measure"], sort=False):
        compared = f"{first} and {second}: {KIND_TITLES[str(kind)]}, {measure_title(str(measure))}"
        for row in group.to_dict("records"):
            star = " *" if row["holds_for"] == "other sentences" else ""
            rows.append(
                {
                    "compared": compared,
                    "point": _points(row["point_a"], row["point_b"]) + star,
                    "first": number(row["chance_corrected_a"]),
                    "second": number(row["chance_corrected_b"]),
                    "difference": number(row["difference"]),
                    "95 %": f"{number(row['low'])} to {number(row['high'])}",
                    "p": p_value(row["p"]),
                }
            )
    numbers = [Column(name, right=True) for name in ("first", "second", "difference", "95 %", "p")]
    caption = (
        "chance-corrected; above 0: more similar in the second; * for other sentences only, else for other languages "
        "too"
    )
    return TextTable(["point", *numbers], rows, caption=caption, group="compared")


def relations_table(relations: pd.DataFrame, given: Sequence[str] = ()) -> TextTable:
    """Return the point of every kind and measure that goes best with each task; `given` was regressed out."""
    best = relations.groupby(["task", "kind", "measure"], sort=False).head(1)
    rows = [
        {
            "task": f"{row['task']}, {row['languages']} languages",
            "similarity": f"{KIND_TITLES[row['kind']]}, {measure_title(row['measure'])}",
            "point": _points(row["point"], row["against"]),
            "rho": number(row["rho"]),
            "95 %": f"{number(row['low'])} to {number(row['high'])}",
            "p": p_value(row["p"]),
            "corrected": p_value(row["p_adjusted"]),
        }
        for row in best.to_dict("records")
    ]
    without = f" after regressing out {', '.join(given)}" if given else ""
    caption = (
        f"Spearman's rho over languages{without}, at the point where it is largest; its p, and p corrected for "
        "everything that was tried on the task. Correlation is not cause."
    )
    numbers = [Column(name, right=True) for name in ("rho", "95 %", "p", "corrected")]
    return TextTable(["point", *numbers, Column("similarity", prose=True)], rows, caption=caption, group="task")


def _points(point: str, against: str) -> str:
    return point if point == against else f"{point} = {against}"


def _range(low: float, high: float) -> str:
    return p_value(low) if p_value(low) == p_value(high) else f"{p_value(low)}–{p_value(high)}"


def verdict_lines(screen: FirstScreen, steps: int = 1) -> list[Text]:
    """Return the first screen, with so many next steps, as paragraphs for a terminal, which wraps them at words."""
    lines = [Text(" ".join(map(str, screen.verdict)), style="bold"), Text()]
    for tile in screen.tiles:
        value = Text.assemble((f"{tile.title}: ", "bold"), tile.value.text)
        value.append(f" ({tile.interval})" if tile.interval else "")
        value.append(f"; chance {tile.chance.text}" if tile.chance is not None else "")
        lines += [value, Text(f"  {tile.measure} at {tile.place}; {tile.tested}")]
        if tile.baseline is not None:
            lines.append(Text(f"  baseline {tile.baseline.name} {tile.baseline.value}: {tile.baseline.verdict}"))
    if screen.next_steps and steps:
        lines.append(Text())
        lines += [Text.assemble(("Next: ", "bold"), str(step)) for step in screen.next_steps[:steps]]
    return lines
