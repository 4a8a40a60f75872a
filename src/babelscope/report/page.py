"""The report that people open: one HTML file that needs nothing else, the same as Markdown, and the figures."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from babelscope.cache import write_atomically
from babelscope.gaps.result import Result
from babelscope.report import figure, methods, provenance, queries
from babelscope.report import section as sections_of
from babelscope.report.evidence.curves import MOST_LINES, hero
from babelscope.report.figure import NARROW, PALETTE, WIDE, Figure
from babelscope.report.first_screen import FirstScreen, first_screen
from babelscope.report.recordings import Heard
from babelscope.report.section import Section, Table, figures_of
from babelscope.report.sentences import plain
from babelscope.report.wording import listed, number, slug

#: Colours on dark paper, by the names of :data:`~babelscope.report.figure.PALETTE`.
DARK: dict[str, str] = {
    "ink": "#e4e7ea", "muted": "#a3adb7", "grid": "#262b31", "axis": "#59626c", "null-band": "#3a4149",
    "null-edge": "#8a949e", "interval": "#2c4156", "thin": "#6f7984", "stage-even": "#4b535c", "stage-odd": "#343b43",
    "paper": "#15181c", "language-0": "#4ba3dd", "language-1": "#f0803c", "language-2": "#2cc295",
    "language-3": "#dc93bb", "language-4": "#eeb640", "language-5": "#8fd0f5", "language-6": "#cbb932",
}  # fmt: skip

#: Rows of the first screen's table of languages; the others unfold.
FIRST_LANGUAGES = 8

_TEXTUAL = (
    "model", "kind", "point_a", "stage_a", "language_a", "point_b", "language_b", "measure", "control", "convention",
)  # fmt: skip

#: Tables that may be long, and their texts.
_LONG = {"projection": ("point", "modality", "language", "sentence"), "by_class": ("kind", "measure", "control")}


@dataclass(frozen=True)
class Report:
    """What every form of the report shows: the first screen, its chart, and the sections."""

    result: Result
    first: FirstScreen
    hero: Figure | None
    sections: list[Section]

    @classmethod
    def of(cls, result: Result) -> Report:
        """Read everything off a result."""
        lean = _lean(result)
        return cls(lean, first_screen(result), hero(lean), sections_of.gather(lean))

    def figures(self) -> Iterator[Figure]:
        """Yield every figure, the first screen's first."""
        if self.hero is not None:
            yield self.hero
        yield from figures_of(self.sections)


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
        Whether to write every figure as SVG, PNG, PDF and CSV too.
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
    report = Report.of(result)
    drawn = figure.write(report.figures(), folder / "figures") if figures else []
    page = _rendered(report, _linked(result, folder, drawn), heard)
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
    report = Report.of(result)
    if figures:
        figure.write(report.figures(), folder / "figures")
    there = {one.name for one in report.figures() if (folder / "figures" / f"{one.name}.svg").is_file()}
    text = _environment("md").get_template("report.md.j2").render(**_shared(report), there=there)
    return write_atomically(folder / "report.md", lambda path: path.write_text(text, encoding="utf-8", newline="\n"))


def write_figures(result: Result, folder: Path | str) -> list[Path]:
    """Write every figure as SVG, PNG, PDF and CSV, such as ``similarity`` and ``layer_curves.KIND``.

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
    return figure.write(Report.of(result).figures(), Path(folder))


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
    return _rendered(Report.of(result), files, heard)


def _linked(result: Result, folder: Path, drawn: Sequence[Path]) -> list[str]:
    """Name the files next to the page: the result's tables, then the figures."""
    tables = [folder / "tables" / f"{name}.parquet" for name in sorted(result.tables)]
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
        "number": number,
        "listed": listed,
        "slug": slug,
        "sorted_by": _sorted_by,
        "inline": lambda one, width: Markup(figure.inline(one, width)),  # noqa: S704 - drawn and escaped by Vega
        "md": _markdown,
    }
    environment.tests |= {
        "figure": lambda block: isinstance(block, Figure),
        "table": lambda block: isinstance(block, Table),
        "bare": lambda block: isinstance(block, str),
    }
    return environment


def _sorted_by(cell: Any) -> str:
    """Return what a cell of a table is sorted by: the number itself, not as it is rounded."""
    return repr(cell.value) if hasattr(cell, "value") and isinstance(cell.value, float) else str(cell)


def _markdown(value: Any) -> str:
    """Return a value as Markdown in which nothing from the data is markup."""
    return value.markdown() if hasattr(value, "markdown") else plain(value)


def _rendered(report: Report, files: Sequence[str], heard: Sequence[Heard]) -> str:
    template = resources.files("babelscope.report") / "template"
    script = (template / "report.js").read_text(encoding="utf-8")
    style = _colours() + (template / "report.css").read_text(encoding="utf-8")
    vega = figure.vega_script()
    shown = [each for each in (report.hero, *(section.figure for section in report.sections)) if each is not None]
    on_demand = [each for each in report.figures() if all(each is not other for other in shown)]
    study = slug(provenance.title(report.result))
    carried = figure.carried(shown, on_demand) | {"study": study, "light": PALETTE, "narrow": NARROW}
    by_sentence: dict[str, list[Heard]] = {}
    for recording in heard:
        by_sentence.setdefault(recording.sentence, []).append(recording)
    return _environment("html").get_template("report.html.j2").render(
        **_shared(report),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        vega=Markup(vega),  # noqa: S704 - the renderer's own script
        hashes=[base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in (script, vega)],
        heard=[{"sentence": sentence, "cells": cells} for sentence, cells in by_sentence.items()],
        files=files,
        wide=WIDE,
        narrow=NARROW,
        data=_for_script(carried),
    )  # fmt: skip


def _for_script(value: object) -> Markup:
    """Write data into a ``script`` element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 - escaped just now


def _colours() -> str:
    """Return the style sheet's colours: the figures' own, light and dark."""
    light = ";".join(f"--{name}:{colour}" for name, colour in PALETTE.items())
    dark = ";".join(f"--{name}:{colour}" for name, colour in DARK.items())
    return (
        f":root{{{light}}}\n"
        f'@media screen and (prefers-color-scheme:dark){{:root:not([data-theme="light"]){{{dark}}}}}\n'
        f'@media screen{{:root[data-theme="dark"]{{{dark}}}}}\n'
    )


def _shared(report: Report) -> dict[str, Any]:
    """Return what both the page and the Markdown show."""
    result = report.result
    return {
        **{name: queries.mapping(result.meta, name) for name in ("study", "model", "corpus")},
        "name": provenance.title(result),
        "created": provenance.date(result),
        "languages": queries.languages(result),
        "sentences": methods.sentences_of(result),
        "first": report.first,
        "first_languages": FIRST_LANGUAGES,
        "hero": report.hero,
        "sections": report.sections,
        "costs": any(row.cost is not None for row in report.first.languages),
        "flags": any(row.flag for row in report.first.languages),
    }


def _lean(result: Result) -> queries.Settled:
    """Make a large result quick to select from: texts as categories, and no curves that are too many to be drawn.

    Rows keep their number in the file as index, which the page's numbers name.
    """

    def leaner(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        there = [name for name in columns if name in frame and not isinstance(frame[name].dtype, pd.CategoricalDtype)]
        frame = frame.reset_index(drop=True)
        return frame.assign(**{name: frame[name].astype("category") for name in there}) if there else frame

    curves = leaner(result.curves, ("kind", "measure", "control", "point", "against", "stage", "group"))
    crowded = [kind for kind in queries.kinds(result) if len(queries.groups(result, kind)) > MOST_LINES]
    if crowded:
        curves = curves[~curves["kind"].isin(crowded) | (curves["group"] == "mean")]
    tables = {name: leaner(table, _LONG.get(name, ())) for name, table in sorted(result.tables.items()) if len(table)}
    return queries.Settled(leaner(result.scores, _TEXTUAL), curves, result.meta, tables)
