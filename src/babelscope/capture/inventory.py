"""The inventory of a whole store: every file with its size and checksum, so that one that is gone is noticed.

A chunk that is missing reads as its fill value, which for many arrays (clusters, tokens, what was skipped) is a value
like any other. The inventory is written when a store is complete, and removed before anything in it is changed. It
holds no time of day: stores of the same content have the same inventory, whenever they were made.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from babelscope.capture.storage import LOCK_KEY, PARTIAL, Storage

#: The key of the inventory, next to the arrays.
INVENTORY = "inventory.json"

#: The description of the whole store, which says when the store was made.
_ROOT = "zarr.json"

#: That time in it, in a JSON text within JSON.
_CREATED = re.compile(rb'(\\"created\\": \\")\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d')

#: How the fingerprint of the description ends where the time is no part of it, as in every inventory written now.
_UNDATED = " without its time"


@dataclass(frozen=True)
class Inventory:
    """What a complete store is made of.

    Attributes
    ----------
    identity : str
        Digest of what determines the store's numbers (:func:`digest_of_identity`).
    block : int
        Sentences a block.
    files : mapping of key to str
        As :meth:`~babelscope.capture.storage.Folder.fingerprints`; the CRC-32 of the root's ``zarr.json`` is of all
        but the time when the store was made. Earlier versions included that time: their inventories are read as such.
    """

    identity: str
    block: int
    files: Mapping[str, str]

    def differing(self, place: Storage) -> Iterator[tuple[str, str]]:
        """Yield the keys that are not as they were, and what is wrong with each."""
        now = place.fingerprints()
        if self.files.get(_ROOT, "").endswith(_UNDATED):
            now = _undated(now, place)
        for key, expected in self.files.items():
            if key not in now:
                yield key, "it is missing"
            elif now[key] != expected:
                yield key, "it is not as it was written"


def digest_of_identity(identity: Mapping[str, Any]) -> str:
    """Return a digest of an identity; the size of blocks is no part of it, since a store keeps its own."""
    same = {key: value for key, value in identity.items() if key != "block"}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def read_inventory(place: Storage) -> Inventory | None:
    """Return a store's inventory; None if it has none, or one that is damaged."""
    try:
        content = json.loads(place.read(INVENTORY) or b"")
        if content.pop("crc32") != _crc(content):
            return None
        return Inventory(**content)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def write_inventory(place: Storage, identity: Mapping[str, Any], block: int) -> None:
    """Write the inventory of a complete store, last of all."""
    files = {
        key: value
        for key, value in sorted(_undated(place.fingerprints(), place).items())
        if key not in (INVENTORY, LOCK_KEY) and not key.endswith(PARTIAL)
    }
    content = {"identity": digest_of_identity(identity), "block": block, "files": files}
    place.write(INVENTORY, json.dumps(content | {"crc32": _crc(content)}, indent=0).encode())


def _undated(fingerprints: Mapping[str, str], place: Storage) -> dict[str, str]:
    """Return fingerprints with that of the root's description without the time in it, where it has a checksum."""
    size, _, checksum = fingerprints.get(_ROOT, "").partition(" ")
    if not checksum:
        return dict(fingerprints)
    undated = zlib.crc32(_CREATED.sub(rb"\1", place.read(_ROOT) or b""))
    return {**fingerprints, _ROOT: f"{size} {undated}{_UNDATED}"}


def _crc(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
