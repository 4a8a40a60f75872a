"""Search by meaning: any language, text or speech, to any, in the space that a model's two sides share.

>>> from babelscope import models, search
>>> index = search.Index.create("my-index", search.Embedder(models.load("pocket")))  # doctest: +SKIP
>>> index.add(search.items_of("recordings"))  # doctest: +SKIP
>>> index.find("please enter your password", k=5)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from babelscope.lazy_imports import lazy_names

if TYPE_CHECKING:
    from babelscope.search.evaluation import evaluate
    from babelscope.search.index import Index
    from babelscope.search.items import Item, items_of
    from babelscope.search.page import write_page
    from babelscope.search.vectors import Embedder

__all__ = ["Embedder", "Index", "Item", "evaluate", "items_of", "write_page"]

#: Imported when they are first used: errors in a source are reported before torch is imported.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "babelscope.search.evaluation": ("evaluate",),
        "babelscope.search.index": ("Index",),
        "babelscope.search.items": ("Item", "items_of"),
        "babelscope.search.page": ("write_page",),
        "babelscope.search.vectors": ("Embedder",),
    },
)
