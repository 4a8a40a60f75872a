"""The folder of one result: locked for one run, rid of what killed runs left, and written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from babelscope.cache import remove_unfinished
from babelscope.capture.locking import lock
from babelscope.capture.storage import is_url
from babelscope.gaps.checkpoints import CHECKPOINTS, clear
from babelscope.gaps.result import Result

#: What the activations of a study are called in its folder of results.
STORE = "activations.zarr"


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
