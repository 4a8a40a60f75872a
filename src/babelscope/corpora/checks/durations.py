"""Recordings whose durations do not fit their texts, or the model; and texts that are too long for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from babelscope.corpora.checks.cells import Cells, counted
from babelscope.corpora.checks.texts import Texts
from babelscope.corpora.problems import Problem, Severity
from babelscope.corpora.truncation import TOO_SHORT, too_short_for

#: A recording is too long if it lasts so many times what its text usually takes, and so many seconds more.
LONG_FACTOR, LONG_SECONDS = 4.0, 5.0
#: Cells with text and recording from which a language's rate is computed.
FEWEST_FOR_RATE = 8
#: Tokens that models put around a text, a prefix included, at most.
_OWN_TOKENS = 16

_SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Limits:
    """The longest inputs that a model takes.

    Attributes
    ----------
    model : str
    samples : int or None
        Longest recording, in samples at 16 kHz; None if there is no limit.
    tokens : int or None
        Longest text, in tokens; None if there is no limit.
    count_tokens : callable or None
        Returns the tokens of a text of a language; None if the tokenizer is not here.
    """

    model: str
    samples: int | None = None
    tokens: int | None = None
    count_tokens: Callable[[str, str], int] | None = None


def _paired_rows(cells: Cells) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of all recordings whose cell has a text, and before them the rows of these texts."""
    wide = max(len(cells.languages), 1)
    keys = [
        cells.sentence[rows].astype(np.int64) * wide + cells.language[rows]
        for rows in (cells.text_rows, cells.audio_rows)
    ]
    order = np.argsort(keys[0])
    place = np.searchsorted(keys[0][order], keys[1])
    there = place < len(order)
    there[there] = keys[0][order][place[there]] == keys[1][there]
    return cells.text_rows[order[place[there]]], cells.audio_rows[there]


def rates_of(texts: Texts) -> dict[str, float]:
    """Return the median letters per second of each language with enough recordings."""
    cells = texts.cells
    text, recording = _paired_rows(cells)
    rate = texts.letters[text] / cells.seconds[recording]
    rates = {}
    for number, language in enumerate(cells.languages):
        own = rate[(cells.language[text] == number) & (rate > 0)]
        if len(own) >= FEWEST_FOR_RATE:
            rates[language] = float(np.median(own))
    return rates


def unfit_clips(cells: Cells, texts: Texts) -> Iterable[Problem]:
    """Yield recordings that are far too short or long for their texts."""
    text, recording = _paired_rows(cells)
    seconds = cells.seconds[recording]
    expected = np.full(len(text), np.nan)
    short, long = np.zeros(len(text), dtype=bool), np.zeros(len(text), dtype=bool)
    for number in range(len(cells.languages)):
        own = np.flatnonzero(cells.language[text] == number)
        short[own], speeds = too_short_for(
            cells.sentence[text[own]], texts.letters[text[own]].astype(np.float64), seconds[own]
        )
        expected[own] = seconds[own] * speeds
        long[own] = (speeds * LONG_FACTOR < 1) & (seconds[own] - expected[own] > LONG_SECONDS)
    for kind, wrong, what, cause in (
        (TOO_SHORT, short, "short", "truncated, or paired with another sentence's text"),
        ("clip-too-long", long, "long", "paired with another sentence's text, or mostly silence"),
    ):
        numbers = np.flatnonzero(wrong)
        if not len(numbers):
            continue
        numbers = numbers[np.argsort(-np.abs(np.log(seconds[numbers] / expected[numbers])), kind="stable")]
        details = {
            int(recording[number]): f": {seconds[number]:.2f} s"
            + (f", about {expected[number]:.1f} s expected" if expected[number] > 0 else "")
            for number in numbers
        }
        count = len(details)
        yield cells.problem(
            kind,
            "warning",
            details,
            f"{counted(count, 'recording is', 'recordings are')} far too {what} for the text, compared with texts of "
            "about that length in the language",
            f"listen to {'it' if count == 1 else 'them'}: {'it is' if count == 1 else 'they are'} {cause}",
            details=details,
        )


def beyond(cells: Cells, limits: Limits, skip_bad: bool) -> Iterable[Problem]:
    """Yield recordings and texts that are longer than the model takes."""
    severity: Severity = "warning" if skip_bad else "error"
    skipped = "skip_bad leaves these sentences out; or "
    if limits.samples is not None and "speech" in cells.modalities:
        seconds = cells.seconds[cells.primary_rows]
        rows = cells.primary_rows[np.round(seconds * _SAMPLE_RATE) > limits.samples]
        if len(rows):
            most = int(limits.samples / _SAMPLE_RATE * 10) / 10  # a tenth of a second, rounded down
            excluded = len(np.intersect1d(np.flatnonzero(cells.complete), cells.sentence[rows]))
            longest = float(np.nanmax(seconds))
            yield cells.problem(
                "too-long-for-model",
                severity,
                rows.tolist(),
                f"{counted(len(rows), 'recording is', 'recordings are')} longer than the {most:g} s that "
                f"{limits.model} takes; the longest lasts {longest:.1f} s",
                f"{skipped if skip_bad else ''}set max_seconds = {most:g} in [corpus], which excludes "
                f"{excluded} of {int(cells.complete.sum())} sentences",
                details={row: f": {cells.seconds[row]:.1f} s" for row in rows.tolist()},
            )
    if limits.tokens is not None and "text" in cells.modalities:
        yield from _long_texts(cells, limits, severity, skipped if skip_bad else "")


def _long_texts(cells: Cells, limits: Limits, severity: Severity, skipped: str) -> Iterable[Problem]:
    assert limits.tokens is not None
    sizes = pc.binary_length(pa.array(cells.table["text"].iloc[cells.text_rows], pa.large_string(), from_pandas=True))
    candidates = cells.text_rows[np.asarray(sizes) + _OWN_TOKENS > limits.tokens]  # no text has more tokens than bytes
    long: dict[int, str] = {}
    for row in candidates.tolist():
        text = str(cells.table["text"].iloc[row])
        if limits.count_tokens is not None:
            tokens = limits.count_tokens(text, cells.languages[cells.language[row]])
            if tokens > limits.tokens:
                long[row] = f": {tokens} tokens"
        elif len(text) > 4 * limits.tokens:  # fewer than a token for four letters is rare in any language
            long[row] = f": {len(text)} characters"
    if long:
        certain = limits.count_tokens is not None
        yield cells.problem(
            "text-too-long-for-model",
            severity if certain else "warning",
            long,
            f"{counted(len(long), 'text has', 'texts have')} {'' if certain else 'probably '}more than the "
            f"{limits.tokens} tokens that {limits.model} takes",
            f"{skipped}shorten these texts, or remove their sentences",
            details=long,
        )
