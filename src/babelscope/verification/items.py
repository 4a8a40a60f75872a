"""Synthetic texts and recordings for checks, and the shortest of them that a side takes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from babelscope.errors import BabelscopeError, DataError
from babelscope.sides import Prepared, Side
from babelscope.verification.watching import survey

SAMPLE_RATE = 16_000
#: Of which texts are made: most tokenizers know its letters.
ALPHABET = "abcdefghij klmno pqrst uvwxyz"
#: Longest recording and text, in samples and characters, among which the shortest that a side takes is searched.
LONGEST_SEARCHED = {"speech": 4 * SAMPLE_RATE, "text": 64}

#: Makes what a side prepares: given a number of samples or characters, and a seed.
Make = Callable[[int, int], str | NDArray[np.float32]]


def make_text(characters: int, seed: int = 0, alphabet: str = ALPHABET) -> str:
    """Return a text of so many characters, the first and last of them the alphabet's first letter."""
    generator = np.random.default_rng([characters, seed])
    drawn = "".join(generator.choice(list(alphabet), characters))
    return (alphabet[0] + drawn[1:-1] + alphabet[0])[:characters]


def make_samples(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return so many samples of noise under a slow swell."""
    generator = np.random.default_rng([count, seed])
    swell = 0.6 + 0.4 * np.sin(np.arange(count) / 1600 + seed)
    return np.asarray(0.1 * swell * generator.standard_normal(count), dtype=np.float32)


def maker(side: Side) -> Make:
    """Return what makes a side's items: texts, or recordings."""
    return make_text if side.modality == "text" else make_samples


def prepare(side: Side, size: int, language: str, seed: int = 0) -> Prepared:
    """Return a prepared text of so many characters, or recording of so many samples."""
    return side.prepare(maker(side)(size, seed), language)


def leaves_positions(side: Side, item: Prepared) -> bool:
    """Whether an item has a valid position at every point."""
    return all(item.positions_at(point) >= 1 for point in side.points)


def is_finite(side: Side, item: Prepared) -> bool:
    """Whether an item alone gives finite activations at every valid position of every point."""
    return all(seen.finite for seen in survey(side, item).values())


def shortest(
    side: Side,
    language: str = "en",
    make: Make | None = None,
    *,
    finite: bool = True,
) -> int:
    """Find the shortest item that a side takes: it is prepared, leaves a position at every point, and is finite there.

    Parameters
    ----------
    side : Side
    language : str
    make : callable, optional
        Makes an item of a size; texts of letters, or noise, if left out.
    finite : bool
        Whether it must be finite; if not, nothing is run.

    Returns
    -------
    int
        In samples for speech, in characters for text.

    Raises
    ------
    DataError
        If none is taken.
    """
    make = make or maker(side)
    longest = LONGEST_SEARCHED[side.modality]
    reasons: list[str] = []

    def refused(error: Exception) -> bool:
        reasons.append(str(error) if isinstance(error, BabelscopeError) else f"{type(error).__name__}: {error}")
        return False

    def is_prepared(size: int) -> bool:
        try:
            return leaves_positions(side, side.prepare(make(size, 0), language))
        except Exception as error:  # what refuses in another way is reported by the check of refusals
            return refused(error)

    def runs(size: int) -> bool:
        try:
            return is_finite(side, side.prepare(make(size, 0), language))
        except Exception as error:  # a model may raise anything for an input that is too short
            return refused(error)

    size = _least(is_prepared, 0, 1, longest)
    if size is not None and finite and not runs(size):
        step = 1 if side.modality == "text" else SAMPLE_RATE // 100
        size = _least(lambda tried: is_prepared(tried) and runs(tried), size, size + step, longest)
    if size is None:
        limit = f"{longest} {'characters' if side.modality == 'text' else 'samples'}"
        raise DataError(
            f"the {side.modality} side takes no utterance up to {limit}" + (f": {reasons[-1]}" if reasons else "")
        )
    return size


def _least(holds: Callable[[int], bool], below: int, first: int, longest: int) -> int | None:
    """Return the least size above `below` for which `holds`, doubling the step from `first` on, then halving."""
    low, high = below, min(first, longest)
    while not holds(high):
        if high == longest:
            return None
        low, high = high, min(below + 2 * (high - below), longest)
    return low + 1 + bisect_left(range(low + 1, high), True, key=holds)


__all__ = ["ALPHABET", "Make", "is_finite", "make_samples", "make_text", "maker", "prepare", "shortest"]
