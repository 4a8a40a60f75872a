"""Batches that were computed and are not yet in the store: what makes a kill cost one batch, not one block.

A block of a large model is minutes of a processor. So what each batch gave is appended to a file beside the store, one
for every job and process, and taken from there by whoever runs that job next, to the same bits. When the block is
written its files go. Nothing is flushed: a killed process loses nothing, and after a power loss a record that is not
whole is not taken (each has a CRC-32), nor what follows it.

Only a store in a folder has a journal; on a URL a kill costs the block.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from babelscope.capture.layout import Layout

#: Rows and width of a record, and the CRC-32 of what follows: the rows' numbers and their values.
_HEAD = struct.Struct("<III")


class Journal:
    """The batches beside one store.

    Parameters
    ----------
    location : Path or str
        Of the store.
    layout : Layout
        Batches of a store of other contents, or of other versions of the packages, are not taken.
    """

    def __init__(self, location: Path | str, layout: Layout) -> None:
        self._folder = location.with_name(f".{location.name}.batches") if isinstance(location, Path) else None
        told = json.dumps([layout.identity, layout.provenance.get("versions")], sort_keys=True, default=str)
        self._identity = hashlib.sha256(told.encode()).hexdigest()[:12]

    def of(self, *job: object) -> KeptBatches:
        """Open what is kept of a job, by what names it: modality, language, first and last sentence."""
        return KeptBatches(self._folder, "-".join([self._identity, *map(str, job)]))

    def tidy(self) -> None:
        """Remove what belongs to a store of other contents; only to be called while the store is locked."""
        for path in self._folder.glob("*") if self._folder else ():
            if not path.name.startswith(self._identity):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all of it: every block is written."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


class KeptBatches:
    """What is kept of one job's batches.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    name : str
        The job's, the same in every run.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self._folder, self._name, self._lock = folder, name, Lock()
        self._own: Path | None = folder / f"{name}.{secrets.token_hex(6)}" if folder else None
        self._found: dict[tuple[int, ...], NDArray[np.float32]] = {}
        for path in self._files():
            with contextlib.suppress(OSError):
                self._found |= _records(path.read_bytes())

    def __bool__(self) -> bool:
        """Whether batches are kept at all."""
        return self._own is not None

    def take(self, rows: Sequence[int], width: int) -> NDArray[np.float32] | None:
        """Return what a batch of these rows gave, shape (rows, width); None if it is not known."""
        found = self._found.get(tuple(rows))
        return found if found is not None and found.shape[1] == width else None

    def put(self, rows: Sequence[int], values: NDArray[np.float32]) -> None:
        """Keep what a batch gave. A disk that is full is told of when the block is written."""
        body = np.array(rows, dtype="<u4").tobytes() + np.ascontiguousarray(values, dtype="<f4").tobytes()
        record = _HEAD.pack(len(rows), values.shape[1], zlib.crc32(body)) + body
        with self._lock:
            if self._own is None:
                return
            try:
                self._own.parent.mkdir(parents=True, exist_ok=True)
                with self._own.open("ab") as handle:
                    handle.write(record)
            except OSError:
                self._own = None

    def discard(self) -> None:
        """Remove what is kept: the block is written."""
        for path in self._files():
            with contextlib.suppress(OSError):
                path.unlink()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self._name}.*")) if self._folder else []


def _records(content: bytes) -> dict[tuple[int, ...], NDArray[np.float32]]:
    """Return rows and values of every whole record up to the first that is not."""
    found: dict[tuple[int, ...], NDArray[np.float32]] = {}
    start = 0
    while start + _HEAD.size <= len(content):
        count, width, crc = _HEAD.unpack_from(content, start)
        first = start + _HEAD.size
        start = first + 4 * count + 4 * count * width
        body = content[first:start]
        if start > len(content) or zlib.crc32(body) != crc:
            break
        rows = tuple(np.frombuffer(body, dtype="<u4", count=count).tolist())
        found[rows] = np.frombuffer(body, dtype="<f4", offset=4 * count).reshape(count, width).astype(np.float32)
    return found
