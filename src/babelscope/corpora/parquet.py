"""Rows of Parquet files as Python values, a few at a time; sound in lists of numbers stays an array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from babelscope.errors import DataError, did_you_mean

#: Names of fields that hold the sound itself.
SOUND = ("bytes", "wav", "array")

_BUFFER = 2**20


def read_rows(
    path: Path, needed: Sequence[str], *, columns: Sequence[str] | None = None, sound: bool = True, batch: int = 16
) -> Iterator[dict[str, Any]]:
    """Yield a Parquet file's rows.

    Parameters
    ----------
    needed : sequence of str
        Columns that the file must have.
    columns : sequence of str, optional
        What is read, as ``"id"`` or ``"audio.path"``; everything if left out.
    sound : bool
        Whether fields named as in :data:`SOUND` are read. If not, `columns` is ignored.
    batch : int
        Rows at a time.

    Yields
    ------
    dict
        Column to value. Lists of floating-point numbers are arrays.

    Raises
    ------
    DataError
        If the file cannot be read, or lacks a column.
    """
    try:
        # A language's sound may be in one row group of gigabytes: it is not read at once.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
            names = file.schema_arrow.names
            for column in needed:
                if column not in names:
                    raise DataError(f"{path} has no column {column!r}: {did_you_mean(column, names)}")
            if not sound:
                columns = silent_columns(file)
            for rows in file.iter_batches(batch_size=batch, columns=None if columns is None else list(columns)):
                for number in range(rows.num_rows):
                    yield {name: _value(rows.column(name)[number]) for name in rows.schema.names}
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}): get it again") from error


def silent_columns(file: pq.ParquetFile) -> list[str]:
    """Return the columns of a Parquet file, nested ones by their paths, without those that hold sound."""
    paths = (file.schema.column(number).path for number in range(len(file.schema)))
    return [path for path in paths if not any(name in SOUND for name in path.split(".")[1:])]


def _value(scalar: Any) -> Any:
    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.StructScalar):
        return {name: _value(scalar[name]) for name in scalar.type.names}
    if isinstance(scalar, (pa.ListScalar, pa.LargeListScalar)):
        if pa.types.is_floating(scalar.type.value_type):
            return np.asarray(scalar.values.to_numpy(zero_copy_only=False))
        return [_value(each) for each in scalar.values]
    return scalar.as_py()
