"""Settings next to weights (``config.json`` and its like): plain data, whose sizes must be those of a possible model.

Nothing in them is followed: no code next to them is imported (``auto_map``), no other class is chosen, and no size that
they claim is made before it is compared with the weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from babelscope.errors import BabelscopeError, DataError

#: Bytes of one file of settings. The index of a model of a thousand layers has a tenth.
MAX_BYTES = 16 * 2**20
#: A number of layers, of a known or a coming model.
MAX_LAYERS = 1_000
#: Any other size: a vocabulary, a width, a table of positions.
MAX_SIZE = 2**24
#: The product of these is a matrix; a width beyond is no model's.
MAX_WIDTH = 2**18

_WIDTHS = ("hidden_size", "d_model", "ffn_dim", "intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim")
_SIZES = ("_size", "_dim", "_positions", "_embeddings", "_buckets", "_heads", "_bins", "_queries")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DataError
        If the file is missing, damaged, larger than :data:`MAX_BYTES` or nested too deeply.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"weights: {path} is larger than {MAX_BYTES} bytes, which settings are not: refused")
        return json.loads(path.read_text(encoding="utf-8"))
    except BabelscopeError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"weights: {path} cannot be read ({error}): fetch it again") from error


def read_settings(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    DataError
        As :func:`read_json`; or if it is no object, or a size in it is none that a model has.
    """
    said = read_json(path)
    if not isinstance(said, dict):
        raise DataError(f"weights: {path} is not a table of settings: fetch it again")
    for key, value in _sizes(said):
        most = MAX_LAYERS if "layers" in key else MAX_WIDTH if key in _WIDTHS else MAX_SIZE
        if not abs(value) <= most:  # NaN is beyond too
            raise DataError(
                f"weights: {path}: {key} is {str(value)[:20]}, beyond the {most} that a model can have: refused"
            )
    return said


def _sizes(said: Mapping[str, Any]) -> Iterator[tuple[str, int | float]]:
    for key, value in said.items():
        if isinstance(value, Mapping):
            yield from _sizes(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            name = key.lower()
            if name == "total_size":  # of an index: the bytes of all files
                continue
            if "layers" in name or name in _WIDTHS or name.endswith(_SIZES):
                yield name, value
