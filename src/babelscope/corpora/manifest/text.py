"""Lines of a text file in any encoding, with limits on what is read."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from babelscope.errors import DataError, UsageError

#: Characters of one line; csv's own limit for a field is 131,072.
MAX_LINE = 2**20
#: Lines of one file, empty ones included. A compressed file of a few megabytes can hold billions.
MAX_LINES = 200_000_000

_BLOCK = 2**16
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)
#: Byte order marks; UTF-32's little-endian one begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(path: Path, given: str | None = None) -> str:
    """Return the name of a file's encoding: by its byte order mark, or its first characters; else `given`, or UTF-8.

    Raises
    ------
    UsageError
        If there is no encoding of the name `given`.
    DataError
        If it is compressed and damaged.
    """
    try:
        with _opened(path) as handle:
            head = handle.read(4)
    except _DAMAGE as error:
        raise DataError(f"manifest {path} is damaged ({error}): get it again") from error
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if given is not None:
        try:
            known = codecs.lookup(given)
            "".encode(given)  # hex and zip are codecs as well, though not of text
        except (LookupError, ValueError):
            raise UsageError(f"there is no encoding {given!r}: give one such as 'cp1252' or 'utf-16'") from None
        return known.name
    if len(head) == 4 and all(head[::2]) and not any(head[1::2]):  # names of columns begin with letters of ASCII
        return "utf-16-le"
    if len(head) == 4 and all(head[1::2]) and not any(head[::2]):
        return "utf-16-be"
    return "utf-8"


def lines_of(path: Path, encoding: str) -> Iterator[str]:
    """Yield a text file's lines with their ends, whichever these are, one at a time; ``.gz`` is decompressed.

    Raises
    ------
    DataError
        If the file is not in that encoding or damaged, or a line is longer than :data:`MAX_LINE`.
    """
    number = 1
    try:
        with _opened(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as handle:
            while line := handle.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE:
                    raise DataError(f"manifest {path}, line {number} has more than {MAX_LINE} characters: shorten it")
                if number > MAX_LINES:
                    raise DataError(f"manifest {path} has more than {MAX_LINES} lines: split it")
                yield line
                number += 1
    except UnicodeError as error:
        if not encoding.startswith("utf-8"):
            raise DataError(
                f"manifest {path}, after line {number - 1}, is not {encoding.upper()}: save it as UTF-8"
            ) from error
        raise DataError(
            f"manifest {path}, line {_first_undecoded(path)} is not UTF-8: save it in that encoding, or name its own, "
            "as in encoding = 'cp1252'"
        ) from error
    except _DAMAGE as error:
        raise DataError(f"manifest {path} is damaged after line {number - 1} ({error}): get it again") from error


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _first_undecoded(path: Path) -> int:
    decoder, number = codecs.getincrementaldecoder("utf-8")(), 1
    with _opened(path) as raw:
        while True:
            try:
                chunk = raw.read(_BLOCK)
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return number + error.object[: error.start].count(b"\n")
            except _DAMAGE:
                return number
            if not chunk:
                return number
            number += chunk.count(b"\n")
