"""Forward hooks of our own: every point is reduced to one vector an utterance inside the hook; nothing else is kept.

Libraries' own lists of hidden states are not used: some overwrite the last entry, some hand back tensors that later
layers change in place. A hook sees the activation at the moment it exists, pools it at once, and lets go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from babelscope.capture.pooling import Spans, pool, pooling_named
from babelscope.errors import DataError
from babelscope.models.base import Batch, Point, Prepared, Side, to_device


class Capture:
    """Hooks on a side's points, for as long as the ``with`` block lasts.

    Parameters
    ----------
    side : Side
    pooling : {"mean", "max", "first", "last"}

    Examples
    --------
    >>> with Capture(side) as capture:  # doctest: +SKIP
    ...     vectors = capture.run(side.collate([side.prepare("Hello", "en")]))
    """

    def __init__(self, side: Side, pooling: str = "mean") -> None:
        pooling_named(pooling)
        self.side, self.pooling = side, pooling
        self._handles = ExitStack()
        self._spans: dict[str, Spans] = {}
        self._items: tuple[Prepared, ...] = ()
        self._caught: dict[str, Tensor] = {}
        self._calls: dict[str, int] = {}
        self._active = False

    def __enter__(self) -> Self:
        try:
            for point in self.side.points:
                if point.module:
                    self._handles.callback(self._hook(self.side.root.get_submodule(point.module), point).remove)
        except BaseException:
            self._handles.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handles.close()

    def _hook(self, module: nn.Module, point: Point) -> RemovableHandle:
        def on_output(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self._catch(point, output)

        def on_input(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._catch(point, args[0] if args else kwargs.get("hidden_states", next(iter(kwargs.values()))))

        if point.take == "input":
            return module.register_forward_pre_hook(on_input, with_kwargs=True)
        return module.register_forward_hook(on_output)

    def _catch(self, point: Point, value: Any) -> None:
        if not self._active:
            return
        if point.call is not None:
            call = self._calls[point.name] = self._calls.get(point.name, -1) + 1
            if call != point.call:
                return
        elif point.name in self._caught:
            raise RuntimeError(f"point {point.name} fired twice in one forward pass")
        tensor = point.activations(value).detach()
        if point.layout == "bd":
            self._caught[point.name] = tensor.float().clone()
            return
        tensor = _from_starts(tensor, [item.start_at(point) for item in self._items])
        spans = self._spans[point.name]
        self._compare(point, tensor, spans)
        self._caught[point.name] = self._keep(point, tensor, spans)

    def _keep(self, point: Point, tensor: Tensor, spans: Spans) -> Tensor:
        """Return what is kept of a point: one vector an utterance."""
        return pool(tensor, spans, self.pooling)

    def _compare(self, point: Point, tensor: Tensor, spans: Spans) -> None:
        """Refuse a point whose claimed positions are not those that its module gives.

        Of an utterance that runs alone the claim must be exact, unless it stands in a window of fixed length.
        """
        there = tensor.shape[1]
        item = self._items[0]
        expected = item.total_at(point)
        exact = len(self._items) == 1 and not (self.side.fixed_batch_length and expected == spans.longest)
        if there < spans.longest or (exact and there != expected):
            lengths = ", ".join(f"{each.length}" for each in self._items[:5])
            raise DataError(
                f"point {point.name}: module {point.module} gives {there} positions for {lengths} {self.side.unit}, "
                f"not {expected if exact else spans.longest} as claimed ({point.formula}): leave the point out with "
                f"'points', and report it"
            )

    def run(self, batch: Batch, *, training: bool = False) -> Mapping[str, Tensor]:
        """Run one batch.

        Parameters
        ----------
        batch : Batch
        training : bool
            Whether the model goes on training afterwards: gradients are then off, but what the model keeps of this pass
            (tables of positions) may still take part in a backward pass.

        Returns
        -------
        mapping of str to Tensor, shape (batch, width)
            One entry a point, in the order of the points, float32 on the side's device.

        Raises
        ------
        DataError
            If a module gives fewer positions than are claimed, or others although an utterance runs alone.
        RuntimeError
            If a point did not fire, fired twice, or out of order: the side does not describe its model.
        """
        device = self.side.device
        if len(batch.lengths) > 1 and (packed := [point.name for point in self.side.points if point.layout == "td"]):
            raise DataError(f"point {packed[0]} is packed: {len(batch.lengths)} utterances cannot run together")
        try:
            with torch.no_grad() if training else torch.inference_mode():
                self._items = batch.utterances()
                self._spans = _spans(self.side.points, self._items, device)
                self._caught, self._calls = {}, {}
                self._active = True
                returned = self.side.forward(batch.to(device))
        finally:
            self._active = False
        fired = list(self._caught)
        expected = [point.name for point in self.side.points if point.module]
        if fired != expected:
            silent = [name for name in expected if name not in self._caught]
            raise RuntimeError(
                f"points did not fire: {silent}" if silent else f"points fired as {fired}, not as {expected}"
            )
        # Of a side whose points were narrowed only those that no module gives are taken from what it returns.
        pooled = {point.name for point in self.side.points if not point.module}
        caught = self._caught | {name: tensor.float() for name, tensor in returned.items() if name in pooled}
        self._caught = {}
        return {point.name: caught[point.name] for point in self.side.points}


def _from_starts(values: Tensor, starts: Sequence[int]) -> Tensor:
    """Return positions from each utterance's first on; where the starts differ, shifted to the left."""
    first = starts[0]
    if all(start == first for start in starts):
        return values[:, first:]
    return torch.nn.utils.rnn.pad_sequence(
        [row[start:] for row, start in zip(values, starts, strict=True)], batch_first=True
    )


def _spans(points: Sequence[Point], items: Sequence[Prepared], device: torch.device) -> dict[str, Spans]:
    """Return each point's valid positions, all brought to the device in one copy before anything runs."""
    of = {point.name: tuple(item.positions_at(point) for item in items) for point in points if point.layout != "bd"}
    different = list(dict.fromkeys(of.values()))
    if not different:
        return {}
    (table,) = to_device([torch.tensor(different)], device)
    spans = {counts: Spans(counts, row) for counts, row in zip(different, table, strict=True)}
    return {name: spans[counts] for name, counts in of.items()}
