"""See, layer by layer, where speech and text meet inside multilingual models, and for which languages they don't.

>>> import babelscope
>>> corpus = babelscope.corpora.load("asterisk").select(languages=["en", "fr"], n=40, min_words=4)  # doctest: +SKIP
>>> model = babelscope.models.load("whisper-base+e5-small")  # doctest: +SKIP
>>> activations = babelscope.encode(model, corpus, "results/activations.zarr")  # doctest: +SKIP
>>> result = babelscope.compare(activations)  # doctest: +SKIP
>>> babelscope.write_report(result, "results")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babelscope import corpora, models, similarity
    from babelscope.capture import Activations, encode, open_activations
    from babelscope.errors import BabelscopeError
    from babelscope.fetch import fetch
    from babelscope.gaps import Result, compare
    from babelscope.report import write_report
    from babelscope.report.notebook import view
    from babelscope.study import Study, run

__version__ = version("babelscope")

#: Public names, and the module each comes from; imported when first used, since models bring torch along.
_PUBLIC: dict[str, str] = {
    "Activations": "babelscope.capture",
    "BabelscopeError": "babelscope.errors",
    "Result": "babelscope.gaps",
    "Study": "babelscope.study",
    "compare": "babelscope.gaps",
    "encode": "babelscope.capture",
    "fetch": "babelscope.fetch",
    "open_activations": "babelscope.capture",
    "run": "babelscope.study",
    "view": "babelscope.report.notebook",
    "write_report": "babelscope.report",
}
_MODULES = ("corpora", "models", "similarity")

__all__ = [
    "Activations",
    "BabelscopeError",
    "Result",
    "Study",
    "compare",
    "corpora",
    "encode",
    "fetch",
    "models",
    "open_activations",
    "run",
    "similarity",
    "view",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"babelscope.{name}")
    raise AttributeError(f"module 'babelscope' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, those that are not imported yet too: for completion."""
    return sorted({*globals(), *__all__})


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
