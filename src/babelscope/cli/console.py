"""What the command line prints on: output, errors, progress, and the lines that end a command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from babelscope.errors import harmless


class _Harmless(Console):
    """A console on which data cannot move the cursor, set colours or reorder a line."""

    def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
        """Yield the segments, with what a terminal would act on written as escapes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


#: Seconds between two lines on progress where no terminal shows it.
SECONDS_A_LINE = 30

out = _Harmless()
err = _Harmless(stderr=True)


@contextmanager
def showing() -> Iterator[Any]:
    """Show progress, speed and time left: on a terminal as bars, elsewhere as a line a step and twice a minute."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        task = bars.add_task("starting", total=None)
        step, begun, first, printed = "", 0.0, 0, 0.0

        def tell(what: str, done: int, total: int) -> None:
            nonlocal step, begun, first, printed
            now = time.monotonic()
            if what != step:
                bars.reset(task)
                step, begun, first, printed = what, now, done, now
                if not err.is_terminal:
                    err.print(f"{what} …", markup=False, highlight=False)
            elif not err.is_terminal and now - printed >= SECONDS_A_LINE and done > first and total:
                speed = (done - first) / (now - begun)
                left = timedelta(seconds=round((total - done) / speed))
                err.print(f"{what}: {done} of {total}, {speed:.3g}/s, {left} left", markup=False, highlight=False)
                printed = now
            bars.update(task, description=escape(what), completed=done, total=total or None)

        yield tell


class _Speed(ProgressColumn):
    """How much is done in a second."""

    def render(self, task: Task) -> Text:
        """Return the speed, as far as it is known."""
        return Text(f"{task.speed:.3g}/s" if task.speed else "", style="progress.data.speed")


def say(line: str, style: str | None = None) -> None:
    """Print a line as it is, however long."""
    out.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def say_aside(line: str, style: str | None = None) -> None:
    """Print a line on the error stream as it is, however long."""
    err.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def notice(line: str) -> None:
    """Print a warning of the check of a corpus."""
    say_aside(f"Corpus: {line}")


def say_left_out(meta: dict[str, Any]) -> None:
    """Print what a study left out of its corpus, and why."""
    from babelscope.report.terminal import left_out

    for line in left_out(meta["corpus"]):
        say_aside(line)


def say_where(report: Path, seconds: float | None = None) -> None:
    """Print where a report is."""
    took = f" ({seconds:.0f} s)" if seconds is not None else ""
    say(f"Report{took}: {report}")
