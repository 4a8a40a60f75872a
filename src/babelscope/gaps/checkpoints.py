"""What a comparison has finished, kept until its scores are saved: one that was killed resumes there.

Next to the scores lies a folder of checkpoints, named by a digest of all that decides the numbers: blocks of pairs
(:class:`babelscope.similarity.checkpoint.Checkpoint`) and draws of the intervals. Those of another comparison are
removed, and so are those whose plan cannot be read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from babelscope.cache import naming_the_disk
from babelscope.similarity.checkpoint import PLAN

#: The folder next to the scores.
CHECKPOINTS = ".comparing"


class Checkpoints:
    """The checkpoints of one comparison, in a folder that is made if need be; nothing is kept without one.

    `decided_by` is everything that decides the numbers, JSON-able. DataError if the place cannot be written.
    """

    def __init__(self, folder: Path | None, decided_by: dict[str, Any]) -> None:
        self._own: Path | None = None
        if folder is None:
            return
        digest = hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()[:20]
        self._own = folder / digest
        with naming_the_disk(folder):
            for other in folder.iterdir() if folder.is_dir() else ():
                if other.name != digest and other.is_dir():
                    shutil.rmtree(other)
            for plan in list(self._own.rglob(PLAN)):
                if not _readable(plan):  # torn by a power loss: whose blocks these are is not known
                    shutil.rmtree(plan.parent)

    def of(self, name: str) -> Path | None:
        """Return the folder of one table of the comparison, or None if nothing is kept."""
        return self._own / name if self._own is not None else None


def clear(folder: Path) -> None:
    """Remove all checkpoints: the scores that they were kept for are saved."""
    shutil.rmtree(folder, ignore_errors=True)


def _readable(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except ValueError:
        return False
