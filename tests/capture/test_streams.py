"""Batches that run at once: the same bits however many, one thread each, errors in order, nothing left changed."""

from __future__ import annotations

import copy
import dataclasses
import functools
import random
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from babelscope.capture import Activations, encode
from babelscope.capture import running as running_module
from babelscope.capture.jobs import EncodeConfig, Job
from babelscope.capture.replicate import replicate
from babelscope.capture.running import encode_job, run_batches
from babelscope.corpora import Corpus
from babelscope.errors import DataError
from babelscope.models import Batch, Model, Prepared, Side


@pytest.fixture(autouse=True)
def _three_threads() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def _threads_of_a_new_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


class _Watched(Side):
    """A side that tells what its forward passes see, and fails at utterances of given lengths."""

    def __init__(self, side: Side, bad: Sequence[int] = (), meet: int = 0) -> None:
        self.__dict__.update(vars(side))
        self.modality, self.family, self.unit = side.modality, side.family, side.unit
        self.side, self.bad = side, frozenset(bad)
        self.seen: list[tuple[int, str, int]] = []
        self.meeting = threading.Barrier(meet) if meet else None

    def prepare(self, item: Any, language: str) -> Prepared:
        return self.side.prepare(item, language)

    def collate(self, items: Sequence[Prepared]) -> Batch:
        return self.side.collate(items)

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        self.seen.append((torch.get_num_threads(), threading.current_thread().name, batch.lengths[0]))
        if self.meeting:
            self.meeting.wait(20)
        if self.bad.intersection(batch.lengths):
            raise DataError(f"no room for {batch.lengths[0]} tokens")
        side = copy.copy(self.side)
        side.root = self.root
        return side.forward(batch)


def _texts(side: Side, count: int) -> list[list[Prepared]]:
    return [[side.prepare("a" * (number + 1), "xa")] for number in range(count)]


@pytest.mark.parametrize("modality", ["text", "speech"])
def test_stored_bits_do_not_depend_on_streams_or_threads(tiny_model: Model, tones: Corpus, modality: Any) -> None:
    job = Job(modality, "xb", 1, 0, 12)
    how = EncodeConfig(batch_size=2)
    first = encode_job(tiny_model, tones, job, how, streams=1)
    for streams, threads in ((2, 1), (5, 2), (None, 3)):
        torch.set_num_threads(threads)
        other = encode_job(tiny_model, tones, job, how, streams=streams)
        for name, values in first.vectors.items():
            np.testing.assert_array_equal(values, other.vectors[name])
        assert torch.get_num_threads() == threads


def test_batches_meet_and_torch_has_one_thread_for_each(tiny_model: Model) -> None:
    side = _Watched(tiny_model.sides["text"], meet=3)  # would wait for ever if they ran one after the other
    found = run_batches(side, _texts(side, 6), "mean")
    assert len(found) == 6
    assert {threads for threads, _, _ in side.seen} == {1}
    assert len({name for _, name, _ in side.seen}) == 3
    assert torch.get_num_threads() == 3 and _threads_of_a_new_thread() == 3


def test_a_run_leaves_threads_generators_modes_and_hooks_as_they_were(
    tiny_model: Model, tones: Corpus, tmp_path: Path
) -> None:
    modules = [module for side in tiny_model.sides.values() for module in side.root.modules()]
    before = torch.get_rng_state(), random.getstate(), [module.training for module in modules]
    encode(tiny_model, tones, tmp_path / "a.zarr", block=5, batch_size=2)
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert [module.training for module in modules] == before[2]
    assert torch.get_num_threads() == 3 and _threads_of_a_new_thread() == 3
    assert [one.name for one in threading.enumerate() if one.name.startswith("babelscope")] == []
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)


@pytest.mark.parametrize("streams", [1, 2, 4])
def test_the_first_batch_that_fails_is_told_and_no_other_begun(tiny_model: Model, streams: int) -> None:
    side = _Watched(tiny_model.sides["text"], bad=range(8, 60))
    batches = _texts(side, 40)
    first = min(number for number, (item,) in enumerate(batches) if item.length >= 8)
    with pytest.raises(DataError, match=f"no room for {batches[first][0].length} tokens"):
        run_batches(side, batches, "mean", streams)
    assert len(side.seen) <= first + streams
    assert torch.get_num_threads() == 3
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in side.root.modules())


def test_heavy_batches_run_alone_or_beside_light_ones_to_the_same_bits(
    tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = tiny_model.sides["text"]
    batches = _texts(side, 9)
    expected = run_batches(side, batches, "mean", 3)
    most = running_module.MOST_SQUARE_SECONDS
    shares = [0.1, 0.2, 0.7, 0.5, 1.5, 0.3, 0.1, 0.0, 0.6]
    weight_of = {batch[0].length: share * most for batch, share in zip(batches, shares, strict=True)}
    running: list[float] = []
    begun: list[float] = []
    together: list[list[float]] = []
    real: Any = vars(running_module)["_run"]

    def run(capture: Any, batch: Any) -> Any:
        weight = weight_of[batch[0].length]
        running.append(weight)
        begun.append(weight)
        time.sleep(0.02)
        together.append(list(running))
        found = real(capture, batch)
        running.remove(weight)
        return found

    monkeypatch.setattr(running_module, "_run", run)
    found = run_batches(side, batches, "mean", 3, weights=[share * most for share in shares])
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert all(sum(weights) <= most or len(weights) == 1 for weights in together)
    assert begun[0] == 1.5 * most and max(map(len, together)) > 1 and len(begun) == 9


def test_what_was_written_before_an_error_stays_and_the_run_goes_on(
    tiny_model: Model, tones: Corpus, tmp_path: Path
) -> None:
    whole = encode(tiny_model, tones, tmp_path / "whole.zarr", block=5, batch_size=2)
    lengths = [tiny_model.sides["text"].prepare(tones.text(s, "xc") or "", "xc").length for s in tones.sentences[5:10]]
    spoilt = dataclasses.replace(
        tiny_model, sides={**tiny_model.sides, "text": _Watched(tiny_model.sides["text"], lengths)}
    )
    with pytest.raises(DataError, match="no room for"):
        encode(spoilt, tones, tmp_path / "a.zarr", block=5, batch_size=2)
    assert not Activations(tmp_path / "a.zarr").complete
    again = encode(tiny_model, tones, tmp_path / "a.zarr", block=5, batch_size=2)
    for point, modality in (("text.layer.2", "text"), ("speech.norm", "speech")):
        for language in tones.languages:
            np.testing.assert_array_equal(
                again.matrix(point, modality, language), whole.matrix(point, modality, language)
            )


# Twins.


class _Keeps(nn.Module):
    """Keeps a table as long as the longest input, in three places where modules do so."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.register_buffer("table", torch.zeros(1), persistent=False)
        self.kept: dict[int, Tensor] = {}
        self.hidden = (nn.Linear(3, 3),)  # a module that is not registered
        self.method = self.doubled

    def doubled(self, values: Tensor) -> Tensor:
        doubled: Tensor = 2 * self.linear(values)
        return doubled

    def forward(self, values: Tensor) -> Tensor:
        self.table = torch.arange(len(values))
        self.kept[len(values)] = values
        given: Tensor = self.hidden[0](self.method(values))
        return given


class _Plain(Side):
    modality, family, unit = "text", "plain", "rows"

    def __init__(self, root: nn.Module) -> None:
        self.root, self.points = root, ()
        self.parts = {"first": [root]}
        self.vocabulary = {"a": 1}

    def prepare(self, item: Any, language: str) -> Prepared:
        raise NotImplementedError

    def collate(self, items: Sequence[Prepared]) -> Batch:
        raise NotImplementedError

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        raise NotImplementedError


def test_a_twin_shares_weights_and_keeps_what_it_keeps_apart() -> None:
    module = nn.Sequential(_Keeps(), nn.BatchNorm1d(3)).eval()
    side = _Plain(module)
    twin = replicate(side)
    assert isinstance(twin, _Plain) and twin.root is not module and twin.parts["first"][0] is twin.root
    assert twin.vocabulary is side.vocabulary
    for one, other in zip(module.parameters(), twin.root.parameters(), strict=True):
        assert one is other
    mine: Any = module[0]
    its: Any = twin.root.get_submodule("0")
    hooked: list[int] = []
    its.linear.register_forward_hook(lambda *_: hooked.append(1))
    its.hidden[0].register_forward_hook(lambda *_: hooked.append(2))
    values = torch.randn(4, 3)
    assert torch.equal(twin.root(values), module(values)) and hooked == [1, 2]
    its(torch.randn(7, 3))
    assert len(mine.table) == 4 and list(mine.kept) == [4]
    assert len(its.table) == 7 and list(its.kept) == [4, 7]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forward_that_was_replaced_goes_along_and_one_that_cannot_has_no_twin() -> None:
    plain = _Keeps()
    plain.forward = functools.partial(lambda module, values: module.linear(values), plain)  # type: ignore[method-assign]
    twin = replicate(_Plain(plain))
    hooked: list[int] = []
    assert twin is not None
    twin.root.linear.register_forward_hook(lambda *_: hooked.append(1))  # type: ignore[union-attr]
    twin.root(torch.zeros(2, 3))
    assert hooked == [1]
    closed = _Keeps()
    closed.forward = lambda values: closed.linear(values)  # type: ignore[method-assign]
    assert replicate(_Plain(closed)) is None
    assert replicate(_Plain(torch.jit.trace(nn.Linear(3, 3), torch.zeros(2, 3)))) is None  # type: ignore[no-untyped-call]


def test_a_side_without_a_twin_runs_alone_to_the_same_bits(tiny_model: Model) -> None:
    side = tiny_model.sides["text"]
    batches = _texts(side, 5)
    expected = run_batches(side, batches, "mean", 3)
    closed = _Watched(side)
    closed.root = copy.deepcopy(side.root)
    inner: Any = closed.root.get_submodule("encoder.layer.1")
    before = inner.forward
    inner.forward = lambda *given, **named: before(*given, **named)
    assert replicate(closed) is None
    for one, other in zip(run_batches(closed, batches, "mean", 3), expected, strict=True):
        assert torch.equal(one, other)
    assert len({name for _, name, _ in closed.seen}) == 1


def test_a_side_that_switches_what_all_threads_share_runs_in_one(tiny_model: Model) -> None:
    side = _Watched(tiny_model.sides["text"])
    side.runs_beside = False
    run_batches(side, _texts(side, 6), "mean", 3)
    assert {thread for _, thread, _ in side.seen} == {threading.current_thread().name}
