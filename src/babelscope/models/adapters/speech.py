"""Speech encoders of transformers as a speech side: by rules and measurements, whatever their class.

A recording's features are computed by the checkpoint's own extractor, one recording at a time, and cut to the frames
that the extractor calls real; batches are padded here. How many positions a recording has at a point is measured, and
every measured formula is tried on lengths that it was not found with.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope.errors import DataError
from babelscope.models.adapters.counting import Chain, chain_through
from babelscope.models.adapters.loading import Configuration, first_line
from babelscope.models.adapters.recordings import SAMPLE_RATE, Samples, noise
from babelscope.models.adapters.tracing import Layer, Shape, Stack, Trace, positions_of, ran_between, trace, trunk
from babelscope.models.adapters.weightless import shapes_only
from babelscope.sides import Batch, Layout, Point, Prepared, Side, Stage, pad, real_positions, spread_depths
from babelscope.verification.measurements import Lengths

#: Recordings that are traced, in samples: their counts at a module tell its axis of time.
_TRACED = (20_777, 46_411)

#: Between these many samples lengths are measured.
_SHORT, _LONG = SAMPLE_RATE // 2, 28 * SAMPLE_RATE

#: Arguments of forward passes that say which frames are real.
_MASKS = ("attention_mask", "input_features_mask", "padding_mask", "audio_mask", "feature_attention_mask")


class Features:
    """A checkpoint's own feature extractor, for one recording at a time.

    Parameters
    ----------
    name : str
        The argument of the model's forward pass that takes features.

    Attributes
    ----------
    time : int or None
        Which axis of a recording's features is time; None if there is a window.
    window : int or None
        Samples that every recording is padded to; None if recordings are not.
    """

    def __init__(self, extractor: Any, name: str) -> None:
        self.extractor, self.name = extractor, name
        rate = getattr(extractor, "sampling_rate", SAMPLE_RATE)
        if rate != SAMPLE_RATE:
            raise DataError(
                f"the model hears {rate} samples a second, and recordings come with {SAMPLE_RATE}: it is not read"
            )
        short, long = (self.whole(noise(samples))[0].shape for samples in _TRACED)
        changed = [axis for axis, (a, b) in enumerate(zip(short, long, strict=True)) if a != b]
        if len(changed) > 1 or len(short) != len(long):
            raise DataError(f"features of {type(extractor).__name__} change along several axes: {short}, {long}")
        self.time = changed[0] if changed else None
        self.window = None if changed else _window(extractor)

    def whole(self, samples: Samples, *, real: bool = True) -> tuple[Tensor, int | None]:
        """Return a recording's features without a batch axis, and how many frames the extractor calls real.

        Parameters
        ----------
        real : bool
            Whether to ask for that count; None if not, or if the extractor does not say.

        Raises
        ------
        DataError
            If the extractor refuses the recording, or makes features of it that are not finite.
        """
        more = {"return_attention_mask": True} if real else {}
        try:
            given = self.extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt", **more)
        except Exception as error:  # extractors raise whatever their parts do
            raise DataError(
                f"the model's feature extractor does not take {len(samples)} samples ({first_line(error)}): too short?"
            ) from error
        features = given[self.name] if self.name in given else next(iter(given.values()))
        if not bool(torch.isfinite(features).all()):
            raise DataError(f"{len(samples)} samples give features that are not finite: the recording is too short")
        name = next((name for name in given if name in _MASKS), None)
        return features[0], int(given[name].sum()) if name else None

    def __call__(self, samples: Samples) -> Tensor:
        """Return a recording's features, cut to its real frames, or padded to the window if there is one.

        Raises
        ------
        DataError
            As :meth:`whole`.
        """
        features, frames = self.whole(samples, real=self.time is not None)
        if self.time is None or frames is None or frames >= features.shape[self.time]:
            return features
        return features.narrow(self.time, 0, frames)


class SpeechSide(Side):
    """A speech encoder.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The encoder alone.
    points : sequence of Point
        Without depths.
    """

    modality = "speech"
    unit = "samples at 16 kHz"

    def __init__(self, model: Any, features: Features, points: Sequence[Point] = ()) -> None:
        self.root: nn.Module = model
        self.family = type(model).__name__
        self.features = features
        self.window = self.longest = features.window
        self.fixed_batch_length = features.window is not None
        takes = inspect.signature(model.forward).parameters
        #: The argument that says which frames are real; empty if the model takes none.
        self.mask = next((name for name in _MASKS if name in takes), "")
        self.points = spread_depths(points)

    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Compute the features of one recording.

        Raises
        ------
        DataError
            If it is longer than the window, or too short for the extractor.
        """
        samples = np.asarray(item, dtype=np.float32)
        if self.window is not None and len(samples) > self.window:
            seconds = self.window / SAMPLE_RATE
            raise DataError(
                f"{len(samples) / SAMPLE_RATE:.1f} s of speech do not fit the model's window of {seconds:g} s: choose "
                f"max_seconds = {seconds:g} or less"
            )
        return Prepared({self.features.name: self.features(samples)}, len(samples))

    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Pad features after their end, with zeros."""
        features = [item.inputs[self.features.name] for item in items]
        inputs = {self.features.name: pad(features)}
        if self.mask and self.features.time is not None:
            inputs[self.mask] = real_positions([each.shape[self.features.time] for each in features]).long()
        return Batch(inputs, tuple(item.length for item in items))

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the encoder."""
        self.root(**in_dtype_of(self.root, batch.inputs))
        return {}

    def reference(self, item: str | NDArray[np.float32], language: str) -> Mapping[str, Tensor] | None:
        """Run the encoder on what its own extractor makes of one recording, frames of padding and mask included."""
        from babelscope.verification.watching import own_forward

        samples = np.asarray(item, dtype=np.float32)
        given = self.features.extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        takes = inspect.signature(self.root.forward).parameters
        inputs = {name: array.to(self.device) for name, array in given.items() if name in takes}
        return own_forward(self, lambda: self.root(**in_dtype_of(self.root, inputs)))


def in_dtype_of(model: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return inputs with features in the number format of the model's weights."""
    dtype = next(model.parameters()).dtype
    return {name: array.to(dtype) if array.is_floating_point() else array for name, array in inputs.items()}


def speech_side(
    model: Any, configuration: Configuration, extractor: Any, front: str = "front."
) -> tuple[SpeechSide, tuple[str, ...]]:
    """Return a speech encoder's side, with points by rules and lengths by measurement, and notes on what was left out.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        With weights or without.
    front : str
        What stands before the names of points before the layers.

    Raises
    ------
    DataError
        If the model has no layers, its extractor refuses recordings, or no point is left.
    """
    features = Features(extractor, model.main_input_name)
    side = SpeechSide(model, features)
    with Lengths(configuration.folder, model=type(model).__name__) as lengths:
        measuring = _Measuring(side, configuration, lengths)
        points = measuring.points(front)
    if not points:
        raise DataError(f"{type(model).__name__}: no point holds. {measuring.notes[0]}")
    side.points = spread_depths(points)
    return side, tuple(measuring.notes)


def _window(extractor: Any) -> int:
    samples = getattr(extractor, "n_samples", None)
    if not isinstance(samples, int) or samples < 1:
        raise DataError(
            f"{type(extractor).__name__} pads every recording to one length, and does not say to how many samples: a "
            f"recording's share of it is not known"
        )
    return samples


@dataclass(frozen=True)
class Share:
    """A recording's share of a window's positions: those that hold at least one of its frames."""

    frames: Chain
    step: int

    def __call__(self, samples: int) -> int:
        """Return the positions of so many samples."""
        return -(-self.frames(samples) // self.step)

    @property
    def formula(self) -> str:
        """The same for people."""
        said = "M = ceil(n / 160)" if self.frames == Chain(160, 159) else f"M = {self.frames.formula('n')}"
        return said if self.step == 1 else f"ceil(M / {self.step}), {said}"


@dataclass
class _Spot:
    name: str
    stage: Stage
    layer: Layer
    take: Any = "output"


@dataclass
class _Measuring:
    """Finds points and their lengths by tracing recordings of several lengths, for shapes alone."""

    side: SpeechSide
    configuration: Configuration
    lengths: Lengths
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = self.side.root
        self.skip: dict[str, int] = {}
        self.shapes: dict[int, Trace] = {}
        self.chains: list[Chain] = []

    def _trace(self, samples: int) -> Trace:
        if samples not in self.shapes:
            batch = self.side.collate([self.side.prepare(noise(samples), "")])
            inputs = in_dtype_of(self.model, batch.inputs)
            with shapes_only(self.model, self.skip):
                self.shapes[samples] = trace(self.model, lambda: self.model(**inputs))
        return self.shapes[samples]

    def points(self, front: str) -> list[Point]:
        try:
            noted = self._trace(_TRACED[0])
        except DataError:
            raise
        except Exception as error:  # models raise whatever their parts do
            raise DataError(f"{type(self.model).__name__} does not run on a recording ({first_line(error)})") from error
        stack = trunk(self.model, noted, self.configuration.layer_counts)
        spots = self._spots(stack, noted, front)
        self.skip = {layer.path: noted.items[layer.path][0] for layer in stack.layers}
        long = self._trace(_TRACED[1])
        made = (self._point(spot, noted, long, stack) for spot in spots)
        return [point for point in made if point is not None]

    def _spots(self, stack: Stack, noted: Trace, front: str) -> list[_Spot]:
        first = stack.layers[0]
        giving = set(noted.givers[first.path][first.call])
        spots = [
            _Spot(f"{front}{path}", Stage.FRONT_END, Layer(path, 0))
            for path in ran_between(self.model, noted, -1, stack.entered, [stack.path])
            if path not in giving  # which gives the layers' input itself
        ]
        spots.append(_Spot("input", Stage.FRONT_END, first, "input"))
        spots += [_Spot(f"layer.{index}", Stage.ENCODER, layer) for index, layer in enumerate(stack.layers)]
        at_end = noted.shape(stack.layers[-1].path, "output", stack.layers[-1].call)
        for path in ran_between(self.model, noted, stack.left, 1 << 62, [stack.path]):
            norm = "norm" in type(self.model.get_submodule(path)).__name__.lower()
            if norm and noted.shape(path, "output") == at_end and "norm" not in {spot.name for spot in spots}:
                spots.append(_Spot("norm", Stage.ENCODER, Layer(path, 0)))
            else:
                spots.append(_Spot(f"after.{path}", Stage.LENGTH_ADAPTATION, Layer(path, 0)))
        return spots

    def _point(self, spot: _Spot, short: Trace, long: Trace, stack: Stack) -> Point | None:
        path, call = spot.layer
        calls = short.calls(path) if spot.take == "output" else len(short.entered[path])
        repeats = len({layer.path for layer in stack.layers}) < len(stack.layers) and path == stack.layers[0].path
        if calls > 1 and not repeats:
            return self._leave_out(f"{path} runs {calls} times in one forward pass")
        shapes = short.shape(path, spot.take, call), long.shape(path, spot.take, call)
        read = _axes(shapes[0], shapes[1], self.model.get_submodule(path), self.side.window is not None)
        if read is None:
            return self._leave_out(f"{path} gives {shapes[0]}, which is not batch, time and features")
        layout, width = read
        counted = self._length(spot, layout, shapes)
        if counted is None:
            return self._leave_out(f"no formula explains how many positions {path} has")
        length, formula = counted
        return Point(
            f"speech.{spot.name}",
            spot.stage,
            0,
            width,
            path,
            spot.take,
            layout,
            length,
            formula,
            call=call if repeats else None,
        )

    def _leave_out(self, why: str) -> Point | None:
        self.notes.append(f"Left out: {why}.")
        return None

    def _length(
        self, spot: _Spot, layout: Layout, shapes: tuple[Shape | None, Shape | None]
    ) -> tuple[Callable[[int], int], str] | None:
        if self.side.window is not None:
            return self._share(positions_of(shapes[0], layout))
        path, call = spot.layer

        def measured(samples: int) -> int | None:
            try:
                noted = self._trace(samples)
            except Exception:  # models raise whatever their parts do for a recording that is too short for them
                return None
            return positions_of(noted.shape(path, spot.take, call), layout)

        chain = self._known(f"{path} {spot.take} {call}", lambda: self._chain(measured))
        return (chain, chain.formula("n")) if chain is not None else None

    def _known(self, name: str, measure: Callable[[], Chain | None]) -> Chain | None:
        """Return a formula that was found before under a name, or find it."""

        def plain() -> tuple[int, int, int] | None:
            chain = measure()
            return None if chain is None else astuple(chain)

        said = self.lengths.of(name, plain)
        return None if said is None else Chain(*said)

    def _chain(self, measured: Callable[[int], int | None]) -> Chain | None:
        """Find a formula, or take that of another module if it explains all lengths that were measured so far."""
        for chain in self.chains:
            if all(chain(samples) == measured(samples) for samples in list(self.shapes)):
                return chain
        for base in (*reversed(self.chains), self._steps):
            # From the positions of a module before, or from frames, strides are small: few formulas can be mistaken.
            step = chain_through(base, measured, _SHORT, _LONG, hop=base.stride)
            if step is not None:
                made = Chain(base.stride * step.stride, base.offset + base.stride * step.offset)
                self.chains.append(made)
                return made
        return None

    @functools.cached_property
    def _steps(self) -> Chain:
        """How many frames of features a recording has; its samples, if they are the features."""
        features = self.side.features

        def steps(samples: int) -> int:
            return features(noise(samples)).shape[features.time or 0]

        return self._known("steps", lambda: chain_through(int, steps, _SHORT, _LONG)) or Chain(1, 0)

    def _share(self, positions: int | None) -> tuple[Callable[[int], int], str] | None:
        if self._frames is None or positions is None or self._window_frames % positions:
            return None
        share = Share(self._frames, self._window_frames // positions)
        return share, share.formula

    @functools.cached_property
    def _frames(self) -> Chain | None:
        """How many frames of a window a recording has."""
        features, longest = self.side.features, self.side.window or _LONG
        return self._known("frames", lambda: chain_through(int, lambda n: features.whole(noise(n))[1], _SHORT, longest))

    @functools.cached_property
    def _window_frames(self) -> int:
        frames = self.side.features.whole(noise(self.side.window or 0))[1]
        return frames or 0


def _axes(short: Shape | None, long: Shape | None, module: nn.Module, windowed: bool) -> tuple[Layout, int] | None:
    """Return the layout and width of a module, by its shapes for two recordings of different lengths."""
    if short is None or long is None or len(short) != len(long):
        return None
    changed = [axis for axis, (a, b) in enumerate(zip(short, long, strict=True)) if a != b]
    if len(short) == 3 and short[0] == 1:
        if windowed and not changed:
            over_time = isinstance(module, nn.Conv1d | nn.AvgPool1d | nn.MaxPool1d)
            return ("bdt", short[1]) if over_time else ("btd", short[2])
        if changed == [1]:
            return "btd", short[2]
        if changed == [2]:
            return "bdt", short[1]
    if len(short) in (2, 3) and changed == [0]:
        return "td", short[-1]
    return None
