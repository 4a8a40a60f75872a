"""Problems of texts: their scripts and letters, and which are the same or nearly the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.corpora.checks.cells import MOST_PLACES, Cells, counted, listed
from babelscope.corpora.checks.wording import (
    FEWEST_LETTERS,
    SCRIPTS,
    duplicates,
    near_duplicates,
    read_wordings,
    scripts_of,
)
from babelscope.corpora.problems import Problem, Severity
from babelscope.progress import Progress


class Texts:
    """The texts of all cells, read language by language."""

    def __init__(self, cells: Cells, progress: Progress) -> None:
        self.cells = cells
        self.letters = np.zeros(len(cells.table), dtype=np.int32)
        self.hashes = np.zeros(len(cells.table), dtype=np.int64)
        self.incomplete: list[str] = []
        self._same: dict[str, NDArray[np.int64]] = {}
        self.near: dict[str, NDArray[np.int64]] = {}
        self._foreign: dict[str, tuple[int, int, list[int]]] = {}
        self._no_letters: list[int] = []
        self._single: list[int] = []
        for number, language in enumerate(cells.languages):
            progress("reading texts", number, len(cells.languages))
            rows = cells.rows_of(cells.text_rows, number)
            if len(rows):
                self._add(language, rows)

    def _add(self, language: str, rows: NDArray[np.int64]) -> None:
        texts = self.cells.table["text"]
        wordings = read_wordings(lambda first, last: texts.iloc[rows[first:last]].tolist(), len(rows), language)
        self.letters[rows] = wordings.letters
        self.hashes[rows] = wordings.hashes
        self._no_letters += rows[wordings.letters == 0].tolist()
        self._single += rows[wordings.letters == 1].tolist()
        first = duplicates(wordings)
        again = np.flatnonzero((first != np.arange(len(first))) & (wordings.letters > 0))
        self._same[language] = np.stack([rows[first[again]], rows[again]], axis=1)
        pairs, complete = near_duplicates(wordings, lambda numbers: texts.iloc[rows[numbers]].tolist())
        self.near[language] = rows[pairs]
        if not complete:
            self.incomplete.append(
                f"near duplicates in {language!r}: only some candidates were compared, so there may be more"
            )
        foreign = wordings.foreign >= 0
        if foreign.any():
            most = int(np.bincount(wordings.foreign[foreign]).argmax())
            self._foreign[language] = (most, len(rows), rows[foreign].tolist())

    @property
    def pairs(self) -> NDArray[np.int64]:
        """All pairs of rows with the same or nearly the same text in one language."""
        none = np.zeros((0, 2), dtype=np.int64)
        return np.concatenate([none, *self._same.values(), *self.near.values()])

    def problems(self) -> Iterable[Problem]:
        """Yield the problems of the texts themselves."""
        cells = self.cells
        few: tuple[tuple[str, Severity, list[int], str, str], ...] = (
            ("text-without-letters", "warning", self._no_letters, "no letter and no digit",
             "complete these texts, or remove the sentences"),
            ("one-character-text", "note", self._single, "a single letter or digit", ""),
        )  # fmt: skip
        for kind, severity, rows, what, remedy in few:
            if rows:
                message = f"{counted(len(rows), 'text has', 'texts have')} {what}"
                yield cells.problem(kind, severity, rows, message, remedy)
        for language, (script, texts, rows) in self._foreign.items():
            yield cells.problem(
                "wrong-script",
                "warning",
                rows,
                f"{len(rows)} of {texts} texts in {language!r} are not written in its script "
                f"({' or '.join(scripts_of(language))}), but mostly in {SCRIPTS[script] or 'another'}",
                "check the language's code and the column of texts",
            )
        same = np.concatenate([np.zeros((0, 2), dtype=np.int64), *self._same.values()])
        if len(same):
            yield Problem(
                "duplicate-text",
                "warning",
                f"{counted(len(same), 'text repeats', 'texts repeat')} another sentence's text in the same language "
                f"(but for case, spaces and punctuation): {by_language(self._same)}",
                "set distinct = true in [corpus] to keep the first sentence of each text",
                len(same),
                self.pair_places(same),
            )
        yield from self._untranslated()

    def _untranslated(self) -> Iterable[Problem]:
        cells = self.cells
        rows = cells.text_rows[self.letters[cells.text_rows] >= FEWEST_LETTERS]
        frame = pd.DataFrame({"sentence": cells.sentence[rows], "wording": self.hashes[rows]})
        again = rows[frame.duplicated().to_numpy()]
        if len(again):
            languages = [cells.languages[number] for number in np.unique(cells.language[again])]
            yield cells.problem(
                "untranslated",
                "warning",
                again.tolist(),
                f"{counted(len(again), 'text is', 'texts are')} the same in two languages of one sentence, the second "
                f"of them {listed(languages)}",
                "check whether these are translations; remove the sentences if not",
            )

    def pair_places(self, pairs: NDArray[np.int64]) -> tuple[str, ...]:
        """Name the sentences of the first of some pairs of rows."""
        return tuple(
            f"sentences {self.cells.sentences[self.cells.sentence[a]]!r} and "
            f"{self.cells.sentences[self.cells.sentence[b]]!r}, language "
            f"{self.cells.languages[self.cells.language[a]]!r}"
            for a, b in pairs[:MOST_PLACES].tolist()
        )


def by_language(pairs: Mapping[str, NDArray[np.int64]]) -> str:
    """Return how many there are in each language that has any, the most first."""
    counts = sorted(((len(rows), language) for language, rows in pairs.items() if len(rows)), reverse=True)
    return listed([f"{language} {count}" for count, language in counts])
