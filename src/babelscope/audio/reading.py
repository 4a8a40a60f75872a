"""A recording's sound: opened, decoded block by block by the decoder that can read it, and checked on the way.

:func:`decode` gives it as models take it, float32, mono, 16 kHz; :func:`seconds_of` how long that is.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import soxr

from babelscope.audio import decoders, headers
from babelscope.audio.decoders import Samples, Sound
from babelscope.errors import BabelscopeError, DataError

_T = TypeVar("_T")

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
#: Hz. Rates outside are taken for a damaged header.
SAMPLE_RATES = (4_000, 384_000)
#: Output samples on either side of a segment that are resampled with it, so that its edges are those of the whole.
_MARGIN = SAMPLE_RATE // 10
#: Seconds by which a segment may end after its file: times are often rounded to hundredths.
_OVERHANG = 0.01


class Source(NamedTuple):
    """Encoded audio: what messages call it, its suffix in lower case, and a handle that is read as it is needed."""

    name: str
    suffix: str
    handle: IO[bytes]
    size: int
    extent: headers.Extent | None

    @property
    def missing(self) -> int:
        """Bytes of sound that the header states beyond the end of the file."""
        return max(0, self.extent.end - self.size) if self.extent is not None and self.extent.end is not None else 0

    @property
    def stretch(self) -> float:
        """How many times as long the sound is by its header as by what is there."""
        return 1 + self.missing / max(1, self.size - (self.extent.start if self.extent is not None else 0))


@contextlib.contextmanager
def opened(source: bytes | Path | str, suffix: str | None = None, name: str | None = None) -> Iterator[Source]:
    """Open encoded audio.

    Raises
    ------
    DataError
        If it is missing, empty or no file, or changes before it is closed.
    """
    handle: IO[bytes]
    if isinstance(source, bytes):
        name, handle, size = name or "(bytes)", io.BytesIO(source), len(source)
    else:
        path = Path(source)
        name, suffix = name or str(path), suffix if suffix is not None else path.suffix
        try:
            state = path.stat()
            if not stat.S_ISREG(state.st_mode):  # a pipe would be waited for
                raise DataError(f"recording {name} is no file")
            handle, size = path.open("rb"), state.st_size
        except FileNotFoundError:
            raise DataError(f"recording {name} is missing: there is no such file") from None
        except BabelscopeError:
            raise
        except (OSError, ValueError) as error:
            raise DataError(f"recording {name} cannot be read ({reason(error)})") from error
    with handle:
        if not size:
            raise DataError(f"recording {name} is an empty file")
        yield Source(name, (suffix or "").lower(), handle, size, headers.sound_extent(handle, size))
        if isinstance(handle, io.BufferedReader) and os.fstat(handle.fileno()).st_size != size:
            raise DataError(f"recording {name} changed while it was read: try again when it is whole")


def reason(error: Exception) -> str:
    """Return a library's error as a few words."""
    message = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return str(message or type(error).__name__).rstrip(".")


def through(source: Source, use: Callable[[Sound], _T]) -> _T:
    """Return the result of `use` on a recording, by the first decoder that does not refuse it.

    Raises
    ------
    DataError
        If none can read it; the message gives each one's reason.
    """
    reasons = []
    for decoder, open_sound in decoders.openers(source.handle, source.suffix):
        try:
            with open_sound(source.handle, source.suffix, source.size) as sound:
                _refuse_rate(sound.rate, source.name)
                return use(sound)
        except BabelscopeError:
            raise
        except decoders.DECODER_ERRORS as error:
            reasons.append(f"{decoder}: {reason(error)}")
    raise DataError(
        f"recording {source.name} cannot be decoded ({'; '.join(reasons)}): it is damaged or no audio"
    ) from None


def read(sound: Sound, name: str, first: int = 0) -> Iterator[Samples]:
    """Return the blocks of a sound from sample `first` on, checked.

    Raises
    ------
    DataError
        If it turns out to be damaged, or holds NaN.
    """
    try:
        for block in sound.blocks(first):
            if not np.isfinite(block).all():
                raise DataError(f"recording {name} holds NaN or infinite samples: export it again")
            yield block
    except BabelscopeError:
        raise
    except decoders.DECODER_ERRORS as error:
        raise DataError(
            f"recording {name} cannot be decoded to its end ({sound.decoder}: {reason(error)}): it is damaged"
        ) from error


def lacks(sound: Sound) -> bool:
    """Return whether a sound that was read to its end is shorter than its container states."""
    return sound.stated is not None and sound.position < round((sound.stated - sound.tolerance) * sound.rate)


def begin(sound: Sound, source: Source) -> None:
    """Decode the first block; the sound's rate is right from here on.

    Raises
    ------
    DataError
        If the rate is none that a recording has.
    """
    sound.begin()
    _refuse_rate(sound.rate, source.name)


def _refuse_rate(rate: int, name: str) -> None:
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


class Level:
    """The range and the mean of samples that come in blocks."""

    def __init__(self) -> None:
        self.count = 0
        self._low, self._high, self._total = math.inf, -math.inf, 0.0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Take a block."""
        if len(values):
            self._low, self._high = min(self._low, float(values.min())), max(self._high, float(values.max()))
            self._total, self.count = self._total + float(values.sum()), self.count + len(values)

    @property
    def peak(self) -> float:
        """The largest absolute value."""
        return max(self._high, -self._low) if self.count else 0.0

    @property
    def swing(self) -> float:
        """The largest distance from the mean."""
        mean = self._total / max(1, self.count)
        return max(self._high - mean, mean - self._low) if self.count else 0.0


def seconds_of(source: bytes | Path | str, suffix: str | None = None, *, name: str | None = None) -> float:
    """Return the duration that :func:`~babelscope.audio.decode` gives.

    Containers that count their samples (WAV, FLAC, Ogg, AIFF, ...) state it in their headers. Anything else is decoded:
    MP3, AAC and AMR state nothing, or no more than the codec's frames; M4A, WebM and WMA not to the sample.

    Parameters
    ----------
    source, suffix, name
        As for :func:`~babelscope.audio.decode`.

    Returns
    -------
    float
        Above 0.

    Raises
    ------
    DataError
        If the audio is missing, empty or damaged, or holds no sound.
    """
    with opened(source, suffix, name) as encoded:
        if encoded.suffix == ".g722":
            return encoded.size / decoders.G722_BYTES_PER_SECOND
        seconds = through(encoded, lambda sound: sound.seconds())
    if not (math.isfinite(seconds) and seconds > 0):
        raise DataError(f"recording {encoded.name} holds no sound: exclude it")
    return seconds


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
        if encoded.missing:
            raise DataError(
                f"recording {encoded.name} is cut short: {encoded.missing} or more of its bytes are missing"
            )
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
