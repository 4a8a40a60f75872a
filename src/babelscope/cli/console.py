"""What the command line prints on: output, notes, errors and progress, as loud as the user wants them."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer
from rich.console import Console, ConsoleOptions
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

from babelscope.cache import write_atomically
from babelscope.errors import harmless
from babelscope.text_table import TextTable, wrapped

#: Columns of a pipe or file: nothing is folded or cut there.
UNBOUNDED = 100_000


class _Harmless(Console):
    """A console that cuts nothing, and on which data cannot move the cursor, set colours or reorder a line."""

    def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
        """Yield the segments, with what a terminal would act on written as escapes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)

    def print(self, *objects: Any, crop: bool = False, **options: Any) -> None:
        """Print, with lines longer than the terminal left to it."""
        super().print(*objects, crop=crop, **options)

    @property
    def options(self) -> ConsoleOptions:
        """How wide it is, among other things; in a pipe a line is as long as it needs to be."""
        return super().options if self.is_terminal else super().options.update(width=UNBOUNDED)


#: Seconds between two lines on progress where no terminal shows it.
SECONDS_A_LINE = 10

out = _Harmless()
err = _Harmless(stderr=True)
#: Progress and what is worth knowing on the way, which --quiet leaves out.
notes = _Harmless(stderr=True)


class Volume:
    """How much is printed."""

    quiet = False
    verbose = False

    def set(self, *, quiet: bool = False, verbose: bool = False) -> None:
        """Choose it, for one command."""
        self.quiet, self.verbose, notes.quiet = quiet, verbose, quiet


volume = Volume()


@contextmanager
def showing() -> Iterator[Any]:
    """Show progress, speed and time left: on a terminal as bars, elsewhere as a line a step and every few seconds."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bars_shown = notes.is_terminal and not volume.quiet
    with Progress(*columns, console=notes, transient=True, disable=not bars_shown) as bars:
        task = bars.add_task("starting", total=None)
        step, begun, first, printed = "", 0.0, 0, 0.0

        def tell(what: str, done: int, total: int) -> None:
            nonlocal step, begun, first, printed
            now = time.monotonic()
            if what != step:
                if step and volume.verbose:
                    note(f"{step}: {now - begun:.1f} s")
                bars.reset(task)
                step, begun, first, printed = what, now, done, now
                if not notes.is_terminal:
                    note(f"{what} …")
            elif not notes.is_terminal and now - printed >= SECONDS_A_LINE and done > first and total:
                speed = (done - first) / (now - begun)
                left = timedelta(seconds=round((total - done) / speed))
                note(f"{what}: {done} of {total}, {speed:.3g}/s, {left} left")
                printed = now
            bars.update(task, description=escape(what), completed=done, total=total or None)

        yield tell
        if step and volume.verbose:
            note(f"{step}: {time.monotonic() - begun:.1f} s")


class _Speed(ProgressColumn):
    """How much is done in a second."""

    def render(self, task: Task) -> Text:
        """Return the speed, as far as it is known."""
        return Text(f"{task.speed:.3g}/s" if task.speed else "", style="progress.data.speed")


def say(line: str, style: str | None = None) -> None:
    """Print a line as it is, however long."""
    out.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def say_text(text: str) -> None:
    """Print a sentence; a terminal gets it folded between words."""
    for line in wrapped(text, out.width if out.is_terminal else None):
        say(line)


def say_json(value: Any) -> None:
    """Print a value as JSON; what is no number is null."""
    typer.echo(_json(value))


def show(as_json: bool, value: Any, *readable: TextTable | str) -> None:
    """Print a value as JSON, or instead the tables and sentences that show it to a reader."""
    if as_json:
        say_json(value)
        return
    for item in readable:
        if isinstance(item, str):
            say_text(item)
        else:
            out.print(item)


def write_json(path: Path | None, value: Any) -> bool:
    """Write a value as JSON to a file, if one is named; return whether it went to the standard output instead."""
    if path == Path("-"):
        say_json(value)
        return True
    if path is not None:
        write_atomically(path, lambda file: file.write_text(_json(value) + "\n", encoding="utf-8"))
    return False


def write_csv(path: Path | None, table: Any) -> None:
    """Write a table to a CSV file, if one is named."""
    if path is not None:
        write_atomically(path, lambda file: table.to_csv(file, index=False))


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    """Return what JSON holds for a value: tables become rows, data classes mappings."""
    if hasattr(value, "item") and callable(value.item) and getattr(value, "ndim", 0) == 0:
        value = value.item()  # a scalar of NumPy
    if hasattr(value, "itertuples"):
        value = records(value)
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def records(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a DataFrame, by column."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def note(line: str) -> None:
    """Print a line on the error stream as it is, however long, unless the user wants quiet."""
    notes.print(line, markup=False, highlight=False, soft_wrap=True)


def fail(message: str, code: int) -> int:
    """Print what went wrong, and return the exit code."""
    err.print(f"babelscope: {message}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    return code


def warn_of_corpus(line: str) -> None:
    """Print a warning of the check of a corpus."""
    note(f"Corpus: {line}")


def say_left_out(meta: dict[str, Any]) -> None:
    """Print what a study left out of its corpus, and why."""
    from babelscope.report.terminal import left_out

    for line in left_out(meta["corpus"]):
        note(line)


def say_where(report: Path, seconds: float | None = None) -> None:
    """Print where a report is: that alone where the user wants quiet."""
    took = f" ({seconds:.0f} s)" if seconds is not None else ""
    say(str(report) if volume.quiet else f"Report{took}: {report}")
