"""A monitor leaves a training exactly as it was, keeps to its budget, and its log tells what was."""

# ruff: noqa: NPY002  (the global generator is what must not be moved)
from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from babelscope.errors import UsageError
from babelscope.monitor import FunctionProbe, GapMonitor, read_log
from babelscope.monitor.state import unchanged

SENTENCES = 24


class Student(nn.Module):
    """All that a forward pass can change: dropout, batch statistics, a buffer and a table made when first needed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 16)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.4)
        self.last = nn.Linear(16, 5)
        self.frozen = nn.Linear(5, 5).requires_grad_(False)
        self.seen: Tensor
        self.register_buffer("seen", torch.zeros(()))
        self.table: Tensor | None = None
        self.history: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.add_(len(x))
        if self.table is None or len(self.table) < len(x):
            self.table = torch.ones(len(x), 1)
        self.history.append(len(x))
        return (
            torch.as_tensor(self.frozen(self.last(self.drop(torch.relu(self.norm(self.first(x)))))))
            * self.table[: len(x)]
        )


def data(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    speech = torch.randn(SENTENCES, 6, generator=generator)
    return speech, torch.tanh(speech @ torch.randn(6, 5, generator=generator))


def probing(student: Student) -> FunctionProbe:
    """A probe that does its worst: it draws from every generator, and runs more than training does."""
    speech, text = data()

    def encode() -> dict[str, Tensor]:
        random.random()
        np.random.rand(3)
        torch.rand(3)
        return {"output": student(torch.cat([speech, speech]))[:SENTENCES]}

    return FunctionProbe(encode, {"output": text}, modules=[student])


def trained(probe: Callable[[Student, int], None]) -> tuple[dict[str, Tensor], dict[str, Any], list[float]]:
    """Train with Adam for a few steps; return weights, the optimizer's state, and what the generators give then."""
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)
    student = Student()
    speech, text = data()
    optimizer = torch.optim.Adam([p for p in student.parameters() if p.requires_grad], lr=0.02)
    for step in range(1, 31):
        rows = torch.randperm(SENTENCES)[:8]
        loss = nn.functional.mse_loss(student(speech[rows]), text[rows]) * (
            1 + 0.1 * random.random() + 0.1 * np.random.rand()
        )
        probe(student, step)  # between forward and backward: nothing that autograd holds may be written
        loss.backward()  # type: ignore[no-untyped-call]
        probe(student, step)  # gradients are there
        optimizer.step()
        optimizer.zero_grad()
        probe(student, step)
    after = [random.random(), float(np.random.rand()), float(torch.rand(()))]
    return student.state_dict(), optimizer.state_dict(), after


def test_a_training_with_a_monitor_gives_the_same_bits(tmp_path: Path) -> None:
    monitors: list[GapMonitor] = []

    def probe(student: Student, step: int) -> None:
        if not monitors:
            monitors.append(GapMonitor(probing(student), tmp_path / "log.jsonl", every=1, budget=math.inf))
        monitors[0].measure(step)

    with_monitor, without = trained(probe), trained(lambda student, step: None)
    assert len(read_log(tmp_path / "log.jsonl")) == 30 * 3 * 3
    for name, value in without[0].items():
        assert torch.equal(value, with_monitor[0][name]), name
    for index, state in without[1]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, with_monitor[1]["state"][index][name]), name
    assert with_monitor[2] == without[2]


def _everything(student: Student) -> dict[str, Any]:
    return {
        "modes": {name: module.training for name, module in student.named_modules()},
        "requires_grad": {name: p.requires_grad for name, p in student.named_parameters()},
        "gradients": {
            name: (id(p.grad), None if p.grad is None else p.grad.clone()) for name, p in student.named_parameters()
        },
        "parameters": {name: (id(p), p.detach().clone()) for name, p in student.named_parameters()},
        "buffers": {name: (id(b), b.clone()) for name, b in student.named_buffers()},
        "hooks": {name: (list(m._forward_hooks), list(m._forward_pre_hooks)) for name, m in student.named_modules()},
        "attributes": {name: sorted(vars(m)) for name, m in student.named_modules()},
        "table": id(student.table),
        "history": list(student.history),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),  # type: ignore[index]
        "torch": torch.get_rng_state(),
        "grad": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
    }


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(_alike(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def _meddle(student: Student) -> None:
    """Everything small that a careless probe may do."""
    student.train()
    student(torch.randn(40, 6))
    student.norm.eval()
    student.frozen.requires_grad_(True)
    student.last.weight.grad = torch.ones_like(student.last.weight)
    student.first.register_forward_hook(lambda *given: None)
    student.extra = 3  # type: ignore[assignment]
    student.register_buffer("more", torch.ones(2))
    torch.set_grad_enabled(True)
    torch.set_num_threads(torch.get_num_threads() + 1)


@pytest.mark.parametrize("fails", [False, True])
def test_whatever_a_probe_does_is_undone(fails: bool) -> None:
    student = Student()
    student.drop.eval()  # a mixture of modes is a state too
    student(torch.randn(8, 6)).sum().backward()
    before = _everything(student)
    try:
        with unchanged([student]):
            assert not any(module.training for module in student.modules())
            assert not torch.is_grad_enabled()
            _meddle(student)
            if fails:
                raise RuntimeError("the probe broke")
    except RuntimeError:
        assert fails
    after = _everything(student)
    for name in before:
        assert _alike(before[name], after[name]), name


@pytest.mark.parametrize("what", ["parameter", "gradient"])
def test_a_probe_that_writes_is_refused(what: str) -> None:
    student = Student()
    student(torch.randn(8, 6)).sum().backward()
    with pytest.raises(UsageError, match=r"wrote to .*last.weight"), unchanged([student]):
        tensor = student.last.weight if what == "parameter" else student.last.weight.grad
        assert tensor is not None
        tensor.add_(1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; on the processor: the tests above")
def test_generators_on_cuda_are_put_back() -> None:
    torch.rand(1, device="cuda")
    before = torch.cuda.get_rng_state()
    with unchanged([nn.Dropout().cuda()]):
        torch.rand(5, device="cuda")
    assert torch.equal(before, torch.cuda.get_rng_state())
