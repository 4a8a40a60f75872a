"""How a download reports its progress."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

import rich.progress
from rich.console import Console
from rich.table import Column


class Progress(Protocol):
    """What :func:`babelscope.fetch.fetch` reports to; it downloads one file at a time."""

    def start(self, label: str, total: int) -> None:
        """Begin a file of `total` bytes."""
        return

    def update(self, done: int) -> None:
        """Report that `done` bytes are here (fewer than before if a download starts over)."""
        return

    def finish(self) -> None:
        """Report that the file is complete and verified."""
        return

    def say(self, line: str) -> None:
        """Show the user one line."""
        return


class SilentProgress(Progress):
    """Reports nothing."""


class TerminalProgress:
    """A progress bar for each file on the error stream; without a terminal, one line for each."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            rich.progress.BarColumn(bar_width=12),
            rich.progress.DownloadColumn(table_column=Column(no_wrap=True)),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: rich.progress.TaskID | None = None
        self._label = ""
        self._total = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start(self, label: str, total: int) -> None:
        """Show a new bar."""
        self._label, self._total = label, total
        self._task = self._bars.add_task(label, total=total)

    def update(self, done: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bars.update(self._task, completed=done)

    def finish(self) -> None:
        """Fill the bar."""
        self.update(self._total)
        if not self._console.is_terminal:
            self.say(f"{self._label}: {self._total / 1e6:.1f} MB, verified")

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
