"""Parallel corpora of texts and recordings.

A :class:`Corpus` is an immutable view on one table, one row a recording; a filter (:meth:`Corpus.select`) returns
another. Each source is one file here, or one entry point of group ``babelscope.corpora`` in any installed package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from babelscope.corpora.sources import GROUP, SOURCES, load, sources, takes
from babelscope.lazy_imports import lazy_names

if TYPE_CHECKING:
    from babelscope.audio import Recording
    from babelscope.corpora.corpus import COLUMNS, OPTIONAL_COLUMNS, Corpus
    from babelscope.corpora.problems import Problem
    from babelscope.corpora.words import count_words

__all__ = [
    "COLUMNS",
    "GROUP",
    "OPTIONAL_COLUMNS",
    "SOURCES",
    "Corpus",
    "Problem",
    "Recording",
    "count_words",
    "load",
    "sources",
    "takes",
]

#: Imported when they are first used: names of corpora need no tables.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "babelscope.audio": ("Recording",),
        "babelscope.corpora.corpus": ("COLUMNS", "OPTIONAL_COLUMNS", "Corpus"),
        "babelscope.corpora.problems": ("Problem",),
        "babelscope.corpora.words": ("count_words",),
    },
)
