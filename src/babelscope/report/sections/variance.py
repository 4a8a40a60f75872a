"""What the variance of a layer is made of, along the depth; and how far apart the centres lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.result import GAPS, Result
from babelscope.report import drawing, select, words
from babelscope.report.drawing import Frame, Line
from babelscope.report.told import Sentence, joined, percent, tell

#: Components in the order in which they are stacked: name, what a reader calls it, colour.
COMPONENTS: tuple[tuple[str, str, str], ...] = (
    ("sentence", "meaning (sentence)", "var(--language-0)"),
    ("sentence:language", "sentence × language", "var(--language-5)"),
    ("sentence:modality", "sentence × modality", "var(--language-2)"),
    ("language", "language", "var(--language-4)"),
    ("language:modality", "language × modality", "var(--language-3)"),
    ("modality", "modality", "var(--language-1)"),
    ("rest", "rest", "var(--stage-odd)"),
)
PARTS: dict[str, str] = {"all": "Speech and text together", "text": "Text alone", "speech": "Speech alone"}

#: More lines than this in one plot of distances are not drawn.
MOST_LINES = 120


def section(result: Result) -> dict[str, Any] | None:
    """Return one picture a part, with its numbers and leading sentences; None where nothing was decomposed."""
    table = result.tables.get("decomposition")
    if table is None or table.empty:
        return None
    parts = []
    for part, title in PARTS.items():
        rows = table[table["part"] == part]
        if len(rows):
            parts.append(_part(part, title, rows))
    if not parts:
        return None
    used = {name for one in parts for name in one["components"]}
    return {
        "parts": parts,
        "key": [{"name": title, "colour": colour} for name, title, colour in COMPONENTS if name in used],
        "convention": str(table["convention"].iloc[0]),
        "lead": [sentence for one in parts[:1] for sentence in one["lead"]],
        "negative": bool((table["share"] < 0).any()),
    }


def _part(part: str, title: str, rows: pd.DataFrame) -> dict[str, Any]:
    along = rows.drop_duplicates("point").sort_values("depth", kind="stable")
    names = [str(name) for name in along["point"]]
    depth = [float(value) for value in along["depth"]]
    shares = rows.pivot_table(index="point", columns="component", values="share", observed=True).reindex(names)
    shown = [(name, text, colour) for name, text, colour in COMPONENTS if name in shares]
    last = names[-1]
    text = f"{title}: shares of the variance along the depth. At {last}: " + "; ".join(
        f"{text} {words.number(100 * float(shares[name].iloc[-1]), 0)} %" for name, text, _ in shown
    )
    frame = Frame(
        x=(min(depth), max(depth)) if len(depth) > 1 else (0.0, 1.0),
        y=(0.0, max(1.0, float(np.nansum(np.clip(shares.to_numpy(dtype=float), 0, None), axis=1).max()))),
        width=300, height=190, left=46, right=8, percent=True, x_title="depth",
    )  # fmt: skip
    layers = [(text, colour, shares[name].tolist()) for name, text, colour in shown]
    picture = drawing.stacked(frame, depth, layers, f"decomposition-{part}-title", text)
    numbers = []
    for name, row in zip(names, along.to_dict("records"), strict=True):
        cells = []
        for component, _, _ in shown:
            found = rows[(rows["point"] == name) & (rows["component"] == component)]
            cells.append(_share(found.iloc[0]) if len(found) else None)
        numbers.append({"point": name, "depth": row["depth"], "stage": row["stage"], "cells": cells})
    return {
        "part": part,
        "title": title,
        "picture": picture,
        "components": [name for name, _, _ in shown],
        "titles": [text for _, text, _ in shown],
        "numbers": numbers,
        "n": int(rows["n"].max()) if rows["n"].notna().any() else None,
        "lead": joined(_lead(rows, last)) if part == "all" else joined(_meaning(rows, last, title)),
        "data": {
            "points": names,
            "depth": depth,
            "names": [text for _, text, _ in shown],
            "shares": [[round(float(v), 4) if np.isfinite(v) else None for v in shares[name]] for name, _, _ in shown],
            "frame": {"left": frame.left, "top": frame.top, "width": frame.width, "height": frame.height, "x": frame.x},
        },
    }


def _share(row: pd.Series[Any]) -> dict[str, Any]:
    interval = np.isfinite(float(row["low"])) and np.isfinite(float(row["high"]))
    return {
        "share": words.number(float(row["share"]), 3),
        "low": words.number(float(row["low"]), 3) if interval else "",
        "high": words.number(float(row["high"]), 3) if interval else "",
    }


def _at(rows: pd.DataFrame, point: str, component: str) -> pd.Series[Any] | None:
    found = rows[(rows["point"] == point) & (rows["component"] == component) & rows["share"].notna()]
    return found.iloc[0] if len(found) else None


def _lead(rows: pd.DataFrame, last: str) -> list[Sentence | None]:
    meaning, language, modality = (_at(rows, last, name) for name in ("sentence", "language", "modality"))
    if meaning is None or language is None or modality is None:
        return _meaning(rows, last, "")
    told = Sentence(
        "At {point} {meaning} of the variance is meaning, common to a sentence in all languages and both modalities; "
        "{language} tells languages apart, {modality} tells speech from text.",
        point=last,
        meaning=percent("decomposition", meaning, "share"),
        language=percent("decomposition", language, "share"),
        modality=percent("decomposition", modality, "share"),
    )
    return [told, *_most(rows)]


def _meaning(rows: pd.DataFrame, last: str, title: str) -> list[Sentence | None]:
    meaning = _at(rows, last, "sentence")
    if meaning is None:
        return []
    return [
        Sentence(
            "{title}: at {point} {meaning} of the variance is meaning.",
            title=title,
            point=last,
            meaning=percent("decomposition", meaning, "share"),
        )
    ]


def _most(rows: pd.DataFrame) -> list[Sentence | None]:
    meaning = rows[(rows["component"] == "sentence") & rows["share"].notna()]
    if len(meaning) < 2:
        return []
    best = select.highest(meaning, "share")
    return [
        Sentence(
            "Meaning takes its largest share at {point} ({share}).",
            point=str(best["point"]),
            share=percent("decomposition", best, "share"),
        )
    ]


def centroids(result: Result) -> dict[str, Any] | None:
    """Return the distances between centres along the depth, one panel a kind; None where there are none."""
    table = result.tables.get("centroids")
    if table is None or table.empty:
        return None
    panels, crowded = [], []
    top = float(table["distance"].max())
    for kind, title in words.GAP_TITLES.items():
        rows = table[(table["kind"] == kind) & table["distance"].notna()]
        if rows.empty:
            continue
        groups = rows.groupby(["language_a", "language_b"], sort=False, observed=True)
        if groups.ngroups > MOST_LINES:
            crowded.append(title)
            continue
        drawn = []
        for index, (_, part) in enumerate(groups):
            part = part.sort_values("depth", kind="stable")
            a, b = str(part["language_a"].iloc[0]), str(part["language_b"].iloc[0])
            few = kind == "modality_gap" and groups.ngroups <= 7
            drawn.append(
                Line(
                    a if kind == "modality_gap" else f"{a}–{b}",
                    part["depth"].tolist(),
                    part["distance"].tolist(),
                    f"var(--language-{index})" if few else "var(--thin)",
                    1.6 if few else 1.0,
                    label=few,
                )
            )
        low, high = select.lowest(rows, "distance"), select.highest(rows, "distance")
        lead = Sentence(
            "{title}: the centres lie {low} apart at the least ({point}) and {high} at the most ({other}).",
            title=title, low=tell("centroids", low, "distance"), high=tell("centroids", high, "distance"),
            point=str(low["point"]), other=str(high["point"]),
        )  # fmt: skip
        frame = Frame(y=(0.0, top * 1.04), width=280, height=170, left=44, right=44, x_title="depth")
        picture = drawing.lines(frame, drawn, f"centroids-{kind}-title", str(lead))
        panels.append(
            {"kind": kind, "title": title, "line": words.KIND_LINES[GAPS[kind]], "picture": picture, "lead": lead}
        )
    return {"panels": panels, "crowded": crowded} if panels or crowded else None
