"""From a probe's vectors to its gaps: the comparisons of a study, without its store, intervals and controls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.gaps.comparisons import Comparison, Place
from babelscope.gaps.result import KINDS
from babelscope.similarity import pairwise, parse_measure

#: Of one probe: how alike speech and text are, by geometry and by neighbours, and how far apart their means lie.
DEFAULT_MEASURES: tuple[str, ...] = ("linear_cka", "retrieval", "centroid_gap")

#: Numbers of a row, beside its labels.
NUMBERS: tuple[str, ...] = ("value", "null_mean", "null_q95", "calibrated", "p")


def comparisons(places: Sequence[Place], kinds: Sequence[str]) -> list[Comparison]:
    """List what a probe's representations allow.

    Speech is held against text at the points that both have, and at others against the text side's last point, as in a
    study with ``match = "output"``.

    Parameters
    ----------
    places : sequence of Place
        The points of a modality in their order.
    kinds : sequence of str
        Of :data:`~babelscope.gaps.KINDS`.

    Raises
    ------
    UsageError
        If nothing can be compared.
    """
    languages = list(dict.fromkeys(place.language for place in places))
    points = {
        modality: list(dict.fromkeys(place.point for place in places if place.modality == modality))
        for modality in ("speech", "text")
    }
    there = set(places)
    found: list[Comparison] = []
    if "modality_gap" in kinds and points["text"]:
        for point in points["speech"]:
            against = point if point in points["text"] else points["text"][-1]
            found += [
                Comparison("modality_gap", Place("speech", point, language), Place("text", against, language))
                for language in languages
            ]
    for modality in ("text", "speech"):
        kind = "language_gap_text" if modality == "text" else "language_gap_speech"
        if kind in kinds:
            for point in points[modality]:
                found += [
                    Comparison(kind, Place(modality, point, first), Place(modality, point, second))  # type: ignore[arg-type]
                    for first, second in combinations(languages, 2)
                ]
    found = [one for one in found if {one.a, one.b} <= there]
    if not found:
        raise UsageError(
            f"the probe allows no comparison of the kinds {', '.join(kinds)}: it has "
            f"{', '.join(f'{len(names)} {modality} points' for modality, names in points.items())} in "
            f"{len(languages)} languages"
        )
    return found


def checked_kinds(kinds: Sequence[str]) -> list[str]:
    """Return the kinds, or raise UsageError for an unknown one."""
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"kinds: {kind!r} is unknown; {did_you_mean(kind, KINDS)}")
    return list(kinds)


def gaps(
    vectors: Mapping[Place, NDArray[Any]],
    measures: Sequence[str],
    kinds: Sequence[str],
    *,
    permutations: int = 200,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return one row a comparison and measure.

    Measures of one space (retrieval, centroid_gap) are taken where both sides are the same point.

    Returns
    -------
    list of dict
        kind, point, against, language_a, language_b, measure, n, and :data:`NUMBERS`; None where a number means
        nothing (a centroid gap has no null).

    Raises
    ------
    DataError
        If a representation holds NaN, or two sides have not the same sentences; it is named.
    """
    planned = comparisons(list(vectors), kinds)
    rows: list[dict[str, Any]] = []
    for same_space in (False, True):
        chosen = [measure for measure in measures if parse_measure(measure).same_space is same_space]
        fitting = [one for one in planned if one.same_space or not same_space]
        if not chosen or not fitting:
            continue
        pairs = [(one.a, one.b) for one in fitting]
        found = pairwise(
            {place: vectors[place] for pair in pairs for place in pair},
            chosen,
            pairs=pairs,
            permutations=permutations,
            seed=seed,
        )
        columns = {name: np.asarray(found[name].values) for name in (*NUMBERS, "n")}
        for row, one in enumerate(fitting):
            rows += [
                {
                    "kind": one.kind,
                    "point": one.a.point,
                    "against": one.b.point,
                    "language_a": one.a.language,
                    "language_b": one.b.language,
                    "measure": measure,
                    "n": int(columns["n"][row, column]),
                    **{name: _number(columns[name][row, column]) for name in NUMBERS},
                }
                for column, measure in enumerate(chosen)
            ]
    if not rows:
        raise DataError(
            f"none of {', '.join(measures)} fits the probe: they compare vectors of one space, and no point of speech "
            "bears the name of a point of text; name shared points alike, or take linear_cka"
        )
    return rows


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the means over languages (or pairs) as scalars with names for a logger.

    ``babelscope/KIND/MEASURE/POINT``, and the same with ``/calibrated`` where the measure has a null. Where a point is
    held against another, that one is not in the name.
    """
    grouped: dict[str, list[float]] = {}
    for row in rows:
        name = f"babelscope/{row['kind']}/{row['measure']}/{row['point']}"
        for key, value in ((name, row["value"]), (f"{name}/calibrated", row["calibrated"])):
            if value is not None:
                grouped.setdefault(key, []).append(value)
    return {name: float(np.mean(values)) for name, values in grouped.items()}
