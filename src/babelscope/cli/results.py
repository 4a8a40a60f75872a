"""Commands that take a result: report, relate, check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from babelscope.cli.console import note, say, say_where, show, write_csv
from babelscope.cli.program import RESULTS, AsJson, command
from babelscope.errors import UsageError


@command(panel=RESULTS)
def report(
    folder: Annotated[Path, typer.Argument(help="Folder with result.json and scores.parquet.")],
    form: Annotated[
        str, typer.Option("--format", "-f", help="html, md, or pdf (printed by Chromium, where there is one).")
    ] = "html",
    embed_audio: Annotated[
        bool, typer.Option("--embed-audio", help="Carry recordings in the page: where their licence allows it.")
    ] = False,
    corpus_path: Annotated[
        Path | None, typer.Option("--corpus-path", help="Where the corpus is, for --embed-audio (a manifest's file).")
    ] = None,
) -> None:
    """Write the report and its figures from scores.

    Example: babelscope report results/first --format pdf
    """
    from babelscope.errors import did_you_mean
    from babelscope.gaps import Result
    from babelscope.report import print_pdf, write_markdown, write_report

    if form not in ("html", "md", "pdf"):
        raise UsageError(f"--format: {form!r} is unknown; {did_you_mean(form, ('html', 'md', 'pdf'))}")
    result = Result.load(folder)
    if form == "md":
        say_where(write_markdown(result, folder))
        return
    page = write_report(result, folder, heard=_heard(result, folder, corpus_path) if embed_audio else ())
    say_where(print_pdf(page, folder / "report.pdf") if form == "pdf" else page)


@command(panel=RESULTS)
def push(
    folder: Annotated[Path, typer.Argument(help="Folder with result.json and scores.parquet.")],
    repository: Annotated[str, typer.Argument(help="Of the data set on the hub: owner/name; made if there is none.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new one private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the card, and list what would be pushed.")] = False,
) -> None:
    """Publish a result on the Hugging Face hub: scores, tables, report, a card, and metadata for a model's card.

    Recordings and activations are not pushed. HF_TOKEN is the account's; babelscope.open_result reads it again.

    Example: babelscope push results/first owner/first-study
    """
    from babelscope.publishing import contents, push_result

    if dry_run:
        pushed = contents(folder, repository)
        say(pushed["README.md"].decode())
        for name, content in pushed.items():
            say(f"{name}: {len(content) / 1e3:.1f} kB")
        return
    say(f"Pushed: {push_result(folder, repository, private=private)}")


@command(panel=RESULTS)
def track(
    folder: Annotated[Path, typer.Argument(help="Folder with result.json and scores.parquet.")],
    to: Annotated[list[str], typer.Option("--to", help="wandb, tensorboard or mlflow; repeat for more.")],
    project: Annotated[
        str, typer.Option("--project", help="The project in Weights & Biases, the experiment in MLflow.")
    ] = "babelscope",
) -> None:
    """Log a result to trackers: provenance, curves along the model, headline numbers, report and tables.

    Each is found and signed in to as its own programs do it, by WANDB_API_KEY or MLFLOW_TRACKING_URI for example.

    Example: babelscope track results/first --to tensorboard
    """
    from babelscope.tracking import options_for
    from babelscope.tracking import track as track_result

    outcomes = track_result(folder, options_for(to, project))
    for outcome in outcomes:
        (note if outcome.error else say)(str(outcome))
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def _heard(result: Any, folder: Path, corpus_path: Path | None) -> Any:
    """Read the recordings of a study, if its corpus is still the same."""
    from babelscope import corpora
    from babelscope.capture import Activations
    from babelscope.errors import DataError
    from babelscope.report import embed
    from babelscope.study.paths import store_beside

    about = result.meta["corpus"]
    known = about["name"] in corpora.sources()
    if not known and corpus_path is None:
        raise UsageError(f"--embed-audio: give the place of the corpus {about['name']!r} with --corpus-path")
    source = about["name"] if known else "manifest"
    # As much as can be read is: whether that is what the study heard, the fingerprint says.
    options = {"languages": about["languages"], "skip_bad": True, "allow_short": True}
    activations = Activations(store_beside(result, folder))
    sentences, drawn = activations.sentences, {*activations.sentences, *(cell.sentence for cell in activations.skipped)}
    taken = {name: value for name, value in options.items() if corpora.takes(source, name)}
    corpus = corpora.load(source, path=corpus_path, **taken)
    ids = [sentence for sentence in corpus.sentences if sentence in drawn]
    corpus = corpus.select(languages=about["languages"], ids=ids)
    if corpus.fingerprint(skip_bad=True) != about["fingerprint"]:
        raise DataError(
            f"--embed-audio: the corpus {about['name']!r} is not the one of the study (its fingerprint differs): give "
            "that one with --corpus-path, or run the study again"
        )
    return embed(
        (corpus.text(sentence, language) or "", corpus.recordings(sentence, language)[0])
        for sentence in sentences
        for language in about["languages"]
        if corpus.recordings(sentence, language)
    )


@command(panel=RESULTS)
def relate(
    result: Annotated[Path, typer.Argument(help="Folder with result.json and scores.parquet.")],
    tasks: Annotated[
        Path | None,
        typer.Argument(
            help="CSV, TSV or Parquet: a column 'language', and columns of numbers; the tasks that the study scored "
            "itself ([tasks] in its file) if left out."
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--given", help="A column of TASKS to regress out, such as hours or family; repeat for more."),
    ] = None,
    draws: Annotated[int, typer.Option("--permutations", min=19, help="Of the languages.")] = 9_999,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A CSV file for every point.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of every draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Correlate similarity with accuracy in tasks over languages.

    Example: babelscope relate results/first accuracies.csv --given hours
    """
    from babelscope.gaps import Result
    from babelscope.gaps.own_tasks import own_tasks
    from babelscope.gaps.tasks import read_tasks
    from babelscope.gaps.tasks import relate as related
    from babelscope.report.terminal import relations_table

    loaded = Result.load(result)
    if tasks is None and "tasks" not in loaded.tables:
        raise UsageError(f"{result} has no tasks of its own: name a table of tasks, or run the study with [tasks]")
    table = own_tasks(loaded.tables["tasks"]) if tasks is None else read_tasks(tasks)
    relations = related(loaded.scores, table, given=given or (), draws=draws, seed=seed)
    write_csv(output, relations)
    show(as_json, relations, relations_table(relations, given or ()))
    if output is not None and not as_json:
        say(f"All points: {output}")


@command(panel=RESULTS)
def check(
    result: Annotated[Path, typer.Argument(help="Folder with result.json and scores.parquet.")],
    at_most: Annotated[
        list[str] | None, typer.Option("--max", help="RULE=NUMBER, such as modality_gap=0.4; repeat for more.")
    ] = None,
    at_least: Annotated[
        list[str] | None, typer.Option("--min", help="RULE=NUMBER, such as retrieval.speech.swh=0.8; repeat for more.")
    ] = None,
    required: Annotated[
        list[str] | None,
        typer.Option("--require", help="FINDING=VERDICT, such as finding.convergence=holds; repeat for more."),
    ] = None,
    no_worse_than: Annotated[
        Path | None, typer.Option("--no-worse-than", help="Folder of an earlier result of the same sentences.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option("--tolerance", min=0, help="How much worse than it is always allowed.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="A TOML file of rules, besides those given here.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="A file for the outcome as JUnit XML.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a result against thresholds and an earlier result: one line a rule; exit code 1 if one fails.

    Example: babelscope check results/new --max modality_gap=0.4 --no-worse-than results/old --junit gaps.xml
    """
    from babelscope.check import Rules, parse_bound, parse_required, write_junit
    from babelscope.check import check as check_rules
    from babelscope.gaps import Result

    asked = Rules.load(rules) if rules is not None else Rules()
    given = [parse_bound(text, "max") for text in at_most or ()] + [parse_bound(text, "min") for text in at_least or ()]
    verdicts_asked = [parse_required(text) for text in required or ()]
    verdicts = check_rules(Result.load(result), asked.changed(given, no_worse_than, tolerance, verdicts_asked))
    show(as_json, verdicts)
    for verdict in () if as_json else verdicts:
        say(verdict.line, style=None if verdict.passed else "bold red")
    if junit is not None:
        write_junit(verdicts, junit)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)
