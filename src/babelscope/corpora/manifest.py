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
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from babelscope.audio import seconds_of, seconds_of_member
from babelscope.corpora.corpus import COLUMNS, Corpus
from babelscope.errors import DataError, UsageError, did_you_mean

_REQUIRED = ("sentence", "language")

#: A row: where it stands, for messages ("line 3"), and its fields.
_Row = tuple[str, Mapping[str, Any]]


def load(
    path: Path | str,
    *,
    name: str | None = None,
    title: str = "",
    licence: str = "",
    attribution: str = "",
    allow_short: bool = False,
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
    readers: dict[str, Callable[[Path], Iterator[_Row]]] = {
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
        ".parquet": _read_parquet,
    }
    if path.suffix.lower() not in readers:
        raise UsageError(f"manifest {path} is none of {', '.join(readers)}: convert it")
    if not path.is_file():
        raise UsageError(f"manifest {path} does not exist")
    rows = _Rows(path, allow_short)
    for where, fields in readers[path.suffix.lower()](path):
        rows.add(where, fields)
    if not rows.rows:
        raise DataError(f"manifest {path} has no rows")
    return Corpus(
        pd.DataFrame(rows.rows, columns=list(COLUMNS)),
        name=name or path.stem,
        title=title,
        licence=licence,
        attribution=attribution,
        notes=rows.notes(),
    )


class _Rows:
    """Checks one row after the other, and against those before it."""

    def __init__(self, path: Path, allow_short: bool) -> None:
        self.path = path
        self.allow_short = allow_short
        self.rows: list[tuple[Any, ...]] = []
        self._texts: dict[tuple[str, str], tuple[str, str]] = {}
        self._seen: dict[tuple[str, str, str | None, str | None], str] = {}
        self._archives: dict[Path, zipfile.ZipFile] = {}
        self._short: list[str] = []

    def add(self, where: str, fields: Mapping[str, Any]) -> None:
        sentence = self._name(where, fields, "sentence")
        language = self._name(where, fields, "language")
        text = self._text(where, fields, sentence, language)
        audio, member = self._string(where, fields, "audio"), self._string(where, fields, "member")
        reader = self._string(where, fields, "reader")
        if audio is None and member is not None:
            raise self._broken(where, "member", "is given without an archive in column 'audio'")
        if audio is None and text is None:
            raise self._broken(where, "text", "is empty, and so is 'audio': give one of them or remove the row")
        file = None if audio is None else self.path.parent / Path(audio).expanduser()
        file = None if file is None else Path(os.path.normpath(file))
        key = (sentence, language, None if file is None else str(file), member)
        if key in self._seen:
            what = "the same recording" if file else "a second row without a recording"
            raise self._broken(
                where, "sentence", f"{sentence!r} in language {language!r} has {what} as {self._seen[key]}"
            )
        self._seen[key] = where
        seconds = float("nan") if file is None else self._seconds(where, fields, file, member)
        self.rows.append((sentence, language, text, key[2], member, reader, seconds))

    def notes(self) -> tuple[str, ...]:
        if not self._short:
            return ()
        return (f"{len(self._short)} texts have a single character (first: {self._short[0]}).",)

    def _broken(self, where: str, column: str, what: str) -> DataError:
        return DataError(f"manifest {self.path}, {where}, column {column!r} {what}")

    def _string(self, where: str, fields: Mapping[str, Any], column: str) -> str | None:
        value = fields.get(column)
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return None
        if not isinstance(value, str):
            raise self._broken(where, column, f"is {value!r}: it must be text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self._broken(where, column, "holds half a character (a lone surrogate)") from None
        if "\0" in value:
            raise self._broken(where, column, "holds a NUL character")
        return value

    def _name(self, where: str, fields: Mapping[str, Any], column: str) -> str:
        value = fields.get(column)
        if isinstance(value, int) and not isinstance(value, bool):
            fields = {**fields, column: str(value)}
        name = (self._string(where, fields, column) or "").strip()
        if not name:
            raise self._broken(where, column, "is empty")
        if column == "language" and any(character.isspace() for character in name):
            raise self._broken(where, column, f"is {name!r}: a language is a code without spaces")
        return name

    def _text(self, where: str, fields: Mapping[str, Any], sentence: str, language: str) -> str | None:
        text = self._string(where, fields, "text")
        if text is None:
            if isinstance(fields.get("text"), str) and self.path.suffix.lower() not in (".csv", ".tsv"):
                raise self._broken(where, "text", "is empty: write null where there is none")
            return None
        text = " ".join(text.split())
        if not text:
            raise self._broken(where, "text", "is empty (spaces only)")
        if len(text) == 1:
            if not self.allow_short:
                raise self._broken(
                    where, "text", f"has one character ({text!r}): complete it, or pass allow_short=True"
                )
            self._short.append(f"{sentence!r} in {language!r}")
        earlier = self._texts.setdefault((sentence, language), (text, where))
        if earlier[0] != text:
            raise self._broken(
                where,
                "text",
                f"differs from {earlier[1]} for sentence {sentence!r}, language {language!r}: one cell, one text",
            )
        return text

    def _seconds(self, where: str, fields: Mapping[str, Any], file: Path, member: str | None) -> float:
        if not file.is_file():
            raise self._broken(where, "audio", f"names {file}, which does not exist")
        if not file.stat().st_size:
            raise self._broken(where, "audio", f"names {file}, which is empty")
        given = fields.get("seconds")
        if given is not None and given != "" and not (isinstance(given, float) and math.isnan(given)):
            try:
                seconds = float(given)
            except (TypeError, ValueError):
                seconds = float("nan")
            if not (math.isfinite(seconds) and seconds > 0):
                raise self._broken(where, "seconds", f"is {given!r}: it must be a number above 0")
            return seconds
        try:
            return seconds_of(file) if member is None else self._seconds_of_member(file, member)
        except DataError as error:
            raise self._broken(where, "audio", f"cannot be used: {error}") from error

    def _seconds_of_member(self, file: Path, member: str) -> float:
        if file not in self._archives:
            try:
                self._archives[file] = zipfile.ZipFile(file)
            except (OSError, zipfile.BadZipFile) as error:
                raise DataError(f"{file} is no zip archive ({error})") from error
        try:
            info = self._archives[file].getinfo(member)
        except KeyError:
            raise DataError(f"{file} has no member {member!r}") from None
        return seconds_of_member(info, self._archives[file])


def _check_columns(path: Path, found: list[str], where: str = "") -> None:
    for column in _REQUIRED:
        if column not in found:
            raise DataError(f"manifest {path}{where} has no column {column!r}: {did_you_mean(column, found)}")
    if "text" not in found and "audio" not in found:
        raise DataError(f"manifest {path}{where} has neither a column 'text' nor 'audio'")
    twice = {column for column in found if found.count(column) > 1}
    if twice:
        raise DataError(f"manifest {path}{where} has column {min(twice)!r} twice")


def _decoded(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"manifest {path}, line {line} is not UTF-8: save it in that encoding") from error


def _read_csv(path: Path) -> Iterator[_Row]:
    reader = csv.reader(
        io.StringIO(_decoded(path), newline=""), delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True
    )
    try:
        columns = [column.strip() for column in next(reader, [])]
        _check_columns(path, columns)
        start = reader.line_num + 1
        for fields in reader:
            where, start = f"line {start}", reader.line_num + 1
            if not any(fields):
                continue
            if len(fields) != len(columns):
                raise DataError(
                    f"manifest {path}, {where} has {len(fields)} fields for {len(columns)} columns: "
                    "quote a field that holds the separator"
                )
            yield where, dict(zip(columns, fields, strict=True))
    except csv.Error as error:
        raise DataError(f"manifest {path}, line {reader.line_num} is no CSV ({error})") from error


def _read_json_lines(path: Path) -> Iterator[_Row]:
    for number, line in enumerate(_decoded(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise DataError(f"manifest {path}, {where} is no JSON ({error})") from error
        if not isinstance(fields, dict):
            raise DataError(f"manifest {path}, {where} is no JSON object")
        _check_columns(path, list(fields), f", {where}")
        yield where, fields


def _read_parquet(path: Path) -> Iterator[_Row]:
    try:
        with pq.ParquetFile(path) as file:
            columns = list(file.schema_arrow.names)
            _check_columns(path, columns)
            number = 0
            for batch in file.iter_batches(columns=[column for column in COLUMNS if column in columns]):
                for fields in batch.to_pylist():
                    number += 1
                    yield f"row {number}", fields
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"manifest {path} cannot be read as Parquet ({error})") from error
