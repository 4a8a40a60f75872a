"""Strings or sounds as covariates: their leading directions, which are regressed out of both sides of a pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_array

from babelscope.capture.store import Activations
from babelscope.errors import UsageError
from babelscope.gaps.baselines.sides import SOUNDS, STRINGS, sound_vectors, string_vectors
from babelscope.similarity.arrays import FloatArray
from babelscope.similarity.residuals import span_of

#: Controls that regress out the form of the sentences, and the baseline whose vectors they take.
FORMS: dict[str, str] = {"strings_regressed": STRINGS, "sounds_regressed": SOUNDS}

#: The share of the sentences that directions of both languages may take together.
SHARE = 0.25

#: Bytes that the directions of all pairs of languages may take.
MOST_BYTES = 1e9


def form_covariates(
    activations: Activations, control: str, pairs: Iterable[tuple[str, str]]
) -> tuple[dict[tuple[str, str], FloatArray], dict[str, float]]:
    """Return the directions that are regressed out of each pair of languages under a control of :data:`FORMS`.

    They are orthonormal and centred, n / 4 at most, half of them of each language; pairs with a language without usable
    transcripts or a voice are left out, and speech against text is a pair of a language with itself. Also returned are
    the ``directions`` of each of two languages, and the mean ``share`` of the variance of the vectors that they have.
    UsageError if no language has any.
    """
    vectors, missing = (string_vectors(activations), "") if FORMS[control] == STRINGS else sound_vectors(activations)
    if not vectors:
        raise UsageError(f"controls: {control} cannot be computed; {missing or 'no usable transcripts'}")
    known = [pair for pair in dict.fromkeys(pairs) if set(pair) <= set(vectors)]
    n = len(activations.sentences)
    count = int(min(max(SHARE * n // 2, 1), max(MOST_BYTES // (16.0 * n * max(len(known), 1)), 1)))
    leading = {language: _leading(rows, 2 * count) for language, rows in vectors.items()}
    spans = {
        (a, b): span_of(leading[a][0] if a == b else np.hstack([leading[a][0][:, :count], leading[b][0][:, :count]]))
        for a, b in known
    }
    share = float(np.mean([shares[:count].sum() for _, shares in leading.values()]))
    return spans, {"directions": float(count), "share": share}


def _leading(rows: csr_array, count: int) -> tuple[FloatArray, FloatArray]:
    """Return the leading left directions of centred rows, shape (n, count), and their shares of the variance."""
    dense = np.asarray(rows.toarray(), dtype=np.float64)
    dense -= dense.mean(0)
    gram = dense @ dense.T
    n = len(gram)
    count = min(count, n - 1)
    values, directions = eigh(gram, subset_by_index=(n - count, n - 1))
    return directions[:, ::-1], values[::-1] / np.trace(gram)


def described_in_words(described: Mapping[str, float]) -> str:
    """Return what was regressed out, in a few words."""
    return (
        f"{described['directions']:.0f} leading directions of each of two languages (twice as many of one language), "
        f"with {described['share']:.0%} of their variance on average"
    )
