"""See, layer by layer, where speech and text meet inside multilingual models, and for which languages they don't.

>>> import babelscope
>>> corpus = babelscope.load_corpus("asterisk").select(languages=["en", "fr"], n=40, min_words=4)  # doctest: +SKIP
>>> model = babelscope.load_model("whisper-base+e5-small")  # doctest: +SKIP
>>> activations = babelscope.encode(model, corpus, "results/activations.zarr")  # doctest: +SKIP
>>> result = babelscope.compare(activations)  # doctest: +SKIP
>>> result.save("results"), result.report("results")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from babelscope.lazy_imports import lazy_names

if TYPE_CHECKING:
    from babelscope import corpora, models, similarity
    from babelscope.capture import Activations, encode, open_activations
    from babelscope.corpora import load as load_corpus
    from babelscope.errors import BabelscopeError
    from babelscope.fetch import fetch
    from babelscope.gaps import Result, compare
    from babelscope.models import load as load_model
    from babelscope.publishing import open_result
    from babelscope.report import write_report
    from babelscope.report.notebook import view
    from babelscope.study import Study, run

__version__ = version("babelscope")

__all__ = [
    "Activations",
    "BabelscopeError",
    "Result",
    "Study",
    "compare",
    "corpora",
    "encode",
    "fetch",
    "load_corpus",
    "load_model",
    "models",
    "open_activations",
    "open_result",
    "run",
    "similarity",
    "view",
    "write_report",
]

#: Imported when they are first used, since models bring torch along.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "babelscope.capture": ("Activations", "encode", "open_activations"),
        "babelscope.corpora": ("corpora", "load as load_corpus"),
        "babelscope.errors": ("BabelscopeError",),
        "babelscope.fetch": ("fetch",),
        "babelscope.gaps": ("Result", "compare"),
        "babelscope.models": ("load as load_model", "models"),
        "babelscope.publishing": ("open_result",),
        "babelscope.report": ("write_report",),
        "babelscope.report.notebook": ("view",),
        "babelscope.similarity": ("similarity",),
        "babelscope.study": ("Study", "run"),
    },
)


def _show_results_in_notebooks() -> None:
    """Tell IPython, where it runs, how a result shows itself: results know nothing of reports."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        shell.display_formatter.formatters["text/html"].for_type_by_name(
            "babelscope.gaps.result",
            "Result",
            lambda result: str(importlib.import_module("babelscope.report.notebook").html(result)),
        )


_show_results_in_notebooks()
