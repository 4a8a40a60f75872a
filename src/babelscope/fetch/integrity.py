"""Whether a file in the cache is still what was recorded when it was fetched.

A file is read once: the result is remembered, in this process and in a small file in the cache, for as long as the file
keeps its size, time of change and inode. Silent corruption of a disk is found by reading everything
(``babelscope verify --cache``).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from threading import Lock

from babelscope.cache import cache_folder, sha256_of, write_atomically
from babelscope.errors import BabelscopeError

#: Files that were read before, by path: size, time of change, inode, digest.
REMEMBERED = "verified.json"

_Stamp = tuple[int, int, int]
_known: dict[str, tuple[_Stamp, str]] = {}
_loaded: set[Path] = set()
_lock = Lock()


def git_name(data: bytes) -> str:
    """Git's name of a file: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def digest_as(path: Path, digest: str) -> str:
    """Return a file's digest of the kind that `digest` is: git's name (40 digits) or sha256."""
    return git_name(path.read_bytes()) if len(digest) == 40 else sha256_of(path)


def is_as_recorded(path: Path, digest: str, *, full: bool = False) -> bool:
    """Whether a file is there with the content that was recorded.

    Parameters
    ----------
    digest : str
        sha256, or git's name of the file.
    full : bool
        Read it even if it was read before and has not been touched since.
    """
    try:
        state = path.stat()
        stamp = (state.st_size, state.st_mtime_ns, state.st_ino)
        if not full and _remembered(path) == (stamp, digest):
            return True
        if digest_as(path, digest) != digest:
            return False
    except OSError:
        return False
    _remember(path, stamp, digest)
    return True


def record_digest(path: Path) -> str:
    """Return a file's sha256 to record it, and remember that it was read."""
    state = path.stat()
    digest = sha256_of(path)
    _remember(path, (state.st_size, state.st_mtime_ns, state.st_ino), digest)
    return digest


def _remembered(path: Path) -> tuple[_Stamp, str] | None:
    file = cache_folder() / REMEMBERED
    with _lock:
        if file not in _loaded:
            _loaded.add(file)
            _known.update(_read(file))
        return _known.get(str(path))


def _read(file: Path) -> dict[str, tuple[_Stamp, str]]:
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
        return {name: ((int(a), int(b), int(c)), str(digest)) for name, (a, b, c, digest) in listed.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(path: Path, stamp: _Stamp, digest: str) -> None:
    file = cache_folder() / REMEMBERED
    with _lock:
        _known[str(path)] = (stamp, digest)
        listed = _read(file) | {str(path): (stamp, digest)}  # other processes may have added to it
        there = {name: [*stamp, digest] for name, (stamp, digest) in listed.items() if Path(name).is_file()}
        text = json.dumps(there, indent=0)
        with contextlib.suppress(BabelscopeError, OSError):  # a cache of another user: it is read again next time
            write_atomically(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
