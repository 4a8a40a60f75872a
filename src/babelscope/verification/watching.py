"""Activations of every point, position by position: before pooling, which would hide a fault in one position."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from babelscope.errors import DataError
from babelscope.sides import Batch, Point, Prepared, Side


def _whole(values: Tensor) -> Tensor:
    return values.detach().float().cpu().clone()


def whole_from_start(point: Point, values: Tensor) -> Tensor:
    """Return a copy of all positions after a point's start, as float32 on the CPU."""
    return _whole(values[:, point.start :] if point.layout != "bd" else values)


def observe(
    side: Side,
    run: Callable[[], object],
    keep: Callable[[Point, Tensor], Any] = whole_from_start,
    errors: dict[str, str] | None = None,
    calls: dict[str, int] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Keep something of the activations of a side's hooked points while its modules run.

    Parameters
    ----------
    side : Side
    run : callable
        Runs the side's modules once: its own forward pass, or the whole model's. No gradients are computed.
    keep : callable, optional
        Given a point and its activations, shape (batch, positions, width) or (batch, width), returns what is kept: all
        positions after the point's start if left out. What it raises ends the run. The activations may be changed by
        later layers: copy what is kept of them.
    errors : dict, optional
        Is given the message of a :class:`DataError` by point name, in place of ending the run.
    calls : dict, optional
        Is given how often every point's module ran, by point name.

    Returns
    -------
    kept : dict of str to Any
        By point name. A point whose module runs more often than it says has its last.
    order : list of str
        The points in the order in which their modules ran, each as often as it did; of a point that counts the n-th
        call of its module, that call alone.
    """
    kept: dict[str, Any] = {}
    order: list[str] = []
    counts = {} if calls is None else calls

    def see(point: Point, value: Any) -> None:
        call = counts.get(point.name, 0)
        counts[point.name] = call + 1
        if point.call is None or call == point.call:
            order.append(point.name)
            try:
                kept[point.name] = keep(point, point.activations(value).detach())
            except DataError as error:
                if errors is None:
                    raise
                errors[point.name] = str(error)

    with ExitStack() as handles, torch.inference_mode():
        for point in side.points:
            if not point.module:
                continue
            module = side.root.get_submodule(point.module)

            def on_output(_: Any, __: Any, output: Any, point: Point = point) -> None:
                see(point, output)

            def on_input(_: Any, args: Any, kwargs: Any, point: Point = point) -> None:
                see(point, args[0] if args else kwargs.get("hidden_states", next(iter(kwargs.values()))))

            handle = (
                module.register_forward_hook(on_output)
                if point.take == "output"
                else module.register_forward_pre_hook(on_input, with_kwargs=True)
            )
            handles.callback(handle.remove)
        run()
    return kept, order


def observe_batch(
    side: Side,
    batch: Batch,
    keep: Callable[[Point, Tensor], Any],
    errors: dict[str, str] | None = None,
    calls: dict[str, int] | None = None,
) -> tuple[dict[str, Any], list[str], dict[str, Tensor]]:
    """Run a batch; return what :func:`observe` does, and the vectors that the side returns."""
    returned: dict[str, Tensor] = {}

    def run() -> None:
        returned.update(side.forward(batch.to(side.device)))

    kept, order = observe(side, run, keep, errors, calls)
    return kept, order, returned


def watch(side: Side, batch: Batch) -> tuple[dict[str, Tensor], list[str]]:
    """Run a batch and keep every point's activations whole.

    Parameters
    ----------
    side : Side
    batch : Batch

    Returns
    -------
    values : dict of str to Tensor, shape (batch, positions, width) or (batch, width)
        float32, on the CPU; positions include padding, but not what comes before an utterance's start.
    order : list of str
        As :func:`observe`.
    """
    items = batch.utterances()
    values, order, returned = observe_batch(
        side, batch, lambda point, values: _whole(from_starts(point, values, items))
    )
    return values | {name: _whole(tensor) for name, tensor in returned.items()}, order


def own_forward(side: Side, run: Callable[[], object], item: Prepared | None = None) -> dict[str, Tensor]:
    """Keep the activations of one utterance while the model's own forward pass runs: for :meth:`Side.reference`.

    Parameters
    ----------
    side : Side
    run : callable
        Calls the whole model on what its own processor made of one utterance.
    item : Prepared, optional
        The utterance, if it says its own starts.

    Returns
    -------
    dict of str to Tensor, shape (positions, width) or (width,)
        For every hooked point that ran.
    """
    items = [item or Prepared({}, 1)]
    kept, _ = observe(side, run, lambda point, values: _whole(from_starts(point, values, items)[0]))
    return kept


def from_starts(point: Point, values: Tensor, items: Sequence[Prepared]) -> Tensor:
    """Return a point's positions from each utterance's first on, shifted to the left where their starts differ."""
    if point.layout == "bd":
        return values
    starts = [item.start_at(point) for item in items]
    if len(set(starts)) == 1:
        return values[:, starts[0] :]
    rows = [row[start:] for row, start in zip(values, starts, strict=True)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


@dataclass(frozen=True)
class Seen:
    """What one utterance that runs alone gives at a point.

    Attributes
    ----------
    positions : int or None
        From its first on; None for a point without an axis of time.
    finite : bool
        Whether its valid positions are finite.
    """

    positions: int | None
    width: int
    finite: bool


def survey(side: Side, item: Prepared) -> dict[str, Seen]:
    """Run one utterance alone, and return what every point gives, without keeping activations.

    Points whose modules do not run or give no such tensor, and vectors that the side does not return, are missing.
    """

    def see(point: Point, values: Tensor) -> Seen:
        if point.layout == "bd":
            return Seen(None, values.shape[-1], bool(torch.isfinite(values).all()))
        values = from_starts(point, values, [item])
        valid = values[:, : item.positions_at(point)]
        return Seen(values.shape[1], values.shape[-1], bool(torch.isfinite(valid).all()))

    seen, _, returned = observe_batch(side, side.collate([item]), see, {})
    return seen | {
        name: Seen(None, vector.shape[-1], bool(torch.isfinite(vector).all())) for name, vector in returned.items()
    }


def has_positions(point: Point) -> bool:
    """Whether a point has an axis of time."""
    return point.layout != "bd" and bool(point.module)


def deviations(
    side: Side, items: Sequence[Prepared], alone: Sequence[Mapping[str, Tensor] | None] | None = None
) -> dict[str, float]:
    """Measure by how much a padded batch differs from its items run alone.

    Parameters
    ----------
    side : Side
    items : sequence of Prepared
    alone : sequence of mapping or None, optional
        What :func:`watch` gave for each item alone, where that is known already.

    Returns
    -------
    dict of str to float
        For every point the largest difference at any valid position of any item, as a share of the largest activation
        that the item has there; infinity where one is not finite.

    Raises
    ------
    DataError
        If an item alone, or in the batch, has fewer positions at a point than it claims; or the module packs the
        positions of several items.
    """
    together, _ = watch(side, side.collate(items))
    for name, values in together.items():
        if len(values) != len(items):
            raise DataError(f"{name}: {len(items)} utterances give {len(values)} rows: it packs them; run them alone")
    worst = {point.name: 0.0 for point in side.points}
    for row, item in enumerate(items):
        known = alone[row] if alone else None
        single_values = watch(side, side.collate([item]))[0] if known is None else known
        for point in side.points:
            batched, single = together[point.name][row], single_values[point.name][0]
            if has_positions(point):
                valid = item.positions_at(point)
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
