"""What fuzzing found is read again: a value or one line. See ``fuzz/fuzz.py``, which shares the readers."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from _pytest.mark import ParameterSet

HERE = Path(__file__).parent
FINDINGS = sorted((HERE / "findings").glob("*.bin"))


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hostile_readers", HERE / "fuzz" / "readers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


readers = loaded()


def cases(names: Sequence[Any], name_of: Callable[[Any], str] = str) -> list[ParameterSet]:
    """Return the cases; checkpoints are of the formats that plug-ins read, too."""
    marks = {True: [pytest.mark.plugins], False: []}
    return [pytest.param(each, id=name_of(each), marks=marks[name_of(each).startswith("checkpoint")]) for each in names]


@pytest.mark.parametrize("path", cases(FINDINGS, lambda path: path.stem))
def test_a_finding_is_mended(path: Path, tmp_path: Path) -> None:
    readers.read(path.stem.partition("-")[0], path.read_bytes(), tmp_path)


@pytest.mark.parametrize("name", cases(["manifest", "audio", "checkpoint", "archive"]))
def test_a_seed_and_its_halves_are_a_value_or_one_line(name: str, tmp_path: Path) -> None:
    """Each seed, cut at several places; and one of each reader's, at least, is read whole."""
    values = 0
    for seed in readers.seeds(name):
        for end in (len(seed) // 4, len(seed) // 2, len(seed) - 1, len(seed)):
            readers.read(name, seed[:end], tmp_path)
            for path in tmp_path.iterdir():
                path.unlink()
        try:
            readers.READERS[name](seed, tmp_path)
            values += 1
        except readers.BabelscopeError:
            pass
    assert values
