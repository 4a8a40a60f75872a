"""Folders for what a process needs on the disk while it runs: gone when it ends, and swept later if it was killed.

Next to each folder is a lock that the system holds for the living process, so that it is known whose is left over, also
where several machines or containers share the place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from pathlib import Path

import filelock

from babelscope.cache import naming_the_disk

#: What such a folder is called, with random letters behind.
PREFIX = "babelscope-weights-"

_LOCK = ".lock"
_NEW = ".babelscope-new-"


class Scratch:
    """A folder in the system's place for temporary files; what is left over of killed processes is removed first.

    It goes when this is no longer referred to, or the process ends. A copy is the same one.

    Raises
    ------
    DataError
        If the place is full or cannot be written.

    Attributes
    ----------
    folder : Path
    """

    def __init__(self) -> None:
        sweep()
        with naming_the_disk(Path(tempfile.gettempdir())):
            descriptor, name = tempfile.mkstemp(prefix=_NEW)
            os.close(descriptor)
            lock = filelock.FileLock(name)
            lock.acquire()
            self.folder = Path(name.replace(_NEW, PREFIX))
            # Only now can it be found by a sweep: what is locked stays locked under another name.
            Path(name).replace(f"{self.folder}{_LOCK}")
            self.folder.mkdir(mode=0o700)
        weakref.finalize(self, _remove, self.folder, lock)

    def __copy__(self) -> Scratch:
        return self

    def __deepcopy__(self, memo: object) -> Scratch:
        return self


def sweep() -> None:
    """Remove folders of one's own whose process is dead."""
    locks: list[Path] = []
    with contextlib.suppress(OSError):  # nothing to remove where the folder for temporary files cannot be listed
        locks = list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*{_LOCK}"))
    for path in locks:
        with contextlib.suppress(OSError, filelock.Timeout):
            if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
                continue
            lock = filelock.FileLock(path)
            lock.acquire(timeout=0)
            _remove(Path(str(path).removesuffix(_LOCK)), lock)


def _remove(folder: Path, lock: filelock.BaseFileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        Path(f"{folder}{_LOCK}").unlink(missing_ok=True)
    lock.release()
