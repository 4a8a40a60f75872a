"""The figures of the report, one by one, as Altair charts: what ``result.plot`` draws.

>>> result.plot  # doctest: +SKIP
>>> result.plot.curves("modality_similarity", "linear_cka").properties(width=400)  # doctest: +SKIP
>>> result.plot.headline().save("similarity.svg")  # doctest: +SKIP
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import altair as alt

from babelscope.errors import DataError, UsageError
from babelscope.gaps.result import Result
from babelscope.report import queries
from babelscope.report.evidence import crosslayer, curves, maps, points, retrieval, variance
from babelscope.report.figure import WIDE, Figure
from babelscope.report.page import Report

#: What a figure needs that not every study has.
_NEEDS: dict[str, str] = {
    "similarity": "curves along the depth",
    "most_similar": "speech and text compared at two points or more",
    "deficits": "a diagnosis, of two languages or more",
    "by_class": "languages of two resource classes or more",
    "adaptation": "a stage of length adaptation with two points or more",
    "models": "other models in the study ([[baseline]] in its file)",
    "claims": "findings that could be tested",
    "baselines": "baselines, whose difference was tested",
    "shared_tokens": "a model whose tokenizer can be read, and two pairs of languages or more",
    "alignment": "[tokens] in the study's file",
}


@dataclass(frozen=True, repr=False)
class Plots:
    """The figures of a result; each method returns an Altair chart.

    In Jupyter a chart shows itself. ``.save("x.svg")``, ``.png``, ``.pdf``, ``.html`` or ``.json`` writes it, without
    a network for all but HTML. ``.properties(...)`` and ``.configure_axis(...)`` restyle it, and so does assigning to
    its parts. Sizes are those of the plot in pixels, without its legend.

    Attributes
    ----------
    result : Result
    """

    result: Result

    # -- where speech and text meet

    def headline(self, *, width: int = WIDE) -> alt.TopLevelMixin:
        """Draw the report's first figure: similarity along the depth, with null, interval, baseline and ceiling."""
        return self._drawn("similarity", width)

    def most_similar(self, *, width: int = WIDE) -> alt.TopLevelMixin:
        """Draw the similarity of speech and text at every point, and which points may be the most similar."""
        return self._drawn("most_similar", width)

    def curves(
        self, kind: str = "modality_similarity", measure: str | None = None, **options: Any
    ) -> alt.TopLevelMixin:
        """Draw one kind of similarity along the depth over its null: one measure, or a panel for each.

        Parameters and errors are those of :func:`~babelscope.report.layer_curves`.
        """
        return curves.layer_curves(self.result, kind, measure, **options)

    def cross_layer(
        self, measure: str | None = None, *, language: str | None = None, width: int = 420, height: int = 360
    ) -> alt.Chart:
        """Draw every speech point against every text point: where two encoders are most similar, at any depth.

        Parameters
        ----------
        measure : str, optional
            The leading one if left out.
        language : str, optional
            The mean over languages if left out; where there are few rows the chart then has a menu of languages.
        width, height : int

        Raises
        ------
        UsageError
            If the result has no such measure or language.
        DataError
            If no speech point was compared with several text points (``match = "all"``).
        """
        if not queries.crossings(self.result)[0]:
            raise DataError('no speech point was compared with several text points: run the study with match = "all"')
        measure = queries.leading_measure(self.result) if measure is None else measure
        measure = queries.known("measure", measure or "", queries.measures(self.result))
        if language is not None:
            queries.known("language", language, queries.languages(self.result))
        return crosslayer.chart(self.result, measure, language, width=width, height=height)

    def decomposition(self, part: str = "all", *, width: int = 420, height: int = 240) -> alt.Chart:  # public name
        """Draw the parts of the variance along the depth: stacked areas of bias-corrected shares.

        Parameters
        ----------
        part : {"all", "text", "speech"}
            Speech and text crossed, or one alone.
        width, height : int

        Raises
        ------
        UsageError
            If the result has no such part.
        DataError
            If it has no decomposition.
        """
        parts = queries.in_order(self.result.to_dataframe("decomposition")["part"])
        queries.known("part of the decomposition", part, parts)
        return variance.chart(self.result, part, width=width, height=height)

    def centroids(self, *, width: int = 420, height: int = 240) -> alt.LayerChart:
        """Draw the distances between mean vectors along the depth: each language or pair thin, the mean thick.

        Raises
        ------
        DataError
            If the result has none.
        """
        self.result.to_dataframe("centroids")
        return variance.centroid_chart(self.result, width=width, height=height)

    def points(self, point: str | None = None, *, width: int = 420, height: int = 360) -> alt.Chart:
        """Draw the sentences at a point on their first two principal axes, by language and modality.

        Parameters
        ----------
        point : str, optional
            The last one if left out; where there are few rows the chart then has a menu of points.
        width, height : int

        Raises
        ------
        UsageError
            If the result has no such point.
        DataError
            If it has no projection.
        """
        self.result.to_dataframe("projection")
        return points.chart(self.result, point, width=width, height=height)

    # -- languages

    def languages(self, *, width: int = WIDE) -> alt.TopLevelMixin:
        """Draw how much less similar speech and text are in each language than in the others, with intervals."""
        return self._drawn("deficits", width)

    def heat_map(self, modality: str = "text", point: str | None = None, **options: Any) -> alt.TopLevelMixin:
        """Draw one score for every pair of languages at one point.

        Parameters and errors are those of :func:`~babelscope.report.heat_map`.
        """
        return maps.heat_map(self.result, modality, point, **options)

    def by_layer(self, modality: str = "text-speech", measure: str | None = None, *, width: int = WIDE) -> alt.Chart:
        """Draw one score for every language at every point.

        Parameters
        ----------
        modality : {"text-speech", "readers"}
            Speech against text of a language, or two readers of a sentence.
        measure : str, optional
            The leading one if left out.
        width : int

        Raises
        ------
        UsageError
            If the result has no such comparison or measure.
        """
        queries.known("map of languages and points", modality, queries.ALONG)
        queries.known("kind of comparison", queries.MAP_KINDS[modality], queries.kinds(self.result))
        measure = queries.leading_measure(self.result) if measure is None else measure
        measure = queries.known("measure", measure or "", queries.measures(self.result))
        return maps.along(self.result, modality, measure, width)

    def retrieval(self, kind: str = "modality_similarity", **options: Any) -> alt.TopLevelMixin:
        """Draw the retrieval accuracy of each language or pair at the last point, with chance and controls.

        Parameters and errors are those of :func:`~babelscope.report.retrieval_chart`.
        """
        return retrieval.retrieval_chart(self.result, kind, **options)

    def by_class(self, kind: str = "modality_similarity", *, width: int = WIDE) -> alt.TopLevelMixin:
        """Draw the mean similarity of each resource class of languages along the depth."""
        return self._drawn(f"by_class.{kind}", width)

    def shared_tokens(self, *, width: int = WIDE) -> alt.TopLevelMixin:
        """Draw the similarity of two languages' texts against the share of tokens that they have in common."""
        return self._drawn("shared_tokens", width)

    # -- what it rests on

    def adaptation(self, *, width: int = WIDE) -> alt.TopLevelMixin:
        """Draw the similarity of speech and text at the points of the length adapter."""
        return self._drawn("adaptation", width)

    def alignment(self, *, width: int = WIDE) -> alt.TopLevelMixin:
        """Draw how well the positions of a recording align with the tokens of its text, by layer."""
        return self._drawn("alignment", width)

    def models(self, *, width: int = WIDE) -> alt.TopLevelMixin:
        """Draw the paired differences from the study's other models, with intervals."""
        return self._drawn("models", width)

    def claims(self, *, width: int = WIDE) -> alt.TopLevelMixin:
        """Draw the effect of each claim that was tested, with its interval and verdict."""
        return self._drawn("claims", width)

    def baselines(self, *, width: int = WIDE) -> alt.TopLevelMixin:
        """Draw how much the model exceeds the strongest baselines, with intervals."""
        return self._drawn("baselines", width)

    # -- any figure

    def figures(self) -> dict[str, Figure]:
        """Return every figure of this result's report by name, those of plug-ins too: chart, data, sentence."""
        return {figure.name: figure for figure in Report.of(self.result).figures()}

    def figure(self, name: str, *, width: int = WIDE) -> alt.TopLevelMixin:
        """Draw a figure of the report by its name, such as ``models.modality_similarity.Linear-CKA``.

        Raises
        ------
        UsageError
            If the report of this result has no such figure.
        """
        figures = self.figures()
        chart: alt.TopLevelMixin = figures[queries.known("figure", name, list(figures))].draw(width)
        return chart

    def _drawn(self, name: str, width: int) -> alt.TopLevelMixin:
        try:
            return self.figure(name, width=width)
        except UsageError as error:
            needed = _NEEDS[name.partition(".")[0]]
            raise DataError(f"the result has no figure {name!r}: it takes {needed}") from error

    def __repr__(self) -> str:
        lines = [
            f"  .{name}(): {(inspect.getdoc(method) or '').splitlines()[0]}"
            for name, method in vars(Plots).items()
            if callable(method) and not name.startswith("_")
        ]
        return "\n".join(["Figures of a result, each an Altair chart:", *lines])
