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
    *(
        "activation",
        "positions",
        "rounding",
        "text",
        "recording",
        "reader",
        "content",
        "seconds",
        "tokens",
        "token_ids",
        "skipped",
        "cluster",
    ),
)

#: The coordinates: what rows, columns and points are called. They are written with the store and never change.
LABELS: tuple[str, ...] = CONTENTS[:9]

#: How the keys of chunks are written.
CHUNK_KEYS: dict[str, Any] = {"name": "default", "separator": "."}

#: What may differ between a store and the one that it replaces, of which whole blocks are then still what they were.
MAY_DIFFER = frozenset({"corpus", "languages", "sentences", "points", "block"})

_PACKAGES = ("babelscope", "torch", "transformers", "numpy", "scipy", "xarray", "zarr")
_FLOAT16_MOST = float(np.finfo(np.float16).max)


def versions() -> dict[str, str]:
    """Return the versions of the packages that numbers depend on."""
    return {name: version(name) for name in _PACKAGES}


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def check_store_dtype(name: str) -> None:
    """Check the name of a number format.

    Raises
    ------
    UsageError
        If it is unknown.
    """
    if name not in STORE_DTYPES:
        raise UsageError(f"store_dtype {name!r} is unknown; {did_you_mean(name, STORE_DTYPES)}")


@dataclass(frozen=True)
class Layout:
    """What a store will hold: its labels, and the identity of everything that determines its numbers.

    Attributes
    ----------
    block : int
        Sentences a block.
    dtype : str
        One of :data:`STORE_DTYPES`.
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
    """Return activations as they are kept.

    Parameters
    ----------
    values : ndarray
        In float32, finite but for the NaN of rows that were skipped.
    dtype : str
        One of :data:`STORE_DTYPES`.

    Returns
    -------
    ndarray, of the same shape
        In float32 or float16. For "bfloat16" in float32 with the lower half of the bits 0, rounded to nearest, ties to
        even: Zarr has no bfloat16 of its own, every reader has this, and the zeros take no space on the disk.

    Raises
    ------
    OverflowError
        If a value is beyond the format.
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

    Parameters
    ----------
    modality : {"text", "speech"}
    rows : mapping of point to int
        Where each point stands in the store.
    span : slice
        Which sentences.

    Raises
    ------
    DataError
        If an activation is beyond the format that the store keeps.
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
        return np.array(list(values), dtype=object)

    points = layout.points
    columns = {key: strings([point[key] for point in points]) for key in ("name", "modality", "stage", "module")}
    coordinates = {
        "modality": ("modality", strings(layout.modalities), "text or speech"),
        "language": ("language", strings(layout.languages), "language code"),
        "sentence": ("sentence", strings(layout.sentences), "sentence id, the same in all languages"),
        "point": ("point", columns["name"], "name of the point in the model"),
        "point_modality": ("point", columns["modality"], "modality whose side has the point"),
        "stage": ("point", columns["stage"], "what the point is for"),
        "depth": (
            "point",
            np.array([point["depth"] for point in points], dtype=np.float64),
            "position of the point within its side, 0 at the input and 1 at the output",
        ),
        "width": ("point", np.array([point["width"] for point in points], dtype=np.int32), "features of the point"),
        "module": ("point", columns["module"], "module that is hooked"),
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


def cluster_array(sentences: int) -> dict[str, Any]:
    """Return how the array ``cluster`` is made, which a store of an earlier version lacks."""
    return {
        "shape": (sentences,),
        "dimension_names": ("sentence",),
        "attributes": {"long_name": "document or family that the sentence belongs to, where that is known"},
        "compressors": (ZstdCodec(level=1), Crc32cCodec()),
        "dtype": "string",
        "fill_value": "",
        "chunks": (sentences,),
    }


def _arrays(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return how each array is made. None of them is written to here: what is not there is its fill value."""
    languages, sentences, points = len(layout.languages), len(layout.sentences), len(layout.points)
    width = max(point["width"] for point in layout.points)
    block = min(layout.block, sentences)
    shape = (len(layout.modalities), points, languages, sentences)
    dims = ("modality", "point", "language", "sentence")
    # Bits of one rank side by side: signs and exponents repeat, and so do the zeros of numbers that were rounded.
    packed = (BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"), Crc32cCodec())
    small = (ZstdCodec(level=1), Crc32cCodec())

    def array(dimensions: tuple[str, ...], cells: tuple[int, ...], about: str, **more: Any) -> dict[str, Any]:
        described = {"long_name": about} | more.pop("attributes", {})
        made = {"shape": cells, "dimension_names": dimensions, "attributes": described, "compressors": small}
        return made | more

    made = {
        "activation": array(
            (*dims, "feature"),
            (*shape, width),
            "pooled activation",
            dtype="float16" if layout.dtype == "float16" else "float32",
            fill_value=math.nan,
            chunks=(1, 1, 1, block, width),
            shards=(1, points, 1, block, width),
            compressors=packed,
            serializer=BytesCodec(),
            attributes={"units": "1"},
        ),
        "positions": array(
            dims,
            shape,
            "valid positions that were pooled",
            dtype="int32",
            fill_value=0,
            chunks=(1, points, 1, block),
            attributes={"units": "1"},
        ),
    }
    if layout.dtype != "float32":
        made["rounding"] = array(
            dims,
            shape,
            f"what keeping it in {layout.dtype} did: the norm of the error over the norm",
            dtype="float32",
            fill_value=math.nan,
            chunks=(1, points, 1, block),
            attributes={"units": "1"},
        )
    made["skipped"] = array(
        ("modality", "language", "sentence"),
        (len(layout.modalities), languages, sentences),
        "why it could not be encoded, where it was skipped",
        dtype="string",
        fill_value="",
        chunks=(1, 1, block),
    )
    made["cluster"] = cluster_array(sentences)
    per_text, cells = ("language", "sentence"), (languages, sentences)
    for name, about in (
        ("text", "what is written"),
        ("recording", "what is heard"),
        ("reader", "who speaks"),
        ("content", "what is heard, by its content: sha256 of a file, CRC-32 and size of an archive's member"),
    ):
        made[name] = array(per_text, cells, about, dtype="string", fill_value="", chunks=(1, sentences))
    for name, about, attributes in (
        ("seconds", "duration of the recording", {"units": "s"}),
        ("tokens", "tokens of the text, special ones included", {"units": "1"}),
    ):
        made[name] = array(
            per_text, cells, about, dtype="float64", fill_value=math.nan, chunks=(1, block), attributes=attributes
        )
    made["token_ids"] = array(
        per_text,
        cells,
        "these tokens as numbers of the model's vocabulary, spaces between",
        dtype="string",
        fill_value="",
        chunks=(1, block),
    )
    return made
