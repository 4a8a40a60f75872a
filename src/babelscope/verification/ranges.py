"""How large activations get inside a model, module by module: whether 16 bits hold them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from babelscope.sides import Side, first_tensor

#: Largest number of each format.
LARGEST = {torch.float16: 65_504.0, torch.bfloat16: 3.3895e38, torch.float32: 3.4028e38}


@dataclass(frozen=True)
class Reach:
    """The largest activation that a module gives.

    Attributes
    ----------
    module : str
        Its path below the side's root.
    largest : float
        Infinity if one is not finite.
    """

    module: str
    largest: float


@contextmanager
def watching_range(side: Side) -> Iterator[list[Reach]]:
    """Note the largest activation of every module of a side that runs meanwhile.

    Yields
    ------
    list of Reach
        In the order in which the modules ended. What a module computes inside, such as the scores of attention, is not
        among them.
    """
    seen: list[Reach] = []
    watched = {point.module for point in side.points}
    with ExitStack() as handles:
        for path, module in side.root.named_modules():
            if any(True for _ in module.children()) and path not in watched:
                continue

            def note(_: Any, __: Any, output: Any, path: str = path) -> None:
                tensor = first_tensor(output)
                if tensor is not None and tensor.is_floating_point() and tensor.numel():
                    largest = float(tensor.detach().abs().max())
                    seen.append(Reach(path, largest if math.isfinite(largest) else math.inf))

            handles.callback(module.register_forward_hook(note).remove)
        yield seen


def first_above(passes: Sequence[Sequence[Reach]], limit: float) -> str | None:
    """Return the first module, of the first pass that has one, whose activations exceed a limit."""
    return next((reach.module for seen in passes for reach in seen if reach.largest > limit), None)
