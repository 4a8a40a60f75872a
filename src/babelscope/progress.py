"""How long work says what it is doing."""

from __future__ import annotations

from collections.abc import Callable

#: Called with what is being done, how much is done, and how much there is (0 where that is not known).
Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Show nothing."""
