"""The gaps along the depth by resource class, with intervals for other sentences and other languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from babelscope.gaps.contrasts import FEWEST_LANGUAGES, Scored
from babelscope.gaps.result import CURVE_COLUMNS
from babelscope.languages import RESOURCE_CLASSES, known_language
from babelscope.similarity.arrays import IntArray

_PLACE = ["kind", "point_a", "point_b"]
_AVERAGED = ("value", "null_mean", "null_q95", "chance_corrected", "calibrated", "ceiling")

#: The class of everything: every language, whether its class is known or not.
ALL = "all"


def resource_classes(languages: Sequence[str]) -> dict[str, str]:
    """Return the resource class of each language: high, medium, low, or empty if it has none.

    :attr:`babelscope.languages.Language.resource`; a code that is not in the table has none.
    """
    return {code: known.resource if (known := known_language(code)) else "" for code in languages}


def by_class(scored: Mapping[str, Scored], scores: pd.DataFrame, languages: Sequence[str]) -> pd.DataFrame:
    """Average every kind of comparison at every point over all languages, and over each resource class.

    The columns are :data:`babelscope.gaps.result.CURVE_COLUMNS`. ``low`` and ``high`` are the interval of the averaged
    ``value`` (:class:`babelscope.gaps.contrasts.Contrast`), cut where the measure's range ends, and NaN with fewer than
    3 languages and for scores with lengths regressed out; there is no ``p``.
    """
    classes = resource_classes(languages)
    rows: list[dict[str, object]] = []
    for one in scored.values():
        for group, members in _groups(one.rows, classes):
            rows.append(_row(one.rows, members, group) | _ends(one, members))
    less = scores[scores["control"] == "length_regressed"]
    for _, regressed in less.groupby("measure", sort=False):
        own = regressed.reset_index(drop=True)
        rows += [
            _row(own, members, group) | {"low": np.nan, "high": np.nan} for group, members in _groups(own, classes)
        ]
    return pd.DataFrame(rows, columns=list(CURVE_COLUMNS))


def intervals_of_means(
    scored: Mapping[str, Scored], classes: pd.DataFrame, languages: Sequence[str]
) -> tuple[pd.DataFrame, str]:
    """Return the interval of every average over all languages or pairs, and what it holds for.

    `classes` is the table of :func:`by_class`, whose group ``all`` these averages are. What the intervals hold for is
    ``other sentences and languages``; with fewer than 3 languages ``other sentences``.
    """
    if len(languages) >= FEWEST_LANGUAGES:
        return classes[(classes["group"] == ALL) & (classes["control"] == "none")], "other sentences and languages"
    rows = [
        _row(one.rows, np.asarray(place), ALL) | _ends(one, np.asarray(place), other_languages=False)
        for one in scored.values()
        for place in one.rows.groupby(_PLACE, sort=False).indices.values()
    ]
    return pd.DataFrame(rows, columns=list(CURVE_COLUMNS)), "other sentences"


def _ends(one: Scored, rows: IntArray, *, other_languages: bool = True) -> dict[str, float]:
    """Return low and high of an average, within the measure's range."""
    low, high = one.interval_of_average(rows, other_languages=other_languages)
    return {"low": low, "high": high}


def _groups(rows: pd.DataFrame, classes: Mapping[str, str]) -> list[tuple[str, IntArray]]:
    """Return (group, row numbers) of every place and class; a class of one kind of pairs is named "high-low"."""
    first, second = (rows[f"language_{side}"].map(classes).to_numpy(dtype=object) for side in "ab")
    ordered = (rows["kind"] == "cross_similarity").to_numpy()
    names = np.array(
        [_name(a, b, bool(fixed)) for a, b, fixed in zip(first, second, ordered, strict=True)], dtype=object
    )
    order = [ALL, *RESOURCE_CLASSES, *_across()]
    members: list[tuple[str, IntArray]] = []
    for place in rows.groupby(_PLACE, sort=False).indices.values():
        within = names[place]
        groups = {ALL: place} | {name: place[within == name] for name in dict.fromkeys(within) if name}
        members += [(name, np.sort(groups[name])) for name in order if name in groups]
    return members


def _across() -> list[str]:
    pairs = list(combinations(RESOURCE_CLASSES, 2))
    return [f"{a}-{b}" for pair in pairs for a, b in (pair, pair[::-1])]


def _name(a: str, b: str, ordered: bool) -> str:
    if not a or not b:
        return ""
    if a == b:
        return a
    rank = list(RESOURCE_CLASSES)
    return f"{a}-{b}" if ordered or rank.index(a) < rank.index(b) else f"{b}-{a}"


def _row(rows: pd.DataFrame, members: IntArray, group: str) -> dict[str, object]:
    averaged = rows.iloc[members]
    first = averaged.iloc[0]
    return {
        "kind": first["kind"],
        "measure": first["measure"],
        "control": first["control"],
        "point": first["point_a"],
        "against": first["point_b"],
        "stage": first["stage_a"],
        "depth": first["depth_a"],
        "group": group,
        **{name: float(averaged[name].mean(skipna=name != "ceiling")) for name in _AVERAGED},
        "p": np.nan,
        "n": float(averaged["n"].min()),
        "groups": len(averaged),
    }
