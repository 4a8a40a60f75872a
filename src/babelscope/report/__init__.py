"""How it is told: the page, the figures, the charts behind them and the terminal's summary; nothing is computed.

>>> from babelscope.gaps.result import Result
>>> from babelscope.report import write_report
>>> write_report(Result.load("results/demo"), "results/demo")  # doctest: +SKIP
PosixPath('results/demo/report.html')
"""

from babelscope.report.charts import heat_map, layer_curves, retrieval_chart
from babelscope.report.page import render, write_figures, write_report
from babelscope.report.terminal import summary_table

__all__ = ["heat_map", "layer_curves", "render", "retrieval_chart", "summary_table", "write_figures", "write_report"]
