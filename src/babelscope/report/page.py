"""The report that people open: one HTML file that needs nothing else, and the figures beside it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from babelscope.cache import write_atomically
from babelscope.gaps.result import CONTROLS, Result
from babelscope.report import charts, select, svg, words

#: Size of one panel's plot, and the room around it, in pixels; equal for all so that they line up.
PANEL = {"width": 296, "height": 176}
PADDING = {"left": 38, "top": 8, "right": 10, "bottom": 53}

#: Steps of the heat maps' colour ramp.
LEVELS = 64

#: Characters of heat-map data that the page may carry; what does not fit is left to scores.parquet, and the page says
#: so.
HEAT_BUDGET = 2_000_000

#: Rows of one retrieval table before it is cut to the pairs with one language.
RETRIEVAL_ROWS = 40

#: Numbers of the mean curves are also written as a table up to this many points.
TABLE_POINTS = 80

# viridis (Smith and van der Walt 2015) at nine even steps.
_VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TEXTUAL = (
    "model",
    "kind",
    "point_a",
    "stage_a",
    "language_a",
    "point_b",
    "language_b",
    "measure",
    "control",
    "convention",
)


def write_report(result: Result, folder: Path | str, *, figures: bool = True) -> Path:
    """Write ``report.html`` into `folder`, and the figures into ``figures/`` below it.

    The page holds all that it shows: it loads nothing, from the network or from the folder. What the result's ``meta``
    lacks is left out.

    Parameters
    ----------
    result : Result
        What a study found.
    folder : Path
        Made if need be. Tables of the result that stand there already are linked.
    figures : bool
        Whether to write every figure as SVG and PNG too.

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    folder = Path(folder)
    lean = _lean(result)
    drawn = write_figures(lean, folder / "figures") if figures else []
    beside = [folder / name for name in ("scores.parquet", "scores.csv", "curves.csv", "result.json")]
    linked = [path.relative_to(folder).as_posix() for path in [*beside, *drawn] if path.is_file()]
    page = render(lean, linked)
    return write_atomically(folder / "report.html", lambda path: path.write_text(page, encoding="utf-8", newline="\n"))


def write_figures(result: Result, folder: Path | str) -> list[Path]:
    """Write every figure as SVG and PNG: ``layer_curves.KIND``, ``heat_map.MODALITY`` and ``retrieval.KIND``.

    Parameters
    ----------
    result : Result
        What a study found.
    folder : Path
        Made if need be.

    Returns
    -------
    list of Path
        The files, in a fixed order. A figure for which the result holds nothing is left out.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    folder = Path(folder)
    written: list[Path] = []
    there = select.kinds(result)
    for kind in there:
        written += svg.write_figure(charts.layer_curves(result, kind), folder / f"layer_curves.{kind}")
    measure = select.leading_measure(result)
    for modality, kind in select.MAP_KINDS.items():
        if modality != "text-speech" and kind in there and measure and _has_cells(result, modality, measure):
            written += svg.write_figure(
                charts.heat_map(result, modality, measure=measure), folder / f"heat_map.{modality}"
            )
    for kind in there:
        if not select.retrieval_rows(result, kind).empty:
            written += svg.write_figure(charts.retrieval_chart(result, kind), folder / f"retrieval.{kind}")
    return written


def render(result: Result, files: Sequence[str] = ()) -> str:
    """Return the page as HTML text.

    Parameters
    ----------
    result : Result
        What a study found.
    files : sequence of str
        Files to link, relative to the page.
    """
    result = _lean(result)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("babelscope.report", "template"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.ChainableUndefined,
    )
    environment.filters |= {"number": words.number, "p": words.p_value, "span": words.span, "listed": words.listed}
    template = resources.files("babelscope.report") / "template"
    script = (template / "report.js").read_text(encoding="utf-8")
    style = (template / "report.css").read_text(encoding="utf-8") + _ramp_css()
    heat = _heat(result)
    return environment.get_template("report.html.j2").render(
        **_told(result.meta),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        name=_title(result),
        created=_date(result),
        kinds={
            kind: {"title": words.KIND_TITLES[kind], "line": words.KIND_LINES[kind]} for kind in select.kinds(result)
        },
        languages=select.languages(result),
        colours=len(charts.LANGUAGE_COLOURS),
        sentences=_sentences(result),
        sides=_sides(result),
        partner=_partner(result),
        methods=_methods(result),
        measures=_measures(result),
        interval=bool(select.rows(result.curves, group="mean", control="none")["low"].notna().any()),
        regressed="length_regressed" in set(result.curves["control"]),
        heat=heat,
        retrieval=_retrieval(result),
        retrieval_measure=select.retrieval_measure(result),
        controls={name: text for name, text in CONTROLS.items() if name in set(result.scores["control"])},
        control_titles=words.CONTROL_TITLES,
        provenance=_provenance(result),
        files=files,
        data=_script_json({"curves": _curve_data(result), "heat": heat["data"] if heat else None}),
    )


def _script_json(value: object) -> Markup:
    """Return JSON that can stand in a ``<script>``: without a character that could end it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704 - escaped here


def _told(meta: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of ``meta`` that the page tells, each of the type that the template expects, or empty."""
    sections = {
        name: {key: one for key, one in _pairs(meta.get(name)) if one is not None}
        for name in ("study", "model", "corpus", "options")
    }
    caveats = [one for one in _items(meta.get("caveats")) if isinstance(one, dict)]
    return {**sections, "headline": [str(one) for one in _items(meta.get("headline"))], "caveats": caveats}


def _lean(result: Result) -> Result:
    """Make a large result quick to select from: texts as categories, and no curves that are too many to be drawn."""

    def leaner(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        there = [name for name in columns if name in frame and not isinstance(frame[name].dtype, pd.CategoricalDtype)]
        return frame.assign(**{name: frame[name].astype("category") for name in there}) if there else frame

    curves = leaner(result.curves, ("kind", "measure", "control", "point", "against", "stage", "group"))
    crowded = [kind for kind in select.kinds(result) if len(select.groups(result, kind)) > charts.MOST_LINES]
    if crowded:
        curves = curves[~curves["kind"].isin(crowded) | (curves["group"] == "mean")].reset_index(drop=True)
    return dataclasses.replace(result, scores=leaner(result.scores, _TEXTUAL), curves=curves)


def _has_cells(result: Result, modality: str, measure: str) -> bool:
    cells = select.cells(result, modality, measure)["value"]
    return bool(cells.shape[0]) and bool(np.isfinite(cells[-1]).any())


# -- what was run ----------------------------------------------------------------------------------


def _title(result: Result) -> str:
    for name in (_get(result.meta, "study", "name"), _get(result.meta, "model", "name")):
        if name:
            return str(name)
    return "babelscope study"


def _get(meta: Any, *keys: str) -> Any:
    for key in keys:
        meta = meta.get(key) if isinstance(meta, dict) else None
    return meta


def _date(result: Result) -> str:
    created = str(_get(result.meta, "study", "created") or "")
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    zone = {None: "", "UTC": " UTC"}.get(moment.tzname(), f" {moment:%z}")
    return f"{moment:%Y-%m-%d %H:%M}{zone}" if len(created) > 10 else created


def _sentences(result: Result) -> int | None:
    named = _get(result.meta, "corpus", "n")
    if isinstance(named, int):
        return named
    counts = result.curves["n"].dropna()
    return int(counts.max()) if len(counts) else None


def _sides(result: Result) -> list[dict[str, Any]]:
    """Return each side of the model with the stretch of depth that every stage takes."""
    sides = []
    for side in _items(_get(result.meta, "model", "sides")):
        points = [point for point in _items(_get(side, "points")) if isinstance(point, dict)]
        stages: dict[str, list[Any]] = {}
        for point in points:
            stages.setdefault(str(point.get("stage", "")), []).append(point)
        sides.append(
            {
                "modality": _get(side, "modality"),
                "family": _get(side, "family"),
                "count": len(points),
                "first": points[0].get("name") if points else None,
                "last": points[-1].get("name") if points else None,
                "stages": [
                    {
                        "name": name,
                        "first": found[0].get("name"),
                        "last": found[-1].get("name"),
                        "from": found[0].get("depth"),
                        "to": found[-1].get("depth"),
                    }
                    for name, found in stages.items()
                ],
                "widths": select.in_order(point.get("width") for point in points),
            }
        )
    return sides


def _partner(result: Result) -> str | None:
    """Return the one text point that every speech point is compared with, if there is one."""
    faced = select.facing(result)
    return next(iter(faced.values())) if len(faced) > 1 and len(set(faced.values())) == 1 else None


def _methods(result: Result) -> list[str]:
    """Return the methods paragraph, one item a sentence, from what the provenance says and nothing else."""
    parts = _told(result.meta)
    corpus, options = parts["corpus"], parts["options"]
    told = []
    if n := _sentences(result):
        names = select.languages(result)
        data = corpus.get("title") or corpus.get("name")
        where = (
            f" in {len(names)} language{'' if len(names) == 1 else 's'} ({words.listed(names, 40)})" if names else ""
        )
        source = f" of the corpus {data}" if data else ""
        told.append(f"{n} sentences{where}{source} went through {parts['model'].get('name', 'the model')}.")
        told.append("Every language has the same sentences.")
    if pooling := options.get("pooling"):
        told.append(
            f"At each point an utterance's activations were pooled to one vector over its valid positions ({pooling})."
        )
    if window := options.get("window_seconds"):
        told.append(f"Speech entered in windows of {window} s.")
    told.append("In every comparison rows are sentences and columns are features.")
    if match := options.get("match_text") or options.get("match"):
        told.append(f"For the modality gap the points were matched so: {match}.")
    if partner := _partner(result):
        told.append(f"Shown here is every speech point against {partner}.")
    if null := options.get("null"):
        told.append(f"The null: {null}.")
    if permutations := options.get("permutations"):
        told.append(f"Permuted nulls rest on {permutations} permutations of one side's sentences.")
    if interval := options.get("interval"):
        told.append(f"Intervals: {interval}.")
    if "seed" in options:
        told.append(f"The seed was {options['seed']}.")
    return told


# -- layer curves ----------------------------------------------------------------------------------


def _measures(result: Result) -> list[dict[str, Any]]:
    found = []
    kinds = select.kinds(result)
    for index, measure in enumerate(select.measures(result)):
        panels = []
        for kind in kinds:
            mean = select.mean_of(select.curve(result, kind, measure))
            panel: dict[str, Any] = {"kind": kind, "id": f"panel-{index}-{kind}", "measure": index, "svg": None}
            if mean["value"].notna().any():
                chart = charts.layer_curves(
                    result, kind, measure, legend=False, width=PANEL["width"], height=PANEL["height"]
                )
                picture = svg.for_page(chart, f"{panel['id']}-title", PADDING)
                panel["svg"] = Markup(picture)  # noqa: S704 - rebuilt from allowed elements
                panel["saturation"] = select.saturation(result, kind, measure)
                panel["groups"] = int(mean["groups"].max())
                panel["drawn"] = panel["groups"] <= charts.MOST_LINES
                panel["null"] = bool(mean["null_mean"].notna().any())
                panel["mean"] = mean.to_dict("records") if len(mean) <= TABLE_POINTS else []
            panels.append(panel)
        conventions = (
            select.rows(result.scores, measure=measure, control="none")["convention"].drop_duplicates().dropna()
        )
        found.append(
            {
                "name": measure,
                "title": words.measure_title(measure),
                "index": index,
                "panels": panels,
                "conventions": select.in_order(conventions)[:3],
            }
        )
    return found


def _thousandths(column: pd.Series[Any] | NDArray[np.float64]) -> list[int | None]:
    return [round(float(value) * 1000) if np.isfinite(value) else None for value in np.asarray(column, dtype=float)]


def _curve_data(result: Result) -> dict[str, Any]:
    """Return the numbers behind the panels, for the readout, in thousandths."""
    known = select.languages(result)
    kinds: dict[str, dict[str, Any]] = {}
    for kind in select.kinds(result):
        names = select.groups(result, kind)
        kinds[kind] = {
            "title": words.KIND_TITLES[kind],
            "points": [[point.name, point.stage, round(point.depth, 4)] for point in select.points(result, kind)],
            "groups": names if len(names) <= charts.MOST_LINES else [],
            "members": [select.members(name, known) for name in names] if len(names) <= charts.MOST_LINES else [],
        }
    panels: dict[str, Any] = {}
    for index, measure in enumerate(select.measures(result)):
        for kind, shape in kinds.items():
            where = [point[0] for point in shape["points"]]
            panel: dict[str, Any] = {}
            for control in ("none", "length_regressed"):
                part = select.curve(result, kind, measure, control)
                mean = select.mean_of(part)
                if mean.empty:
                    continue
                numbers = mean.astype({"point": object}).drop_duplicates("point").set_index("point").reindex(where)
                panel[control] = {
                    name: _thousandths(numbers[name]) for name in ("value", "null_mean", "null_q95", "calibrated")
                }
                if control == "none" and shape["groups"]:
                    each = part[part["group"].isin(shape["groups"])].astype({"point": object, "group": object})
                    each = each.drop_duplicates(["group", "point"])
                    for name in ("value", "null_mean", "null_q95", "calibrated", "p"):
                        table = each.pivot(index="group", columns="point", values=name).reindex(
                            index=shape["groups"], columns=where
                        )
                        panel.setdefault("each", {})[name] = [_thousandths(row) for row in table.to_numpy(dtype=float)]
            panels[f"{kind} {index}"] = panel
    return {
        "kinds": kinds,
        "panels": panels,
        "plot": {"left": PADDING["left"], "top": PADDING["top"], **PANEL},
        "languages": known,
    }


# -- heat maps -------------------------------------------------------------------------------------


def _heat(result: Result) -> dict[str, Any] | None:
    """Return the maps as the template draws them first, and the data with which the script redraws them."""
    names = select.languages(result)
    there = select.kinds(result)
    shown = {modality: kind for modality, kind in select.MAP_KINDS.items() if kind in there}
    leading = select.leading_measure(result)
    if leading is None or not names or not shown:
        return None
    left, partial = HEAT_BUDGET, False
    packed: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    carried: list[str] = []
    for measure in [leading, *(name for name in select.measures(result) if name != leading)]:
        for control in ("none", "length_regressed"):
            for quantities in (("value",), ("null_mean", "calibrated", "p")):
                found = {m: _packed(select.cells(result, m, measure, control, quantities), m) for m in shown}
                size = sum(len(one["cells"]) for arrays in found.values() for one in arrays.values())
                if size == 0:
                    continue
                if size > left or (quantities != ("value",) and (measure, control) not in packed):
                    partial = True
                    continue
                left -= size
                entry = packed.setdefault((measure, control), {m: {} for m in shown})
                for modality, arrays in found.items():
                    entry[modality] |= arrays
        if (measure, "none") in packed:
            carried.append(measure)
    if leading not in carried:
        return None
    ordered = [name for name in select.measures(result) if name in carried]
    low_high = {name: charts.value_domain(result, "text", name) for name in ordered}
    maps = [_first_map(result, modality, leading, low_high[leading]) for modality in shown]
    return {
        "maps": maps,
        "measures": [{"name": name, "title": words.measure_title(name)} for name in ordered],
        "leading": leading,
        "domain": low_high[leading],
        "controls": {
            name: words.CONTROL_TITLES[name]
            for name in ("none", "length_regressed")
            if any(key[1] == name for key in packed)
        },
        "partial": partial,
        "numbers": len(names) <= charts.MOST_NUMBERS,
        "cell": max(7, min(50, 420 // len(names))),
        "data": {
            "languages": names,
            "levels": LEVELS,
            "order": [select.measures(result).index(name) for name in ordered],
            "numbers": len(names) <= charts.MOST_NUMBERS,
            "domains": low_high,
            "maps": {
                modality: {
                    "points": [
                        [point.name, point.stage, round(point.depth, 4)] for point in select.points(result, kind)
                    ],
                    "kind": kind,
                }
                for modality, kind in shown.items()
            },
            "cells": {f"{measure} {control}": entry for (measure, control), entry in packed.items()},
        },
    }


def _packed(cells: dict[str, NDArray[np.float64]], modality: str) -> dict[str, dict[str, Any]]:
    """Pack cells, point after point, as two base-64 digits each: 4094 steps between the ends, and a code for nothing.

    Of two mirrored halves only the upper is packed; of text against speech only the diagonal.
    """
    packed = {}
    for quantity, filled in cells.items():
        size = filled.shape[-1]
        upper = np.triu_indices(size, 1) if modality != "text-speech" else (np.arange(size), np.arange(size))
        flat = filled[:, upper[0], upper[1]].ravel()
        finite = np.isfinite(flat)
        if not finite.any():
            continue
        low, high = float(flat[finite].min()), float(flat[finite].max())
        codes = np.full(flat.shape, 4095)
        codes[finite] = np.rint((flat[finite] - low) / (high - low) * 4094) if high > low else 0
        letters = np.array(list(_DIGITS))
        digits = np.stack([letters[codes // 64], letters[codes % 64]], axis=1)
        packed[quantity] = {"low": low, "high": high, "cells": "".join(digits.ravel().tolist())}
    return packed


def _first_map(result: Result, modality: str, measure: str, domain: tuple[float, float]) -> dict[str, Any]:
    kind = select.MAP_KINDS[modality]
    names = select.languages(result)
    points = select.points(result, kind)
    cells = {
        name: filled[-1] for name, filled in select.cells(result, modality, measure, "none", ("value", "p")).items()
    }
    mean = select.rows(select.mean_of(select.curve(result, kind, measure)), point=points[-1].name)
    numbers = len(names) <= charts.MOST_NUMBERS

    def cell(i: int, j: int) -> dict[str, Any]:
        value, p = float(cells["value"][i, j]), float(cells["p"][i, j])
        if not np.isfinite(value):
            return {"level": None, "text": ""}
        share = (value - domain[0]) / (domain[1] - domain[0])
        text = (
            words.number(value)
            if numbers or (modality == "text-speech" and len(names) <= 2 * charts.MOST_NUMBERS)
            else ""
        )
        return {
            "level": round(min(1.0, max(0.0, share)) * (LEVELS - 1)),
            "text": f"({text})" if text and p > 0.05 else text,
        }

    columns = range(len(names)) if modality != "text-speech" else None
    return {
        "modality": modality,
        "kind": kind,
        "title": words.MAP_TITLES[modality],
        "last": points[-1],
        "count": len(points),
        "columns": names if columns is not None else [],
        "rows": [
            {"language": name, "cells": [cell(i, j) for j in (columns if columns is not None else [i])]}
            for i, name in enumerate(names)
        ],
        "null_mean": mean["null_mean"].iloc[0] if len(mean) else None,
        "null_q95": mean["null_q95"].iloc[0] if len(mean) else None,
    }


def _ramp_css() -> str:
    """Return one CSS class for each step of the colour ramp, with ink that can be read on it."""
    stops = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in _VIRIDIS])
    rules = []
    for level, position in enumerate(np.linspace(0, len(_VIRIDIS) - 1, LEVELS)):
        colour = np.rint(
            [np.interp(position, np.arange(len(_VIRIDIS)), stops[:, channel]) for channel in range(3)]
        ).astype(int)
        linear = np.where(colour <= 10, colour / 255 / 12.92, ((colour / 255 + 0.055) / 1.055) ** 2.4)
        # At this relative luminance black and white ink have the same contrast (WCAG 2).
        ink = charts.INK if linear @ [0.2126, 0.7152, 0.0722] > 0.195 else charts.PAPER
        rules.append(f".v{level}{{background:#{''.join(f'{part:02x}' for part in colour)};color:{ink}}}")
    gradient = f".ramp{{background:linear-gradient(to right,{','.join(_VIRIDIS)})}}"
    return "\n".join([*rules, gradient]) + "\n"


# -- retrieval, provenance -------------------------------------------------------------------------


def _retrieval(result: Result) -> list[dict[str, Any]]:
    tables = []
    for kind in select.kinds(result):
        table = select.retrieval_rows(result, kind, RETRIEVAL_ROWS)
        if table.empty:
            continue
        shown = [
            name
            for name in ("first", "value", "length_regressed", "length_only", "shuffled", "chance", "p")
            if table[name].notna().any()
        ]
        if table.attrs["first"] == table.attrs["last"]:
            shown.remove("first")
        tables.append(
            {"kind": kind, "rows": table.to_dict("records"), "columns": shown}
            | {name: table.attrs[name] for name in ("first", "last", "of", "pivot")}
        )
    return tables


def _provenance(result: Result) -> list[tuple[str, list[str]]]:
    """Return what is needed to run the study again, as pairs of a name and its lines."""
    meta = result.meta

    def lines(value: object) -> list[str]:
        if value is None or value == "" or value == [] or value == {}:
            return []
        if isinstance(value, dict):
            return [
                f"{key}: {', '.join(map(str, one)) if isinstance(one, (list, tuple)) else one}"
                for key, one in value.items()
            ]
        return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]

    weights = [
        "  ".join(
            str(one)
            for one in (
                part.get("file"),
                f"sha256 {part['sha256']}" if part.get("sha256") else None,
                part.get("source"),
            )
            if one
        )
        for part in _items(_get(meta, "model", "weights"))
        if isinstance(part, dict)
    ]
    table = [
        ("Study", lines(_get(meta, "study", "name"))),
        ("Command", lines(_get(meta, "study", "command"))),
        (
            "Time taken",
            [words.span(_get(meta, "study", "seconds"))] if _get(meta, "study", "seconds") is not None else [],
        ),
        ("Model", lines(_get(meta, "model", "name"))),
        ("Revision", lines(_get(meta, "model", "revision"))),
        ("Weights", weights),
        ("Model notes", lines(_get(meta, "model", "notes"))),
        ("Corpus", lines(_get(meta, "corpus", "title") or _get(meta, "corpus", "name"))),
        ("Corpus fingerprint", lines(_get(meta, "corpus", "fingerprint"))),
        ("Readers", [", ".join(lines(_get(meta, "corpus", "readers")))]),
        (
            "Minutes of speech",
            [", ".join(f"{key}: {words.number(one, 1)}" for key, one in _pairs(_get(meta, "corpus", "minutes")))],
        ),
        ("Options", lines({key: one for key, one in _pairs(_get(meta, "options")) if key != "conventions"})),
        ("Versions", [", ".join(f"{key} {one}" for key, one in _pairs(_get(meta, "versions")))]),
    ]
    return [(name, found) for name, found in table if any(found)]


def _items(value: object) -> list[Any]:
    if isinstance(value, str):
        return [value] if value else []
    return list(value) if isinstance(value, (list, tuple)) else []


def _pairs(value: object) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []
