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
from typing import Any, cast

import altair as alt
import pandas as pd
from markupsafe import Markup

from babelscope.errors import DataError
from babelscope.gaps.findings import CORRECTED
from babelscope.gaps.result import TABLE_COLUMNS, Result
from babelscope.report import charts, latex, select
from babelscope.report.words import GAP_TITLES, KIND_TITLES, measure_title, number, p_value

#: Colours of the components of variance, meaning first: Okabe and Ito's, the rest in grey.
COMPONENT_COLOURS: dict[str, str] = {
    "sentence": "#0072b2",
    "language": "#e69f00",
    "modality": "#d55e00",
    "sentence:language": "#56b4e9",
    "sentence:modality": "#cc79a7",
    "language:modality": "#009e73",
    "rest": "#c4cad1",
}


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
        table = table[table["part"] == part]
        there = [name for name in COMPONENT_COLOURS if name in set(table["component"])]
        rank = {name: place for place, name in enumerate(there)}
        return cast(
            "alt.Chart",
            alt.Chart(table.assign(order=table["component"].map(rank)))
            .mark_area(line={"strokeWidth": 0.5, "color": "#ffffff"})
            .encode(
                x=alt.X("depth:Q", title="depth"),
                y=alt.Y("share:Q", title="share of variance", stack="zero"),
                color=alt.Color(
                    "component:N",
                    title="component",
                    scale=alt.Scale(domain=there, range=[COMPONENT_COLOURS[name] for name in there]),
                ),
                order="order:Q",
                tooltip=["point:N", "component:N", *_formats("share", "low", "high")],
            )
            .properties(width=width, height=height, title=f"What the variance is made of ({part})"),
        )

    def centroids(self, *, width: int = 420, height: int = 240) -> alt.LayerChart:
        """Draw the distances between mean vectors along the depth: each language or pair thin, the mean thick.

        Raises
        ------
        DataError
            If the result has none.
        """
        table = self._table("centroids")
        pair = table["language_a"].where(
            table["language_a"] == table["language_b"], table["language_a"] + "-" + table["language_b"]
        )
        table = table.assign(group=pair, gap=table["kind"].map(lambda kind: GAP_TITLES.get(kind, kind)))
        base = alt.Chart(table).encode(x=alt.X("depth:Q", title="depth"), color=alt.Color("gap:N", title="between"))
        each = base.mark_line(strokeWidth=0.6, opacity=0.35).encode(
            y=alt.Y("distance:Q", title="distance over spread within"),
            detail="group:N",
            tooltip=["group:N", "point:N", *_formats("distance", "low", "high")],
        )
        mean = base.mark_line(strokeWidth=2.5).encode(y="mean(distance):Q")
        return cast(
            "alt.LayerChart",
            alt.layer(each, mean).properties(width=width, height=height, title="Distances between mean vectors"),
        )

    def cross_layer(
        self, measure: str | None = None, *, language: str | None = None, width: int = 420, height: int = 360
    ) -> alt.Chart:
        """Draw every speech point by every text point: where two towers are most similar, wherever in their depth.

        Parameters
        ----------
        measure : str, optional
            The leading one if left out.
        language : str, optional
            The mean over languages if left out.
        width, height : int
            Of the plot, in pixels.

        Raises
        ------
        UsageError
            If the result has no such measure or language.
        DataError
            If speech points were not compared with several text points (``match = "all"``).
        """
        speech, text = select.crossings(self.result)
        if not speech:
            raise DataError('no speech point was compared with several text points: run the study with match = "all"')
        measure = select.leading_measure(self.result) if measure is None else measure
        measure = select.known("measure", measure or "", select.measures(self.result))
        rows = select.rows(self.result.curves, kind="modality_similarity", measure=measure, control="none")
        group = "mean" if language is None else select.known("language", language, select.languages(self.result))
        rows = select.rows(rows, group=group)
        title = alt.TitleParams(
            "Speech point by text point",
            subtitle=f"chance-corrected {measure_title(measure)}, {language or 'mean over languages'}",
        )
        return cast(
            "alt.Chart",
            alt.Chart(rows[["point", "against", "stage", "value", "null_q95", "chance_corrected", "n"]])
            .mark_rect()
            .encode(
                x=alt.X("point:N", title="speech point", sort=[one.name for one in speech]),
                y=alt.Y("against:N", title="text point", sort=[one.name for one in reversed(text)]),
                color=alt.Color(
                    "chance_corrected:Q", title="chance-corrected", scale=alt.Scale(scheme="viridis", domainMin=0)
                ),
                tooltip=["point:N", "against:N", *_formats("value", "null_q95", "chance_corrected")],
            )
            .properties(width=width, height=height, title=title),
        )

    def points(self, point: str | None = None, *, width: int = 420, height: int = 360) -> alt.Chart:
        """Draw the sentences at a point on their first two principal axes, by language and modality.

        Parameters
        ----------
        point : str, optional
            The last one if left out.
        width, height : int
            Of the plot, in pixels.

        Raises
        ------
        UsageError
            If the result has no such point.
        DataError
            If it has no projection.
        """
        table = self._table("projection")
        names = [str(name) for name in dict.fromkeys(table["point"])]
        point = names[-1] if point is None else select.known("point", point, names)
        table = table[table["point"] == point]
        shares = [100 * float(table[name].iloc[0]) for name in ("share_x", "share_y")]
        return cast(
            "alt.Chart",
            alt.Chart(table)
            .mark_point(size=35, filled=True, opacity=0.7)
            .encode(
                x=alt.X("x:Q", title=f"first axis ({shares[0]:.0f} % of the variance)"),
                y=alt.Y("y:Q", title=f"second axis ({shares[1]:.0f} %)"),
                color=alt.Color("language:N", title="language"),
                shape=alt.Shape("modality:N", title="modality"),
                tooltip=["sentence:N", "language:N", "modality:N"],
            )
            .properties(width=width, height=height, title=f"Sentences at {point}")
            .interactive(),
        )

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


def _formats(*names: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:Q", format=".3f") for name in names]


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
