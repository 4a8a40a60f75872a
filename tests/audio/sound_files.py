"""Sound files of every format that can be written here, and a sound that changes all the time."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import io
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

Sound = NDArray[np.float64]
Encode = Callable[[Sound, int], bytes]


def sweep(rate: int, seconds: float, seed: int = 0) -> Sound:
    """A tone that rises from 300 to 2800 Hz and falls again, each tenth of a second as loud as chance has it.

    Wherever it is cut, and by whatever it is shifted, it fits itself no longer.
    """
    time = np.arange(round(rate * seconds)) / rate
    hertz = 300 + 2500 * (1 - np.abs(1 - 2 * time / seconds))
    knots = np.arange(0, seconds + 0.2, 0.1)
    loud = np.interp(time, knots, np.random.default_rng(seed).uniform(0.1, 0.5, len(knots)))
    return np.asarray(loud * np.sin(2 * np.pi * np.cumsum(hertz) / rate))


def by_soundfile(container: str, subtype: str | None = None, endian: str | None = None) -> Encode:
    """Return an encoder of libsndfile."""

    def encode(samples: Sound, rate: int) -> bytes:
        out = io.BytesIO()
        soundfile.write(out, samples, rate, format=container, subtype=subtype, endian=endian)
        return out.getvalue()

    return encode


def by_pyav(
    container: str,
    codec: str,
    *,
    bit_rate: int | None = None,
    muxer: Mapping[str, str] | None = None,
    encoder: Mapping[str, str] | None = None,
    sample_format: str | None = None,
) -> Encode:
    """Return an encoder of FFmpeg, as PyAV brings it."""

    def encode(samples: Sound, rate: int) -> bytes:
        out = io.BytesIO()
        with av.open(out, "w", format=container, options=dict(muxer or {})) as opened:
            stream = opened.add_stream(codec, rate=rate, options=dict(encoder or {}))
            assert isinstance(stream, av.AudioStream)
            stream.layout = "mono"
            if bit_rate:
                stream.bit_rate = bit_rate
            context = stream.codec_context
            if sample_format:
                context.format = sample_format
            context.open()
            frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            size = context.frame_size or 1024
            fit = av.AudioResampler(format=context.format, layout="mono", rate=rate, frame_size=size)
            for piece in [*fit.resample(frame), *fit.resample(None)]:
                opened.mux(stream.encode(piece))
            opened.mux(stream.encode(None))
        return out.getvalue()

    return encode


def packed_anew(inner: Encode, container: str) -> Encode:
    """Return an encoder that puts what another one wrote into a container of FFmpeg."""

    def encode(samples: Sound, rate: int) -> bytes:
        out = io.BytesIO()
        with av.open(io.BytesIO(inner(samples, rate)), "r") as source, av.open(out, "w", format=container) as target:
            stream = target.add_stream_from_template(source.streams.audio[0])
            for packet in source.demux(audio=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
        return out.getvalue()

    return encode


def by_command(*options: str) -> Encode:
    """Return an encoder of the system's FFmpeg; it skips the test where there is none, or none with this codec."""

    def encode(samples: Sound, rate: int) -> bytes:
        if shutil.which("ffmpeg") is None:
            pytest.skip(f"no ffmpeg command to write {options[-1]} with")
        wav = by_soundfile("WAV")(samples, rate)
        done = subprocess.run(["ffmpeg", "-v", "error", "-i", "-", *options, "-"], input=wav, capture_output=True)
        if done.returncode:
            pytest.skip(f"the ffmpeg command cannot write {options[-1]}: {done.stderr.decode(errors='replace')[:80]}")
        return done.stdout

    return encode


@functools.cache
def _amr_wb() -> Any:
    name = ctypes.util.find_library("vo-amrwbenc")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.E_IF_init.restype = ctypes.c_void_p
    library.E_IF_encode.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    library.E_IF_exit.argtypes = [ctypes.c_void_p]
    return library


def amr_wb(samples: Sound, rate: int) -> bytes:
    """AMR-WB at 23.85 kbit/s by VisualOn's library, which FFmpeg's builds rarely hold; skips the test without it."""
    library = _amr_wb()
    if library is None:
        pytest.skip("no libvo-amrwbenc to write AMR-WB with")
    assert rate == 16_000
    frames = np.pad(samples, (0, -len(samples) % 320)).reshape(-1, 320)
    state, room, out = library.E_IF_init(), ctypes.create_string_buffer(500), bytearray(b"#!AMR-WB\n")
    for frame in np.ascontiguousarray(np.round(frames * 32767).astype(np.int16)):
        size = library.E_IF_encode(state, 8, frame.ctypes.data, room, 0)
        out += room.raw[:size]
    library.E_IF_exit(state)
    return bytes(out)


@dataclass(frozen=True)
class Format:
    """How a format is written.

    `rates` are those to try. `counts` says whether the container states its length by a count of its own, so that a
    file that is cut short is known to be.
    """

    suffix: str
    encode: Encode
    rates: tuple[int, ...] = (8_000, 16_000, 22_050, 44_100, 48_000)
    counts: bool = True


_LAME = (16_000, 24_000, 44_100, 48_000)
_VBR = {"q": "5"}
_NO_HEADER = {"write_xing": "0"}

#: By the names of the table in docs/audio.md.
FORMATS: dict[str, Format] = {
    "WAV, 16 bit": Format(".wav", by_soundfile("WAV", "PCM_16")),
    "WAV, 24 bit": Format(".wav", by_soundfile("WAV", "PCM_24")),
    "WAV, float": Format(".wav", by_soundfile("WAV", "FLOAT")),
    "WAV, 8 bit": Format(".wav", by_soundfile("WAV", "PCM_U8")),
    "WAV, A-law": Format(".wav", by_soundfile("WAV", "ALAW")),
    "WAV, µ-law": Format(".wav", by_soundfile("WAV", "ULAW")),
    "WAV, IMA ADPCM": Format(".wav", by_soundfile("WAV", "IMA_ADPCM")),
    "WAV, MS ADPCM": Format(".wav", by_soundfile("WAV", "MS_ADPCM")),
    "WAV, GSM 6.10": Format(".wav", by_soundfile("WAV", "GSM610"), (8_000,)),
    "WAV, MP3": Format(".wav", by_pyav("wav", "libmp3lame", bit_rate=64_000), _LAME),
    "RIFX (big-endian WAV)": Format(".wav", by_soundfile("WAV", "PCM_16", "BIG")),
    "RF64": Format(".wav", by_soundfile("RF64", "PCM_16")),
    "Wave64": Format(".w64", by_soundfile("W64", "PCM_16")),
    "AIFF": Format(".aiff", by_soundfile("AIFF", "PCM_16")),
    "AU": Format(".au", by_soundfile("AU", "PCM_16")),
    "CAF": Format(".caf", by_soundfile("CAF", "PCM_16")),
    "CAF, ALAC": Format(".caf", by_soundfile("CAF", "ALAC_16")),
    "SPHERE": Format(".sph", by_soundfile("NIST", "PCM_16")),
    "FLAC": Format(".flac", by_soundfile("FLAC", "PCM_16")),
    "FLAC in Ogg": Format(".oga", packed_anew(by_soundfile("FLAC", "PCM_16"), "ogg")),
    "FLAC in Matroska": Format(".mka", packed_anew(by_soundfile("FLAC", "PCM_16"), "matroska")),
    "TTA": Format(".tta", by_pyav("tta", "tta", sample_format="s16")),
    "WavPack": Format(".wv", by_pyav("wv", "wavpack", sample_format="s16p")),
    "M4A, ALAC": Format(".m4a", by_pyav("ipod", "alac")),
    "MOV, PCM": Format(".mov", by_pyav("mov", "pcm_s16le")),
    "AVI, PCM": Format(".avi", by_pyav("avi", "pcm_s16le")),
    "Ogg Vorbis": Format(".ogg", by_soundfile("OGG", "VORBIS")),
    "Ogg Opus": Format(".opus", by_soundfile("OGG", "OPUS"), (8_000, 16_000, 24_000, 48_000)),
    "Ogg Speex": Format(".spx", by_command("-c:a", "libspeex", "-f", "ogg"), (8_000, 16_000)),
    "WebM, Opus": Format(".webm", by_pyav("webm", "libopus"), (16_000, 48_000)),
    "WebM, Opus, live": Format(".webm", by_pyav("webm", "libopus", muxer={"live": "1"}), (16_000, 48_000), False),
    "MP3 with a Xing header, CBR": Format(".mp3", by_pyav("mp3", "libmp3lame", bit_rate=64_000), _LAME),
    "MP3 with a Xing header, VBR": Format(".mp3", by_pyav("mp3", "libmp3lame", encoder=_VBR), _LAME),
    "MP3 without a header, CBR": Format(
        ".mp3", by_pyav("mp3", "libmp3lame", bit_rate=64_000, muxer=_NO_HEADER), _LAME, False
    ),
    "MP3 without a header, VBR": Format(
        ".mp3", by_pyav("mp3", "libmp3lame", encoder=_VBR, muxer=_NO_HEADER), _LAME, False
    ),
    "MP2": Format(".mp2", by_pyav("mp2", "mp2", bit_rate=96_000), (16_000, 24_000, 48_000), False),
    "M4A, AAC": Format(".m4a", by_pyav("ipod", "aac", bit_rate=96_000), (16_000, 44_100, 48_000)),
    "MP4, AAC, in fragments": Format(
        ".mp4",
        by_pyav(
            "mp4", "aac", bit_rate=96_000, muxer={"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}
        ),
        (16_000, 44_100, 48_000),
    ),
    "AAC (ADTS)": Format(".aac", by_pyav("adts", "aac", bit_rate=96_000), (16_000, 44_100, 48_000), False),
    "Matroska, AAC": Format(".mka", by_pyav("matroska", "aac", bit_rate=96_000), (16_000, 44_100, 48_000)),
    "FLV, AAC": Format(".flv", by_pyav("flv", "aac", bit_rate=96_000), (44_100,), False),
    "WMA 1": Format(".wma", by_pyav("asf", "wmav1", bit_rate=96_000), (44_100, 48_000)),
    "WMA 2": Format(".wma", by_pyav("asf", "wmav2", bit_rate=96_000), (44_100, 48_000)),
    "AC-3": Format(".ac3", by_pyav("ac3", "ac3", bit_rate=192_000), (44_100, 48_000), False),
    "E-AC-3": Format(".eac3", by_pyav("eac3", "eac3", bit_rate=192_000), (44_100, 48_000), False),
    "AMR-NB": Format(".amr", by_pyav("amr", "libopencore_amrnb", bit_rate=12_200), (8_000,), False),
    "3GP, AMR-NB": Format(".3gp", by_pyav("3gp", "libopencore_amrnb", bit_rate=12_200), (8_000,)),
    "AMR-WB": Format(".awb", amr_wb, (16_000,), False),
    "G.722": Format(".g722", by_pyav("g722", "g722"), (16_000,), False),
}
