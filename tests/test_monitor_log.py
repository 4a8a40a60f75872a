"""What a monitor measures is what a study would; it keeps to its budget; its log tells what was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import babelscope
from babelscope.corpora import Corpus
from babelscope.errors import BabelscopeError, DataError, UsageError
from babelscope.gaps import KINDS
from babelscope.models import Model
from babelscope.monitor import FunctionProbe, GapMonitor, ModelProbe, loop, read_log
from babelscope.monitor.pace import Pace
from babelscope.similarity import score

GENERATOR = np.random.default_rng(0)
TEXT = {language: GENERATOR.normal(size=(20, 6)) for language in ("xa", "xb")}
SPEECH = {language: TEXT[language] + GENERATOR.normal(size=(20, 6)) for language in ("xa", "xb")}


def still(speech: Any, text: Any) -> FunctionProbe:
    return FunctionProbe(speech, text, modules=[])


def named(point: str, side: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {language: {point: rows} for language, rows in side.items()}


def rows_of(monitor: GapMonitor) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    return {(row["kind"], row["measure"], row["language_a"], row["language_b"]): row for row in monitor.measure(0)}


def test_the_numbers_are_those_of_score(tmp_path: Path) -> None:
    kinds = ("modality_similarity", "language_similarity_text", "language_similarity_speech", "cross_similarity")
    probe = still(named("out", SPEECH), named("out", TEXT))
    rows = rows_of(GapMonitor(probe, tmp_path / "log", kinds=kinds))
    sides = {
        ("modality_similarity", "xa", "xa"): (SPEECH["xa"], TEXT["xa"]),
        ("modality_similarity", "xb", "xb"): (SPEECH["xb"], TEXT["xb"]),
        ("language_similarity_text", "xa", "xb"): (TEXT["xa"], TEXT["xb"]),
        ("language_similarity_speech", "xa", "xb"): (SPEECH["xa"], SPEECH["xb"]),
        ("cross_similarity", "xa", "xb"): (SPEECH["xa"], TEXT["xb"]),
        ("cross_similarity", "xb", "xa"): (SPEECH["xb"], TEXT["xa"]),
    }
    assert len(rows) == len(sides) * 3
    for (kind, a, b), (x, y) in sides.items():
        for measure in ("linear_cka", "retrieval", "centroid_gap"):
            wanted = score(x.astype(np.float32), y.astype(np.float32), measure)
            row = rows[kind, measure, a, b]
            assert row["value"] == pytest.approx(wanted.value, abs=1e-12)
            for name in ("null_mean", "null_q95", "chance_corrected", "calibrated", "p"):
                expected = getattr(wanted, name)
                assert row[name] is None if math.isnan(expected) else row[name] == pytest.approx(expected)


@pytest.mark.parametrize(
    "speech",
    [
        named("out", SPEECH),
        lambda: named("out", SPEECH),
        {language: lambda rows=rows: {"out": rows} for language, rows in SPEECH.items()},
        {language: {"out": torch.tensor(rows, dtype=torch.float64)} for language, rows in SPEECH.items()},
    ],
    ids=["arrays", "one function", "a function a language", "tensors"],
)
def test_a_side_may_be_given_in_many_ways(speech: Any) -> None:
    found = still(speech, named("out", TEXT)).read()
    assert {tuple(place) for place in found} == {(m, "out", one) for m in ("speech", "text") for one in ("xa", "xb")}
    np.testing.assert_allclose(next(iter(found.values())), SPEECH["xa"], rtol=1e-6)


def test_points_of_other_names_are_held_against_the_last_of_text_alone(tmp_path: Path) -> None:
    text = {"early": GENERATOR.normal(size=(20, 4)), "late": GENERATOR.normal(size=(20, 4)), "joint": TEXT["xa"]}
    speech = {"first": SPEECH["xa"] @ GENERATOR.normal(size=(6, 3)), "joint": SPEECH["xa"]}
    rows = GapMonitor(still(speech, text), tmp_path / "log").measure(0)
    assert {(row["point"], row["against"], row["measure"]) for row in rows} == {
        ("first", "late", "linear_cka"),
        ("joint", "joint", "linear_cka"),
        ("joint", "joint", "retrieval"),
        ("joint", "joint", "centroid_gap"),
    }
    with pytest.raises(DataError, match="has the name"):
        GapMonitor(still({"first": SPEECH["xa"]}, text), tmp_path / "other", measures=["retrieval"]).measure(0)


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (still({"out": np.full((20, 6), np.nan)}, {"out": TEXT["xa"]}), r"speech/out/all holds NaN in row 0"),
        (still({"out": SPEECH["xa"][:-1]}, {"out": TEXT["xa"]}), r"19 sentences .* 20"),
        (still({"out": SPEECH["xa"][:, :-1]}, {"out": TEXT["xa"]}), r"5 features"),
        (still({"out": SPEECH["xa"]}, named("out", TEXT)), r"no comparison"),
        (still({}, {"out": TEXT["xa"]}), r"not a mapping of point to array"),
        (still({"xa": {"out": SPEECH["xa"]}, "out": SPEECH["xa"]}, {"out": TEXT["xa"]}), r"mixes points and languages"),
        (still({"out": [["a"]]}, {"out": TEXT["xa"]}), r"speech/out/all is no array of numbers"),
    ],
)
def test_a_wrong_probe_is_told_at_once_in_one_line(probe: FunctionProbe, said: str, tmp_path: Path) -> None:
    with pytest.raises(BabelscopeError, match=said) as caught:
        GapMonitor(probe, tmp_path / "log").step(0)
    assert "\n" not in str(caught.value)


def test_wrong_options_are_told(tmp_path: Path) -> None:
    probe = still(named("out", SPEECH), named("out", TEXT))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"every": 0}, "every"),
        ({"budget": 0.0}, "budget"),
        ({"kinds": ["modality_gpa"]}, "did you mean 'modality_similarity'"),
        ({"measures": ["linear_kca"]}, "did you mean 'linear_cka'"),
        ({"to": [3]}, "add_scalar"),
    ]
    for options, said in wrong:
        with pytest.raises(UsageError, match=said):
            GapMonitor(probe, tmp_path / "log", **options)
    monitor = GapMonitor(probe, tmp_path / "log")
    monitor.step(5)
    with pytest.raises(UsageError, match="steps must not go back"):
        monitor.step(4)


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(loop, "Pace", partial(Pace, clock=clock))
    return clock


def slow(clock: Clock, seconds: float, broken: Callable[[], bool] = lambda: False) -> FunctionProbe:
    def speech() -> dict[str, dict[str, Any]]:
        clock.now += seconds
        return named("out", {one: rows * (np.nan if broken() else 1) for one, rows in SPEECH.items()})

    return still(speech, named("out", TEXT))


def test_probing_keeps_to_its_share_of_the_training_time(clock: Clock, tmp_path: Path) -> None:
    """A probe costs 2 s, a step .1 s: 5 % allow one every 400 steps, not every 100."""
    probed = []
    with GapMonitor(slow(clock, 2.0), tmp_path / "log", every=100) as monitor:
        for step in range(3001):
            clock.now += 0.1
            if monitor.step(step):
                probed.append(step)
            elif step >= 800:
                assert monitor.share <= 0.05
    assert probed[0] == 0
    assert np.diff(probed)[1:].tolist() == [400] * (len(probed) - 2)
    assert 0.04 < monitor.share <= 0.05
    events = [json.loads(line) for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()]
    waits = [event for event in events if event["event"] == "waits"]
    assert [event["step"] for event in waits] == [step + 100 for step in probed if step + 100 <= 3000]
    assert {event["interval"] for event in waits[1:]} <= {400, 401}
    assert "2 s" in waits[0]["because"]
    assert "5.0%" in waits[0]["because"]
    steps = [event["steps"] for event in events if event["event"] == "gaps"]
    assert steps == [None, *np.diff(probed)]


def test_a_cheap_probe_is_taken_as_often_as_asked(clock: Clock, tmp_path: Path) -> None:
    with GapMonitor(slow(clock, 0.01), tmp_path / "log", every=10) as monitor:
        probed = []
        for step in range(96):
            clock.now += 0.1
            if monitor.step(step):
                probed.append(step)
    assert probed[2:] == list(range(probed[2], 96, 10))
    assert read_log(tmp_path / "log")["step"].max() == 95  # the last step has a probe, taken at the end


def test_what_goes_wrong_later_does_not_stop_a_training(clock: Clock, tmp_path: Path) -> None:
    broken = False
    monitor = GapMonitor(slow(clock, 0.0, lambda: broken), tmp_path / "log", every=1)
    for step in range(6):
        clock.now += 1.0
        broken = 2 <= step < 4
        if step == 2:
            with pytest.warns(UserWarning, match=r"step 2 could not be measured: .*NaN"):
                assert monitor.step(step)
        else:
            monitor.step(step)
    assert read_log(tmp_path / "log")["step"].unique().tolist() == [0, 1, 4, 5]
    failed = [line for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines() if '"failed"' in line]
    assert [json.loads(line)["step"] for line in failed] == [2, 3]
    with pytest.raises(DataError, match="NaN"):
        broken = True
        monitor.measure(6)


def test_a_killed_run_goes_on_in_its_log(clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.jsonl"

    def training(first: int, last: int) -> None:
        monitor = GapMonitor(slow(clock, 0.1), path, every=10)
        for step in range(first, last + 1):
            clock.now += 1.0
            monitor.step(step)  # and no close

    training(0, 35)
    assert read_log(path)["step"].unique().tolist() == [0, 10, 20, 30]
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "gaps", "step": 40, "ga')
    assert read_log(path)["step"].max() == 30  # read while it is being written
    training(25, 45)  # from a checkpoint before the last probe
    log = read_log(path)
    assert log["step"].unique().tolist() == [0, 10, 20, 30, 40]
    assert not log.duplicated(["step", "measure", "language_a", "language_b"]).any()
    assert path.read_bytes().startswith(whole)
    assert log["share"].iloc[-1] == pytest.approx(0.6 / (35 + 20 - 5), rel=0.2)  # the time of both runs
    with pytest.raises(UsageError, match=r"log of another monitor \(other measures\)"):
        GapMonitor(slow(clock, 0.1), path, measures=["linear_cka"])
    path.write_text("no event\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(DataError, match="line 1"):
        read_log(path)
    with pytest.raises(DataError, match="there is no log"):
        read_log(tmp_path / "nothing")


def test_a_model_is_probed_at_its_points_as_a_study_measures_them(
    tiny_model: Model, tones: Corpus, tmp_path: Path
) -> None:
    model = tiny_model.select_points(["speech.layer.*", "text.layer.2", "text.pooled"])
    probe = ModelProbe(model, tones, sentences=None, batch_size=5)
    kinds = tuple(KINDS)
    rows = GapMonitor(probe, tmp_path / "log", measures=["linear_cka", "retrieval"], kinds=kinds).measure(0)
    activations = babelscope.encode(model, tones, tmp_path / "store.zarr")
    study = babelscope.compare(activations, ["linear_cka", "retrieval"], controls=["none"], interval=False).scores
    keys = ["kind", "point_a", "point_b", "language_a", "language_b", "measure"]
    wanted = study.set_index(keys)["value"].to_dict()
    names = ("kind", "point", "against", "language_a", "language_b", "measure")
    found = {tuple(row[name] for name in names): row["value"] for row in rows}
    assert found.keys() == wanted.keys()
    for key, value in found.items():
        assert value == pytest.approx(wanted[key], abs=1e-5), key


def test_a_model_can_be_trained_after_it_was_probed(tiny_model: Model, tones: Corpus, tmp_path: Path) -> None:
    model = tiny_model.select_points(["speech.layer.*", "text.pooled"])
    side = model.sides["text"]
    side.root.requires_grad_(True).train()
    try:
        probe = ModelProbe(model, tones, sentences=8)
        assert probe.describe()["sentences"] == list(ModelProbe(model, tones, sentences=8).corpus.sentences)
        assert len(probe.corpus.sentences) == 8
        GapMonitor(probe, tmp_path / "log").step(0)
        assert all(module.training for module in side.root.modules())
        pooled = side.forward(side.collate([side.prepare("good day", "xa")]))
        torch.stack([vector.sum() for vector in pooled.values()]).sum().backward()  # type: ignore[no-untyped-call]
        assert any(p.grad is not None for p in side.root.parameters())
    finally:
        side.root.requires_grad_(False).eval()
        side.root.zero_grad()


def test_tensorboard_and_functions_get_the_means(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    writer = tensorboard.SummaryWriter(tmp_path / "board")
    told: list[tuple[int, dict[str, float]]] = []
    probe = still(named("out", SPEECH), named("out", TEXT))
    monitor = GapMonitor(probe, tmp_path / "log", to=[writer, lambda scalars, step: told.append((step, scalars))])
    monitor.step(7)
    writer.close()
    log = read_log(tmp_path / "log")
    mean = log[log["measure"] == "retrieval"][["value", "chance_corrected"]].mean()
    name = "babelscope/modality_similarity/retrieval/out"
    assert told == [(7, told[0][1])]
    assert told[0][1][name] == pytest.approx(mean["value"])
    assert told[0][1][f"{name}/chance_corrected"] == pytest.approx(mean["chance_corrected"])
    assert "babelscope/modality_similarity/centroid_gap/out/chance_corrected" not in told[0][1]
    held = reading.EventAccumulator(str(tmp_path / "board"))
    held.Reload()
    assert set(held.Tags()["scalars"]) == told[0][1].keys()
    (event,) = held.Scalars(name)
    assert (event.step, event.value) == (7, pytest.approx(mean["value"], rel=1e-6))


@pytest.mark.slow
def test_weights_and_biases_get_the_means_with_their_own_axis(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    settings = wandb.Settings(mode="offline", console="off", silent=True)
    with wandb.init(project="gaps", dir=str(tmp_path), settings=settings) as run:
        run.log({"loss": 1.0}, step=500)  # the script's own steps are ahead
        probe = still(named("out", SPEECH), named("out", TEXT))
        GapMonitor(probe, tmp_path / "log", to=[run]).step(7)
        held = dict(run.summary)
    value = read_log(tmp_path / "log").query("measure == 'retrieval'")["value"].mean()
    assert held["babelscope/modality_similarity/retrieval/out"] == pytest.approx(value)
    assert held["babelscope/step"] == 7


def test_modules_must_be_modules() -> None:
    with pytest.raises(UsageError, match=r"int is not a torch.nn.Module"):
        FunctionProbe({}, {}, modules=[nn.Linear(1, 1), 3])  # type: ignore[list-item]
