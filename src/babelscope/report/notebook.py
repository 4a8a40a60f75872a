"""A result in a notebook: what it shows of itself, its charts to restyle, its tables.

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

import pandas as pd
from markupsafe import Markup

from babelscope.gaps.findings import CORRECTED
from babelscope.gaps.result import Result
from babelscope.report import latex, queries
from babelscope.report.plots import Plots
from babelscope.report.wording import KIND_TITLES, NOTHING, measure_title, number, p_value


@dataclass(frozen=True, repr=False)
class View(Plots):
    """A result, ready to be looked at: its figures, as :class:`~babelscope.report.plots.Plots`, and its tables.

    In a notebook it shows its headline, the findings where there are any, the means at the output, and its caveats.

    Attributes
    ----------
    result : Result
    """

    # -- tables

    def to_dataframe(self, table: str = "curves", **equal: str) -> pd.DataFrame:
        """Return a table as a tidy DataFrame of its own; :meth:`babelscope.Result.to_dataframe`."""
        return self.result.to_dataframe(table, **equal)

    def to_latex(self, table: str = "gaps", **options: Any) -> str:
        """Return a table for a paper; :func:`~babelscope.report.to_latex`."""
        return latex.to_latex(self.result, table, **options)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that the result has."""
        return ("curves", "scores", *self.result.tables)

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
    names = [str(meta.get(name, {}).get("name", "")) for name in ("study", "model", "corpus")]
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
    if (findings := queries.table(result, "findings")) is None:
        return Markup("")
    shown = findings[findings["basis"] == CORRECTED]
    rows = []
    for _, row in (shown if len(shown) else findings).iterrows():
        claim = str(row["statement"]) + ("" if row["group"] == "all" else f" ({row['group']})")
        interval = f"{number(row['low'])} to {number(row['high'])}"
        rows.append([claim, str(row["verdict"]), number(row["effect"]), interval, p_value(row["p"])])
    return _html_table("Findings", ["", "verdict", "effect", "95 % interval", "p"], rows)


def _means(result: Result) -> Markup:
    rows = []
    for kind in queries.kinds(result):
        for measure in queries.measures(result):
            mean = queries.mean_of(queries.curve(result, kind, measure)).dropna(subset=["value"])
            if mean.empty:
                continue
            last = mean.iloc[-1]
            value, low, high, null, corrected = (
                number(last[name]) for name in ("value", "low", "high", "null_q95", "chance_corrected")
            )
            interval = f"{low} to {high}" if math.isfinite(last["low"]) else NOTHING
            texts = [KIND_TITLES[kind], measure_title(measure), str(last["point"])]
            rows.append([*texts, value, interval, null, corrected])
    head = ["", "measure", "point", "value", "95 % interval", "null, 95 %", "chance-corrected"]
    return _html_table("Means at the last point", head, rows)


def _html_table(caption: str, head: list[str], rows: list[list[str]]) -> Markup:
    def line(kind: str, texts: list[str]) -> Markup:
        cell = Markup('<{0} style="text-align:left">{1}</{0}>')
        return Markup("<tr>{}</tr>").format(Markup("").join(cell.format(kind, text) for text in texts))

    return Markup("<table><caption>{}</caption><thead>{}</thead><tbody>{}</tbody></table>").format(
        caption, line("th", head), Markup("").join(line("td", row) for row in rows)
    )
