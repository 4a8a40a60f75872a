"""Reading a file of numbers and names, little-endian, from its first byte to its last."""

from __future__ import annotations

import struct
from pathlib import Path

from babelscope.errors import DataError


class Cursor:
    """A file's bytes, and how far they have been read.

    Attributes
    ----------
    data : bytes
    offset : int
    """

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.offset = path, path.read_bytes(), 0

    def take(self, size: int) -> bytes:
        """Return the next bytes.

        Raises
        ------
        DataError
            If the file has no so many.
        """
        if size < 0 or self.offset + size > len(self.data):
            raise DataError(
                f"weights {self.path} are cut short at byte {self.offset}: delete the file and fetch it again"
            )
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def unpack(self, code: str) -> tuple[int | float, ...]:
        """Return the next numbers, in the formats of :mod:`struct`."""
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))

    def number(self, code: str) -> int:
        """Return the next whole number, the first of those that `code` names."""
        return int(self.unpack(code)[0])

    def string(self) -> str:
        """Return the next name, after its length.

        Raises
        ------
        DataError
            If it is no UTF-8.
        """
        try:
            return self.take(self.number("H")).rstrip(b"\0").decode()
        except UnicodeDecodeError as error:
            raise DataError(f"weights {self.path} are damaged near byte {self.offset}: fetch them again") from error
