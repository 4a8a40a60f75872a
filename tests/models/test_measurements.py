"""What was measured of a model once is taken from the cache, until anything that it depends on changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from babelscope import models
from babelscope.models.adapters import speech, speech_llm
from babelscope.testing import tiny
from babelscope.verification import measurements


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def described(model: models.Model) -> list[object]:
    sides = model.sides.values()
    counted = [[(point.length(20_000), point.counted_by) for point in side.points] for side in sides]
    return [model.describe(), counted, model.notes, [side.longest for side in sides]]


@pytest.mark.parametrize(("name", "module"), [("w2v-bert", speech), ("granite-speech", speech_llm)])
def test_lengths_are_measured_once(
    name: str, module: object, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny(name, tmp_path / name)
    first = models.load(f"hf:{folder}")
    (kept,) = (cache / "lengths").glob("*.json")

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("lengths were measured again")

    monkeypatch.setattr(module, "chain_through", refused)
    again = models.load(f"hf:{folder}")
    assert described(again) == described(first)
    monkeypatch.undo()
    monkeypatch.setenv("BABELSCOPE_CACHE", str(cache))

    whole = kept.read_text()
    kept.write_text(whole.replace('\\"chain\\": [', '\\"chain\\": [1'))  # an edited entry is made anew
    assert described(models.load(f"hf:{folder}")) == described(first)
    assert kept.read_text() == whole

    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | {"unread": 1}))
    models.load(f"hf:{folder}")
    assert len(list((cache / "lengths").glob("*.json"))) == 2


def test_a_change_to_the_code_changes_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "models" / "adapters"
    inner.mkdir(parents=True)
    (inner / "a.py").write_text("a = 1\n")
    before = measurements.code_version.__wrapped__(tmp_path)
    assert before == measurements.code_version.__wrapped__(tmp_path)
    (inner / "a.py").write_text("a = 2\n")
    after = measurements.code_version.__wrapped__(tmp_path)
    (inner / "a.py").rename(inner / "b.py")
    assert len({before, after, measurements.code_version.__wrapped__(tmp_path)}) == 3
    key = measurements.key_of({"weights": []})
    monkeypatch.setattr(measurements, "code_version", lambda: "another")
    assert measurements.key_of({"weights": []}) != key


def test_the_code_that_is_counted_is_that_which_measures() -> None:
    folder = Path(measurements.__file__).parents[1]
    counted = {path.relative_to(folder).as_posix() for pattern in measurements.CODE for path in folder.glob(pattern)}
    assert {"sides.py", "models/adapters/counting.py", "verification/checks.py"} <= counted
    assert measurements.code_version() == measurements.code_version.__wrapped__(folder)
