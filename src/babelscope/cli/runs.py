"""Commands on many results: leaderboard, view."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from babelscope.cli.console import note, say, show
from babelscope.cli.program import RESULTS, AsJson, command
from babelscope.text_table import Column, TextTable


@command(panel=RESULTS)
def leaderboard(
    results: Annotated[list[Path], typer.Argument(help="Folders of results, or folders above them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the page and the Parquet files.")] = Path(
        "leaderboard"
    ),
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", "-k", help="Such as modality_similarity; repeat for more; three kinds if left out."),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option("--measure", "-m", help="Repeat for more; retrieval if left out, where all results have it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare models: scores by language, with paired tests between models on the same sentences.

    Example: babelscope leaderboard results/first results/second
    """
    from babelscope.errors import DataError
    from babelscope.gaps import Result
    from babelscope.gaps.leaderboard import SHOWN, standing
    from babelscope.gaps.leaderboard import leaderboard as compared
    from babelscope.report.leaderboard import terminal, write
    from babelscope.study.runs import places_below

    loaded: dict[str, Result] = {}
    for folder in results:
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}")
        alone = (folder / "result.json").is_file()
        for place in [folder] if alone else list(places_below(folder)):
            try:
                loaded[str(place)] = standing(Result.load(place))
            except DataError as error:
                note(f"left out: {error}")
    if not loaded:
        raise DataError(f"no result can be read in {', '.join(map(str, results))}: 'babelscope run' writes them")
    board = compared(loaded, kinds=kind or SHOWN, measures=measure or ())
    page = write(board, output)
    show(as_json, {**vars(board), "page": page}, *terminal(board))
    if not as_json:
        for line in board.notes:
            note(line)
        say(f"Leaderboard: {page}")


@command(panel=RESULTS)
def view(
    folder: Annotated[Path, typer.Argument(help="A folder of results, or one above several.")],
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Whether to open the report of one run.")] = True,
    as_json: AsJson = False,
) -> None:
    """List the runs below a folder; open the report where there is one run, or where the folder is one itself.

    Example: babelscope view results
    """
    from babelscope.study.runs import runs_below

    runs = runs_below(folder)
    rows = [
        {
            "folder": str(run.folder.relative_to(folder)) if run.folder != folder else str(folder),
            "state": run.state,
            "model": run.model,
            "corpus": run.corpus,
            "n": run.n or "",
            "date": run.created[:10],
            "languages": " ".join(run.languages),
            "first number": run.headline or run.why,
        }
        for run in runs
    ]
    prose = [Column(name, prose=True) for name in ("languages", "first number")]
    table = TextTable(["folder", "state", "model", "corpus", Column("n", right=True), "date", *prose], rows)
    show(as_json, [run.record() for run in runs], table)
    chosen = runs[0] if runs[0].folder == folder or len(runs) == 1 else None
    if as_json:
        return
    if chosen is None:
        say(f"Open one: babelscope view {next((run.folder for run in runs if run.report), runs[0].folder)}")
    elif chosen.report is None:
        say(f"No report yet: babelscope report {chosen.folder}")
    else:
        if browse and _has_browser():
            webbrowser.open(chosen.report.resolve().as_uri())
        say(f"Report: {chosen.report}")


def _has_browser() -> bool:
    """Whether there is a screen for a browser: one in a terminal could not show a report."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
