"""Tables of named columns, the common form of every kind of file; and JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelscope.corpora.manifest.errors import BrokenRowError, StructureError, shown
from babelscope.corpora.manifest.text import encoding_of, lines_of
from babelscope.errors import BabelscopeError, DataError

#: Bytes of a JSON file that is a single list, not one object a line.
MAX_JSON = 2**28

#: Folders above a manifest's own in which its paths are looked for: recipes name files from where they are run.
_ABOVE = 3

#: A row: its number, and its fields, or what is wrong with it. A path means that what follows comes from that file.
Row = tuple[int, Mapping[str, Any] | BrokenRowError | Path]


@dataclass(frozen=True)
class Table:
    """The rows of a source, read one after the other.

    Attributes
    ----------
    path : Path
        What messages name.
    unit : {"line", "row"}
        What the rows' numbers count.
    columns : tuple of str
        Their names, as they are written.
    rows : iterator
        To be read once.
    first : str
        Where the names of the columns come from, as ``", line 1"``; empty for a header.
    typed : bool
        Whether a missing value differs from an empty text.
    """

    path: Path
    unit: str
    columns: tuple[str, ...]
    rows: Iterator[Row]
    first: str = ""
    typed: bool = False


def read_json_lines(path: Path, encoding: str | None = None) -> Table:
    """Open a file with one JSON object a line; the first one's keys are the columns.

    Raises
    ------
    DataError
        If the first line is no object.
    """
    rows = _objects(path, encoding_of(path, encoding))
    for number, fields in rows:
        if isinstance(fields, BrokenRowError):
            raise fields
        return Table(
            path, "line", tuple(fields), itertools.chain([(number, fields)], rows), f", line {number}", typed=True
        )
    return Table(path, "line", (), iter(()), typed=True)


def _objects(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, Any] | BrokenRowError]]:
    for number, line in enumerate(lines_of(path, encoding), 1):
        if not line.strip():
            continue

        def broken(what: str, remedy: str, number: int = number) -> StructureError:
            return StructureError(path, f"line {number}", what, remedy, kind="broken-json")

        try:
            fields = json.loads(line, object_pairs_hook=_once)
        except _Twice as error:
            yield number, broken(f"has {shown(error.args[0])} twice", "remove one of them")
            continue
        except (ValueError, RecursionError) as error:
            yield number, broken(f"is no JSON ({error})", "write one object a line")
            continue
        if isinstance(fields, dict):
            yield number, fields
        else:
            yield number, broken("is no JSON object", "write one object a line")


def read_json_list(path: Path, encoding: str | None = None) -> Table:
    """Open a file that is one JSON list of objects, which is read as a whole.

    Raises
    ------
    DataError
        If it is too large, or no such list.
    """
    if path.stat().st_size > MAX_JSON:
        raise DataError(f"manifest {path} is a list in JSON of more than {MAX_JSON} bytes: write JSON Lines")
    try:
        items = json.loads("".join(lines_of(path, encoding_of(path, encoding))), object_pairs_hook=_once)
    except _Twice as error:
        raise DataError(f"manifest {path} has an object with {shown(error.args[0])} twice: remove one") from error
    except BabelscopeError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f"manifest {path} is no JSON ({error}): write one object a line") from error
    if not items or not all(isinstance(fields, dict) for fields in items):
        raise DataError(f"manifest {path} is no list of JSON objects: write one object a line")
    return Table(path, "row", tuple(items[0]), iter(list(enumerate(items, 1))), ", row 1", typed=True)


class _Twice(Exception):  # noqa: N818 - says what it is
    """A JSON object has a key twice; the key."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Twice(next(key for key in keys if keys.count(key) > 1))
    return fields


def base_of(folder: Path, audio: str) -> Path:
    """Return the folder from which a relative path is meant: a manifest's own, or one of those above it."""
    bases = (folder, *list(folder.absolute().parents)[:_ABOVE])
    try:
        return next((base for base in bases if (base / audio).is_file()), folder)
    except (OSError, ValueError):
        return folder
