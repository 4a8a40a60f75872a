"""The user's own corpus: a CSV, JSON Lines or Parquet file, one row a recording.

Columns
-------
sentence : required
    The id of what is said. Rows with one id are translations of each other, or further recordings of the same.
language : required
    Any code; the same for all rows of a language.
text
    What is said, written in that language. May be given in one row of a cell only.
audio
    A recording: a path, relative to the manifest unless absolute. A row without it is text only.
member
    The recording's name inside `audio`, if that is a zip archive.
reader
    Who reads.
seconds
    Duration; read from the recording's header if left out.

Several rows of one sentence and language are several recordings; the first is the one that studies use.

A manifest is the user's own: its audio may lie anywhere, and paths with ``..`` and absolute ones are taken as they are.
It is read row by row; what stays in memory is the corpus. Text is kept as written but for white space, which is folded:
marks of direction and joiners belong to some scripts. Control characters and lone surrogates belong to none, and are
refused.
"""

from __future__ import annotations

import array
import codecs
import csv
import json
import math
import os
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from babelscope.audio import ARCHIVE_ERRORS, seconds_of, seconds_of_member
from babelscope.corpora.corpus import COLUMNS, Corpus
from babelscope.errors import DataError, UsageError, did_you_mean

#: Rows. A Parquet file of a few kilobytes can claim billions.
MAX_ROWS = 20_000_000
#: Characters of one line; csv's own limit for a field is 131,072.
MAX_LINE = 2**20
#: Characters of a sentence's id, a language's code or a reader's name.
MAX_NAME = 1_000

_REQUIRED = ("sentence", "language")
#: Embeddings, overrides and isolates, which would reorder whatever a name is printed in.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: With which a table program begins a formula; languages are in every CSV file of a study.
_FORMULAS = "=+-@"
_BLOCK = 2**16
#: Broken rows that are named one by one.
_NAMED = 1_000
_SHOWN = 80
#: Byte order marks of what is no UTF-8; UTF-32's little-endian one begins with UTF-16's.
_MARKS = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"),
          (codecs.BOM_UTF16_BE, "UTF-16"))  # fmt: skip

#: A row: its number, and its fields.
_Row = tuple[int, Mapping[str, Any]]


def load(
    path: Path | str,
    *,
    name: str | None = None,
    title: str = "",
    licence: str = "",
    attribution: str = "",
    allow_short: bool = False,
    skip_bad: bool = False,
) -> Corpus:
    """Load a manifest.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv``, ``.jsonl`` (or ``.ndjson``) or ``.parquet``.
    name : str, optional
        The corpus's name; the file's if left out.
    title, licence, attribution : str
        For the report.
    allow_short : bool
        Whether a text of a single character is accepted.
    skip_bad : bool
        Leave out rows with a broken field or recording, and name each in :attr:`Corpus.left_out`. A sentence that then
        lacks a text or recording somewhere is dropped by :meth:`Corpus.select`.

    Returns
    -------
    Corpus

    Raises
    ------
    UsageError
        If the file is missing or of another kind.
    DataError
        If a column is missing or a field is broken: one line that names the file, the row and the column.
    """
    path = Path(path)
    readers: dict[str, tuple[str, Callable[[Path], Iterator[_Row]]]] = {
        ".csv": ("line", _read_csv),
        ".tsv": ("line", _read_csv),
        ".jsonl": ("line", _read_json_lines),
        ".ndjson": ("line", _read_json_lines),
        ".parquet": ("row", _read_parquet),
    }
    if path.suffix.lower() not in readers:
        raise UsageError(f"manifest {path} is none of {', '.join(readers)}: convert it")
    if not path.is_file():
        raise UsageError(f"manifest {path} does not exist")
    unit, read = readers[path.suffix.lower()]
    rows = _Rows(path, unit, allow_short)
    skipped: list[str] = []
    count = 0
    try:
        for number, fields in read(path):
            try:
                rows.add(number, fields)
            except RowError as error:
                if not skip_bad:
                    raise
                count += 1
                if count <= _NAMED:
                    skipped.append(str(error))
    except OSError as error:
        raise DataError(f"manifest {path} cannot be read ({error.strerror or error})") from error
    finally:
        rows.close()
    if count > _NAMED:
        skipped.append(f"manifest {path}: {count - _NAMED} more rows are broken")
    return Corpus(
        rows.table(),
        name=name or path.stem,
        title=title,
        licence=licence,
        attribution=attribution,
        notes=rows.notes(),
        left_out=skipped,
    )


class RowError(DataError):
    """One row of a manifest is broken; it can be left out."""


class _Rows:
    """Checks one row after the other, keeps them in Arrow's columns, and checks them against each other at the end."""

    def __init__(self, path: Path, unit: str, allow_short: bool) -> None:
        self.path = path
        self.unit = unit
        self.allow_short = allow_short
        self._numbers = array.array("q")
        self._open: list[tuple[Any, ...]] = []
        self._blocks: list[pa.Table] = []
        self._files: dict[str, str] = {}
        self._archives: dict[str, zipfile.ZipFile] = {}
        self._short = 0
        self._first_short = ""

    def close(self) -> None:
        for archive in self._archives.values():
            archive.close()

    def add(self, number: int, fields: Mapping[str, Any]) -> None:
        if len(self._numbers) >= MAX_ROWS:
            raise DataError(f"manifest {self.path} has more than {MAX_ROWS} rows: split it")
        sentence = self._name(number, fields, "sentence")
        language = self._name(number, fields, "language")
        text = self._text(number, fields, sentence, language)
        audio, member = self._string(number, fields, "audio"), self._string(number, fields, "member")
        reader = self._string(number, fields, "reader")
        if reader is not None:
            self._check_name(number, "reader", reader)
        if audio is None and member is not None:
            raise self._broken(number, "member", "is given without an archive in column 'audio'")
        if audio is None and text is None:
            raise self._broken(number, "text", "is empty, and so is 'audio': give one of them or remove the row")
        file = None if audio is None else self._file(number, audio)
        seconds = None if file is None else self._seconds(number, fields, file, member)
        self._numbers.append(number)
        self._open.append((sentence, language, text, file, member, reader, seconds))
        if len(self._open) == _BLOCK:
            self._flush()

    def _flush(self) -> None:
        kinds = [pa.large_string()] * (len(COLUMNS) - 1) + [pa.float64()]
        columns = zip(*self._open, strict=True) if self._open else [()] * len(COLUMNS)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
        self._blocks.append(pa.table(arrays, names=list(COLUMNS)))
        self._open.clear()

    def table(self) -> pd.DataFrame:
        """Return the rows.

        Raises
        ------
        DataError
            If there is none, one is there twice, or two texts of one cell differ.
        """
        if not self._numbers:
            raise DataError(f"manifest {self.path} has no rows")
        self._flush()
        table: pd.DataFrame = pa.concat_tables(self._blocks).to_pandas(self_destruct=True, split_blocks=True)
        self._blocks.clear()
        cell = list(_REQUIRED)
        written = table.loc[table["text"].notna(), [*cell, "text"]].drop_duplicates()
        differing = written.index[written.duplicated(cell)]
        if len(differing):
            row = written.loc[differing[0]]
            first = written.index[(written[cell] == row[cell]).all(axis=1)][0]
            raise self._contradicting(
                self._numbers[int(differing[0])],
                "text",
                f"differs from {self.unit} {self._numbers[int(first)]} for sentence {_shown(row['sentence'])}, "
                f"language {_shown(row['language'])}: one cell, one text",
            )
        again = table.duplicated([*cell, "audio", "member"]).to_numpy().nonzero()[0]
        if again.size:
            row = table.iloc[int(again[0])]
            key = [*cell, "audio", "member"]
            same = (table[key].fillna("") == row[key].fillna("")).all(axis=1)
            what = "a second row without a recording" if pd.isna(row["audio"]) else "the same recording"
            raise self._contradicting(
                self._numbers[int(again[0])],
                "sentence",
                f"{_shown(row['sentence'])} in language {_shown(row['language'])} has {what} as "
                f"{self.unit} {self._numbers[int(same.to_numpy().argmax())]}",
            )
        return table

    def notes(self) -> tuple[str, ...]:
        if not self._short:
            return ()
        return (f"{self._short} texts have a single character (first: {self._first_short}).",)

    def _broken(self, number: int, column: str, what: str) -> RowError:
        return RowError(f"manifest {self.path}, {self.unit} {number}, column {column!r} {what}")

    def _contradicting(self, number: int, column: str, what: str) -> DataError:
        """Return the line on rows that contradict each other: which of them to leave out, nobody can tell."""
        return DataError(str(self._broken(number, column, what)))

    def _string(self, number: int, fields: Mapping[str, Any], column: str) -> str | None:
        value = fields.get(column)
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return None
        if not isinstance(value, str):
            raise self._broken(number, column, f"is {_shown(value)}: it must be text")
        if value.isprintable():
            return value
        for character in value:
            kind = unicodedata.category(character)
            if kind == "Cs":
                raise self._broken(number, column, "holds half a character (a lone surrogate)")
            if character == "\0":
                raise self._broken(number, column, "holds a NUL character")
            if kind == "Cc" and not (column == "text" and character.isspace()):
                if column in _REQUIRED and character.isspace() and character not in value.strip():
                    continue
                raise self._broken(number, column, f"holds a control character (U+{ord(character):04X}): remove it")
        return value

    def _name(self, number: int, fields: Mapping[str, Any], column: str) -> str:
        value = fields.get(column)
        if isinstance(value, int) and not isinstance(value, bool):
            fields = {**fields, column: str(value)}
        name = (self._string(number, fields, column) or "").strip()
        if not name:
            raise self._broken(number, column, "is empty")
        if column == "language" and any(character.isspace() for character in name):
            raise self._broken(number, column, f"is {_shown(name)}: a language is a code without spaces")
        if column == "language" and name[0] in _FORMULAS:
            raise self._broken(number, column, f"is {_shown(name)}: a table program would take it for a formula")
        self._check_name(number, column, name)
        return name

    def _check_name(self, number: int, column: str, name: str) -> None:
        if len(name) > MAX_NAME:
            raise self._broken(number, column, f"has {len(name)} characters, more than {MAX_NAME}: shorten it")
        if not name.isprintable():
            for character in name:
                if character in _DIRECTIONS or unicodedata.category(character) in ("Zl", "Zp"):
                    raise self._broken(
                        number,
                        column,
                        f"holds U+{ord(character):04X}, which changes how a line is laid out: remove it",
                    )
            self._check_visible(number, column, name)

    def _check_visible(self, number: int, column: str, value: str) -> None:
        if not any(character.isprintable() and not character.isspace() for character in value):
            raise self._broken(number, column, f"is {_shown(value)}, of which nothing can be seen: complete it")

    def _text(self, number: int, fields: Mapping[str, Any], sentence: str, language: str) -> str | None:
        text = self._string(number, fields, "text")
        if text is None:
            if isinstance(fields.get("text"), str) and self.path.suffix.lower() not in (".csv", ".tsv"):
                raise self._broken(number, "text", "is empty: write null where there is none")
            return None
        text = " ".join(text.split())
        if not text:
            raise self._broken(number, "text", "is empty (spaces only)")
        if not text.isprintable():
            self._check_visible(number, "text", text)
        if len(text) == 1:
            if not self.allow_short:
                raise self._broken(
                    number, "text", f"has one character ({text!r}): complete it, or pass allow_short=True"
                )
            self._short += 1
            self._first_short = self._first_short or f"{sentence!r} in {language!r}"
        return text

    def _file(self, number: int, audio: str) -> str:
        """Return the file's full path; that it is there is looked up once for every name."""
        if (known := self._files.get(audio)) is not None:
            return known
        file = audio
        try:
            file = os.path.normpath(self.path.parent / (Path(audio).expanduser() if audio.startswith("~") else audio))
            state = os.stat(file)  # noqa: PTH116 - a Path for each of a million rows takes longer than the look
        except (OSError, ValueError, RuntimeError):
            state = None
        if state is None or not stat.S_ISREG(state.st_mode):
            raise self._broken(number, "audio", f"names {file}, which does not exist")
        if not state.st_size:
            raise self._broken(number, "audio", f"names {file}, which is empty")
        self._files[audio] = file
        return file

    def _seconds(self, number: int, fields: Mapping[str, Any], file: str, member: str | None) -> float:
        given = fields.get("seconds")
        if given is not None and given != "" and not (isinstance(given, float) and math.isnan(given)):
            try:
                seconds = float(given)
            except (TypeError, ValueError, OverflowError):
                seconds = float("nan")
            if not (math.isfinite(seconds) and seconds > 0):
                raise self._broken(number, "seconds", f"is {_shown(given)}: it must be a number above 0")
            return seconds
        try:
            return seconds_of(file) if member is None else self._seconds_of_member(file, member)
        except DataError as error:
            raise self._broken(number, "audio", f"cannot be used: {error}") from error

    def _seconds_of_member(self, file: str, member: str) -> float:
        if file not in self._archives:
            try:
                self._archives[file] = zipfile.ZipFile(file)
            except ARCHIVE_ERRORS as error:
                raise DataError(f"{file} is no zip archive ({error})") from error
        try:
            info = self._archives[file].getinfo(member)
        except KeyError:
            raise DataError(f"{file} has no member {member!r}") from None
        return seconds_of_member(info, self._archives[file])


def _shown(value: object) -> str:
    said = repr(value)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"


def _check_columns(path: Path, found: list[str], where: str = "") -> None:
    for column in _REQUIRED:
        if column not in found:
            raise DataError(f"manifest {path}{where} has no column {column!r}: {did_you_mean(column, found)}")
    if "text" not in found and "audio" not in found:
        raise DataError(f"manifest {path}{where} has neither a column 'text' nor 'audio'")
    twice = {column for column in found if found.count(column) > 1}
    if twice:
        raise DataError(f"manifest {path}{where} has column {_shown(min(twice))} twice")


def _lines(path: Path) -> Iterator[str]:
    """Yield a text file's lines with their ends, whichever these are, one at a time.

    Raises
    ------
    DataError
        If it is not UTF-8, or a line is longer than :data:`MAX_LINE`.
    """
    with path.open("rb") as raw:
        head = raw.read(4)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            raise DataError(f"manifest {path} is {encoding}, not UTF-8: save it in that encoding")
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            while line := handle.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE:
                    raise DataError(f"manifest {path}, line {number} has more than {MAX_LINE} characters: shorten it")
                yield line
                number += 1
    except UnicodeDecodeError as error:
        raise DataError(
            f"manifest {path}, line {_first_undecoded(path)} is not UTF-8: save it in that encoding"
        ) from error


def _first_undecoded(path: Path) -> int:
    decoder, number = codecs.getincrementaldecoder("utf-8")(), 1
    with path.open("rb") as raw:
        while True:
            chunk = raw.read(_BLOCK)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return number + error.object[: error.start].count(b"\n")
            if not chunk:
                return number
            number += chunk.count(b"\n")


def _read_csv(path: Path) -> Iterator[_Row]:
    reader = csv.reader(_lines(path), delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
    start = 1
    try:
        columns = [column.strip() for column in next(reader, [])]
        _check_columns(path, columns)
        start = reader.line_num + 1
        for fields in reader:
            number, start = start, reader.line_num + 1
            if not any(fields):
                continue
            if len(fields) != len(columns):
                raise DataError(
                    f"manifest {path}, line {number} has {len(fields)} fields for {len(columns)} columns: "
                    "quote a field that holds the separator"
                )
            yield number, dict(zip(columns, fields, strict=True))
    except csv.Error as error:
        until = f" (read to line {reader.line_num}: is a quote not closed?)" if reader.line_num > start else ""
        raise DataError(f"manifest {path}, line {start} is no CSV ({error}){until}") from error


def _read_json_lines(path: Path) -> Iterator[_Row]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            pairs = json.loads(line, object_pairs_hook=_once)
        except _Twice as error:
            raise DataError(f"manifest {path}, {where} has {_shown(error.args[0])} twice") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"manifest {path}, {where} is no JSON ({error})") from error
        if not isinstance(pairs, dict):
            raise DataError(f"manifest {path}, {where} is no JSON object")
        _check_columns(path, list(pairs), f", {where}")
        yield number, pairs


class _Twice(Exception):  # noqa: N818 - says what it is
    """A JSON object has a key twice; the key."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Twice(next(key for key in keys if keys.count(key) > 1))
    return fields


def _read_parquet(path: Path) -> Iterator[_Row]:
    try:
        with pq.ParquetFile(path) as file:
            columns = list(file.schema_arrow.names)
            _check_columns(path, columns)
            if file.metadata.num_rows > MAX_ROWS:
                raise DataError(f"manifest {path} has more than {MAX_ROWS} rows: split it")
            wanted = [column for column in COLUMNS if column in columns]
            number = 0
            for batch in file.iter_batches(batch_size=_BLOCK // 8, columns=wanted):
                for fields in batch.to_pylist():
                    number += 1
                    yield number, fields
    except (pa.ArrowException, OSError, ValueError, ArithmeticError, MemoryError) as error:
        raise DataError(f"manifest {path} cannot be read as Parquet ({error})") from error
