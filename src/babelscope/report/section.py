"""A section of the report: a question, its answer in one sentence, one figure, and evidence on demand.

A section is one file and one registration: a function that reads a result and returns a :class:`Section`, or None where
the result has nothing to say, decorated with :func:`section`. Page, Markdown and the files of figures go through the
registered sections; nothing else has to be told. Packages add theirs by an entry point of the group
``babelscope.report_sections`` that names the module.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from babelscope.gaps.result import Result
from babelscope.lazy_imports import load_entries
from babelscope.report.figure import Figure

__all__ = ["Column", "Evidence", "Section", "Table", "figures_of", "gather", "section"]

#: Entry-point group in which other packages offer sections.
GROUP = "babelscope.report_sections"


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and whether it holds numbers."""

    title: str
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A table: the same in the page, where a click on a heading sorts it, and in Markdown.

    Attributes
    ----------
    caption : str
    columns : tuple of Column
        The first names the row.
    rows : tuple of tuple
        Cells: texts, numbers that know their place (:class:`~babelscope.gaps.traced.Number`) or sentences.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Evidence:
    """What stands behind an answer, shown on demand.

    Attributes
    ----------
    title : str
    blocks : tuple
        Of sentences, tables and figures, in the order in which they are shown.
    """

    title: str
    blocks: tuple[Any, ...]


@dataclass(frozen=True)
class Section:
    """A question of the report and its answer.

    Attributes
    ----------
    name : str
        Anchor in the page.
    question : str
    sentences : tuple of Sentence
        The answer: one sentence, two at most.
    figure : Figure or None
    table : Table or None
        Shown without being asked for; most sections have none.
    evidence : tuple of Evidence
    """

    name: str
    question: str
    sentences: tuple[Any, ...] = ()
    figure: Figure | None = None
    table: Table | None = None
    evidence: tuple[Evidence, ...] = ()


Maker = Callable[[Result], Section | None]
M = TypeVar("M", bound=Maker)

_MAKERS: dict[str, tuple[int, Maker]] = {}


def section(order: int) -> Callable[[M], M]:
    """Make a section known (decorator); sections are shown by ascending `order`, the built-in ones at 10, 20, ..."""

    def known(maker: M) -> M:
        _MAKERS[f"{maker.__module__}.{maker.__qualname__}"] = (order, maker)
        return maker

    return known


@cache
def _loaded() -> None:
    from babelscope.report import sections

    for module in pkgutil.iter_modules(sections.__path__):
        importlib.import_module(f"{sections.__name__}.{module.name}")
    load_entries(GROUP, "report section")


def gather(result: Result) -> list[Section]:
    """Return the sections that a result has something to say in, in their order."""
    _loaded()
    made = (maker(result) for _, maker in sorted(_MAKERS.values(), key=lambda known: known[0]))
    return [one for one in made if one is not None]


def figures_of(sections: list[Section]) -> Iterator[Figure]:
    """Yield every figure: those that are shown, and those of the evidence."""
    for one in sections:
        if one.figure is not None:
            yield one.figure
        for evidence in one.evidence:
            yield from (block for block in evidence.blocks if isinstance(block, Figure))
