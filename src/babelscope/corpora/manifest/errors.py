"""What is wrong with one row of a manifest."""

from __future__ import annotations

from pathlib import Path

from babelscope.errors import DataError

_SHOWN = 80


class BrokenRowError(DataError):
    """One row of a manifest is broken.

    Parameters
    ----------
    path : path
        The manifest.
    place : str
        ``"line 12"``, or ``"row 12"`` where there are no lines.
    what : str
        What is wrong, as a clause that follows the column, if it is one column's, or the place.
    remedy : str
        What to do.
    kind : str
        As in :class:`~babelscope.corpora.problems.Problem`.
    column : str
        The column, if the problem is one column's.

    Attributes
    ----------
    summary : str
        What is wrong, without the place and the remedy.
    """

    def __init__(self, path: Path, place: str, what: str, remedy: str = "", *, kind: str, column: str = "") -> None:
        self.place, self.what, self.remedy, self.kind, self.column = place, what, remedy, kind, column
        field = f", column {column!r}" if column else ""
        self.summary = f"manifest {path}{field} {what}"
        super().__init__(f"manifest {path}, {place}{field} {what}" + (f": {remedy}" if remedy else ""))


class RowError(BrokenRowError):
    """A row with a broken field or recording: it can be excluded."""


class StructureError(BrokenRowError):
    """A row cannot be separated from its neighbours, or two rows contradict each other: none can be excluded."""


def shown(value: object) -> str:
    """Return a value as messages quote it, shortened."""
    quoted = repr(value)
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}…"


class RefusedError(Exception):
    """A row that a layout cannot translate: the clause, the remedy and the kind of :class:`RowError`."""

    def __init__(self, what: str, remedy: str, *, kind: str) -> None:
        self.what, self.remedy, self.kind = what, remedy, kind
        super().__init__(what)
