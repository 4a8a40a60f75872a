"""The two decoders, libsndfile and FFmpeg: what each reads, and a recording as one of them gives it.

FFmpeg is given containers of sound only: playlists and lists of files, which name further files or addresses, are not
followed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO, Any, Protocol

import av
import numpy as np
import numpy.typing as npt
import soundfile

from babelscope.audio import headers

Samples = npt.NDArray[np.float32]

#: What names of recordings usually end in.
SUFFIXES: frozenset[str] = frozenset({
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".spx", ".mp3", ".mp2", ".m4a", ".mp4", ".mov", ".3gp", ".aac", ".webm",
    ".mka", ".wma", ".amr", ".awb", ".g722", ".aif", ".aiff", ".au", ".caf", ".w64", ".sph", ".tta", ".wv", ".ape",
    ".ac3", ".eac3", ".avi", ".flv",
})  # fmt: skip
#: What a decoder raises when it refuses a file.
DECODER_ERRORS = (
    soundfile.LibsndfileError, av.FFmpegError, ArithmeticError, LookupError, MemoryError, OSError, ValueError,
)  # fmt: skip
G722_BYTES_PER_SECOND = 8_000  # 64 kbit/s, no header
_LIBSNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"NIST")
#: Of MP3, libsndfile guesses the length from the first frame, and stops there; of GSM in WAV it reads the byte that
#: fills an odd chunk as a further block (40 ms), of MS-ADPCM it drops a last block that is not full.
_FOR_FFMPEG = frozenset({"MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "GSM610", "MS_ADPCM"})
_SEEKABLE = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "AU", "CAF", "NIST"})
#: What FFmpeg may take a file for, as its demuxers are called.
_CONTAINERS = "mov,matroska,asf,aac,amr,amrnb,amrwb,g722,ac3,eac3,mp3,flac,ogg,wav,w64,aiff,caf,au,wv,tta,ape,avi,flv"
_AV_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
#: Tags in another encoding than UTF-8 are no error. From version 19 on PyAV reads them so, and has no such option.
_AV_TAGS: dict[str, Any] = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "ignore"}
#: Containers that state the length of their sound to the sample.
_STATING = frozenset({"flac", "tta", "wv", "ape"})
_LOSSLESS = ("pcm_", "alac", "flac")
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")  # where MP3s were joined
_BLOCK = 2**20  # samples, of all channels together
_MAX_PLANES = 8  # of that many and more, PyAV reads planes that are none
_GATHERED = 2**15  # samples of FFmpeg's frames that make a block
_UNKNOWN_FRAMES = 2**62  # what libsndfile says, or more, of a FLAC that was written to a pipe


class Sound(Protocol):
    """An opened recording.

    Attributes
    ----------
    decoder, format : str
        Who decodes it, and as what.
    rate, channels : int
        In Hz; known for sure after :meth:`begin`.
    stated : float or None
        Seconds that the container states by a count of its own; None if it states none. A file that holds less is cut
        short.
    tolerance : float
        Seconds by which such a count may exceed what is decoded: delay and padding of codecs.
    position : int
        Samples from the start of the file that were decoded or skipped so far.
    """

    decoder: str
    format: str
    rate: int
    channels: int
    stated: float | None
    tolerance: float
    position: int

    def seconds(self) -> float:
        """Return the duration that decoding gives, without decoding where the format allows it."""
        ...

    def begin(self) -> None:
        """Decode the first block, which shows whether the decoder can read this."""
        ...

    def blocks(self, first: int = 0) -> Iterator[Samples]:
        """Return the sound from sample `first` on, after :meth:`begin`, as blocks of shape (channels, samples)."""
        ...


class _Libsndfile:
    decoder, tolerance = "libsndfile", 0.0

    def __init__(self, opened: soundfile.SoundFile) -> None:
        self._opened = opened
        self.format = f"{opened.format}, {opened.subtype}"
        self.rate, self.channels = opened.samplerate, opened.channels
        self.stated: float | None = opened.frames / opened.samplerate
        self._next: Samples = np.empty((0, 1), dtype=np.float32)
        self.position = 0

    def seconds(self) -> float:
        return float(self._opened.frames / self.rate)

    def begin(self) -> None:
        self._next = self._opened.read(max(1, _BLOCK // self.channels), dtype="float32", always_2d=True)

    def blocks(self, first: int = 0) -> Iterator[Samples]:
        if first and self._opened.format in _SEEKABLE:
            self.position = self._opened.seek(min(first, self._opened.frames))
            self.begin()
        while block := len(self._next):
            skip = max(0, first - self.position)
            self.position += block
            if skip < block:
                yield self._next[skip:].T
            self.begin()


class _Forgiving:
    """A file whose position is unchanged when libsndfile seeks before its start, as damaged headers make it do.

    An error there would be printed, for nothing could catch it.
    """

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self.read, self.tell = handle.read, handle.tell

    def seek(self, offset: int, whence: int = 0) -> int:
        with contextlib.suppress(OSError, ValueError, OverflowError):
            return self._handle.seek(offset, whence)
        return self._handle.tell()


@contextlib.contextmanager
def by_libsndfile(handle: IO[bytes], suffix: str, size: int) -> Iterator[Sound]:
    """Open a recording by libsndfile."""
    extent = headers.sound_extent(handle, size)
    handle.seek(0)
    with soundfile.SoundFile(_Forgiving(handle)) as opened:
        if opened.subtype in _FOR_FFMPEG:
            raise ValueError(f"{opened.subtype} is read by FFmpeg alone")
        if opened.frames >= _UNKNOWN_FRAMES or (not opened.frames and extent is not None and extent.end is None):
            raise ValueError("the header states no length")
        yield _Libsndfile(opened)


class _FFmpeg:
    decoder = "FFmpeg"

    def __init__(self, container: av.container.InputContainer, stated: float | None) -> None:
        self._container, self._stream = container, container.streams.audio[0]
        self._frames: Iterator[av.AudioFrame] = iter(())
        self.format = f"{container.format.name}, {self._stream.codec_context.name}"
        self.rate, self.channels = self._stream.rate or 0, self._stream.channels
        self.stated = stated
        self.tolerance = max(0.1, 4096 / self.rate) if self.rate else 0.1
        self.position = 0

    def seconds(self) -> float:
        kinds, codec = _kinds(self._container), self._stream.codec_context.name
        if self.stated is not None and (kinds & _STATING or ("mov" in kinds and codec.startswith(_LOSSLESS))):
            return self.stated
        self.begin()
        return sum(frame.samples for frame in self._frames) / (self.rate or 1)

    def begin(self) -> None:
        frames = self._decoded()
        for frame in frames:  # the first alone tells the rate of some AAC
            self.rate, self.channels = frame.sample_rate, frame.layout.nb_channels
            self._frames = chain([frame], frames)
            return

    def _decoded(self) -> Iterator[av.AudioFrame]:
        """Yield the frames; what cannot be decoded may be a tag, or stand behind the last one: half a frame."""
        refused: av.FFmpegError | None = None
        begun = False
        for packet in self._container.demux(self._stream):
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.EOFError:  # the decoder was emptied before
                continue
            except av.FFmpegError as error:
                if not bytes(packet).startswith(_TAGS):
                    refused = refused or error
                continue
            if frames and packet.size and refused is not None:
                raise refused
            begun = begun or bool(frames)
            yield from frames
        if refused is not None and not begun:
            raise refused

    def blocks(self, first: int = 0) -> Iterator[Samples]:
        gathered: list[Samples] = []
        for frame in self._frames:
            if frame.sample_rate != self.rate:
                raise ValueError(f"its rate changes from {self.rate} to {frame.sample_rate} Hz")
            skip = max(0, first - self.position)
            self.position += frame.samples
            if skip >= frame.samples:
                continue
            values = _floats(frame)[:, skip:]
            if gathered and (len(values) != len(gathered[0]) or sum(map(np.size, gathered)) >= _GATHERED):
                yield np.concatenate(gathered, axis=1)
                gathered.clear()
            gathered.append(values)
        if gathered:
            yield np.concatenate(gathered, axis=1)


def _kinds(container: av.container.InputContainer) -> frozenset[str]:
    return frozenset(container.format.name.split(","))


def _stated(container: av.container.InputContainer, mp3_frames: int | None, matroska_duration: bool) -> float | None:
    """Return the seconds that the container itself states: FFmpeg's figure is an estimate elsewhere."""
    kinds, stream = _kinds(container), container.streams.audio[0]
    if "mp3" in kinds:
        rate = stream.rate or 0
        return mp3_frames * (1152 if rate >= 32_000 else 576) / rate if mp3_frames and rate else None
    if "matroska" in kinds:
        whole = matroska_duration and len(container.streams) == 1
        return container.duration / av.time_base if whole and container.duration else None
    if kinds & _STATING or ("mov" in kinds and stream.frames):
        return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
    return None


def _floats(frame: av.AudioFrame) -> Samples:
    """Return a frame's samples, copied: its memory belongs to the container."""
    if frame.format.is_planar and frame.layout.nb_channels >= _MAX_PLANES:
        (frame,) = av.AudioResampler(format="flt").resample(frame)
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - np.float32(128)) / np.float32(128)
    return (values / 2.0 ** (8 * values.dtype.itemsize - 1)).astype(np.float32)


@contextlib.contextmanager
def by_ffmpeg(handle: IO[bytes], suffix: str, size: int) -> Iterator[Sound]:
    """Open a recording by FFmpeg."""
    raw = "g722" if suffix == ".g722" else None
    frames, matroska = headers.mp3_frames(handle), headers.matroska_states_duration(handle)
    handle.seek(0)
    try:
        container = av.open(handle, mode="r", format=raw, options=_AV_OPTIONS, **_AV_TAGS)
    except av.ArgumentError:
        raise ValueError("no format that it may read") from None
    with container:
        if not container.streams.audio:
            raise ValueError("no audio track")
        if container.streams.audio[0].codec_context is None:
            raise ValueError("no decoder for its codec")
        yield _FFmpeg(container, _stated(container, frames, matroska))


Opener = Callable[[IO[bytes], str, int], contextlib.AbstractContextManager[Sound]]
_LIBSNDFILE: tuple[str, Opener] = ("libsndfile", by_libsndfile)
_FFMPEG: tuple[str, Opener] = ("FFmpeg", by_ffmpeg)


def openers(handle: IO[bytes], suffix: str) -> tuple[tuple[str, Opener], ...]:
    """Return the decoders that may read this, by name, in the order to try."""
    if suffix == ".g722":  # has no header, and anything is G.722
        return (_FFMPEG,)
    if headers.at(handle, 0, 4) in _LIBSNDFILE_MAGIC:
        return (_LIBSNDFILE, _FFMPEG)
    return (_FFMPEG, _LIBSNDFILE)
