"""What one representation looks like by itself: how many directions it uses, and whether a few dimensions run it."""

from __future__ import annotations

from typing import Any

import numpy as np

from babelscope.errors import DataError, UsageError
from babelscope.similarity.arrays import IntArray, to_numpy
from babelscope.similarity.representation import Representation


def effective_rank(x: Any, *, kind: str = "entropy") -> float:
    """Return how many directions a representation uses.

    Parameters
    ----------
    x : array_like or torch.Tensor, shape (n, d)
        One row a sentence; centred first.
    kind : {"entropy", "participation"}
        exp of the entropy of the variances' shares (Roy & Vetterli), or (sum v)^2 / sum v^2 of the variances v.

    Returns
    -------
    float
        Between 1 and min(n - 1, d).

    Raises
    ------
    UsageError, DataError
        For an unknown kind; for NaN or a constant representation.

    Notes
    -----
    Roy & Vetterli take the singular values' shares; here it is the variances', so that both kinds speak of variance.

    References
    ----------
    Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality", EUSIPCO.
    """
    shares = _shares(x)
    if kind == "participation":
        return float(1.0 / (shares @ shares))
    if kind == "entropy":
        return float(np.exp(-(shares @ np.log(shares))))
    raise UsageError(f"effective_rank(kind={kind!r}): write 'entropy' or 'participation'")


def top_pc_share(x: Any, *, k: int = 1) -> float:
    """Return the share of variance along the k leading principal directions.

    Parameters
    ----------
    x : array_like or torch.Tensor, shape (n, d)
        One row a sentence; centred first.
    k : int
        Directions.

    Returns
    -------
    float
        In (0, 1]. Near 1 for k = 1, CKA and SVCCA see that one direction and little else.

    Raises
    ------
    UsageError, DataError
        For k below 1; for NaN or a constant representation.
    """
    if k < 1:
        raise UsageError(f"top_pc_share(k={k}): at least 1 direction is wanted")
    return float(_shares(x)[:k].sum())


def anisotropy(x: Any, *, centre: bool = False) -> float:
    """Return the mean cosine between two different sentences.

    Parameters
    ----------
    x : array_like or torch.Tensor, shape (n, d)
        One row a sentence.
    centre : bool
        Take the mean sentence off first; what remains is near 0 for any representation.

    Returns
    -------
    float
        In [-1, 1]; 0 for directions spread evenly, near 1 for a narrow cone.

    Raises
    ------
    DataError
        For NaN, fewer than 2 sentences, or a zero vector.

    References
    ----------
    Ethayarajh 2019, arXiv 1909.00512.
    """
    side = Representation(x)
    if side.n < 2:
        raise DataError(f"anisotropy needs at least 2 sentences, got {side.n}")
    total = (side.centred_unit if centre else side.unit).sum(0)
    return float(((total * total).sum() - side.n) / (side.n * (side.n - 1)))


def rogue_dimensions(x: Any, *, threshold: float = 10.0) -> IntArray:
    """Return the features whose spread, or whose mean, dwarfs that of the others.

    Parameters
    ----------
    x : array_like or torch.Tensor, shape (n, d)
        One row a sentence.
    threshold : float
        How many times the median feature: in standard deviation, or in the size of the mean against the median
        feature's root mean square.

    Returns
    -------
    ndarray of int
        Column numbers, the most extreme first; empty if there is none.

    Raises
    ------
    UsageError, DataError
        For a threshold of 1 or less; for NaN.

    References
    ----------
    Timkey & van Schijndel 2021, "All Bark and No Bite: Rogue Dimensions in Transformer Language Models Obscure
    Representational Quality", arXiv 2109.04404.
    """
    if not threshold > 1:
        raise UsageError(f"rogue_dimensions(threshold={threshold!r}): a number above 1 is wanted (10 is usual)")
    rows = to_numpy(Representation(x).rows)
    spread, offset = rows.std(0), np.abs(rows.mean(0))
    size = np.sqrt((rows**2).mean(0))
    middle_spread, middle_size = float(np.median(spread)), float(np.median(size))
    excess = np.maximum(
        spread / middle_spread if middle_spread > 0 else np.where(spread > 0, np.inf, 0.0),
        offset / middle_size if middle_size > 0 else np.where(offset > 0, np.inf, 0.0),
    )
    rogue = np.flatnonzero(excess > threshold)
    return rogue[np.argsort(-excess[rogue], kind="stable")].astype(np.int64)


def _shares(x: Any) -> Any:
    """Return the shares of variance by falling size, rounding left out."""
    s = Representation(x).singular_values
    return s**2 / (s @ s)
