"""The figures as files: SVG and PNG of each, and its numbers as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
from markupsafe import Markup

from babelscope.cache import write_atomically
from babelscope.gaps.result import Result
from babelscope.report import drawing, select
from babelscope.report.panels import curve_sheet
from babelscope.report.sections import retrieval

#: Characters of one figure's numbers that the page carries for saving; longer ones stand in their file alone.
MOST_CSV = 150_000


@dataclass(frozen=True)
class Figure:
    """A figure of the report: its name, its picture, and the rows that it is drawn from.

    Attributes
    ----------
    name : str
        Of its files, and of the figure in the page.
    picture : Markup
        SVG, in the page's colours.
    numbers : DataFrame
        Rows of a table of the result; the index is their row number there.
    """

    name: str
    picture: Markup
    numbers: pd.DataFrame

    def csv(self) -> str:
        """Return the numbers as CSV, with the row number in the result's table first."""
        return self.numbers.to_csv(index_label="row", float_format="%.6g", lineterminator="\n")


def drawn(result: Result, sections: dict[str, Any]) -> Iterator[Figure]:
    """Yield the figures that the page draws itself, from its sections."""
    if classes := sections.get("classes"):
        table = result.tables["by_class"]
        for panel in classes["panels"]:
            yield Figure(f"by_class.{panel['kind']}", panel["picture"], select.rows(table, kind=panel["kind"]))
    if beside := sections.get("beside"):
        for panel in beside["panels"]:
            yield Figure(f"beside.{panel['name']}", panel["picture"], panel["rows"])
    if cross := sections.get("cross"):
        means = select.mean_of(
            select.rows(result.curves, kind="modality_similarity", measure=cross["first"], control="none")
        )
        yield Figure("cross_layer", cross["picture"], means)
    if variance := sections.get("variance"):
        for part in variance["parts"]:
            rows = select.rows(result.tables["decomposition"], part=part["part"]).drop(columns="convention")
            yield Figure(f"decomposition.{part['part']}", part["picture"], rows)
    if centroids := sections.get("centroids"):
        for panel in centroids["panels"]:
            yield Figure(
                f"centroids.{panel['kind']}",
                panel["picture"],
                select.rows(result.tables["centroids"], kind=panel["kind"]),
            )
    if points := sections.get("points"):
        yield Figure(
            "point_map",
            points["picture"],
            select.rows(result.tables["projection"], point=points["points"][points["first"]]),
        )
    if tokens := sections.get("tokens"):
        yield Figure("tokens", tokens["picture"], result.tables["tokens"])
    if heat := sections.get("heat"):
        for one in heat["maps"]:
            rows = select.rows(result.scores, kind=one["kind"], measure=heat["leading"], control="none")
            if not one["along"]:
                rows = select.rows(rows, point_a=one["last"].name)
            yield Figure(f"heat_map.{one['modality']}", one["picture"], rows)


def summed_up(result: Result) -> Iterator[Figure]:
    """Yield the figures that the page shows in parts or as a table: the curves of each kind, and retrieval."""
    there = select.kinds(result)
    for kind in there:
        yield Figure(f"layer_curves.{kind}", curve_sheet(result, kind), select.rows(result.curves, kind=kind))
    for kind in there:
        table = select.retrieval_rows(result, kind)
        if not table.empty:
            yield Figure(f"retrieval.{kind}", retrieval.picture(table, kind), table)


def write(figures: Iterator[Figure] | list[Figure], folder: Path) -> list[Path]:
    """Write figures as ``NAME.svg``, ``NAME.png`` (two pixels a unit) and ``NAME.csv``, each replaced whole.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    written: list[Path] = []
    for figure in figures:
        text = drawing.standalone(figure.picture)
        png = vl_convert.svg_to_png(text, scale=2)
        for suffix, data in (("svg", text.encode()), ("png", png), ("csv", figure.csv().encode())):
            written.append(write_atomically(folder / f"{figure.name}.{suffix}", partial(_put, data)))
    return written


def _put(data: bytes, path: Path) -> None:
    path.write_bytes(data)
