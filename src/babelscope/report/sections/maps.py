"""Languages by languages at a layer that a slider chooses, and languages by layers for the modality similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.gaps.result import Result
from babelscope.report import charts, drawing, select, words
from babelscope.report.packing import pack
from babelscope.report.told import Sentence, joined, tell

#: Characters of packed cells that the page may carry; what does not fit is left to scores.parquet, and the page says
#: so.
BUDGET = 2_600_000

#: What is packed of each cell, the most wanted first.
QUANTITIES = ("value", "chance_corrected", "p", "null_mean")

#: The quantities that can be painted, and what a reader calls them.
PAINTED = {"value": "raw", "chance_corrected": "chance-corrected"}


def section(result: Result) -> dict[str, Any] | None:
    """Return the maps as first drawn, and the data with which the script redraws them; None where there is no map."""
    names = select.languages(result)
    there = select.kinds(result)
    shown = {modality: kind for modality, kind in select.MAP_KINDS.items() if kind in there}
    leading = select.leading_measure(result)
    if leading is None or not names or not shown:
        return None
    packed, partial = _carried(result, shown, leading)
    ordered = [name for name in select.measures(result) if (name, "none") in packed]
    if leading not in ordered:
        return None
    domains = {name: charts.value_domain(result, "text", name) for name in ordered}
    maps = [one for modality in shown if (one := _first(result, modality, leading, domains[leading]))]
    orders = select.orders(result)
    return {
        "maps": maps,
        "measures": [{"name": name, "title": words.measure_title(name)} for name in ordered],
        "leading": leading,
        "domain": domains[leading],
        "controls": {
            name: words.CONTROL_TITLES[name]
            for name in ("none", "length_regressed")
            if any(key[1] == name for key in packed)
        },
        "orders": list(orders),
        "quantities": [name for name in PAINTED if all(name in one for one in packed[leading, "none"].values() if one)],
        "partial": partial,
        "numbers": len(names) <= charts.MOST_NUMBERS,
        "lead": joined(_lead(result, modality, leading) for modality in shown),
        "data": {
            "languages": names,
            "names": [select.traits(result, name).get("name", name) for name in names],
            "ramp": list(drawing.ramp()),
            "dark": drawing.DARK_INK_FROM,
            "order": [select.measures(result).index(name) for name in ordered],
            "numbers": len(names) <= charts.MOST_NUMBERS,
            "domains": domains,
            "orders": {name: {"order": order, "groups": groups} for name, (order, groups) in orders.items()},
            "maps": {
                one["modality"]: {
                    "points": [[p.name, p.stage, round(p.depth, 4)] for p in select.points(result, one["kind"])],
                    "kind": one["kind"],
                    "shape": one["shape"].as_dict(),
                    "numbers": one["numbers"],
                }
                for one in maps
            },
            "cells": {f"{measure} {control}": entry for (measure, control), entry in packed.items()},
        },
    }


def _carried(
    result: Result, shown: dict[str, str], leading: str
) -> tuple[dict[tuple[str, str], dict[str, dict[str, Any]]], bool]:
    """Pack as much as the page may carry: the leading measure first, of each what is painted first."""
    wanted = [
        (measure, control)
        for measure in [leading, *(name for name in select.measures(result) if name != leading)]
        for control in ("none", "length_regressed")
        if len(select.rows(result.scores, measure=measure, control=control))
    ]
    size = len(select.languages(result))
    cells = sum(len(select.points(result, kind)) * _pairs(modality, size) for modality, kind in shown.items())
    digits = 3 if cells * len(wanted) * len(QUANTITIES) * 3 <= BUDGET else 2
    left, partial = BUDGET, False
    packed: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for key in wanted:
        for quantity in QUANTITIES:
            if cells * digits > left or (quantity != "value" and key not in packed):
                partial = True
                continue
            for modality in shown:
                found = pack(_half(select.cells(result, modality, *key, (quantity,))[quantity], modality), digits)
                if found is not None:
                    packed.setdefault(key, {one: {} for one in shown})[modality][quantity] = found
                    left -= len(found["cells"])
    return packed, partial


def _pairs(modality: str, size: int) -> int:
    return (dict.fromkeys(select.ALONG, size) | {"cross": size * size}).get(modality, size * (size - 1) // 2)


def _half(cells: NDArray[np.float64], modality: str) -> NDArray[np.float64]:
    """Return what is packed, point after point: of two mirrored halves the upper; of text and speech the diagonal."""
    if modality == "cross":
        return cells
    size = cells.shape[-1]
    upper = np.triu_indices(size, 1) if modality not in select.ALONG else (np.arange(size), np.arange(size))
    return cells[:, upper[0], upper[1]]


def _first(result: Result, modality: str, measure: str, domain: tuple[float, float]) -> dict[str, Any] | None:
    kind = select.MAP_KINDS[modality]
    names = select.languages(result)
    points = select.points(result, kind)
    found = select.cells(result, modality, measure, "none", ("value", "p"))
    along = modality in select.ALONG
    if along:
        diagonal = np.arange(len(names))
        values, p = (found[name][:, diagonal, diagonal].T for name in ("value", "p"))
        columns = [point.name for point in points]
        cell = max(7, min(34, 420 // len(names), 640 // len(points)))
        numbers = cell >= 30
    else:
        values, p = found["value"][-1], found["p"][-1]
        columns = names
        cell = max(7, min(46, 400 // len(names)))
        numbers = len(names) <= charts.MOST_NUMBERS
    if not np.isfinite(values).any():
        return None
    texts = [[_text(v, q) for v, q in zip(row, ps, strict=True)] for row, ps in zip(values, p, strict=True)]
    title = words.MAP_TITLES[modality]
    finite = values[np.isfinite(values)]
    text = (
        f"{title}, {words.measure_title(measure)}{'' if along else f', at {points[-1].name}'}: "
        f"values from {words.number(float(finite.min()))} to {words.number(float(finite.max()))}."
    )
    picture, shape = drawing.grid(
        drawing.levels_of(values, domain), names, columns, f"map-{modality}-title", text,
        cell=cell, texts=texts if numbers else None, room=_longest_group(result), turned=True if along else None,
    )  # fmt: skip
    mean = select.rows(select.mean_of(select.curve(result, kind, measure)), point=points[-1].name)
    return {
        "modality": modality,
        "kind": kind,
        "title": title,
        "along": along,
        "last": points[-1],
        "count": len(points),
        "picture": picture,
        "shape": shape,
        "numbers": numbers,
        "null_mean": mean["null_mean"].iloc[0] if len(mean) else None,
        "null_q95": mean["null_q95"].iloc[0] if len(mean) else None,
    }


def _longest_group(result: Result) -> int:
    """Return the length of the longest name of a group in any order: room for it is kept at the right."""
    return max((len(label) for _, runs in select.orders(result).values() for label, _, _ in runs), default=0)


def _text(value: float, p: float) -> str:
    if not np.isfinite(value):
        return ""
    text = words.number(float(value))
    return f"({text})" if p > 0.05 else text


def _lead(result: Result, modality: str, measure: str) -> Sentence | None:
    """Name the pairs with the highest and the lowest score at the last point."""
    if modality in select.ALONG:
        return None
    kind = select.MAP_KINDS[modality]
    last = select.points(result, kind)[-1].name
    part = select.rows(result.scores, kind=kind, measure=measure, control="none", point_a=last)
    part = part[part["value"].notna()]
    if len(part) < 2:
        return None
    high, low = select.highest(part, "value"), select.lowest(part, "value")
    return Sentence(
        "{what} at {point}: {measure} is highest for {a} and {b} ({high}) and lowest for {c} and {d} ({low}); the "
        "order was not tested.",
        what=words.MAP_TITLES[modality], point=last, measure=words.measure_title(measure),
        a=str(high["language_a"]), b=str(high["language_b"]), high=tell("scores", high, "value"),
        c=str(low["language_a"]), d=str(low["language_b"]), low=tell("scores", low, "value"),
    )  # fmt: skip
