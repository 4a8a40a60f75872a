"""A recording of a corpus: a file, a member of an archive, or a segment of either."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from babelscope.audio.decoders import G722_BYTES_PER_SECOND, Samples
from babelscope.audio.reading import decode, seconds_of
from babelscope.errors import BabelscopeError, DataError

#: Bytes of one archive member, which is read whole; two hours at 16 kHz, 16 bit, are a quarter of a gigabyte.
MAX_MEMBER_BYTES = 2**29
#: What an archive raises that is damaged, or made to be.
ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, NotImplementedError, RuntimeError,
    ValueError,
)  # fmt: skip


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
        Duration of what is decoded.
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

    def encoded(self) -> tuple[bytes | Path, str]:
        """Return the encoded audio, read from its archive if it lies in one, and its suffix.

        Raises
        ------
        DataError
            As :func:`read_member`.
        """
        if self.member is None:
            return self.path, self.path.suffix
        return read_member(self.path, self.member, str(self)), Path(self.member).suffix


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
        :data:`MAX_SECONDS`, holds NaN, or is a segment that its file does not hold; the message names the file, the
        sentence and the language.
    """
    encoded, suffix = recording.encoded()
    seconds = None if recording.start is None else recording.seconds
    return decode(encoded, suffix, name=str(recording), start=recording.start, seconds=seconds)


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
            return _read_info(opened.getinfo(member), opened, name)
    except FileNotFoundError:
        raise DataError(f"recording {name} is missing: there is no such archive") from None
    except KeyError:
        raise DataError(f"recording {name} is missing: the archive has no such member") from None
    except BabelscopeError:
        raise
    except ARCHIVE_ERRORS as error:
        raise DataError(f"recording {name} cannot be read from its archive ({error}): it is damaged") from error


def _read_info(info: zipfile.ZipInfo, archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of a member of an open archive.

    Raises
    ------
    DataError
        As :func:`read_member`.
    """
    if info.file_size > MAX_MEMBER_BYTES:
        raise DataError(
            f"recording {name} is {info.file_size} bytes, more than the {MAX_MEMBER_BYTES} that are read out of an "
            "archive: cut it into segments"
        )
    try:
        return archive.read(info)
    except BabelscopeError:
        raise
    except ARCHIVE_ERRORS as error:
        raise DataError(f"recording {name} cannot be read from its archive ({error}): it is damaged") from error


def seconds_of_member(info: zipfile.ZipInfo, archive: zipfile.ZipFile) -> float:
    """Return the duration of an archive member: G.722 from its size alone, anything else as :func:`seconds_of`.

    Raises
    ------
    DataError
        If the member is empty, damaged, or larger than :data:`~babelscope.audio.MAX_MEMBER_BYTES`.
    """
    name = f"{archive.filename}:{info.filename}"
    suffix = Path(info.filename).suffix.lower()
    if suffix == ".g722" and info.file_size:
        return info.file_size / G722_BYTES_PER_SECOND
    return seconds_of(_read_info(info, archive, name), suffix, name=name)
