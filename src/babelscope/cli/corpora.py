"""Commands on corpora: list, show, check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from babelscope.cli.completion import corpus_names, model_names
from babelscope.cli.console import out, records, show, showing, write_json
from babelscope.cli.program import DATA, AsJson, JsonFile, app, command
from babelscope.errors import UsageError
from babelscope.text_table import Column, TextTable

corpora_app = typer.Typer(invoke_without_command=True)
app.add_typer(corpora_app, name="corpora", rich_help_panel=DATA)


@corpora_app.callback(invoke_without_command=True)
def corpora(context: typer.Context, as_json: AsJson = False) -> None:
    """List the corpora, show one, or check one before a model is run on it.

    Example: babelscope corpora show asterisk
    """
    if context.invoked_subcommand:
        return
    from babelscope.corpora.sources import described

    rows = [{"name": name, "what": what} for name, what in described().items()]
    show(as_json, rows, TextTable(["name", Column("what", prose=True)], rows, "Corpora"))


@command(corpora_app, "show")
def corpora_show(
    name: Annotated[str, typer.Argument(help="A corpus.", autocompletion=corpus_names)],
    path: Annotated[Path | None, typer.Option("--path", help="The manifest, or a local copy.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a corpus: languages, texts, recordings, minutes, readers.

    Example: babelscope corpora show asterisk
    """
    from babelscope.corpora import load

    corpus = load(name, path=path)
    described = corpus.describe().reset_index().drop(columns="index", errors="ignore")
    rows = records(described)
    about = {
        "name": corpus.name,
        "title": corpus.title,
        "sentences": len(corpus.sentences),
        "languages": rows,
        "licence": corpus.licence,
        "attribution": corpus.attribution,
        "notes": corpus.notes,
        "problems": corpus.problems,
    }
    columns = [Column(key, text=_number, right=key != "language") for key in map(str, described.columns)]
    show(
        as_json,
        about,
        TextTable(columns, rows, f"{corpus.title}: {len(corpus.sentences)} sentences"),
        f"Licence: {corpus.licence or 'not stated'}. {corpus.attribution}".rstrip(),
        *(f"Note: {note}" for note in corpus.notes),
        *(
            f"{problem.severity.capitalize()}: {problem.message}{f' ({problem.remedy})' if problem.remedy else ''}"
            for problem in corpus.problems
        ),
    )


def _number(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


@command(corpora_app, "check")
def corpora_check(
    target: Annotated[
        str,
        typer.Argument(help="A manifest, a corpus's name, or a study's TOML file.", autocompletion=corpus_names),
    ],
    path: Annotated[Path | None, typer.Option("--path", help="Where a local copy of a named corpus is.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Check what this model takes.", autocompletion=model_names)
    ] = None,
    languages: Annotated[
        list[str] | None, typer.Option("--languages", "-l", help="Only this language; repeat for more.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="Of the corpus: KEY=VALUE, such as language=en; repeat."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Decode no recording.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Decode every recording, however many.")] = False,
    json_file: JsonFile = None,
    suggest_clusters: Annotated[
        Path | None, typer.Option("--suggest-clusters", help="Write a CSV file of sentences and clusters.")
    ] = None,
) -> None:
    """Check a corpus before a model is run on it: all problems, worst first; exit code 1 if a study cannot run.

    Example: babelscope corpora check my-sentences.csv --model whisper-base+e5-small
    """
    from babelscope.corpora.checks import DECODED, write_clusters
    from babelscope.corpora.checks.output import to_json, to_table
    from babelscope.key_values import parse_pairs
    from babelscope.study.corpus_check import check_target

    if quick and every:
        raise UsageError("--quick and --all: choose one of them")
    with showing() as tell:
        checked, corpus = check_target(
            target,
            path=path,
            languages=languages,
            model=model,
            options=parse_pairs(option or (), "--option", "language=en"),
            decoded=0 if quick else None if every else DECODED,
            progress=tell,
        )
    if suggest_clusters is not None and corpus is not None:
        write_clusters(suggest_clusters, corpus.sentences, checked.clusters, named=bool(corpus.clusters))
    if not write_json(json_file, to_json(checked)):
        out.print(to_table(checked))
    if not checked.can_run:
        raise typer.Exit(1)
