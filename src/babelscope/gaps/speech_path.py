"""The path of speech through a model: its points in order, the text point of each, and its stages."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import pandas as pd

from babelscope.capture.store import Activations
from babelscope.gaps.pairing import shown_points
from babelscope.stages import Stage


class PathPoint(NamedTuple):
    """A speech point, and the text point that it is compared with."""

    point: str
    against: str
    stage: str
    depth: float


def speech_path(activations: Activations, scores: pd.DataFrame) -> list[PathPoint]:
    """Return the speech points at which speech and text are compared, in the order of depth.

    A point that both sides share is compared with itself, any other with the deepest text point that the scores compare
    it with.
    """
    rows = scores[(scores["kind"] == "modality_similarity") & (scores["control"] == "none")]
    shown = shown_points(rows)
    return [
        PathPoint(point, shown[point], str(activations.stage(point, "speech")), activations.depth(point, "speech"))
        for point in activations.points("speech")
        if point in shown
    ]


def after_front_end(path: list[PathPoint]) -> list[PathPoint]:
    """Return the points after the modality-specific front end; all, if there are no others."""
    return [point for point in path if point.stage != Stage.FRONT_END] or path


def ends(path: list[PathPoint]) -> list[PathPoint]:
    """Return the last point of every stage, in order."""
    return [point for at, point in enumerate(path) if at + 1 == len(path) or path[at + 1].stage != point.stage]


def by_stage(path: list[PathPoint]) -> list[list[PathPoint]]:
    """Return the points of every stage, in order."""
    return [list(group) for _, group in groupby(path, key=lambda point: point.stage)]


def around_adaptation(activations: Activations, path: list[PathPoint]) -> tuple[PathPoint, PathPoint] | None:
    """Return the points before and after length adaptation; None without one.

    After is the last point of the stage. Before is the last that still has as many positions as the stage began with (a
    model may name the stage's input as a point of it), or the one before the stage where no point of it has.
    """
    inside = [index for index, point in enumerate(path) if point.stage == Stage.LENGTH_ADAPTATION]
    if not inside or (inside[0] == 0 and len(inside) == 1):
        return None
    counted = [_positions(activations, point.point) for point in path]
    last = inside[-1]
    start = max(inside[0] - 1, 0)
    same = [index for index in range(start, last) if counted[index] == counted[start]]
    before = same[-1] if counted[last] != counted[start] else start
    return path[before], path[last]


def _positions(activations: Activations, point: str) -> list[int]:
    positions = activations.positions("speech", activations.languages[0])
    points = activations.dataset["point"].values.tolist()
    names = activations.dataset["point_modality"].values.tolist()
    row = next(
        index
        for index, (name, modality) in enumerate(zip(points, names, strict=True))
        if name == point and modality in ("speech", "both")
    )
    return [int(value) for value in positions[row]]
