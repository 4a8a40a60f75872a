"""Which features of a point are selective: AUC of one label against the others, corrected over features and points.

Two questions are asked of every feature:

- *modality*: in one language, at a point that both sides share, does the feature tell speech from text?
- *language*: within one modality, does the feature tell one language from all others?

The answer is the area under the ROC curve, the Mann-Whitney statistic over n1 n2: the probability that a random
sentence of the label has a larger value than a random sentence of the others, ties counted half. 0.5 is chance; 1 and 0
are perfect.

Under the null hypothesis the labels of a sentence can be exchanged: its text and its recording, or its renderings in
the languages. All sentences of a cluster (a document) exchange their labels together. Each permutation serves every
feature, point and language, and an AUC is compared with the largest |AUC - 0.5| of each permutation (Westfall & Young
1993), so that p holds for all of them together. Up to three such families are tested (modality; language in text;
language in speech): p is multiplied by their number.

A reader is part of a language's speech where each language has readers of its own: a feature that follows the voice
is selective for the language, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.similarity.checkpoint import Checkpoint
from babelscope.stages import Stage

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: One row a question, point, modality and language: how many of its features are selective. `modality` is the one
#: in which languages are compared; for the question "modality" it is "speech", for which `up` features are larger, and
#: `down` are those larger for text. `chance` is how many features reach the threshold in a permutation, on average.
SELECTIVITY_COLUMNS: tuple[str, ...] = (
    "question",
    "point",
    "stage",
    "depth",
    "modality",
    "language",
    "features",
    "up",
    "down",
    "share",
    "chance",
    "threshold",
    "largest_auc",
    "feature",
    "p_adjusted",
    "n",
    "clusters",
)

#: The most selective features of each row of the table above.
TOP_COLUMNS: tuple[str, ...] = ("question", "point", "modality", "language", "feature", "auc", "p_adjusted")

#: Level at which a feature counts as selective.
ALPHA = 0.05
#: Fewest clusters of sentences: fewer have too few exchanges of labels for a p of .05 after the correction.
LEAST_CLUSTERS = 8
#: Bytes that ranks of one group of features may take.
MEMORY = 200e6
#: Permutations that are looked at together.
_AT_ONCE = 64


class NeuronOptions(BaseModel):
    """``[neurons]``: features selective for a language or a modality."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: list[str] = Field(default_factory=lambda: ["all"], min_length=1, description="points, with wildcards")
    permutations: Annotated[int, Field(ge=99)] = Field(default=999, description="of the labels")
    auc: Annotated[float, Field(gt=0.5, le=1)] = Field(
        default=0.8, description="least AUC (or 1 less it) of a feature that counts as selective, and p <= .05"
    )
    top: Annotated[int, Field(ge=1)] = Field(default=10, description="most selective features to list")


class Vectors(Protocol):
    """What must be known of activations, stored or not."""

    @property
    def name(self) -> str:
        """What they are called in messages."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """Ids, in the order of the rows."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes, in order."""

    @property
    def modalities(self) -> tuple[Any, ...]:
        """Of text and speech, those there are."""

    def points(self, modality: str) -> tuple[str, ...]:
        """Names of a modality's points, by depth."""

    def stage(self, point: str, modality: str) -> Stage:
        """What a point is for."""

    def depth(self, point: str, modality: str) -> float:
        """Relative depth of a point."""

    def matrix(self, point: str, modality: str, language: str) -> NDArray[Any]:
        """Activations, shape (n, width)."""


@dataclass(frozen=True)
class Cell:
    """One label that is distinguished from the others at one point: the rows of one question in the tables."""

    question: str
    point: str
    modality: str
    language: str


@dataclass(frozen=True)
class Selectivity:
    """What is known of all features; below, a deviation is the absolute difference of an AUC from 0.5.

    Attributes
    ----------
    auc : dict of Cell to ndarray, shape (width,)
    largest : dict of str to ndarray, shape (permutations,)
        By family: the largest deviation of each permutation.
    chance : dict of Cell to float
        How many features reach ``options.auc`` in a permutation, on average.
    options : NeuronOptions
    n, clusters : int
    depths : dict of Cell to (str, float)
        Stage and depth.
    """

    auc: dict[Cell, FloatArray]
    largest: dict[str, FloatArray]
    chance: dict[Cell, float]
    options: NeuronOptions
    n: int
    clusters: int
    depths: dict[Cell, tuple[str, float]]

    def p_adjusted(self, cell: Cell) -> FloatArray:
        """Return p of each feature of a cell, corrected for all features, points, languages and families."""
        largest = np.sort(self.largest[_family(cell)])
        reached = len(largest) - np.searchsorted(largest, np.abs(self.auc[cell] - 0.5) - 1e-12)
        return np.asarray(np.minimum(1.0, len(self.largest) * (1 + reached) / (len(largest) + 1)))

    def selective(self, cell: Cell) -> tuple[IntArray, IntArray]:
        """Return the features that are larger for the label than for the others, and those that are smaller."""
        auc, known = self.auc[cell], self.p_adjusted(cell) <= ALPHA
        least = self.options.auc - 1e-12
        return np.flatnonzero(known & (auc >= least)), np.flatnonzero(known & (auc <= 1 - least))

    def table(self) -> pd.DataFrame:
        """Return the table of columns :data:`SELECTIVITY_COLUMNS`."""
        rows = []
        for cell, auc in self.auc.items():
            up, down = self.selective(cell)
            strongest = int(np.abs(auc - 0.5).argmax())
            rows.append(
                {
                    **vars(cell),
                    "stage": self.depths[cell][0],
                    "depth": self.depths[cell][1],
                    "features": len(auc),
                    "up": len(up),
                    "down": len(down),
                    "share": (len(up) + len(down)) / len(auc),
                    "chance": self.chance[cell],
                    "threshold": self.options.auc,
                    "largest_auc": float(auc[strongest]),
                    "feature": strongest,
                    "p_adjusted": float(self.p_adjusted(cell)[strongest]),
                    "n": self.n,
                    "clusters": self.clusters,
                }
            )
        return pd.DataFrame(rows, columns=list(SELECTIVITY_COLUMNS))

    def top(self) -> pd.DataFrame:
        """Return the most selective features of each cell, columns :data:`TOP_COLUMNS`."""
        rows: list[dict[str, Any]] = []
        for cell, auc in self.auc.items():
            p = self.p_adjusted(cell)
            order = np.argsort(-np.abs(auc - 0.5), kind="stable")[: self.options.top]
            rows += [
                {**vars(cell), "feature": int(index), "auc": float(auc[index]), "p_adjusted": float(p[index])}
                for index in order
            ]
        return pd.DataFrame(rows, columns=list(TOP_COLUMNS))


def _family(cell: Cell) -> str:
    return cell.question if cell.question == "modality" else f"language in {cell.modality}"


def selectivity(
    activations: Vectors,
    options: NeuronOptions | None = None,
    *,
    clusters: NDArray[np.int64] | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    identity: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Selectivity:
    """Measure how selective each feature is for a modality and for each language.

    Parameters
    ----------
    activations : Activations
        Or anything with its points, languages and matrices: rows are the same sentences everywhere.
    options : NeuronOptions, optional
    clusters : ndarray of int, shape (n,), optional
        Which sentences belong together, from 0: they exchange their labels together.
    seed : int
        Of the permutations.
    checkpoint : Path, optional
        A folder that keeps finished points; a run that is called again goes on there.
    identity : optional
        What tells these activations from others, JSON-able, for the checkpoint.
    progress : callable, optional
        Called with (points done, points).

    Returns
    -------
    Selectivity

    Raises
    ------
    UsageError
        If no point matches, or there is nothing to distinguish (one language and one modality).
    DataError
        If there are fewer than 8 clusters.

    References
    ----------
    Mann & Whitney 1947; Westfall & Young 1993, "Resampling-based multiple testing"; Nakai et al. 2026,
    arXiv 2601.17387 (language- and modality-selective neurons of SeamlessM4T v2).
    """
    options = options or NeuronOptions()
    n = len(activations.sentences)
    codes = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1].astype(np.int64)
    count = int(codes.max()) + 1 if n else 0
    if count < LEAST_CLUSTERS:
        what = "sentences" if clusters is None else "clusters of sentences"
        raise DataError(f"neurons: {count} {what} are too few to permute labels; at least {LEAST_CLUSTERS} are needed")
    groups = _groups(activations, options.points)
    languages = activations.languages
    plan = {
        "identity": identity,
        "seed": seed,
        "clusters": codes.tolist(),
        "options": options.model_dump(),
        "groups": [f"{family} {point}" for family, point, _ in groups],
    }
    kept = Checkpoint(checkpoint, plan) if checkpoint is not None else None
    measured = Selectivity({}, {}, {}, options, n, count, {})
    for number, (family, point, cells) in enumerate(groups):
        block = kept.load(f"group-{number:04}") if kept else None
        if block is None:
            orders = _orders(family, len(languages), count, options.permutations, seed)
            if family == "modality":
                block = _modality(activations, point, codes, orders, options.auc)
            else:
                block = _languages(activations, point, cells[0].modality, codes, orders, options.auc)
            if kept:
                kept.save(f"group-{number:04}", block)
        for row, cell in enumerate(cells):
            measured.auc[cell] = block["auc"][row]
            measured.chance[cell] = float(block["chance"][row])
            measured.depths[cell] = (
                str(activations.stage(point, cell.modality)),
                activations.depth(point, cell.modality),
            )
        before = measured.largest.get(family)
        measured.largest[family] = block["largest"] if before is None else np.maximum(before, block["largest"])
        if progress:
            progress(number + 1, len(groups))
    return measured


def _groups(activations: Vectors, patterns: Sequence[str]) -> list[tuple[str, str, list[Cell]]]:
    """Return what is computed together: family, point and the cells, whose rows come in this order."""
    wanted = ["*" if pattern == "all" else pattern for pattern in patterns]
    points = {
        of: [name for name in activations.points(of) if any(fnmatchcase(name, pattern) for pattern in wanted)]
        for of in activations.modalities
    }
    known = {name: "" for of in activations.modalities for name in activations.points(of)}
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise UsageError(f"neurons.points: there is no point {pattern!r}; {did_you_mean(pattern, known)}")
    groups: list[tuple[str, str, list[Cell]]] = []
    languages = activations.languages
    both = [point for point in points.get("speech", ()) if point in points.get("text", ())]
    groups += [("modality", point, [Cell("modality", point, "speech", one) for one in languages]) for point in both]
    for of, names in points.items() if len(languages) > 1 else ():
        groups += [
            (f"language in {of}", name, [Cell("language", name, of, one) for one in languages]) for name in names
        ]
    if not groups:
        raise UsageError(
            f"neurons: {activations.name} has neither two languages nor a point that both sides share: there is "
            f"nothing to distinguish"
        )
    return groups


def _orders(family: str, languages: int, clusters: int, permutations: int, seed: int) -> IntArray:
    """Return the exchanges of labels: shape (permutations, clusters, labels); the same ones for all points."""
    labels = 2 if family == "modality" else languages
    generator = np.random.default_rng([seed, labels, clusters])
    return np.asarray(generator.random((permutations, clusters, labels)).argsort(axis=2))


def _modality(
    activations: Vectors, point: str, codes: IntArray, orders: IntArray, least: float
) -> dict[str, NDArray[Any]]:
    """Tell speech from text in each language; the labels are (speech, text)."""
    by_language = []
    for language in activations.languages:
        sides = np.stack([activations.matrix(point, of, language) for of in ("speech", "text")])
        auc, largest, chance = _separation(sides, codes, orders, least)
        by_language.append((auc[0], largest, chance[0]))
    return {
        "auc": np.stack([row[0] for row in by_language]),
        "largest": np.max([row[1] for row in by_language], axis=0),
        "chance": np.array([row[2] for row in by_language]),
    }


def _languages(
    activations: Vectors, point: str, modality: str, codes: IntArray, orders: IntArray, least: float
) -> dict[str, NDArray[Any]]:
    """Tell each language from all others, in one modality."""
    sides = np.stack([activations.matrix(point, modality, language) for language in activations.languages])
    auc, largest, chance = _separation(sides, codes, orders, least)
    return {"auc": auc, "largest": largest, "chance": chance}


def _separation(
    sides: NDArray[Any], codes: IntArray, orders: IntArray, least: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return AUC of each label against the others, the largest deviation of each permutation, and counts by chance.

    Parameters
    ----------
    sides : ndarray, shape (labels, n, width)
    codes : ndarray of int, shape (n,)
    orders : ndarray of int, shape (permutations, clusters, labels)
        ``orders[k, c, l]`` is the label whose rows of cluster c stand for label l.
    least : float

    Returns
    -------
    auc : ndarray, shape (labels, width)
    largest : ndarray, shape (permutations,)
    chance : ndarray, shape (labels,)
    """
    labels, n, width = sides.shape
    clusters = orders.shape[1]
    auc = np.empty((labels, width))
    largest = np.zeros(len(orders))
    chance = np.zeros(labels)
    size = n * (n * (labels - 1))
    smallest = n * (n + 1) / 2
    # Sums of ranks are multiples of 1/2: single precision has them exactly up to 2^23.
    exact = n * n * labels < 2**23
    for features in _parts(width, labels * n):
        sums = _summed_ranks(sides[:, :, features], codes, clusters)  # (labels, clusters, features)
        auc[:, features] = (sums.sum(1) - smallest) / size
        rows = sums.transpose(1, 0, 2).reshape(clusters * labels, -1).astype(np.float32 if exact else np.float64)
        cells = np.arange(clusters) * labels
        for start in range(0, len(orders), _AT_ONCE):
            some = orders[start : start + _AT_ONCE]
            for label in range(1 if labels == 2 else labels):  # of two labels the other's AUC is 1 less the one's
                chosen = np.zeros((len(some), clusters * labels), dtype=rows.dtype)
                np.put_along_axis(chosen, cells + some[:, :, label], 1, axis=1)
                drawn = np.abs((chosen @ rows - smallest) / size - 0.5)
                here = slice(start, start + len(some))
                largest[here] = np.maximum(largest[here], drawn.max(1))
                chance[label] += (drawn >= least - 0.5 - 1e-7).sum() / len(orders)
    if labels == 2:
        chance[1] = chance[0]
    return auc, largest, chance


def _parts(width: int, rows: int) -> Iterator[slice]:
    """Cut features into groups whose ranks, and what is made on the way to them, fit :data:`MEMORY`."""
    at_once = max(1, int(MEMORY / (rows * 8 * 4)))
    for start in range(0, width, at_once):
        yield slice(start, min(start + at_once, width))


def _summed_ranks(sides: NDArray[Any], codes: IntArray, clusters: int) -> FloatArray:
    """Rank each feature over all labels and sentences, and sum the ranks of each label in each cluster."""
    from scipy.stats import rankdata  # all of it takes a second to import

    labels, n, width = sides.shape
    ranks = np.asarray(rankdata(sides.reshape(labels * n, width), axis=0), dtype=np.float64).reshape(labels, n, width)
    if clusters == n:
        return ranks[:, np.argsort(codes, kind="stable")]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return np.asarray(np.add.reduceat(ranks[:, order], starts, axis=1))
