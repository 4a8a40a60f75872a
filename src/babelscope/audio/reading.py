"""A recording's sound, block by block: opened, given to the decoder that can read it, and checked on the way."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import numpy as np

from babelscope.audio import decoders, headers
from babelscope.audio.decoders import Samples, Sound
from babelscope.audio.limits import refuse_rate
from babelscope.errors import BabelscopeError, DataError

_T = TypeVar("_T")


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
                refuse_rate(sound.rate, source.name)
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


def refuse_missing(source: Source) -> None:
    """Raise a DataError if the file ends before its own header says."""
    if source.missing:
        raise DataError(f"recording {source.name} is cut short: {source.missing} or more of its bytes are missing")


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
    refuse_rate(sound.rate, source.name)
