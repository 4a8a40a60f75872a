"""``verify`` names every fault that is planted in a sound toy model, and finds nothing in the sound one."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from babelscope import models
from babelscope.cli import main
from babelscope.errors import DataError, UsageError
from babelscope.models import Batch, Model, Point, Prepared, Side, Stage, WeightsFile
from babelscope.sides import Modality, spread_depths_before
from babelscope.testing import tiny
from babelscope.verification import Row, Verification, apply, own_forward, probe, shortest, verify
from babelscope.verification.table import to_table

HOP, WIDTH = 160, 6


class Adapted(nn.Module):
    """A linear map with a low-rank update that can be switched off, as LoRA is."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.map = nn.Linear(WIDTH, WIDTH)
        self.update = nn.Linear(WIDTH, WIDTH, bias=False)
        self.active = True

    def forward(self, values: Tensor) -> Tensor:
        mapped: Tensor = self.map(values)
        return torch.tanh(mapped + self.update(values) if self.active else mapped)


def halved(samples: int) -> int:
    return (samples // HOP + 1) // 2


class ToySide(Side):
    """What both sides have: two shared layers behind whatever comes before."""

    family = "toy"

    def __init__(self, shared: nn.Module, fault: str = "") -> None:
        self.fault = fault
        self.shared = shared
        self.calls = 0

    def share(self, values: Tensor, adapter: bool = True) -> None:
        for layer in self.root.get_submodule("shared").children():
            layer.active = adapter  # type: ignore[assignment]
            values = layer(values)

    def shared_points(self, **how: Any) -> list[Point]:
        return [Point(f"shared.layer.{index}", Stage.SHARED, 0, WIDTH, f"shared.{index}", **how) for index in (0, 1)]


class ToySpeech(ToySide):
    """Frames of 160 samples, halved in number by a convolution, then the shared layers."""

    modality: Modality = "speech"
    unit = "samples at 16 kHz"

    def __init__(self, shared: nn.Module, fault: str = "") -> None:
        super().__init__(shared, fault)
        torch.manual_seed(0)
        frames, convolution = nn.Linear(HOP, WIDTH), nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.root: nn.Module = nn.ModuleDict({"frames": frames, "halved": convolution, "shared": shared})
        self.root.eval().requires_grad_(False)
        how: dict[str, Any] = {"length": halved, "formula": "(n // 160 + 1) // 2"}
        own = [
            Point("speech.frames", Stage.FRONT_END, 0, WIDTH, "frames", length=lambda n: n // HOP, formula="n // 160"),
            Point("speech.halved", Stage.ENCODER, 0, WIDTH, "halved", layout="bdt", **how),
        ]
        self.points = spread_depths_before(own, self.shared_points(**how), 2)

    def prepare(self, item: Any, language: str) -> Prepared:
        samples = torch.as_tensor(np.asarray(item, dtype=np.float32))
        if len(samples) < HOP and self.fault == "crashes when short":
            raise IndexError("of nothing")
        if len(samples) < HOP:
            raise DataError("the recording is too short")
        return Prepared({"samples": samples}, len(samples))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        padded = nn.utils.rnn.pad_sequence([item.inputs["samples"] for item in items], batch_first=True)
        return Batch.of({"samples": padded}, items)

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        module = self.root.get_submodule
        samples = batch.inputs["samples"]
        count = samples.shape[1] // HOP
        values = module("frames")(samples[:, : count * HOP].reshape(len(samples), count, HOP).to(self.dtype))
        if self.fault == "fires twice":
            module("frames")(samples[:, :HOP].to(self.dtype))
        if self.fault == "NaN when short" and count < 3:
            values = values / 0.0 * 0.0
        if self.fault == "NaN of silence" and not samples.any():
            values = values * float("nan")
        if self.fault == "NaN at full scale" and float(samples.abs().max()) >= 1:
            values = values * float("nan")
        if self.fault == "not the same twice":
            self.calls += 1
            values = values + 1e-3 * self.calls
        if self.fault != "reads padding":
            lengths = torch.tensor([length // HOP for length in batch.lengths])
            values = values * (torch.arange(count)[None] < lengths[:, None])[..., None]
        if self.fault == "overflows":
            values = values * 6e4
        values = module("halved")(values.transpose(1, 2)).transpose(1, 2)
        self.share(values, self.fault != "adapter for text alone")
        return {}

    @property
    def dtype(self) -> torch.dtype:
        return next(self.root.parameters()).dtype

    def reference(self, item: Any, language: str) -> Mapping[str, Tensor] | None:
        if not self.fault.startswith("own forward"):
            return None
        samples = torch.as_tensor(np.asarray(item, dtype=np.float32))
        loudness = 1.1 if self.fault == "own forward normalises" else 1.0
        prepared = ToySpeech.collate(self, [Prepared({"samples": loudness * samples}, len(samples))])
        return own_forward(self, lambda: ToySpeech.forward(self, prepared))


class ToyText(ToySide):
    """A letter a token, embedded, then the shared layers."""

    modality: Modality = "text"
    unit = "tokens"

    def __init__(self, shared: nn.Module, fault: str = "") -> None:
        super().__init__(shared, fault)
        torch.manual_seed(1)
        self.root: nn.Module = nn.ModuleDict({"embed": nn.Embedding(128, WIDTH), "shared": shared})
        self.root.eval().requires_grad_(False)
        own = [Point("text.embeddings", Stage.FRONT_END, 0, WIDTH, "embed")]
        self.points = spread_depths_before(own, self.shared_points(), 2)

    def prepare(self, item: Any, language: str) -> Prepared:
        if not str(item).strip():
            raise DataError("the text is empty")
        ids = torch.tensor([ord(letter) % 128 for letter in str(item)])
        return Prepared({"input_ids": ids}, len(ids))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        padded = nn.utils.rnn.pad_sequence([item.inputs["input_ids"] for item in items], batch_first=True)
        return Batch.of({"input_ids": padded}, items)

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        self.share(self.root.get_submodule("embed")(batch.inputs["input_ids"]))
        return {}


def toy(fault: str = "", *, own_layers: bool = False) -> Model:
    """A model of both sides, broken in one way."""
    shared, other = (nn.Sequential(Adapted(seed), Adapted(seed + 1)).eval() for seed in (10, 10))
    sides: dict[Modality, Side] = {
        "text": ToyText(other if own_layers else shared, fault),
        "speech": ToySpeech(shared, fault),
    }
    return Model("toy", sides, (WeightsFile("toy.safetensors", "ab" * 32, "here"),))


def changed(place: str, /, **changes: Any) -> Model:
    """A model of which one point of the speech side is described otherwise."""
    model = toy()
    side = model.sides["speech"]
    side.points = tuple(
        dataclasses.replace(point, **changes) if point.name == place else point for point in side.points
    )
    return model


def in_dtype(model: Model, dtype: torch.dtype) -> Model:
    for side in model.sides.values():
        side.root.to(dtype)
    return model


def training() -> Model:
    model = toy()
    model.sides["text"].root.train()
    return model


def without_module(model: Model) -> Model:
    side = model.sides["speech"]
    torch.manual_seed(0)
    side.root.add_module("unused", nn.Linear(2, 2))
    extra = Point("speech.unused", Stage.ENCODER, side.points[1].depth, 2, "unused", length=halved)
    side.points = (*side.points[:2], extra, *side.points[2:])
    side.root.eval().requires_grad_(False)
    return model


def reordered() -> Model:
    model = toy()
    first, second, *rest = model.sides["speech"].points
    model.sides["speech"].points = (
        dataclasses.replace(second, depth=first.depth),
        dataclasses.replace(first, depth=second.depth),
        *rest,
    )
    return model


#: How a model is broken: the check that fails, of which side, where first, and what is said.
FAULTS: dict[str, tuple[Callable[[], Model], str, str, str, str]] = {
    "a leak through padding": (lambda: toy("reads padding"), "batches", "speech", "speech.halved", ""),
    "a formula that is wrong for some lengths": (
        lambda: changed("speech.halved", length=lambda n: max(n // (2 * HOP), 1), formula="n // 320"),
        "lengths",
        "speech",
        "speech.halved",
        "have 2 positions, not 1 as claimed (n // 320)",
    ),
    "a stride that is wrong behind five seconds": (
        lambda: changed("speech.frames", length=lambda n: n // HOP + (n > 400_000), formula="wrong"),
        "lengths",
        "speech",
        "speech.frames",
        "480000 samples at 16 kHz have 3000 positions, not 3001",
    ),
    "a point that fires twice": (lambda: toy("fires twice"), "fires", "speech", "speech.frames", "runs 2 times"),
    "a point that does not fire": (
        lambda: without_module(toy()),
        "fires",
        "speech",
        "speech.unused",
        "does not run",
    ),
    "points in another order": (reordered, "fires", "speech", "speech.halved", "speech.frames runs before it"),
    "a call too many": (
        lambda: changed("speech.frames", call=1),
        "fires",
        "speech",
        "speech.frames",
        "runs once, not 2 times or more",
    ),
    "a wrong width": (
        lambda: changed("speech.halved", width=7),
        "widths",
        "speech",
        "speech.halved",
        "shape (1, 101, 6), not (1, n, 7)",
    ),
    "two models on the two sides": (
        lambda: toy(own_layers=True),
        "same modules",
        "both",
        "shared.layer.0",
        "parameters are not the same",
    ),
    "an adapter for one side alone": (
        lambda: toy("adapter for text alone"),
        "same modules",
        "both",
        "shared.layer.0",
        "(active is True for text, False for speech)",
    ),
    "NaN at the shortest": (
        lambda: toy("NaN when short"),
        "shortest",
        "speech",
        "speech.halved",
        "160 samples give activations that are not finite",
    ),
    "another error than ours when short": (
        lambda: toy("crashes when short"),
        "refusal",
        "speech",
        "",
        "IndexError: of nothing",
    ),
    "NaN of silence": (lambda: toy("NaN of silence"), "silence", "speech", "speech.halved", "not finite"),
    "NaN at full scale": (lambda: toy("NaN at full scale"), "full scale", "speech", "speech.halved", "not finite"),
    "other numbers in a second run": (
        lambda: toy("not the same twice"),
        "rerun",
        "speech",
        "speech.halved",
        "differs by",
    ),
    "overflow in float16": (
        lambda: in_dtype(toy("overflows"), torch.float16),
        "range",
        "speech",
        "speech.halved",
        "overflows in float16, first in module halved",
    ),
    "another input than the model's own processor makes": (
        lambda: toy("own forward normalises"),
        "own forward",
        "speech",
        "speech.frames",
        "",
    ),
    "training mode": (training, "description", "text", "", "is in training mode"),
}


def first_failure(verification: Verification, check: str) -> Row:
    return next(row for row in verification.failures if row.check == check)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(fault: str) -> None:
    make, check, side, point, said = FAULTS[fault]
    verification = verify(make())
    assert not verification.holds
    row = first_failure(verification, check)
    assert (row.side, row.point) == (side, point)
    assert said in row.text, row.text
    assert row.remedy
    assert f"{check} ({side})" in verification.summary()


def test_a_sound_model_passes_quick_and_full() -> None:
    for full in (False, True):
        verification = verify(toy("own forward"), full=full)
        assert verification.holds, verification.failures
        checked = {(row.check, row.side) for row in verification.rows if row.outcome == "holds"}
        assert {("same modules", "both"), ("batches", "speech"), ("batches", "text")} <= checked
        assert {("own forward", "speech"), ("lengths", "speech"), ("rerun", "text")} <= checked
    outcome = next(row for row in verification.rows if row.check == "pooled silence" and row.point == "speech.frames")
    assert outcome.text == "202 positions of 2.02 s are pooled, 100 more for a second of silence at speech.frames"


def test_in_float16_an_overflow_is_refused_with_a_remedy_and_in_float32_it_is_foretold() -> None:
    row = first_failure(verify(in_dtype(toy("overflows"), torch.float16)), "range")
    assert row.remedy == "load it in bfloat16, whose range is that of float32, or in float32"
    whole = verify(toy("overflows"))
    assert whole.holds
    note = next(row for row in whole.rows if row.check == "range" and row.side == "speech")
    assert note.outcome == "note" and "float16 would overflow first in halved: use bfloat16" in note.text


def test_a_side_that_runs_one_at_a_time_passes_and_says_why() -> None:
    model = toy("reads padding")
    model.sides["speech"].exact_in_batches = False
    verification = verify(model)
    assert verification.holds, verification.failures
    rows = [row for row in verification.rows if (row.check, row.side) == ("batches", "speech")]
    assert all("runs one utterance at a time; a batch differs by" in row.text for row in rows)


def test_the_shortest_is_what_runs_not_what_the_formula_says() -> None:
    assert shortest(toy().sides["speech"]) == HOP
    assert shortest(toy("NaN when short").sides["speech"]) == 3 * HOP
    assert shortest(toy().sides["text"]) == 1


def test_a_side_that_takes_nothing_is_one_line() -> None:
    side = toy().sides["speech"]
    side.points = (dataclasses.replace(side.points[0], length=lambda n: 0),)
    with pytest.raises(DataError, match="the speech side takes no utterance up to 64000 samples"):
        shortest(side)


def test_a_planned_model_is_refused() -> None:
    model = toy()
    model.sides["speech"].root.to("meta")
    with pytest.raises(UsageError, match="model toy was only planned: load it to verify it"):
        verify(model)


def test_what_is_printed_cuts_no_name_at_80_columns_and_ends_with_one_line() -> None:
    model = changed(
        "speech.halved", name="speech.projector.a_rather_long_name_of_a_module.that_is_never_cut.0", width=7
    )
    console = Console(width=80, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(to_table(verify(model)))
    lines = captured.get().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "speech.projector.a_rather_long_name_of_a_module.that_is_never_cut.0" in "".join(
        line.strip() for line in lines
    )
    assert lines[-1].startswith("toy: ") or "toy: " in lines[-2]


def test_the_command_prints_json_and_exits_with_1_if_something_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    def run(model: Model, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(models, "load", lambda name, **how: model)
        code = main(["models", "verify", "toy", *arguments])
        return code, capsys.readouterr().out

    code, printed = run(toy())
    assert code == 0 and "checks hold, 0 fail" in printed
    code, printed = run(toy("reads padding"), "--json", "-")
    outcome = json.loads(printed)
    assert code == 1 and outcome["holds"] is False and outcome["weights"][0]["sha256"] == "ab" * 32
    rows = [row for row in outcome["rows"] if row["check"] == "batches" and row["side"] == "speech"]
    assert [row["point"] for row in rows] == ["speech.frames", "speech.halved", "shared.layer.0", "shared.layer.1"]
    assert [row["outcome"] for row in rows] == ["holds", "fails", "fails", "fails"]
    assert rows[1]["measured"] > rows[1]["allowed"] == 1e-5
    code, _ = run(toy(), "--json", str(tmp_path / "outcome.json"))
    assert code == 0 and json.loads((tmp_path / "outcome.json").read_text())["holds"] is True
    assert main(["models", "verify", "toy", "--weights", "a", "--weights", "b"]) == 2
    assert "write PART=FOLDER" in capsys.readouterr().err


# --- the probe at first load ---


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path))
    return tmp_path / "probes"


def passes(side: Side, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the forward passes of a side from now on."""
    counted: list[int] = []
    forward = type(side).forward

    def counting(self: Side, batch: Batch) -> Mapping[str, Tensor]:
        counted.append(len(batch.lengths))
        return forward(self, batch)

    monkeypatch.setattr(type(side), "forward", counting)
    return counted


def test_a_probe_decides_between_batches_and_one_at_a_time(cache: Path) -> None:
    sound, leaking = (probe(toy(fault).sides["speech"]) for fault in ("", "reads padding"))
    assert sound.exact_in_batches and max(sound.worst.values()) < 1e-5 and sound.shortest == HOP
    assert sound.notes[0].endswith("so they run in batches.") and not sound.left_out
    assert not leaking.exact_in_batches and leaking.worst["speech.frames"] < 1e-5 < leaking.worst["speech.halved"]
    assert "so utterances run one at a time." in leaking.notes[0] and "at speech." in leaking.notes[0]
    assert not cache.exists()


def test_a_probe_leaves_out_what_is_not_as_described(cache: Path) -> None:
    model = changed("speech.halved", length=lambda n: halved(n) + 1)
    outcome = probe(model.sides["speech"])
    assert outcome.left_out.keys() == {"speech.halved"}
    assert "have 1 positions, not 2 as claimed" in outcome.left_out["speech.halved"]
    assert outcome.notes[-1].startswith("Left out: speech.halved: 160 samples")
    side = model.sides["speech"]
    apply(outcome, side)
    assert [point.name for point in side.points] == ["speech.frames", "shared.layer.0", "shared.layer.1"]
    for broken, name in (
        (toy("fires twice"), "speech.frames"),
        (without_module(toy()), "speech.unused"),
        (reordered(), "speech.halved"),
        (changed("speech.frames", width=1), "speech.frames"),
    ):
        assert probe(broken.sides["speech"]).left_out.keys() == {name}


def test_a_probe_finds_a_shortest_that_the_formulas_do_not_tell(cache: Path) -> None:
    assert probe(toy("NaN when short").sides["speech"]).shortest == 3 * HOP


def test_a_probe_is_cheap_and_kept_by_the_hash_of_the_weights(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy()
    side, weights = model.sides["speech"], model.weights
    counted = passes(side, monkeypatch)
    first = probe(side, weights)
    assert 0 < len(counted) <= 6
    counted.clear()
    assert probe(toy().sides["speech"], weights) == first and not counted
    others: list[dict[str, Any]] = [{"options": {"prompt": "{}"}}, {"language": "sw"}]
    for other in others:
        assert probe(side, weights, **other) == first
    assert probe(side, [WeightsFile("toy.safetensors", "cd" * 32, "here")]) == first
    assert probe(in_dtype(toy(), torch.bfloat16).sides["speech"], weights).exact_in_batches
    assert len(list(cache.glob("*.json"))) == 5


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "edited", "of another key", "too large", "a folder"])
def test_a_damaged_or_foreign_entry_is_made_anew(cache: Path, damage: str) -> None:
    model = toy("reads padding")
    side, weights = model.sides["speech"], model.weights
    first = probe(side, weights)
    (path,) = cache.glob("*.json")
    whole = path.read_text()
    if damage == "a folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_text(
            {
                "cut": whole[: len(whole) // 2],
                "empty": "",
                "foreign": '{"key": []}',
                "edited": whole.replace('\\"exact_in_batches\\": false', '\\"exact_in_batches\\": true'),
                "of another key": whole.replace(path.stem, "0" * 64),
                "too large": whole + " " * 2**20,
            }[damage]
        )
        assert path.read_text() != whole
    assert probe(side, weights) == first
    if damage != "a folder":
        assert path.read_text() == whole


def test_threads_may_probe_at_once(cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: probe(toy().sides["speech"], toy().weights), range(4)))
    assert all(each.exact_in_batches for each in outcomes)
    (path,) = cache.iterdir()
    assert json.loads(path.read_text())["key"] == path.stem


@pytest.mark.slow
def test_two_processes_may_probe_at_once(cache: Path) -> None:
    code = (
        "from babelscope.cache import cache_folder\n"
        "from test_verification import probe, toy\n"
        "for _ in range(20):\n"
        "    for path in (cache_folder() / 'probes').glob('[0-9a-f]*.json'):\n"
        "        path.unlink(missing_ok=True)\n"
        "    assert probe(toy('reads padding').sides['speech'], toy().weights).exact_in_batches is False\n"
    )
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])}
    both = [subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()[-2000:]
    assert all(json.loads(path.read_text())["key"] == path.stem for path in cache.iterdir())


def test_a_side_of_which_no_point_holds_is_refused_in_one_line(cache: Path) -> None:
    side = toy().sides["speech"]
    side.points = (dataclasses.replace(side.points[0], width=3),)
    with pytest.raises(DataError, match="no point of the speech side holds"):
        probe(side)


# --- models of the hub's format ---


@pytest.fixture(scope="module")
def xls_r(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny("xls-r", tmp_path_factory.mktemp("tiny") / "xls-r")


def test_a_pair_of_folders_is_verified_by_the_command(
    xls_r: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tiny("e5", tmp_path / "e5")
    code = main(["models", "verify", f"hf:{xls_r}+hf:{text}", "--json", "-"])
    outcome = json.loads(capsys.readouterr().out)
    assert code == 0 and outcome["holds"] is True
    outcomes = {(row["check"], row["side"]): row["outcome"] for row in outcome["rows"]}
    for side in ("text", "speech"):
        for check in ("own forward", "batches", "lengths", "rerun", "widths"):
            assert outcomes[check, side] == "holds"
    assert outcomes["same modules", "both"] == "note"


def test_an_xls_r_that_overflows_in_float16_is_told_its_layer_and_bfloat16(xls_r: Path, cache: Path) -> None:
    module = "encoder.layers.1.feed_forward.output_dense"
    for dtype, holds in (("float16", False), ("bfloat16", True)):
        model = models.load(f"hf:{xls_r}", dtype=dtype)
        side = model.sides["speech"]
        weight = side.root.get_parameter(f"{module}.weight")
        weight.copy_(60_000 * weight.sign())
        verification = verify(model)
        rows = [row for row in verification.rows if row.check == "range"]
        assert verification.holds == holds, verification.failures[:4]
        assert (verification.holds, rows[0].outcome == "fails") == (holds, not holds)
        if holds:
            probe(side)
        else:
            with pytest.raises(DataError, match=f"overflow in float16, first in module {module}: load it in bfloat16"):
                probe(side)
            assert rows[0].text == f"overflows in float16, first in module {module}"
            assert rows[0].remedy == "load it in bfloat16, whose range is that of float32, or in float32"
            assert first_failure(verification, "full scale").point == "speech.layer.1"
