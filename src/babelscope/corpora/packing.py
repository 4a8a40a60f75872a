"""Recordings out of archives that cannot be read at random, packed once into a zip in the cache.

A ``.tar.gz`` has to be read from its start for every member, a row group of a Parquet file as a whole. One pass writes
the members, as they are, into an uncompressed zip: each is then readable on its own. They are decoded on the way, so
that one that is silent, truncated or not audio is reported when the corpus is loaded, not hours into a study. An index
of durations is stored with them, so that no header is read again. The zip's name is made of the archive's sha256:
another archive, or a changed one, is packed again.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from babelscope.audio import SAMPLE_RATE, decode
from babelscope.cache import cache_folder, sha256_of, write_atomically
from babelscope.errors import DataError
from babelscope.fetch import archives
from babelscope.fetch.archives import is_safe_name

#: All members of one archive together. A split of FLEURS for training has up to some 10 GB.
MAX_TOTAL_BYTES = 64 * 2**30

_INDEX = "index.json"
_FORMAT = 1

#: Name and content of recordings, one after the other.
Members = Iterable[tuple[str, bytes]]


@dataclass(frozen=True)
class Packed:
    """A zip of recordings, and what is known of each member.

    `contents` are its CRC-32 and size: two that agree are the same recording. `broken` says what is wrong with those
    that are not in the zip because :func:`babelscope.audio.decode` refuses them.
    """

    path: Path
    seconds: dict[str, float]
    contents: dict[str, tuple[int, int]]
    broken: dict[str, str]


def pack(
    folder: str, label: str, sources: Sequence[Path], read: Callable[[], Members], *, digest: str | None = None
) -> Packed:
    """Pack the recordings of an archive, or return what was packed before: in the corpus's `folder` of the cache.

    The sha256 of the archive's files is taken once; afterwards path, size and time of change stand for it. `digest` is
    that of a single file where it is known already. `read` is called if there is no zip yet; the zip's name begins with
    `label`. DataError if the archive is missing or damaged, or the disk is full: nothing is kept then.
    """
    place = cache_folder() / "corpora" / folder
    digests = [digest] if digest else [_digest(place, source) for source in sources]
    key = hashlib.sha256("\0".join(digests).encode()).hexdigest()[:16]
    path = place / f"{label}-{key}.zip"
    if (packed := packed_before(path)) is not None:
        return packed
    name = sources[0].name + (f" and {len(sources) - 1} more" if len(sources) > 1 else "")
    write_atomically(path, lambda temporary: _write(temporary, str(sources[0].parent / name), read()))
    packed = packed_before(path)
    if packed is None:
        raise DataError(f"{path} cannot be read back: the disk may be damaged")
    return packed


def packed_before(path: Path) -> Packed | None:
    """Return the zip at `path`, or None if there is none that is whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            index = json.loads(archive.read(_INDEX))
            contents = {info.filename: (info.CRC, info.file_size) for info in archive.infolist()}
            if index["format"] != _FORMAT or contents.keys() - {_INDEX} != index["seconds"].keys():
                return None
            return Packed(path, dict(index["seconds"]), contents, dict(index["broken"]))
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError):
        return None


def read_tar_gz(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name, without folders, and content of every regular file of a ``.tar.gz``, in one pass."""
    for name, data in archives.read_tar_gz(path, most=MAX_TOTAL_BYTES, error=DataError, remedy="get it again"):
        yield PurePosixPath(name).name, data


def _digest(place: Path, source: Path) -> str:
    try:
        state = source.stat()
        stamp = f"{source.resolve()}\0{state.st_size}\0{state.st_mtime_ns}"
        known = place / "known" / hashlib.sha256(stamp.encode()).hexdigest()[:32]
        if known.is_file() and len(text := known.read_text(encoding="ascii")) == 64:
            return text
        digest = sha256_of(source)
    except OSError as error:
        raise DataError(f"archive {source} cannot be read ({error.strerror})") from error
    write_atomically(known, lambda temporary: temporary.write_text(digest, encoding="ascii"))
    return digest


def _write(target: Path, source: str, members: Members) -> None:
    seconds: dict[str, float] = {}
    broken: dict[str, str] = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            if name in seconds or name in broken:
                raise DataError(f"archive {source} holds {name!r} twice: get it again")
            if not is_safe_name(name) or "/" in name or name == _INDEX:
                raise DataError(f"archive {source} holds a file with a name that is refused: {name!r}")
            try:
                samples = decode(data, PurePosixPath(name).suffix, name=f"{source}:{name}")
            except DataError as error:
                broken[name] = str(error)
                continue
            seconds[name] = len(samples) / SAMPLE_RATE
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
        index = json.dumps({"format": _FORMAT, "seconds": seconds, "broken": broken}, sort_keys=True)
        archive.writestr(zipfile.ZipInfo(_INDEX, (1980, 1, 1, 0, 0, 0)), index)
