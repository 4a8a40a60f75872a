"""Writes behind the compute: one thread does them, one at a time, and what comes next is computed meanwhile.

No write waits for another: what is computed and not yet written waits in memory.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType


class AsyncWriter:
    """A thread that does what it is given, in order, for as long as the ``with`` block lasts.

    Leaving the block waits for what was given before. The first error of a write stops all later ones, and is raised
    where the next is given, or on leaving; an error of the block itself goes first.
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(1)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="babelscope-writes", daemon=True)

    def __enter__(self) -> AsyncWriter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if error is None:
            self._raise()

    def _work(self) -> None:
        while (write := self._queue.get()) is not None:
            if self._error is None:
                try:
                    write()
                except BaseException as error:
                    self._error = error
            self._queue.task_done()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def put(self, write: Callable[[], None]) -> None:
        """Give one write; waits until the one before is done.

        Raises
        ------
        BaseException
            What an earlier write raised.
        """
        self._queue.join()
        self._raise()
        self._queue.put(write)
