"""From the positions of an utterance to one vector: over its valid positions alone, in float32, on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from babelscope.errors import UsageError, did_you_mean


class Spans:
    """How many positions of each utterance are valid: known on the host, brought once to where activations are."""

    def __init__(self, lengths: Sequence[int], tensor: Tensor | None = None) -> None:
        self.lengths = tuple(lengths)
        self.shortest, self.longest = min(self.lengths), max(self.lengths)
        #: Rows that stand together and are of one length: first, last + 1, length.
        self.alike: list[tuple[int, int, int]] = []
        for row, length in enumerate(self.lengths):
            start = self.alike.pop()[0] if self.alike and self.alike[-1][2] == length else row
            self.alike.append((start, row + 1, length))
        self._on = {} if tensor is None else {tensor.device: tensor}
        self._masks: dict[tuple[torch.device, int], Tensor] = {}

    def on(self, device: torch.device) -> Tensor:
        """Return the lengths on a device."""
        if device not in self._on:
            self._on[device] = torch.tensor(self.lengths, device=device)
        return self._on[device]

    def padding(self, values: Tensor) -> Tensor:
        """Return where `values` are padding: shape (batch, positions, 1). Made once for all points of a length."""
        key = values.device, values.shape[1]
        if key not in self._masks:
            real = torch.arange(values.shape[1], device=values.device)[None, :] < self.on(values.device)[:, None]
            self._masks[key] = ~real[..., None]
        return self._masks[key]


def mean(values: Tensor, spans: Spans) -> Tensor:
    """Mean over the valid positions, summed in float32."""
    if values.device.type == "cpu":
        # Slices are read once; a masked copy of the whole would be written and read again.
        sums = values.new_empty((len(values), values.shape[2]), dtype=torch.float32)
        for start, stop, length in spans.alike:
            torch.sum(values[start:stop, :length], dim=1, dtype=torch.float32, out=sums[start:stop])
    elif spans.shortest == values.shape[1]:
        sums = values.sum(dim=1, dtype=torch.float32)
    else:
        sums = values.masked_fill(spans.padding(values), 0.0).sum(dim=1, dtype=torch.float32)
    return sums / spans.on(values.device)[:, None]


def maximum(values: Tensor, spans: Spans) -> Tensor:
    """Largest value of each feature over the valid positions."""
    if values.device.type == "cpu":
        return torch.stack(
            [row[:length].amax(dim=0) for row, length in zip(values, spans.lengths, strict=True)]
        ).float()
    return values.masked_fill(spans.padding(values), -torch.inf).amax(dim=1).float()


def first(values: Tensor, spans: Spans) -> Tensor:
    """The first position."""
    return values[:, 0].to(torch.float32, copy=True)


def last(values: Tensor, spans: Spans) -> Tensor:
    """The last valid position."""
    rows = torch.arange(len(values), device=values.device)
    return values[rows, spans.on(values.device) - 1].float()


POOLINGS: dict[str, Callable[[Tensor, Spans], Tensor]] = {"mean": mean, "max": maximum, "first": first, "last": last}


def pooling_named(name: str) -> Callable[[Tensor, Spans], Tensor]:
    """Return a pooling by its name; a UsageError says that there is none."""
    if name not in POOLINGS:
        raise UsageError(f"pooling {name!r} is unknown; {did_you_mean(name, POOLINGS)}")
    return POOLINGS[name]


def pool(values: Tensor, lengths: Sequence[int] | Spans, how: str = "mean") -> Tensor:
    """Reduce each utterance of a padded batch to one vector.

    Parameters
    ----------
    values : Tensor, shape (batch, positions, width)
        Valid positions come first, padding after them; what stands in the padding, NaN included, has no influence.
    lengths : sequence of int, or Spans
        Valid positions of each utterance, each from 1 to ``positions``. Spans serve several points of one batch.
    how : {"mean", "max", "first", "last"}

    Returns
    -------
    Tensor, shape (batch, width)
        In float32, on the same device. Nothing is waited for: on a GPU the work is only put in line.

    Raises
    ------
    ValueError
        If a length is 0 or more than there are positions.
    """
    spans = lengths if isinstance(lengths, Spans) else Spans(lengths)
    if spans.shortest < 1 or spans.longest > values.shape[1]:
        raise ValueError(f"valid positions {spans.shortest} to {spans.longest} do not fit {values.shape[1]} positions")
    return pooling_named(how)(values, spans)
