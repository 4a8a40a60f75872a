"""The length that a file's own header states: the bytes of its sound, and the frames of an MP3.

Only such counts are claims: a file that holds less than they say is cut short. Durations that a decoder estimates from
the file's size and a bit rate are none.
"""

from __future__ import annotations

import re
import struct
from typing import IO, NamedTuple

_OGG_PAGE = 65_307  # bytes at most
_MAX_CHUNKS = 10_000
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_MATROSKA_DURATION = re.compile(rb"\x44\x89[\x84\x88]")


class Extent(NamedTuple):
    """The bytes of sound by a file's header; `end` is None where the sound extends to the end of the file."""

    start: int
    end: int | None


def sound_extent(handle: IO[bytes], size: int) -> Extent | None:
    """Return where the header says that the sound lies; None if the format does not say, or this is no such file.

    WAV (with RF64 and BW64), AVI, W64, AIFF, AU, CAF, SPHERE, Ogg, ASF and MP4 are known. The handle is moved.
    """
    head = at(handle, 0, 40)
    kind, form = head[:4], head[8:12]
    if kind in (b"RIFF", b"RIFX", b"RF64", b"BW64") and form == b"WAVE":
        return _wav(handle, head, size)
    if kind == b"RIFF" and form == b"AVI ":
        return _until((8, int.from_bytes(head[4:8], "little")), size)
    if kind == b"FORM" and form in (b"AIFF", b"AIFC"):
        return _until(_chunk(handle, 12, struct.Struct(">4sI"), b"SSND", pad=2), size)
    if kind == b"riff" and head[24:28] == b"wave":
        return _until(_chunk(handle, 40, struct.Struct("<16sQ"), b"data", pad=8, own=24), size)
    if kind == b"caff":
        return _until(_chunk(handle, 8, struct.Struct(">4sq"), b"data"), size)
    if kind == b".snd" and len(head) >= 12:
        start, length = struct.unpack(">II", head[4:12])
        return _until((start, length), size)
    if head[:7] == b"NIST_1A":
        return _sphere(handle)
    if kind == b"OggS":
        return _ogg(handle, size)
    if head[:4] == b"\x30\x26\xb2\x75":
        return _asf(handle)
    if head[4:8] == b"ftyp":
        return _mp4(handle, size)
    return None


def mp3_frames(handle: IO[bytes]) -> int | None:
    """Return the number of frames that an MP3's Xing, Info or VBRI header states; None if there is none."""
    position = 0
    while len(tag := at(handle, position, 10)) == 10 and tag[:3] == b"ID3":
        size = tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]
        position += 10 + size + (10 if tag[5] & 0x10 else 0)
    head = at(handle, position, 4096)
    if (sync := re.search(rb"\xff[\xe2-\xff]", head)) is None:
        return None
    frame = head[sync.start() : sync.start() + 200].ljust(200, b"\0")
    first_version, mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    xing = 4 + ((17 if mono else 32) if first_version else (9 if mono else 17))
    if frame[xing : xing + 4] in (b"Xing", b"Info") and frame[xing + 7] & 1:
        return int.from_bytes(frame[xing + 8 : xing + 12]) or None
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54]) or None
    return None


def matroska_states_duration(handle: IO[bytes]) -> bool:
    """Return whether a Matroska or WebM file has a duration in its header, which live recordings lack."""
    return _MATROSKA_DURATION.search(at(handle, 0, 4096)) is not None


def at(handle: IO[bytes], position: int, size: int) -> bytes:
    """Read bytes at a position; none beyond any file."""
    if position >= 2**60:
        return b""
    handle.seek(position)
    return handle.read(size)


def _chunk(
    handle: IO[bytes], position: int, header: struct.Struct, wanted: bytes, *, pad: int = 1, own: int = 0
) -> tuple[int, int] | None:
    """Return the start and the length of the first chunk of this kind; `own` bytes of a length are its header."""
    for _ in range(_MAX_CHUNKS):
        chunk = at(handle, position, header.size)
        if len(chunk) < header.size:
            return None
        kind, length = header.unpack(chunk)
        if kind[:4] == wanted:
            return position + header.size, length - own
        if length < own:
            return None
        position += header.size + -(-(length - own) // pad) * pad
    return None


def _until(chunk: tuple[int, int] | None, size: int) -> Extent | None:
    if chunk is None:
        return None
    start, length = chunk
    return Extent(start, None if start + length > size and _means_unknown(length) else start + length)


def _means_unknown(length: int) -> bool:
    """Return whether writers to a pipe put such a length: about the largest number that fits, or SoX's 0x7F000000."""
    tops = (2**31 - 2**24 + 2**16, 2**31 + 1, 2**32, 2**63, 2**64)
    return length < 0 or any(top - 2**16 <= length < top for top in tops)


def _wav(handle: IO[bytes], head: bytes, size: int) -> Extent | None:
    header = struct.Struct(">4sI" if head[:4] == b"RIFX" else "<4sI")
    data = _chunk(handle, 12, header, b"data", pad=2)
    if data is None:
        return None
    start, length = data
    if head[12:16] == b"ds64" and length == 2**32 - 1:
        return _until((start, int.from_bytes(head[28:36], "little")), size)
    # A length of 0 is that of an empty file only if the whole file is as long as its first header says.
    if length == 0 and start < size != header.unpack(head[:8])[1] + 8:
        return Extent(start, None)
    return _until(data, size)


def _sphere(handle: IO[bytes]) -> Extent | None:
    text = at(handle, 0, 4096)
    fields = {
        key: int(value)
        for key, value in re.findall(rb"^(sample_count|sample_n_bytes|channel_count) -i (\d{1,15})\s*$", text, re.M)
    }
    size = re.match(rb"NIST_1A\s+(\d{1,9})\s", text)
    if size is None or len(fields) < 3 or re.search(rb"^sample_coding .*(shorten|shortpack|wavpack)", text, re.M):
        return None
    start = int(size[1])
    return Extent(start, start + fields[b"sample_count"] * fields[b"sample_n_bytes"] * fields[b"channel_count"])


def _ogg(handle: IO[bytes], size: int) -> Extent:
    start = max(0, size - 2 * _OGG_PAGE)
    tail = at(handle, start, size - start)
    last = tail.rfind(b"OggS")
    if last < 0:  # something else stands behind the last page
        return Extent(0, None)
    if last + 27 > len(tail) or last + 27 + tail[last + 26] > len(tail):
        return Extent(0, size + 1)
    return Extent(0, start + last + 27 + tail[last + 26] + sum(tail[last + 27 : last + 27 + tail[last + 26]]))


def _asf(handle: IO[bytes]) -> Extent | None:
    head = at(handle, 0, 65_536)
    place = head.find(_ASF_FILE_PROPERTIES)
    if place < 0 or place + 92 > len(head):
        return None
    size, broadcast = int.from_bytes(head[place + 40 : place + 48], "little"), head[place + 88] & 1
    return None if broadcast or not size else Extent(0, size)


def _mp4(handle: IO[bytes], size: int) -> Extent | None:
    position, start, end = 0, 0, None
    for _ in range(_MAX_CHUNKS):
        box = at(handle, position, 16)
        if len(box) < 8:
            break
        length, kind = struct.unpack(">I4s", box[:8])
        if length == 1:
            length = int.from_bytes(box[8:])
        if kind in (b"mdat", b"moof"):
            start, end = start or position, position + length if length else None
        if length < 8:  # to the end of the file, or no box
            break
        position += length
    return Extent(start, end) if start else None
