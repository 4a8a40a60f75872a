"""Recordings: from a file or an archive member of any common format to float32, mono, 16 kHz, checked.

WAV, FLAC, Ogg (Vorbis, Opus), AIFF, AU, CAF, W64 and SPHERE are decoded by libsndfile, everything else (MP3, M4A, AAC,
WebM, WMA, AMR, G.722, ...) by FFmpeg through PyAV; what a file is, its content says, not its name. Where one of the two
refuses a file, the other is tried. Channels are averaged, then resampled by soxr at its very high quality. Nothing is
trimmed, scaled or normalised.

A recording is decoded block by block, so that only the result is in memory: 230 MB an hour at most, whatever
its rate and channels. Only a count in the container's own header is a claim: it is compared with :data:`MAX_SECONDS`
before anything is decoded, and with what comes out. A duration that a decoder estimates from a bit rate is not used.
"""

from babelscope.audio.decoders import SUFFIXES, Samples
from babelscope.audio.facts import CLIPPED, AudioFacts, inspect
from babelscope.audio.reading import (
    MAX_PEAK,
    MAX_SECONDS,
    MIN_SECONDS,
    SAMPLE_RATE,
    SAMPLE_RATES,
    SILENCE_PEAK,
    decode,
    seconds_of,
)
from babelscope.audio.recording import (
    ARCHIVE_ERRORS,
    MAX_MEMBER_BYTES,
    Recording,
    load_audio,
    read_member,
    seconds_of_member,
)

__all__ = [
    "ARCHIVE_ERRORS",
    "CLIPPED",
    "MAX_MEMBER_BYTES",
    "MAX_PEAK",
    "MAX_SECONDS",
    "MIN_SECONDS",
    "SAMPLE_RATE",
    "SAMPLE_RATES",
    "SILENCE_PEAK",
    "SUFFIXES",
    "AudioFacts",
    "Recording",
    "Samples",
    "decode",
    "inspect",
    "load_audio",
    "read_member",
    "seconds_of",
    "seconds_of_member",
]
