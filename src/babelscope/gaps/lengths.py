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


def standardised_log(lengths: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return log lengths with mean 0 and s.d. 1 as one column, (n, 1); None if unknown or all the same."""
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        return None
    logged = np.log(lengths)
    spread = logged.std()
    return ((logged - logged.mean()) / spread)[:, None] if spread > 1e-9 else None


def log_lengths(activations: Activations, languages: Iterable[str]) -> NDArray[np.float64]:
    """Return the standardised log tokens and log seconds of every language, shape (n, c); c may be 0."""
    columns = [
        column
        for language in dict.fromkeys(languages)
        for modality in ("text", "speech")
        if (column := standardised_log(activations.lengths(modality, language))) is not None
    ]
    return np.hstack(columns) if columns else np.empty((len(activations.sentences), 0))
