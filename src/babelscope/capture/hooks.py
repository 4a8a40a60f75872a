"""Forward hooks of our own: every point is reduced to one vector an utterance inside the hook; nothing else is kept.

Libraries' own lists of hidden states are not used: some overwrite the last entry, some hand back tensors that later
layers change in place. A hook sees the activation at the moment it exists, pools it at once, and lets go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from babelscope.capture.pooling import Spans, pool, pooling_named
from babelscope.models.base import Batch, Point, Side, to_device


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
        self._caught: dict[str, Tensor] = {}
        self._active = False

    def __enter__(self) -> Capture:
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
            self._catch(point, args[0] if args else next(iter(kwargs.values())))

        if point.take == "input":
            return module.register_forward_pre_hook(on_input, with_kwargs=True)
        return module.register_forward_hook(on_output)

    def _catch(self, point: Point, value: Any) -> None:
        if not self._active:
            return
        if point.name in self._caught:
            raise RuntimeError(f"point {point.name} fired twice in one forward pass")
        tensor: Tensor = value[0] if isinstance(value, tuple | list) else value
        if point.layout == "bd":
            self._caught[point.name] = tensor.detach().float().clone()
            return
        if point.layout == "bdt":
            tensor = tensor.transpose(1, 2)
        self._caught[point.name] = pool(tensor.detach()[:, point.start :], self._spans[point.name], self.pooling)

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
        RuntimeError
            If a point did not fire, fired twice, or out of order: the side does not describe its model.
        """
        device = self.side.device
        try:
            with torch.no_grad() if training else torch.inference_mode():
                self._spans, self._caught = _spans(self.side.points, batch.lengths, device), {}
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
        caught = self._caught | {name: tensor.float() for name, tensor in returned.items()}
        self._caught = {}
        return {point.name: caught[point.name] for point in self.side.points}


def _spans(points: Sequence[Point], lengths: Sequence[int], device: torch.device) -> dict[str, Spans]:
    """Return each point's valid positions, all brought to the device in one copy before anything runs."""
    of = {point.name: tuple(point.length(length) for length in lengths) for point in points if point.layout != "bd"}
    different = list(dict.fromkeys(of.values()))
    if not different:
        return {}
    (table,) = to_device([torch.tensor(different)], device)
    held = {counts: Spans(counts, row) for counts, row in zip(different, table, strict=True)}
    return {name: held[counts] for name, counts in of.items()}
