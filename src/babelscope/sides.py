"""What a model is to babelscope: a text side and a speech side, each an ordered list of points to look at.

A *side* turns sentences into activations. It knows how to prepare one utterance (on the CPU, without weights), how to
put several into a padded batch, and how to run them. Its *points* say where to look and how many positions of an
utterance are real there; everything else in a padded batch is padding and must not be counted. A side knows nothing of
storage, and whoever captures knows nothing of the model but its points.
"""

from __future__ import annotations

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.stages import MODALITIES as MODALITIES
from babelscope.stages import Modality as Modality
from babelscope.stages import Stage as Stage

#: Axes of what a module gives; see :class:`Point`.
Layout = Literal["btd", "bdt", "bd", "td"]


@dataclass(frozen=True)
class Point:
    """A place in a model where activations are taken.

    Attributes
    ----------
    name : str
        Unique within the model, such as ``speech.layer.3``. A point that both sides have under one name is *shared*:
        the same weights see both modalities there.
    stage : Stage
    depth : float
        From 0 (first point of the side) to 1 (its output).
    width : int
        Features a position has.
    module : str
        Path of the hooked module below the side's root; empty for a vector that :meth:`Side.forward` returns.
    take : {"output", "input"}
        Whether the module's output or its first argument is taken. Of a tuple, a list, a dictionary or an output of
        transformers the first tensor counts.
    layout : {"btd", "bdt", "bd", "td"}
        Axes of what the module gives: batch, time and features; convolutions put time last; "bd" has no time; "td" is
        packed: it has no batch, or chunks of one utterance in the batch's place. Utterances run one at a time then.
    length : callable
        Maps an utterance's length (in the side's unit) to its number of valid positions here, where the utterance does
        not say it itself (:attr:`Prepared.positions`).
    formula : str
        The same for people to read.
    start : int
        Positions of the module that come before the utterance's own: those of a prompt. An utterance may say its own
        (:attr:`Prepared.starts`).
    call : int or None
        Which call of the module counts in one forward pass, from 0; None if the module must run exactly once.
    stream : int or None
        Index to take of a further axis that comes before the batch's (Gemma 3n's streams); None if there is none.
    counted_by : str
        Key under which an utterance says its positions here, if that is not the point's name: one for many points.
    around : tuple of (int, int)
        Of the valid positions, those at the front and at the end that are none of the utterance itself: the tokens that
        the model puts around every text or recording.
    """

    name: str
    stage: Stage
    depth: float
    width: int
    module: str
    take: Literal["output", "input"] = "output"
    layout: Layout = "btd"
    length: Callable[[int], int] = field(default=lambda length: length, repr=False, compare=False)
    formula: str = "L"
    start: int = 0
    call: int | None = None
    stream: int | None = None
    counted_by: str = ""
    around: tuple[int, int] = (0, 0)

    def activations(self, value: Any) -> Tensor:
        """Return what the module gave as the point sees it: shape (batch, positions, width), or (batch, width).

        Parameters
        ----------
        value : Any
            The module's output, or its argument.

        Raises
        ------
        DataError
            If it is no tensor, or one of other axes.
        """
        tensor = first_tensor(value)
        if tensor is None:
            raise DataError(f"point {self.name}: module {self.module} gives no tensor ({type(value).__name__})")
        if self.stream is not None:
            tensor = tensor[self.stream]
        if self.layout == "td":
            if tensor.ndim < 2:
                raise DataError(f"point {self.name}: module {self.module} gives {tensor.ndim} axes, not time, features")
            return tensor.reshape(1, -1, tensor.shape[-1])
        return tensor.transpose(1, 2) if self.layout == "bdt" else tensor


def first_tensor(value: Any) -> Tensor | None:
    """Return the first tensor in a value: itself, or of tuples, lists, dictionaries and transformers' outputs."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return None
    return next((tensor for each in value if (tensor := first_tensor(each)) is not None), None)


@dataclass(frozen=True)
class Prepared:
    """One utterance, ready for a batch.

    Attributes
    ----------
    inputs : mapping of str to Tensor
        Without a batch axis.
    length : int
        In the side's unit.
    positions : mapping of str to int
        Valid positions at points where only the processor or the model can count them, by a point's
        :attr:`Point.counted_by` or name; elsewhere :attr:`Point.length` counts them.
    starts : mapping of str to int
        Positions before the utterance's own, by the same keys, where it is not :attr:`Point.start`.
    totals : mapping of str to int
        All positions of the module behind the start if the utterance runs alone, by the same keys, where they are more
        than its own: silence that is heard, or a prompt behind it.
    """

    inputs: Mapping[str, Tensor]
    length: int
    positions: Mapping[str, int] = field(default_factory=dict)
    starts: Mapping[str, int] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)

    def positions_at(self, point: Point) -> int:
        """Return how many positions at a point are valid."""
        counted = _at(self.positions, point)
        return point.length(self.length) if counted is None else counted

    def start_at(self, point: Point) -> int:
        """Return how many positions at a point come before the first valid one."""
        start = _at(self.starts, point)
        return point.start if start is None else start

    def total_at(self, point: Point) -> int:
        """Return how many positions come from the first valid one on if the utterance runs alone."""
        total = _at(self.totals, point)
        return self.positions_at(point) if total is None else total


def _at(counts: Mapping[str, int], point: Point) -> int | None:
    return counts.get(point.name, counts.get(point.counted_by)) if counts else None


@dataclass(frozen=True)
class Batch:
    """Several utterances, padded.

    Attributes
    ----------
    inputs : mapping of str to Tensor
        With a batch axis.
    lengths : tuple of int
        Each utterance's own, in the side's unit.
    items : tuple of Prepared
        The utterances, as far as they count positions themselves; empty if their lengths say all (see :meth:`of`).
    """

    inputs: Mapping[str, Tensor]
    lengths: tuple[int, ...]
    items: tuple[Prepared, ...] = ()

    @classmethod
    def of(cls, inputs: Mapping[str, Tensor], items: Sequence[Prepared]) -> Batch:
        """Return the batch of several utterances, given its tensors; it keeps what each utterance counts itself."""
        kept = tuple(dataclasses.replace(item, inputs={}) for item in items)
        return cls(inputs, tuple(item.length for item in items), kept)

    def utterances(self) -> tuple[Prepared, ...]:
        """Return the utterances without their tensors: their lengths, and what they count themselves."""
        return self.items or tuple(Prepared({}, length) for length in self.lengths)

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its tensors on `device`; to a GPU they are on their way (see :func:`to_device`)."""
        moved = dict(zip(self.inputs, to_device(list(self.inputs.values()), device), strict=True))
        return dataclasses.replace(self, inputs=moved)


def to_device(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Return tensors on a device; to a GPU through pinned memory, without waiting for the copies.

    The allocator of pinned memory hands none of it out again before the copies from it are done.
    """
    if device.type != "cuda":
        return [tensor.to(device) for tensor in tensors]
    pinned = [tensor.pin_memory() if tensor.device.type == "cpu" else tensor for tensor in tensors]
    return [tensor.to(device, non_blocking=True) for tensor in pinned]


def pad(arrays: Sequence[Tensor], value: float = 0) -> Tensor:
    """Stack arrays, each padded after its end along every axis to the longest.

    Parameters
    ----------
    arrays : sequence of Tensor
        Of the same number of axes.
    value : float
        What stands in the padding.

    Returns
    -------
    Tensor
        With a first axis of arrays.
    """
    first = arrays[0].shape
    if all(array.shape == first for array in arrays):
        return torch.stack(list(arrays))
    shape = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
    padded = arrays[0].new_full((len(arrays), *shape), value)
    for row, array in zip(padded, arrays, strict=True):
        row[tuple(slice(size) for size in array.shape)] = array
    return padded


def real_positions(lengths: Sequence[int], positions: int | None = None) -> Tensor:
    """Return where positions are real.

    Parameters
    ----------
    positions : int, optional
        The longest if left out.

    Returns
    -------
    Tensor of bool, shape (lengths, positions)
    """
    return torch.arange(max(lengths) if positions is None else positions)[None] < torch.tensor(lengths)[:, None]


class Side(ABC):
    """One way into a model: its text side or its speech side.

    Attributes
    ----------
    modality : {"text", "speech"}
    family : str
        What it is, for people: ``Whisper encoder``.
    unit : str
        In what an utterance's length is counted: ``samples at 16 kHz`` or ``tokens``.
    root : torch.nn.Module
        Where the points' module paths start. In evaluation mode, without gradients.
    points : tuple of Point
        In the order in which they are computed.
    fixed_batch_length : bool
        True if an utterance stands in a window that is longer than it (Whisper's), which the model hears as a whole.
    exact_in_batches : bool
        False if padding would change the numbers (BEATs): its utterances run one at a time.
    runs_beside : bool
        Whether several batches may run at once in threads of one process. False for a model that switches, while it
        runs, what all threads share: run twice at once it would give other bits.
    weights_by_language : bool
        True if each language has an encoder of its own (SONAR's speech), so that layers of two languages are not the
        same layers.
    longest : int or None
        Length of the longest utterance that it takes, in its unit; None if there is no limit.
    window : int or None
        Length of the window of fixed length that an utterance stands in, in the side's unit; None if there is none.
    """

    modality: Modality
    family: str
    unit: str
    root: nn.Module
    points: tuple[Point, ...]
    fixed_batch_length: bool = False
    exact_in_batches: bool = True
    runs_beside: bool = True
    weights_by_language: bool = False
    longest: int | None = None
    window: int | None = None

    @abstractmethod
    def prepare(self, item: str | NDArray[np.float32], language: str) -> Prepared:
        """Turn a sentence's text, or its samples (mono, 16 kHz), into what the model takes.

        Raises
        ------
        DataError
            If the model cannot take it (too long, no token); the caller adds which sentence it was.
        """

    @abstractmethod
    def collate(self, items: Sequence[Prepared]) -> Batch:
        """Pad several utterances into one batch."""

    @abstractmethod
    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the model once, and return the vectors that no module outputs, by point name: arrays (batch, width)."""

    def reference(self, item: str | NDArray[np.float32], language: str) -> Mapping[str, Tensor] | None:
        """Run one utterance through the model's own processor and the model's own forward pass.

        What it returns is compared with :meth:`prepare`, :meth:`collate` and :meth:`forward` at the same points. So it
        uses none of these three: it gives the processor or tokenizer that the checkpoint brings what its documentation
        says, and calls the whole model. :func:`babelscope.verification.observe` keeps the points' activations
        meanwhile; the model's own list of hidden states serves as well.

        Returns
        -------
        mapping of str to Tensor, shape (positions, width) or (width,), or None
            Activations by point name, of as many points as can be compared; positions start with the utterance's first
            (behind a prompt), and may go on behind its last (silence of a window), which is not compared. None if the
            side offers no such comparison.
        """
        return None

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...] | None:
        """Return tokens as the model's tokenizer writes them, with its marks of words; None if the side has no such."""
        tokenizer = getattr(self, "tokenizer", None) or getattr(getattr(self, "tokens", None), "tokenizer", None)
        for name in ("convert_ids_to_tokens", "id_to_token"):
            if (written := getattr(tokenizer, name, None)) is not None:
                return tuple(str(written(int(number))) for number in ids)
        return None

    def for_language(self, language: str) -> Side:
        """Return the side that hears or reads this language: itself, unless each language has weights of its own.

        Raises
        ------
        UsageError
            If there are no weights for the language.
        """
        return self

    def computes_as(self, other: Side) -> bool:
        """Whether another side gives the same activations at the points that both have: one of them need not run."""
        return other is self

    @property
    def runs_alone(self) -> bool:
        """Whether utterances run one at a time: padding would change the numbers, or a point is packed."""
        return not self.exact_in_batches or any(point.layout == "td" for point in self.points)

    @property
    def device(self) -> torch.device:
        """Where inputs go: where the weights are, or are brought to when they are needed; "meta" without weights."""
        first = next(self.root.parameters()).device
        if first.type != "meta":
            return first
        # Weights that accelerate keeps on the disk: its hooks know where they are brought to.
        hooks = (getattr(module, "_hf_hook", None) for module in self.root.modules())
        devices = (getattr(hook, "execution_device", None) for hook in hooks)
        return next((torch.device(device) for device in devices if device is not None), first)

    @property
    def parameters(self) -> int:
        """How many numbers the side's weights are."""
        return sum(parameter.numel() for parameter in self.root.parameters())


@dataclass(frozen=True)
class WeightsFile:
    """Where weights came from: a file's name, its sha256, and its source (an asset, a folder, a hub id)."""

    file: str
    sha256: str
    source: str


@dataclass(frozen=True)
class Model:
    """A text side, a speech side, or both.

    Attributes
    ----------
    name : str
    sides : mapping of modality to Side
    weights : tuple of WeightsFile
        Every file that was read to build it.
    options : mapping
        What was chosen when loading and changes the numbers (window, dtype, prefix).
    notes : tuple of str
        What a reader of its numbers must know, a sentence each.
    licence : str
    """

    name: str
    sides: Mapping[Modality, Side]
    weights: tuple[WeightsFile, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    licence: str = ""

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities it takes, text first."""
        return tuple(modality for modality in MODALITIES if modality in self.sides)

    @property
    def shared_points(self) -> tuple[str, ...]:
        """Names of the points that both sides have."""
        if len(self.sides) < 2:
            return ()
        speech = {point.name for point in self.sides["speech"].points}
        return tuple(point.name for point in self.sides["text"].points if point.name in speech)

    @property
    def revision(self) -> str:
        """Short identity of the weights: the first twelve digits of each file's sha256."""
        return "+".join(weights.sha256[:12] for weights in self.weights)

    def select_points(self, patterns: Sequence[str]) -> Model:
        """Return the model with only the points whose names match one of `patterns` (shell wildcards; ``all``).

        Raises
        ------
        UsageError
            If a pattern matches nothing.
        """
        wanted = ["*" if pattern == "all" else pattern for pattern in patterns]
        names = [point.name for side in self.sides.values() for point in side.points]
        for pattern in wanted:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise UsageError(
                    f"points: model {self.name} has no point {pattern!r}; {did_you_mean(pattern, dict.fromkeys(names))}"
                )
        sides: dict[Modality, Side] = {}
        for modality, side in self.sides.items():
            kept = tuple(point for point in side.points if any(fnmatchcase(point.name, pattern) for pattern in wanted))
            if kept:
                sides[modality] = with_points(side, kept)
        return dataclasses.replace(self, sides=sides)

    def describe(self) -> list[dict[str, Any]]:
        """Return the points of every side as rows: modality, name, stage, depth, width, formula, module."""
        return [
            {
                "modality": modality,
                "name": point.name,
                "stage": str(point.stage),
                "depth": point.depth,
                "width": point.width,
                "formula": point.formula,
                "module": point.module,
            }
            for modality, side in self.sides.items()
            for point in side.points
        ]


def with_points(side: Side, points: Sequence[Point]) -> Side:
    """Return the side with other points."""
    narrowed = copy.copy(side)
    narrowed.points = tuple(points)
    return narrowed


def layer_points(
    name: str, count: int, width: int, module: str, stage: Stage = Stage.ENCODER, stack: str = "layers", **each: Any
) -> list[Point]:
    """Return a point a layer, without depths: ``text.layer.0`` at ``encoder.layers.0``, and so on.

    Parameters
    ----------
    name, module : str
        What stands before ``layer.N``, and before ``layers.N``: with a dot at the end, or empty.
    stack : str
        What the model calls its list of layers.
    **each
        Of every point: its length and formula.
    """
    return [
        Point(f"{name}layer.{index}", stage, 0, width, f"{module}{stack}.{index}", **each) for index in range(count)
    ]


def spread_depths(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points of one side with depths 0, 1/(n-1), ..., 1 in their order."""
    last = max(len(points) - 1, 1)
    return tuple(dataclasses.replace(point, depth=index / last) for index, point in enumerate(points))


def spread_depths_before(own: Sequence[Point], shared: Sequence[Point], longest: int) -> tuple[Point, ...]:
    """Return a side's points with depths from 0 to 1, so that a shared point has the same depth on both sides.

    Parameters
    ----------
    own : sequence of Point
        What only this side has; they come first.
    shared : sequence of Point
        What both sides have.
    longest : int
        How many own points the side has that has more of them.
    """
    last = longest + len(shared) - 1
    start = longest / last
    depths = [index * (start - 1 / last) / max(len(own) - 1, 1) for index in range(len(own))]
    depths += [(longest + index) / last for index in range(len(shared))]
    return tuple(dataclasses.replace(point, depth=depth) for point, depth in zip([*own, *shared], depths, strict=True))


def check_device(device: str) -> torch.device:
    """Return a device of this machine.

    Raises
    ------
    UsageError
        If it does not exist.
    """
    try:
        target = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"device {device!r} cannot be used ({error}): use 'cpu' or 'cuda'") from error
    if target.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"device {device!r} asked for, but this machine (or this build of torch) has no CUDA: use device = 'cpu'"
        )
    return target


def ready(module: nn.Module, device: str, dtype: torch.dtype) -> nn.Module:
    """Put a module into evaluation mode, without gradients, on `device` in `dtype`.

    Raises
    ------
    UsageError
        If the device does not exist on this machine.
    """
    target = check_device(device)
    try:
        return module.to(device=target, dtype=dtype).eval().requires_grad_(False)
    except RuntimeError as error:
        raise UsageError(f"device {device!r} cannot be used ({error}): use 'cpu' or 'cuda'") from error


DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def dtype_named(name: str) -> torch.dtype:
    """Return the torch dtype of that name.

    Raises
    ------
    UsageError
        If it is not float32, bfloat16 or float16.
    """
    if name not in DTYPES:
        raise UsageError(f"dtype {name!r} is unknown; {did_you_mean(name, DTYPES)}")
    return DTYPES[name]
