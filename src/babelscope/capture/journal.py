"""Batches that were computed and are not yet in the store: what makes a kill cost one batch, not one block.

A block of a large model is minutes of a processor. So what each batch gave is appended to a file next to the store, one
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

#: Rows and width of a record, and the CRC-32 of both and of what follows: the rows' numbers and their values.
_SIZE, _CRC = struct.Struct("<II"), struct.Struct("<I")


class Journal:
    """The batches next to the store at `location`; those of a store of other contents or versions are not taken."""

    def __init__(self, location: Path | str, layout: Layout) -> None:
        self._folder = folder_of(location)
        same = {key: value for key, value in layout.identity.items() if key != "block"}  # a job says which rows it has
        contents = json.dumps([same, layout.provenance.get("versions")], sort_keys=True, default=str)
        self._identity = hashlib.sha256(contents.encode()).hexdigest()[:12]

    def of(self, *job: object) -> KeptBatches:
        """Open what is kept of a job, by what names it: modality, language, sentences, and what computes it."""
        return KeptBatches(self._folder, "-".join([self._identity, *map(str, job)]))

    def open(self, *, clear_all: bool) -> None:
        """Make room for batches, and remove those of other contents, or all; only while the store is locked."""
        if self._folder is None:
            return
        if clear_all:  # there was no store: what is there belongs to one that was deleted
            shutil.rmtree(self._folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # where it cannot be made, nothing is kept
            self._folder.mkdir(parents=True, exist_ok=True)
        for path in _listed(self._folder, "*"):
            if not path.name.startswith(self._identity):
                with contextlib.suppress(OSError):  # what stays is never taken
                    path.unlink()

    @staticmethod
    def clear(location: Path | str) -> None:
        """Remove all batches next to a store; only to be called while it is locked."""
        if folder := folder_of(location):
            shutil.rmtree(folder, ignore_errors=True)


def folder_of(location: Path | str) -> Path | None:
    """Return where the batches next to a store are; None for one on a URL. All paths to a store have one."""
    if not isinstance(location, Path):
        return None
    resolved = location.resolve()
    return resolved.with_name(f".{resolved.name}.batches")


class KeptBatches:
    """What is kept of the batches of a job, which has one `name` in every run; without a folder nothing is."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self._folder, self._name, self._lock = folder, name, Lock()
        self._own: Path | None = folder / f"{name}.{secrets.token_hex(6)}" if folder else None
        self._found: dict[tuple[int, ...], NDArray[np.float32]] = {}
        for path in self._files():
            with contextlib.suppress(OSError):
                self._found |= _records(path.read_bytes())

    @property
    def keeps(self) -> bool:
        """Whether what is put is kept."""
        return self._own is not None

    def take(self, rows: Sequence[int], width: int) -> NDArray[np.float32] | None:
        """Return, once, what a batch of these rows gave, shape (rows, width); None if it is not known."""
        values = self._found.pop(tuple(rows), None)
        return values if values is not None and values.shape[1] == width else None

    def put(self, rows: Sequence[int], values: NDArray[np.float32]) -> None:
        """Keep what a batch gave, if all of it is finite: what is not is looked at again.

        Where it cannot be written, what was kept goes, for the block needs the room, and nothing more is kept.
        """
        if not np.isfinite(values).all():
            return
        size = _SIZE.pack(len(rows), values.shape[1])
        body = np.array(rows, dtype="<u4").tobytes() + np.ascontiguousarray(values, dtype="<f4").tobytes()
        record = size + _CRC.pack(zlib.crc32(size + body)) + body
        with self._lock:
            if self._own is None:
                return
            try:
                with self._own.open("ab") as handle:
                    handle.write(record)
            except OSError:
                with contextlib.suppress(OSError):
                    self._own.unlink(missing_ok=True)
                self._own = None

    def discard(self) -> None:
        """Remove what is kept: the block is written."""
        for path in self._files():
            with contextlib.suppress(OSError):
                path.unlink()

    def _files(self) -> list[Path]:
        return _listed(self._folder, f"{self._name}.*") if self._folder else []


def _listed(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:  # it vanished meanwhile
        return []


def _records(content: bytes) -> dict[tuple[int, ...], NDArray[np.float32]]:
    """Return rows and values of every whole record up to the first that is not."""
    records: dict[tuple[int, ...], NDArray[np.float32]] = {}
    start = 0
    head = _SIZE.size + _CRC.size
    while start + head <= len(content):
        size = content[start : start + _SIZE.size]
        (count, width), (crc,) = _SIZE.unpack(size), _CRC.unpack_from(content, start + _SIZE.size)
        first = start + head
        start = first + 4 * count + 4 * count * width
        body = content[first:start]
        if start > len(content) or zlib.crc32(size + body) != crc:
            break
        rows = tuple(np.frombuffer(body, dtype="<u4", count=count).tolist())
        records[rows] = np.frombuffer(body, dtype="<f4", offset=4 * count).reshape(count, width).astype(np.float32)
    return records
