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

from babelscope.capture.position_encoding import encode_positions
from babelscope.capture.positions import place_of_positions
from babelscope.capture.store import Activations
from babelscope.corpora import Corpus
from babelscope.errors import BabelscopeError
from babelscope.gaps.parts import Parts
from babelscope.gaps.result import Result
from babelscope.models.base import Model
from babelscope.neurons import NeuronOptions, neuron_tables
from babelscope.tokens import TokenOptions

#: Called with what is being done, how much is done, and how much there is.
Progress = Callable[[str, int, int], None]

#: The folder beside the scores in which unfinished sections are kept.
SECTIONS = ".sections"


@dataclass
class Material:
    """What sections are made from.

    Attributes
    ----------
    model : Model
    corpus : Corpus
    activations : Activations
    folder : Path
        Of the result.
    seed : int
    clusters : ndarray of int, shape (n,), or None
        Which sentences belong together.
    tell : callable
        Called with what is being done, how much is done, and how much there is.
    notes : list of str
        Where a section says, in a line each, what could not be done.
    """

    model: Model
    corpus: Corpus
    activations: Activations
    folder: Path
    seed: int
    clusters: NDArray[np.int64] | None
    tell: Progress
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """One section of a study file.

    Attributes
    ----------
    title : str
        For progress.
    tables : tuple of str
        What it adds to a result.
    run : callable
        Takes the material, the section's options and a folder for unfinished work, gives the tables.
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
    return {"tokens_rounding": positions.rounding()}


KNOWN: dict[str, Section] = {
    "neurons": Section("selective features", ("neurons", "neurons_top", "neurons_overlap", "neurons_match"), _neurons),
    "tokens": Section("positions", ("tokens_rounding",), _tokens),
}


def add_sections(result: Result, asked: Mapping[str, BaseModel | None], material: Material) -> None:
    """Run the sections that are asked for and put their tables into a result; those not asked for are taken out.

    Parameters
    ----------
    result : Result
    asked : mapping of section to its options, or None
    material : Material
    """
    earlier: dict[str, Any] = result.meta.get("sections", {})
    told: dict[str, Any] = {}
    for name, section in KNOWN.items():
        options = asked.get(name)
        if options is not None and (identity := _identity(options, material)) == earlier.get(name, {}).get("identity"):
            told[name] = earlier[name]
            continue
        for table in section.tables:
            result.tables.pop(table, None)
        if options is None:
            continue
        material.tell(section.title, 0, 0)
        material.notes, started = [], time.monotonic()
        try:
            parts = Parts(material.folder / SECTIONS / name, {"identity": identity})
            made = section.run(material, options, parts.of(name))
        except BabelscopeError as error:
            material.notes.append(str(error))
            made = {}
        result.tables.update({table: rows for table, rows in made.items() if len(rows)})
        told[name] = {
            "identity": identity,
            "options": options.model_dump(mode="json"),
            "seconds": round(time.monotonic() - started, 1),
            "notes": list(material.notes),
        }
        for line in material.notes:
            material.tell(f"{section.title}: {line}", 0, 0)
    result.meta.pop("sections", None)
    if told:
        result.meta["sections"] = told


def _identity(options: BaseModel, material: Material) -> str:
    decided = {
        "options": options.model_dump(mode="json"),
        "activations": material.activations.dataset.attrs["identity"],
        "skipped": [list(one) for one in material.activations.skipped],
        "clusters": None if material.clusters is None else material.clusters.tolist(),
        "seed": material.seed,
    }
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
