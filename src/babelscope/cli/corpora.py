"""Commands on corpora: list, show, check."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from babelscope.cache import write_atomically
from babelscope.cli.console import out, showing
from babelscope.cli.program import app
from babelscope.errors import UsageError

corpora_app = typer.Typer(
    help="List the corpora, or show one.\n\nExample: babelscope corpora show asterisk", invoke_without_command=True
)
app.add_typer(corpora_app, name="corpora")


@corpora_app.callback(invoke_without_command=True)
def corpora(context: typer.Context) -> None:
    """List the corpora, or show one."""
    if context.invoked_subcommand:
        return
    from babelscope.corpora import sources

    table = Table(Column("name", no_wrap=True), "what", title="Corpora", title_justify="left")
    for name, reference in sources().items():
        about = importlib.import_module(reference.partition(":")[0]).__doc__ or ""
        table.add_row(name, escape(about.strip().split("\n")[0]))
    out.print(table)


@corpora_app.command("show")
def corpora_show(
    name: Annotated[str, typer.Argument(help="A corpus.")],
    path: Annotated[Path | None, typer.Option("--path", help="The manifest, or a local copy.")] = None,
) -> None:
    """Show a corpus: languages, texts, recordings, minutes, readers.

    Example: babelscope corpora show asterisk
    """
    from babelscope.corpora import load

    corpus = load(name, path=path)
    described = corpus.describe().reset_index()
    columns = [str(column) for column in described.columns if column != "index"]
    table = Table(*columns, title=f"{escape(corpus.title)}: {len(corpus.sentences)} sentences", title_justify="left")
    for _, row in described.iterrows():
        table.add_row(
            *(
                escape(f"{row[column]:.1f}" if isinstance(row[column], float) else str(row[column]))
                for column in columns
            )
        )
    out.print(table)
    out.print(escape(f"Licence: {corpus.licence}. {corpus.attribution}"), highlight=False)
    for note in corpus.notes:
        out.print(escape(f"Note: {note}"), highlight=False)
    for problem in corpus.problems:
        remedy = f" ({problem.remedy})" if problem.remedy else ""
        out.print(escape(f"{problem.severity.capitalize()}: {problem.message}{remedy}"), highlight=False)


@corpora_app.command("check")
def corpora_check(
    target: Annotated[str, typer.Argument(help="A manifest, a corpus's name, or a study's TOML file.")],
    path: Annotated[Path | None, typer.Option("--path", help="Where a local copy of a named corpus is.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Check what this model takes.")] = None,
    languages: Annotated[
        list[str] | None, typer.Option("--languages", "-l", help="Only this language; repeat for more.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="Of the corpus: KEY=VALUE, such as language=en; repeat."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Decode no recording.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Decode every recording, however many.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the check as JSON to this file; - writes only that, to stdout.")
    ] = None,
    suggest_clusters: Annotated[
        Path | None, typer.Option("--suggest-clusters", help="Write a CSV file of sentences and clusters.")
    ] = None,
) -> None:
    """Check a corpus before a model is run on it: all problems, worst first; exit code 1 if a study cannot run.

    Example: babelscope corpora check my-sentences.csv --model whisper-base+e5-small
    """
    from babelscope.corpora.checks import DECODED, write_clusters
    from babelscope.corpora.checks.output import to_json, to_table
    from babelscope.corpus_check import check_target, parse_options

    if quick and every:
        raise UsageError("--quick and --all: choose one of them")
    with showing() as tell:
        checked, corpus = check_target(
            target,
            path=path,
            languages=languages,
            model=model,
            options=parse_options(option or ()),
            decoded=0 if quick else None if every else DECODED,
            progress=tell,
        )
    if suggest_clusters is not None and corpus is not None:
        write_clusters(suggest_clusters, corpus.sentences, checked.clusters)
    text = json.dumps(to_json(checked), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    if json_file == Path("-"):
        typer.echo(text, nl=False)
    else:
        out.print(to_table(checked))
        if json_file is not None:
            write_atomically(json_file, lambda file: file.write_text(text, encoding="utf-8"))
    if not checked.can_run:
        raise typer.Exit(1)
