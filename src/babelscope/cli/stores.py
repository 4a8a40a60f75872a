"""Commands that take a store of activations: compare, verify, diff."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from babelscope.cli.completion import measure_names
from babelscope.cli.console import say, say_json, show, showing, volume, write_csv
from babelscope.cli.program import STORES, AsJson, command
from babelscope.cli.studies import Address, EngineName, Settings, codes
from babelscope.errors import UsageError

STORE_OR_RESULTS = "Activations: a folder, a URL, or a folder of results that has them."

Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", "-k", help="Such as modality_similarity; repeat for more; all kinds if left out."),
]


@command(panel=STORES)
def compare(
    store: Annotated[str, typer.Argument(help=STORE_OR_RESULTS)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the scores; the store's own if left out.")
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            "-m",
            help="A measure, such as svcca(variance=0.9); repeat for more.",
            autocompletion=measure_names,
        ),
    ] = None,
    permutations: Annotated[
        int | None,
        typer.Option(
            "--permutations",
            min=19,
            help="Of the sentences at most, where a null has no closed form; 2000 if left out.",
        ),
    ] = None,
    intervals: Annotated[
        list[str] | None,
        typer.Option(
            "--intervals",
            help="A measure to give intervals for, such as svcca; repeat for more; 'none' for no intervals.",
        ),
    ] = None,
    languages: Annotated[
        list[str] | None,
        typer.Option("--languages", "-l", help="Only these languages of the store, separated by commas, or repeat."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", help="Where pairs are computed: cpu (if left out), or a device of torch such as cuda."
        ),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(
            "--match", help="output (if left out), depth or all: which text point a speech point is compared with."
        ),
    ] = None,
    clusters: Annotated[
        str | None,
        typer.Option(
            "--clusters",
            help="auto (if left out): keep clusters of sentences (documents) together; alone; texts; or none.",
        ),
    ] = None,
    kind: Kinds = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of every draw; 0 if left out.")] = None,
    settings: Settings = None,
    memory: Annotated[
        float, typer.Option("--memory", min=0.01, help="GB of activations that are kept in memory at once.")
    ] = 2.0,
    engine: EngineName = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Compute scores from activations: every kind of similarity at every point, with nulls and controls.

    Example: babelscope compare results/first/activations.zarr -m linear_cka -m "svcca(variance=0.9)"
    """
    from babelscope.capture import Activations
    from babelscope.engines import open_engine
    from babelscope.gaps import compare as compare_activations
    from babelscope.gaps.folder import CHECKPOINTS, locked_output, save
    from babelscope.key_values import parse_pairs
    from babelscope.report.first_screen import first_screen
    from babelscope.report.terminal import summary, summary_table
    from babelscope.study.settings import SET, comparing

    options = {
        "measures": measure,
        "permutations": permutations,
        "intervals": None if not intervals else False if intervals == ["none"] else intervals,
        "compare_device": device,
        "match": match,
        "clusters": clusters,
        "kinds": kind,
        "seed": seed,
        "engine": engine,
    }
    asked = comparing(
        parse_pairs(settings or (), SET, "controls=[none]")
        | {key: value for key, value in options.items() if value is not None and value != []}
    )
    store = _store_of(store)
    activations = Activations(store)
    if chosen := codes(languages):
        activations = activations.select(chosen)
    if output is None and isinstance(activations.path, str):
        raise UsageError(f"{store} is a URL: give the folder for the scores with --output")
    folder = output or Path(store).parent
    with (
        showing() as tell,
        locked_output(folder),
        open_engine(asked.engine, address=address, tell=tell) as runs,
    ):
        result = compare_activations(
            activations,
            asked.measures,
            controls=asked.controls,
            permutations=asked.permutations,
            seed=asked.seed,
            match=asked.match,
            kinds=asked.kinds if "kinds" in asked.model_fields_set else None,
            progress=tell,
            checkpoint=folder / CHECKPOINTS,
            memory=memory * 1e9,
            interval=asked.intervals,
            clusters=asked.clusters,
            device=asked.compare_device,
            baselines=asked.compute_baselines,
            executor=runs.executor,
        )
        result.meta["study"]["command"] = shlex.join(["babelscope", *sys.argv[1:]])
        save(result, folder, activations.path)
    if as_json:
        say_json(
            {
                "folder": folder,
                "scores": folder / "scores.parquet",
                "verdict": [str(sentence) for sentence in first_screen(result).verdict],
                "headline": result.meta["headline"],
                "summary": summary(result),
            }
        )
    elif not volume.quiet:
        show(as_json, None, summary_table(result))
        say(f"Scores: {folder / 'scores.parquet'} and scores.csv; now: babelscope report {folder}")


@command(panel=STORES)
def verify(
    store: Annotated[str | None, typer.Argument(help=STORE_OR_RESULTS)] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove what is damaged, so that encode or run makes it again.")
    ] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Read all weights and recordings in the cache, and compare their hashes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check every checksum, number and file of a store of activations, or of the cache; exit code 1 if one is damaged.

    Example: babelscope verify results/first/activations.zarr --repair

    Example: babelscope verify --cache
    """
    if (store is None) is not cache:
        raise UsageError("name a store of activations, or pass --cache")
    if store is None:
        _verify_cache(as_json)
        return
    from babelscope.capture.verify import verify_all

    with showing() as tell:
        verdicts = verify_all(_store_of(store), repair=repair, progress=tell)
    show(as_json, [{"sound": verdict.sound, "settled": verdict.settled, **asdict(verdict)} for verdict in verdicts])
    for verdict in () if as_json else verdicts:
        for line in verdict.lines():
            say(line)
    if not all(verdict.settled for verdict in verdicts):
        raise typer.Exit(1)


def _store_of(place: str) -> str:
    """Return where activations are; for a folder of results, where its own are."""
    from babelscope.capture.storage import is_url

    if is_url(place) or not (Path(place) / "result.json").is_file():
        return place
    from babelscope.gaps.result import Result
    from babelscope.study.paths import store_beside

    return str(store_beside(Result.load(place), Path(place)))


def _verify_cache(as_json: bool) -> None:
    from babelscope.cache import cache_folder
    from babelscope.fetch import check_cache

    with showing() as tell:
        cached = check_cache(tell)
    show(as_json, [each._asdict() for each in cached])
    for each in () if as_json else cached:
        unchecked = f", {each.unchecked} of them with no recorded hash" if each.unchecked else ""
        say(f"{each.name}: {each.files} files, {each.size / 1e6:.1f} MB{unchecked}, {len(each.damaged)} damaged")
        for path in each.damaged:
            say(f"damaged: {path}: run 'babelscope fetch {each.name}', which gets it again")
    damaged = sum(bool(each.damaged) for each in cached)
    if not as_json:
        say(f"In {cache_folder()}: {len(cached)} fetched, {damaged} damaged")
    if damaged:
        raise typer.Exit(1)


@command(panel=STORES)
def diff(
    stores: Annotated[list[str], typer.Argument(help=f"{STORE_OR_RESULTS} One is enough with --point A=B.")],
    point: Annotated[
        list[str] | None,
        typer.Option("--point", "-p", help="A point of both, or A=B: A of the first, B of the other; repeat for more."),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            "-m",
            help="A measure; repeat for more; linear_cka if left out.",
            autocompletion=measure_names,
        ),
    ] = None,
    kind: Kinds = None,
    match: Annotated[
        str, typer.Option("--match", help="output, depth or all: which text point a speech point is compared with.")
    ] = "output",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A CSV file for all differences.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of every draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare models, checkpoints or layers on the same sentences: paired differences with intervals.

    Example: babelscope diff results/old results/new --point shared.norm
    """
    from babelscope.capture import Activations
    from babelscope.gaps.paired import paired_stores
    from babelscope.report.terminal import differences_table

    points = None if not point else [(one, other or one) for one, _, other in (text.partition("=") for text in point)]
    if len(stores) == 1 and (points is None or all(one == other for one, other in points)):
        raise UsageError("one store has nothing to be compared with: name a second, or two of its layers, --point A=B")
    opened = [Activations(_store_of(path)) for path in stores]
    with showing() as tell:
        differences = paired_stores(
            opened[0],
            opened[1:] or opened,
            measure or ("linear_cka",),
            points=points,
            kinds=kind,
            match=match,
            seed=seed,
            progress=lambda done, total: tell("drawing", done, total),
        )
    write_csv(output, differences)
    show(as_json, differences, differences_table(differences))
    if output is not None and not as_json:
        say(f"All differences: {output}")
