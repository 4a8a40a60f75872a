"""Invented languages: sentences of the same concepts, some of whose words are cognates, and vectors made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babelscope.capture import Activations
from babelscope.gaps.baselines.ngrams import ngram_vectors
from babelscope.testing import Planted, planted_activations

#: Many concepts, so that few words occur in two sentences: else strings have much in common without any cognates,
#: under measures of how similar the sentences of one language are.
CONCEPTS, WORDS, WIDTH = 2000, 6, 256


def invented_texts(
    languages: Sequence[str], n: int, cognates: float, seed: int, concepts: int = CONCEPTS
) -> dict[str, list[str]]:
    """Return n sentences in every language; a share of the concepts has nearly the same word in all of them."""
    generator = np.random.default_rng(seed)

    def word() -> str:
        return "".join(generator.choice(list("bdfgklmnprst" if at % 2 else "aeiou")) for at in range(7))

    roots = [word() for _ in range(concepts)]
    common = generator.random(concepts) < cognates
    sentences = [generator.choice(concepts, WORDS, replace=False) for _ in range(n)]
    texts = {}
    for language in languages:
        forms = [
            root[:-1] + generator.choice(list("aeiou")) if same else word()
            for root, same in zip(roots, common, strict=True)
        ]
        texts[language] = [" ".join(forms[concept] for concept in generator.permutation(each)) for each in sentences]
    return texts


def spelled_store(
    folder: Path,
    *,
    n: int = 60,
    languages: Sequence[str] = ("xa", "xb", "xc", "xd"),
    cognates: float = 0.5,
    strings: float = 0.5,
    meaning: float = 0.0,
    seed: int = 0,
    concepts: int = CONCEPTS,
) -> Activations:
    """Return a store whose vectors hold the strings of each text, a meaning common to all languages, and noise.

    Lengths say nothing. `strings` and `meaning` are shares of the variance; strings go the same way in all languages.
    """
    texts = invented_texts(languages, n, cognates, seed, concepts)
    points = {"shared.layer.0": Planted(), "shared.layer.1": Planted()}
    store = planted_activations(
        folder / f"spelled-{seed}.zarr", points, n=n, languages=languages, width=WIDTH, seed=seed, texts=texts
    )
    generator = np.random.default_rng([seed, 1])
    grams = ngram_vectors(texts)
    onto = generator.standard_normal((next(iter(grams.values())).shape[1], WIDTH))
    common = generator.standard_normal((n, WIDTH))
    kept: dict[tuple[str, str, str], NDArray[np.float32]] = {}

    def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = rows - rows.mean(0)
        return np.asarray(rows / np.sqrt((rows**2).mean()))

    for point in points:
        for modality in ("text", "speech"):
            for language in languages:
                noise = generator.standard_normal((n, WIDTH)) * (1 - strings - meaning) ** 0.5
                spelled = unit(grams[language].toarray() @ onto) * strings**0.5
                rows = spelled + common * meaning**0.5 + noise
                kept[point, modality, language] = rows.astype(np.float32)
    matrix: Callable[[str, str, str], NDArray[np.float32]] = lambda *place: kept[place]  # noqa: E731
    store.matrix = matrix  # type: ignore[method-assign, assignment]
    seconds = np.exp(generator.standard_normal((n, 2, len(languages))))
    lengths: Callable[[str, str], NDArray[np.float64]] = lambda modality, language: seconds[  # noqa: E731
        :, int(modality == "speech"), list(languages).index(language)
    ]
    store.lengths = lengths  # type: ignore[method-assign, assignment]
    return store
