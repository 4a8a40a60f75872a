"""Sentences as points: two principal axes of a layer, by language and modality."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.gaps.result import Result
from babelscope.report import charts, drawing, select
from babelscope.report.drawing import Cloud, Frame
from babelscope.report.packing import pack
from babelscope.report.told import Sentence, percent

#: Places (of one sentence in one modality and language at one point) that the page may carry.
MOST_PLACES = 70_000

#: Of many points and sentences at least so many are kept.
FEWEST_SENTENCES = 20

#: Mark of each modality: told apart without colour.
MARKS = {"text": "dot", "speech": "cross"}

#: Width and height of the plot in pixels.
WIDTH, HEIGHT, INSET = 520, 380, 10


def section(result: Result) -> dict[str, Any] | None:
    """Return the cloud of the last point and the data of the others; None where nothing was projected."""
    table = result.tables.get("projection")
    if table is None or table.empty:
        return None
    spoken, known = set(select.distinct(table["language"])), set(select.distinct(table["modality"]))
    names = [name for name in select.languages(result) if name in spoken]
    modalities = [name for name in MARKS if name in known]
    points = _in_depth(result, select.distinct(table["point"]))
    sentences = select.distinct(table["sentence"])
    if not names or not modalities:
        return None
    all_points, all_sentences = len(points), len(sentences)
    points, sentences = _thinned(points, sentences, len(names) * len(modalities))
    x, y = _places(table, points, modalities, names, sentences)
    both = [
        index for index in range(len(points)) if all(np.isfinite(x[index, m]).any() for m in range(len(modalities)))
    ]
    last = both[-1] if both else len(points) - 1
    by_language = len(names) <= len(charts.LANGUAGE_COLOURS)
    frame = _frame(x[last], y[last])
    clouds = [
        Cloud(
            f"{language}, {modality}",
            x[last, m, n].tolist(),
            y[last, m, n].tolist(),
            f"var(--language-{n})" if by_language else f"var(--language-{m})",
            MARKS[modality],
            f"{m} {n}",
        )
        for m, modality in enumerate(modalities)
        for n, language in enumerate(names)
    ]
    shares = table.drop_duplicates("point").set_index("point", drop=False)
    first = table[table["point"] == points[last]].iloc[0]
    text = (
        f"{len(sentences)} sentences in {len(names)} languages as {' and '.join(modalities)} at {points[last]}, "
        "each a point on the first two principal axes."
    )
    return {
        "picture": drawing.scatter(frame, clouds, "points-title", text, axes=False),
        "points": points,
        "first": last,
        "languages": names,
        "by_language": by_language,
        "modalities": modalities,
        "thinned": len(points) < all_points or len(sentences) < all_sentences,
        "shown": (len(points), all_points, len(sentences), all_sentences),
        "lead": [
            Sentence(
                "At {point} the first axis holds {x} of the variance and the second {y}: the picture shows that part, "
                "and no more.",
                point=points[last],
                x=percent("projection", first, "share_x"),
                y=percent("projection", first, "share_y"),
            )
        ],
        "data": {
            "points": points,
            "languages": names,
            "modalities": modalities,
            "sentences": sentences,
            "byLanguage": by_language,
            "shares": [[_rounded(shares.loc[p, "share_x"]), _rounded(shares.loc[p, "share_y"])] for p in points],
            "width": WIDTH,
            "height": HEIGHT,
            "inset": INSET,
            "x": [pack(one, 2) for one in x],
            "y": [pack(one, 2) for one in y],
        },
    }


def _rounded(value: object) -> float | None:
    number = float(str(value))
    return round(number, 4) if np.isfinite(number) else None


def _in_depth(result: Result, names: list[str]) -> list[str]:
    """Order points as the model does: speech side, then text side, each from first to last."""
    rank: dict[str, int] = {}
    for kind in ("modality_similarity", "language_similarity_speech", "language_similarity_text"):
        if kind in select.kinds(result):
            for point in select.points(result, kind):
                rank.setdefault(point.name, len(rank))
    return sorted(names, key=lambda name: rank.get(name, len(rank)))


def _thinned(points: list[str], sentences: list[str], a_sentence: int) -> tuple[list[str], list[str]]:
    """Keep as many places as the page may carry: first fewer sentences, then fewer points, evenly spread."""
    most = MOST_PLACES // max(1, a_sentence * len(points))
    if most >= len(sentences):
        return points, sentences
    if most < FEWEST_SENTENCES:
        kept = max(2, MOST_PLACES // (a_sentence * min(FEWEST_SENTENCES, len(sentences))))
        if kept < len(points):
            chosen = sorted({round(index * (len(points) - 1) / (kept - 1)) for index in range(kept)})
            points = [points[index] for index in chosen]
        most = max(1, MOST_PLACES // (a_sentence * len(points)))
    return points, sentences[:most]


def _places(
    table: pd.DataFrame, points: list[str], modalities: list[str], names: list[str], sentences: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two arrays of point, modality, language, sentence."""
    wanted = {"point": points, "modality": modalities, "language": names, "sentence": sentences}
    at = []
    keep = np.ones(len(table), dtype=bool)
    for column, order in wanted.items():
        index = select.ranks(table[column], {name: rank for rank, name in enumerate(order)})
        keep &= index >= 0
        at.append(index)
    where = tuple(index[keep] for index in at)
    shape = tuple(len(order) for order in wanted.values())
    x, y = np.full(shape, np.nan), np.full(shape, np.nan)
    x[where] = table["x"].to_numpy(dtype=float)[keep]
    y[where] = table["y"].to_numpy(dtype=float)[keep]
    return x, y


def _frame(x: NDArray[np.float64], y: NDArray[np.float64]) -> Frame:
    """Return a frame with one scale for both axes, around the middle of the cloud."""
    ends = []
    for values in (x, y):
        finite = values[np.isfinite(values)]
        ends.append((float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0))
    unit = max((ends[0][1] - ends[0][0]) / WIDTH, (ends[1][1] - ends[1][0]) / HEIGHT) * 1.04 or 1.0
    (x0, x1), (y0, y1) = (
        ((low + high - unit * room) / 2, (low + high + unit * room) / 2)
        for (low, high), room in zip(ends, (WIDTH, HEIGHT), strict=True)
    )
    frame = Frame(x=(x0, x1), y=(y0, y1), width=WIDTH, height=HEIGHT, left=INSET, top=INSET, right=INSET, bottom=INSET)
    frame.parts.append(
        f'<rect x="1" y="1" width="{WIDTH + 2 * INSET - 2}" height="{HEIGHT + 2 * INSET - 2}" fill="none" '
        'stroke="var(--line)"/>'
    )
    return frame
