"""The report that people open: one HTML file that needs nothing else, and the figures beside it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from babelscope.cache import write_atomically
from babelscope.gaps.result import CONTROLS, Result
from babelscope.report import charts, drawing, figures, packing, select, words
from babelscope.report.recordings import Heard
from babelscope.report.remembering import Settled
from babelscope.report.sections import (
    baselines,
    beside,
    crosslayer,
    curves,
    diagnosis,
    findings,
    languages,
    maps,
    methods,
    points,
    provenance,
    retrieval,
    variance,
)
from babelscope.report.told import of_parts, plain

#: The page's script, in the order in which its parts need each other.
SCRIPTS = ("core", "save", "curves", "grid", "maps", "cross", "points", "variance", "tables")

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

#: Tables that may be long, and their texts.
_LONG = {"projection": ("point", "modality", "language", "sentence"), "by_class": ("kind", "measure", "control")}


def write_report(result: Result, folder: Path | str, *, figures: bool = True, heard: Sequence[Heard] = ()) -> Path:
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
        Whether to write every figure as SVG, PNG and CSV too.
    heard : sequence of Heard
        Recordings that the page shall carry, where their licence allows it.

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
    sections = gather(lean)
    drawn = _write_figures(lean, sections, folder / "figures") if figures else []
    page = _rendered(lean, sections, _linked(result, folder, drawn), heard)
    return write_atomically(folder / "report.html", lambda path: path.write_text(page, encoding="utf-8", newline="\n"))


def write_markdown(result: Result, folder: Path | str, *, figures: bool = True) -> Path:
    """Write ``report.md`` into `folder`, and the figures that it shows into ``figures/`` below it.

    Parameters
    ----------
    result : Result
        What a study found.
    folder : Path
        Made if need be.
    figures : bool
        Whether to write the figures; those that stand there already are shown.

    Returns
    -------
    Path
        Of ``report.md``.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    folder = Path(folder)
    lean = _lean(result)
    sections = gather(lean)
    drawn = _write_figures(lean, sections, folder / "figures") if figures else []
    text = (
        _environment("md")
        .get_template("report.md.j2")
        .render(**_shared(lean, sections), **sections, files=_linked(result, folder, drawn))
    )
    return write_atomically(folder / "report.md", lambda path: path.write_text(text, encoding="utf-8", newline="\n"))


def write_figures(result: Result, folder: Path | str) -> list[Path]:
    """Write every figure as SVG, PNG and CSV, such as ``layer_curves.KIND`` and ``heat_map.MODALITY``.

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
    lean = _lean(result)
    return _write_figures(lean, gather(lean), Path(folder))


def render(result: Result, files: Sequence[str] = (), heard: Sequence[Heard] = ()) -> str:
    """Return the page as HTML text.

    Parameters
    ----------
    result : Result
        What a study found.
    files : sequence of str
        Files to link, relative to the page.
    heard : sequence of Heard
        Recordings that the page shall carry.
    """
    lean = _lean(result)
    return _rendered(lean, gather(lean), files, heard)


def gather(result: Result) -> dict[str, Any]:
    """Return what every section shows, by section; None or empty where the result holds nothing for it."""
    return {
        "findings": findings.section(result),
        "diagnosis": diagnosis.section(result),
        "measures": curves.section(result),
        "curves_lead": curves.lead(result),
        "classes": curves.classes(result),
        "baselines": baselines.section(result),
        "beside": beside.section(result),
        "heat": maps.section(result),
        "cross": crosslayer.section(result),
        "variance": variance.section(result),
        "centroids": variance.centroids(result),
        "points": points.section(result),
        "language_table": languages.section(result),
        "tokens": languages.tokens(result),
        "retrieval": retrieval.section(result),
        "methods": methods.section(result),
        "provenance": provenance.section(result),
    }


def _write_figures(result: Result, sections: dict[str, Any], folder: Path) -> list[Path]:
    return figures.write([*figures.summed_up(result), *figures.drawn(result, sections)], folder)


def _linked(result: Result, folder: Path, drawn: Sequence[Path]) -> list[str]:
    """Name the files that stand beside the page: the result's tables, then the figures."""
    tables = [folder / "tables" / f"{name}.parquet" for name in result.tables]
    first = [folder / name for name in ("scores.parquet", "scores.csv", "curves.csv", "result.json")]
    return [path.relative_to(folder).as_posix() for path in [*first, *tables, *drawn] if path.is_file()]


@cache
def _environment(kind: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("babelscope.report", "template"),
        autoescape=kind == "html",  # noqa: S701 - Markdown is escaped by its own filter, md
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.ChainableUndefined,
    )
    environment.filters |= {
        "number": words.number,
        "p": words.p_value,
        "span": words.span,
        "listed": words.listed,
        "slug": words.slug,
        "md": _markdown,
    }
    return environment


def _markdown(value: Any) -> str:
    """Return a value as Markdown in which nothing from the data is markup."""
    return value.markdown() if hasattr(value, "markdown") else plain(value)


def _rendered(result: Result, sections: dict[str, Any], files: Sequence[str], heard: Sequence[Heard]) -> str:
    template = resources.files("babelscope.report") / "template"
    parts = [(template / "script" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    script = '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"
    style = (template / "report.css").read_text(encoding="utf-8") + drawing.ramp_css()
    heat, cross, cloud, layers = (sections[name] for name in ("heat", "cross", "points", "variance"))
    told = {
        "study": words.slug(provenance.title(result)),
        "curves": curves.data(result),
        "heat": heat["data"] if heat else None,
        "cross": cross["data"] if cross else None,
        "points": cloud["data"] if cloud else None,
        "variance": {one["part"]: one["data"] for one in layers["parts"]} if layers else None,
        "csv": _carried_csv(result, sections),
    }
    return (
        _environment("html")
        .get_template("report.html.j2")
        .render(
            **_shared(result, sections),
            **sections,
            style=Markup(style),  # noqa: S704 - a file of this package
            script=Markup(script),  # noqa: S704 - files of this package
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            heard=_by_sentence(heard),
            files=files,
            data=packing.for_script(told),
        )
    )


def _carried_csv(result: Result, sections: dict[str, Any]) -> dict[str, str]:
    """Return the numbers of the figures that the script does not redraw, as far as they are short."""
    redrawn = ("heat_map.", "cross_layer", "point_map")
    found = {}
    for figure in figures.drawn(result, sections):
        if not figure.name.startswith(redrawn) and len(text := figure.csv()) <= figures.MOST_CSV:
            found[figure.name] = text
    return found


def _shared(result: Result, sections: dict[str, Any]) -> dict[str, Any]:
    """Return what both the page and the Markdown tell outside of their sections."""
    used = select.distinct(result.scores["control"])
    return {
        **_told(result.meta),
        "name": provenance.title(result),
        "created": provenance.date(result),
        "kinds": {
            kind: {"title": words.KIND_TITLES[kind], "line": words.KIND_LINES[kind]} for kind in select.kinds(result)
        },
        "languages": select.languages(result),
        "colours": len(charts.LANGUAGE_COLOURS),
        "sentences": methods.sentences_of(result),
        "sides": provenance.sides(result),
        "partner": methods.partner_of(result),
        "interval": bool(select.rows(result.curves, group="mean", control="none")["low"].notna().any()),
        "ceilings": bool(result.curves["ceiling"].notna().any()),
        "regressed": "length_regressed" in select.distinct(result.curves["control"]),
        "retrieval_measure": select.retrieval_measure(result),
        "controls": {name: text for name, text in CONTROLS.items() if name in used},
        "control_titles": words.CONTROL_TITLES,
        "contents": _contents(sections),
    }


def _contents(sections: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the sections that there are, as anchors and names."""
    among = (
        ("findings", "Findings", sections["findings"]),
        ("diagnosis", "Diagnosis", sections["diagnosis"]),
        ("curves", "Along the layers", True),
        ("classes", "Resource classes", sections["classes"]),
        ("baselines", "Baselines", sections["baselines"]),
        ("beside", "Other models as baselines", sections["beside"]),
        ("maps", "Languages compared with each other", True),
        ("cross", "Layer by layer, speech and text", sections["cross"]),
        ("variance", "What the variance is", sections["variance"]),
        ("points", "Sentences as points", sections["points"]),
        ("languages", "Languages", sections["language_table"]),
        ("retrieval", "Retrieval", True),
        ("caveats", "Caveats", True),
        ("methods", "Method", True),
        ("provenance", "Provenance", True),
    )
    return [(anchor, name) for anchor, name, there in among if there]


def _by_sentence(heard: Sequence[Heard]) -> list[dict[str, Any]]:
    found: dict[str, list[Heard]] = {}
    for one in heard:
        found.setdefault(one.sentence, []).append(one)
    return [{"sentence": sentence, "cells": cells} for sentence, cells in found.items()]


def _told(meta: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of ``meta`` that the page tells, each of the type that the template expects, or empty."""
    sections = {
        name: {key: one for key, one in provenance.pairs(meta.get(name)) if one is not None}
        for name in ("study", "model", "corpus", "options")
    }
    caveats = [
        one | {"text": of_parts(str(one.get("text") or ""), one.get("parts"))}
        for one in provenance.items(meta.get("caveats"))
        if isinstance(one, dict)
    ]
    parts = provenance.items(meta.get("headline_parts"))
    headline = [
        of_parts(str(one), parts[number] if number < len(parts) else None)
        for number, one in enumerate(provenance.items(meta.get("headline")))
    ]
    return {**sections, "headline": headline, "caveats": caveats}


def _lean(result: Result) -> Settled:
    """Make a large result quick to select from: texts as categories, and no curves that are too many to be drawn.

    Rows keep their number in the file as index, which the page's numbers name.
    """

    def leaner(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        there = [name for name in columns if name in frame and not isinstance(frame[name].dtype, pd.CategoricalDtype)]
        frame = frame.reset_index(drop=True)
        return frame.assign(**{name: frame[name].astype("category") for name in there}) if there else frame

    curves = leaner(result.curves, ("kind", "measure", "control", "point", "against", "stage", "group"))
    crowded = [kind for kind in select.kinds(result) if len(select.groups(result, kind)) > charts.MOST_LINES]
    if crowded:
        curves = curves[~curves["kind"].isin(crowded) | (curves["group"] == "mean")]
    tables = {name: leaner(table, _LONG.get(name, ())) for name, table in result.tables.items() if len(table)}
    return Settled(leaner(result.scores, _TEXTUAL), curves, result.meta, tables)
