"""One side of a comparison, with all that is computed once a representation: centred rows, Gram matrix, directions.

All measures take their parts from here, so that two measures of one pair, or a thousand pairs of one representation,
share the costly work. Nothing here knows of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar, cast, overload

import numpy as np

from babelscope.errors import DataError
from babelscope.similarity.arrays import (
    Array,
    FloatArray,
    IntArray,
    as_rows,
    is_tensor,
    label_of,
    like,
    linalg,
    single,
    to_numpy,
)
from babelscope.similarity.lapack import Symmetric

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801 (a decorator, read like property)
    """A property that is computed once an instance and then kept.

    As :class:`functools.cached_property`, without its lock: before Python 3.12 that is one lock for all instances, and
    threads that prepare different representations would wait for one another. Two threads that ask one instance at the
    same moment both compute, and get equal values.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn under which name the value is kept."""
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> lazy[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> lazy[T] | T:
        """Return the value, computed now if it was not before."""
        if instance is None:
            return self
        value = self.make(instance)
        instance.__dict__[self.name] = value
        return value


class Representation:
    """Sentences x features, checked, float64, with its derived parts computed at most once.

    Parameters
    ----------
    x : array_like or torch.Tensor, shape (n, d)
        One row a sentence.
    name : hashable
        What to call it in errors.
    single : bool
        Multiply in single precision where that is good to 1e-6 (:attr:`kernel`).
    clusters : ndarray of int, shape (n,), optional
        Which sentences belong together, for measures that divide them.

    Attributes
    ----------
    rows : array, shape (n, d)
        As given, in float64.
    n, d : int
        Sentences, features.
    constant : int
        How many columns hold one value only. They carry nothing that a centred measure could see, and are zero in
        :attr:`centred`.

    Raises
    ------
    DataError
        If it is not a finite real matrix (:func:`~babelscope.similarity.arrays.as_rows`), or there are clusters of
        another number of sentences.
    """

    def __init__(self, x: Any, name: Hashable = "x", *, single: bool = False, clusters: IntArray | None = None) -> None:
        self.single, self.clusters = single, clusters
        self.rows, self.resolution = as_rows(x, name)
        self.name = name
        self.n, self.d = int(self.rows.shape[0]), int(self.rows.shape[1])
        if clusters is not None and clusters.shape != (self.n,):
            raise DataError(f"{label_of(name)} has {self.n} sentences, but clusters are given for {clusters.size}")
        self._memo: dict[Hashable, Any] = {}

    def memo(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the part called `key`, made on the first call."""
        if key not in self._memo:
            self._memo[key] = make()
        return cast(T, self._memo[key])

    def subset(self, rows: IntArray) -> Representation:
        """Return the representation of some of the sentences, in the order of `rows`."""
        clusters = None if self.clusters is None else self.clusters[rows]
        selected = Representation(self.rows[like(rows, self.rows)], self.name, single=self.single, clusters=clusters)
        selected.resolution = self.resolution
        return selected

    def bare(self) -> Representation:
        """Return the representation alone; derived arrays are dropped."""
        return Representation(self.rows, self.name, clusters=self.clusters)

    @lazy
    def varying(self) -> Any:
        """Which columns hold more than one value, shape (d,)."""
        if is_tensor(self.rows):
            return self.rows.amax(0) > self.rows.amin(0)
        return self.rows.max(0) > self.rows.min(0)

    @lazy
    def constant(self) -> int:
        """How many columns hold one value only."""
        return self.d - int(self.varying.sum())

    def nothing_varies(self) -> DataError:
        """Return the error for a representation that is the same for every sentence."""
        return DataError(
            f"{label_of(self.name)} is constant (all {self.n} sentences have the same vector): nothing to compare"
        )

    @lazy
    def centred(self) -> Array:
        """Rows less their mean, divided by their Frobenius norm; constant columns are exactly zero. Shape (n, d).

        The common divisor changes no measure that is computed from it, and keeps 1e-150 and 1e150 within range.
        DataError if every sentence has the same vector.
        """
        if self.constant == self.d:
            raise self.nothing_varies()
        out = self.rows / float(abs(self.rows).max())
        out -= out.mean(0)
        # Columns whose spread is lost to rounding (a huge offset) leave a residue of the mean: a second pass removes
        # it.
        out -= out.mean(0)
        if self.constant:
            out[:, ~self.varying] = 0.0
        flat = out.reshape(-1)
        out /= float(flat @ flat) ** 0.5
        return out

    @lazy
    def gram(self) -> Array:
        """Inner products of the centred rows, trace 1, shape (n, n)."""
        return self.centred @ self.centred.T

    @property
    def kernel(self) -> Array:
        """The Gram matrix as a kernel, in single precision if the representation is `single` (after centring)."""
        if not self.single:
            return self.gram
        rows = single(self.centred)
        return rows @ rows.T

    @lazy
    def _eigen(self) -> Symmetric | tuple[FloatArray, Array]:
        square = self.gram if self.n <= self.d else self.centred.T @ self.centred
        if not is_tensor(square):
            return Symmetric(square)
        values, vectors = linalg(square).eigh(square)
        return to_numpy(values), vectors

    @lazy
    def singular_values(self) -> FloatArray:
        """Singular values of the centred rows by falling size, by way of the smaller Gram matrix.

        Good to about 1e-8 of the largest; what lies below is left out. Their squares sum to 1.
        """
        values = (self._eigen.values if isinstance(self._eigen, Symmetric) else self._eigen[0])[::-1]
        keep = values > values[0] * max(self.n, self.d) * np.finfo(np.float64).eps
        keep[min(self.n - 1, self.d) :] = False
        return np.asarray(np.sqrt(values[keep]))

    def directions(self, k: int) -> Array:
        """Return the k leading left directions, orthonormal, shape (n, k). They go with :attr:`singular_values`."""
        if isinstance(self._eigen, Symmetric):
            u: Array = self._eigen.leading(k)
        else:
            vectors = self._eigen[1]
            u = vectors[:, like(np.arange(vectors.shape[1] - 1, vectors.shape[1] - 1 - k, -1), vectors)]
        return u if self.n <= self.d else (self.centred @ u) / like(self.singular_values[:k], u)

    @lazy
    def svd(self) -> tuple[Array, FloatArray, Array]:
        """Singular value decomposition of the centred rows, cut at its numerical rank: u (n, r), s (r,), v' (r, d).

        A direction counts if it stands above the rounding of float64 and above the rounding of the type the data came
        in (resolution times the r.m.s. of the raw data times sqrt(n) + sqrt(d), the norm of a matrix of rounding
        errors).
        """
        u, values, vt = linalg(self.centred).svd(self.centred, full_matrices=False)
        s = to_numpy(values)
        scale = float(abs(self.rows).max())
        raw = self.rows / scale
        centred_norm = float(((raw - raw.mean(0)) ** 2).sum()) ** 0.5
        rms = float((raw * raw).mean()) ** 0.5
        coarse = self.resolution > 1e-12
        rounding = self.resolution * rms * (self.n**0.5 + self.d**0.5) / centred_norm if coarse else 0.0
        floor = max(s[0] * max(self.n, self.d) * np.finfo(np.float64).eps, rounding)
        r = max(1, min(int((s > floor).sum()), self.n - 1))
        return u[:, :r], s[:r], vt[:r]

    @lazy
    def unit(self) -> Array:
        """Rows divided by their length, not centred, shape (n, d); DataError for the zero vector, without direction."""
        return _unit(self.rows / float(abs(self.rows).max() or 1.0), self.name, "")

    @lazy
    def centred_unit(self) -> Array:
        """Centred rows divided by their length, shape (n, d); DataError if a sentence lies exactly on the mean."""
        return _unit(self.centred, self.name, " once the mean is taken off")

    def cosines(self, centre: bool) -> FloatArray:
        """Cosines between the sentences, on the host, shape (n, n)."""
        unit = self.centred_unit if centre else self.unit
        return self.memo(("cosines", centre), lambda: to_numpy(unit @ unit.T))

    @lazy
    def square_distances(self) -> FloatArray:
        """Squared Euclidean distances between the centred rows (Frobenius norm 1), on the host, shape (n, n)."""
        gram = to_numpy(self.gram)
        norms = np.diag(gram)
        out = np.maximum(norms[:, None] + norms[None, :] - 2 * gram, 0.0)  # below 0 by rounding only
        np.fill_diagonal(out, 0.0)
        return out


def _unit(rows: Array, name: Hashable, when: str) -> Array:
    norms = (rows * rows).sum(1) ** 0.5
    lengths = to_numpy(norms)
    if not lengths.min() > 0:
        bad = int(np.flatnonzero(~(lengths > 0))[0])
        raise DataError(
            f"{label_of(name)} has the zero vector in row {bad} (counted from 0){when}: a cosine is not defined there"
        )
    return rows / norms[:, None]
