"""The part of a forward pass before a point, run once and replayed: only the rest of the model runs for each patch.

While a batch runs plainly, every outermost module that has ended before the point fires is remembered with what it
gave. In a replay these modules give the same again instead of running. What lies between modules in a model's own code
still runs. That a replay gives the bits of the plain run is checked for every batch before it is used; where it does
not, or raises, the whole model runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from babelscope.models.base import Point, Side


class Replay:
    """What the modules before a point gave for one batch.

    Parameters
    ----------
    side : Side
    point : Point
    """

    def __init__(self, side: Side, point: Point) -> None:
        self.side, self.point = side, point
        self._given: list[tuple[nn.Module, Any]] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Remember what ends before the point in the forward pass that runs in the block."""
        given: list[tuple[nn.Module, Any]] = []
        entered: list[int] = []  # how much was remembered when each module that runs began
        target, left = self.side.root.get_submodule(self.point.module), 1 + (self.point.call or 0)

        def on_entry(module: nn.Module, args: Any) -> None:
            nonlocal left
            if module is target and self.point.take == "input":
                left -= 1
            entered.append(len(given))

        def on_exit(module: nn.Module, args: Any, output: Any) -> None:
            nonlocal left
            start = entered.pop()
            if left > 0:
                del given[start:]  # what ran within it
                given.append((module, output))
            if module is target and self.point.take == "output":
                left -= 1

        with ExitStack() as stack:
            for module in self.side.root.modules():
                if module is not self.side.root:
                    stack.callback(module.register_forward_pre_hook(on_entry).remove)
                    stack.callback(module.register_forward_hook(on_exit).remove)
            yield
        self._given = given

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """Let what was remembered be given again by the forward pass that runs in the block."""
        by_module: dict[nn.Module, list[Any]] = {}
        for module, output in self._given:
            by_module.setdefault(module, []).append(output)
        with ExitStack() as stack:
            for module, given in by_module.items():
                stack.callback(_restore, module, module.__dict__.get("forward"))
                module.forward = _giving(given, module.forward)
            yield

    def forget(self) -> None:
        """Let go of what was remembered."""
        self._given = []


def _giving(given: list[Any], forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a forward pass that gives remembered values first, in turn."""

    def replayed(*args: Any, **kwargs: Any) -> Any:
        return given.pop(0) if given else forward(*args, **kwargs)

    return replayed


def _restore(module: nn.Module, forward: Any) -> None:
    if forward is None:
        del module.forward
    else:
        module.forward = forward
