"""Commands that take a store of activations: compare, verify, diff."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babelscope.cli.console import out, say, showing
from babelscope.cli.program import app
from babelscope.errors import UsageError


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
        showing() as tell,
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
    say(f"Scores: {folder / 'scores.parquet'} and scores.csv; now: babelscope report {folder}")


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
    from babelscope.capture.verify import stores_beside
    from babelscope.capture.verify import verify as verify_store

    with showing() as tell:
        verdicts = [verify_store(each, repair=repair, progress=tell) for each in map(str, [store, *stores_beside(store)])]
    for verdict in verdicts:
        for line in verdict.lines():
            say(line)
    if not all(verdict.settled for verdict in verdicts):
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
    with showing() as tell:
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
        say(f"All differences: {output}")
