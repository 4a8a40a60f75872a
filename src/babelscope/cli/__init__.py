"""The command line: parse, call, print. A file for each family of commands."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from babelscope.cli import corpora, fetching, measures, models, results, runs, search, stores, studies  # noqa: F401
from babelscope.cli.console import fail, note, out, volume
from babelscope.cli.program import PANELS, app, with_standard_output
from babelscope.errors import BabelscopeError, RenamedWarning

app.registered_commands.sort(key=lambda registered: PANELS.index(str(registered.rich_help_panel)))

#: Set to see the traceback of an internal error.
DEBUG_VARIABLE = "BABELSCOPE_DEBUG"

#: What a shell reports of a program that was interrupted.
INTERRUPTED = 130
GO_ON = "stopped; run the same command again to resume from here"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 for what went wrong on the way, 2 for what was asked wrongly.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; ``sys.argv`` if left out.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    volume.set()
    try:
        with _old_names_noted():
            code = app(
                args=with_standard_output(sys.argv[1:] if arguments is None else arguments), standalone_mode=False
            )
    except BabelscopeError as error:
        return fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return fail(GO_ON, INTERRUPTED)
    except typer.Exit as leaving:
        return fail(GO_ON, INTERRUPTED) if leaving.exit_code == INTERRUPTED else int(leaving.exit_code)
    except BrokenPipeError:  # whoever reads the output has seen enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE) or volume.verbose:
            raise
        code = getattr(error, "exit_code", None)
        if code is not None and hasattr(error, "format_message"):  # a usage error of the parser
            return fail(" ".join(error.format_message().split()), int(code))
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        return fail(
            f"internal error, a bug or a damaged store ({cause}): check the store with 'babelscope verify', or run "
            f"again with {DEBUG_VARIABLE}=1 to see where",
            1,
        )
    if code == INTERRUPTED:
        return fail(GO_ON, INTERRUPTED)
    return int(code) if isinstance(code, int) else 0


@contextmanager
def _old_names_noted() -> Iterator[None]:
    """Print what was read under an old name as one line each, and other warnings as Python does."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, RenamedWarning):
            note(f"note: {message}")
        else:
            shown(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", RenamedWarning)
        warnings.showwarning = show
        yield


def entry() -> None:
    """Start from the shell."""
    sys.unraisablehook = interrupt_again
    sys.exit(main())


def interrupt_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Interrupt the program once more where Python dropped a Ctrl-C, since an object was being deleted just then."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        timer = threading.Timer(0.05, _interrupt)  # a moment later, when the deletion is over
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(unraisable)


def _interrupt() -> None:
    """Send Ctrl-C to the main thread, which may be waiting for others."""
    if os.name == "posix":
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


__all__ = ["app", "entry", "main", "out"]
