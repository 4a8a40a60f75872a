"""Data sets of the Hugging Face hub: Parquet or Arrow with recordings inside, or a folder with a table of metadata.

Recordings inside are packed into the cache once, so that each can be read on its own. Labels that are stored as numbers
get their names from the schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from babelscope.corpora.manifest.errors import RowError
from babelscope.corpora.manifest.rows import MAX_ROWS
from babelscope.corpora.manifest.tables import Row, Table
from babelscope.corpora.packing import Packed, pack
from babelscope.errors import DataError

_BATCH, _BATCH_OF_RECORDINGS = 2**13, 2**8  # rows
_ARROW = (pa.ArrowException, OSError, ValueError, ArithmeticError, MemoryError)
#: First bytes of recordings that come without a name.
_MAGIC = ((b"RIFF", ".wav"), (b"fLaC", ".flac"), (b"OggS", ".ogg"), (b"ID3", ".mp3"), (b"\xff\xfb", ".mp3"))
#: Tables of metadata next to recordings.
METADATA = ("metadata.csv", "metadata.jsonl")


@dataclass(frozen=True)
class Shards:
    """The files of a data set, and their schema."""

    files: tuple[Path, ...]
    schema: pa.Schema
    features: Mapping[str, Any]

    @property
    def audio(self) -> str | None:
        """The column that holds recordings; the first if there are several."""
        return next((field.name for field in self.schema if _holds_recordings(field)), None)


def shards_of(path: Path) -> Shards | None:
    """Return the Parquet or Arrow files of a folder, or a Parquet file; None if there are none.

    Raises
    ------
    DataError
        If they are damaged, or their columns differ.
    """
    if path.is_dir():
        files = sorted(path.glob("*.parquet")) or sorted(path.glob("*/*.parquet")) or sorted(path.glob("*/*/*.parquet"))
        if not files and ((path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file()):
            files = sorted(path.glob("*.arrow")) or sorted(path.glob("*/*.arrow"))
    else:
        files = [path]
    if not files:
        return None
    schemas = [_schema(file) for file in files]
    for file, schema in zip(files, schemas, strict=True):
        if schema.names != schemas[0].names:
            raise DataError(f"manifest {file} has other columns than {files[0]}: name one of them alone")
    return Shards(tuple(files), schemas[0], _features(schemas[0], files[0].parent))


def _schema(path: Path) -> pa.Schema:
    try:
        if path.suffix.lower() == ".parquet":
            with pq.ParquetFile(path) as file:
                if file.metadata.num_rows > MAX_ROWS:
                    raise DataError(f"manifest {path} has more than {MAX_ROWS} rows: split it")
                return file.schema_arrow
        with pa.OSFile(str(path)) as handle, pa.ipc.open_stream(handle) as reader:
            return reader.schema
    except _ARROW as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> DataError:
    kind = "Parquet" if path.suffix.lower() == ".parquet" else "Arrow"
    return DataError(f"manifest {path} cannot be read as {kind} ({error}): write it again")


def _features(schema: pa.Schema, folder: Path) -> Mapping[str, Any]:
    """Return the description of the columns from the data set itself; empty if there is none."""
    texts: list[bytes] = [(schema.metadata or {}).get(b"huggingface", b"")]
    if (folder / "dataset_info.json").is_file():
        texts.append((folder / "dataset_info.json").read_bytes())
    for text in texts:
        try:
            described = json.loads(text)
            features = described.get("info", described).get("features")
        except (ValueError, AttributeError, RecursionError):
            continue
        if isinstance(features, dict):
            return features
    return {}


def _holds_recordings(field: pa.Field) -> bool:
    kind = field.type
    if pa.types.is_struct(kind):
        return {"bytes", "path"} <= {kind.field(place).name for place in range(kind.num_fields)}
    return bool(field.name == "audio" and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)))


def read_shards(shards: Shards, path: Path) -> Table:
    """Open the rows of a data set; recordings inside are packed into the cache.

    Raises
    ------
    DataError
        If the files are damaged.
    """
    audio = shards.audio
    columns = tuple(name for name in shards.schema.names if name != audio)
    if audio is None:
        return Table(path, "row", columns, _rows(shards, columns), typed=True)
    packed = pack("manifests", "recordings", shards.files, lambda: _members(shards, audio))
    named = (*columns, audio) if pa.types.is_struct(shards.schema.field(audio).type) else columns
    rows = with_recordings(_rows(shards, named), audio, packed, shards.files[0])
    return Table(path, "row", tuple(dict.fromkeys((*columns, "audio", "member", "seconds"))), rows, typed=True)


def _rows(shards: Shards, columns: Sequence[str]) -> Iterator[Row]:
    labels = {name: names for name in columns if (names := _labels(shards.features.get(name)))}
    for file in shards.files:
        if len(shards.files) > 1:
            yield 0, file
        for number, fields in enumerate(_records(file, columns, shards.audio), 1):
            for name, names in labels.items():
                value = fields.get(name)
                if isinstance(value, int) and 0 <= value < len(names):
                    fields[name] = names[value]
            yield number, fields


def _labels(feature: Any) -> Sequence[str]:
    """Return the names of a column of labels, in the order of their numbers."""
    names = feature.get("names") if isinstance(feature, Mapping) and feature.get("_type") == "ClassLabel" else None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def with_recordings(rows: Iterator[Row], audio: str, packed: Packed, path: Path) -> Iterator[Row]:
    """Name the packed recording, or the file of its own, in every row that has one; a path is the next shard."""
    members = {PurePosixPath(name).stem: name for name in (*packed.seconds, *packed.broken)}
    shard = -1
    for number, row in rows:
        if isinstance(row, Path):
            shard, path = shard + 1, row
        if not isinstance(row, Mapping):
            yield number, row
            continue
        named = row.get(audio)
        member = members.get(stem(max(shard, 0), number))
        fields = {name: value for name, value in row.items() if name != audio}
        if member is None:
            file = named.get("path") if isinstance(named, Mapping) else named
            yield number, {**fields, "audio": file if isinstance(file, str) else None}
        elif member in packed.broken:
            what = f"cannot be used: {packed.broken[member]}"
            yield number, RowError(path, f"row {number}", what, kind="audio-broken", column=audio)
        else:
            yield number, {**fields, "audio": str(packed.path), "member": member, "seconds": packed.seconds[member]}


def stem(shard: int, number: int) -> str:
    """Return what the recording of a row is called in its archive, but for the suffix."""
    return f"{shard:05d}-{number:08d}"


def _members(shards: Shards, audio: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every recording that the files hold themselves."""
    for shard, file in enumerate(shards.files):
        for number, fields in enumerate(_records(file, [audio], rows=_BATCH_OF_RECORDINGS), 1):
            value = fields[audio]
            content, name = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
            if isinstance(content, bytes) and content:
                yield stem(shard, number) + suffix_of(name, content), content


def suffix_of(name: object, content: bytes) -> str:
    """Return the ending of a recording's name, or the one that its first bytes ask for."""
    suffix = PurePosixPath(name).suffix.lower() if isinstance(name, str) else ""
    if suffix[1:].isalnum() and suffix.isascii():
        return suffix
    return next((known for magic, known in _MAGIC if content.startswith(magic)), ".wav")


def _records(
    file: Path, columns: Sequence[str], audio: str | None = None, rows: int = _BATCH
) -> Iterator[dict[str, Any]]:
    """Yield a file's rows, of some columns only; of `audio`, a struct, its field ``path`` alone."""
    try:
        for batch in (_parquet if file.suffix.lower() == ".parquet" else _arrow)(file, columns, audio, rows):
            yield from batch.to_pylist()
    except _ARROW as error:
        raise _unreadable(file, error) from error


def _parquet(file: Path, columns: Sequence[str], audio: str | None, rows: int) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(file) as opened:
        wanted = [f"{name}.path" if name == audio else name for name in columns]
        yield from opened.iter_batches(batch_size=rows, columns=wanted)


def _arrow(file: Path, columns: Sequence[str], audio: str | None, rows: int) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(file)) as handle, pa.ipc.open_stream(handle) as reader:
        for batch in reader:
            arrays = [batch.column(name) for name in columns]
            if audio in columns:
                place = columns.index(audio)
                arrays[place] = pa.StructArray.from_arrays([arrays[place].field("path")], ["path"])
            yield pa.RecordBatch.from_arrays(arrays, list(columns))
