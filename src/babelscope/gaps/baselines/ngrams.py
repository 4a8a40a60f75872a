"""Texts as vectors of character n-grams: what two languages have in common by their strings alone.

Texts are transliterated to Latin letters by anyascii, so that a name or a loan word has the same letters in every
script. An n-gram is two or three characters of a word with a space at either end. Its weight in a text is its count
times ln((1 + N) / (1 + N_g)) + 1, N being the texts of all languages together and N_g those that have it; each text has
length 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from anyascii import anyascii
from numpy.typing import NDArray
from scipy.sparse import csr_array

#: Characters of an n-gram.
LENGTHS = (2, 3)

#: Columns at most: the n-grams of most texts. Texts in Latin letters and digits have at most 49,247.
MOST_COLUMNS = 4096

_WORD = re.compile(r"[a-z0-9]+")


def latin_words(text: str) -> list[str]:
    """Return the words of a text in lower-case Latin letters and digits, without punctuation.

    Examples
    --------
    >>> latin_words("Нажмите решётку, 5!")
    ['nazhmite', 'reshyotku', '5']
    """
    return _WORD.findall(anyascii(text).lower())


def ngrams(text: str) -> Iterator[str]:
    """Yield the n-grams of every word of a text, with the spaces around it.

    Examples
    --------
    >>> list(ngrams("Ja"))
    [' j', 'ja', 'a ', ' ja', 'ja ']
    """
    for word in latin_words(text):
        framed = f" {word} "
        for length in LENGTHS:
            yield from (framed[at : at + length] for at in range(len(framed) - length + 1))


def ngram_vectors(texts: Mapping[str, Sequence[str]], most: int = MOST_COLUMNS) -> dict[str, csr_array]:
    """Return one vector a text, in one space for all languages.

    Parameters
    ----------
    texts : mapping of str to sequence of str
        The texts of each language.
    most : int
        Columns at most.

    Returns
    -------
    dict of str to csr_array, shape (n, d)
        Float32, by language; a row is zero where a text has no letter and no digit.
    """
    counts = {language: [Counter(ngrams(text)) for text in each] for language, each in texts.items()}
    of_texts = Counter(gram for each in counts.values() for count in each for gram in count)
    kept = sorted(of_texts, key=lambda gram: (-of_texts[gram], gram))[:most]
    column = {gram: at for at, gram in enumerate(kept)}
    total = sum(len(each) for each in counts.values())
    weight = np.log((1 + total) / (1 + np.array([of_texts[gram] for gram in kept], dtype=np.float64))) + 1
    return {language: _vectors(each, column, weight) for language, each in counts.items()}


def _vectors(counts: Sequence[Counter[str]], column: Mapping[str, int], weight: NDArray[np.float64]) -> csr_array:
    starts, columns, values = [0], [], []
    for count in counts:
        grams = sorted(column[gram] for gram in count if gram in column)
        of_column = {column[gram]: number for gram, number in count.items() if gram in column}
        row = np.array([of_column[gram] for gram in grams], dtype=np.float64) * weight[grams]
        columns += grams
        values.append(row / (np.linalg.norm(row) or 1.0))
        starts.append(len(columns))
    data = np.concatenate([*values, np.empty(0)]).astype(np.float32)
    return csr_array((data, np.array(columns, dtype=np.int64), starts), shape=(len(counts), len(weight)))
