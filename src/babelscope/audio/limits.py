"""Limits on a recording's rate, length, level and size."""

from __future__ import annotations

from babelscope.errors import DataError

#: Hz. What speech models take, and what :func:`~babelscope.audio.load_audio` returns.
SAMPLE_RATE = 16_000
#: Seconds. A shorter recording cannot hold a sentence: it is refused.
MIN_SECONDS = 0.1
#: Seconds. A longer recording is refused: no model takes so much at once, and an hour takes 230 MB.
MAX_SECONDS = 7_200.0
#: Full scale is 1. A recording that stays below this around its mean (-80 dBFS) is silence: it is refused.
SILENCE_PEAK = 1e-4
#: A peak beyond this is no overshoot of a decoder but integers written as floats: it is refused.
MAX_PEAK = 16.0
#: Full scale is 1. Samples that reach this count as clipped.
CLIPPED = 0.9995
#: Hz. Rates outside are taken for a damaged header.
SAMPLE_RATES = (4_000, 384_000)
#: Bytes of one archive member, which is read whole; two hours at 16 kHz, 16 bit, are a quarter of a gigabyte.
MAX_MEMBER_BYTES = 2**29


def refuse_rate(rate: int, name: str) -> None:
    """Raise a DataError if no recording has this rate."""
    if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
        raise DataError(f"recording {name} claims a sample rate of {rate} Hz: its header is damaged")


def refuse_long(seconds: float, name: str) -> None:
    """Raise a DataError if this is more than is read at once."""
    if seconds > MAX_SECONDS:
        raise DataError(
            f"recording {name} lasts {seconds:.0f} s, more than the {MAX_SECONDS:g} s that are read at once: exclude "
            f"it by max_seconds, or cut it into segments"
        )
