"""What a patch changes at the output, sentence by sentence: retrieval, similarity, and the next token."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Outcomes of each sentence's speech at the output, and whether higher is better.
OUTCOMES: dict[str, tuple[str, bool]] = {
    "retrieval_same": ("its own text in its own language is the nearest of all texts there (cosine): P@1", True),
    "retrieval_across": ("the same in each other language: P@1, mean over the languages", True),
    "retrieval_same_centred": ("retrieval_same with the mean of each side taken off", True),
    "retrieval_across_centred": ("retrieval_across with the mean of each side taken off", True),
    "cosine_same": ("cosine with its own text in its own language", True),
    "cosine_across": ("cosine with its own text in each other language, mean over the languages", True),
    "kl": ("divergence of the next token after speech from that after its text, KL(text || speech), in nats", False),
}


def outcomes(
    speech: FloatArray, texts: Mapping[str, FloatArray], language: str, rows: NDArray[np.int64]
) -> dict[str, FloatArray]:
    """Compare the outputs of one language's speech with the texts' outputs.

    Parameters
    ----------
    speech : ndarray, shape (m, width)
        Outputs of m sentences.
    texts : mapping of language to ndarray, shape (n, width)
        Outputs of all sentences: those that are searched.
    language : str
        That of the speech.
    rows : ndarray of int, shape (m,)
        Which of the texts' sentences those of the speech are.

    Returns
    -------
    dict of str to ndarray, shape (m,)
        By :data:`OUTCOMES`; those across languages only where there is another language. A tie is a miss.
    """
    by_outcome: dict[str, list[FloatArray]] = {}
    for other, text in texts.items():
        where = "same" if other == language else "across"
        for suffix, x, y in (
            ("", speech, text),
            ("_centred", speech - speech.mean(0), text - text.mean(0)),
        ):
            cosines = _unit(x) @ _unit(y).T
            own = cosines[np.arange(len(rows)), rows].copy()
            if not suffix:
                by_outcome.setdefault(f"cosine_{where}", []).append(own)
            cosines[np.arange(len(rows)), rows] = -np.inf
            hits = (own > cosines.max(1, initial=-np.inf)).astype(np.float64)
            by_outcome.setdefault(f"retrieval_{where}{suffix}", []).append(hits)
    return {name: np.mean(values, axis=0) for name, values in by_outcome.items()}


def _unit(x: FloatArray) -> FloatArray:
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(norms > 0, norms, 1.0))
