"""Tables in plain text: the separator of fields, and whether quotes are syntax or belong to a text.

CSV is quoted. TSV is not, as the data sets that use it write it (Common Voice, Tatoeba): a quote belongs to the text.
But pandas and table programs quote TSV as well. A TSV file counts as quoted if its header is, or if all of it reads as
written by such a program and either makes no sense without quotes, or holds doubled ones.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from babelscope.corpora.manifest.errors import StructureError
from babelscope.corpora.manifest.tables import Row, Table
from babelscope.corpora.manifest.text import encoding_of, lines_of
from babelscope.corpora.problems import ProblemLog
from babelscope.errors import DataError

_SEPARATORS = {",": "commas", ";": "semicolons", "|": "bars", "\t": "tabs"}
_EXCEL = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


def read_delimited(
    path: Path,
    log: ProblemLog,
    known: Callable[[Sequence[str]], bool],
    *,
    columns: Sequence[str] | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    quoted: bool | None = None,
) -> Table:
    """Open a table in plain text.

    Parameters
    ----------
    path : path
        ``.csv`` is separated by commas, anything else by tabs, unless the first line says otherwise.
    log : ProblemLog
        Collects what was recognised, and fields of several lines.
    known : callable
        Returns whether column names are those of a known layout.
    columns : sequence of str, optional
        Names of the columns of a file without a header.
    separator, encoding, quoted : optional
        Choices that override what is recognised.

    Raises
    ------
    DataError
        If its encoding is unknown, or it cannot be decided whether it is quoted.
    """
    codec = encoding_of(path, encoding)
    if not codec.startswith("utf-8") and encoding is None:
        log.add("encoding", "note", f"manifest {path} is read as {codec.upper()}")
    head = list(islice(lines_of(path, codec), 2))
    named = _EXCEL.fullmatch(head[0]) if head else None
    skipped = 0 if named is None else 1
    usual = "," if path.name.lower().removesuffix(".gz").endswith(".csv") else "\t"
    delimiter = separator or (named[1] if named else "")
    if not delimiter:
        delimiter = usual if columns else _separator("".join(head[:1]), usual, known)
        if delimiter != usual:
            log.add("separator", "note", f"manifest {path} is read as separated by {_SEPARATORS[delimiter]}")

    def lines() -> Iterator[str]:
        return islice(lines_of(path, codec), skipped, None)

    if quoted is None:
        quoted = delimiter in ",;" or _is_quoted(path, lines, delimiter, log)
    rows = (_quoted_rows if quoted else _plain_rows)(path, lines(), delimiter, skipped + 1, log)
    if columns is None:
        _, header = next(rows, (0, []))
        if isinstance(header, StructureError):
            raise header
        columns = [name.strip() for name in header]
    names = tuple(columns)
    return Table(path, "line", names, _named(path, rows, names, delimiter))


def _named(
    path: Path, rows: Iterator[tuple[int, list[str] | StructureError]], columns: tuple[str, ...], delimiter: str
) -> Iterator[Row]:
    for number, fields in rows:
        if isinstance(fields, StructureError):
            yield number, fields
        elif not any(fields):
            continue
        elif len(fields) != len(columns):
            what = f"has {len(fields)} fields for {len(columns)} columns"
            remedy = (
                "quote a field that holds the separator" if delimiter in ",;" else "remove tabs and bars from texts"
            )
            yield number, StructureError(path, f"line {number}", what, remedy, kind="field-count")
        else:
            yield number, dict(zip(columns, fields, strict=True))


def _separator(header: str, usual: str, known: Callable[[Sequence[str]], bool]) -> str:
    """Return what separates the names in a header: the usual character, unless only another one makes sense of it."""
    names = {separator: _header(header, separator) for separator in (usual, *_SEPARATORS)}
    for separator, columns in names.items():
        if known(columns):
            return separator
    return usual if len(names[usual]) > 1 else max(names, key=lambda separator: len(names[separator]))


def _header(line: str, separator: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:
        return []


def _plain_rows(
    path: Path, lines: Iterator[str], delimiter: str, first: int, log: ProblemLog
) -> Iterator[tuple[int, list[str] | StructureError]]:
    for number, line in enumerate(lines, first):
        fields = line.rstrip("\r\n").split(delimiter)
        if '"' in line and any(len(field) > 1 and field[0] == field[-1] == '"' for field in fields):
            log.add(
                "quotes-kept",
                "note",
                f"manifest {path}: fields begin and end with a quote, which is taken to belong to the text",
                "if they were quoted by a program, give quoted = true",
                where=f"line {number}",
            )
        yield number, fields


def _quoted_rows(
    path: Path, lines: Iterator[str], delimiter: str, first: int, log: ProblemLog
) -> Iterator[tuple[int, list[str] | StructureError]]:
    raw: list[str] = []  # lines of the row that is being read

    def kept() -> Iterator[str]:
        for line in lines:
            raw.append(line)
            yield line

    reader = csv.reader(kept(), delimiter=delimiter, strict=True)
    number = first
    while True:
        try:
            fields: list[str] | StructureError = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            last = number + len(raw) - 1
            until = f" (read to line {last}: is a quote not closed?)" if last > number else ""
            remedy = "double the quotes within a field that is in quotes"
            fields = StructureError(path, f"line {number}", f"is no CSV ({error}){until}", remedy, kind="broken-quotes")
        if len(raw) > 1 and isinstance(fields, list):
            _note_spread(path, raw, fields, delimiter, number, log)
        yield number, fields
        number += len(raw)
        raw.clear()


def _note_spread(
    path: Path, raw: Sequence[str], fields: Sequence[str], delimiter: str, number: int, log: ProblemLog
) -> None:
    where = f"lines {number} to {number + len(raw) - 1}"
    if any(line.count(delimiter) >= len(fields) - 1 > 0 for line in raw[1:]):
        log.add(
            "rows-in-a-field",
            "warning",
            f"manifest {path}: a field in quotes spans several lines, of which some look like rows of their own",
            "if they are, double the quotes that belong to texts",
            where=where,
        )
    else:
        log.add(
            "field-of-lines", "note", f"manifest {path}: a field spans several lines, which are joined", where=where
        )


def _is_quoted(path: Path, lines: Callable[[], Iterator[str]], delimiter: str, log: ProblemLog) -> bool:
    """Return whether quotes are syntax in a file whose separator leaves it open; see the module's description."""
    width = 0
    fits = True
    suspicious = False
    for line in lines():
        width = width or line.count(delimiter) + 1
        fits = fits and (line.count(delimiter) + 1 == width or not line.strip())
        suspicious = suspicious or line.startswith('"') or f'{delimiter}"' in line
    if not suspicious:
        return False
    style = _Style(delimiter)
    raw: list[str] = []

    def kept() -> Iterator[str]:
        for line in lines():
            raw.append(line)
            yield line

    try:
        for fields in csv.reader(kept(), delimiter=delimiter, strict=True):
            header = not style.rows
            if fields and len(fields) != width:
                return False
            if fields:
                style.see(fields, "".join(raw))
            if header and style.all_quoted:
                return True
            raw.clear()
    except csv.Error:
        return False
    if not fits:
        return True
    if style.spread or style.broken:
        return False
    if not style.doubled and style.quoted_commas and not style.bare_commas:
        raise DataError(
            f"manifest {path}: line {style.quoted_commas} may be quoted, or its text may begin and end with a quote: "
            "give quoted = true or false"
        )
    return style.doubled


class _Style:
    """How the rows of a file are written, if its quotes are syntax."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self.rows = 0
        self.all_quoted = False
        self.spread = False
        self.broken = False
        self.doubled = False
        self.quoted_commas = 0
        self.bare_commas = False

    def see(self, fields: Sequence[str], line: str) -> None:
        """Look at a row: its fields as they read, and as they are written."""
        self.rows += 1
        self.all_quoted = True
        position = 0
        for field in fields:
            written = field.replace('"', '""')
            quoted = line.startswith(f'"{written}"', position)
            position += len(written) + 3 if quoted else len(field) + 1
            self.all_quoted = self.all_quoted and quoted
            comma = "," in field or ";" in field
            if quoted:
                self.doubled = self.doubled or '"' in field
                self.spread = self.spread or "\n" in field or "\r" in field
                if comma and '"' not in field:
                    self.quoted_commas = self.quoted_commas or self.rows
                elif not comma and '"' not in field and self.delimiter not in field:
                    self.broken = True  # a program quotes what has to be
            else:
                self.broken = self.broken or '"' in field
                self.bare_commas = self.bare_commas or comma
