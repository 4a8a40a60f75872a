"""Writes behind the compute: one thread does them, one at a time, while what comes next is computed.

No write waits for another: what is computed and not yet written waits in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType


class AsyncWriter:
    """A thread that does the writes it is given, in order, for as long as the ``with`` block lasts.

    Leaving the block waits for what was given before. An error of a write is raised where the next is given, which is
    not begun, or on leaving; an error of the block itself goes first.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="babelscope-writes")
        self._last: Future[None] | None = None

    def __enter__(self) -> AsyncWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        if error is None and self._last is not None:
            self._last.result()

    def put(self, write: Callable[[], None]) -> None:
        """Give one write; waits until the one before is done.

        Raises
        ------
        BaseException
            What an earlier write raised.
        """
        if self._last is not None:
            self._last.result()
        self._last = self._pool.submit(write)
