"""Capture: padded batches give what single items give, hooks leave no trace, and a wrong description is an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from babelscope.capture import POOLINGS, Capture
from babelscope.capture.jobs import EncodeConfig
from babelscope.errors import DataError
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
        ((dataclasses.replace(_A, length=lambda n: n + 1), _B), ("a", "b"), "point a: .* gives 2 positions .* not 3"),
        ((dataclasses.replace(_A, length=lambda n: n - 1), _B), ("a", "b"), "point a: .* gives 2 positions .* not 1"),
        ((dataclasses.replace(_A, call=1), _B), ("a", "b"), r"did not fire: \['a'\]"),
    ],
)
def test_a_side_that_misdescribes_its_model_is_an_error(
    points: tuple[Point, ...], order: tuple[str, ...], words: str
) -> None:
    with pytest.raises((RuntimeError, DataError), match=words):
        _run(_Chain(points, order), ["x"])


class _Shaping(nn.Module):
    """Gives what it was told to."""

    def __init__(self, shape: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> object:
        return self.shape(x)


class _Shaped(_Chain):
    """One module that gives positions 1, 2, 3 ... of each utterance, in whatever form is to be tried."""

    def __init__(self, shape: Callable[[Tensor], object], point: Point, calls: int = 1, **counts: object) -> None:
        super().__init__((point,))
        self.root = nn.ModuleDict({"m": _Shaping(shape), "weights": nn.Linear(1, 1)})
        self.calls, self.counts = calls, counts

    def prepare(self, item: object, language: str) -> Prepared:
        rows = torch.arange(1.0, int(str(item)) + 1)[:, None].repeat(1, 2)
        counts = {name: value(len(rows)) for name, value in self.counts.items()}  # type: ignore[operator]
        return Prepared({"x": rows}, len(rows), **counts)

    def collate(self, items: Sequence[Prepared]) -> Batch:
        rows = nn.utils.rnn.pad_sequence([item.inputs["x"] for item in items], batch_first=True)
        return Batch.of({"x": rows}, items)

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        for call in range(self.calls):
            self.root.get_submodule("m")(batch.inputs["x"] * 10**call)
        return {}


_M = Point("m", Stage.ENCODER, 0.0, 2, "m", formula="n")


@pytest.mark.parametrize(
    "shape",
    [
        lambda x: (None, x),
        lambda x: {"hidden": x},
        lambda x: BaseModelOutput(last_hidden_state=x),
        lambda x: [(x,), x + 1],
    ],
)
def test_the_first_tensor_of_what_a_module_gives_is_taken(shape: Callable[[Tensor], object]) -> None:
    np.testing.assert_allclose(_run(_Shaped(shape, _M), ["3", "2"])["m"], [[2.0, 2.0], [1.5, 1.5]])


def test_a_module_that_gives_no_tensor_is_named() -> None:
    with pytest.raises(DataError, match="point m: module m gives no tensor"):
        _run(_Shaped(lambda x: None, _M), ["3"])


def test_the_nth_call_of_a_module_is_taken() -> None:
    for call, expected in enumerate((2.0, 20.0, 200.0)):
        side = _Shaped(lambda x: x, dataclasses.replace(_M, call=call), calls=3)
        np.testing.assert_allclose(_run(side, ["3"])["m"], [[expected] * 2])
    with pytest.raises(RuntimeError, match="did not fire"):
        _run(_Shaped(lambda x: x, dataclasses.replace(_M, call=3), calls=3), ["3"])


def test_an_axis_before_the_batch_is_indexed() -> None:
    side = _Shaped(lambda x: torch.stack([x, -x, 5 * x]), dataclasses.replace(_M, stream=2))
    np.testing.assert_allclose(_run(side, ["3", "2"])["m"], [[10.0, 10.0], [7.5, 7.5]])


@pytest.mark.parametrize("shape", [lambda x: x[0], lambda x: x.reshape(2, -1, 2)])
def test_a_packed_module_is_seen_alone(shape: Callable[[Tensor], object]) -> None:
    """Without a batch axis, or with the chunks of one utterance in its place."""
    side = _Shaped(shape, dataclasses.replace(_M, layout="td"))
    np.testing.assert_allclose(_run(side, ["4"])["m"], [[2.5, 2.5]])
    with pytest.raises(DataError, match="point m is packed"):
        _run(side, ["4", "4"])
    assert EncodeConfig().batches(side, [4, 4, 4]) == [[0], [1], [2]]


def test_an_utterance_counts_its_own_positions() -> None:
    """By the point's name or a key for many points; what stands before and behind is not pooled."""
    point = dataclasses.replace(_M, counted_by="tokens", formula="as counted")
    for key in ("m", "tokens"):
        side = _Shaped(
            lambda x: x,
            point,
            positions=lambda n, key=key: {key: n // 2},
            starts=lambda n, key=key: {key: n // 4},
            totals=lambda n, key=key: {key: n - n // 4},
        )
        np.testing.assert_allclose(_run(side, ["8"])["m"], [[4.5, 4.5]])  # 3 4 5 6 of 1 to 8
        np.testing.assert_allclose(_run(side, ["8", "4"])["m"], [[4.5, 4.5], [2.5, 2.5]])  # 2 3 of 1 to 4


def test_claimed_positions_of_an_utterance_alone_are_compared_with_the_actual_ones() -> None:
    side = _Shaped(lambda x: x, _M, positions=lambda n: {"m": n - 1})
    with pytest.raises(DataError, match=r"point m: module m gives 4 positions for 4 tokens, not 3 as claimed \(n\)"):
        _run(side, ["4"])
    side.fixed_batch_length = True  # the rest is silence
    np.testing.assert_allclose(_run(side, ["4"])["m"], [[2.0, 2.0]])
    told = _Shaped(lambda x: x, _M, positions=lambda n: {"m": n - 1}, totals=lambda n: {"m": n + 1})
    told.fixed_batch_length = True
    with pytest.raises(DataError, match="gives 4 positions for 4 tokens, not 5"):
        _run(told, ["4"])


@pytest.mark.assets
@pytest.mark.plugins
def test_real_models_are_exact_under_batching() -> None:
    from babelscope import corpora, models

    model = models.load("whisper-base+e5-small", window_seconds=8)
    corpus = corpora.load("asterisk").select(languages=["en", "ru"], n=2, min_words=4, max_seconds=8)
    from babelscope.audio import load_audio

    for language in corpus.languages:
        texts = [corpus.text(sentence, language) for sentence in corpus.sentences]
        recordings = [load_audio(corpus.recordings(sentence, language)[0]) for sentence in corpus.sentences]
        _same(model.sides["text"], texts, "mean")
        _same(model.sides["speech"], recordings, "mean")
