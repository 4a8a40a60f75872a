"""Many texts at once: their letters and scripts, their wording without case and punctuation, and near duplicates.

Everything is computed on arrays of characters, some ten thousand texts at a time, so that a million texts take seconds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.errors import UsageError
from babelscope.languages import language as language_of

#: Two texts are near duplicates if they share at least so much of their pieces: the Jaccard index of the two sets.
NEAR = 0.7
#: Characters of a piece.
PIECE = 3
#: Characters, without spaces and punctuation, of the shortest text that is compared with others.
SHORTEST = 10
#: Letters of the shortest text that is checked for its script.
FEWEST_LETTERS = 10
#: Pairs of one language whose pieces are compared; beyond, the count of near duplicates is a lower bound.
MOST_PAIRS = 200_000

#: Scripts by the word that the Unicode names of their letters begin with.
_SCRIPTS = {
    "LATIN": "Latn", "FULLWIDTH": "Latn", "CYRILLIC": "Cyrl", "GREEK": "Grek", "ARABIC": "Arab", "HEBREW": "Hebr",
    "DEVANAGARI": "Deva", "BENGALI": "Beng", "GURMUKHI": "Guru", "GUJARATI": "Gujr", "ORIYA": "Orya", "TAMIL": "Taml",
    "TELUGU": "Telu", "KANNADA": "Knda", "MALAYALAM": "Mlym", "SINHALA": "Sinh", "THAI": "Thai", "LAO": "Laoo",
    "TIBETAN": "Tibt", "MYANMAR": "Mymr", "KHMER": "Khmr", "GEORGIAN": "Geor", "ARMENIAN": "Armn", "ETHIOPIC": "Ethi",
    "HANGUL": "Hang", "CJK": "Hani", "HIRAGANA": "Hira", "KATAKANA": "Kana", "HALFWIDTH": "Kana",
}  # fmt: skip
#: What a language's script in ``languages.csv`` may be written with, where that is not the script alone.
_WRITTEN_WITH = {
    "Hans": ("Hani",),
    "Hant": ("Hani",),
    "Jpan": ("Hani", "Hira", "Kana"),
    "Hang": ("Hang", "Hani"),
    "Kore": ("Hang", "Hani"),
}
_CODES = {name: number for number, name in enumerate(dict.fromkeys(_SCRIPTS.values()), 1)}
_PLANES = 0x20000  # beyond, up to _IDEOGRAPHS, every letter is an ideograph
_IDEOGRAPHS = 0x40000

_BANDS, _BAND_ROWS = 8, 3  # texts that share 0.7 of their pieces are compared with a chance of 0.96
_HASHES = _BANDS * _BAND_ROWS
_OF_EACH = 2  # candidates of each text that are compared
_CHUNK = 2**15  # texts at a time
_END = 10  # a line's end, between two texts


@dataclass(frozen=True)
class Wordings:
    """The wordings of several texts of one language; see :func:`forms_of` for what a wording is.

    Attributes
    ----------
    hashes : ndarray, int
        Equal for texts of the same wording.
    letters : ndarray, int
        How many letters and digits each has.
    foreign : ndarray, int
        The script, a number in :data:`SCRIPTS`, of texts most letters of which are not of the language's scripts; -1
        for all others.
    signatures : ndarray, uint32, shape (texts, hashes)
        Two texts agree in about as many columns as they share pieces. Zeros for texts below :data:`SHORTEST`.
    """

    hashes: NDArray[np.int64]
    letters: NDArray[np.int32]
    foreign: NDArray[np.int8]
    signatures: NDArray[np.uint32]


#: The scripts that are distinguished, ISO 15924; the first is any other.
SCRIPTS: tuple[str, ...] = ("", *_CODES)


@cache
def _tables() -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int8]]:
    """Return, by code point, whether it belongs to a wording, is a letter or digit, and the script (-1: none)."""
    keep, letter = np.zeros(0x110000, dtype=bool), np.zeros(0x110000, dtype=bool)
    script = np.full(0x110000, -1, dtype=np.int8)
    for point in range(_PLANES):
        kind = unicodedata.category(chr(point))[0]
        keep[point], letter[point] = kind in "LMN", kind in "LN"
        if kind == "L":
            script[point] = _CODES.get(_SCRIPTS.get(unicodedata.name(chr(point), "?").split()[0], ""), 0)
    keep[_PLANES:_IDEOGRAPHS] = letter[_PLANES:_IDEOGRAPHS] = True
    script[_PLANES:_IDEOGRAPHS] = _CODES["Hani"]
    keep[_END] = True
    return keep, letter, script


def scripts_of(language: str) -> tuple[str, ...]:
    """Return the scripts that a language is written with, ISO 15924; none for a language that is not known."""
    try:
        script = language_of(language).script
    except UsageError:
        return ()
    return _WRITTEN_WITH.get(script, (script,))


def read_wordings(texts: Callable[[int, int], Sequence[str]], count: int, language: str) -> Wordings:
    """Read the wordings of texts.

    Parameters
    ----------
    texts : callable
        Returns the texts from one number to another, so that they need not be in memory all at once.
    count : int
        How many there are.
    language : str
        Of all of them, for its scripts.
    """
    own = [SCRIPTS.index(script) for script in scripts_of(language)]
    wordings = Wordings(
        np.zeros(count, dtype=np.int64),
        np.zeros(count, dtype=np.int32),
        np.full(count, -1, dtype=np.int8),
        np.zeros((count, _HASHES), dtype=np.uint32),
    )
    _, letter, script = _tables()
    for first in range(0, count, _CHUNK):
        last = min(first + _CHUNK, count)
        codes, starts, ends = _codes(texts(first, last))
        forms = _split(codes)
        wordings.hashes[first:last] = [hash(form) for form in forms]
        wordings.letters[first:last] = _count(letter[codes], starts, ends)
        if own:
            wordings.foreign[first:last] = _foreign(script[codes], own, starts, ends)
        wordings.signatures[first:last] = _signatures(codes, starts, ends)
    return wordings


def forms_of(texts: Sequence[str]) -> list[str]:
    """Return the wordings of texts: their letters, marks and digits, without case, spaces and punctuation."""
    codes, _, _ = _codes(texts)
    return _split(codes)


def _split(codes: NDArray[np.uint32]) -> list[str]:
    return codes.tobytes().decode("utf-32-le", "surrogatepass").split("\n")


def _codes(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """Return the code points of the wordings of texts, with a line's end between two, and their starts and ends."""
    keep, _, _ = _tables()
    joined = "\n".join(text.replace("\n", " ") for text in texts)
    joined = unicodedata.normalize("NFC", joined.casefold())
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    codes = codes[keep[codes]]
    ends = np.append(np.flatnonzero(codes == _END), len(codes))
    return codes, np.append(0, ends[:-1] + 1), ends


def _count(mask: NDArray[np.bool_], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.append(0, np.cumsum(mask))
    return np.asarray(total[ends] - total[starts])


def _foreign(
    script: NDArray[np.int8], own: Sequence[int], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int8]:
    counts = np.zeros((len(starts), len(SCRIPTS)), dtype=np.int32)
    for number in np.unique(script[script >= 0]):
        counts[:, number] = _count(script == number, starts, ends)
    written = counts.sum(axis=1)
    foreign = (written >= FEWEST_LETTERS) & (2 * counts[:, list(own)].sum(axis=1) < written)
    return np.where(foreign, counts.argmax(axis=1), -1).astype(np.int8)


def _signatures(codes: NDArray[np.uint32], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint32]:
    signatures = np.zeros((len(starts), _HASHES), dtype=np.uint32)
    long = ends - starts >= SHORTEST
    if not long.any():
        return signatures
    pieces = np.zeros(len(codes), dtype=np.uint32)
    for offset in range(PIECE):
        pieces[: len(codes) - PIECE + 1] *= np.uint32(0x9E3779B1)
        pieces[: len(codes) - PIECE + 1] += codes[offset : len(codes) - PIECE + 1 + offset]
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):  # the end of MurmurHash3: every bit counts
        pieces ^= pieces >> np.uint32(shift)
        pieces *= np.uint32(factor)
    sizes = ends[long] - starts[long] - PIECE + 1
    first = np.append(0, np.cumsum(sizes)[:-1])
    pieces = pieces[np.arange(int(sizes.sum())) + np.repeat(starts[long] - first, sizes)]
    random = np.random.default_rng(0)
    factors = random.integers(0, 2**31, _HASHES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    offsets = random.integers(0, 2**32, _HASHES, dtype=np.uint32)
    for column in range(_HASHES):
        signatures[long, column] = np.minimum.reduceat(pieces * factors[column] + offsets[column], first)
    return signatures


def duplicates(wordings: Wordings) -> NDArray[np.int64]:
    """Return, for each text, the number of the first text of the same wording; its own number if it is the first."""
    codes, _ = pd.factorize(wordings.hashes)
    first = np.full(int(codes.max(initial=-1)) + 1, -1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return np.asarray(first[codes])


def near_duplicates(
    wordings: Wordings, texts: Callable[[NDArray[np.int64]], Sequence[str]]
) -> tuple[NDArray[np.int64], bool]:
    """Return pairs of texts that differ in wording and share :data:`NEAR` of their pieces, at least.

    Of exact duplicates only the first is compared. Not all pairs of a group of near duplicates are listed,
    but enough to connect it.

    Parameters
    ----------
    texts : callable
        Returns the texts of some numbers.

    Returns
    -------
    pairs : ndarray, int, shape (pairs, 2)
    complete : bool
        False if there were more candidates than :data:`MOST_PAIRS`, so that pairs may be missing.
    """
    firsts = np.flatnonzero(duplicates(wordings) == np.arange(len(wordings.hashes)))
    firsts = firsts[wordings.signatures[firsts].any(axis=1)]
    pairs, paired, complete = [], np.zeros(len(wordings.hashes), dtype=bool), True
    for candidates in _candidates(wordings.signatures[firsts]):  # each text's likeliest first
        left = firsts[candidates]
        left = left[~paired[left[:, 1]]]
        complete = complete and len(left) <= MOST_PAIRS
        left = left[:: -(-len(left) // MOST_PAIRS) or 1]
        near = left[_nearly_same(left, texts)]
        paired[near[:, 1]] = True
        pairs.append(near)
    return np.concatenate(pairs), complete


def _nearly_same(pairs: NDArray[np.int64], texts: Callable[[NDArray[np.int64]], Sequence[str]]) -> NDArray[np.bool_]:
    numbers = np.unique(pairs)
    forms: dict[int, str] = {}
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        forms.update(zip(chunk.tolist(), forms_of(texts(chunk)), strict=True))
    same = [shared_pieces(forms[first], forms[second]) >= NEAR for first, second in pairs.tolist()]
    return np.array(same, dtype=bool)


def _candidates(signatures: NDArray[np.uint32]) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of texts that may be near duplicates: of each text with the likeliest before it, then the next."""
    count = max(len(signatures), 1)
    pairs = []
    for band in range(_BANDS):
        key = np.zeros(len(signatures), dtype=np.uint64)
        for column in range(band * _BAND_ROWS, (band + 1) * _BAND_ROWS):
            key = key * np.uint64(0x9E3779B97F4A7C15) + signatures[:, column]
        order = np.argsort(key, kind="stable")
        again = np.flatnonzero(key[order][1:] == key[order][:-1]) + 1
        new = np.ones(len(order), dtype=bool)
        new[again] = False
        leader = order[np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))]
        pairs += [order[again] * count + leader[again], order[again] * count + order[again - 1]]
    later, earlier = np.divmod(np.unique(np.concatenate(pairs)), count)
    agreeing = np.concatenate(
        [
            (signatures[later[start : start + _CHUNK]] == signatures[earlier[start : start + _CHUNK]]).sum(axis=1)
            for start in range(0, max(len(later), 1), _CHUNK)
        ]
    )
    likely = np.flatnonzero(agreeing >= (NEAR - 0.25) * _HASHES)  # 2.7 standard errors below; the exact index decides
    likely = likely[np.lexsort((-agreeing[likely], later[likely]))]
    rank = np.arange(len(likely)) - np.searchsorted(later[likely], later[likely])
    for place in range(_OF_EACH):
        chosen = likely[rank == place]
        yield np.stack([earlier[chosen], later[chosen]], axis=1)


def shared_pieces(first: str, second: str) -> float:
    """Return the Jaccard index of the pieces of two wordings: what they share of all that they have."""
    one_side = {first[place : place + PIECE] for place in range(len(first) - PIECE + 1)}
    other_side = {second[place : place + PIECE] for place in range(len(second) - PIECE + 1)}
    union = one_side | other_side
    return len(one_side & other_side) / len(union) if union else 1.0
