"""What a store is made of: its labels, its arrays and how they are cut into files.

A *block* is some sentences of one language in one modality. Its activations at all points are one file (a Zarr shard
with a chunk a point), written last and in one step: a block is done when that file is there. Next to it are the block's
positions, lengths and tokens, a small file each. Every chunk carries a CRC-32C.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.abc.store import Store
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.stages import Modality

SCHEMA = 2

#: Number formats that activations can be kept in, and what they cost.
STORE_DTYPES: dict[str, str] = {
    "float32": "as the model gives them",
    "float16": "half the space; 11 bits of precision, nothing beyond 65504",
    "bfloat16": "about half the space; 8 bits of precision, the range of float32 (kept as float32 rounded to it)",
}

#: The arrays of a store.
CONTENTS: tuple[str, ...] = (
    *("modality", "language", "sentence", "point", "point_modality", "stage", "depth", "width", "module"),
    *("activation", "positions", "rounding", "text", "recording", "reader", "content", "seconds", "tokens"),
    *("token_ids", "skipped", "cluster"),
)

#: The coordinates: what rows, columns and points are called. They are written with the store and never change.
LABELS: tuple[str, ...] = CONTENTS[:9]

#: How the keys of chunks are written.
CHUNK_KEYS: dict[str, Any] = {"name": "default", "separator": "."}

#: What may differ between a store and the one that it replaces, of which whole blocks are then still what they were.
MAY_DIFFER = frozenset({"corpus", "languages", "sentences", "points", "block"})

_PACKAGES = ("babelscope", "torch", "transformers", "numpy", "scipy", "xarray", "zarr")
_FLOAT16_MOST = float(np.finfo(np.float16).max)


def differing(identity: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """Return the keys at which two identities differ."""
    return {key for key in identity.keys() | other.keys() if identity.get(key) != other.get(key)}


def versions() -> dict[str, str]:
    """Return the versions of the packages that numbers depend on."""
    return {name: version(name) for name in _PACKAGES}


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def check_store_dtype(name: str) -> None:
    """Refuse the name of an unknown number format."""
    if name not in STORE_DTYPES:
        raise UsageError(f"store_dtype {name!r} is unknown; {did_you_mean(name, STORE_DTYPES)}")


@dataclass(frozen=True)
class Layout:
    """What a store will hold: its labels, and the identity of everything that determines its numbers.

    `block` is how many sentences a block has; `dtype` one of :data:`STORE_DTYPES`.
    """

    sentences: tuple[str, ...]
    languages: tuple[str, ...]
    modalities: tuple[Modality, ...]
    points: tuple[dict[str, Any], ...]
    block: int
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    dtype: str = "float32"

    @property
    def blocks(self) -> list[slice]:
        """The runs of sentences that are written together."""
        return [
            slice(start, min(start + self.block, len(self.sentences)))
            for start in range(0, len(self.sentences), self.block)
        ]


@dataclass(frozen=True)
class Block:
    """Some sentences of one language in one modality, encoded.

    Attributes
    ----------
    vectors : mapping of point to ndarray, shape (sentences, width)
    positions : mapping of point to the number of valid positions of each sentence
    amounts : sequence of float
        Tokens of each text, or seconds of each recording.
    token_ids : sequence of sequence of int
        The tokens of each text, special ones included, as numbers of the model's vocabulary; empty for recordings, and
        for a text side that does not tell.
    skipped : mapping of int to str
        Rows that could not be encoded, with the reason. Their vectors are NaN, their positions 0, their amounts NaN.
    """

    vectors: Mapping[str, NDArray[np.float32]]
    positions: Mapping[str, Sequence[int]]
    amounts: Sequence[float]
    token_ids: Sequence[Sequence[int]] = ()
    skipped: Mapping[int, str] = field(default_factory=dict)


def digest_of_labels(values: Any) -> str:
    """Return a digest of a coordinate's values, which the store keeps to notice that they were damaged."""
    return hashlib.sha256(json.dumps(np.asarray(values).tolist(), ensure_ascii=False).encode()).hexdigest()[:16]


def key_of(array: str, *chunk: int) -> str:
    """Return the key of an array's chunk or shard."""
    return f"{array}/c." + ".".join(str(place) for place in chunk)


def shard_key(modality: int, language: int, block: int) -> str:
    """Return the key of a block's activations: what makes it done."""
    return key_of("activation", modality, 0, language, block, 0)


def small_keys(modality: int, language: int, block: int, *, text: bool) -> list[str]:
    """Return the keys of a block's other files."""
    keys = [key_of(name, modality, 0, language, block) for name in ("positions", "rounding")]
    keys.append(key_of("skipped", modality, language, block))
    return keys + [key_of(name, language, block) for name in (("tokens", "token_ids") if text else ("seconds",))]


def rounded(values: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """Return activations as they are kept, in float32 or float16; an OverflowError says that one is beyond the format.

    "bfloat16" is float32 with the lower half of the bits 0, rounded to nearest, ties to even: Zarr has no bfloat16 of
    its own, every reader has this, and the zeros take no space on the disk. Rows that were skipped are NaN.
    """
    if dtype == "float32":
        return values
    if dtype == "float16":
        most = float(np.fmax.reduce(np.abs(values), axis=None, initial=0.0))
        if most > _FLOAT16_MOST:
            raise OverflowError(f"{most:.4g}, beyond float16 (65504)")
        return values.astype(np.float16)
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    halved = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    kept = halved.view(np.float32)
    if not np.array_equal(np.isfinite(kept), np.isfinite(values)):
        raise OverflowError(f"{float(np.nanmax(np.abs(values))):.4g}, beyond bfloat16")
    return kept


def rounding_of(values: NDArray[np.float32], kept: NDArray[Any]) -> NDArray[np.float32]:
    """Return what keeping did to each vector: the norm of its error over its own norm (0 for a vector of zeros)."""
    exact = values.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1)
    errors = np.linalg.norm(exact - kept.astype(np.float64), axis=1)
    return np.asarray(np.divide(errors, norms, out=np.zeros_like(norms), where=norms > 0), dtype=np.float32)


def padded(layout: Layout, modality: Modality, rows: Mapping[str, int], span: slice, block: Block) -> dict[str, Any]:
    """Return a block as it is written: ``activation``, ``positions`` and, where numbers are rounded, ``rounding``.

    `rows` says where each point stands in the store, `span` which sentences these are. A DataError names an activation
    beyond the format that the store keeps.
    """
    size, width = span.stop - span.start, max(point["width"] for point in layout.points)
    dtype = np.float16 if layout.dtype == "float16" else np.float32
    activation = np.full((len(layout.points), size, width), np.nan, dtype=dtype)
    positions = np.zeros((len(layout.points), size), dtype=np.int32)
    rounding = np.full((len(layout.points), size), np.nan, dtype=np.float32)
    for point in layout.points:
        if point["modality"] not in (modality, "both"):
            continue
        name = point["name"]
        values = block.vectors[name]
        try:
            kept = rounded(values, layout.dtype)
        except OverflowError as error:
            most = int(np.nan_to_num(np.abs(values)).max(axis=1).argmax())
            raise DataError(
                f"sentence {layout.sentences[span][most]!r}, {modality}: the activation at {name} reaches {error}: use "
                f"store_dtype = 'float32'"
            ) from error
        activation[rows[name], :, : point["width"]] = kept
        positions[rows[name]] = block.positions[name]
        if layout.dtype != "float32":
            rounding[rows[name]] = rounding_of(values, kept)
    made: dict[str, Any] = {"activation": activation, "positions": positions}
    return made | ({"rounding": rounding} if layout.dtype != "float32" else {})


def contents_of(layout: Layout) -> dict[str, bytes]:
    """Return all objects of a new store without a block in it, by key."""
    contents: dict[str, Any] = {}
    memory = MemoryStore(contents)
    _coordinates(layout).to_zarr(memory, mode="w", zarr_format=3, consolidated=False)
    group = zarr.open_group(memory, mode="r+")
    for name, made in _arrays(layout).items():
        group.create_array(name, chunk_key_encoding=CHUNK_KEYS, **made)
    consolidate(memory)
    return {key: value.to_bytes() for key, value in contents.items()}


def consolidate(store: Store) -> None:
    """Write the description of all arrays of a store in one place, as it is read."""
    import warnings

    with warnings.catch_warnings():  # xarray looks for it, zarr says that other readers may not
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(store)


def _coordinates(layout: Layout) -> xr.Dataset:
    def strings(values: Sequence[str]) -> NDArray[Any]:
        return np.array(values, dtype=object)

    def values_of(key: str, dtype: Any = object) -> NDArray[Any]:
        return np.array([point[key] for point in layout.points], dtype=dtype)

    coordinates = {
        "modality": ("modality", strings(layout.modalities), "text or speech"),
        "language": ("language", strings(layout.languages), "language code"),
        "sentence": ("sentence", strings(layout.sentences), "sentence id, the same in all languages"),
        "point": ("point", values_of("name"), "name of the point in the model"),
        "point_modality": ("point", values_of("modality"), "modality whose side has the point"),
        "stage": ("point", values_of("stage"), "what the point is for"),
        "depth": (
            "point",
            values_of("depth", np.float64),
            "position of the point within its side, 0 at the input and 1 at the output",
        ),
        "width": ("point", values_of("width", np.int32), "features of the point"),
        "module": ("point", values_of("module"), "module that is hooked"),
    }
    units = {"depth": {"units": "1"}, "width": {"units": "1"}}
    return xr.Dataset(
        coords={
            name: (dimension, values, {"long_name": about} | units.get(name, {}))
            for name, (dimension, values, about) in coordinates.items()
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": "babelscope activations",
            "schema": SCHEMA,
            "store_dtype": layout.dtype,
            "labels": json.dumps({name: digest_of_labels(each[1]) for name, each in coordinates.items()}),
            "identity": json.dumps(layout.identity, ensure_ascii=False),
            "provenance": json.dumps(layout.provenance, ensure_ascii=False),
        },
    )


#: Of numbers and short texts: a checksum behind light compression.
_SMALL = (ZstdCodec(level=1), Crc32cCodec())
_FILLS: dict[str, Any] = {"string": "", "int32": 0, "float16": math.nan, "float32": math.nan, "float64": math.nan}


def _array(
    dimensions: Sequence[str], shape: tuple[int, ...], dtype: str, chunks: tuple[int, ...], about: str, unit: str = ""
) -> dict[str, Any]:
    return {
        "shape": shape,
        "dimension_names": tuple(dimensions),
        "attributes": {"long_name": about} | ({"units": unit} if unit else {}),
        "compressors": _SMALL,
        "dtype": dtype,
        "fill_value": _FILLS[dtype],
        "chunks": chunks,
    }


def cluster_array(sentences: int) -> dict[str, Any]:
    """Return how the array ``cluster`` is made, which a store of an earlier version lacks."""
    about = "document or family that the sentence belongs to, where that is known"
    return _array(("sentence",), (sentences,), "string", (sentences,), about)


def _arrays(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return how each array is made. None of them is written to here: what is not there is its fill value."""
    modalities, languages = len(layout.modalities), len(layout.languages)
    sentences, points = len(layout.sentences), len(layout.points)
    width = max(point["width"] for point in layout.points)
    block = min(layout.block, sentences)
    shape = (modalities, points, languages, sentences)
    dims = ("modality", "point", "language", "sentence")

    def by_point(dtype: str, about: str) -> dict[str, Any]:
        return _array(dims, shape, dtype, (1, points, 1, block), about, "1")

    def by_text(dtype: str, size: int, about: str, unit: str = "") -> dict[str, Any]:
        return _array(dims[2:], (languages, sentences), dtype, (1, size), about, unit)

    dtype = "float16" if layout.dtype == "float16" else "float32"
    activation = _array((*dims, "feature"), (*shape, width), dtype, (1, 1, 1, block, width), "pooled activation", "1")
    # Bits of one rank side by side: signs and exponents repeat, and so do the zeros of numbers that were rounded.
    packed = (BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"), Crc32cCodec())
    further = {"shards": (1, points, 1, block, width), "compressors": packed, "serializer": BytesCodec()}
    made = {"activation": activation | further, "positions": by_point("int32", "valid positions that were pooled")}
    if layout.dtype != "float32":
        about = f"what keeping it in {layout.dtype} did: the norm of the error over the norm"
        made["rounding"] = by_point("float32", about)
    about, cells = "why it could not be encoded, where it was skipped", (modalities, languages, sentences)
    made["skipped"] = _array(("modality", "language", "sentence"), cells, "string", (1, 1, block), about)
    made["cluster"] = cluster_array(sentences)
    content = "what is heard, by its content: sha256 of a file, CRC-32 and size of an archive's member"
    return made | {
        "text": by_text("string", sentences, "what is written"),
        "recording": by_text("string", sentences, "what is heard"),
        "reader": by_text("string", sentences, "who speaks"),
        "content": by_text("string", sentences, content),
        "seconds": by_text("float64", block, "duration of the recording", "s"),
        "tokens": by_text("float64", block, "tokens of the text, special ones included", "1"),
        "token_ids": by_text("string", block, "these tokens as numbers of the model's vocabulary, spaces between"),
    }
