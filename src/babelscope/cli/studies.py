"""Commands that take a study: demo, run, encode."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from babelscope.cli.console import notice, out, say, say_left_out, say_where, showing
from babelscope.cli.program import app
from babelscope.errors import UsageError

#: The studies of the demonstration, by their number of languages.
DEMOS: dict[int, str] = {5: "demo", 9: "demo-nine"}


@app.command()
def demo(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the results.")] = None,
    languages: Annotated[
        int, typer.Option("--languages", help="5: telephone prompts; 9: names of drawing stamps.")
    ] = 5,
    full: Annotated[bool, typer.Option("--full", help="All sentences that were held out of the training.")] = False,
    sentences: Annotated[int | None, typer.Option("--sentences", "-n", min=8, help="How many sentences.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other results in the folder.")] = False,
) -> None:
    """Look inside pocket, a small joint model of speech and text, on real recordings in five or nine languages.

    Fetches what is missing (about 300 MB, once), encodes sentences that were held out of the model's training, as text
    and as recordings, compares them at every layer, and writes a report. Beside it stand two controls: the same model
    with an untrained length adapter, and a linear map in place of all that is shared.

    Example: babelscope demo --languages 9
    """
    from babelscope.fetch import fetch
    from babelscope.models import assets_of
    from babelscope.study import Study

    if languages not in DEMOS:
        raise UsageError(f"--languages {languages}: choose {' or '.join(str(number) for number in DEMOS)}")
    study = Study.preset(DEMOS[languages])
    chosen: dict[str, Any] = {"n": sentences or (None if full else study.corpus.n)}
    if full:
        chosen["max_seconds"] = None
    study = study.model_copy(
        update={"corpus": study.corpus.model_copy(update=chosen), "output": output or study.output}
    )
    fetch([study.corpus.source, *assets_of(study.model.name)])
    _run(study, overwrite)


@app.command()
def run(
    study: Annotated[
        str,
        typer.Argument(
            help="The study's TOML file, or the name of one that comes along: demo, demo-nine, towers, paper."
        ),
    ],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Another model than the study names.")] = None,
    weights: Annotated[str | None, typer.Option("--weights", help="A local folder or hub id of that model.")] = None,
    corpus_path: Annotated[
        Path | None, typer.Option("--corpus-path", help="Where a local copy of the corpus is.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Another folder for the results.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it takes: memory, disk, hours here.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another study's activations; what is the same is taken over.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out sentences that cannot be encoded, and list them.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="How many prepare recordings ahead of the model.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="local: this process; ray: the machines of a Ray cluster.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Of the Ray cluster to join; this machine alone if left out.")
    ] = None,
    replicas: Annotated[
        int | None, typer.Option("--replicas", min=1, help="How many copies of the model a Ray cluster runs.")
    ] = None,
) -> None:
    """Run a study from its corpus to its report. Stopped at any moment, it goes on from there when run again.

    Example: babelscope run study.toml

    Example: babelscope run paper --model sonar --dry-run
    """
    from babelscope.study import Study, presets

    chosen = Study.preset(study) if study in presets() and not Path(study).exists() else Study.load(study)
    chosen = chosen.changed(
        model=model,
        weights=weights,
        corpus_path=corpus_path,
        output=output,
        skip_bad=skip_bad,
        workers=workers,
        engine=engine,
        replicas=replicas,
    )
    if not dry_run:
        _run(chosen, overwrite, address)
        return
    from babelscope.forecast import forecast

    table = Table(show_header=False, title=f"What {escape(chosen.name)} takes", title_justify="left")
    expected = forecast(chosen)
    for label, value in expected.rows():
        table.add_row(label, escape(value))
    out.print(table)
    for line in expected.warnings:
        notice(line)


def _run(study: Any, overwrite: bool, address: str | None = None) -> None:
    from babelscope.report.terminal import verdict_lines
    from babelscope.report.verdict import first_screen
    from babelscope.study import run as run_study

    with showing() as tell:
        outcome = run_study(
            study,
            overwrite=overwrite,
            progress=tell,
            command=shlex.join(["babelscope", *sys.argv[1:]]),
            address=address,
            notice=notice,
        )
    for line in verdict_lines(first_screen(outcome.result)):
        out.print(line, highlight=False, soft_wrap=not out.is_terminal)
    say_left_out(outcome.result.meta)
    say_where(outcome.report, outcome.seconds)


@app.command()
def encode(
    study: Annotated[Path, typer.Argument(help="The study's TOML file; its tables corpus and model are used.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another study's activations; what is the same is taken over.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out sentences that cannot be encoded, and list them.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="How many prepare recordings ahead of the model.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="local: this process; ray: the machines of a Ray cluster.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Of the Ray cluster to join; this machine alone if left out.")
    ] = None,
    replicas: Annotated[
        int | None, typer.Option("--replicas", min=1, help="How many copies of the model a Ray cluster runs.")
    ] = None,
) -> None:
    """Run only the first half of a study: the activations, into activations.zarr in its output folder.

    Example: babelscope encode study.toml
    """
    from babelscope.capture import encode as encode_corpus
    from babelscope.corpora.checks.output import in_short
    from babelscope.engines import open_engine
    from babelscope.study import Study, check_start, checked_corpus, encode_seconds, store_of, summon_on

    chosen = Study.load(study).changed(skip_bad=skip_bad, workers=workers, engine=engine, replicas=replicas)
    planned = check_start(chosen, compared=False)
    with (
        showing() as tell,
        open_engine(chosen.engine, address=address, replicas=chosen.replicas, tell=tell) as runs,
    ):
        corpus, checked = checked_corpus(chosen, planned, tell, compared=False)
        for line in in_short(checked):
            notice(line)
        model = summon_on(runs, chosen)
        activations = encode_corpus(
            model,
            corpus,
            store_of(chosen),
            **chosen.model.how(),
            store_dtype=chosen.model.store_dtype,
            skip_bad=chosen.skip_bad,
            overwrite=overwrite,
            progress=tell,
            engine=runs,
        )
        encode_seconds(model, chosen, corpus, overwrite, tell, runs)
    say(repr(activations))
    say_left_out(activations.meta)
    say(f"Activations: {activations.path}")
