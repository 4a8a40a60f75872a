"""Which sentences and languages lack something, and what each language costs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from babelscope.corpora.checks.cells import MOST_PLACES, Cells, counted, listed
from babelscope.corpora.problems import Problem

#: Kinds of problems because of which no sentence is left.
EMPTY = frozenset({"language-without-pairs", "no-complete-sentence"})


def coverage(cells: Cells) -> Iterable[Problem]:
    """Yield problems of sentences that lack something."""
    names = {"text": "text", "speech": "recording"}
    what = names[cells.modalities[0]] if len(cells.modalities) == 1 else "pair of text and recording"
    empty = [name for name, count in zip(cells.languages, cells.there.sum(axis=0), strict=True) if not count]
    if empty:
        yield Problem(
            "language-without-pairs",
            "error",
            f"{counted(len(empty), 'language has', 'languages have')} no {what}: {listed(empty)}",
            f"leave {'it' if len(empty) == 1 else 'them'} out of languages in [corpus]",
            len(empty),
            tuple(f"language {name!r}" for name in empty[:MOST_PLACES]),
        )
    complete, sentences = int(cells.complete.sum()), int(cells.here.sum())
    if not sentences or complete == sentences:
        return
    lacking = np.flatnonzero(cells.here & ~cells.complete)
    first = [(number, int(np.flatnonzero(~cells.there[number])[0])) for number in lacking[:MOST_PLACES].tolist()]
    places = tuple(f"sentence {cells.sentences[row]!r}, language {cells.languages[own]!r}" for row, own in first)
    if not complete and not empty:
        yield Problem(
            "no-complete-sentence",
            "error",
            f"no sentence has a {what} in every language",
            "choose fewer languages in [corpus], or complete the sentences",
            sentences,
            places,
        )
    elif complete:
        yield Problem(
            "incomplete-sentences",
            "note",
            f"{len(lacking)} of {sentences} sentences lack a {what} in some language; a study drops them",
            "",
            len(lacking),
            places,
        )
    if len(cells.languages) < 3:
        return
    without = dict(zip(cells.languages, cells.without.tolist(), strict=True))
    name = max(without, key=lambda key: without[key])
    if without[name] >= 2 * complete and name not in empty and without[name]:
        yield Problem(
            "language-costs-most",
            "warning",
            f"{name!r} has few of the sentences: with it {complete} sentences are complete, without it {without[name]}",
            f"leave {name!r} out of languages in [corpus], or complete its sentences",
            without[name] - complete,
            (f"language {name!r}",),
        )
