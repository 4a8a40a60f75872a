"""Further analyses of a study, each a section of its file: run after the comparisons, only where they are asked for.

Each leaves tables in the result, and in ``meta["sections"]`` what it was asked, how long it took, and in a line each
what could not be done. One that was run with the same options on the same activations is kept.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from babelscope.cache import sha256_of
from babelscope.capture.jobs import EncodeConfig
from babelscope.capture.position_encoding import encode_positions
from babelscope.capture.positions import place_of_positions
from babelscope.capture.store import Activations
from babelscope.corpora import Corpus
from babelscope.errors import BabelscopeError, UsageError
from babelscope.gaps.folder import Checkpoints
from babelscope.gaps.own_tasks import TaskOptions, tasks_table
from babelscope.gaps.result import Result
from babelscope.interventions import PatchOptions, patch_table, plan_patch, points_to_patch
from babelscope.lens import LensOptions, lens_tables, plan_lens, points_to_read
from babelscope.models.base import Model
from babelscope.neurons import NeuronOptions, neuron_tables
from babelscope.progress import Progress
from babelscope.tokens import TokenOptions, token_tables

#: The folder next to the scores in which unfinished sections are kept.
SECTIONS = ".sections"


@dataclass
class Material:
    """What sections are made from.

    `model` may run elsewhere: then it has no weights in this process. `how` says how its utterances are batched,
    `folder` is that of the result, `clusters` say which sentences belong together, and `tell` is called with what is
    being done, how much is done, and how much there is. In `notes` a section says, in a line each, what could not be
    done.
    """

    model: Model
    has_weights: bool
    how: EncodeConfig
    corpus: Corpus
    activations: Activations
    folder: Path
    seed: int
    clusters: NDArray[np.int64] | None
    tell: Progress
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """One section of a study file: its title for progress, the tables that it adds to a result, and how it is run.

    `run` takes the material, the section's options and a folder for unfinished work, and gives the tables.
    """

    title: str
    tables: tuple[str, ...]
    run: Callable[[Material, Any, Path | None], dict[str, pd.DataFrame]]


def _neurons(material: Material, options: NeuronOptions, checkpoint: Path | None) -> dict[str, pd.DataFrame]:
    return neuron_tables(
        material.activations,
        options,
        clusters=material.clusters,
        seed=material.seed,
        checkpoint=checkpoint,
        identity=material.activations.dataset.attrs["identity"],
        progress=lambda done, total: material.tell("selective features", done, total),
    )


def _tokens(material: Material, options: TokenOptions, checkpoint: Path | None) -> dict[str, pd.DataFrame]:
    positions = encode_positions(
        material.model,
        material.corpus,
        place_of_positions(material.activations.path),
        **options.how(),
        seed=material.seed,
        overwrite=True,
        progress=lambda what, done, total: material.tell(f"encoding {what}", done, total),
        notice=material.notes.append,
    )
    return token_tables(
        positions,
        options,
        seed=material.seed,
        checkpoint=checkpoint,
        progress=lambda done, total: material.tell("aligning positions", done, total),
        notice=material.notes.append,
    )


def _patch(material: Material, options: PatchOptions, checkpoint: Path | None) -> dict[str, pd.DataFrame]:
    _needs_weights("patch", material)
    table = patch_table(
        material.model,
        material.corpus,
        material.activations,
        options,
        clusters=material.clusters,
        seed=material.seed,
        how=material.how,
        checkpoint=checkpoint,
        progress=lambda done, total: material.tell("patching", done, total),
        notice=material.notes.append,
    )
    return {"patch": table}


def _lens(material: Material, options: LensOptions, checkpoint: Path | None) -> dict[str, pd.DataFrame]:
    _needs_weights("lens", material)
    return lens_tables(
        material.model,
        material.corpus,
        material.activations,
        options,
        clusters=material.clusters,
        seed=material.seed,
        checkpoint=checkpoint,
        progress=lambda done, total: material.tell("reading positions", done, total),
        notice=material.notes.append,
    )


def _tasks(material: Material, options: TaskOptions, checkpoint: Path | None) -> dict[str, pd.DataFrame]:
    model = material.model if material.has_weights else None
    return {"tasks": tasks_table(model, material.corpus, material.activations, options, notice=material.notes.append)}


def _needs_weights(name: str, material: Material) -> None:
    if not material.has_weights:
        raise UsageError(f"{name}: the model runs on other machines; choose engine = 'local'")


KNOWN: dict[str, Section] = {
    "neurons": Section("selective features", ("neurons", "neurons_top", "neurons_overlap", "neurons_match"), _neurons),
    "tokens": Section("positions", ("tokens_alignment", "tokens_paths", "tokens_rounding"), _tokens),
    "patch": Section("patching", ("patch",), _patch),
    "tasks": Section("scoring tasks", ("tasks",), _tasks),
    "lens": Section("reading positions", ("lens", "lens_languages", "lens_language_match", "lens_readings"), _lens),
}

#: Sections that choose among the shared points themselves.
_OWN_POINTS = {"patch": points_to_patch, "lens": points_to_read}


def check_sections(asked: Mapping[str, Any], model: Model) -> None:
    """Refuse what a section names and the model does not have, before anything is encoded."""
    for name, options in asked.items():
        patterns = getattr(options, "points", None)
        if name in _OWN_POINTS:
            if patterns is not None:
                _OWN_POINTS[name](model, patterns)
        elif patterns is not None:
            try:
                model.select_points(patterns)
            except UsageError as error:
                raise UsageError(f"{name}.{error}") from error


def costs(
    asked: Mapping[str, Any], model: Model, sentences: int, languages: int, seconds: Mapping[str, float]
) -> list[tuple[str, str]]:
    """Say what each section that is asked for takes, as label and value.

    `seconds` is, by modality, one forward pass of an utterance on this machine.
    """
    lines: list[tuple[str, str]] = []
    if asked.get("neurons") is not None:
        widest = max(point.width for side in model.sides.values() for point in side.points)
        size = 4 * widest * sentences * languages + 200e6
        lines.append(("neurons", f"no forward pass; {size / 1e9:.2f} GB in memory at most"))
    plans: dict[str, Callable[..., Any]] = {"patch": plan_patch, "lens": plan_lens}
    for name in (name for name in plans if asked.get(name) is not None):
        try:
            plan = plans[name](model, asked[name], sentences, languages)
        except UsageError as error:
            lines.append((name, str(error)))
            continue
        hours, points = plan.passes * seconds.get("speech", 0.0) / 3600, len(plan.points)
        text = {
            "patch": f"{plan.passes} forward passes at {points} points, {hours:.1f} h on this machine at most "
            f"(what comes before a point runs once); {plan.memory / 1e6:.0f} MB in memory",
            "lens": f"{plan.passes} forward passes, {points} points compared with the whole vocabulary; "
            f"{plan.memory / 1e6:.0f} MB in memory at most",
        }[name]
        lines.append((name, text))
    return lines


def add_sections(result: Result, asked: Mapping[str, BaseModel | None], material: Material) -> None:
    """Run the sections that are asked for and put their tables into a result; those not asked for are taken out."""
    earlier: dict[str, Any] = result.meta.get("sections", {})
    described: dict[str, Any] = {}
    for name, section in KNOWN.items():
        options = asked.get(name)
        if options is not None and (identity := _identity(options, material)) == earlier.get(name, {}).get("identity"):
            described[name] = earlier[name]
            continue
        for table in section.tables:
            result.tables.pop(table, None)
        if options is None:
            continue
        material.tell(section.title, 0, 0)
        material.notes, started = [], time.monotonic()
        try:
            parts = Checkpoints(material.folder / SECTIONS / name, {"identity": identity})
            made = section.run(material, options, parts.of(name))
        except BabelscopeError as error:
            material.notes.append(str(error))
            made = {}
        result.tables.update({table: rows for table, rows in made.items() if len(rows)})
        described[name] = {
            "identity": identity,
            "options": options.model_dump(mode="json"),
            "seconds": round(time.monotonic() - started, 1),
            "notes": list(material.notes),
        }
        for line in material.notes:
            material.tell(f"{section.title}: {line}", 0, 0)
    result.meta.pop("sections", None)
    if described:
        result.meta["sections"] = described


def _identity(options: BaseModel, material: Material) -> str:
    read = {name: value for name, value in options if isinstance(value, Path) and value.is_file()}
    decided: dict[str, Any] = {
        "options": options.model_dump(mode="json"),
        "activations": material.activations.dataset.attrs["identity"],
        "skipped": [list(skipped) for skipped in material.activations.skipped],
        "clusters": None if material.clusters is None else material.clusters.tolist(),
        "seed": material.seed,
    }
    if read:
        decided["files"] = {name: sha256_of(path) for name, path in read.items()}
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
