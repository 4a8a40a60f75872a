"""The command line: parse, call, print."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from babelscope.cache import write_atomically
from babelscope.errors import BabelscopeError, RenamedWarning, UsageError, harmless

#: Set to see the traceback of a defect.
DEBUG_VARIABLE = "BABELSCOPE_DEBUG"

#: What a shell reports of a program that was interrupted.
INTERRUPTED = 130
GO_ON = "stopped; run the same command again to go on from here"


class _Harmless(Console):
    """A console on which data cannot move the cursor, set colours or reorder a line."""

    def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
        """Yield the segments, with what a terminal would act on written as escapes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


#: Seconds between two lines on progress where no terminal shows it.
SECONDS_A_LINE = 30

out = _Harmless()
err = _Harmless(stderr=True)

app = typer.Typer(
    name="babelscope",
    help="See, layer by layer, where speech and text meet inside multilingual models, and for which languages not.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
corpora_app = typer.Typer(
    help="List the corpora, or show one.\n\nExample: babelscope corpora show asterisk", invoke_without_command=True
)
models_app = typer.Typer(
    help="List the models, or show one with its points.\n\nExample: babelscope models show whisper-base+e5-small",
    invoke_without_command=True,
)
search_app = typer.Typer(
    help='Find sentences by meaning, text or speech.\n\nExample: babelscope search query "good day" --index my-index',
    invoke_without_command=True,
)
app.add_typer(corpora_app, name="corpora")
app.add_typer(models_app, name="models")
app.add_typer(search_app, name="search")

#: The studies of the demonstration, by their number of languages.
DEMOS: dict[int, str] = {5: "demo", 9: "demo-nine"}


@contextmanager
def _showing() -> Iterator[Any]:
    """Show progress, speed and time left: on a terminal as bars, elsewhere as a line a step and twice a minute."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        task = bars.add_task("starting", total=None)
        step, begun, first, printed = "", 0.0, 0, 0.0

        def tell(what: str, done: int, total: int) -> None:
            nonlocal step, begun, first, printed
            now = time.monotonic()
            if what != step:
                bars.reset(task)
                step, begun, first, printed = what, now, done, now
                if not err.is_terminal:
                    err.print(f"{what} …", markup=False, highlight=False)
            elif not err.is_terminal and now - printed >= SECONDS_A_LINE and done > first and total:
                speed = (done - first) / (now - begun)
                left = timedelta(seconds=round((total - done) / speed))
                err.print(f"{what}: {done} of {total}, {speed:.3g}/s, {left} left", markup=False, highlight=False)
                printed = now
            bars.update(task, description=escape(what), completed=done, total=total or None)

        yield tell


class _Speed(ProgressColumn):
    """How much is done in a second."""

    def render(self, task: Task) -> Text:
        """Return the speed, as far as it is known."""
        return Text(f"{task.speed:.3g}/s" if task.speed else "", style="progress.data.speed")


def _say_version(asked: bool) -> None:
    if asked:
        out.print(f"babelscope {version('babelscope')}", markup=False, highlight=False)
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
        out.print(context.get_help(), markup=False, highlight=False)


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
        _notice(line)


def _run(study: Any, overwrite: bool, address: str | None = None) -> None:
    from babelscope.report.terminal import summary_table
    from babelscope.study import run as run_study

    with _showing() as tell:
        outcome = run_study(
            study,
            overwrite=overwrite,
            progress=tell,
            command=shlex.join(["babelscope", *sys.argv[1:]]),
            address=address,
            notice=_notice,
        )
    out.print(summary_table(outcome.result))
    for sentence in outcome.result.meta["headline"]:
        out.print(escape(sentence), highlight=False)
    _say_left_out(outcome.result.meta)
    _say_where(outcome.report, outcome.seconds)


def _notice(line: str) -> None:
    err.print(f"Corpus: {line}", markup=False, highlight=False, soft_wrap=True)


def _say_left_out(meta: dict[str, Any]) -> None:
    from babelscope.report.terminal import left_out

    for line in left_out(meta["corpus"]):
        err.print(line, markup=False, highlight=False, soft_wrap=True)


def _say_where(report: Path, seconds: float | None = None) -> None:
    took = f" ({seconds:.0f} s)" if seconds is not None else ""
    out.print(f"Report{took}: {report}", markup=False, highlight=False, soft_wrap=True)


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
        out.print(f"In {cache_folder()}: {', '.join(names)}", markup=False, highlight=False, soft_wrap=True)
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
    with _showing() as tell:
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


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the models, show one with its points, or check one against its own forward pass."""
    if not context.invoked_subcommand:
        models_list()


@models_app.command("list")
def models_list(
    as_json: Annotated[bool, typer.Option("--json", help="Write the list as JSON to stdout.")] = False,
) -> None:
    """List the models that have a name, by kind, with licence and size. Any other model of the hub is hf:owner/name.

    Example: babelscope models list --json
    """
    from babelscope.models.listing import listed, to_json

    rows = listed()
    if as_json:
        typer.echo(json.dumps(to_json(rows), ensure_ascii=False, indent=2))
        return
    for title, group in rows.items():
        table = Table(
            Column("name", no_wrap=True),
            Column("size", justify="right"),
            "languages",
            "what",
            "licence",
            title=title,
            title_justify="left",
        )
        for row in group:
            table.add_row(row.name, row.size, *(escape(cell) for cell in (row.languages, row.summary, row.licence)))
        out.print(table)
    for line in (
        "Size: parameters of the whole checkpoint, as published. Any other model: hf:owner/name or hf:./folder.",
        "A pair SPEECH+TEXT takes the speech side of one and the text side of another, such as whisper-base+e5-small.",
    ):
        out.print(line, markup=False, highlight=False)


@models_app.command("show")
def models_show(
    name: Annotated[str, typer.Argument(help="A model, hf:owner/name, hf:./folder, or speech+text for a pair.")],
) -> None:
    """Show a model's points in order, with stage, depth, width and length formula, and its memory in each dtype.

    Example: babelscope models show whisper-base+e5-small
    """
    from babelscope.models import assets_of
    from babelscope.models.planning import plan

    planned = plan(name)
    model = planned.model
    point = Column("point", no_wrap=True)
    table = Table(
        point, "stage", "depth", "width", "positions", "module", title=escape(model.name), title_justify="left"
    )
    for row in model.describe():
        cells = (
            row["name"],
            row["stage"],
            f"{row['depth']:.2f}",
            str(row["width"]),
            row["formula"],
            row["module"] or "-",
        )
        table.add_row(*(escape(cell) for cell in cells))
    out.print(table)
    lines = [
        f"{modality}: {side.family}, {side.parameters / 1e6:.1f} M parameters, lengths in {side.unit}"
        for modality, side in model.sides.items()
    ]
    memory = ", ".join(f"{size / 1e6:.0f} MB in {dtype}" for dtype, size in planned.memory.items())
    lines.append(f"in all: {planned.parameters / 1e6:.1f} M parameters; {memory}")
    lines += [f"weights: {one.file} from {one.source}, sha256 {one.sha256}" for one in model.weights]
    lines += planned.sources
    if not planned.from_weights and not planned.sources:
        lines.append("weights: none were read; this is the released configuration")
    if not planned.from_weights:
        lines += [line for asset in assets_of(name) for line in _about_asset(asset)]
    lines += [f"licence: {model.licence or 'not said'}", *(f"note: {note}" for note in model.notes)]
    for line in lines:
        out.print(line, markup=False, highlight=False)


@models_app.command("verify")
def models_verify(
    name: Annotated[str, typer.Argument(help="A model, or speech+text for a pair.")],
    weights: Annotated[
        list[str] | None,
        typer.Option("--weights", help="A local folder or hub id; of a pair PART=FOLDER, repeat for both."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float16.")] = "float32",
    language: Annotated[str, typer.Option("--language", "-l", help="A language that the model takes.")] = "en",
    option: Annotated[
        list[str] | None, typer.Option("--option", help="Of the model: KEY=VALUE, such as batch=alone; repeat.")
    ] = None,
    window: Annotated[
        float | None, typer.Option("--window", help="Seconds that a model with a fixed window hears.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Try every residue of the lengths modulo the strides.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every row as JSON to this file; - writes only that, to stdout.")
    ] = None,
) -> None:
    """Check that a model is what it says, on synthetic texts and noise; exit code 1 if something does not hold.

    Example: babelscope models verify whisper-base+e5-small

    Example: babelscope models verify e5-small --json verified.json
    """
    from babelscope.corpus_check import parse_options
    from babelscope.models import load
    from babelscope.models.verification import verify as verify_model
    from babelscope.models.verification.table import to_table

    with _showing() as tell:
        tell("loading", 0, 0)
        model = load(
            name,
            weights=_weights_of(weights or ()),
            device=device,
            dtype=dtype,
            window_seconds=window,
            options=parse_options(option or ()),
        )
        verification = verify_model(
            model,
            language=language,
            full=full,
            progress=lambda check, done, total: tell("verifying", done, total),
        )
    text = json.dumps(verification.to_json(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    if json_file == Path("-"):
        typer.echo(text, nl=False)
    else:
        out.print(to_table(verification))
        if json_file is not None:
            write_atomically(json_file, lambda file: file.write_text(text, encoding="utf-8"))
    if not verification.holds:
        raise typer.Exit(1)


def _weights_of(given: Sequence[str]) -> str | dict[str, str] | None:
    """Return weights as :func:`babelscope.models.load` takes them: one source, or one for each part of a pair.

    Raises
    ------
    UsageError
        If several are given, and one does not say for which part.
    """
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    for text in given:
        if "=" not in text:
            raise UsageError(f"--weights {text}: of a pair write PART=FOLDER, such as whisper-base=./folder")
    return {part: source for part, _, source in (text.partition("=") for text in given)} or None


def _about_asset(name: str) -> list[str]:
    from babelscope.fetch import asset_record, is_fetched

    if not is_fetched(name):
        return [f"weights: {name} is not here yet: babelscope fetch {name}"]
    return [f"weights: {file} of {name}, sha256 {told}" for file, told in asset_record(name)["files"].items()]


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
        _showing() as tell,
        open_engine(chosen.engine, address=address, replicas=chosen.replicas, tell=tell) as runs,
    ):
        corpus, checked = checked_corpus(chosen, planned, tell, compared=False)
        for line in in_short(checked):
            _notice(line)
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
    out.print(repr(activations), markup=False, highlight=False)
    _say_left_out(activations.meta)
    out.print(f"Activations: {activations.path}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def compare(
    store: Annotated[str, typer.Argument(help="Activations, from babelscope encode: a folder or URL.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the scores; the store's own if left out.")
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option("--measure", "-m", help="A measure, such as svcca(variance=0.9); repeat for more."),
    ] = None,
    permutations: Annotated[
        int, typer.Option("--permutations", min=19, help="Of the sentences at most, where a null has no closed form.")
    ] = 2000,
    intervals: Annotated[
        list[str] | None,
        typer.Option(
            "--intervals",
            help="A measure to give intervals for, such as svcca; repeat for more; 'none' for no intervals.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="Where pairs are computed: cpu, or a device of torch such as cuda.")
    ] = "cpu",
    match: Annotated[
        str, typer.Option("--match", help="output, depth or all: which text point a speech point is compared with.")
    ] = "output",
    clusters: Annotated[
        str, typer.Option("--clusters", help="auto: keep clusters of sentences together, as documents; or none.")
    ] = "auto",
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", "-k", help="Such as modality_similarity; repeat for more; all kinds if left out."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of every draw.")] = 0,
    memory: Annotated[float, typer.Option("--memory", min=0.01, help="GB of activations that are held at once.")] = 2.0,
    engine: Annotated[
        str, typer.Option("--engine", help="local: this process; ray: the machines of a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option("--address", help="Of the Ray cluster to join; this machine alone if left out.")
    ] = None,
) -> None:
    """Compute scores from activations: every gap at every point, with nulls and controls.

    Example: babelscope compare results/first/activations.zarr -m linear_cka -m "svcca(variance=0.9)"
    """
    from babelscope.capture import Activations
    from babelscope.engines import open_engine
    from babelscope.gaps import compare as compare_activations
    from babelscope.gaps.folder import locked_output, save
    from babelscope.gaps.parts import PARTS
    from babelscope.gaps.scoring import DEFAULT_MEASURES
    from babelscope.report.terminal import summary_table
    from babelscope.similarity.blocks import computed_by

    activations = Activations(store)
    if output is None and isinstance(activations.path, str):
        raise UsageError(f"{store} is a URL: say by --output which folder the scores shall go to")
    folder = output or Path(store).parent
    with (
        _showing() as tell,
        locked_output(folder),
        open_engine(engine, address=address, tell=tell) as runs,
        computed_by(runs.comparer),
    ):
        result = compare_activations(
            activations,
            measure or DEFAULT_MEASURES,
            permutations=permutations,
            seed=seed,
            match=match,
            kinds=kind,
            progress=tell,
            checkpoint=folder / PARTS,
            memory=memory * 1e9,
            interval=intervals != ["none"] and (intervals or True),
            clusters=clusters,
            device=device,
        )
        save(result, folder, activations.path)
    out.print(summary_table(result))
    out.print(
        f"Scores: {folder / 'scores.parquet'} and scores.csv; now: babelscope report {folder}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def verify(
    store: Annotated[str, typer.Argument(help="Activations, from babelscope encode: a folder or URL.")],
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove what is damaged, so that encode or run makes it anew.")
    ] = False,
) -> None:
    """Check every checksum and number of a store of activations; exit code 1 if a block is damaged.

    Example: babelscope verify results/first/activations.zarr --repair
    """
    from babelscope.capture.verify import verify as verify_store

    with _showing() as tell:
        verdict = verify_store(store, repair=repair, progress=tell)
    for line in verdict.lines():
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    if not verdict.sound:
        raise typer.Exit(1)


@app.command()
def diff(
    stores: Annotated[list[Path], typer.Argument(help="Activations; one is enough with --point A=B.")],
    point: Annotated[
        list[str] | None,
        typer.Option("--point", "-p", help="A point of both, or A=B: A of the first, B of the other; repeat for more."),
    ] = None,
    measure: Annotated[
        list[str] | None, typer.Option("--measure", "-m", help="A measure; repeat for more; linear_cka if left out.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", "-k", help="Such as modality_similarity; repeat for more; all kinds if left out."),
    ] = None,
    match: Annotated[
        str, typer.Option("--match", help="output, depth or all: which text point a speech point is compared with.")
    ] = "output",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A CSV file for all differences.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of every draw.")] = 0,
) -> None:
    """Compare models, checkpoints or layers on the same sentences: paired differences with intervals.

    Example: babelscope diff results/old/activations.zarr results/new/activations.zarr --point shared.norm
    """
    from babelscope.capture import Activations
    from babelscope.errors import UsageError
    from babelscope.gaps.paired import paired_stores
    from babelscope.report.terminal import differences_table

    points = None if not point else [(one, other or one) for one, _, other in (text.partition("=") for text in point)]
    if len(stores) == 1 and (points is None or all(one == other for one, other in points)):
        raise UsageError("one store has nothing to be compared with: name a second, or two of its layers, --point A=B")
    opened = [Activations(path) for path in stores]
    with _showing() as tell:
        found = paired_stores(
            opened[0],
            opened[1:] or opened,
            measure or ("linear_cka",),
            points=points,
            kinds=kind,
            match=match,
            seed=seed,
            progress=lambda done, total: tell("drawing", done, total),
        )
    out.print(differences_table(found))
    if output is not None:
        found.to_csv(output, index=False)
        out.print(f"All differences: {output}", markup=False, highlight=False, soft_wrap=True)


@app.command()
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
    from babelscope.errors import UsageError, did_you_mean
    from babelscope.gaps import Result
    from babelscope.report import print_pdf, write_markdown, write_report

    if form not in ("html", "md", "pdf"):
        raise UsageError(f"--format: {form!r} is unknown; {did_you_mean(form, ('html', 'md', 'pdf'))}")
    result = Result.load(folder)
    if form == "md":
        _say_where(write_markdown(result, folder))
        return
    page = write_report(result, folder, heard=_heard(result, folder, corpus_path) if embed_audio else ())
    _say_where(print_pdf(page, folder / "report.pdf") if form == "pdf" else page)


def _heard(result: Any, folder: Path, corpus_path: Path | None) -> Any:
    """Read the recordings that a study heard, if the corpus at hand is still the one that it heard."""
    from babelscope import corpora
    from babelscope.capture import Activations
    from babelscope.errors import DataError, UsageError
    from babelscope.report import embed
    from babelscope.study import store_beside

    about = result.meta["corpus"]
    known = about["name"] in corpora.sources()
    if not known and corpus_path is None:
        raise UsageError(f"--embed-audio: say by --corpus-path where the corpus {about['name']!r} is")
    source = about["name"] if known else "manifest"
    # As much as can be read is: whether that is what the study heard, the fingerprint says.
    options = {"languages": about["languages"], "skip_bad": True, "allow_short": True}
    held = Activations(store_beside(result, folder))
    sentences, drawn = held.sentences, {*held.sentences, *(one.sentence for one in held.skipped)}
    corpus = corpora.load(
        source, path=corpus_path, **{name: value for name, value in options.items() if corpora.takes(source, name)}
    )
    corpus = corpus.select(
        languages=about["languages"], ids=[sentence for sentence in corpus.sentences if sentence in drawn]
    )
    if corpus.fingerprint(skip_bad=True) != about["fingerprint"]:
        raise DataError(
            f"--embed-audio: the corpus {about['name']!r} at hand is not the one that the study heard (another "
            "fingerprint): give the one that it heard by --corpus-path, or run the study again"
        )
    return embed(
        (corpus.text(sentence, language) or "", corpus.recordings(sentence, language)[0])
        for sentence in sentences
        for language in about["languages"]
        if corpus.recordings(sentence, language)
    )


@app.command()
def relate(
    result: Annotated[Path, typer.Argument(help="Folder with result.json and scores.parquet.")],
    tasks: Annotated[Path, typer.Argument(help="CSV, TSV or Parquet: a column 'language', and columns of numbers.")],
    given: Annotated[
        list[str] | None,
        typer.Option("--given", help="A column of TASKS to regress out, such as hours or family; repeat for more."),
    ] = None,
    draws: Annotated[int, typer.Option("--permutations", min=19, help="Of the languages.")] = 9_999,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A CSV file for every point.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of every draw.")] = 0,
) -> None:
    """Correlate similarity with accuracy in tasks over languages.

    Example: babelscope relate results/first accuracies.csv --given hours
    """
    from babelscope.gaps import Result
    from babelscope.gaps.tasks import read_tasks
    from babelscope.gaps.tasks import relate as related
    from babelscope.report.terminal import relations_table

    relations = related(Result.load(result).scores, read_tasks(tasks), given=given or (), draws=draws, seed=seed)
    out.print(relations_table(relations, given or ()))
    if output is not None:
        write_atomically(output, lambda file: relations.to_csv(file, index=False))
        out.print(f"All points: {output}", markup=False, highlight=False, soft_wrap=True)


@app.command()
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
        Path | None, typer.Option("--rules", help="A TOML file of rules, beside those given here.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="A file for the outcome as JUnit XML.")] = None,
) -> None:
    """Hold a result against bounds and a baseline: one line a rule; exit code 1 if one fails.

    Example: babelscope check results/new --max modality_gap=0.4 --no-worse-than results/old --junit gaps.xml
    """
    from babelscope.check import Rules, parse_bound, parse_required, write_junit
    from babelscope.check import check as held
    from babelscope.gaps import Result

    asked = Rules.load(rules) if rules is not None else Rules()
    given = [parse_bound(text, "max") for text in at_most or ()] + [parse_bound(text, "min") for text in at_least or ()]
    verdicts_asked = [parse_required(text) for text in required or ()]
    verdicts = held(Result.load(result), asked.changed(given, no_worse_than, tolerance, verdicts_asked))
    for verdict in verdicts:
        out.print(
            verdict.line, style=None if verdict.passed else "bold red", markup=False, highlight=False, soft_wrap=True
        )
    if junit is not None:
        write_junit(verdicts, junit)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


@search_app.callback(invoke_without_command=True)
def search(context: typer.Context) -> None:
    """Find sentences by meaning: text or recording, of any language, among texts and recordings of any."""
    if context.invoked_subcommand is None:
        out.print(context.get_help(), markup=False, highlight=False)


@search_app.command("index")
def search_index(
    source: Annotated[str, typer.Argument(help="A folder, a manifest, or a corpus's name.")],
    index: Annotated[Path, typer.Option("--index", "-i", help="The index: a folder, made or added to.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A model whose sides share a space.")] = "pocket",
    weights: Annotated[str | None, typer.Option("--weights", help="A local folder or hub id of that model.")] = None,
    language: Annotated[str, typer.Option("--language", "-l", help="Of all that a folder holds.")] = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Of a manifest or corpus this language; repeat for more.")
    ] = None,
    modality: Annotated[str | None, typer.Option("--modality", help="text or speech; both if left out.")] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Of a corpus only sentences that the model was not trained on.")
    ] = False,
    window: Annotated[float | None, typer.Option("--window-seconds", min=1, help="Longer recordings are cut.")] = None,
    hop: Annotated[float | None, typer.Option("--hop-seconds", help="Windows begin so far apart.")] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Most items in one forward pass.")] = 8,
) -> None:
    """Index texts and recordings; what is there already is not done again. Stopped, it goes on from there.

    Example: babelscope search index recordings --index my-index
    """
    from babelscope import models as every
    from babelscope.search import Embedder, Index, items_of
    from babelscope.search.items import HOP_SECONDS, WINDOW_SECONDS, check_source

    check_source(source)
    with _showing() as tell:
        tell("loading the model", 0, 0)
        loaded = every.load(model, weights=weights, device=device)
        embedder = Embedder(loaded, {"name": model, "weights": weights}, batch_size)
        made = Index.create(
            index, embedder, window=window or WINDOW_SECONDS, hop=hop or min(HOP_SECONDS, window or WINDOW_SECONDS)
        )
        cut = {"window": made.about["window_seconds"], "hop": made.about["hop_seconds"]}
        for asked, held, option in ((window, cut["window"], "--window-seconds"), (hop, cut["hop"], "--hop-seconds")):
            if asked is not None and asked != held:
                raise UsageError(
                    f"{option} {asked:g}: the index {index} has {held:g}; leave it out, or make another index"
                )
        tell("reading", 0, 0)
        items = items_of(
            source,
            language=language,
            languages=only or None,
            modality=modality,
            ids=every.held_out(model, source) if held_out else None,
            **cut,
        )
        added = made.add(items, embedder, progress=tell)
    out.print(f"{added} added, {len(Index(index))} in all: {index}", markup=False, highlight=False, soft_wrap=True)


@search_app.command("query")
def search_query(
    query: Annotated[str, typer.Argument(help="A text, or a recording's file.")],
    index: Annotated[Path, typer.Option("--index", "-i", help="An index, from babelscope search index.")],
    k: Annotated[int, typer.Option("--number", "-n", min=1, help="How many to find.")] = 10,
    language: Annotated[
        str, typer.Option("--language", "-l", help="Of the query, for models that must know it (SONAR, SeamlessM4T).")
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Find only in this language; repeat for more.")
    ] = None,
    modality: Annotated[str | None, typer.Option("--modality", help="Find only text or speech.")] = None,
    centre: Annotated[
        bool, typer.Option("--centre/--no-centre", help="Take the means of texts and of speech off first.")
    ] = True,
    weights: Annotated[
        str | None, typer.Option("--weights", help="Where the index's model is, if it has moved.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    html: Annotated[Path | None, typer.Option("--html", help="Write a page on which one can listen.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV.")] = None,
) -> None:
    """Find what is nearest in meaning to a text or a recording.

    Example: babelscope search query "please enter your password" --index my-index --html found.html
    """
    from babelscope import models as every
    from babelscope.audio import SUFFIXES
    from babelscope.search import Embedder, Index, write_page
    from babelscope.search.vectors import read_recording

    held = Index(index)
    spoken = Path(query).suffix.lower() in SUFFIXES
    samples = read_recording(query) if spoken else None
    with _showing() as tell:
        tell("loading the model", 0, 0)
        made = held.about["load"]
        loaded = every.load(made["name"], weights=weights or made.get("weights"), device=device)
        embedder = Embedder(loaded, made)
        held.check(embedder)
        vector = embedder.text(query, language) if samples is None else embedder.speech(samples, language, query)
        kind = "text" if samples is None else "speech"
        found = held.find(vector, kind, k, modality=modality, languages=only, centre=centre)
    about = (
        f"{len(held)} items, model {made['name']} (revision {embedder.model.revision}), cosine at {embedder.point}"
        + (", means of texts and of speech taken off" if centre else "")
    )
    table = Table("#", "score", "kind", "language", Column("what", overflow="fold"), Column("where", overflow="fold"))
    for row in found.to_dict("records"):
        span = "" if row["whole"] else f", {row['start']:.1f} to {row['end']:.1f} s"
        cells = (str(row["rank"]), f"{row['score']:.3f}", row["kind"], row["language"] or "-", row["text"] or "-")
        table.add_row(*(escape(cell) for cell in (*cells, row["sentence"] + span)))
    out.print(table)
    out.print(about, markup=False, highlight=False, soft_wrap=True)
    if csv is not None:
        write_atomically(csv, lambda path: found.to_csv(path, index=False))
    if html is not None:
        page = write_page(found, html, query=query, heard=samples, about=about)
        out.print(f"Page: {page}", markup=False, highlight=False, soft_wrap=True)


@search_app.command("evaluate")
def search_evaluate(
    index: Annotated[Path, typer.Option("--index", "-i", help="An index of a manifest or corpus.")],
    centre: Annotated[
        bool, typer.Option("--centre/--no-centre", help="Take each side's own mean off first, as a study does.")
    ] = True,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV.")] = None,
) -> None:
    """Measure how well an index finds translations, between all its kinds and languages.

    Example: babelscope search evaluate --index my-index
    """
    from babelscope.search import Index
    from babelscope.search import evaluate as measure

    found = measure(Index(index), centre=centre)
    table = Table("from", "to", "sentences", "P@1", "MRR", "chance", title="Retrieval", title_justify="left")
    for row in found.to_dict("records"):
        ends = (f"{row[f'{end}_kind']} {row[f'{end}_language']}" for end in ("from", "to"))
        numbers = (f"{row[name]:.3f}" for name in ("p_at_1", "mrr", "chance"))
        table.add_row(*(escape(cell) for cell in (*ends, str(row["n"]), *numbers)))
    out.print(table)
    if csv is not None:
        write_atomically(csv, lambda path: found.to_csv(path, index=False))


def _fail(message: str, code: int) -> int:
    err.print(f"babelscope: {message}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 for what went wrong on the way, 2 for what was asked wrongly.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; ``sys.argv`` if left out.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        with _renaming_told():
            code = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except BabelscopeError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(GO_ON, INTERRUPTED)
    except typer.Exit as leaving:
        return _fail(GO_ON, INTERRUPTED) if leaving.exit_code == INTERRUPTED else int(leaving.exit_code)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        code = getattr(error, "exit_code", None)
        if code is not None and hasattr(error, "format_message"):  # a usage error of the parser
            return _fail(" ".join(error.format_message().split()), int(code))
        told = " ".join(f"{type(error).__name__}: {error}".split())
        return _fail(f"a defect of babelscope itself: {told} (set {DEBUG_VARIABLE}=1 to see where)", 1)
    if code == INTERRUPTED:
        return _fail(GO_ON, INTERRUPTED)
    return int(code) if isinstance(code, int) else 0


@contextmanager
def _renaming_told() -> Iterator[None]:
    """Print what was read under an old name as one line each, and other warnings as Python does."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, RenamedWarning):
            err.print(f"note: {message}", markup=False, highlight=False, soft_wrap=True)
        else:
            shown(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", RenamedWarning)
        warnings.showwarning = show
        yield


def entry() -> None:
    """Start from the shell."""
    sys.exit(main())


__all__ = ["app", "entry", "main"]
