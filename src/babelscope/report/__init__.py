"""How a result is shown: the page, the figures, the charts behind them and the terminal's summary; nothing is computed.

>>> from babelscope.gaps.result import Result
>>> from babelscope.report import write_report
>>> write_report(Result.load("results/demo"), "results/demo")  # doctest: +SKIP
PosixPath('results/demo/report.html')
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from babelscope.lazy_imports import lazy_names

if TYPE_CHECKING:
    from babelscope.report.evidence.curves import layer_curves
    from babelscope.report.evidence.maps import heat_map
    from babelscope.report.evidence.retrieval import retrieval_chart
    from babelscope.report.latex import to_latex
    from babelscope.report.notebook import View, view
    from babelscope.report.page import render, write_figures, write_markdown, write_report
    from babelscope.report.pdf import print_pdf
    from babelscope.report.recordings import Heard, embed
    from babelscope.report.terminal import summary_table

__all__ = [
    "Heard",
    "View",
    "embed",
    "heat_map",
    "layer_curves",
    "print_pdf",
    "render",
    "retrieval_chart",
    "summary_table",
    "to_latex",
    "view",
    "write_figures",
    "write_markdown",
    "write_report",
]

#: Imported when they are first used: a table in the terminal needs no charts.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Heard": "babelscope.report.recordings",
        "View": "babelscope.report.notebook",
        "embed": "babelscope.report.recordings",
        "heat_map": "babelscope.report.evidence.maps",
        "layer_curves": "babelscope.report.evidence.curves",
        "print_pdf": "babelscope.report.pdf",
        "render": "babelscope.report.page",
        "retrieval_chart": "babelscope.report.evidence.retrieval",
        "summary_table": "babelscope.report.terminal",
        "to_latex": "babelscope.report.latex",
        "view": "babelscope.report.notebook",
        "write_figures": "babelscope.report.page",
        "write_markdown": "babelscope.report.page",
        "write_report": "babelscope.report.page",
    },
)
