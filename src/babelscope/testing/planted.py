"""Synthetic activations with planted gaps: a store like any other, in which every share of the variance is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babelscope.capture.store import Activations, Block, Layout, Writer, now, versions
from babelscope.errors import UsageError
from babelscope.models.base import MODALITIES


@dataclass(frozen=True)
class Planted:
    """What a point's vectors are made of: shares of variance, which with the rest (noise of each utterance) sum to 1.

    Attributes
    ----------
    meaning : float
        Common to a sentence's texts and recordings in all languages.
    modality : float
        Common to a sentence's texts in all languages, or to its recordings: what keeps the modalities apart.
    language : float
        Common to a sentence's text and recording in one language: what keeps languages apart.
    length : float
        Proportional to the utterance's standardised log length, in one direction of the space.
    """

    meaning: float = 0.0
    modality: float = 0.0
    language: float = 0.0
    length: float = 0.0

    @property
    def noise(self) -> float:
        """Share of each utterance's own noise."""
        return 1.0 - self.meaning - self.modality - self.language - self.length


def planted_activations(
    path: Path | str,
    points: Mapping[str, Planted],
    *,
    n: int = 60,
    languages: Sequence[str] = ("xa", "xb", "xc"),
    width: int = 24,
    seed: int = 0,
) -> Activations:
    """Write a store of synthetic activations at points that both modalities share.

    Every component is Gaussian in all `width` directions. The length of a sentence (log-normal) is nearly the same in
    every language and modality, as it is in life.

    Parameters
    ----------
    path : Path or str
        Where; must not exist.
    points : mapping of str to Planted
        In the order of depth.
    n : int
        Sentences.
    languages : sequence of str
    width : int
        Features of every point.
    seed : int

    Returns
    -------
    Activations

    Raises
    ------
    UsageError
        If a point's shares are negative or sum to more than 1.
    """
    for name, planted in points.items():
        if min(planted.meaning, planted.modality, planted.language, planted.length, planted.noise) < -1e-12:
            raise UsageError(f"planted shares at {name} are negative or sum to more than 1: {planted}")
    generator = np.random.default_rng(seed)
    sentences = tuple(f"s{index:04}" for index in range(n))
    rows = tuple(
        {
            "modality": "both",
            "name": name,
            "stage": "shared",
            "depth": index / max(len(points) - 1, 1),
            "width": width,
            "formula": "1",
            "module": "",
        }
        for index, name in enumerate(points)
    )
    note = "Synthetic activations with planted shares of variance."
    sides = [
        {"modality": modality, "family": "planted", "unit": "", "parameters": 0, "points": list(rows)}
        for modality in MODALITIES
    ]
    provenance = {
        "model": {
            "name": "planted",
            "revision": str(seed),
            "options": {},
            "notes": [note],
            "shared": True,
            "weights": [],
            "sides": sides,
        },
        "corpus": {
            "name": "planted",
            "title": "planted",
            "fingerprint": str(seed),
            "languages": list(languages),
            "n": n,
            "notes": [],
        },
        "pooling": "none",
        "created": now(),
        "versions": versions(),
    }
    identity = {
        "planted": {name: vars(planted) for name, planted in points.items()},
        "n": n,
        "seed": seed,
        "width": width,
    }
    writer = Writer(Path(path), Layout(sentences, tuple(languages), MODALITIES, rows, n, identity, provenance))
    base = generator.standard_normal(n)
    logs = {
        (modality, language): 2.0 + 0.4 * (0.95 * base + 0.05 * generator.standard_normal(n))
        for modality in MODALITIES
        for language in languages
    }
    vectors: dict[tuple[str, str], dict[str, NDArray[np.float32]]] = {key: {} for key in logs}
    for name, planted in points.items():
        meaning = generator.standard_normal((n, width))
        of_modality = {modality: generator.standard_normal((n, width)) for modality in MODALITIES}
        of_language = {language: generator.standard_normal((n, width)) for language in languages}
        direction = generator.standard_normal(width)
        direction *= np.sqrt(width) / np.linalg.norm(direction)
        for modality, language in logs:
            length = (logs[modality, language] - logs[modality, language].mean()) / logs[modality, language].std()
            vectors[modality, language][name] = np.asarray(
                np.sqrt(planted.meaning) * meaning
                + np.sqrt(planted.modality) * of_modality[modality]
                + np.sqrt(planted.language) * of_language[language]
                + np.sqrt(planted.length) * length[:, None] * direction
                + np.sqrt(max(planted.noise, 0.0)) * generator.standard_normal((n, width)),
                dtype=np.float32,
            )
    for column, language in enumerate(languages):
        writer.write_language(
            column,
            {"text": [f"text of {sentence}" for sentence in sentences], "recording": [""] * n, "reader": [""] * n},
        )
        for modality in MODALITIES:
            positions = {name: [1] * n for name in points}
            block = Block(
                vectors[modality, language], positions, [float(value) for value in np.exp(logs[modality, language])]
            )
            writer.write_block(modality, column, slice(0, n), block)
    return Activations(path)
