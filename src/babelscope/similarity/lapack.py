"""Eigenvalues and leading eigenvectors of symmetric matrices, without holding the interpreter.

NumPy holds the interpreter lock for eigenvalues of matrices with fewer than 500 rows, and computes all vectors where
few are wanted; SciPy's wrappers hold it throughout. The LAPACK that SciPy comes with is called here through the
pointers that :mod:`scipy.linalg.cython_lapack` offers to compiled code, so that threads work side by side.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.linalg import cython_lapack

from babelscope.similarity.arrays import FloatArray

#: How far from orthonormal vectors may be before the slower, surer solver is asked.
ORTHONORMAL = 1e-10


@lru_cache(maxsize=16)
def _routine(name: str) -> Callable[..., int]:
    """Return a function that calls a LAPACK routine with the addresses of its arguments, and returns its ``info``."""
    capsule = cython_lapack.__pyx_capi__[name]
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address_of = ctypes.pythonapi.PyCapsule_GetPointer
    address_of.restype, address_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    signature = name_of(capsule)
    arguments = signature.count(b",") + 1
    pointer = address_of(capsule, signature)
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(pointer)

    def run(*given: Any) -> int:
        info = ctypes.c_int(0)
        values = [*(_argument(value) for value in given), info]
        if len(values) != arguments:
            raise TypeError(f"{name} takes {arguments} arguments, not {len(values)}")
        call(*(value.ctypes.data if isinstance(value, np.ndarray) else ctypes.addressof(value) for value in values))
        return info.value

    return run


def _argument(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, str):
        return ctypes.c_char(value.encode())
    return ctypes.c_int(value) if isinstance(value, int) else ctypes.c_double(value)


def eigenvalues(a: FloatArray) -> FloatArray:
    """Return the eigenvalues of a symmetric matrix (float64, shape (n, n)), ascending."""
    n = a.shape[0]
    if n < 2:
        return np.array(a, dtype=np.float64).reshape(n)
    matrix, values = np.array(a, dtype=np.float64, order="C"), np.empty(n)
    work, integers = np.empty(66 * n), np.empty(1, dtype=np.intc)
    if _routine("dsyevd")("N", "U", n, matrix, n, values, work, work.size, integers, 1):
        return np.asarray(np.linalg.eigvalsh(a), dtype=np.float64)
    return values


class Symmetric:
    """A symmetric matrix brought to tridiagonal form: all eigenvalues at once, leading eigenvectors when asked for."""

    def __init__(self, a: FloatArray) -> None:
        self.a, n = a, a.shape[0]
        self.n = n
        self._reflected = np.array(a, dtype=np.float64, order="C")
        self._diagonal, self._beside, self._tau = np.empty(n), np.zeros(n), np.zeros(n)
        work = np.empty(64 * n)
        failed = n < 2 or _routine("dsytrd")(
            "U", n, self._reflected, n, self._diagonal, self._beside, self._tau, work, work.size
        )
        self.values = np.empty(0)
        if not failed:
            values, beside = self._diagonal.copy(), self._beside.copy()
            failed = _routine("dsterf")(n, values, beside)
            self.values = values
        self._whole: tuple[FloatArray, FloatArray] | None = None
        if failed:
            self._whole = np.linalg.eigh(a)
            self.values = self._whole[0]

    def leading(self, k: int) -> FloatArray:
        """Return the eigenvectors of the k largest eigenvalues, by falling eigenvalue, shape (n, k)."""
        if self._whole is None:
            vectors = self._some(k)
            if vectors is not None:
                return vectors
            self._whole = np.linalg.eigh(self.a)
        return self._whole[1][:, : -k - 1 : -1]

    def _some(self, k: int) -> FloatArray | None:
        """Return them by MRRR on the tridiagonal form (dstemr) and its reflections (dormtr); None if that fails."""
        n = self.n
        count, values = np.zeros(1, dtype=np.intc), np.empty(n)
        vectors = np.empty((k, n))  # columns in Fortran's order
        support = np.empty(2 * k, dtype=np.intc)
        work, integers = np.empty(18 * n), np.empty(10 * n, dtype=np.intc)
        tridiagonal = [self._diagonal.copy(), self._beside.copy()]
        precise = np.ones(1, dtype=np.intc)
        if _routine("dstemr")(
            *("V", "I", n, *tridiagonal, 0.0, 0.0, n - k + 1, n, count, values, vectors, n, k, support, precise),
            *(work, work.size, integers, integers.size),
        ):
            return None
        work = np.empty(64 * k)
        if int(count[0]) != k or _routine("dormtr")(
            "L", "U", "N", n, k, self._reflected, n, self._tau, vectors, n, work, work.size
        ):
            return None
        off = vectors @ vectors.T
        off[np.diag_indices(k)] -= 1.0
        if not float(np.abs(off).max()) <= ORTHONORMAL:
            return None
        return vectors[::-1].T
