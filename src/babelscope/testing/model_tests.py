"""What must be true of every model, as a class to subclass: then a run of pytest tells whether it is.

>>> class TestMine(ModelTests):  # doctest: +SKIP
...     languages = ("en", "sw")
...
...     @pytest.fixture
...     def model(self, my_tiny_model):
...         return my_tiny_model

where ``my_tiny_model`` is a fixture that loads it once (``scope="session"``). Use a tiny model with random weights (see
:func:`babelscope.testing.tiny`), drawn so wide that a leak shows: with biases of zero and norms of one, padding often
stays zero by luck.

Activations are compared position by position, before pooling: a mean over many positions would hide a fault in one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope.capture import Capture
from babelscope.capture.running import run_batches
from babelscope.errors import BabelscopeError
from babelscope.sides import MODALITIES, Model, Prepared, Side
from babelscope.verification import deviations as deviations
from babelscope.verification import shortest
from babelscope.verification import watch as watch
from babelscope.verification.checks import Examination
from babelscope.verification.items import make_samples, make_text

#: The shortest recording of every side that was asked.
_SHORTEST: WeakKeyDictionary[Side, int] = WeakKeyDictionary()

_UNCHECKED = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow)
_PROPERTY = settings(max_examples=20, deadline=None, suppress_health_check=_UNCHECKED)


class ModelTests:
    """What must be true of a model. Subclass it, and override the fixture :meth:`model`.

    Attributes
    ----------
    languages : tuple of str
        Codes that the model takes; with two or more, state that one leaves behind for the next is found.
    tolerance : float
        Of :func:`deviations`. For float32.
    hop : int
        Samples between two of the finest positions that the speech side has.
    modulus : int
        A common multiple of all strides after them: recordings are tried in every residue, a hop apart. (16 for
        SeamlessM4T: two frames a position, eight positions a step of its adapter.)
    spread : int
        How many samples longer than the shortest the drawn recordings are at most.
    window : int or None
        Samples that a side with ``fixed_batch_length`` hears; its longest recording.
    longest_text : int
        Characters that the drawn texts have at most.
    alphabet : str
        Of which the drawn texts are made. The first must be a letter.
    """

    languages: ClassVar[tuple[str, ...]] = ("en",)
    tolerance: ClassVar[float] = 1e-5
    hop: ClassVar[int] = 160
    modulus: ClassVar[int] = 16
    spread: ClassVar[int] = 16_000
    window: ClassVar[int | None] = None
    longest_text: ClassVar[int] = 30
    alphabet: ClassVar[str] = "abcdefghij klmno pqrst uvwxyz"

    @pytest.fixture
    def model(self) -> Model:
        """The model, in float32; override this."""
        raise NotImplementedError("override the fixture 'model' with one that returns a babelscope.models.Model")

    # ------------------------------------------------------------------ what is fed

    def text(self, characters: int, seed: int = 0) -> str:
        """Return a text of so many characters, the first and last of them letters."""
        return make_text(characters, seed, self.alphabet)

    def samples(self, count: int, seed: int = 0) -> NDArray[np.float32]:
        """Return so many samples of noise under a slow swell."""
        return make_samples(count, seed)

    def item(self, side: Side, size: int, language: str, seed: int = 0) -> Prepared:
        """Return a prepared text of so many characters, or recording of so many samples."""
        made = self.text(size, seed) if side.modality == "text" else self.samples(size, seed)
        return side.prepare(made, language)

    def sides(self, model: Model) -> Iterator[tuple[str, Side]]:
        """Yield every side with every language; a side whose weights differ by language as that language's own."""
        for side in model.sides.values():
            for language in self.languages:
                yield language, side.for_language(language)

    def bounds(self, side: Side) -> tuple[int, int]:
        """Return the sizes of the smallest and the largest item to draw."""
        if side.modality == "text":
            return 1, self.longest_text
        shortest = self.shortest(side)
        return shortest, min(shortest + self.spread, self.window or shortest + self.spread)

    def shortest(self, side: Side) -> int:
        """Return the fewest samples that the side takes with finite activations everywhere, by asking it."""
        if side not in _SHORTEST:
            _SHORTEST[side] = shortest(side, self.languages[0], self.samples)
        return _SHORTEST[side]

    def residues(self, side: Side) -> list[int]:
        """Return the shortest sizes that go twice through every residue modulo the strides; of texts all sizes."""
        low, high = self.bounds(side)
        if side.modality == "text":
            return list(range(low, high + 1))
        sizes = [low + self.hop * step + 7 * step % self.hop for step in range(2 * self.modulus)]
        return [min(size, high) for size in sizes]

    # ------------------------------------------------------------------ what is described

    def test_points_are_named_once_and_deepen_from_0_to_1(self, model: Model) -> None:
        """Names are unique within a side, depths begin with 0, end with 1 and never fall."""
        assert model.sides, "the model has no side"
        for modality, side in model.sides.items():
            names = [point.name for point in side.points]
            twice = sorted({name for name in names if names.count(name) > 1})
            assert not twice, f"{modality}: more than one point is called {', '.join(twice)}"
            depths = [point.depth for point in side.points]
            assert depths == sorted(depths) and (len(depths) == 1 or (depths[0], depths[-1]) == (0, 1)), (
                f"{modality}: depths do not rise from 0 to 1: {depths}"
            )
            assert side.modality == modality, f"the side under {modality!r} says that it is {side.modality!r}"
        for language, side in self.sides(model):
            assert _described(side) == _described(model.sides[side.modality]), (
                f"{side.modality} in {language} has other points than the model says; only their modules may differ"
            )

    def test_shared_points_are_the_same_weights(self, model: Model) -> None:
        """A point that both sides have under one name is one module, one stage, one depth and one width."""
        for name in model.shared_points:
            sides = (model.sides[modality] for modality in MODALITIES)
            text, speech = (next(point for point in side.points if point.name == name) for side in sides)
            alike = [(point.stage, point.depth, point.width, point.module) for point in (text, speech)]
            assert alike[0] == alike[1], f"{name}: the two sides describe it differently: {text}, {speech}"
            if text.module:
                own = [model.sides[modality].for_language(self.languages[0]) for modality in MODALITIES]
                first, second = (side.root.get_submodule(text.module) for side in own)
                assert first is second, f"{name}: the two sides have different modules there"

    def test_the_model_evaluates(self, model: Model) -> None:
        """Evaluation mode throughout (dropout off, batch norms fixed), and no gradients."""
        self._hold(model, "description")

    # ------------------------------------------------------------------ what happens

    def _hold(self, model: Model, *checks: str) -> int:
        """Make checks of ``babelscope models verify`` of every side and language; return how many rows hold."""
        holding = 0
        for language, side in self.sides(model):
            low, high = self.bounds(side)
            bounds = low, (self.window or side.longest or high) if side.fixed_batch_length else high
            examination = Examination(side, language, bounds=bounds)
            examination.tolerance = self.tolerance
            known = examination.checks() | {"lengths": lambda: examination.lengths(self.residues(side))}  # noqa: B023
            for row in [row for check in checks if check in known for row in known[check]()]:
                assert row.outcome != "fails", f"{side.modality} in {language}: {row.text}: {row.remedy}"
                holding += row.outcome == "holds"
        return holding

    def test_points_fire_once_and_in_order(self, model: Model) -> None:
        """Every hooked module runs once in a forward pass, in the order of the points; the rest is returned."""
        self._hold(model, "fires")

    def test_widths_are_true(self, model: Model) -> None:
        """A point gives as many features as it says."""
        self._hold(model, "widths")

    def test_lengths_are_as_claimed(self, model: Model) -> None:
        """An utterance alone has as many positions at every point as the point's formula says.

        A side with a fixed window has more wherever the window is all that the module sees: there the formula must give
        all of them for a full window, and for a shorter recording its share, to a position. An utterance that says how
        many there are besides its own has just as many.
        """
        self._hold(model, "lengths")

    @_PROPERTY
    @given(data=st.data())
    def test_padded_batches_equal_single_items(self, model: Model, data: st.DataObject) -> None:
        """Whatever is in the batch besides: every valid position of every item is what it is alone."""
        for side in model.sides.values():
            language = data.draw(st.sampled_from(self.languages))
            own = side.for_language(language)
            low, high = self.bounds(own)
            sizes = data.draw(st.lists(st.integers(low, high), min_size=2, max_size=5))
            if own.exact_in_batches:
                items = [self.item(own, size, language, seed) for seed, size in enumerate(sizes)]
                self._within_tolerance(own, items)

    def test_every_residue_modulo_the_strides_survives_padding(self, model: Model) -> None:
        """The same in every residue modulo the strides, each with a longer item next to it; pooled as well."""
        for language, side in self.sides(model):
            if not side.exact_in_batches:
                continue
            sizes = [*self.residues(side), self.bounds(side)[1]]
            items = [self.item(side, size, language, seed) for seed, size in enumerate(sizes)]
            self._within_tolerance(side, items)
            with Capture(side, "mean") as capture:
                pooled = capture.run(side.collate(items))
                for row, item in enumerate(items):
                    alone = capture.run(side.collate([item]))
                    for name, vector in alone.items():
                        scale = float(vector.abs().max()) + 1e-12
                        worst = float((pooled[name][row] - vector[0]).abs().max()) / scale
                        assert worst <= 10 * self.tolerance, (  # a mean may be small where its terms are not
                            f"{name}: pooled over {item.length} {side.unit}, a batch differs by {worst:.1e}"
                        )

    def _within_tolerance(self, side: Side, items: Sequence[Prepared]) -> None:
        lengths = [item.length for item in items]
        for name, worst in deviations(side, items).items():
            assert worst <= self.tolerance, (
                f"{name}: a padded batch of {lengths} {side.unit} differs from its items alone by {worst:.1e} of the "
                f"largest activation (allowed: {self.tolerance:.0e})"
            )

    def test_a_side_that_is_not_exact_in_batches_is_really_not(self, model: Model) -> None:
        """``exact_in_batches = False`` costs speed: it is shown to be needed, or batches are refused."""
        for language, side in self.sides(model):
            if side.exact_in_batches:
                continue
            items = [self.item(side, size, language, seed) for seed, size in enumerate(self.residues(side))]
            try:
                worst = max(deviations(side, items).values())
            except BabelscopeError:
                continue
            assert worst > self.tolerance, (
                f"{side.modality} says that it is not exact in batches, but is, to {worst:.1e}: say that it is"
            )

    def test_a_rerun_gives_the_same_bits(self, model: Model) -> None:
        """Also after another item, in another language: nothing is left over."""
        for side in model.sides.values():
            first = self.languages[0]
            low, high = self.bounds(side.for_language(first))
            before = self._bits(side, high, first)
            self._bits(side, (low + high) // 2, self.languages[-1])
            after = self._bits(side, high, first)
            for name, tensor in before.items():
                assert torch.equal(tensor, after[name]), f"{name}: a rerun of the same item gives other bits"

    def test_batches_that_run_at_once_give_the_same_bits(self, model: Model) -> None:
        """Three threads, each with copies of the modules that share the weights; nothing is left changed."""
        for language, side in self.sides(model):
            low, high = self.bounds(side)
            sizes = [low, high, (low + high) // 2, high, low, high]
            batches = [[self.item(side, size, language, seed)] for seed, size in enumerate(sizes)]
            hooks, weights = _hooks(side.root), _weights(side.root)
            one, three = (run_batches(side, batches, "mean", streams) for streams in (1, 3))
            for number, (alone, concurrent) in enumerate(zip(one, three, strict=True)):
                assert torch.equal(alone, concurrent), (
                    f"{side.modality}: batch {number} gives other bits while others run: does the side's forward use "
                    f"modules that its attributes do not reach, or keep something outside of modules?"
                )
            assert _hooks(side.root) == hooks and _weights(side.root) == weights, f"{side.modality}: left changed"

    def _bits(self, side: Side, size: int, language: str) -> Mapping[str, Tensor]:
        own = side.for_language(language)
        item = self.item(own, size, language)
        values, _ = watch(own, own.collate([item]))
        return {f"input {name}": tensor for name, tensor in item.inputs.items()} | values

    def test_activations_are_those_of_the_models_own_forward(self, model: Model) -> None:
        """Prepared, collated and run here, an item gives what the whole model gives after its own processor.

        Of sides that offer :meth:`babelscope.sides.Side.reference`.
        """
        if not self._hold(model, "own forward"):
            pytest.skip("no side offers a comparison with the model's own forward pass (Side.reference)")

    def test_hooks_are_gone_and_the_output_is_unchanged(self, model: Model) -> None:
        """Capturing changes neither the output nor any weight, and leaves no hook behind, not even after an error."""
        for language, side in self.sides(model):
            sizes = self.bounds(side)[: None if side.exact_in_batches else 1]
            batch = side.collate([self.item(side, size, language) for size in sizes])
            ends = [point.name for point in side.points if point.module][-1:]
            ends += [point.name for point in side.points if not point.module]
            hooks, weights = _hooks(side.root), _weights(side.root)
            plain, _ = watch(side, batch)
            assert _weights(side.root) == weights, f"{side.modality}: a run changes weights or buffers"
            with Capture(side) as capture:
                watched, _ = watch(side, batch)
                capture.run(batch)
            for name in ends:
                assert torch.equal(plain[name], watched[name]), f"{name}: other bits while capturing"
            with pytest.raises(_OnPurposeError), Capture(side):
                raise _OnPurposeError
            assert _hooks(side.root) == hooks, f"{side.modality}: hooks are left behind"

    def test_silence_works_or_is_refused_in_one_line(self, model: Model) -> None:
        """Digital silence gives finite activations, or a DataError."""
        self._hold(model, "silence")

    def test_the_shortest_utterance_works_and_less_is_refused(self, model: Model) -> None:
        """One letter, or as many samples as leave a position everywhere; what is shorter is refused in one line."""
        self._hold(model, "shortest", "refusal")


class _OnPurposeError(Exception):
    pass


def _described(side: Side) -> list[tuple[Any, ...]]:
    return [(point.name, point.stage, point.depth, point.width, point.formula) for point in side.points]


def _hooks(root: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in root.modules())


def _weights(root: nn.Module) -> dict[str, float]:
    tensors = {**dict(root.named_parameters()), **dict(root.named_buffers())}
    return {name: float(tensor.double().sum()) for name, tensor in tensors.items()}
