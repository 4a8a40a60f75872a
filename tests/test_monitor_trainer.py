"""The callback of transformers' Trainer: the same weights, the numbers where the Trainer's own go, a resumed run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from babelscope.monitor import FunctionProbe, GapCallback, GapMonitor, read_log

pytest.importorskip("accelerate")
from transformers import Trainer, TrainingArguments


class Map(nn.Module):
    """Speech vectors to text vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 12), nn.Dropout(0.3), nn.ReLU(), nn.Linear(12, 5))

    def forward(self, speech: Tensor, text: Tensor) -> dict[str, Tensor]:
        out = self.layers(speech)
        return {"loss": nn.functional.mse_loss(out, text), "out": out}


class Pairs(Dataset[dict[str, Tensor]]):
    """Speech and text of sentences."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.speech = torch.randn(96, 6, generator=generator)
        self.text = torch.tanh(self.speech @ torch.randn(6, 5, generator=generator))

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"speech": self.speech[index], "text": self.text[index]}


def train(folder: Path, monitored: bool, *, steps: int = 20, resume: bool = False) -> tuple[Any, GapMonitor | None]:
    torch.manual_seed(0)
    pairs, model = Pairs(), Map()
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=8,
        learning_rate=0.05,
        logging_steps=5,
        save_steps=10,
        report_to=["tensorboard"],
        use_cpu=True,
        disable_tqdm=True,
        seed=1,
    )
    trainer = Trainer(model, arguments, train_dataset=pairs)
    monitor = None
    if monitored:
        probe = FunctionProbe(
            lambda: {"out": model.layers(pairs.speech[64:])}, {"out": pairs.text[64:]}, modules=[model]
        )
        monitor = GapMonitor(probe, folder / "gaps.jsonl", every=5, budget=math.inf)
        trainer.add_callback(GapCallback(monitor, trainer))
    trainer.train(resume_from_checkpoint=resume)
    return trainer, monitor


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    return tmp_path / "board"


def test_a_trainer_with_the_callback_gives_the_same_bits_and_logs_both(board: Path, tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    plain, _ = train(tmp_path / "plain", monitored=False)
    watched, monitor = train(tmp_path / "watched", monitored=True)
    assert monitor is not None
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, watched.model.state_dict()[name]), name

    log = read_log(monitor.log)
    assert log["step"].unique().tolist() == [0, 5, 10, 15, 20]
    name = "babelscope/modality_similarity/retrieval/out"
    history = [(entry["step"], entry[name]) for entry in watched.state.log_history if name in entry]
    assert history == list(log.query("measure == 'retrieval'")[["step", "value"]].itertuples(index=False, name=None))
    losses = [[e["step"] for e in t.state.log_history if "loss" in e] for t in (plain, watched)]
    assert losses[0] == losses[1] == [5, 10, 15, 20]
    found: dict[int, float] = {}
    for path in board.rglob("events*"):
        held = reading.EventAccumulator(str(path))
        held.Reload()
        if f"train/{name}" in held.Tags()["scalars"]:
            found |= {event.step: event.value for event in held.Scalars(f"train/{name}")}
    assert found == {step: pytest.approx(value, rel=1e-6) for step, value in history}


def test_a_run_goes_on_from_a_checkpoint_in_the_same_log(board: Path, tmp_path: Path) -> None:
    train(tmp_path, monitored=True, steps=10)
    _, monitor = train(tmp_path, monitored=True, steps=20, resume=True)
    assert monitor is not None
    events = [json.loads(line) for line in monitor.log.read_text(encoding="utf-8").splitlines()]
    assert [(event["event"], event.get("step")) for event in events if event["event"] != "gaps"] == [
        ("start", None),
        ("end", 10),
        ("resume", 10),
        ("end", 20),
    ]
    assert read_log(monitor.log)["step"].unique().tolist() == [0, 5, 10, 15, 20]
