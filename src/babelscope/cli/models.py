"""Commands on models: list, show, verify."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from babelscope.cache import write_atomically
from babelscope.cli.console import out, say, showing
from babelscope.cli.program import app
from babelscope.errors import UsageError

models_app = typer.Typer(
    help="List the models, or show one with its points.\n\nExample: babelscope models show whisper-base+e5-small",
    invoke_without_command=True,
)
app.add_typer(models_app, name="models")


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
        say(line)


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
        say(line)


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

    with showing() as tell:
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
