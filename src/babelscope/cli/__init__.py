"""The command line: parse, call, print. A file for each family of commands."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from babelscope.cli import corpora, fetching, models, results, search, stores, studies  # noqa: F401
from babelscope.cli.console import err, out, say_aside
from babelscope.cli.program import app
from babelscope.errors import BabelscopeError, RenamedWarning

#: Set to see the traceback of a defect.
DEBUG_VARIABLE = "BABELSCOPE_DEBUG"

#: What a shell reports of a program that was interrupted.
INTERRUPTED = 130
GO_ON = "stopped; run the same command again to go on from here"


def _fail(message: str, code: int) -> int:
    say_aside(f"babelscope: {message}", style="bold red")
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 for what went wrong on the way, 2 for what was asked wrongly.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; ``sys.argv`` if left out.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        with _renaming_told():
            code = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except BabelscopeError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(GO_ON, INTERRUPTED)
    except typer.Exit as leaving:
        return _fail(GO_ON, INTERRUPTED) if leaving.exit_code == INTERRUPTED else int(leaving.exit_code)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        code = getattr(error, "exit_code", None)
        if code is not None and hasattr(error, "format_message"):  # a usage error of the parser
            return _fail(" ".join(error.format_message().split()), int(code))
        told = " ".join(f"{type(error).__name__}: {error}".split())
        return _fail(f"a defect of babelscope itself: {told} (set {DEBUG_VARIABLE}=1 to see where)", 1)
    if code == INTERRUPTED:
        return _fail(GO_ON, INTERRUPTED)
    return int(code) if isinstance(code, int) else 0


@contextmanager
def _renaming_told() -> Iterator[None]:
    """Print what was read under an old name as one line each, and other warnings as Python does."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, RenamedWarning):
            say_aside(f"note: {message}")
        else:
            shown(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", RenamedWarning)
        warnings.showwarning = show
        yield


def entry() -> None:
    """Start from the shell."""
    sys.exit(main())


__all__ = ["app", "entry", "err", "main", "out"]
