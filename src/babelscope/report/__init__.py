"""How it is told: the page, the figures, the charts behind them and the terminal's summary; nothing is computed.

>>> from babelscope.gaps.result import Result
>>> from babelscope.report import write_report
>>> write_report(Result.load("results/demo"), "results/demo")  # doctest: +SKIP
PosixPath('results/demo/report.html')
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babelscope.report.charts import heat_map, layer_curves, retrieval_chart
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
_HOME = {
    "Heard": "recordings",
    "View": "notebook",
    "embed": "recordings",
    "heat_map": "charts",
    "layer_curves": "charts",
    "print_pdf": "pdf",
    "render": "page",
    "retrieval_chart": "charts",
    "summary_table": "terminal",
    "to_latex": "latex",
    "view": "notebook",
    "write_figures": "page",
    "write_markdown": "page",
    "write_report": "page",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
