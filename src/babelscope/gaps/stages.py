"""The way of speech through a model: its points in order, the text point that each is compared with, and its stages."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import pandas as pd

from babelscope.capture.store import Activations
from babelscope.gaps.pairing import shown_points
from babelscope.stages import Stage


class Stop(NamedTuple):
    """A speech point, and the text point that it is compared with."""

    point: str
    against: str
    stage: str
    depth: float


def way(activations: Activations, scores: pd.DataFrame) -> list[Stop]:
    """Return the speech points at which speech and text are compared, in the order of depth.

    A point that both sides share is compared with itself, any other with the deepest text point that the scores
    compare it with.

    Parameters
    ----------
    activations : Activations
    scores : DataFrame
        Columns :data:`babelscope.gaps.result.SCORE_COLUMNS`.
    """
    rows = scores[(scores["kind"] == "modality_similarity") & (scores["control"] == "none")]
    shown = shown_points(rows)
    return [
        Stop(point, shown[point], str(activations.stage(point, "speech")), activations.depth(point, "speech"))
        for point in activations.points("speech")
        if point in shown
    ]


def behind_front_end(stops: list[Stop]) -> list[Stop]:
    """Return the stops behind the modality-specific front end; all, if there are no others."""
    return [stop for stop in stops if stop.stage != Stage.FRONT_END] or stops


def ends(stops: list[Stop]) -> list[Stop]:
    """Return the last stop of every stage, in order."""
    return [stop for at, stop in enumerate(stops) if at + 1 == len(stops) or stops[at + 1].stage != stop.stage]


def by_stage(stops: list[Stop]) -> list[list[Stop]]:
    """Return the stops of every stage, in order."""
    return [list(group) for _, group in groupby(stops, key=lambda stop: stop.stage)]


def around_adaptation(activations: Activations, stops: list[Stop]) -> tuple[Stop, Stop] | None:
    """Return the stops before and behind length adaptation; None without one.

    Behind is the last stop of the stage. Before is the last that still has as many positions as the stage began with (a
    model may name the stage's input as a point of it), or the one before the stage where no point of it has.
    """
    inside = [index for index, stop in enumerate(stops) if stop.stage == Stage.LENGTH_ADAPTATION]
    if not inside or (inside[0] == 0 and len(inside) == 1):
        return None
    counted = [_positions(activations, stop.point) for stop in stops]
    last = inside[-1]
    start = max(inside[0] - 1, 0)
    same = [index for index in range(start, last) if counted[index] == counted[start]]
    before = same[-1] if counted[last] != counted[start] else start
    return stops[before], stops[last]


def _positions(activations: Activations, point: str) -> list[int]:
    held = activations.positions("speech", activations.languages[0])
    at = activations.dataset["point"].values.tolist()
    names = activations.dataset["point_modality"].values.tolist()
    row = next(
        index
        for index, (name, modality) in enumerate(zip(at, names, strict=True))
        if name == point and modality in ("speech", "both")
    )
    return [int(value) for value in held[row]]
