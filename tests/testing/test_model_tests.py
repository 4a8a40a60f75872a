"""ModelTests finds what it is there to find: a sound toy model passes, and every way of breaking it fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from babelscope.errors import DataError
from babelscope.models import Batch, Model, Point, Prepared, Side, Stage
from babelscope.testing import ModelTests
from babelscope.verification import deviations, own_forward

_HOP, _WIDTH = 160, 6


class _Toy(Side):
    """Frames of 160 samples, projected, then halved in number by a convolution that must not read padding."""

    modality = "speech"
    family = "toy"
    unit = "samples at 16 kHz"

    def __init__(self, fault: str = "") -> None:
        torch.manual_seed(0)
        self.fault = fault
        self.root = nn.ModuleDict(
            {
                "frames": nn.Linear(_HOP, _WIDTH),
                "halved": nn.Conv1d(_WIDTH, _WIDTH, 3, stride=2, padding=1),
                "norm": nn.LayerNorm(_WIDTH),
            }
        ).eval()
        self.root.requires_grad_(False)
        self.left: Tensor | None = None
        self.points = (
            Point("frames", Stage.FRONT_END, 0.0, _WIDTH, "frames", length=lambda n: n // _HOP, formula="n // 160"),
            Point("halved", Stage.ENCODER, 0.5, _WIDTH, "halved", layout="bdt", length=_half, formula="half"),
            Point("norm", Stage.ENCODER, 1.0, _WIDTH, "norm", length=_half, formula="half"),
        )

    def prepare(self, item: Any, language: str) -> Prepared:
        samples = torch.as_tensor(np.asarray(item))
        if len(samples) < _HOP and self.fault != "crashes when short":
            raise DataError("too short")
        if self.fault == "crashes when short" and len(samples) < _HOP:
            raise IndexError("of nothing")
        if self.fault == "divides by zero":
            samples = samples / samples.std()
        if self.fault == "remembers the language":
            self.left = samples[:1] if self.left is None else self.left + 1
            samples = samples + self.left
        return Prepared({"samples": samples}, len(samples))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        padded = nn.utils.rnn.pad_sequence([item.inputs["samples"] for item in items], batch_first=True)
        return Batch({"samples": padded}, tuple(item.length for item in items))

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        samples = batch.inputs["samples"]
        count = samples.shape[1] // _HOP
        value = self.root.get_submodule("frames")(samples[:, : count * _HOP].reshape(len(samples), count, _HOP))
        if self.fault == "fires twice":
            self.root.get_submodule("frames")(samples[:, :_HOP])
        if self.fault != "reads padding":
            lengths = torch.tensor([length // _HOP for length in batch.lengths])
            value = value * (torch.arange(value.shape[1])[None] < lengths[:, None])[..., None]
        if self.fault == "keeps state":
            value = value if self.left is None else value + self.left
            self.left = value.mean()
        value = self.root.get_submodule("halved")(value.transpose(1, 2)).transpose(1, 2)
        self.root.get_submodule("norm")(value)
        if self.fault == "changes a weight":
            self.root.get_parameter("norm.bias").add_(0.5)
        if self.fault == "leaves a hook":
            self.root.get_submodule("norm").register_forward_hook(lambda *_: None)
        return {}


def _half(samples: int) -> int:
    return (samples // _HOP + 1) // 2


def _model(side: Side) -> Model:
    return Model("toy", {"speech": side}, ())


class TestToy(ModelTests):
    """The sound one passes everything."""

    spread: ClassVar[int] = 4_000

    @pytest.fixture
    def model(self) -> Model:
        return _model(_Toy())


def _points(side: Side, index: int, **changes: Any) -> Side:
    points = list(side.points)
    points[index] = dataclasses.replace(points[index], **changes)
    side.points = tuple(points)
    return side


def _set(side: Side, **changes: Any) -> Side:
    for name, value in changes.items():
        setattr(side, name, value)
    return side


_BROKEN: dict[str, tuple[Callable[[], Side], str, str]] = {
    "reads padding": (lambda: _Toy("reads padding"), "padded_batches_equal_single_items", "differs from its items"),
    "reads padding in a residue": (
        lambda: _Toy("reads padding"),
        "every_residue_modulo_the_strides_survives_padding",
        "halved: a padded batch",
    ),
    "claims a position too many": (
        lambda: _points(_Toy(), 1, length=lambda n: _half(n) + 1),
        "lengths_are_as_claimed",
        "160 samples at 16 kHz have 1 positions, not 2 as claimed .* at halved",
    ),
    "claims a position too few, at times": (
        lambda: _points(_Toy(), 2, length=lambda n: max(n // (2 * _HOP), 1)),
        "lengths_are_as_claimed",
        ".* have 2 positions, not 1 as claimed .* at norm",
    ),
    "keeps state": (lambda: _Toy("keeps state"), "a_rerun_gives_the_same_bits", "other bits"),
    "remembers the language": (
        lambda: _Toy("remembers the language"),
        "a_rerun_gives_the_same_bits",
        "input samples: a rerun",
    ),
    "fires twice": (lambda: _Toy("fires twice"), "points_fire_once_and_in_order", "runs 2 times, not once at frames"),
    "is in another order": (
        lambda: _set(_Toy(), points=tuple(reversed(_Toy().points))),
        "points_fire_once_and_in_order",
        "frames runs before it at norm",
    ),
    "has depths that fall": (
        lambda: _points(_Toy(), 0, depth=0.7),
        "points_are_named_once_and_deepen_from_0_to_1",
        "depths do not rise",
    ),
    "has a name twice": (
        lambda: _points(_Toy(), 0, name="norm"),
        "points_are_named_once_and_deepen_from_0_to_1",
        "more than one point is called norm",
    ),
    "has another width": (
        lambda: _points(_Toy(), 2, width=7),
        "widths_are_true",
        r"shape \(1, .*, 6\), not \(1, n, 7\) at norm",
    ),
    "divides by zero": (
        lambda: _Toy("divides by zero"),
        "silence_works_or_is_refused_in_one_line",
        "not finite at frames",
    ),
    "changes a weight": (
        lambda: _Toy("changes a weight"),
        "hooks_are_gone_and_the_output_is_unchanged",
        "changes weights",
    ),
    "leaves a hook": (lambda: _Toy("leaves a hook"), "hooks_are_gone_and_the_output_is_unchanged", "hooks are left"),
    "trains": (lambda: _training(), "the_model_evaluates", "in training mode"),
    "is exact, and says that it is not": (
        lambda: _set(_Toy(), exact_in_batches=False),
        "a_side_that_is_not_exact_in_batches_is_really_not",
        "say that it is",
    ),
}


def _training() -> Side:
    side = _Toy()
    side.root.train()
    return side


@pytest.mark.parametrize("fault", _BROKEN)
def test_a_broken_model_fails(fault: str) -> None:
    make, name, words = _BROKEN[fault]
    tests: Any = TestToy()
    with pytest.raises(AssertionError, match=words):
        getattr(tests, f"test_{name}")(_model(make()))


def test_an_error_that_is_not_one_line_of_ours_is_not_swallowed() -> None:
    with pytest.raises(AssertionError, match="IndexError: of nothing"):
        TestToy().test_the_shortest_utterance_works_and_less_is_refused(_model(_Toy("crashes when short")))


def test_a_side_that_reads_padding_may_say_so_and_then_runs_alone() -> None:
    side = _set(_Toy("reads padding"), exact_in_batches=False)
    tests: Any = TestToy()
    tests.test_a_side_that_is_not_exact_in_batches_is_really_not(_model(side))
    tests.test_padded_batches_equal_single_items(_model(side))


def test_shared_points_that_are_not_the_same_weights_fail() -> None:
    text, speech = _set(_Toy(), modality="text"), _Toy()
    with pytest.raises(AssertionError, match="different modules"):
        TestToy().test_shared_points_are_the_same_weights(Model("toy", {"text": text, "speech": speech}, ()))


def test_deviations_are_a_share_of_the_largest_activation() -> None:
    tests, sound, leaky = TestToy(), _Toy(), _Toy("reads padding")
    found = [deviations(side, [tests.item(side, size, "en") for size in (480, 4000)]) for side in (sound, leaky)]
    assert max(found[0].values()) < 1e-6
    assert found[1]["frames"] < 1e-6 and 0.01 < found[1]["halved"] < 10


def test_another_result_than_the_models_own_forward_fails() -> None:
    class Referenced(_Toy):
        loudness = 1.0

        def reference(self, item: Any, language: str) -> Mapping[str, Tensor]:
            prepared = self.prepare(self.loudness * np.asarray(item), language)
            return own_forward(self, lambda: _Toy.forward(self, self.collate([prepared])))

    tests: Any = TestToy()
    side = Referenced()
    tests.test_activations_are_those_of_the_models_own_forward(_model(side))
    side.loudness = 1.1
    with pytest.raises(AssertionError, match=r"e-0\d at frames \(allowed: 1e-05\)"):
        tests.test_activations_are_those_of_the_models_own_forward(_model(side))


def test_the_shortest_is_asked_of_the_side() -> None:
    class Choosy(_Toy):
        def prepare(self, item: Any, language: str) -> Prepared:
            if len(item) < 777:
                raise DataError("less than 777 samples")
            return super().prepare(item, language)

    assert TestToy().shortest(Choosy()) == 777
    assert TestToy().shortest(_Toy()) == _HOP
