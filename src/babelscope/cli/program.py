"""The program: what every command hangs on, and the options of all of them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from babelscope.cli.console import say

app = typer.Typer(
    name="babelscope",
    help="See, layer by layer, where speech and text meet inside multilingual models, and for which languages not.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(asked: bool) -> None:
    if asked:
        say(f"babelscope {version('babelscope')}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """See, layer by layer, where speech and text meet inside multilingual models, and for which languages not."""
    if context.invoked_subcommand is None:
        say(context.get_help())
