"""Blocks of a long table of pairs on the disk, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from babelscope.cache import write_atomically
from babelscope.errors import DataError, UsageError
from babelscope.similarity.arrays import FloatArray, IntArray

PLAN = "plan.json"


class Checkpoint:
    """A folder with one file a finished block, all of one plan: everything that decides the numbers, JSON-able.

    UsageError if the folder holds blocks of another plan, DataError if its plan cannot be read.
    """

    def __init__(self, folder: Path | str, plan: dict[str, Any]) -> None:
        self.folder = Path(folder)
        text = json.dumps(plan, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        path = self.folder / PLAN
        if path.is_file():
            try:
                stored_digest = json.loads(path.read_text(encoding="utf-8"))["digest"]
            except (ValueError, KeyError, TypeError, OSError) as error:
                raise DataError(f"{path} is damaged: delete the folder {self.folder} and run again") from error
            if stored_digest != digest:
                raise UsageError(
                    f"{self.folder} holds the blocks of another run (other pairs, measures or options): give another "
                    "folder, or delete it"
                )
        else:
            body = json.dumps({"digest": digest, "plan": plan}, indent=1)
            write_atomically(path, lambda target: target.write_text(body, encoding="utf-8"))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"

    def load(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """Return a finished block, or None if it is missing or was damaged (it is then computed again)."""
        path = self._path(name)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as block:
                return {key: block[key] for key in block.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, name: str, block: dict[str, npt.NDArray[Any]]) -> None:
        """Write a finished block; a reader never sees half of it."""

        def write(path: Path) -> None:
            with path.open("wb") as handle:
                np.savez(handle, allow_pickle=False, **block)

        write_atomically(self._path(name), write)


def kept_draws(score: Callable[[IntArray], FloatArray], checkpoint: Checkpoint) -> Callable[[IntArray], FloatArray]:
    """Return a function that keeps the scores of parts of the sentences, by which call it is and for which rows."""
    calls = 0

    def scored(rows: IntArray) -> FloatArray:
        nonlocal calls
        name, calls = f"draw-{calls:03}", calls + 1
        stored = checkpoint.load(name)
        if stored is not None and np.array_equal(stored.get("rows", ()), rows) and "values" in stored:
            return np.asarray(stored["values"], dtype=np.float64)
        values = score(rows)
        checkpoint.save(name, {"rows": rows, "values": values})
        return values

    return scored
