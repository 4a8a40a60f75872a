"""The first screen of a report: a verdict, tiles, a row a language, what to do next and what to trust; no layout.

The page, the Markdown report, the notebook and the terminal show the same content. Nothing is computed here: numbers
are read from the result's tables, each with its place, and a sentence states only what a test of
:mod:`babelscope.gaps` found.
"""

from __future__ import annotations

from babelscope.gaps.result import Result
from babelscope.report.first_screen.content import INSIDE, TILES, FirstScreen
from babelscope.report.first_screen.languages import language_rows
from babelscope.report.first_screen.next_steps import next_steps_of
from babelscope.report.first_screen.tiles import tiles_of
from babelscope.report.first_screen.trust import facts_of
from babelscope.report.first_screen.verdict import verdict_of

__all__ = ["INSIDE", "TILES", "FirstScreen", "first_screen"]


def first_screen(result: Result) -> FirstScreen:
    """Return what a report says first.

    Parameters
    ----------
    result : Result
        Whose tables have row numbers as index, as they are loaded. What it lacks (a result without baselines, findings
        or intervals) is not said.
    """
    tiles, languages = tiles_of(result), language_rows(result)
    return FirstScreen(
        verdict=tuple(verdict_of(result, tiles, languages)),
        tiles=tuple(tiles),
        languages=tuple(languages),
        next_steps=tuple(next_steps_of(result, tiles, languages)),
        trust=tuple(facts_of(result)),
    )
