"""Capture: padded batches give what single items give, hooks leave no trace, and a wrong description is an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from babelscope.capture import POOLINGS, Capture
from babelscope.models import Batch, Model, Point, Prepared, Side, Stage
from conftest import tone


def _run(side: Side, items: Sequence[object], pooling: str = "mean") -> dict[str, np.ndarray]:
    with Capture(side, pooling) as capture:
        batch = side.collate([side.prepare(item, "xa") for item in items])  # type: ignore[arg-type]
        return {name: tensor.numpy() for name, tensor in capture.run(batch).items()}


def _same(side: Side, items: Sequence[object], pooling: str, tolerance: float = 1e-5) -> None:
    together = _run(side, items, pooling)
    assert list(together) == [point.name for point in side.points]
    for row, item in enumerate(items):
        alone = _run(side, [item], pooling)
        for point in side.points:
            assert alone[point.name].shape == (1, point.width)
            np.testing.assert_allclose(together[point.name][row], alone[point.name][0], atol=tolerance, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(
        st.text("abcdefgh ijk.,", min_size=1, max_size=60).filter(lambda text: text.strip()), min_size=2, max_size=5
    ),
    pooling=st.sampled_from(sorted(POOLINGS)),
)
def test_a_padded_batch_of_texts_gives_what_single_texts_give(
    tiny_model: Model, texts: list[str], pooling: str
) -> None:
    _same(tiny_model.sides["text"], texts, pooling)


@settings(max_examples=25, deadline=None)
@given(
    samples=st.lists(st.integers(1600, 32_000), min_size=2, max_size=4),
    pooling=st.sampled_from(sorted(POOLINGS)),
)
def test_a_batch_of_recordings_gives_what_single_ones_give(tiny_model: Model, samples: list[int], pooling: str) -> None:
    _same(tiny_model.sides["speech"], [tone(n / 16_000, 200 + n % 700, n) for n in samples], pooling)


def test_pooled_values_are_means_of_the_modules_own_outputs(tiny_model: Model) -> None:
    """Against a plain hook that keeps everything: the recording's positions, and none of the silence behind it."""
    side = tiny_model.sides["speech"]
    samples = tone(0.7, 300)
    kept: dict[str, Tensor] = {}
    modules = {point.name: point for point in side.points if point.take == "output"}
    handles = [
        side.root.get_submodule(point.module).register_forward_hook(
            lambda module, args, output, name=name: kept.__setitem__(name, output)
        )
        for name, point in modules.items()
    ]
    side.forward(side.collate([side.prepare(samples, "xa")]))
    for handle in handles:
        handle.remove()
    frames = -(-len(samples) // 160)
    valid = {"speech.conv1": frames}
    pooled = _run(side, [samples])
    for name, whole in kept.items():
        rows = whole[0].T if "conv" in name else whole[0]
        expected = rows[: valid.get(name, (frames - 1) // 2 + 1)].mean(dim=0)
        np.testing.assert_allclose(pooled[name][0], expected.numpy(), atol=1e-6)


def test_hooks_are_gone_afterwards_and_the_output_is_unchanged(tiny_model: Model) -> None:
    side = tiny_model.sides["text"]
    batch = side.collate([side.prepare("abc def", "xa"), side.prepare("a", "xa")])

    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in side.root.modules())

    before, count = side.forward(batch)["text.pooled"], hooks()
    with Capture(side) as capture:
        assert hooks() > count
        capture.run(batch)
    assert hooks() == count
    torch.testing.assert_close(side.forward(batch)["text.pooled"], before, rtol=0, atol=0)
    with pytest.raises(RuntimeError, match="on purpose"), Capture(side):
        raise RuntimeError("on purpose")
    assert hooks() == count


def test_a_rerun_gives_the_same_bits(tiny_model: Model) -> None:
    side = tiny_model.sides["speech"]
    first, second = (_run(side, [tone(0.5, 220), tone(1.1, 330)]) for _ in range(2))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


class _InPlace(nn.Module):
    """Adds to its input in place, as some released models do."""

    def forward(self, x: Tensor) -> Tensor:
        x += 1.0
        return x


class _Chain(Side):
    modality = "text"
    family = "test"
    unit = "tokens"

    def __init__(self, points: tuple[Point, ...], order: tuple[str, ...] = ("a", "b")) -> None:
        self.root = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": _InPlace()})
        nn.init.eye_(self.root.get_parameter("a.weight"))
        self.points, self.order = points, order

    def prepare(self, item: object, language: str) -> Prepared:
        return Prepared({"x": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}, 2)

    def collate(self, items: Sequence[Prepared]) -> Batch:
        return Batch({"x": torch.stack([item.inputs["x"] for item in items])}, tuple(item.length for item in items))

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        value = batch.inputs["x"]
        for name in self.order:
            value = self.root.get_submodule(name)(value)
        return {}


_A = Point("a", Stage.ENCODER, 0.0, 2, "a")
_B = Point("b", Stage.ENCODER, 1.0, 2, "b")


def test_what_later_layers_change_in_place_does_not_change_what_was_taken() -> None:
    caught = _run(_Chain((_A, _B)), ["x"])
    np.testing.assert_allclose(caught["a"], [[2.0, 3.0]])
    np.testing.assert_allclose(caught["b"], [[3.0, 4.0]])


@pytest.mark.parametrize(
    ("points", "order", "words"),
    [
        ((_A, _B), ("a",), r"did not fire: \['b'\]"),
        ((_A, _B), ("a", "a", "b"), "fired twice"),
        ((_B, _A), ("a", "b"), "not as"),
        ((dataclasses.replace(_A, length=lambda n: n + 1), _B), ("a", "b"), "do not fit"),
    ],
)
def test_a_side_that_misdescribes_its_model_is_an_error(
    points: tuple[Point, ...], order: tuple[str, ...], words: str
) -> None:
    with pytest.raises((RuntimeError, ValueError), match=words):
        _run(_Chain(points, order), ["x"])


@pytest.mark.assets
def test_real_models_are_exact_under_batching() -> None:
    from babelscope import corpora, models

    model = models.load("whisper-base+e5-small", window_seconds=8)
    corpus = corpora.load("asterisk").select(languages=["en", "ru"], n=4, min_words=4, max_seconds=8)
    from babelscope.audio import load_audio

    for language in corpus.languages:
        texts = [corpus.text(sentence, language) for sentence in corpus.sentences]
        recordings = [load_audio(corpus.recordings(sentence, language)[0]) for sentence in corpus.sentences]
        _same(model.sides["text"], texts, "mean")
        _same(model.sides["speech"], recordings, "mean")
