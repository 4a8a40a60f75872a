"""How the texts of a store are read: a chunk that says that it has more of them than it can have is refused.

Zarr's own codec takes memory for as many texts as a chunk says: one changed bit may ask for 16 GB.
"""

from __future__ import annotations

import math
from typing import Any

import zarr
from zarr import codecs
from zarr.core.buffer import Buffer
from zarr.registry import register_codec


class VLenUTF8Codec(codecs.VLenUTF8Codec):  # zarr looks at the name
    """Reads the texts of a chunk if there are as many as the chunk has places."""

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: Any) -> Any:
        stated, expected = int.from_bytes(chunk_bytes.to_bytes()[:4], "little"), math.prod(chunk_spec.shape)
        if stated != expected:
            raise ValueError(f"a chunk of {expected} texts says that it has {stated}")
        return super()._decode_sync(chunk_bytes, chunk_spec)


register_codec("vlen-utf8", VLenUTF8Codec)


def counting_texts() -> Any:
    """Return a context in which arrays that are opened count the texts of a chunk before they read them."""
    return zarr.config.set({"codecs.vlen-utf8": f"{__name__}.VLenUTF8Codec"})
