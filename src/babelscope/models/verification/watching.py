"""Activations of every point, position by position: before pooling, which would hide a fault in one position."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from babelscope.errors import DataError
from babelscope.models.base import Batch, Point, Prepared, Side


def watch(side: Side, batch: Batch) -> tuple[dict[str, Tensor], list[str]]:
    """Run a batch and keep every point's activations whole.

    Parameters
    ----------
    side : Side
    batch : Batch

    Returns
    -------
    values : dict of str to Tensor, shape (batch, positions, width) or (batch, width)
        float32, on the CPU; positions include padding, but not what comes before a point's start. A point that fired
        more than once has its last.
    order : list of str
        The points in the order in which their modules ran, each as often as it did.
    """
    returned: dict[str, Tensor] = {}

    def run() -> None:
        returned.update(side.forward(batch.to(side.device)))

    values, order = observe(side, run)
    values |= {name: tensor.detach().float().cpu().clone() for name, tensor in returned.items()}
    return values, order


def observe(side: Side, run: Callable[[], object]) -> tuple[dict[str, Tensor], list[str]]:
    """Keep the activations of a side's hooked points while something runs: its forward pass, or the model's own.

    Parameters
    ----------
    side : Side
    run : callable
        Runs the side's modules once, without gradients.

    Returns
    -------
    values, order
        As :func:`watch`, but only points that have a module.
    """
    values: dict[str, Tensor] = {}
    order: list[str] = []

    def keep(point: Point, value: Any) -> None:
        tensor: Tensor = value[0] if isinstance(value, tuple | list) else value
        if point.layout == "bdt":
            tensor = tensor.transpose(1, 2)
        if point.layout != "bd":
            tensor = tensor[:, point.start :]
        values[point.name] = tensor.detach().float().cpu().clone()
        order.append(point.name)

    with ExitStack() as handles, torch.inference_mode():
        for point in side.points:
            if not point.module:
                continue
            module = side.root.get_submodule(point.module)

            def on_output(_: Any, __: Any, output: Any, point: Point = point) -> None:
                keep(point, output)

            def on_input(_: Any, args: Any, kwargs: Any, point: Point = point) -> None:
                keep(point, args[0] if args else next(iter(kwargs.values())))

            handle = (
                module.register_forward_hook(on_output)
                if point.take == "output"
                else module.register_forward_pre_hook(on_input, with_kwargs=True)
            )
            handles.callback(handle.remove)
        run()
    return values, order


def deviations(side: Side, items: Sequence[Prepared]) -> dict[str, float]:
    """Measure by how much a padded batch differs from its items run alone.

    Parameters
    ----------
    side : Side
    items : sequence of Prepared

    Returns
    -------
    dict of str to float
        For every point the largest difference at any valid position of any item, as a share of the largest activation
        that the item has there.

    Raises
    ------
    DataError
        If an item alone, or in the batch, has fewer positions at a point than the point's formula says.
    """
    together, _ = watch(side, side.collate(items))
    worst = {point.name: 0.0 for point in side.points}
    for row, item in enumerate(items):
        alone, _ = watch(side, side.collate([item]))
        for point in side.points:
            batched, single = together[point.name][row], alone[point.name][0]
            if point.layout != "bd" and point.module:
                valid = point.length(item.length)
                batched, single = batched[:valid], single[:valid]
                if not len(batched) == len(single) == valid:
                    raise DataError(
                        f"{point.name}: {item.length} {side.unit} have {len(batched)} positions in a batch, "
                        f"{len(single)} alone, but {valid} by its formula {point.formula}: correct the formula"
                    )
            worst[point.name] = max(worst[point.name], difference(batched, single))
    return worst


def difference(values: Tensor, reference: Tensor) -> float:
    """Return the largest difference of two arrays of one shape, as a share of the reference's largest entry.

    Infinity if either holds a number that is not finite.
    """
    if values.numel() == 0:
        return 0.0
    apart = float((values - reference).abs().max()) / max(float(reference.abs().max()), 1e-12)
    return apart if math.isfinite(apart) else math.inf
