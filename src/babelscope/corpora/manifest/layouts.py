"""Which columns of a table say what."""

from __future__ import annotations

from collections.abc import Sequence

from babelscope.corpora.manifest.errors import shown
from babelscope.corpora.manifest.tables import Table
from babelscope.errors import DataError, did_you_mean

_REQUIRED = ("sentence", "language")


def is_known(columns: Sequence[str]) -> bool:
    """Return whether a corpus can be made of columns with these names."""
    return all(column in columns for column in _REQUIRED) and ("text" in columns or "audio" in columns)


def check_columns(table: Table) -> None:
    """Check that nothing is missing.

    Raises
    ------
    DataError
        If a column is missing, or there twice.
    """
    where, found = f"{table.path}{table.first}", list(table.columns)
    for column in _REQUIRED:
        if column not in found:
            raise DataError(f"manifest {where} has no column {column!r}: {did_you_mean(column, found)}")
    if "text" not in found and "audio" not in found:
        raise DataError(f"manifest {where} has neither a column 'text' nor 'audio'")
    twice = {column for column in found if found.count(column) > 1}
    if twice:
        raise DataError(f"manifest {where} has column {shown(min(twice))} twice")
