"""Checks each row, its fields and the length of its recording, and keeps them in Arrow columns."""

from __future__ import annotations

import array
import math
import os
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from babelscope.audio import ARCHIVE_ERRORS, MIN_SECONDS, seconds_of, seconds_of_member
from babelscope.corpora.corpus import COLUMNS, OPTIONAL_COLUMNS
from babelscope.corpora.manifest.errors import RowError, shown
from babelscope.corpora.problems import ProblemLog
from babelscope.errors import DataError

#: Rows. A Parquet file of a few kilobytes can claim billions.
MAX_ROWS = 20_000_000
#: Characters of a sentence's id, a language's code or a reader's name.
MAX_NAME = 1_000
#: Recordings whose headers are read when a manifest gives their durations.
SAMPLE = 200

_REQUIRED = ("sentence", "language")
_NAMES = (*_REQUIRED, "reader", "cluster")
#: Embeddings, overrides and isolates, which would reorder whatever a name is printed in.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: First characters of formulas in table programs; languages are in every CSV file of a study.
_FORMULAS = "=+-@"
_BLOCK = 2**16
#: Durations that are kept, for rows that share a recording.
_DURATIONS = 2**16
#: Seconds by which a segment may end after its file: times are often rounded.
_ROUNDING = 0.01
_WHOLE = 0.1
#: A duration disagrees with a header if it is so far off, in seconds and relative to the header's.
_OFF, _OFF_RELATIVE = 0.1, 0.05

_KINDS = {
    column: pa.float64() if column in ("seconds", "start") else pa.large_string()
    for column in (*COLUMNS, *OPTIONAL_COLUMNS)
}


class Lengths:
    """Durations of recordings by their headers; archives stay open until :meth:`close`."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], float] = {}
        self._archives: dict[str, zipfile.ZipFile] = {}

    def of(self, file: str, member: str | None) -> float:
        """Return a duration in seconds.

        Raises
        ------
        DataError
            If there is no such recording, or it is damaged.
        """
        if (known := self._known.get((file, member))) is None:
            known = seconds_of(file) if member is None else self._of_member(file, member)
            if len(self._known) >= _DURATIONS:
                self._known.clear()
            self._known[file, member] = known
        return known

    def _of_member(self, file: str, member: str) -> float:
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

    def close(self) -> None:
        """Close the archives."""
        for archive in self._archives.values():
            archive.close()
        self._archives.clear()


class Rows:
    """Checks rows one by one, and keeps them.

    Parameters
    ----------
    path : path
        The file that messages name; :meth:`enter` changes it.
    unit : {"line", "row"}
        What numbers count.
    log : ProblemLog
        Collects remarks.
    refuse_empty_text : bool
        Whether an empty text is an error; otherwise there is no text.

    Attributes
    ----------
    lengths : Lengths
        Of recordings, by their headers; to be closed.
    timed : bool
        Whether a row gives its duration.
    """

    def __init__(self, path: Path, unit: str, log: ProblemLog, *, refuse_empty_text: bool = False) -> None:
        self.path = path
        self._folder = str(path.parent)
        self.unit = unit
        self.log = log
        self.refuse_empty_text = refuse_empty_text
        self._numbers = array.array("q")
        self._paths: list[tuple[int, Path]] = []
        self._open: list[tuple[Any, ...]] = []
        self._blocks: list[pa.Table] = []
        self._files: dict[str, str] = {}
        self._accepted: dict[str, dict[str, str | None]] = {name: {} for name in _NAMES}
        self.lengths = Lengths()
        self.timed = False
        self._short = 0
        self._first_short = ""

    def __len__(self) -> int:
        return len(self._numbers)

    def enter(self, path: Path) -> None:
        """Continue with another file."""
        self._paths.append((len(self._numbers), self.path))
        self.path = path
        self._folder = str(path.parent)
        self._files.clear()

    def place(self, index: int) -> tuple[Path, str]:
        """Return the file of the row at `index`, and its place in it."""
        path = next((path for end, path in self._paths if index < end), self.path)
        return path, f"{self.unit} {self._numbers[index]}"

    def add(self, number: int, fields: Mapping[str, Any]) -> None:
        """Check a row and keep it.

        Raises
        ------
        RowError
            If a field or its recording is broken.
        DataError
            If there are more than :data:`MAX_ROWS`.
        """
        if len(self._numbers) >= MAX_ROWS:
            raise DataError(f"manifest {self.path} has more than {MAX_ROWS} rows: split it")
        sentence = self._checked(number, fields, "sentence", self._name)
        language = self._checked(number, fields, "language", self._name)
        text = self._text(number, fields, sentence, language)
        audio, member = self._string(number, fields, "audio"), self._string(number, fields, "member")
        reader = self._checked(number, fields, "reader", self._label)
        cluster = self._checked(number, fields, "cluster", self._label)
        if audio is None and member is not None:
            what = "is given without an archive in column 'audio'"
            raise self._broken(number, "member", what, "name the archive", kind="no-archive")
        if audio is None and text is None:
            raise self._broken(
                number, "text", "is empty, and so is 'audio'", "give one of them or remove the row", kind="empty-row"
            )
        file = start = seconds = None
        if audio is not None:
            file = self._file(number, audio)
            start, seconds = self._extent(number, fields, file, member)
        if text is not None and len(text) == 1:
            self._short += 1
            self._first_short = self._first_short or f"{sentence!r} in {language!r}"
        self._numbers.append(number)
        self._open.append((sentence, language, text, file, member, reader, seconds, start, cluster))
        if len(self._open) == _BLOCK:
            self._flush()

    def _flush(self) -> None:
        columns = zip(*self._open, strict=True) if self._open else [()] * len(_KINDS)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, _KINDS.values(), strict=True)]
        self._blocks.append(pa.table(arrays, names=list(_KINDS)))
        self._open.clear()

    def table(self) -> pd.DataFrame:
        """Return the rows, and release them.

        Raises
        ------
        DataError
            If there is none.
        """
        if not self._numbers:
            raise DataError(f"manifest {self.path} has no rows")
        self._flush()
        table: pd.DataFrame = pa.concat_tables(self._blocks).to_pandas(self_destruct=True, split_blocks=True)
        self._blocks.clear()
        return table

    def check_durations(self, table: pd.DataFrame, name: str, most: int | None) -> None:
        """Compare durations that rows give with the headers of `most` whole recordings, spread evenly; None for all."""
        whole = table.loc[table["audio"].notna() & table["start"].isna(), ["audio", "member", "seconds"]]
        chosen = np.arange(len(whole))
        if most is not None and len(whole) > most:
            chosen = np.unique(np.linspace(0, len(whole) - 1, most).round().astype(int))
        for index, file, member, seconds in whole.iloc[chosen].itertuples(name=None):
            try:
                length = self.lengths.of(file, None if pd.isna(member) else member)
            except DataError as error:
                message = f"{name}: a recording cannot be read: {error}"
                self.log.add(
                    "audio-broken", "error", message, "get it again, or remove its row", where=self.place(index)[1]
                )
                continue
            if abs(length - seconds) <= max(_OFF, _OFF_RELATIVE * length):
                continue
            unit = f"; are they {kind}?" if (kind := _unit(seconds / length)) else ""
            message = f"{name}, column 'seconds' says {seconds:g} for {file}, which lasts {length:.2f} s{unit}"
            remedy = "correct the column, or remove it: durations are then read from the recordings"
            self.log.add("seconds-disagree", "warning", message, remedy, where=self.place(index)[1])
        self.lengths.close()

    def notes(self) -> tuple[str, ...]:
        """Return caveats for the results of a study."""
        if not self._short:
            return ()
        return (f"{self._short} texts have a single character (first: {self._first_short}).",)

    def _broken(self, number: int, column: str, what: str, remedy: str = "", *, kind: str) -> RowError:
        return RowError(self.path, f"{self.unit} {number}", what, remedy, kind=kind, column=column)

    def _string(self, number: int, fields: Mapping[str, Any], column: str) -> str | None:
        value = fields.get(column)
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return None
        if not isinstance(value, str):
            raise self._broken(number, column, f"is {shown(value)}", "it must be text", kind="not-text")
        if value.isprintable():
            return value
        for character in value:
            category = unicodedata.category(character)
            if category == "Cs":
                what = "holds half a character (a lone surrogate)"
                raise self._broken(number, column, what, "remove it", kind="control-character")
            if character == "\0":
                raise self._broken(number, column, "holds a NUL character", "remove it", kind="control-character")
            if category == "Cc" and not (column == "text" and character.isspace()):
                if column in _REQUIRED and character.isspace() and character not in value.strip():
                    continue
                what = f"holds a control character (U+{ord(character):04X})"
                raise self._broken(number, column, what, "remove it", kind="control-character")
        return value

    def _checked(
        self, number: int, fields: Mapping[str, Any], column: str, check: Callable[[int, Mapping[str, Any], str], Any]
    ) -> Any:
        """Return the checked value of a field; results are cached by text."""
        value = fields.get(column)
        if not isinstance(value, str):
            return check(number, fields, column)
        known = self._accepted[column]
        if value not in known:
            checked = check(number, fields, column)
            if len(known) >= _BLOCK:
                known.clear()
            known[value] = checked
        return known[value]

    def _name(self, number: int, fields: Mapping[str, Any], column: str) -> str:
        fields = _with_text(fields, column)
        name = (self._string(number, fields, column) or "").strip()
        if not name:
            remedy = "name it" if column == "sentence" else "give language = 'en', for example, for rows without it"
            raise self._broken(number, column, "is empty", remedy, kind="empty-name")
        if column == "language" and any(character.isspace() for character in name):
            raise self._broken(
                number, column, f"is {shown(name)}", "a language is a code without spaces", kind="language-code"
            )
        if column == "language" and name[0] in _FORMULAS:
            what = f"is {shown(name)}"
            raise self._broken(
                number, column, what, "a table program would take it for a formula", kind="language-code"
            )
        self._check_name(number, column, name)
        return name

    def _label(self, number: int, fields: Mapping[str, Any], column: str) -> str | None:
        fields = _with_text(fields, column)
        label = self._string(number, fields, column)
        if label is not None:
            self._check_name(number, column, label)
        return label

    def _check_name(self, number: int, column: str, name: str) -> None:
        if len(name) > MAX_NAME:
            what = f"has {len(name)} characters, more than {MAX_NAME}"
            raise self._broken(number, column, what, "shorten it", kind="long-name")
        if not name.isprintable():
            for character in name:
                if character in _DIRECTIONS or unicodedata.category(character) in ("Zl", "Zp"):
                    what = f"holds U+{ord(character):04X}, which changes how a line is laid out"
                    raise self._broken(number, column, what, "remove it", kind="control-character")
            self._check_visible(number, column, name)

    def _check_visible(self, number: int, column: str, value: str) -> None:
        if not any(character.isprintable() and not character.isspace() for character in value):
            what = f"is {shown(value)}, which has no visible character"
            raise self._broken(number, column, what, "complete it", kind="invisible")

    def _text(self, number: int, fields: Mapping[str, Any], sentence: str, language: str) -> str | None:
        text = self._string(number, fields, "text")
        if text is None:
            if self.refuse_empty_text and isinstance(fields.get("text"), str):
                raise self._broken(number, "text", "is empty", "write null where there is none", kind="empty-text")
            return None
        text = " ".join(text.split())
        if not text:
            raise self._broken(number, "text", "is empty (spaces only)", "complete it", kind="empty-text")
        if not text.isprintable():
            self._check_visible(number, "text", text)
        return text

    def _file(self, number: int, audio: str) -> str:
        """Return the file's full path; that it is there is looked up once for every name."""
        if (known := self._files.get(audio)) is not None:
            return known
        file, size = self._find(audio)
        if size is None:
            what, remedy = f"names {file}, which does not exist", "correct the path; it is relative to the manifest"
            raise self._broken(number, "audio", what, remedy, kind="audio-missing")
        if not size:
            raise self._broken(number, "audio", f"names {file}, which is empty", "get it again", kind="audio-empty")
        if len(self._files) >= _BLOCK:
            self._files.clear()
        self._files[audio] = file
        return file

    def _find(self, audio: str) -> tuple[str, int | None]:
        """Return the path and size of a recording; a name composed otherwise counts as the same name."""
        file = audio
        try:
            if audio.startswith("~"):
                file = str(Path(audio).expanduser())
            file = os.path.normpath(os.path.join(self._folder, file))  # noqa: PTH118 - as for stat
            if (size := _size(file)) is not None or file.isascii():
                return file, size
            for form in ("NFC", "NFD"):
                if (size := _size(other := unicodedata.normalize(form, file))) is not None:
                    return other, size
        except (ValueError, RuntimeError):
            pass
        return file, None

    def _extent(
        self, number: int, fields: Mapping[str, Any], file: str, member: str | None
    ) -> tuple[float | None, float]:
        """Return where in its file a recording begins, or None for a whole file, and how long it lasts."""
        start = self._number(number, fields, "start", "a number of 0 or above", least=0.0)
        given = self._number(number, fields, "seconds", "a number above 0", least=math.ulp(0.0))
        self.timed = self.timed or given is not None
        if start is None and given is not None:
            return None, given
        try:
            length = self.lengths.of(file, member)
        except DataError as error:
            raise self._broken(number, "audio", f"cannot be used: {error}", kind="audio-broken") from error
        if start is None:
            return None, length
        seconds = length - start if given is None else given
        if not start and abs(length - seconds) <= _WHOLE:
            return None, seconds
        if seconds < MIN_SECONDS or start + seconds > length + _ROUNDING:
            what = f"and 'seconds' say {start:g} s to {start + seconds:g} s, but {file} lasts {length:.2f} s"
            remedy = f"correct them; a segment lasts {MIN_SECONDS:g} s or more"
            raise self._broken(number, "start", what, remedy, kind="segment-outside")
        return start, seconds

    def _number(
        self, number: int, fields: Mapping[str, Any], column: str, expected: str, *, least: float
    ) -> float | None:
        given = fields.get(column)
        if given is None or given == "" or (isinstance(given, float) and math.isnan(given)):
            return None
        try:
            value = float(given)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not (math.isfinite(value) and value >= least):
            raise self._broken(number, column, f"is {shown(given)}", f"it must be {expected}", kind=f"broken-{column}")
        return value


def _with_text(fields: Mapping[str, Any], column: str) -> Mapping[str, Any]:
    """Return a row in which a whole number, as an id can be, is text."""
    value = fields.get(column)
    return {**fields, column: str(value)} if isinstance(value, int) and not isinstance(value, bool) else fields


def _size(file: str) -> int | None:
    """Return the size of a regular file, or None if there is none."""
    try:
        state = os.stat(file)  # noqa: PTH116 - a Path for each of a million rows takes longer than the look
    except OSError:
        return None
    return state.st_size if stat.S_ISREG(state.st_mode) else None


def _unit(ratio: float) -> str:
    """Return what numbers that are so many times too large probably count."""
    if abs(ratio / 1_000 - 1) < _OFF_RELATIVE:
        return "milliseconds"
    return "samples" if ratio > 4_000 else ""
