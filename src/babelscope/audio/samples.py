"""Decodes audio for models: float32, mono, 16 kHz, checked."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from babelscope.audio.decoders import Samples, Sound
from babelscope.audio.level import Level
from babelscope.audio.limits import MAX_PEAK, MIN_SECONDS, SAMPLE_RATE, SILENCE_PEAK, refuse_long
from babelscope.audio.reading import Source, begin, lacks, opened, read, refuse_missing, through
from babelscope.errors import DataError

#: Output samples on either side of a segment that are resampled with it, so that its edges are those of the whole.
_MARGIN = SAMPLE_RATE // 10
#: Seconds by which a segment may end after its file: times are often rounded to hundredths.
_OVERHANG = 0.01


def decode(
    source: bytes | Path | str,
    suffix: str | None = None,
    *,
    name: str | None = None,
    start: float | None = None,
    seconds: float | None = None,
) -> Samples:
    """Decode and check audio.

    Parameters
    ----------
    source : bytes or path
        Encoded audio.
    suffix : str, optional
        Tells the format of files without a header, as ``".g722"``; that of a path by default.
    name : str, optional
        What messages call it; the path by default.
    start : float, optional
        Seconds into the file at which to begin.
    seconds : float, optional
        How much to return; up to the end of the file by default.

    Returns
    -------
    ndarray, float32, shape (samples,)
        As :func:`~babelscope.audio.load_audio`.

    Raises
    ------
    DataError
        As :func:`~babelscope.audio.load_audio`.
    """
    first = start or 0.0
    with opened(source, suffix, name) as encoded:
        if not (0 <= first < math.inf and (seconds is None or 0 < seconds < math.inf)):
            raise DataError(
                f"recording {encoded.name} is asked for from {first} s, {seconds} s long: give times above 0"
            )
        refuse_missing(encoded)
        return through(encoded, lambda sound: _mono(sound, encoded, first, seconds))


class _Segment:
    """Which samples of a file make a segment, at its own rate and at :data:`SAMPLE_RATE`.

    Attributes
    ----------
    first, last : int
        The segment at the file's rate; `last` is beyond any file where the segment extends to the end.
    begin, stop : int
        What is decoded of the file: the segment with a margin. `begin` is a whole sample at both rates.
    skip, length : int
        The segment within what is resampled from `begin` on.
    """

    def __init__(self, rate: int, start: float, seconds: float | None) -> None:
        first, last = round(start * SAMPLE_RATE), 2**62 if seconds is None else round((start + seconds) * SAMPLE_RATE)
        common = math.gcd(rate, SAMPLE_RATE)
        steps = max(0, first - _MARGIN) // (SAMPLE_RATE // common)
        self.begin = steps * (rate // common)
        self.skip = first - steps * (SAMPLE_RATE // common)
        self.length = last - first
        self.first, self.last = round(first * rate / SAMPLE_RATE), -(-last * rate // SAMPLE_RATE)
        self.stop = self.last + _MARGIN * rate // SAMPLE_RATE


class _Output:
    """Samples as they come, in room for what is expected: pages that are never written take no memory."""

    def __init__(self, expected: int) -> None:
        self._room, self._written = np.empty(expected + SAMPLE_RATE, dtype=np.float32), 0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        if self._written + len(values) > len(self._room):
            more = np.empty(len(self._room) + len(values), dtype=np.float32)
            self._room = np.concatenate([self._room[: self._written], more])
        self._room[self._written : self._written + len(values)] = values
        self._written += len(values)

    def cut(self, first: int, length: int) -> Samples:
        whole = self._room[: self._written][first : first + length]
        # A view would keep the room that was not needed.
        return whole.copy() if len(whole) < 0.9 * len(self._room) else whole


def _mono(sound: Sound, source: Source, start: float, seconds: float | None) -> Samples:
    name = source.name
    expected = seconds if seconds is not None else max(0.0, (sound.stated or 0.0) - start)
    refuse_long(expected, name)
    begin(sound, source)
    rate = sound.rate
    segment, level, out = _Segment(rate, start, seconds), Level(), _Output(math.ceil(expected * SAMPLE_RATE))
    resampler = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float64", "VHQ")
    position = segment.begin
    for block in read(sound, name, position):
        mono = block[:, : segment.stop - position].mean(axis=0, dtype=np.float64)
        if not len(mono):
            continue
        level.add(mono[max(0, segment.first - position) : max(0, segment.last - position)])
        out.add(mono if resampler is None else resampler.resample_chunk(mono))
        position += len(mono)
        refuse_long((min(position, segment.last) - segment.first) / rate, name)
        if position >= segment.stop:
            break
    else:
        there = sound.position / rate
        if lacks(sound):
            raise DataError(
                f"recording {name} is cut short: its header claims {sound.stated:.2f} s, {there:.2f} s are there"
            )
        if there < start + (seconds or 0) - _OVERHANG:
            raise DataError(
                f"recording {name} ends at {start + (seconds or 0):.2f} s, but its file lasts {there:.2f} s: correct "
                "the segment's times"
            )
    _refuse_level(level, rate, name)
    if resampler is not None:
        out.add(resampler.resample_chunk(np.empty(0), last=True))
    return out.cut(segment.skip, segment.length)


def _refuse_level(level: Level, rate: int, name: str) -> None:
    if level.count < MIN_SECONDS * rate or not level.count:
        raise DataError(
            f"recording {name} lasts {level.count / (rate or 1):.3f} s, less than {MIN_SECONDS} s: exclude it"
        )
    if level.peak > MAX_PEAK:
        raise DataError(f"recording {name} reaches {level.peak:.0f} where full scale is 1: scale its samples to -1..1")
    if level.swing < SILENCE_PEAK:
        raise DataError(f"recording {name} is silent (peak below {SILENCE_PEAK:g} of full scale): exclude it")
