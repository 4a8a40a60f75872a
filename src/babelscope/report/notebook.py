"""A result in a notebook: what it shows of itself, its charts to restyle, its tables to go on with.

>>> view = babelscope.view(result)  # doctest: +SKIP
>>> view.curves("modality_similarity", "linear_cka").properties(width=500)  # doctest: +SKIP
>>> view.to_dataframe("curves", kind="modality_similarity", group="swh")  # doctest: +SKIP
>>> print(view.to_latex())  # doctest: +SKIP
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
from markupsafe import Markup

from babelscope.errors import DataError
from babelscope.gaps.findings import CORRECTED
from babelscope.gaps.result import TABLE_COLUMNS, Result
from babelscope.report import charts, latex, select
from babelscope.report.evidence import crosslayer, points, variance
from babelscope.report.figure import Figure
from babelscope.report.page import Report
from babelscope.report.words import KIND_TITLES, measure_title, number, p_value


@dataclass(frozen=True)
class View:
    """A result, ready to be looked at.

    In a notebook it shows its headline, the findings where there are any, the means at the output, and its caveats. The
    charts are Altair's: restyle them with ``.properties``, ``.configure_...`` or by assigning to their parts.

    Attributes
    ----------
    result : Result
    """

    result: Result

    # -- charts

    def curves(
        self, kind: str = "modality_similarity", measure: str | None = None, **options: Any
    ) -> alt.TopLevelMixin:
        """Draw a gap along the depth over its null; :func:`~babelscope.report.layer_curves`."""
        return charts.layer_curves(self.result, kind, measure, **options)

    def heat_map(self, modality: str = "text", point: str | None = None, **options: Any) -> alt.TopLevelMixin:
        """Draw one score for every pair of languages at one point; :func:`~babelscope.report.heat_map`."""
        return charts.heat_map(self.result, modality, point, **options)

    def retrieval(self, kind: str = "modality_similarity", **options: Any) -> alt.TopLevelMixin:
        """Draw retrieval of each language or pair; :func:`~babelscope.report.retrieval_chart`."""
        return charts.retrieval_chart(self.result, kind, **options)

    def decomposition(self, part: str = "all", *, width: int = 420, height: int = 240) -> alt.Chart:
        """Draw what the variance is made of along the depth: stacked areas of bias-corrected shares.

        Parameters
        ----------
        part : {"all", "text", "speech"}
            Speech and text crossed, or one alone.
        width, height : int
            Of the plot, in pixels.

        Raises
        ------
        UsageError
            If the result has no such part.
        DataError
            If it has no decomposition.
        """
        table = self._table("decomposition")
        select.known("part of the decomposition", part, [str(name) for name in table["part"].unique()])
        return variance.chart(self.result, part, width=width, height=height)

    def centroids(self, *, width: int = 420, height: int = 240) -> alt.LayerChart:
        """Draw the distances between mean vectors along the depth: each language or pair thin, the mean thick.

        Raises
        ------
        DataError
            If the result has none.
        """
        self._table("centroids")
        return variance.centroid_chart(self.result, width=width, height=height)

    def cross_layer(
        self, measure: str | None = None, *, language: str | None = None, width: int = 420, height: int = 360
    ) -> alt.Chart:
        """Draw every speech point by every text point: where two towers are most similar, wherever in their depth.

        Parameters
        ----------
        measure : str, optional
            The leading one if left out.
        language : str, optional
            The mean over languages if left out; the chart then lets its reader choose, where there are few rows.
        width, height : int
            Of the plot, in pixels.

        Raises
        ------
        UsageError
            If the result has no such measure or language.
        DataError
            If speech points were not compared with several text points (``match = "all"``).
        """
        if not select.crossings(self.result)[0]:
            raise DataError('no speech point was compared with several text points: run the study with match = "all"')
        measure = select.leading_measure(self.result) if measure is None else measure
        measure = select.known("measure", measure or "", select.measures(self.result))
        if language is not None:
            select.known("language", language, select.languages(self.result))
        return crosslayer.chart(self.result, measure, language, width=width, height=height)

    def points(self, point: str | None = None, *, width: int = 420, height: int = 360) -> alt.Chart:
        """Draw the sentences at a point on their first two principal axes, by language and modality.

        Parameters
        ----------
        point : str, optional
            The last one if left out; the chart then lets its reader choose, where there are few rows.
        width, height : int
            Of the plot, in pixels.

        Raises
        ------
        UsageError
            If the result has no such point.
        DataError
            If it has no projection.
        """
        self._table("projection")
        return points.chart(self.result, point, width=width, height=height)

    def figures(self) -> dict[str, Figure]:
        """Return every figure of the report by name: its chart, its data, its sentence."""
        return {figure.name: figure for figure in Report.of(self.result).figures()}

    # -- tables

    def to_dataframe(self, table: str = "curves", **equal: str) -> pd.DataFrame:
        """Return a table as a tidy DataFrame of its own.

        Parameters
        ----------
        table : str
            ``curves``, ``scores``, or one of :attr:`tables`.
        **equal : str
            Columns and what they must equal, such as ``kind="modality_similarity", control="none", group="swh"``.

        Raises
        ------
        UsageError
            If there is no such table, column, or value in it.
        DataError
            If the result has no rows of that table.
        """
        return self.result.to_dataframe(table, **equal)

    def to_latex(self, table: str = "gaps", **options: Any) -> str:
        """Return a table for a paper; :func:`~babelscope.report.to_latex`."""
        return latex.to_latex(self.result, table, **options)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that the result has."""
        return ("curves", "scores", *self.result.tables)

    def _table(self, name: str) -> pd.DataFrame:
        if name not in self.result.tables:
            select.known("table", name, (*self.tables, *TABLE_COLUMNS))
            raise DataError(
                f"the result has no rows of {name!r}: the study allowed none; it has {', '.join(self.tables)}"
            )
        return self.result.tables[name]

    # -- itself

    def __repr__(self) -> str:
        meta = self.result.meta
        return f"<View of {_named(meta)}: {len(self.result.scores)} scores, tables {', '.join(self.tables)}>"

    def _repr_html_(self) -> str:
        return str(html(self.result))


def view(result: Result | Path | str) -> View:
    """Return a view of a result, or of the folder that holds one.

    Raises
    ------
    DataError
        If the folder holds no result, or a damaged one.
    """
    return View(result if isinstance(result, Result) else Result.load(result))


def _named(meta: dict[str, Any]) -> str:
    names = [str(meta.get(part, {}).get("name", "")) for part in ("study", "model", "corpus")]
    return ", ".join(name for name in names if name) or "a result"


def html(result: Result) -> Markup:
    """Return what a result shows of itself in a notebook; everything in it is escaped."""
    meta = result.meta
    corpus = meta.get("corpus", {})
    parts = [Markup("<div><p><strong>{}</strong>").format(_named(meta))]
    if "n" in corpus:
        parts.append(Markup("<br>{} sentences, {} languages").format(corpus["n"], len(corpus.get("languages", ()))))
    parts.append(Markup("</p>"))
    parts += [Markup("<p>{}</p>").format(sentence) for sentence in meta.get("headline", ())]
    parts += [_findings(result), _means(result)]
    if meta.get("caveats"):
        titles = "; ".join(str(caveat["title"]) for caveat in meta["caveats"])
        parts.append(Markup("<p><small>Read with: {}.</small></p>").format(titles))
    parts.append(Markup("</div>"))
    return Markup("").join(parts)


def _findings(result: Result) -> Markup:
    found = result.tables.get("findings")
    if found is None or found.empty:
        return Markup("")
    shown = found[found["basis"] == CORRECTED]
    rows = [
        [
            str(row["statement"]) + ("" if row["group"] == "all" else f" ({row['group']})"),
            str(row["verdict"]),
            number(row["effect"]),
            f"{number(row['low'])} to {number(row['high'])}",
            p_value(row["p"]),
        ]
        for _, row in (shown if len(shown) else found).iterrows()
    ]
    return _html_table("Findings", ["", "verdict", "effect", "95 % interval", "p"], rows)


def _means(result: Result) -> Markup:
    rows = []
    for kind in select.kinds(result):
        for measure in select.measures(result):
            mean = select.mean_of(select.curve(result, kind, measure)).dropna(subset=["value"])
            if mean.empty:
                continue
            last = mean.iloc[-1]
            interval = (
                f"{number(last['low'])} to {number(last['high'])}" if math.isfinite(last["low"]) else number(None)
            )
            rows.append(
                [
                    KIND_TITLES[kind],
                    measure_title(measure),
                    str(last["point"]),
                    number(last["value"]),
                    interval,
                    number(last["null_q95"]),
                    number(last["chance_corrected"]),
                ]
            )
    return _html_table(
        "Means at the last point",
        ["", "measure", "point", "value", "95 % interval", "null, 95 %", "chance-corrected"],
        rows,
    )


_CELLS = {
    "th": Markup('<th style="text-align:left">{}</th>'),
    "td": Markup('<td style="text-align:left">{}</td>'),
}


def _html_table(caption: str, head: list[str], rows: list[list[str]]) -> Markup:
    def line(kind: str, texts: list[str]) -> Markup:
        return Markup("<tr>{}</tr>").format(Markup("").join(_CELLS[kind].format(text) for text in texts))

    return Markup("<table><caption>{}</caption><thead>{}</thead><tbody>{}</tbody></table>").format(
        caption, line("th", head), Markup("").join(line("td", row) for row in rows)
    )
