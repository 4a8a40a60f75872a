"""Commands that take a study: demo, run, encode, and the schema of its file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from babelscope.cli.completion import languages_of, model_names, presets, study_names
from babelscope.cli.console import (
    note,
    out,
    say,
    say_json,
    say_left_out,
    say_where,
    show,
    showing,
    volume,
    warn_of_corpus,
    write_json,
)
from babelscope.cli.program import STORES, STUDIES, AsJson, command
from babelscope.errors import UsageError
from babelscope.text_table import Column, TextTable

#: The studies of the demonstration, by their number of languages.
DEMOS: dict[int, str] = {5: "demo", 9: "demo-nine"}

TheStudy = Annotated[
    str,
    typer.Argument(
        help="The study's TOML file, or the name of one that comes along: demo, demo-nine, towers, paper.",
        autocompletion=study_names,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace the activations of another study; only what has changed is encoded again."
    ),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out sentences that cannot be encoded, and list them.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=0, help="How many prepare recordings ahead of the model.")
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="Where the models run: cpu, or cuda. Scores are computed on compare_device."),
]
Languages = Annotated[
    list[str] | None,
    typer.Option(
        "--languages",
        "-l",
        help="Only these languages: codes of the corpus, separated by commas, or repeat.",
        autocompletion=languages_of,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="KEY=VALUE: any key of a study file by its dotted path, such as corpus.n=20; repeat for more."
    ),
]
EngineName = Annotated[
    str | None, typer.Option("--engine", help="local: this process; ray: the machines of a Ray cluster.")
]
Address = Annotated[
    str | None, typer.Option("--address", help="Of the Ray cluster to join; this machine alone if left out.")
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        help="Log the result to wandb, tensorboard or mlflow; repeat for more; none: not to those of the study either.",
    ),
]
Replicas = Annotated[
    int | None, typer.Option("--replicas", min=1, help="How many copies of the model a Ray cluster runs.")
]


def _study(name: str, settings: Sequence[str] | None, languages: Sequence[str] | None, **changes: Any) -> Any:
    """Read a study: a file, or one that comes along, with what the command line changes in it."""
    if name not in presets() and not Path(name).exists():  # before what is slow to import
        raise UsageError(f"there is no study {name}: name a TOML file, or one of {', '.join(presets())}")
    from babelscope.key_values import parse_pairs
    from babelscope.study import SET, Study

    pairs = parse_pairs(settings or (), SET, "corpus.n=20")
    comes_along = name in presets() and not Path(name).exists()
    chosen = Study.preset(name, pairs) if comes_along else Study.load(name, pairs)
    return chosen.changed(languages=codes(languages), **changes)


def codes(given: Sequence[str] | None) -> list[str]:
    """Return languages that are separated by commas, or given one by one."""
    return [code.strip() for text in given or () for code in text.split(",") if code.strip()]


@command(panel=STUDIES)
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
    and as recordings, compares them at every layer, and writes a report. Two other models are its baselines: the same
    one with an untrained length adapter, and a linear map in place of all that is shared.

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


@command(panel=STUDIES)
def run(
    study: TheStudy,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Another model in place of the study's.", autocompletion=model_names),
    ] = None,
    weights: Annotated[str | None, typer.Option("--weights", help="A local folder or hub id of that model.")] = None,
    corpus_path: Annotated[
        Path | None, typer.Option("--corpus-path", help="Where a local copy of the corpus is.")
    ] = None,
    languages: Languages = None,
    device: Device = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Another folder for the results.")] = None,
    settings: Settings = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it takes: memory, disk, hours here.")
    ] = False,
    overwrite: Overwrite = False,
    skip_bad: SkipBad = False,
    workers: Workers = None,
    engine: EngineName = None,
    address: Address = None,
    replicas: Replicas = None,
    tracker: Track = None,
    as_json: AsJson = False,
) -> None:
    """Run a study from its corpus to its report. Stopped at any moment, it resumes from there when run again.

    Example: babelscope run study.toml

    Example: babelscope run paper --corpus-path fleurs --languages en_us,sw_ke --set corpus.n=100 --dry-run
    """
    chosen = _study(
        study,
        settings,
        languages,
        model=model,
        weights=weights,
        corpus_path=corpus_path,
        output=output,
        skip_bad=skip_bad,
        workers=workers,
        engine=engine,
        replicas=replicas,
        device=device,
        trackers=tracker,
    )
    if not dry_run:
        _run(chosen, overwrite, address, as_json=as_json)
        return
    from babelscope.study.forecast import forecast

    expected = forecast(chosen)
    rows = [{"what": label, "takes": value} for label, value in expected.rows()]
    show(as_json, asdict(expected), TextTable(["what", Column("takes", prose=True)], rows, f"What {chosen.name} takes"))
    for line in () if as_json else expected.warnings:
        warn_of_corpus(line)


def _run(study: Any, overwrite: bool, address: str | None = None, *, as_json: bool = False) -> None:
    from babelscope.report.first_screen import first_screen
    from babelscope.report.terminal import verdict_lines
    from babelscope.study import run as run_study

    with showing() as tell:
        outcome = run_study(
            study,
            overwrite=overwrite,
            progress=tell,
            command=shlex.join(["babelscope", *sys.argv[1:]]),
            address=address,
            notice=warn_of_corpus,
        )
    meta, screen = outcome.result.meta, first_screen(outcome.result)
    if as_json:
        paths = {"folder": outcome.folder, "report": outcome.report}
        texts = {"verdict": [str(sentence) for sentence in screen.verdict], "headline": meta["headline"]}
        logged = {"logged": [asdict(each) for each in outcome.logged]} if outcome.logged else {}
        say_json({"study": study.name, **paths, "seconds": outcome.seconds, **texts, **logged})
        return
    if not volume.quiet:
        for line in verdict_lines(screen):
            out.print(line, highlight=False)
    say_left_out(meta)
    say_where(outcome.report, outcome.seconds)
    for tracked in outcome.logged:
        note(str(tracked))


@command(panel=STORES)
def encode(
    study: Annotated[
        str,
        typer.Argument(
            help="The study's TOML file or name; its tables corpus and model are used.", autocompletion=study_names
        ),
    ],
    languages: Languages = None,
    device: Device = None,
    settings: Settings = None,
    overwrite: Overwrite = False,
    skip_bad: SkipBad = False,
    workers: Workers = None,
    engine: EngineName = None,
    address: Address = None,
    replicas: Replicas = None,
    as_json: AsJson = False,
) -> None:
    """Run only the first half of a study: the activations, into activations.zarr in its output folder.

    Example: babelscope encode study.toml
    """
    from babelscope.corpora.checks.output import in_short
    from babelscope.engines import open_engine
    from babelscope.study.encoding import StudyEncoder
    from babelscope.study.model import build_model_on
    from babelscope.study.preflight import check_start, checked_corpus

    chosen = _study(
        study, settings, languages, skip_bad=skip_bad, workers=workers, engine=engine, replicas=replicas, device=device
    )
    planned = check_start(chosen, compared=False)
    with (
        showing() as tell,
        open_engine(chosen.engine, address=address, replicas=chosen.replicas, tell=tell) as runs,
    ):
        corpus, checked = checked_corpus(chosen, planned, tell, compared=False)
        for line in in_short(checked):
            warn_of_corpus(line)
        model = build_model_on(runs, chosen)
        encoder = StudyEncoder(corpus, runs, overwrite, tell)
        activations = encoder.encode(model, chosen)
        encoder.encode_second(model, chosen)
    if as_json:
        say_json(
            {
                "path": activations.path,
                "sentences": activations.sentences,
                "languages": activations.languages,
                "points": {modality: activations.points(modality) for modality in activations.modalities},
                "skipped": activations.skipped,
            }
        )
        return
    if not volume.quiet:
        say(repr(activations))
    say_left_out(activations.meta)
    say(str(activations.path) if volume.quiet else f"Activations: {activations.path}")


@command(panel=STUDIES)
def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file for it; the standard output if left out.")
    ] = None,
) -> None:
    """Print the JSON schema of a study file, by which editors complete and check its keys.

    Example: babelscope schema --output study.schema.json
    """
    from babelscope.study import schema as of_study

    write_json(output or Path("-"), of_study())
