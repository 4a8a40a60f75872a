"""A comparison that was stopped goes on from its parts, to the same bits; torn and foreign parts are not used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from babelscope.capture import Activations, encode
from babelscope.corpora import Corpus
from babelscope.gaps import Result, compare
from babelscope.gaps.folder import clear
from babelscope.models import Model
from babelscope.similarity import checkpoint as module

#: The second has neither a null nor intervals in closed form.
MEASURES = ("linear_cka", "anc")  # intervals in closed form, and drawn
OPTIONS: dict[str, Any] = {
    "controls": ("none", "length_regressed", "shuffled"),
    "permutations": 19,
    "kinds": ("modality_similarity",),
}


@pytest.fixture(scope="module")
def held(tiny_model: Model, tones: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Activations:
    model = tiny_model.select_points(["*.norm", "*.pooled"])
    return encode(model, tones, tmp_path_factory.mktemp("parts") / "a.zarr")


def _compare(held: Activations, parts: Path, measures: tuple[str, ...] = MEASURES, **more: Any) -> Result:
    return compare(held, measures, checkpoint=parts, **OPTIONS, **more)


def _stopping(after: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Stop a comparison when so many parts are saved; return the names of all that are saved."""
    saved: list[str] = []
    real: Callable[..., None] = module.Checkpoint.save

    def save(self: module.Checkpoint, name: str, block: dict[str, Any]) -> None:
        if len(saved) == after:
            raise KeyboardInterrupt
        real(self, name, block)
        saved.append(f"{self.folder.name}/{name}")

    patch.setattr(module.Checkpoint, "save", save)
    return saved


def _same(one: Result, other: Result) -> bool:
    tables = one.tables.keys() | other.tables.keys()
    frames = [(one.scores, other.scores), (one.curves, other.curves)]
    return all(a.equals(b) for a, b in [*frames, *((one.tables[name], other.tables[name]) for name in tables)])


def test_it_goes_on_with_the_same_bits_and_does_nothing_twice(
    held: Activations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = compare(held, MEASURES, **OPTIONS)
    with monkeypatch.context() as patch:
        everything = _stopping(10**6, patch)
        assert _same(_compare(held, tmp_path / "whole"), undisturbed)
    assert len(set(everything)) == len(everything) > 20
    stops = (0, 3, len(everything) // 2, len(everything) - 1)
    for after in stops:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            before = _stopping(after, patch)
            _compare(held, tmp_path / "parts")
        with monkeypatch.context() as patch:
            rest = _stopping(10**6, patch)
            assert _same(_compare(held, tmp_path / "parts"), undisturbed)
        assert sorted(before + rest) == sorted(everything)
        clear(tmp_path / "parts")


@pytest.mark.parametrize("tear", [lambda path: b"", lambda path: path.read_bytes()[:-7]], ids=["empty", "cut"])
def test_torn_parts_are_made_anew(held: Activations, tmp_path: Path, tear: Callable[[Path], bytes]) -> None:
    first = _compare(held, tmp_path / "parts")
    files = [path for path in sorted((tmp_path / "parts").rglob("*")) if path.is_file()]
    for path in files[::2]:
        path.write_bytes(tear(path))
    assert _same(_compare(held, tmp_path / "parts"), first)


def test_parts_of_another_comparison_are_not_taken_and_go(held: Activations, tmp_path: Path) -> None:
    _compare(held, tmp_path / "parts")
    other = _compare(held, tmp_path / "parts", seed=5)
    assert len(list((tmp_path / "parts").iterdir())) == 1
    assert _same(other, compare(held, MEASURES, **OPTIONS, seed=5))
