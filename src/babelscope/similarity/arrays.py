"""What comes in: NumPy arrays or torch tensors with sentences in rows, checked once, float64 from there on.

torch is used only if the caller has imported it already; a tensor is computed on the device where it lies. The few
functions here are all that differs between the two, the rest of the package uses what NumPy and torch spell alike.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from babelscope.errors import DataError, UsageError

#: A NumPy array or a torch tensor (of float64 once it has passed :func:`as_rows`).
Array: TypeAlias = Any
FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]


def is_tensor(x: object) -> bool:
    """Say whether `x` is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def to_numpy(x: Array) -> FloatArray:
    """Return `x` as a float64 NumPy array, copied off its device if need be."""
    if is_tensor(x):
        return np.asarray(x.detach().cpu().double().numpy())
    return np.asarray(x, dtype=np.float64)


def like(values: npt.NDArray[Any], x: Array) -> Array:
    """Return a NumPy array in the kind, and on the device, of `x`."""
    if is_tensor(x):
        return sys.modules["torch"].from_numpy(np.ascontiguousarray(values)).to(x.device)
    return values


def linalg(x: Array) -> Any:
    """Return the module that decomposes arrays of the kind of `x`, NumPy's or torch's."""
    return sys.modules["torch"].linalg if is_tensor(x) else np.linalg


def single(x: Array) -> Array:
    """Return an array in single precision; as it is if it has that already."""
    return x.float() if is_tensor(x) else x.astype(np.float32, copy=False)


def double(x: Array) -> Array:
    """Return an array in double precision; as it is if it has that already."""
    return x.double() if is_tensor(x) else x.astype(np.float64, copy=False)


def on_device(values: npt.NDArray[Any], device: str) -> Array:
    """Return a NumPy array as a torch tensor on a device; UsageError if torch has no such device here."""
    import torch

    if device.startswith("mps"):
        raise UsageError("device 'mps' computes in single precision only, which nulls need more than: choose 'cpu'")
    try:
        return torch.from_numpy(np.array(values)).to(device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {device!r} cannot be used here ({error}): choose 'cpu' or another device") from error


def set_diagonal(matrix: Array, values: Array) -> Array:
    """Set the diagonal of a square matrix, in place, and return it."""
    if is_tensor(matrix):
        matrix.diagonal().copy_(values)
    else:
        np.fill_diagonal(matrix, values)
    return matrix


def as_rows(x: Any, name: Hashable = "x") -> tuple[Array, float]:
    """Check sentences x features, NumPy or torch, of any real type, and widen them to float64.

    A vector of n numbers counts as one feature. What comes back with the rows is the machine epsilon of the type they
    came in (float16 1e-3, float32 1e-7): below it, differences are rounding. DataError if it is not a real matrix, has
    no sentence or no feature, or holds NaN or infinity; the row is named.
    """
    label = label_of(name)
    if is_tensor(x):
        torch = sys.modules["torch"]
        if x.is_complex():
            raise DataError(f"{label} is complex: representations are real numbers")
        resolution = float(torch.finfo(x.dtype).eps) if x.is_floating_point() else float(np.finfo(np.float64).eps)
        rows: Array = x.detach().double()
        finite = torch.isfinite
    else:
        try:
            given = np.asarray(x)
            if given.dtype.kind not in "fiub":
                raise TypeError
            resolution = float(np.finfo(given.dtype if given.dtype.kind == "f" else np.float64).eps)
            rows = given.astype(np.float64, copy=False)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{label} is not a matrix of real numbers: give an array of sentences x features"
            ) from error
        finite = np.isfinite
    if rows.ndim == 1:
        rows = rows[:, None]
    if rows.ndim != 2:
        raise DataError(f"{label} has {rows.ndim} dimensions, not 2: pool it to one vector a sentence first")
    if rows.shape[0] == 0 or rows.shape[1] == 0:
        raise DataError(f"{label} is empty ({rows.shape[0]} sentences x {rows.shape[1]} features)")
    # A finite sum has finite terms; only where it is not (or where it overflows) is every entry looked at.
    if not np.isfinite(float(rows.sum())) and not bool((ok := finite(rows)).all()):
        bad = np.flatnonzero(to_numpy(ok.all(1)) == 0)
        kind = "NaN" if np.isnan(to_numpy(rows[int(bad[0])])).any() else "infinity"
        raise DataError(
            f"{label} holds {kind} in row {bad[0]} (counted from 0)"
            + (f" and in {len(bad) - 1} more rows" if len(bad) > 1 else "")
            + ": leave these sentences out on both sides, or encode them again"
        )
    return rows, resolution


def label_of(name: Hashable) -> str:
    """Return a label as text; the elements of a tuple are joined with ``/``."""
    if isinstance(name, tuple):
        return "/".join(str(element) for element in name)
    return str(name)


def same_sentences(n_x: int, n_y: int, name_x: Hashable = "x", name_y: Hashable = "y") -> None:
    """Raise DataError unless both sides of a pair have the same number of sentences."""
    if n_x != n_y:
        raise DataError(
            f"{label_of(name_x)} has {n_x} sentences and {label_of(name_y)} has {n_y}: "
            "keep the sentences that both have, in the same order"
        )
