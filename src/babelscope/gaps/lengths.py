"""Utterance length as a rival explanation: what it is, and how it is taken out of two representations.

A long sentence is long in every language and modality, so that sentences can be matched above chance by their length
alone. Here lengths become covariates (log seconds of a recording, log tokens of a text, each with mean 0 and s.d. 1),
and are projected out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from babelscope.capture.store import Activations
from babelscope.similarity.residuals import span_of


def standardised_log(lengths: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return log lengths with mean 0 and s.d. 1 as one column, (n, 1); None if unknown or all the same."""
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        return None
    logged = np.log(lengths)
    spread = logged.std()
    return ((logged - logged.mean()) / spread)[:, None] if spread > 1e-9 else None


def length_covariates(
    activations: Activations, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Return the span of the log tokens and log seconds of each pair of languages, which are regressed out of it.

    Pairs of which no length is known, or of too few sentences for their lengths, are left out.
    """
    spans = {}
    for pair in dict.fromkeys(pairs):
        columns = [
            column
            for language in dict.fromkeys(pair)
            for modality in ("text", "speech")
            if (column := standardised_log(activations.lengths(modality, language))) is not None
        ]
        if 0 < len(columns) < len(activations.sentences) - 3:
            spans[pair] = span_of(np.hstack(columns))
    return spans
