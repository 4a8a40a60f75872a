"""TSV files and clips of Common Voice and of data sets that are built on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from babelscope.corpora.manifest.dialects import read_delimited
from babelscope.corpora.manifest.errors import BrokenRowError
from babelscope.corpora.problems import ProblemLog
from babelscope.errors import DataError, did_you_mean
from babelscope.fetch.archives import is_safe_name


def read_tsv(
    path: Path, needed: Sequence[str], broken: Callable[[str], None], *, escaped: bool = False
) -> Iterator[tuple[str, dict[str, str]]]:
    r"""Yield (file and line, fields) for each row of a TSV file with a header, in which quotes are characters.

    Parameters
    ----------
    needed : sequence of str
        Columns that it must have.
    broken : callable
        Called for rows with another number of fields than the header; they are skipped if it returns.
    escaped : bool
        Whether ``\"`` stands for a quote, as pandas writes it.

    Raises
    ------
    DataError
        If the file is missing, cannot be read, or lacks a column.
    """
    try:
        table = read_delimited(path, ProblemLog(), lambda names: True, separator="\t", quoted=False)
        for column in needed:
            if column not in table.columns:
                raise DataError(f"{path} has no column {column!r}: {did_you_mean(column, table.columns)}")
        for number, row in table.rows:
            if isinstance(row, BrokenRowError):
                broken(f"{path}, line {number} {row.what}")
            elif isinstance(row, Mapping):
                fields = {name: re.sub(r"\\(.)", r"\1", field) if escaped else field for name, field in row.items()}
                yield f"{path}, line {number}", fields
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error


def clip_name(path: str) -> str:
    """Return the file name of a clip: early releases omit the suffix, and some loaders prepend a folder."""
    name = PurePosixPath(path.replace("\\", "/")).name
    return name if PurePosixPath(name).suffix else f"{name}.mp3"


def plain_clip(where: str, path: str, broken: Callable[[str], None]) -> str | None:
    """Return a clip's file; None if its name is refused, which is reported to `broken`."""
    name = clip_name(path)
    if is_safe_name(name):
        return name
    broken(f"{where} names the clip {path!r}: it must be a plain name")
    return None
