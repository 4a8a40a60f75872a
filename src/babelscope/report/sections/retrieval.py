"""Retrieval at the last point with its controls, one row a language or pair."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from markupsafe import Markup

from babelscope.gaps.baselines.sentences import title_of
from babelscope.gaps.result import Result
from babelscope.report import select, words
from babelscope.report.drawing import Frame, clean, svg

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
            for name in ("first", "value", "length_regressed", "baseline", "shuffled", "chance", "p")
            if table[name].notna().any()
        ]
        if table.attrs["first"] == table.attrs["last"]:
            shown.remove("first")
        tables.append(
            {"kind": kind, "rows": table.to_dict("records"), "columns": shown}
            | {name: table.attrs[name] for name in ("first", "last", "of", "pivot")}
            | {"baseline": title_of(table.attrs["baseline"])}
        )
    return tables


#: Colour and mark of each score: told apart without colour too.
_SERIES: dict[str, tuple[str, str]] = {
    "value": ("var(--ink)", "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0Z"),
    "length_regressed": ("var(--language-0)", "M0 -4.6L4.6 0L0 4.6L-4.6 0Z"),
    "baseline": ("var(--language-1)", "M0 -4.4L4.4 3.6H-4.4Z"),
    "shuffled": ("var(--thin)", "M-4 -1.2H-1.2V-4H1.2V-1.2H4V1.2H1.2V4H-1.2V1.2H-4Z"),
}


def picture(table: pd.DataFrame, kind: str) -> Markup:
    """Draw :func:`~babelscope.report.select.retrieval_rows`: one row a language or pair, a mark a score and control.

    The tick of each row is chance, the null's mean.
    """
    pairs = [
        str(a) if kind in select.OF_ONE_LANGUAGE else f"{a}–{b}"
        for a, b in zip(table["language_a"], table["language_b"], strict=True)
    ]
    step, left = 18, round(min(190, max(map(len, pairs), default=0) * 6.4 + 12))
    there = [name for name in _SERIES if table[name].notna().any()]
    baseline = title_of(table.attrs["baseline"])
    titles = {
        name: baseline if name == "baseline" else words.CONTROL_TITLES["none" if name == "value" else name]
        for name in there
    }
    frame = Frame(width=360, height=step * len(pairs), left=left, top=64, right=14, x_title="P@1")
    frame.parts += [
        f'<text x="0" y="14" font-size="13" font-weight="bold" fill="var(--ink)">Retrieval: '
        f"{clean(words.KIND_LINES[kind])}</text>",
        f'<text x="0" y="31" font-size="10.5" fill="var(--muted)">at {clean(table.attrs["last"])}; '
        "the grey tick is the null’s mean (chance)</text>",
    ]
    across = 0.0
    for name, title in titles.items():
        colour, mark = _SERIES[name]
        frame.parts.append(f'<path transform="translate({across + 6:.0f} 46)" d="{mark}" fill="{colour}"/>')
        frame.parts.append(f'<text x="{across + 15:.0f}" y="49.5" font-size="10.5" fill="var(--ink)">{title}</text>')
        across += 28 + 5.6 * len(title)
    floor = frame.top + frame.height
    rules = "".join(f"M{frame.at_x(value):.1f} {frame.top}V{floor}" for value in (0.0, 0.25, 0.5, 0.75, 1.0))
    frame.parts.append(f'<path d="{rules}" stroke="var(--grid)" fill="none"/>')
    for index, (pair, (_, row)) in enumerate(zip(pairs, table.iterrows(), strict=True)):
        y = frame.top + (index + 0.5) * step
        frame.parts.append(
            f'<text x="{left - 6}" y="{y}" dy=".34em" text-anchor="end" font-size="10.5" fill="var(--muted)">'
            f"{clean(pair)}</text>"
        )
        if math.isfinite(chance := float(row["chance"])):
            frame.parts.append(
                f'<path d="M{frame.at_x(chance):.1f} {y - 7}v14" stroke="var(--muted)" stroke-width="1.5" fill="none"/>'
            )
        for name in reversed(there):
            if math.isfinite(score := float(row[name])):
                colour, mark = _SERIES[name]
                frame.parts.append(
                    f'<path transform="translate({frame.at_x(score):.1f} {y})" d="{mark}" fill="{colour}"/>'
                )
    frame.axes((0.0, 0.25, 0.5, 0.75, 1.0), up=False)
    text = f"Retrieval P@1, {words.KIND_LINES[kind]}, at {table.attrs['last']}: " + "; ".join(
        f"{pair} {words.number(float(found))} (p {words.p_value(float(p))})"
        for pair, found, p in zip(pairs, table["value"], table["p"], strict=True)
    )
    width, height = left + frame.width + frame.right, floor + frame.bottom
    return svg(f"retrieval-{kind}", text, max(width, round(across), 420), height, "".join(frame.parts))
