"""Positions of speech made from tokens of text with known durations, to test what aligns them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babelscope.errors import UsageError


@dataclass(frozen=True)
class PlantedPositions:
    """Sentences of which it is known which token each position of speech is.

    Attributes
    ----------
    text, speech : tuple of ndarray, shape (positions, width)
        One a sentence; float32.
    token : tuple of ndarray of int, shape (positions of speech,)
        The token that a position was made from; -1 for silence.
    words : tuple of ndarray of int, shape (tokens,)
        The word of each token.
    """

    text: tuple[NDArray[np.float32], ...]
    speech: tuple[NDArray[np.float32], ...]
    token: tuple[NDArray[np.int64], ...]
    words: tuple[NDArray[np.int64], ...]


def planted_positions(
    n: int = 24,
    *,
    width: int = 32,
    signal: float = 1.0,
    magnitude: float = 1.0,
    silence: float = 0.0,
    tokens: tuple[int, int] = (5, 10),
    duration: tuple[int, int] = (1, 4),
    seed: int = 0,
) -> PlantedPositions:
    """Make positions of speech from tokens.

    Parameters
    ----------
    n : int
        Sentences.
    width : int
        Features.
    signal : float
        Share of a position's direction that is its token's; 0 for noise alone, which has nothing to do with the text.
    magnitude : float
        What positions are multiplied with: the ratio of norms.
    silence : float
        Share of positions put in between tokens that are noise alone.
    tokens, duration : tuple of (int, int)
        Fewest and most tokens of a sentence, and positions of a token.

    Raises
    ------
    UsageError
        If a share is not within 0 to 1.
    """
    for name, share in (("signal", signal), ("silence", silence)):
        if not 0 <= share <= 1:
            raise UsageError(f"{name}: {share} is not within 0 to 1")
    generator = np.random.default_rng(seed)

    def directions(count: int) -> NDArray[np.float64]:
        drawn: NDArray[np.float64] = generator.standard_normal((count, width))
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))

    texts, heard, truth, words = [], [], [], []
    for _ in range(n):
        count = int(generator.integers(tokens[0], tokens[1] + 1))
        text = directions(count)
        spoken = np.repeat(np.arange(count), generator.integers(duration[0], duration[1] + 1, count))
        places = np.sort(generator.integers(0, len(spoken) + 1, round(silence * len(spoken))))
        spoken = np.insert(spoken, places, -1)
        own = np.where((spoken >= 0)[:, None], text[spoken], 0.0)
        mixed = np.sqrt(signal) * own + np.sqrt(np.where(spoken >= 0, 1 - signal, 1.0))[:, None] * directions(
            len(spoken)
        )
        texts.append(text.astype(np.float32))
        heard.append((magnitude * mixed).astype(np.float32))
        truth.append(spoken.astype(np.int64))
        words.append(np.cumsum(generator.random(count) < 0.6).astype(np.int64))
        words[-1] -= words[-1][0]
    return PlantedPositions(tuple(texts), tuple(heard), tuple(truth), tuple(words))
