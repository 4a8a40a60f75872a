"""The gaps of a probe's vectors: the comparisons of a study, without its store, intervals and controls."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.errors import DataError, UsageError
from babelscope.gaps.comparisons import Comparison, Place, by_space, plan
from babelscope.models.base import MODALITIES
from babelscope.similarity import pairwise, parse_measure

#: The similarity of speech and text by geometry and by neighbours, and the distance of their means.
DEFAULT_MEASURES: tuple[str, ...] = ("linear_cka", "retrieval", "centroid_gap")

#: Labels of a row, and its numbers besides ``n``.
LABELS: tuple[str, ...] = ("kind", "point", "against", "language_a", "language_b", "measure")
NUMBERS: tuple[str, ...] = ("value", "null_mean", "null_q95", "chance_corrected", "calibrated", "p")


class _Read:
    """A probe's representations, as :func:`babelscope.gaps.comparisons.plan` reads them."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.name = "the probe"
        self.there = set(places)
        self.languages = tuple(dict.fromkeys(place.language for place in places))
        self._points: dict[str, tuple[str, ...]] = {
            modality: tuple(dict.fromkeys(place.point for place in places if place.modality == modality))
            for modality in MODALITIES
        }
        self.modalities = tuple(modality for modality in MODALITIES if self._points[modality])
        self.shared_points = tuple(point for point in self._points["text"] if point in self._points["speech"])

    def points(self, modality: str) -> tuple[str, ...]:
        return self._points[modality]

    def depth(self, point: str, modality: str) -> float:
        points = self._points[modality]
        return points.index(point) / max(len(points) - 1, 1)


def comparisons(places: Iterable[Place], kinds: Sequence[str]) -> list[Comparison]:
    """List the possible comparisons of a probe's representations, as of a study with ``match = "output"``."""
    read = _Read(list(places))
    possible = [comparison for comparison in plan(read, "output", kinds) if {comparison.a, comparison.b} <= read.there]
    if not possible:
        raise UsageError(
            f"the probe allows no comparison of the kinds {', '.join(kinds)}: use the same language names on both "
            "sides, or give more of them"
        )
    return possible


def gaps(
    vectors: Mapping[Place, NDArray[Any]],
    measures: Sequence[str],
    kinds: Sequence[str],
    *,
    permutations: int = 200,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return one row a comparison and measure.

    Measures that need one space (retrieval, centroid_gap) are computed where both sides are the same point. A row has
    :data:`LABELS`, n, and :data:`NUMBERS`; None where a number means nothing (a centroid gap has no null). DataError
    names a representation that holds NaN, or has other sentences than another.
    """
    planned = comparisons(vectors, kinds)
    rows: list[dict[str, Any]] = []
    for _, chosen, allowed in by_space([parse_measure(measure) for measure in measures], planned):
        fitting = [planned[at] for at in allowed]
        pairs = [(comparison.a, comparison.b) for comparison in fitting]
        compared = {place: vectors[place] for pair in pairs for place in pair}
        scores = pairwise(compared, chosen, pairs=pairs, permutations=permutations, seed=seed)
        columns = {name: np.asarray(scores[name].values) for name in (*NUMBERS, "n")}
        for row, comparison in enumerate(fitting):
            a, b = comparison.a, comparison.b
            for column, measure in enumerate(chosen):
                labels = (comparison.kind, a.point, b.point, a.language, b.language, str(measure))
                numbers = {name: finite(float(columns[name][row, column])) for name in NUMBERS}
                n = int(columns["n"][row, column])
                rows.append(dict(zip(LABELS, labels, strict=True)) | {"n": n} | numbers)
    if not rows:
        raise DataError(
            f"none of {', '.join(measures)} fits the probe: they compare vectors of one space, and no point of speech "
            "has the name of a point of text; give shared points the same name, or use linear_cka"
        )
    return rows


def finite(value: float) -> float | None:
    """Return a number as JSON holds it: None for one that is not finite."""
    return value if math.isfinite(value) else None


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the means over languages (or pairs) as scalars with names for a logger.

    ``babelscope/KIND/MEASURE/POINT``, and the same with ``/chance_corrected`` where the measure has a null. Where a
    point is compared with another, that one is not in the name.
    """
    grouped: dict[str, list[float]] = {}
    for row in rows:
        name = f"babelscope/{row['kind']}/{row['measure']}/{row['point']}"
        for key, value in ((name, row["value"]), (f"{name}/chance_corrected", row["chance_corrected"])):
            if value is not None:
                grouped.setdefault(key, []).append(value)
    return {name: float(np.mean(values)) for name, values in grouped.items()}
