"""What Common Voice and data sets built on it share: TSV files that are not quoted, and folders of clips."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from babelscope.corpora.manifest.text import encoding_of, lines_of
from babelscope.errors import DataError, did_you_mean
from babelscope.fetch.archives import is_safe_name


def read_tsv(
    path: Path, needed: Sequence[str], broken: Callable[[str], None], *, escaped: bool = False
) -> Iterator[tuple[str, dict[str, str]]]:
    r"""Yield (file and line, fields) for each row of a TSV file with a header, in which quotes are characters.

    Parameters
    ----------
    path : Path
    needed : sequence of str
        Columns that it must have.
    broken : callable
        Told about rows with another number of fields than the header; they are passed over if it returns.
    escaped : bool
        Whether ``\"`` stands for a quote, as pandas writes it.

    Yields
    ------
    tuple of str and dict

    Raises
    ------
    DataError
        If the file is missing, cannot be read, or lacks a column.
    """
    try:
        lines = enumerate(lines_of(path, encoding_of(path)), 1)
        header = next(lines, (1, ""))[1].rstrip("\r\n").split("\t")
        for column in needed:
            if column not in header:
                raise DataError(f"{path} has no column {column!r}: {did_you_mean(column, header)}")
        for number, line in lines:
            fields = line.rstrip("\r\n").split("\t")
            where = f"{path}, line {number}"
            if len(fields) == len(header):
                yield (
                    where,
                    {
                        name: re.sub(r"\\(.)", r"\1", field) if escaped else field
                        for name, field in zip(header, fields, strict=True)
                    },
                )
            elif line.strip():
                broken(f"{where} has {len(fields)} fields, its header {len(header)}")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error


def clip_name(path: str) -> str:
    """Return the file of a clip: early releases leave the suffix out, and some loaders put a folder before the name."""
    name = PurePosixPath(path.replace("\\", "/")).name
    return name if PurePosixPath(name).suffix else f"{name}.mp3"


def plain_clip(where: str, path: str, broken: Callable[[str], None]) -> str | None:
    """Return a clip's file, or None after telling that its name is refused."""
    name = clip_name(path)
    if is_safe_name(name):
        return name
    broken(f"{where} names the clip {path!r}: it must be a plain name")
    return None
