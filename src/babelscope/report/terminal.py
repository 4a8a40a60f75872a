"""What the terminal shows of a result: the first screen's verdict and tiles, and tables of means and differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from babelscope.gaps.result import Result
from babelscope.report import select
from babelscope.report.verdict import FirstScreen
from babelscope.report.words import KIND_TITLES, measure_title, number, p_value

#: Lines on what was left out that a terminal shows.
MOST_LINES = 20


def summary_table(result: Result) -> Table:
    """Return the mean of every kind and measure at the first, the best and the last point.

    Parameters
    ----------
    result : Result
        What a study found.

    Returns
    -------
    rich.table.Table
        One block a kind, one row a measure; columns: the mean at the first, best and last point, the null's mean, the
        chance-corrected mean and the range of the languages' or pairs' p-values, these three at the last point, and
        where the best is. A saturated measure is marked by ``!``.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")
    for name in ("first", "best", "last", "null", "corr.", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("best at", overflow="fold", min_width=16)
    saturated = False
    for kind in select.kinds(result):
        table.add_row(Text(KIND_TITLES[kind], style="bold"))
        for measure in select.measures(result):
            part = select.curve(result, kind, measure)
            mean = select.mean_of(part).dropna(subset=["value"])
            if mean.empty:
                table.add_row(Text(f" {measure_title(measure)}"), *[""] * 6, "not measured")
                continue
            first, last, best = mean.iloc[0], mean.iloc[-1], mean.iloc[int(mean["value"].argmax())]
            flat = select.saturation(result, kind, measure)
            saturated = saturated or flat is not None
            p = select.rows(part, point=str(last["point"]))["p"].dropna()
            table.add_row(
                Text(f" {measure_title(measure)}{' !' if flat else ''}"),
                number(first["value"]),
                number(best["value"]),
                number(last["value"]),
                number(last["null_mean"]),
                number(last["chance_corrected"]),
                _range(float(p.min()), float(p.max())) if len(p) else number(None),
                Text(str(best["point"])),
            )
    if saturated:
        table.caption = "! gives nearly 1 to unrelated sentences: its values say little, judge by p"
        table.caption_justify = "left"
    return table


def left_out(corpus: dict[str, Any]) -> list[str]:
    """Return what a study left out of its corpus, a line each with the reason: the first, and how many more.

    Parameters
    ----------
    corpus : dict
        ``meta["corpus"]`` of a result or store.
    """
    lines = [f"Not in the corpus: {line}" for line in corpus.get("left_out", ())]
    lines += [f"Skipped: {one['reason']}" for one in corpus.get("skipped", ())]
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"… and {more} more: the report and result.json name them"] if more > 0 else lines


def differences_table(differences: pd.DataFrame) -> Table:
    """Return the means over languages or pairs of what :func:`babelscope.gaps.paired.paired` found.

    Parameters
    ----------
    differences : DataFrame
        Columns :data:`babelscope.gaps.paired.PAIRED_COLUMNS`.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0), title_justify="left")
    table.add_column("", no_wrap=True)
    for name in ("first", "second", "difference", "95 %", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.caption = (
        "chance-corrected; above 0: more similar in the second; * for other sentences only, else for other languages "
        "too"
    )
    table.caption_justify = "left"
    means = differences[differences["group"] == "mean"]
    for (first, second), stores in means.groupby(["first", "second"], sort=False):
        table.add_row(Text(f"{first} and {second}", style="bold"))
        for (kind, measure), part in stores.groupby(["kind", "measure"], sort=False):
            table.add_row(Text(f"{KIND_TITLES[str(kind)]}, {measure_title(str(measure))}", style="bold"))
            for row in part.to_dict("records"):
                point = row["point_a"] if row["point_a"] == row["point_b"] else f"{row['point_a']} = {row['point_b']}"
                table.add_row(
                    Text(f" {point}{' *' if row['holds_for'] == 'other sentences' else ''}"),
                    number(row["chance_corrected_a"]),
                    number(row["chance_corrected_b"]),
                    number(row["difference"]),
                    f"{number(row['low'])} to {number(row['high'])}",
                    p_value(row["p"]),
                )
    return table


def relations_table(relations: pd.DataFrame, given: Sequence[str] = ()) -> Table:
    """Return the point of every kind and measure that goes best with each task.

    Parameters
    ----------
    relations : DataFrame
        Columns :data:`babelscope.gaps.tasks.RELATION_COLUMNS`.
    given : sequence of str
        What was regressed out.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0), title_justify="left")
    table.add_column("", overflow="fold")
    for name in ("rho", "95 %", "p", "corrected"):
        table.add_column(name, justify="right", no_wrap=True)
    without = f" after regressing out {', '.join(given)}" if given else ""
    table.caption = (
        f"Spearman's rho over languages{without}, at the point "
        "where it is largest; its p, and p corrected for everything that was tried on the task. "
        "Correlation is not cause."
    )
    table.caption_justify = "left"
    for task, rows in relations.groupby("task", sort=False):
        for (kind, measure), points in rows.groupby(["kind", "measure"], sort=False):
            best = points.iloc[0]
            point = best["point"] if best["point"] == best["against"] else f"{best['point']} = {best['against']}"
            what = f"{KIND_TITLES[str(kind)]}, {measure_title(str(measure))}, {point}"
            table.add_row(
                Text(f"{task}, {best['languages']} languages: {what}"),
                number(best["rho"]),
                f"{number(best['low'])} to {number(best['high'])}",
                p_value(best["p"]),
                p_value(best["p_adjusted"]),
            )
    return table


def _range(low: float, high: float) -> str:
    return p_value(low) if p_value(low) == p_value(high) else f"{p_value(low)}–{p_value(high)}"


def verdict_lines(screen: FirstScreen, steps: int = 1) -> list[Text]:
    """Return the first screen as paragraphs for a terminal, which wraps them where its words end.

    Parameters
    ----------
    screen : FirstScreen
    steps : int
        How many of the next steps are shown.
    """
    lines = [Text(" ".join(map(str, screen.verdict)), style="bold"), Text()]
    for tile in screen.tiles:
        value = Text.assemble((f"{tile.title}: ", "bold"), tile.value.text)
        value.append(f" ({tile.interval})" if tile.interval else "")
        value.append(f"; chance {tile.chance.text}" if tile.chance is not None else "")
        lines += [value, Text(f"  {tile.measure} at {tile.point}; {tile.tested}")]
        if tile.baseline is not None:
            lines.append(Text(f"  baseline {tile.baseline.name} {tile.baseline.value}: {tile.baseline.verdict}"))
    if screen.next_steps and steps:
        lines.append(Text())
        lines += [Text.assemble(("Next: ", "bold"), str(step)) for step in screen.next_steps[:steps]]
    return lines
