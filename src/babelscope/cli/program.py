"""The program: what every command hangs on, and the options that all of them take."""

from __future__ import annotations

import functools
import inspect
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version as version_of
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from babelscope.cache import cache_folder
from babelscope.cli.console import note, out, say, volume
from babelscope.errors import UsageError

app = typer.Typer(
    name="babelscope",
    help="See, layer by layer, where speech and text meet inside multilingual models, and for which languages not.",
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: Headings of the help.
PANELS = STUDIES, STORES, RESULTS, DATA = "Studies", "Activations", "Results", "Corpora, models, measures"

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to the standard output.")]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="Write JSON to this file; without a file, or with -, to the standard output instead."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes; of a report only where it is.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Versions, what each step takes, tracebacks of internal errors.")
]

F = TypeVar("F", bound=Callable[..., Any])


def command(group: typer.Typer = app, name: str | None = None, *, panel: str | None = None) -> Callable[[F], F]:
    """Make a function a command, which takes --quiet and --verbose as well (decorator)."""

    def register(function: F) -> F:
        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in inspect.signature(function).parameters.values()
        ]
        more = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
            for key, kind in (("quiet", Quiet), ("verbose", Verbose))
        ]

        @functools.wraps(function)
        def run(*, quiet: bool, verbose: bool, **given: Any) -> Any:
            be(quiet, verbose)
            return function(**given)

        run.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *more)}
        group.command(name, rich_help_panel=panel)(run)
        return function

    return register


def be(quiet: bool, verbose: bool) -> None:
    """Be as loud as the user wants, here or before the command's name.

    Raises
    ------
    UsageError
        If both are asked for.
    """
    if (quiet or volume.quiet) and (verbose or volume.verbose):
        raise UsageError("--quiet and --verbose: choose one of them")
    if quiet:
        volume.set(quiet=True)
    if verbose:
        volume.set(verbose=True)
        versions = ", ".join(f"{package} {version_of(package)}" for package in ("babelscope", "torch", "transformers"))
        note(f"{versions}, Python {platform.python_version()}; cache folder {cache_folder()}")


#: Commands whose --json takes a file.
_JSON_FILE = (["corpora", "check"], ["models", "verify"])


def with_standard_output(arguments: Sequence[str]) -> list[str]:
    """Return what was typed, with a dash behind a --json that may have a file and has none."""
    words = [word for word in arguments if not word.startswith("-")]
    full: list[str] = []
    for word, following in zip_longest(arguments, arguments[1:], fillvalue="--"):
        bare = word == "--json" and following.startswith("-") and following != "-"
        full += [word, "-"] if bare and words[:2] in _JSON_FILE else [word]
    return full


def print_help(context: typer.Context) -> None:
    """Print what a group of commands has, where none is named."""
    out.print(context.get_help(), markup=False, highlight=False)


def _say_version(asked: bool) -> None:
    if asked:
        say(f"babelscope {version_of('babelscope')}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_say_version, is_eager=True)
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """See, layer by layer, where speech and text meet inside multilingual models, and for which languages not."""
    be(quiet, verbose)
    if context.invoked_subcommand is None:
        print_help(context)
