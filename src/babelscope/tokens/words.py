"""Which tokens are one word, by the marks that a tokenizer writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from babelscope.corpora.words import count_words

#: What marks the start of a word in SentencePiece and byte-level BPE; what marks its continuation in WordPiece.
_BEGINS, _CONTINUES = ("▁", "Ġ"), "##"


def words_of(pieces: Sequence[str], text: str = "") -> NDArray[np.int64]:
    """Number the word of each token, from 0.

    Parameters
    ----------
    pieces : sequence of str
        Tokens as the tokenizer writes them. One without a mark continues the word before it (a full stop, too),
        unless the tokenizer marks continuations.
    text : str
        What they are of. Where it has more words than runs between spaces (Chinese, Japanese, Thai), every token is
        taken for a word.

    Returns
    -------
    ndarray of int, shape (tokens,)
    """
    unspaced = bool(text) and count_words(text) > max(len(text.split()), 1)
    if unspaced:
        return np.arange(len(pieces))
    if any(piece.startswith(_BEGINS) for piece in pieces):
        begins = [piece.startswith(_BEGINS) for piece in pieces]
    elif len(text.split()) == 1:
        begins = [False for _ in pieces]
    else:
        begins = [not piece.startswith(_CONTINUES) for piece in pieces]
    if begins:
        begins[0] = True
    return np.cumsum(begins, dtype=np.int64) - 1


def shuffled(words: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Return an order of tokens in which the words stand in a random order, each with its tokens as they were."""
    order = generator.permutation(int(words.max()) + 1)
    return np.concatenate([np.flatnonzero(words == word) for word in order])
