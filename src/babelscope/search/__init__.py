"""Search by meaning: any language, text or speech, to any, in the space that a model's two sides share.

>>> from babelscope import models, search
>>> index = search.Index.create("my-index", search.Embedder(models.load("pocket")))  # doctest: +SKIP
>>> index.add(search.items_of("recordings"))  # doctest: +SKIP
>>> index.find("please enter your password", k=5)  # doctest: +SKIP
"""

from __future__ import annotations

from babelscope.search.evaluate import evaluate
from babelscope.search.index import Index
from babelscope.search.items import Item, items_of
from babelscope.search.page import write_page
from babelscope.search.vectors import Embedder

__all__ = ["Embedder", "Index", "Item", "evaluate", "items_of", "write_page"]
