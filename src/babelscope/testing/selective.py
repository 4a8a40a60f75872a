"""Synthetic activations with planted selective features, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babelscope.stages import MODALITIES, Modality, Stage


@dataclass(frozen=True)
class SelectiveVectors:
    """Activations of points that both modalities share, as :func:`babelscope.neurons.selectivity` takes them.

    Attributes
    ----------
    vectors : mapping of (point, modality, language) to ndarray, shape (n, width)
    clusters : ndarray of int, shape (n,), or None
    """

    vectors: Mapping[tuple[str, str, str], NDArray[np.float64]]
    languages: tuple[str, ...]
    sentences: tuple[str, ...]
    name: str = "planted"
    clusters: NDArray[np.int64] | None = None

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Text and speech."""
        return MODALITIES

    @property
    def shared_points(self) -> tuple[str, ...]:
        """All points."""
        return self.points("text")

    def points(self, modality: str) -> tuple[str, ...]:
        """Names of the points."""
        return tuple(dict.fromkeys(point for point, _, _ in self.vectors))

    def stage(self, point: str, modality: str) -> Stage:
        """All are shared."""
        return Stage.SHARED

    def depth(self, point: str, modality: str) -> float:
        """In their order."""
        names = self.points(modality)
        return names.index(point) / max(len(names) - 1, 1)

    def matrix(self, point: str, modality: str, language: str) -> NDArray[np.float64]:
        """Activations of a cell."""
        return self.vectors[point, modality, language]


def selective_vectors(
    *,
    n: int = 60,
    width: int = 32,
    languages: Sequence[str] = ("xa", "xb", "xc", "xd"),
    points: int = 3,
    of_speech: Sequence[int] = (),
    of_language: Mapping[str, Sequence[int]] | None = None,
    in_speech: Mapping[str, Sequence[int]] | None = None,
    shift: float = 3.0,
    clusters: Sequence[int] | None = None,
    together: float = 0.0,
    seed: int = 0,
) -> SelectiveVectors:
    """Return standard normal activations in which chosen features are shifted for one label.

    Parameters
    ----------
    of_speech : sequence of int
        Features that are larger for speech, in all languages, at the last point.
    of_language : mapping of language to sequence of int, optional
        Features that are larger for a language than for the others, at the last point, in text and in speech.
    in_speech : mapping of language to sequence of int, optional
        The same for speech alone, instead of those of text.
    shift : float
        In standard deviations of a feature: 3 is an AUC of .983.
    clusters : sequence of int, optional
        What each sentence belongs to.
    together : float
        The share of the variance that a cluster's sentences have in common, in each cell by itself.
    """
    generator = np.random.default_rng(seed)
    vectors: dict[tuple[str, str, str], NDArray[np.float64]] = {}
    for point in range(points):
        for modality in MODALITIES:
            for language in languages:
                values = generator.standard_normal((n, width))
                if clusters is not None:
                    common = generator.standard_normal((max(clusters) + 1, width))[list(clusters)]
                    values = together**0.5 * common + (1 - together) ** 0.5 * values
                if point == points - 1:
                    if modality == "speech":
                        values[:, list(of_speech)] += shift
                    planted = in_speech if modality == "speech" and in_speech is not None else of_language
                    values[:, list((planted or {}).get(language, ()))] += shift
                vectors[f"p{point}", modality, language] = values
    return SelectiveVectors(vectors, tuple(languages), tuple(f"s{index:03}" for index in range(n)))
