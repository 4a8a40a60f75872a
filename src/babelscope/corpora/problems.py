"""What is wrong with a corpus, or worth knowing about it: one problem a kind, with its rows and its remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: From worst to mildest: a study cannot run; its numbers may mislead; worth knowing.
SEVERITIES = ("error", "warning", "note")

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
