"""Properties of a recording: its length, rate and level, for checks of data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from babelscope.audio.decoders import Sound
from babelscope.audio.reading import SILENCE_PEAK, Level, Source, begin, lacks, opened, read, refuse_long, through
from babelscope.audio.recording import Recording

#: Full scale is 1. Samples that reach this count as clipped.
CLIPPED = 0.9995


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """Properties of one recording, or of one segment of a file.

    Attributes
    ----------
    seconds : float
        Duration of what is there.
    rate, channels : int
        Of the file; in Hz.
    peak, rms : float
        Full scale is 1; over all channels.
    clipped : float
        The share of samples at full scale.
    silent : bool
        Whether it is silent: :func:`~babelscope.audio.load_audio` refuses such a recording.
    stated : float or None
        Seconds that the container states by a count of its own; None if it states none.
    truncated : bool
        Whether the file holds less than the container states.
    format, decoder : str
        The format as decoded, and the decoder.
    """

    seconds: float
    rate: int
    channels: int
    peak: float
    rms: float
    clipped: float
    silent: bool
    stated: float | None
    truncated: bool
    format: str
    decoder: str


def inspect(recording: Recording) -> AudioFacts:
    """Decode a recording once, block by block, and describe it.

    Silence and truncation are facts, not errors, here. Of a segment the segment is described; it may end early where
    its file does.

    Parameters
    ----------
    recording : Recording
        Where it is; its `seconds` count only for a segment.

    Returns
    -------
    AudioFacts

    Raises
    ------
    DataError
        If it is missing, empty or damaged, longer than :data:`~babelscope.audio.MAX_SECONDS`, or holds NaN.
    """
    encoded, suffix = recording.encoded()
    with opened(encoded, suffix, str(recording)) as source:
        return through(source, lambda sound: _facts(sound, source, recording))


def _facts(sound: Sound, source: Source, recording: Recording) -> AudioFacts:
    begin(sound, source)
    rate, level = sound.rate, Level()
    first = round((recording.start or 0.0) * rate)
    wanted = 2**62 if recording.start is None else round(recording.seconds * rate)
    values = clipped = 0
    squares = peak = 0.0
    for block in read(sound, source.name, first):
        block = block[:, : wanted - level.count]
        level.add(block.mean(axis=0, dtype=np.float64))
        size = np.abs(block)
        values += block.size
        clipped += int(np.count_nonzero(size >= CLIPPED))
        peak = max(peak, float(size.max(initial=0.0)))
        squares += float(np.square(size, dtype=np.float64).sum())
        refuse_long(level.count / rate, source.name)
        if level.count >= wanted:
            break
    ended = level.count < wanted
    return AudioFacts(
        seconds=level.count / rate,
        rate=rate,
        channels=sound.channels,
        peak=peak,
        rms=math.sqrt(squares / max(1, values)),
        clipped=clipped / max(1, values),
        silent=level.swing < SILENCE_PEAK,
        stated=sound.stated * source.stretch if sound.stated else None,
        truncated=bool(source.missing) or (ended and lacks(sound)),
        format=sound.format,
        decoder=sound.decoder,
    )
