"""Hooks that put something else in the place of what a module gives, at the valid positions of each utterance alone.

The module's output (or argument) is copied, the positions of the utterances are edited in the copy, and the copy goes
on through the rest of the model; padding, prompts and everything else stay as they were. Without edits nothing is
copied, and the run is the plain one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from babelscope.errors import UsageError
from babelscope.interventions.edits import Edit
from babelscope.models.base import Point, Prepared, Side, first_tensor


class Patched:
    """A side with one point patched, for as long as the ``with`` block lasts.

    Parameters
    ----------
    side : Side
    point : Point
        One whose module gives positions.

    Attributes
    ----------
    items : sequence of Prepared
        The utterances of the batch that runs next, in its order.
    edits : sequence of Edit
        One for each of them; none for a plain run.

    Raises
    ------
    UsageError
        If the point has no positions, or utterances are packed there.

    Examples
    --------
    >>> with Patched(side, point) as patched, Capture(side) as capture:  # doctest: +SKIP
    ...     batch = side.collate([prepared])
    ...     patched.items, patched.edits = batch.utterances(), [Shift(vector)]
    ...     vectors = capture.run(batch)

    A :class:`~babelscope.capture.Capture` that is entered after it sees what was patched.
    """

    def __init__(self, side: Side, point: Point) -> None:
        if not point.module or point.layout in ("bd", "td"):
            what = "packs its positions" if point.layout == "td" else "has no positions"
            raise UsageError(f"patch: point {point.name} {what}: nothing can be patched there")
        self.side, self.point = side, point
        self.items: Sequence[Prepared] = ()
        self.edits: Sequence[Edit] = ()
        self._calls = 0
        self._handles = ExitStack()

    def __enter__(self) -> Patched:
        module = self.side.root.get_submodule(self.point.module)
        if self.point.take == "input":
            handle = module.register_forward_pre_hook(self._on_input, with_kwargs=True)
        else:
            handle = module.register_forward_hook(self._on_output)
        self._handles.callback(handle.remove)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handles.close()

    def begin(self) -> None:
        """Say that a forward pass begins: calls of the module are counted from here."""
        self._calls = 0

    def _is_due(self) -> bool:
        call, self._calls = self._calls, self._calls + 1
        return bool(self.edits) and call == (self.point.call or 0)

    def _on_output(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        return self._edited(output) if self._is_due() else None

    def _on_input(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._is_due():
            return None
        if args:
            return (self._edited(args[0]), *args[1:]), kwargs
        name = "hidden_states" if "hidden_states" in kwargs else next(iter(kwargs))
        return args, kwargs | {name: self._edited(kwargs[name])}

    def _edited(self, value: Any) -> Any:
        whole = first_tensor(value)
        assert whole is not None
        copied = whole.clone()
        positions = self.point.activations(copied)  # a view of the copy
        for row, (item, edit) in enumerate(zip(self.items, self.edits, strict=True)):
            start = item.start_at(self.point)
            own = slice(start, start + item.positions_at(self.point))
            positions[row, own] = edit(positions[row, own])
        return _with_first_tensor(value, whole, copied)


def _with_first_tensor(value: Any, old: Tensor, new: Tensor) -> Any:
    """Return a value with one tensor exchanged; tuples, lists, dictionaries and outputs of transformers stay such."""
    if value is old:
        return new
    if isinstance(value, Mapping):
        exchanged = {key: _with_first_tensor(each, old, new) for key, each in value.items()}
        return exchanged if type(value) is dict else type(value)(**exchanged)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_with_first_tensor(each, old, new) for each in value))
    if isinstance(value, tuple | list):
        return type(value)(_with_first_tensor(each, old, new) for each in value)
    return value
