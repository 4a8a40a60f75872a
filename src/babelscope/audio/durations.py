"""How long a recording is: what decoding gives, without decoding where the format allows it."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

from babelscope.audio.decoders import G722_BYTES_PER_SECOND
from babelscope.audio.reading import opened, through
from babelscope.audio.recording import read_info
from babelscope.errors import DataError


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
            return encoded.size / G722_BYTES_PER_SECOND
        seconds = through(encoded, lambda sound: sound.seconds())
    if not (math.isfinite(seconds) and seconds > 0):
        raise DataError(f"recording {encoded.name} holds no sound: exclude it")
    return seconds


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
    return seconds_of(read_info(info, archive, name), suffix, name=name)
