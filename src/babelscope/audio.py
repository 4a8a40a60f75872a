"""Recordings: from a file or an archive member of any common format to float32, mono, 16 kHz, checked.

WAV, FLAC, Ogg (Vorbis, Opus), MP3 and AIFF are decoded by libsndfile, everything else (G.722, M4A, WebM, ...) by FFmpeg
through PyAV. Channels are averaged, then resampled by soxr at its very high quality. Nothing is trimmed, scaled or
normalised: what a model hears is what was recorded.

A recording is decoded block by block, so that what stands in memory is the result: 230 MB an hour at most, whatever
its rate and channels. What its header claims is held against :data:`MAX_SECONDS` before anything is decoded, and what
comes out against both. FFmpeg is given containers of sound only: playlists and lists of files, which name further
files or addresses, are not followed.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import math
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from babelscope.errors import DataError

#: Hz. What speech models take, and what :func:`load_audio` returns.
SAMPLE_RATE = 16_000
#: Seconds. A shorter recording cannot hold a sentence: it is refused.
MIN_SECONDS = 0.1
#: Seconds. A longer recording is refused: no model hears so much at once, and an hour takes 230 MB.
MAX_SECONDS = 7_200.0
#: Full scale is 1. A recording that stays below this around its mean (-80 dBFS) is silence: it is refused.
SILENCE_PEAK = 1e-4
#: A peak beyond this is no overshoot of a decoder but integers written as floats: it is refused.
MAX_PEAK = 16.0
#: Hz. Rates outside are taken for a damaged header.
SAMPLE_RATES = (4_000, 384_000)
#: Bytes of one archive member, which is read whole; two hours at 16 kHz, 16 bit, are a quarter of a gigabyte.
MAX_MEMBER_BYTES = 2**29

_SOUNDFILE = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf", ".sph"}
)
_G722_BYTES_PER_SECOND = 8_000  # 64 kbit/s, no header
#: What FFmpeg may take a file for, as its demuxers are called.
_CONTAINERS = "mov,matroska,asf,aac,amr,amrnb,amrwb,g722,ac3,eac3,mp3,flac,ogg,wav,w64,aiff,caf,au,wv,tta,ape,avi,flv"
_AV_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
_OGG_PAGE = 65_307  # bytes at most
_BLOCK = 2**20  # samples, of all channels together
_UNKNOWN_FRAMES = 2**62  # what libsndfile says, or more, of a FLAC that was written to a pipe
#: What an archive raises that is damaged, or made to be.
ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, NotImplementedError, RuntimeError,
    ValueError,
)  # fmt: skip

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recording:
    """A reference to one utterance, not its samples.

    Attributes
    ----------
    path : Path
        An audio file, or a zip archive of them.
    member : str or None
        The member of the archive; None for a plain file.
    seconds : float
        Duration as the headers tell it.
    reader : str
        Who reads, as the corpus names them; empty if it does not say.
    sentence, language : str
        What is said, for messages.
    start : float or None
        Seconds into the file at which the utterance begins; it ends `seconds` later. None for the whole file.
    """

    path: Path
    member: str | None
    seconds: float
    reader: str
    sentence: str
    language: str
    start: float | None = None

    def __str__(self) -> str:
        where = f"{self.path}:{self.member}" if self.member is not None else str(self.path)
        if self.start is not None:
            where = f"{where} from {self.start:g} s"
        return f"{where} (sentence {self.sentence!r}, language {self.language!r})"


def load_audio(recording: Recording) -> Samples:
    """Read and check one recording.

    Parameters
    ----------
    recording : Recording
        Where it is.

    Returns
    -------
    ndarray, float32, shape (samples,)
        Mono, :data:`SAMPLE_RATE` Hz, full scale at 1.

    Raises
    ------
    DataError
        If it is missing, empty, damaged, cut short, silent, shorter than :data:`MIN_SECONDS`, longer than
        :data:`MAX_SECONDS`, or holds NaN; the message names the file, the sentence and the language.
    """
    name = str(recording)
    if recording.member is None:
        samples = decode(recording.path, name=name)
    else:
        encoded = read_member(recording.path, recording.member, name)
        samples = decode(encoded, Path(recording.member).suffix, name=name)
    return samples if recording.start is None else _segment(samples, recording.start, recording.seconds, name)


def _segment(samples: Samples, start: float, seconds: float, name: str) -> Samples:
    first, last = round(start * SAMPLE_RATE), round((start + seconds) * SAMPLE_RATE)
    if last > len(samples) + SAMPLE_RATE // 100:  # a hundredth of a second: times are often rounded to that
        raise DataError(
            f"recording {name} ends at {start + seconds:.2f} s, but its file lasts {len(samples) / SAMPLE_RATE:.2f} s: "
            "correct the segment's times"
        )
    return samples[first:last].copy()


def read_member(archive: Path, member: str, name: str | None = None) -> bytes:
    """Return the bytes of one archive member; `name` is what messages call it.

    Raises
    ------
    DataError
        If the archive or the member is missing or damaged, or the member is larger than :data:`MAX_MEMBER_BYTES`.
    """
    name = name or f"{archive}:{member}"
    try:
        with zipfile.ZipFile(archive) as opened:
            return _member(opened.getinfo(member), opened, name)
    except FileNotFoundError:
        raise DataError(f"recording {name} is missing: there is no such archive") from None
    except KeyError:
        raise DataError(f"recording {name} is missing: the archive has no such member") from None
    except ARCHIVE_ERRORS as error:
        raise DataError(f"recording {name} cannot be read from its archive ({error}): it is damaged") from error


def _member(info: zipfile.ZipInfo, archive: zipfile.ZipFile, name: str) -> bytes:
    if info.file_size > MAX_MEMBER_BYTES:
        raise DataError(
            f"recording {name} is {info.file_size} bytes, more than the {MAX_MEMBER_BYTES} that are read out of an "
            f"archive: cut it into parts"
        )
    try:
        return archive.read(info)
    except ARCHIVE_ERRORS as error:
        raise DataError(f"recording {name} cannot be read from its archive ({error}): it is damaged") from error


class _Decoded(NamedTuple):
    """A recording that is opened, not read: the seconds that it claims (0 if it does not), and its sound.

    The sound comes as rates in Hz and blocks of shape (channels, samples).
    """

    claimed: float
    blocks: Iterable[tuple[int, Samples]]


def decode(source: bytes | Path | str, suffix: str | None = None, *, name: str | None = None) -> Samples:
    """Decode and check audio.

    Parameters
    ----------
    source : bytes or path
        Encoded audio.
    suffix : str, optional
        Tells the format, as in ``".g722"``; taken from a path if left out.
    name : str, optional
        What messages call it; the path if left out.

    Returns
    -------
    ndarray, float32, shape (samples,)
        As :func:`load_audio`.

    Raises
    ------
    DataError
        As :func:`load_audio`.
    """
    name, suffix, handle, size = _open(source, suffix, name)
    with handle, _telling_damage(name), _opened(handle, suffix, size, name) as decoded:
        _refuse_long(decoded.claimed, name)
        samples = _mono(decoded, name)
        if isinstance(handle, io.BufferedReader) and os.fstat(handle.fileno()).st_size != size:
            raise DataError(f"recording {name} changed while it was read: try again when it is whole")
        return samples


def _mono(decoded: _Decoded, name: str) -> Samples:
    # Room for what is claimed, which is little enough: pages that are never written take no memory.
    out = np.empty(math.ceil(decoded.claimed * SAMPLE_RATE) + SAMPLE_RATE, dtype=np.float32)
    written = count = rate = 0
    low, high, total = math.inf, -math.inf, 0.0
    stream: soxr.ResampleStream | None = None

    def put(values: npt.NDArray[np.float64]) -> None:
        nonlocal out, written
        if written + len(values) > len(out):
            out = np.concatenate([out, np.empty(len(out) + len(values), dtype=np.float32)])
        out[written : written + len(values)] = values
        written += len(values)

    for rate, block in decoded.blocks:
        if not count:
            _refuse_rate(rate, name)
            if rate != SAMPLE_RATE:
                stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float64", quality="VHQ")
        if not np.isfinite(block).all():
            raise DataError(f"recording {name} holds NaN or infinite samples: export it again")
        mono = block.mean(axis=0, dtype=np.float64)
        if not len(mono):
            continue
        count += len(mono)
        _refuse_long(count / rate, name)
        low, high, total = min(low, float(mono.min())), max(high, float(mono.max())), total + float(mono.sum())
        put(mono if stream is None else stream.resample_chunk(mono))
    if count < MIN_SECONDS * rate or not count:
        raise DataError(f"recording {name} lasts {count / (rate or 1):.3f} s, less than {MIN_SECONDS} s: leave it out")
    if max(high, -low) > MAX_PEAK:
        raise DataError(
            f"recording {name} reaches {max(high, -low):.0f} where full scale is 1: scale its samples to -1..1"
        )
    if max(high - total / count, total / count - low) < SILENCE_PEAK:
        raise DataError(f"recording {name} is silent (peak below {SILENCE_PEAK:g} of full scale): leave it out")
    if stream is not None:
        put(stream.resample_chunk(np.empty(0), last=True))
    # A view would keep what was claimed and never came.
    return out[:written].copy() if written < 0.9 * len(out) else out[:written]


def _refuse_rate(rate: int, name: str) -> None:
    if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
        raise DataError(f"recording {name} claims a sample rate of {rate} Hz: its header is damaged")


def _refuse_long(seconds: float, name: str) -> None:
    if seconds > MAX_SECONDS:
        raise DataError(
            f"recording {name} lasts {seconds:.0f} s, more than the {MAX_SECONDS:g} s that are read at once: leave it "
            f"out by max_seconds, or cut it into parts"
        )


def seconds_of(source: bytes | Path | str, suffix: str | None = None, *, name: str | None = None) -> float:
    """Return the duration that the headers tell, without decoding where the format allows it.

    Returns
    -------
    float
        Above 0.

    Raises
    ------
    DataError
        If the audio is missing, empty or damaged, or holds no sound.
    """
    name, suffix, handle, size = _open(source, suffix, name)
    seconds = 0.0
    with handle, _telling_damage(name):
        if suffix == ".g722":
            return size / _G722_BYTES_PER_SECOND
        if suffix in _SOUNDFILE:
            with soundfile.SoundFile(handle) as opened:
                _refuse_rate(opened.samplerate, name)
                unknown = opened.frames >= _UNKNOWN_FRAMES
                seconds = 0.0 if unknown else float(opened.frames / opened.samplerate)
            handle.seek(0)
        if suffix not in _SOUNDFILE or unknown:
            with _opened(handle, suffix, size, name) as decoded:
                seconds = decoded.claimed or sum(block.shape[1] / rate for rate, block in decoded.blocks)
    if not (math.isfinite(seconds) and seconds > 0):
        raise DataError(f"recording {name} holds no sound: leave it out")
    return seconds


def seconds_of_member(info: zipfile.ZipInfo, archive: zipfile.ZipFile) -> float:
    """Return the duration of an archive member: G.722 from its size alone, anything else from its headers.

    Raises
    ------
    DataError
        If the member is empty, damaged, or larger than :data:`MAX_MEMBER_BYTES`.
    """
    name = f"{archive.filename}:{info.filename}"
    suffix = Path(info.filename).suffix.lower()
    if suffix == ".g722" and info.file_size:
        return info.file_size / _G722_BYTES_PER_SECOND
    return seconds_of(_member(info, archive, name), suffix, name=name)


def _open(source: bytes | Path | str, suffix: str | None, name: str | None) -> tuple[str, str, IO[bytes], int]:
    """Return the recording's name, its suffix, a handle that is read as far as it is needed, and its size."""
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
        except (OSError, ValueError) as error:
            raise DataError(f"recording {name} cannot be read ({_reason(error)})") from error
    if not size:
        handle.close()
        raise DataError(f"recording {name} is an empty file")
    return name, (suffix or "").lower(), handle, size


def _reason(error: Exception) -> str:
    reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return str(reason or type(error).__name__).rstrip(".")


@contextlib.contextmanager
def _telling_damage(name: str) -> Iterator[None]:
    try:
        yield
    except (
        soundfile.LibsndfileError,
        av.FFmpegError,
        ArithmeticError,
        LookupError,
        MemoryError,
        OSError,
        ValueError,
    ) as error:
        raise DataError(f"recording {name} cannot be decoded ({_reason(error)}): it is damaged or no audio") from error


@contextlib.contextmanager
def _opened(handle: IO[bytes], suffix: str, size: int, name: str) -> Iterator[_Decoded]:
    if suffix in _SOUNDFILE:
        _refuse_cut(handle, size, name)
        with soundfile.SoundFile(handle) as opened:
            _refuse_rate(opened.samplerate, name)
            if opened.frames < _UNKNOWN_FRAMES:
                yield _Decoded(opened.frames / opened.samplerate, _soundfile(opened, name))
                return
        handle.seek(0)  # of unknown length, which FFmpeg can read
    form = "g722" if suffix == ".g722" else None
    with av.open(handle, mode="r", format=form, options=_AV_OPTIONS) as container:
        if not container.streams.audio:
            raise DataError(f"recording {name} has no audio track")
        stream = container.streams.audio[0]
        if form:  # no header: FFmpeg's figure is a guess from the size
            claimed = 0.0
            _refuse_long(size / _G722_BYTES_PER_SECOND, name)
        elif stream.duration and stream.time_base:
            claimed = float(stream.duration * stream.time_base)
        else:
            claimed = (container.duration or 0) / av.time_base
        claimed = max(claimed, 0.0)
        yield _Decoded(claimed, _ffmpeg(container, stream, claimed, name))


def _soundfile(opened: soundfile.SoundFile, name: str) -> Iterator[tuple[int, Samples]]:
    claimed, there = opened.frames, 0
    while len(block := opened.read(max(1, _BLOCK // opened.channels), dtype="float32", always_2d=True)):
        there += len(block)
        yield opened.samplerate, block.T
    if there < claimed:
        raise DataError(f"recording {name} is cut short: its header claims {claimed} samples, {there} are there")


def _refuse_cut(handle: IO[bytes], size: int, name: str) -> None:
    """Refuse WAV and Ogg files that end before their own headers say; libsndfile reads what there is without a word."""
    claimed = size
    head = handle.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        position = 12
        while len(chunk := _at(handle, position, 8)) == 8:
            kind, length = struct.unpack("<4sI", chunk)
            if kind == b"data":
                # 0 and 0xFFFFFFFF stand for "not known" in files written to a pipe.
                claimed = position + 8 + (length if length != 0xFFFFFFFF else 0)
                break
            position += 8 + length + length % 2
    elif head[:4] == b"OggS":
        start = max(0, size - 2 * _OGG_PAGE)
        end = _at(handle, start, size - start)
        last = end.rfind(b"OggS")
        if last < 0:
            claimed = size  # something else stands behind the last page
        elif last + 27 > len(end) or last + 27 + end[last + 26] > len(end):
            claimed = size + 1
        else:
            claimed = start + last + 27 + end[last + 26] + sum(end[last + 27 : last + 27 + end[last + 26]])
    handle.seek(0)
    if claimed > size:
        raise DataError(f"recording {name} is cut short: {claimed - size} or more of its bytes are missing")


def _at(handle: IO[bytes], position: int, size: int) -> bytes:
    handle.seek(position)
    return handle.read(size)


def _ffmpeg(
    container: av.container.InputContainer, stream: av.AudioStream, claimed: float, name: str
) -> Iterator[tuple[int, Samples]]:
    resampler = av.AudioResampler(format="fltp")
    there = 0.0
    frames = (part for frame in container.decode(stream) for part in resampler.resample(frame))
    for part in frames:
        there += part.samples / part.sample_rate
        # A frame's memory belongs to the container: copied before that is closed.
        yield part.sample_rate, part.to_ndarray().astype(np.float32)
    if there:
        for part in resampler.resample(None):
            there += part.samples / part.sample_rate
            yield part.sample_rate, part.to_ndarray().astype(np.float32)
    if not there:
        raise DataError(f"recording {name} holds no sound")
    if there < claimed - max(0.1, 0.03 * claimed):
        raise DataError(f"recording {name} is cut short: its header claims {claimed:.2f} s, {there:.2f} s are there")
