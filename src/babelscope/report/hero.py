"""The chart of the first screen: similarity over depth with null, baseline, ceiling and interval, stages named."""

from __future__ import annotations

from babelscope.gaps.result import Result
from babelscope.report import queries
from babelscope.report.evidence import curves
from babelscope.report.figure import WIDE, Figure

#: More languages than this are not drawn one by one on the first screen.
MOST_LANGUAGES = 12


def hero(result: Result) -> Figure | None:
    """Return the leading measure of speech and text along the depth; of another kind where there is none of that."""
    measure = queries.leading_measure(result)
    for kind in queries.kinds(result):
        if measure is None or (said := curves.sentence(result, kind, measure)) is None:
            continue
        each = len(queries.groups(result, kind)) <= MOST_LANGUAGES

        def draw(width: int, kind: str = kind, measure: str = measure, each: bool = each) -> object:
            return curves.layer_curves(
                result, kind, measure, each=each, width=width, height=220 if width >= WIDE else 200
            )

        rows = queries.curve(result, kind, measure)
        return Figure("similarity", draw, rows, said, curves.panel_text(result, kind, measure))
    return None
