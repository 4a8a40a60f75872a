"""One study: a corpus, a model and measures, written in one TOML file, run into one folder of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from babelscope.lazy_imports import lazy_names

if TYPE_CHECKING:
    from babelscope.study.corpus import build_corpus
    from babelscope.study.model import build_model
    from babelscope.study.preflight import check_start, checked_corpus
    from babelscope.study.running import Outcome, run
    from babelscope.study.settings import SET, Study, presets, schema

__all__ = [
    "SET",
    "Outcome",
    "Study",
    "build_corpus",
    "build_model",
    "check_start",
    "checked_corpus",
    "presets",
    "run",
    "schema",
]

#: Imported when they are first used: a check of a large corpus needs no model, and no torch.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "babelscope.study.corpus": ("build_corpus",),
        "babelscope.study.model": ("build_model",),
        "babelscope.study.preflight": ("check_start", "checked_corpus"),
        "babelscope.study.running": ("Outcome", "run"),
        "babelscope.study.settings": ("SET", "Study", "presets", "schema"),
    },
)
