"""The cells of a corpus as arrays, and how they are named in messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.corpora.corpus import MODALITIES, Corpus
from babelscope.corpora.problems import Problem, Severity

#: Places that a problem names.
MOST_PLACES = 10


class Cells:
    """The cells of a corpus as arrays: which sentences and languages have what."""

    def __init__(self, corpus: Corpus, languages: Sequence[str], modalities: Sequence[str] | None) -> None:
        self.corpus = corpus
        self.sentences = np.array(corpus.sentences, dtype=object)
        self.languages = tuple(languages)
        table = corpus._table
        self.table = table
        self.sentence = pd.Index(corpus.sentences).get_indexer(pd.Index(table["sentence"])).astype(np.int32)
        self.language = pd.Index(languages).get_indexer(pd.Index(table["language"])).astype(np.int32)
        self.seconds = table["seconds"].to_numpy(dtype=np.float64, na_value=np.nan)
        cell = self.sentence.astype(np.int64) * max(len(languages), 1) + self.language
        chosen = self.language >= 0
        self.text_rows = self._first_rows(cell, chosen & table["text"].notna().to_numpy())
        self.audio_rows = np.flatnonzero(chosen & table["audio"].notna().to_numpy())
        self.primary_rows = self._first_rows(cell, chosen & table["audio"].notna().to_numpy())
        self.text_there, self.speech_there = self._there(self.text_rows), self._there(self.primary_rows)
        has = {"text": self.text_there.any(), "speech": self.speech_there.any()}
        self.modalities = tuple(modalities) if modalities else tuple(name for name in MODALITIES if has[name])
        self.there = np.ones_like(self.text_there)
        for name in self.modalities:
            self.there &= self.text_there if name == "text" else self.speech_there

    @staticmethod
    def _first_rows(cell: NDArray[np.int64], rows: NDArray[np.bool_]) -> NDArray[np.int64]:
        numbers = np.flatnonzero(rows)
        return numbers[~pd.Series(cell[numbers]).duplicated().to_numpy()]

    def _there(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        there = np.zeros((len(self.sentences), len(self.languages)), dtype=bool)
        there[self.sentence[rows], self.language[rows]] = True
        return there

    @cached_property
    def here(self) -> NDArray[np.bool_]:
        """Which sentences have anything in any of the languages."""
        return np.asarray((self.text_there | self.speech_there).any(axis=1))

    @cached_property
    def without(self) -> NDArray[np.int64]:
        """How many sentences would be complete without each language."""
        missing = (~self.there).sum(axis=1)[:, None] - ~self.there
        return np.asarray(((missing == 0) & self.here[:, None]).sum(axis=0))

    @cached_property
    def complete(self) -> NDArray[np.bool_]:
        """Which sentences have everything in every language."""
        return np.asarray(self.there.all(axis=1))

    def problem(
        self,
        kind: str,
        severity: Severity,
        rows: Iterable[int],
        message: str,
        remedy: str = "",
        *,
        details: Mapping[int, str] | None = None,
    ) -> Problem:
        """Return the problem of some rows, with the cells of the first of them as its places."""
        rows = list(rows)
        details = details or {}
        places = tuple(f"{self.place(row)}{details.get(row, '')}" for row in rows[:MOST_PLACES])
        return Problem(kind, severity, message, remedy, len(rows), places)

    def place(self, row: int) -> str:
        """Name the cell of a row."""
        return f"sentence {self.sentences[self.sentence[row]]!r}, language {self.languages[self.language[row]]!r}"

    def rows_of(self, rows: NDArray[np.int64], language: int) -> NDArray[np.int64]:
        """Return those of some rows that are of a language."""
        return np.asarray(rows[self.language[rows] == language])


def counted(count: int, singular: str, plural: str) -> str:
    """Return a count with its noun, in the singular or the plural."""
    return f"{count} {singular if count == 1 else plural}"


def listed(names: Sequence[str]) -> str:
    """Return names with commas, the first twelve of many."""
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
