"""``pocket`` and its controls: what is shared is shared, windows of all lengths in one batch, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from babelscope import models
from babelscope.capture import Capture
from babelscope.errors import DataError, FetchError, UsageError
from babelscope.models import Model, Stage
from babelscope.plugins.pocket import whisper
from babelscope.plugins.pocket.adapter import AdapterShape, PocketAdapter, save_adapter
from babelscope.plugins.pocket.model import Memory, held_out, planned
from babelscope.plugins.pocket.ridge import FORMAT, RidgeMap, load_ridge, save_ridge
from babelscope.testing import ModelTests
from babelscope.verification import deviations
from conftest import tone

TINY = AdapterShape(input_width=16, width=12, hidden=20)
CONTROLS = ("untrained", "ridge")


@pytest.fixture(scope="module")
def folder(pocket_folder: Path) -> Path:
    return pocket_folder


def load(folder: Path, **options: object) -> Model:
    return models.load("pocket", weights=str(folder), options=options)


@pytest.fixture(scope="module")
def pocket(folder: Path) -> Model:
    return load(folder)


class TestPocket(ModelTests):
    """In Whisper's shortest window, which is two seconds less a sample."""

    languages = ("xa", "xb")
    window = 31_999
    hop = 160

    @pytest.fixture
    def model(self, pocket: Model) -> Model:
        return pocket


class TestRidge(ModelTests):
    window = 31_999
    modulus = 4

    @pytest.fixture
    def model(self, folder: Path) -> Model:
        return load(folder, adapter="ridge")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1_600, 80_000), min_size=2, max_size=4))
def test_recordings_in_several_windows_are_what_they_are_alone(pocket: Model, sizes: list[int]) -> None:
    side = pocket.sides["speech"]
    worst = deviations(side, [side.prepare(tone(size / 16_000, 200 + size % 300, size), "xa") for size in sizes])
    assert max(worst.values()) <= 1e-5, worst


@pytest.fixture(scope="module")
def real() -> Model:
    return models.load("pocket")


def test_it_is_shown_before_its_weights_are_here(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path))
    alone = tmp_path / "alone"
    alone.mkdir()
    wide = AdapterShape()
    save_adapter(PocketAdapter.untrained(0, torch.randn(9, 384), wide), alone / "adapter.safetensors", {})
    shown = planned("pocket", str(alone))
    assert shown.shared_points[0] == "shared.input" and shown.shared_points[-2:] == ("shared.layer.11", "shared.pooled")
    speech = {point.name: point for point in shown.sides["speech"].points}
    assert speech["shared.input"].formula == "A + 5" and speech["speech.layer.5"].width == 512
    with pytest.raises(FetchError, match="babelscope fetch whisper-base"):
        load(alone)


@pytest.mark.slow
@pytest.mark.assets
class TestRealPocket(ModelTests):
    """The real weights, to what float32 leaves of them at their depth."""

    window = 31_999
    tolerance = 2e-4
    modulus = 8

    @pytest.fixture
    def model(self, real: Model) -> Model:
        return real


@pytest.mark.slow  # as for tiny ones, and as Whisper and E5 are: capture/test_hooks.py
@pytest.mark.assets
def test_the_real_weights_are_exact_under_padding(real: Model) -> None:
    shown = planned("pocket")
    assert [shown.sides[side].points for side in shown.sides] == [real.sides[side].points for side in real.sides]
    recordings = [tone(seconds, 180 + 90 * seed, seed) for seed, seconds in enumerate((0.5, 1.9, 2.2, 4.0))]
    texts = ["a", "Guten Morgen", "the conference is full", "пожалуйста, введите номер"]
    # In float32 rounding alone makes 5e-5 of it, deep down; a leak would stay in float64.
    for side, items in ((real.sides["speech"], recordings), (real.sides["text"], texts)):
        side.root.double()
        try:
            worst = deviations(side, [side.prepare(item, "en") for item in items])
        finally:
            side.root.float()
        assert max(worst.values()) <= 1e-6, worst


def test_the_points_go_from_whisper_through_length_adaptation_to_the_shared_layers(pocket: Model) -> None:
    speech = {point.name: point for point in pocket.sides["speech"].points}
    assert list(speech) == [
        "speech.conv1", "speech.conv2", "speech.input", "speech.layer.0", "speech.layer.1", "speech.norm",
        "speech.before_adaptation", "speech.adaptation.0", "speech.adaptation.1", "speech.adaptation.2",
        "speech.after_adaptation", "shared.input", "shared.layer.0", "shared.layer.1", "shared.layer.2",
        "shared.pooled",
    ]  # fmt: skip
    assert pocket.shared_points == tuple(speech)[-5:]
    assert [point.name for point in pocket.sides["text"].points] == ["text.words", *tuple(speech)[-5:]]
    adaptation = [name for name, point in speech.items() if point.stage is Stage.LENGTH_ADAPTATION]
    assert adaptation[0] == "speech.before_adaptation" and adaptation[-1] == "speech.after_adaptation"
    # 1 s: 100 mel frames, 50 positions, 25, 13, 7; <s>, seven letters of the prefix and </s> around them
    assert [speech[name].length(16_000) for name in (*adaptation, "shared.input")] == [50, 25, 13, 7, 7, 7 + 9]


def test_text_is_what_e5_makes_of_it(pocket: Model, e5_folder: Path) -> None:
    e5 = models.load("e5-small", weights=str(e5_folder)).sides["text"]
    joint = pocket.sides["text"]
    for text in ("hello there", "a"):
        with Capture(e5) as alone, Capture(joint) as shared:
            want = alone.run(e5.collate([e5.prepare(text, "xa")]))
            have = shared.run(joint.collate([joint.prepare(text, "xa")]))
        for name in ("layer.0", "layer.2", "pooled"):
            torch.testing.assert_close(have[f"shared.{name}"], want[f"text.{name}"], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("seconds", [1.3, 2.5])
def test_speech_is_heard_as_whisper_hears_it_in_that_window(
    pocket: Model, whisper_folder: Path, seconds: float
) -> None:
    heard = models.load("whisper-base", weights=str(whisper_folder), window_seconds=max(2, int(seconds) + 1))
    apart, joint = heard.sides["speech"], pocket.sides["speech"]
    samples = tone(seconds, 300)
    others = [tone(length, 200, seed) for seed, length in enumerate((0.4, 3.2, 5.0))]
    with Capture(apart) as alone, Capture(joint) as shared:
        want = alone.run(apart.collate([apart.prepare(samples, "xa")]))
        have = shared.run(joint.collate([joint.prepare(one, "xa") for one in (samples, *others)]))
    for name in ("speech.conv2", "speech.layer.1", "speech.norm"):
        torch.testing.assert_close(have[name][:1], want[name], atol=2e-5, rtol=1e-4)


def test_a_control_has_the_same_text_side_and_says_that_it_is_one(pocket: Model, folder: Path) -> None:
    for adapter in CONTROLS:
        control = load(folder, adapter=adapter)
        assert control.options["adapter"] == adapter and "this is a control" in " ".join(control.notes)
        assert "shared.pooled" in control.shared_points
        text, own = pocket.sides["text"], control.sides["text"]
        with Capture(text) as one, Capture(own) as other:
            want = one.run(text.collate([text.prepare("some words", "xa")]))
            have = other.run(own.collate([own.prepare("some words", "xa")]))
        assert all(torch.equal(want[name], have[name]) for name in want)
        assert control.revision != pocket.revision


def test_the_untrained_adapter_is_given_by_its_seed(folder: Path) -> None:
    drawn = [load(folder, adapter="untrained", seed=seed) for seed in (0, 0, 1)]
    outputs = []
    for model in drawn:
        side = model.sides["speech"]
        with Capture(side) as capture:
            outputs.append(capture.run(side.collate([side.prepare(tone(1, 300), "xa")]))["speech.after_adaptation"])
    assert torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[0], outputs[2])
    assert [model.options["seed"] for model in drawn] == [0, 0, 1]


def test_the_ridge_control_maps_whispers_mean(folder: Path, pocket: Model) -> None:
    ridge, _ = load_ridge(folder / "ridge.safetensors")
    control = load(folder, adapter="ridge").sides["speech"]
    speech = pocket.sides["speech"]
    with Capture(control) as one, Capture(speech) as other:
        have = one.run(control.collate([control.prepare(tone(1.5, 250), "xa")]))["shared.pooled"]
        mean = other.run(speech.collate([speech.prepare(tone(1.5, 250), "xa")]))["speech.norm"]
    with torch.no_grad():
        want = torch.nn.functional.normalize(ridge(mean.clone()), dim=1)
    torch.testing.assert_close(have.clone(), want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"adapter": "untraind"}, "did you mean 'untrained'"),
        ({"adaptor": "trained"}, "no option 'adaptor'; did you mean 'adapter'"),
        ({"adapter": "trained", "seed": 1}, "takes no seed"),
        ({"adapter": "untrained", "seed": -1}, "not a whole number"),
        ({"adapter": "untrained", "seed": 1.5}, "not a whole number"),
    ],
)
def test_a_wrong_option_is_told(folder: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load(folder, **options)


@pytest.mark.parametrize("adapter", CONTROLS)
def test_a_variant_is_what_is_loaded_and_whisper_runs_once(
    folder: Path, adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(folder)
    own = models.variant(loaded, {"adapter": adapter})
    alone = load(folder, adapter=adapter)
    assert own is not None and own.options == alone.options and own.revision == alone.revision
    assert own.describe() == alone.describe()
    runs: list[int] = []
    hear = whisper.hear

    def counted(*given: Any) -> Any:
        runs.append(len(given[2]))
        return hear(*given)

    monkeypatch.setattr(whisper, "hear", counted)
    recordings = [tone(seconds, 250, seed) for seed, seconds in enumerate((0.7, 2.4, 3.1))]

    def run(model: Model, which: list[int]) -> torch.Tensor:
        side = model.sides["speech"]
        with Capture(side) as capture:
            items = [side.prepare(recordings[index], "xa") for index in which]
            return capture.run(side.collate(items))["shared.pooled"]

    run(loaded, [0, 1, 2])
    late = own.select_points(["shared.pooled"])
    assert torch.equal(run(late, [0, 1, 2]), run(alone, [0, 1, 2]))
    assert runs == [3, 3]  # the first, and that of the model that was loaded alone
    assert torch.equal(run(late, [2, 0]), run(alone, [2, 0]))
    assert runs[2:] == [2, 2]  # another batch
    run(own, [0, 1, 2])  # looks inside Whisper
    assert runs[4:] == [3]
    assert models.variant(models.load("e5-small", weights=str(folder / "e5")), {}) is None


def test_what_whisper_said_is_forgotten_beyond_the_budget() -> None:
    memory = Memory(budget=2 * 400)
    for name in (b"a", b"b", b"c"):
        memory.keep(name, torch.zeros(10, 10))
    assert list(memory.held) == [b"b", b"c"] and memory.size == 800


def test_what_does_not_fit_or_is_not_there_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pocket takes no window"):
        models.load("pocket", weights=str(folder), window_seconds=8)
    with pytest.raises(DataError, match=r"there is no .*nowhere"):
        models.load("pocket", weights=str(tmp_path / "nowhere"))
    shutil.copytree(folder, tmp_path / "other")
    wide = AdapterShape(input_width=16, width=10, hidden=4)
    save_adapter(PocketAdapter.untrained(0, torch.randn(9, 10), wide), tmp_path / "other" / "adapter.safetensors", {})
    with pytest.raises(DataError, match="maps 16 features to 10, but Whisper here has 16 and E5 12"):
        models.load("pocket", weights=str(tmp_path / "other"))
    (tmp_path / "other" / "ridge.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"ridge map .* cannot be read"):
        load(tmp_path / "other", adapter="ridge")
    with pytest.raises(DataError, match="positions, more than the 80"):
        side = load(folder).sides["speech"]
        side.prepare(tone(14, 300), "xa")


def test_a_ridge_map_of_bad_numbers_is_refused(tmp_path: Path) -> None:
    save_ridge(RidgeMap(np.full((3, 2), np.nan), np.zeros(2)), tmp_path / "ridge.safetensors", {})
    with pytest.raises(DataError, match="not finite"):
        load_ridge(tmp_path / "ridge.safetensors")
    save_file({"weight": torch.zeros(1)}, tmp_path / "ridge.safetensors", {"format": FORMAT})
    with pytest.raises(DataError, match="not a ridge map of this version"):
        load_ridge(tmp_path / "ridge.safetensors")


def test_held_out_sentences_are_told(tmp_path: Path) -> None:
    listed = tmp_path / "split.json"
    with pytest.raises(DataError, match="cannot be read"):
        held_out("asterisk", listed)
    listed.write_text(json.dumps({"test": {"asterisk": ["a", "b"]}}), encoding="utf-8")
    assert held_out("asterisk", listed) == ("a", "b")
    assert len(models.held_out("pocket", "asterisk")) == len(set(models.held_out("pocket", "asterisk"))) >= 40
    with pytest.raises(UsageError, match="did you mean 'asterisk'"):
        held_out("asterix", listed)
    with pytest.raises(UsageError, match="does not say which sentences were held out"):
        models.held_out("e5-small", "asterisk")
