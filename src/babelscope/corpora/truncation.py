"""Recordings that are far too short for their text, as from a truncated upload."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

#: What such recordings are called in problems.
TOO_SHORT = "clip-too-short"
#: A recording this many times faster than the language's median is too short.
FASTER = 2.5
#: With other recordings of the sentence: shorter than this share of their median, and clearly fast too.
SHARE, FAST = 0.4, 1.5
#: Recordings with texts of about the same length, of which the median is taken; and how many it needs.
ALIKE, ENOUGH = 51, 10


def too_short(sentences: Sequence[str], texts: Sequence[str], seconds: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Return which recordings of one language are far too short for their text.

    Speed is letters and digits of the text a second. It is comparable within a language and between texts of about the
    same length (a single word stands between silences): each recording is compared with the median of the
    :data:`ALIKE` recordings whose texts are nearest in length. It is too short if it is :data:`FASTER` times faster;
    or if it lasts less than :data:`SHARE` of the median of the sentence's other recordings and is :data:`FAST` times
    faster. With fewer than :data:`ENOUGH` recordings only the sentence's other recordings count. FLEURS's Kannada
    recording of .84 s, where others take 8.3 and 10.1 s, is ten times too fast; people who read fast reach one and a
    half times the median.

    Parameters
    ----------
    sentences, texts : sequence of str
        Of each recording.
    seconds : sequence of float
        How long each recording is.

    Returns
    -------
    ndarray of bool, shape (recordings,)
    """
    letters = [sum(unicodedata.category(letter)[0] in "LN" for letter in text) for text in texts]
    return too_short_for(sentences, np.array(letters, dtype=float), np.asarray(seconds, dtype=float))[0]


def too_short_for(
    sentences: Sequence[str] | npt.NDArray[np.int32], letters: npt.NDArray[np.float64], seconds: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Return the same, given how many letters and digits each text has, and each recording's speed.

    Returns
    -------
    short : ndarray of bool, shape (recordings,)
    speeds : ndarray, shape (recordings,)
        Over the median of the recordings with texts of about the same length; NaN where there are too few.
    """
    lasts = np.maximum(seconds, 1e-3)
    speed = pd.Series(letters / lasts)
    typical = speed.iloc[np.argsort(letters, kind="stable")].rolling(ALIKE, center=True, min_periods=ENOUGH).median()
    relative = (speed / typical.sort_index()).to_numpy() if len(speed) >= ENOUGH else np.full(len(speed), np.nan)
    share = np.ones(len(speed))
    names = pd.Series(np.asarray(sentences))
    several = names[names.duplicated(keep=False)]
    for rows in several.groupby(several).groups.values():
        places = np.asarray(rows)
        for place in places:
            share[place] = lasts[place] / np.median(lasts[places[places != place]])
    fast = np.isnan(relative) | (relative >= FAST)
    return np.asarray((relative >= FASTER) | ((share < SHARE) & fast)), relative
