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
        "babelscope.report.evidence.curves": ("layer_curves",),
        "babelscope.report.evidence.maps": ("heat_map",),
        "babelscope.report.evidence.retrieval": ("retrieval_chart",),
        "babelscope.report.latex": ("to_latex",),
        "babelscope.report.notebook": ("View", "view"),
        "babelscope.report.page": ("render", "write_figures", "write_markdown", "write_report"),
        "babelscope.report.pdf": ("print_pdf",),
        "babelscope.report.recordings": ("Heard", "embed"),
        "babelscope.report.terminal": ("summary_table",),
    },
)
