"""Problems of a corpus: one for each kind, with its rows and its remedy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

#: From worst to mildest: a study cannot run; its numbers may mislead; worth knowing.
SEVERITIES = ("error", "warning", "note")

#: The kind of a column that is not read although its name suggests that it holds what is missing.
COLUMN_NOT_READ = "column-not-read"

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of problem, with all places where it occurs.

    Attributes
    ----------
    kind : str
        A stable name for programs, as ``"audio-missing"`` or ``"near-duplicate"``.
    severity : {"error", "warning", "note"}
        See :data:`SEVERITIES`.
    message : str
        What is wrong, in one line; it names the file.
    remedy : str
        What to do about it, in one line; empty if there is nothing to do.
    count : int
        How many rows, recordings or sentences it concerns.
    where : tuple of str
        The first of them, as people find them: ``"line 12"``, ``"sentence 's3', language 'en'"``.
    """

    kind: str
    severity: Severity
    message: str
    remedy: str = ""
    count: int = 1
    where: tuple[str, ...] = ()


#: Places that a problem names one by one.
_PLACES = 100


class ProblemLog:
    """Collects problems while data are read: those of one kind and column become a single :class:`Problem`."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Problem] = {}

    def add(
        self, kind: str, severity: Severity, message: str, remedy: str = "", *, where: str = "", about: str = ""
    ) -> None:
        """Count a problem; of those with the same `kind` and `about`, the first one's message stays."""
        before = self._entries.get((kind, about))
        if before is None:
            self._entries[kind, about] = Problem(kind, severity, message, remedy, 1, (where,) if where else ())
            return
        places = (*before.where, where) if where and len(before.where) < _PLACES else before.where
        self._entries[kind, about] = replace(before, count=before.count + 1, where=places)

    def problems(self) -> tuple[Problem, ...]:
        """Return the problems, worst first, otherwise in the order in which they appeared."""
        return tuple(sorted(self._entries.values(), key=lambda problem: SEVERITIES.index(problem.severity)))
