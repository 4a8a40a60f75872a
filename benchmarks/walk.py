"""The walk of one manifest row to its numbers: which files of the package it enters, in order, measured.

    python benchmarks/walk.py [--steps] [--json FILE]

A tiny study of ten sentences is run by the public calls: ``load_corpus``, ``load_model``, ``encode``, ``compare``.
Every call of a function of the package is looked at, in all threads. It is a step of the walk if it is given or returns
what became of one recording: its row and cell, its samples, what its model takes and gives, its vectors in the store,
its representation, and the scores. Each function counts once, at its first such call.

Printed are the files in the order in which they are entered, and how often the walk goes back: into a file that it left
before, or into a package above (of corpora, audio, models, capture, similarity, gaps). Following the walk in an editor
means to open so many files, and to turn back so often.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import threading
from collections.abc import Mapping
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

#: How data flows from package to package: a call into an earlier one than the last is a climb.
ORDER = ("corpora", "audio", "models", "capture", "similarity", "gaps")

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
    if isinstance(value, np.ndarray | torch.Tensor):
        return (
            value.ndim > 0 and value.dtype.kind == "f" if isinstance(value, np.ndarray) else value.is_floating_point()
        )
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


class Tracer:
    """Notes each function of the package that carries the recording, at its first such call."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], int] = {}
        self._called: dict[int, int] = {}
        self._calls = 0

    def steps(self) -> list[tuple[str, str]]:
        """Return files and functions, in the order of their first calls, up to the one that makes the table."""
        steps = sorted(self._found, key=lambda step: self._found[step])
        last = next(at for at, (_, function) in enumerate(steps) if function.endswith(TABLE))
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
            self._found[step] = self._called.get(id(frame), self._calls)


def walked(folder: Path) -> list[tuple[str, str]]:
    """Run the tiny study; return the steps of the walk: files and functions."""
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


def files_of(steps: list[tuple[str, str]]) -> list[str]:
    """Return the files in the order in which the walk enters them."""
    entered: list[str] = []
    for file, _ in steps:
        if not entered or entered[-1] != file:
            entered.append(file)
    return entered


def climbs_of(entered: list[str]) -> list[tuple[str, str]]:
    """Return the moves back: into a file that was left, or into a package above."""
    back = []
    for at, (before, file) in enumerate(itertools.pairwise(entered), 1):
        above = _level(file) < _level(before)
        if above or file in entered[:at]:
            back.append((before, file))
    return back


def _level(file: str) -> int:
    package = file.partition("/")[0]
    return ORDER.index(package) if package in ORDER else len(ORDER)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", action="store_true", help="every function, not only files")
    parser.add_argument("--json", type=Path, help="a file for the walk")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        steps = walked(Path(made))
    entered = files_of(steps)
    back = climbs_of(entered)
    if asked.steps:
        for file, function in steps:
            print(f"  {file:40} {function}")
    for file in dict.fromkeys(entered):
        print(file)
    for before, file in back:
        print(f"back: {before} -> {file}")
    print(f"{len(steps)} functions in {len(set(entered))} files; {len(back)} times back")
    if asked.json:
        asked.json.write_text(json.dumps({"files": list(dict.fromkeys(entered)), "back": back}, indent=1))
