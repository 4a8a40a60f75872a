"""Commands on models: list, show, verify."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from babelscope.cli.completion import model_names
from babelscope.cli.console import note, out, show, showing, write_json
from babelscope.cli.program import DATA, AsJson, JsonFile, app, command
from babelscope.errors import UsageError
from babelscope.text_table import Column, TextTable

models_app = typer.Typer(invoke_without_command=True)
app.add_typer(models_app, name="models", rich_help_panel=DATA)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models, show one with its points, or check one against its own forward pass.

    Example: babelscope models show whisper-base+e5-small
    """
    if not context.invoked_subcommand:
        models_list(as_json)


@command(models_app, "list")
def models_list(as_json: AsJson = False) -> None:
    """List the models that have a name, by kind, with licence and size. Any other model of the hub is hf:owner/name.

    Example: babelscope models list --json
    """
    from babelscope.cli.model_list import FOOTNOTE, listed, to_json

    groups = listed()
    rows = [row.shown(title) for title, group in groups.items() for row in group]
    prose = (Column(key, prose=True) for key in ("licence", "languages", "revision", "seen", "summary"))
    show(as_json, to_json(groups), TextTable(["name", Column("size", right=True), *prose], rows, group="kind"))
    pairs = "A pair SPEECH+TEXT takes two models' sides, such as whisper-base+e5-small."
    for line in () if as_json else (FOOTNOTE, "Any other model: hf:owner/name or hf:./folder.", pairs):
        note(line)


@command(models_app, "show")
def models_show(
    name: Annotated[
        str,
        typer.Argument(
            help="A model, hf:owner/name, hf:./folder, or speech+text for a pair.", autocompletion=model_names
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show a model's points in order, with stage, depth, width and length formula, and its memory in each dtype.

    Example: babelscope models show whisper-base+e5-small
    """
    from babelscope.models import assets_of
    from babelscope.models.planning import plan

    planned = plan(name)
    model = planned.model
    sides: dict[str, dict[str, Any]] = {
        modality: {"family": side.family, "parameters": side.parameters, "unit": side.unit}
        for modality, side in model.sides.items()
    }
    weights = [f"{weight.file} from {weight.source}, sha256 {weight.sha256}" for weight in model.weights]
    if not planned.from_weights:
        weights += [line for asset in assets_of(name) for line in _about_asset(asset)]
        if not weights and not planned.sources:
            weights.append("none were read; this is the released configuration")
    about = {
        "name": model.name,
        "points": model.describe(),
        "sides": sides,
        "parameters": planned.parameters,
        "memory": planned.memory,
        "weights": weights,
        "sources": planned.sources,
        "licence": model.licence,
        "notes": model.notes,
    }
    columns = (
        Column("name", "point"),
        "stage",
        Column("depth", text=lambda depth: f"{depth:.2f}", right=True),
        Column("width", right=True),
        Column("formula", "positions", prose=True),
        Column("module", prose=True),
    )
    lines = [
        f"{modality}: {side['family']}, {side['parameters'] / 1e6:.1f} M parameters, lengths in {side['unit']}"
        for modality, side in sides.items()
    ]
    memory = ", ".join(f"{size / 1e6:.0f} MB in {dtype}" for dtype, size in planned.memory.items())
    lines.append(f"in all: {planned.parameters / 1e6:.1f} M parameters; {memory}")
    lines += [f"weights: {line}" for line in weights]
    lines += planned.sources
    lines += [f"licence: {model.licence or 'not stated'}", *(f"note: {note}" for note in model.notes)]
    show(as_json, about, TextTable(columns, model.describe(), model.name), *lines)


@command(models_app, "verify")
def models_verify(
    name: Annotated[str, typer.Argument(help="A model, or speech+text for a pair.", autocompletion=model_names)],
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
    json_file: JsonFile = None,
) -> None:
    """Check that a model is what it says, on synthetic texts and noise; exit code 1 if something does not hold.

    Example: babelscope models verify whisper-base+e5-small

    Example: babelscope models verify e5-small --json verified.json
    """
    from babelscope.key_values import parse_pairs
    from babelscope.models import load
    from babelscope.verification import verify as verify_model
    from babelscope.verification.table import to_table

    with showing() as tell:
        tell("loading", 0, 0)
        model = load(
            name,
            weights=_weights_of(weights or ()),
            device=device,
            dtype=dtype,
            window_seconds=window,
            options=parse_pairs(option or (), "--option", "batch=alone"),
        )
        verification = verify_model(
            model,
            language=language,
            full=full,
            progress=lambda check, done, total: tell("verifying", done, total),
        )
    if not write_json(json_file, verification.to_json()):
        out.print(to_table(verification))
    if not verification.holds:
        raise typer.Exit(1)


def _weights_of(given: Sequence[str]) -> str | dict[str, str] | None:
    """Return weights as :func:`babelscope.models.load` takes them: one source, or one for each part of a pair."""
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    for text in given:
        if "=" not in text:
            raise UsageError(f"--weights {text}: of a pair write PART=FOLDER, such as whisper-base=./folder")
    return {name: source for name, _, source in (text.partition("=") for text in given)} or None


def _about_asset(name: str) -> list[str]:
    from babelscope.fetch import asset_record, is_fetched

    if not is_fetched(name):
        return [f"{name} is not here yet: babelscope fetch {name}"]
    files: dict[str, Any] = asset_record(name)["files"]
    return [f"{file} of {name}, sha256 {digest}" for file, digest in files.items()]
