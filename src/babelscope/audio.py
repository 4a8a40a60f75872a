"""Recordings: from a file or an archive member of any common format to float32, mono, 16 kHz, checked.

WAV, FLAC, Ogg (Vorbis, Opus), MP3 and AIFF are decoded by libsndfile, everything else (G.722, M4A, WebM, ...) by FFmpeg
through PyAV. Channels are averaged, then resampled by soxr at its very high quality. Nothing is trimmed, scaled or
normalised: what a model hears is what was recorded.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
#: Full scale is 1. A recording that stays below this around its mean (-80 dBFS) is silence: it is refused.
SILENCE_PEAK = 1e-4
#: A peak beyond this is no overshoot of a decoder but integers written as floats: it is refused.
MAX_PEAK = 16.0
#: Hz. Rates outside are taken for a damaged header.
SAMPLE_RATES = (4_000, 384_000)
#: Bytes of one archive member; two hours at 16 kHz, 16 bit, are a quarter of a gigabyte.
MAX_MEMBER_BYTES = 2**30

_SOUNDFILE = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf", ".sph"}
)
_G722_BYTES_PER_SECOND = 8_000  # 64 kbit/s, no header

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
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
    """

    path: Path
    member: str | None
    seconds: float
    reader: str
    sentence: str
    language: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.member}" if self.member is not None else str(self.path)
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
        If it is missing, empty, damaged, cut short, silent, shorter than :data:`MIN_SECONDS`, or holds NaN; the message
        names the file, the sentence and the language.
    """
    name = str(recording)
    if recording.member is None:
        return decode(recording.path, name=name)
    return decode(read_member(recording.path, recording.member, name), Path(recording.member).suffix, name=name)


def read_member(archive: Path, member: str, name: str | None = None) -> bytes:
    """Return the bytes of one archive member; `name` is what messages call it.

    Raises
    ------
    DataError
        If the archive or the member is missing or damaged.
    """
    name = name or f"{archive}:{member}"
    try:
        with zipfile.ZipFile(archive) as opened:
            info = opened.getinfo(member)
            if info.file_size > MAX_MEMBER_BYTES:
                raise DataError(f"recording {name} is larger than {MAX_MEMBER_BYTES} bytes: refused")
            return opened.read(info)
    except FileNotFoundError:
        raise DataError(f"recording {name} is missing: there is no such archive") from None
    except KeyError:
        raise DataError(f"recording {name} is missing: the archive has no such member") from None
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"recording {name} cannot be read from its archive ({error}): it is damaged") from error


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
    name, suffix, data = _open(source, suffix, name)
    with _telling_damage(name):
        samples, rate = _soundfile(data, name) if suffix in _SOUNDFILE else _ffmpeg(data, suffix, name)
    if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
        raise DataError(f"recording {name} claims a sample rate of {rate} Hz: its header is damaged")
    if samples.size and not np.isfinite(samples).all():
        raise DataError(f"recording {name} holds NaN or infinite samples: export it again")
    if samples.shape[1] < MIN_SECONDS * rate:
        seconds = samples.shape[1] / rate
        raise DataError(f"recording {name} lasts {seconds:.3f} s, less than {MIN_SECONDS} s: leave it out")
    mono = samples.mean(axis=0, dtype=np.float64)
    peak = float(np.abs(mono).max())
    if peak > MAX_PEAK:
        raise DataError(f"recording {name} reaches {peak:.0f} where full scale is 1: scale its samples to -1..1")
    if float(np.abs(mono - mono.mean()).max()) < SILENCE_PEAK:
        raise DataError(f"recording {name} is silent (peak below {SILENCE_PEAK:g} of full scale): leave it out")
    out = mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE, quality="VHQ")
    return np.ascontiguousarray(out, dtype=np.float32)


def seconds_of(source: bytes | Path | str, suffix: str | None = None, *, name: str | None = None) -> float:
    """Return the duration that the headers tell, without decoding where the format allows it.

    Raises
    ------
    DataError
        If the audio is missing, empty or damaged.
    """
    if suffix is None and isinstance(source, (str, Path)):
        suffix = Path(source).suffix
    if (suffix or "").lower() == ".g722" and isinstance(source, (str, Path)) and Path(source).is_file():
        size = Path(source).stat().st_size
        if size:
            return size / _G722_BYTES_PER_SECOND
    if (suffix or "").lower() in _SOUNDFILE and isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_file() and path.stat().st_size:
            with _telling_damage(name or str(path)), soundfile.SoundFile(path) as opened:
                return float(opened.frames / opened.samplerate)
    name, suffix, data = _open(source, suffix, name)
    with _telling_damage(name):
        if suffix == ".g722":
            return len(data) / _G722_BYTES_PER_SECOND
        if suffix in _SOUNDFILE:
            with soundfile.SoundFile(io.BytesIO(data)) as opened:
                return float(opened.frames / opened.samplerate)
        with av.open(io.BytesIO(data), mode="r") as container:
            if container.duration and container.duration > 0:
                return float(container.duration / av.time_base)
        samples, rate = _ffmpeg(data, suffix, name)
        return float(samples.shape[1] / rate)


def seconds_of_member(info: zipfile.ZipInfo, archive: zipfile.ZipFile) -> float:
    """Return the duration of an archive member: G.722 from its size alone, anything else from its headers.

    Raises
    ------
    DataError
        If the member is empty or damaged.
    """
    name = f"{archive.filename}:{info.filename}"
    suffix = Path(info.filename).suffix.lower()
    if suffix == ".g722" and info.file_size:
        return info.file_size / _G722_BYTES_PER_SECOND
    try:
        data = archive.read(info)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"recording {name} cannot be read from its archive ({error}): it is damaged") from error
    return seconds_of(data, suffix, name=name)


def _open(source: bytes | Path | str, suffix: str | None, name: str | None) -> tuple[str, str, bytes]:
    if isinstance(source, bytes):
        name, data = name or "(bytes)", source
    else:
        path = Path(source)
        name, suffix = name or str(path), suffix if suffix is not None else path.suffix
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise DataError(f"recording {name} is missing: there is no such file") from None
        except OSError as error:
            raise DataError(f"recording {name} cannot be read ({error.strerror})") from error
    if not data:
        raise DataError(f"recording {name} is an empty file")
    return name, (suffix or "").lower(), data


@contextlib.contextmanager
def _telling_damage(name: str) -> Iterator[None]:
    try:
        yield
    except (soundfile.LibsndfileError, av.FFmpegError, ValueError, IndexError) as error:
        reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"recording {name} cannot be decoded ({reason.rstrip('.')}): it is damaged or no audio"
        ) from error


def _soundfile(data: bytes, name: str) -> tuple[Samples, int]:
    _refuse_cut(data, name)
    with soundfile.SoundFile(io.BytesIO(data)) as opened:
        claimed, rate = opened.frames, opened.samplerate
        samples = opened.read(dtype="float32", always_2d=True)
    if len(samples) < claimed:
        raise DataError(f"recording {name} is cut short: its header claims {claimed} samples, {len(samples)} are there")
    return np.asarray(samples.T, dtype=np.float32), int(rate)


def _refuse_cut(data: bytes, name: str) -> None:
    """Refuse WAV and Ogg files that end before their own headers say; libsndfile reads what there is without a word."""
    claimed = len(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        position = 12
        while position + 8 <= len(data):
            kind, size = struct.unpack_from("<4sI", data, position)
            if kind == b"data":
                # 0 and 0xFFFFFFFF stand for "not known" in files written to a pipe.
                claimed = position + 8 + (size if size != 0xFFFFFFFF else 0)
                break
            position += 8 + size + size % 2
    elif data[:4] == b"OggS":
        last = data.rfind(b"OggS")
        if last + 27 > len(data) or last + 27 + data[last + 26] > len(data):
            claimed = len(data) + 1
        else:
            claimed = last + 27 + data[last + 26] + sum(data[last + 27 : last + 27 + data[last + 26]])
    if claimed > len(data):
        raise DataError(f"recording {name} is cut short: {claimed - len(data)} or more of its bytes are missing")


def _ffmpeg(data: bytes, suffix: str, name: str) -> tuple[Samples, int]:
    with av.open(io.BytesIO(data), mode="r", format="g722" if suffix == ".g722" else None) as container:
        if not container.streams.audio:
            raise DataError(f"recording {name} has no audio track")
        stream = container.streams.audio[0]
        if suffix == ".g722":  # no header: FFmpeg's figure is a guess from the size
            claimed = 0.0
        elif stream.duration and stream.time_base:
            claimed = float(stream.duration * stream.time_base)
        else:
            claimed = (container.duration or 0) / av.time_base
        resampler = av.AudioResampler(format="fltp")
        # A frame's memory belongs to the container: copied before that is closed.
        parts = [part.to_ndarray().copy() for frame in container.decode(stream) for part in resampler.resample(frame)]
        parts += [part.to_ndarray().copy() for part in resampler.resample(None)] if parts else []
        rate = int(stream.rate or 0)
    if not parts:
        raise DataError(f"recording {name} holds no sound")
    samples = np.concatenate(parts, axis=1).astype(np.float32, copy=False)
    if rate and samples.shape[1] / rate < claimed - max(0.1, 0.03 * claimed):
        there = samples.shape[1] / rate
        raise DataError(f"recording {name} is cut short: its header claims {claimed:.2f} s, {there:.2f} s are there")
    return samples, rate
