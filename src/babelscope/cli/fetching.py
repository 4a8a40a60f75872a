"""The command that brings data and weights."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from babelscope.cli.console import out, say
from babelscope.cli.program import app


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="What to fetch; nothing lists what there is.")] = None,
) -> None:
    """Get data and weights into the cache folder, verified; offline afterwards.

    Example: babelscope fetch asterisk whisper-base e5-small
    """
    from babelscope.cache import cache_folder
    from babelscope.fetch import ASSETS, is_fetched
    from babelscope.fetch import fetch as get

    if names:
        get(names)
        say(f"In {cache_folder()}: {', '.join(names)}")
        return
    table = Table(title="Assets", title_justify="left")
    for column in ("name", "what", "MB", "licence", "here"):
        table.add_column(column, overflow="fold")
    for asset in ASSETS.values():
        table.add_row(
            asset.name,
            escape(asset.what),
            f"{asset.size / 1e6:.0f}",
            escape(asset.licence),
            "yes" if is_fetched(asset.name) else "no",
        )
    out.print(table)
