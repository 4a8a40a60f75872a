"""The result of a check of a corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from babelscope.corpora.problems import SEVERITIES, Problem


@dataclass(frozen=True)
class CorpusCheck:
    """The result of a check of a corpus.

    Attributes
    ----------
    corpus : str
        The corpus's name.
    sentences : int
        That the corpus has.
    complete : int
        That have everything in every language.
    modalities : tuple of str
        What "everything" is.
    languages : DataFrame
        One row a language: ``language``, ``texts``, ``recordings``, ``pairs``, ``costs`` (sentences that would be
        complete without the language), ``minutes``, ``median_seconds``, ``longest_seconds``, ``readers``,
        ``letters_per_second`` (median), ``sample_rates`` (of the recordings that were decoded).
    filtered : tuple of (str, int)
        What a study's filters dropped: each filter and its sentences.
    problems : tuple of Problem
        Worst first.
    sampled : tuple of str
        What was not checked completely, a line each.
    clusters : dict
        Sentences that belong together, with the name of their cluster; those that belong to no other are not there.
    """

    corpus: str
    sentences: int
    complete: int
    modalities: tuple[str, ...]
    languages: pd.DataFrame
    filtered: tuple[tuple[str, int], ...] = ()
    problems: tuple[Problem, ...] = ()
    sampled: tuple[str, ...] = ()
    clusters: Mapping[str, str] = field(default_factory=dict)

    @property
    def can_run(self) -> bool:
        """Whether no problem is an error."""
        return all(problem.severity != "error" for problem in self.problems)

    def with_problems(self, problems: Iterable[Problem]) -> CorpusCheck:
        """Return the check with further problems, each kind in its place."""
        return replace(self, problems=sorted_problems([*self.problems, *problems]))


def sorted_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems, the worst first; of one severity the most frequent first."""
    return tuple(sorted(problems, key=lambda problem: (SEVERITIES.index(problem.severity), -problem.count)))


def broken_check(corpus: str, problems: Iterable[Problem]) -> CorpusCheck:
    """Return the check of a corpus of which no row can be used."""
    return CorpusCheck(corpus, 0, 0, (), pd.DataFrame(), problems=sorted_problems(problems))
