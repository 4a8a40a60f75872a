"""The cache folder, and atomic writing of files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from babelscope.errors import DataError

#: What :func:`write_atomically` calls a file until it is whole.
_UNFINISHED = re.compile(r"\..*\.[0-9a-f]{12}(\.[^.]*)?")

#: Permissions of locks: whoever may write the cache may take them.
LOCK_MODE = 0o666

#: Environment variable that names the cache folder.
CACHE_VARIABLE = "BABELSCOPE_CACHE"


def cache_folder() -> Path:
    """Return the cache folder: ``$BABELSCOPE_CACHE``, else the platform's own place for caches. It may not exist."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("babelscope"))


def make_folder(folder: Path) -> None:
    """Make a folder with its parents; one in the cache may be written by whoever may write the cache folder itself."""
    with naming_the_disk(folder):
        cache = cache_folder()
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for each in missing:
            if cache in each.parents:
                with contextlib.suppress(OSError):
                    each.chmod(cache.stat().st_mode & 0o3777 | 0o700)


@contextlib.contextmanager
def naming_the_disk(path: Path) -> Iterator[None]:
    """Turn "no space left", "read-only" and "permission denied" into a DataError that names `path` and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"the disk is full: writing {path} failed; free some space and run again, finished parts are kept"
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise DataError(f"cannot write {path} ({error.strerror}): {_elsewhere(path)}") from error
        raise


def _elsewhere(path: Path) -> str:
    """Return how another place is chosen for what cannot be written."""
    if cache_folder() in (path, *path.parents):
        return f"set {CACHE_VARIABLE} to a folder that you may write"
    return "choose another place with --output (or output in the study file)"


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file next to `path`, flush it to the disk, and put it in place in one step.

    `write` is given the temporary path, of the same suffix. The folder is made; `path` is returned. Written files
    survive a power loss; where one cannot be written, a DataError says why, and an earlier file is kept.
    """
    with naming_the_disk(path):
        make_folder(path.parent)
        put_in_place(path, path.with_name(f".{path.stem}.{secrets.token_hex(6)}{path.suffix}"), write)
    return path


def put_in_place(path: Path, temporary: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, flush it, put it in place in one step, and flush the folder's entry of it."""
    try:
        write(temporary)
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk: without it, a power loss may undo that a file was put in place."""
    if os.name != "posix":  # elsewhere a folder cannot be opened, and the system keeps its entries safe
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # file systems that cannot do it keep entries in order themselves
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove temporary files of a killed :func:`write_atomically`; only where no other process is writing."""
    with naming_the_disk(folder):
        for path in folder.iterdir() if folder.is_dir() else ():
            if _UNFINISHED.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
