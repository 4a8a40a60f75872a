"""The walk of one manifest row to its numbers: which files of the package it enters, in order, measured.

    python benchmarks/walk.py [--steps] [--json FILE]

A tiny study of ten sentences is run by the public calls: ``load_corpus``, ``load_model``, ``encode``, ``compare``.
Every call of a function of the package is looked at, in all threads. It is a step of the walk if it is given or returns
what became of one recording: its row and cell, its samples, what its model takes and gives, its vectors in the store,
its representation, and the scores. Each function counts once, at its first such call.

Printed are the files in the order in which they are entered, and two numbers: how often the walk comes back to a file
that it left before, and how many calls run against the imports, from a package to one that is built upon it (a hook, a
function that was handed down): there the reader of a file cannot see what comes next.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

import babelscope
from babelscope import models
from babelscope.corpora import Corpus, Recording
from babelscope.testing import tiny

PACKAGE = Path(babelscope.__file__).parent

#: Packages by what they are built upon; of those on one level none imports another, or those before it alone.
LEVELS = {"corpora": 1, "sides.py": 1, "models": 2, "similarity": 2, "capture": 3, "engines": 4, "gaps": 5, "study": 6}

LANGUAGE = "xa"

#: What makes the table of scores: there the walk ends.
TABLE = "._add"


def manifest(folder: Path) -> Path:
    """Write a manifest of ten sentences in two languages, with tones for recordings."""
    generator = np.random.default_rng(0)
    rows = ["sentence,language,text,audio"]
    for number in range(10):
        for language in ("xa", "xb"):
            name = f"{language}{number}.wav"
            soundfile.write(folder / name, 0.1 * generator.normal(size=4000 + 500 * number), 16_000)
            rows.append(f"s{number},{language},{'ab' * (number + 2)} {language},{name}")
    path = folder / "manifest.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def carries(value: Any, deep: int = 2) -> bool:
    """Tell whether a value holds what became of the recording."""
    if isinstance(value, str):
        return value.endswith(f"{LANGUAGE}3.wav")
    if isinstance(value, Path):
        return value.name == f"{LANGUAGE}3.wav"
    if isinstance(value, np.ndarray):
        return value.ndim > 0 and value.dtype.kind in "fV"
    if isinstance(value, torch.Tensor):
        return value.is_floating_point()
    if isinstance(value, Recording):
        return carries(value.path)
    if isinstance(value, Corpus):
        return False
    if not deep:
        return False
    if isinstance(value, Mapping):
        return any(carries(each, deep - 1) for each in list(value.values())[:40])
    if isinstance(value, list | tuple):
        return any(carries(each, deep - 1) for each in value[:40])
    return type(value).__name__ in CARRIERS


#: Objects that hold the recording's data.
CARRIERS = {
    "Batch",
    "Block",
    "Prepared",
    "Utterance",
    "Representation",
    "Outcome",
    "Filled",
    "BlockResult",
    "DataFrame",
    "Result",
}


@dataclass(frozen=True)
class Step:
    """A function of the package, and the file of whoever called it first ("" for a user)."""

    file: str
    function: str
    caller: str


class Tracer:
    """Notes each function of the package that carries the recording, at its first such call."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[int, str]] = {}
        self._called: dict[int, int] = {}
        self._calls = 0

    def steps(self) -> list[Step]:
        """Return the steps in the order of their first calls, up to the one that makes the table."""
        ordered = sorted(self._found.items(), key=lambda item: item[1])
        steps = [Step(*where, caller) for where, (_, caller) in ordered]
        last = next(at for at, step in enumerate(steps) if step.function.endswith(TABLE))
        return steps[: last + 1]

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        if event not in ("call", "return"):
            return
        code = frame.f_code
        if not code.co_filename.startswith(f"{PACKAGE}/") or code.co_name.startswith("<"):
            return
        step = (code.co_filename[len(str(PACKAGE)) + 1 :], code.co_qualname)
        if step in self._found:
            return
        if event == "call":
            self._calls += 1
            self._called[id(frame)] = self._calls
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            argument = [frame.f_locals.get(name) for name in names if name != "self"]
        if carries(argument):
            self._found[step] = self._called.get(id(frame), self._calls), _caller(frame)


def _caller(frame: Any) -> str:
    """Return the file of the package that a call came from, through whatever lies between."""
    before = frame.f_back
    while before is not None and not before.f_code.co_filename.startswith(f"{PACKAGE}/"):
        before = before.f_back
    return "" if before is None else before.f_code.co_filename[len(str(PACKAGE)) + 1 :]


def walked(folder: Path) -> list[Step]:
    """Run the tiny study; return the steps of the walk."""
    path, tracer = manifest(folder), Tracer()
    model = models.load("whisper-base", weights=str(tiny("whisper", folder / "whisper")), window_seconds=1)
    threading.setprofile(tracer)
    sys.setprofile(tracer)
    try:
        corpus = babelscope.load_corpus("manifest", path=path)
        activations = babelscope.encode(model, corpus, folder / "activations.zarr", workers=1)
        babelscope.compare(activations, ["linear_cka"], controls=["none"], baselines=False)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return tracer.steps()


def files_of(steps: list[Step]) -> list[str]:
    """Return the files in the order in which the walk enters them."""
    return [file for file, _ in itertools.groupby(step.file for step in steps)]


def returns_of(entered: list[str]) -> list[tuple[str, str]]:
    """Return the moves to a file that was left before."""
    moves = enumerate(itertools.pairwise(entered), 1)
    return [(before, file) for at, (before, file) in moves if file in entered[:at]]


def climbs_of(steps: list[Step]) -> list[tuple[str, str]]:
    """Return the calls against the imports, as caller's and called file."""
    calls = dict.fromkeys((step.caller, step.file) for step in steps if step.caller)
    return [(caller, file) for caller, file in calls if _level(file) > _level(caller)]


def _level(file: str) -> int:
    return LEVELS.get(file.partition("/")[0], 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", action="store_true", help="every function, not only files")
    parser.add_argument("--json", type=Path, help="a file for the walk")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        steps = walked(Path(made))
    entered = files_of(steps)
    files, returns, climbs = list(dict.fromkeys(entered)), returns_of(entered), climbs_of(steps)
    for step in steps if asked.steps else ():
        print(f"  {step.file:40} {step.function}")
    print("\n".join(files))
    for before, file in returns:
        print(f"back to a file: {before} -> {file}")
    for caller, file in climbs:
        print(f"against the imports: {caller} -> {file}")
    print(f"{len(steps)} functions in {len(files)} files; {len(returns)} times back; {len(climbs)} against the imports")
    if asked.json:
        asked.json.write_text(json.dumps({"files": files, "returns": returns, "climbs": climbs}, indent=1))
