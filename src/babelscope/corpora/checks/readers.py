"""Readers and languages: they are confounded where a language has a single reader."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from babelscope.corpora.checks.cells import MOST_PLACES, Cells, counted, listed
from babelscope.corpora.problems import Problem


def readers_of(cells: Cells) -> dict[str, list[str]]:
    """Return who reads the first recordings of each language, as far as the corpus says."""
    rows = cells.primary_rows
    names = cells.table["reader"].iloc[rows]
    known = (names.notna() & (names != "")).to_numpy(dtype=bool)
    frame = pd.DataFrame({"language": cells.language[rows[known]], "reader": names[known].to_numpy(dtype=object)})
    by_language: dict[str, list[str]] = {name: [] for name in cells.languages}
    for language, reader in frame.drop_duplicates().itertuples(index=False):
        by_language[cells.languages[int(language)]].append(str(reader))
    return by_language


def readers(cells: Cells) -> Iterable[Problem]:
    """Yield problems of readers: language and reader are confounded if a language has one reader."""
    spoken = [name for name, count in zip(cells.languages, cells.speech_there.sum(axis=0), strict=True) if count]
    readers = {name: names for name, names in readers_of(cells).items() if name in spoken}
    unknown = [name for name, names in readers.items() if not names]
    alone = [name for name, names in readers.items() if len(names) == 1]
    if unknown:
        yield Problem(
            "readers-unknown",
            "note",
            f"the corpus does not say who reads {listed(unknown)}: a difference between languages in speech may be "
            "one between voices",
            "add a column 'reader'",
            len(unknown),
            tuple(f"language {name!r}" for name in unknown[:MOST_PLACES]),
        )
    if len(spoken) < 2:
        return
    if alone:
        yield Problem(
            "one-reader",
            "warning",
            f"one reader reads each of {listed(alone)}: a difference between languages in speech may be one between "
            "voices",
            "add recordings of other readers, or interpret such differences with care",
            len(alone),
            tuple(f"language {name!r}, reader {readers[name][0]!r}" for name in alone[:MOST_PLACES]),
        )
    counts: dict[str, int] = {}
    for names in readers.values():
        for reader in names:
            counts[reader] = counts.get(reader, 0) + 1
    shared = [reader for reader, count in counts.items() if count > 1]
    if shared:
        yield Problem(
            "readers-shared",
            "note",
            f"{counted(len(shared), 'reader reads', 'readers read')} more than one language: {listed(shared)}",
            "if they are different people, give them different names",
            len(shared),
            tuple(f"reader {name!r}" for name in shared[:MOST_PLACES]),
        )
    elif not unknown and not alone:
        yield Problem(
            "readers-disjoint",
            "note",
            "no reader reads two languages: the voices differ wherever the languages do",
            "",
            len(counts),
        )
