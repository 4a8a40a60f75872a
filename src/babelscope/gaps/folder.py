"""The folder of one result: locked for one run, with checkpoints until it is written, rid of what killed runs left.

Next to the scores lies a folder of checkpoints, named by a digest of all that decides the numbers: blocks of pairs
(:class:`babelscope.similarity.checkpoint.Checkpoint`) and draws of the intervals. A comparison that was killed resumes
there. Those of another comparison are removed, and so are those whose plan cannot be read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from babelscope.cache import naming_the_disk, remove_unfinished
from babelscope.capture.locking import lock
from babelscope.capture.storage import is_url
from babelscope.gaps.result import Result
from babelscope.similarity.checkpoint import PLAN

#: What the activations of a study are called in its folder of results.
STORE = "activations.zarr"

#: The folder of checkpoints in it.
CHECKPOINTS = ".comparing"


@contextmanager
def locked_output(output: Path) -> Iterator[None]:
    """Lock a folder of results for one run, and remove the unfinished files that killed runs left there.

    Raises
    ------
    DataError
        If another run has it; the line names that run.
    """
    with lock(output / "result"):
        tidy(output)
        yield


def tidy(output: Path) -> None:
    """Remove the unfinished files of a folder of results."""
    for folder in (output, output / "tables", output / "figures"):
        remove_unfinished(folder)


def save(result: Result, output: Path, store: Path | str) -> None:
    """Save a result with where its activations are, and remove the checkpoint that was kept until then."""
    where = store if is_url(store) else Path(os.path.relpath(Path(store).resolve(), output.resolve())).as_posix()
    result.meta["activations"] = result.meta.get("activations", {}) | {"store": where}
    result.save(output)
    clear(output / CHECKPOINTS)


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
