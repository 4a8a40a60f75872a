"""Whether text and speech go through the same modules: the same objects, parameters, and adapters in the same state.

Two sides may have one module and yet compute two functions with it: an adapter such as LoRA may be on for one of them
alone. So every shared module is given, in the pass of a text, what a recording fed it before, and must give what it
gave then.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from babelscope.sides import Point, Prepared, Side, first_tensor
from babelscope.verification.watching import difference

#: Starts of the names of what torch itself keeps in a module.
_OF_TORCH = ("_forward_", "_backward_", "_state_dict", "_load_state", "_non_persistent", "_buffers", "_modules")


@dataclass
class Recorded:
    """What a shared module was fed and gave in one pass, and what it gives when it is fed the same again."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Tensor | None = None
    repeated: Tensor | None = None
    #: Settings of the module and those below it, by path and name.
    state: dict[str, str] = field(default_factory=dict)


def different_parameters(text: nn.Module, speech: nn.Module) -> list[str]:
    """Return the names of parameters that only one of two modules has, or that are not one tensor in both."""
    ours, theirs = dict(text.named_parameters()), dict(speech.named_parameters())
    return sorted(name for name in {*ours, *theirs} if ours.get(name) is not theirs.get(name))


def record(side: Side, item: Prepared, points: list[Point]) -> dict[str, Recorded]:
    """Run one utterance, and record what each point's module is fed, gives, and gives when fed the same again."""
    recorded: dict[str, Recorded] = {}

    def seen(point: Point, module: nn.Module, output: Any) -> None:
        entry = recorded[point.name]
        entry.output = _copied(first_tensor(output))
        entry.repeated = _copied(first_tensor(module(*copy.deepcopy(entry.args), **copy.deepcopy(entry.kwargs))))

    def fed(point: Point, module: nn.Module, args: Any, kwargs: Any) -> None:
        recorded[point.name] = Recorded(copy.deepcopy(args), copy.deepcopy(kwargs), state=_settings(module))

    _run(side, item, points, fed, seen)
    return recorded


def replay(side: Side, item: Prepared, points: list[Point], recorded: Mapping[str, Recorded]) -> dict[str, Recorded]:
    """Run one utterance of the other modality, and feed each point's module what was recorded in its place.

    Returns
    -------
    dict of str to Recorded
        ``output`` is what the module gives now for what it was fed then; ``state`` is as it is now.
    """
    replayed: dict[str, Recorded] = {}

    def seen(point: Point, module: nn.Module, output: Any) -> None:
        then = recorded[point.name]
        entry = replayed[point.name] = Recorded((), {}, state=_settings(module))
        entry.output = _copied(first_tensor(module(*copy.deepcopy(then.args), **copy.deepcopy(then.kwargs))))

    _run(side, item, points, lambda *_: None, seen)
    return replayed


def apart(then: Recorded, now: Recorded) -> float | None:
    """Return by how much a module computes otherwise in the other pass; None if it is not the same even in one pass."""
    if then.output is None or then.repeated is None or now.output is None:
        return None
    if then.output.shape != then.repeated.shape or not torch.equal(then.output, then.repeated):
        return None
    return difference(now.output, then.output) if now.output.shape == then.output.shape else float("inf")


def changed_settings(then: Recorded, now: Recorded) -> list[str]:
    """Return the settings of a module, or of one below it, that are not the same in the two passes."""
    return [
        f"{name} is {now.state.get(name)} for text, {then.state.get(name)} for speech"
        for name in {**then.state, **now.state}
        if then.state.get(name) != now.state.get(name)
    ]


def _run(side: Side, item: Prepared, points: list[Point], fed: Any, seen: Any) -> None:
    running = False

    def guarded(call: Any, *given: Any) -> None:
        nonlocal running
        if running:
            return
        running = True
        try:
            call(*given)
        finally:
            running = False

    with ExitStack() as handles, torch.inference_mode():
        for point in points:
            module = side.root.get_submodule(point.module)

            def before(module: nn.Module, args: Any, kwargs: Any, point: Point = point) -> None:
                guarded(fed, point, module, args, kwargs)

            def after(module: nn.Module, args: Any, kwargs: Any, output: Any, point: Point = point) -> None:
                guarded(seen, point, module, output)

            handles.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
            handles.callback(module.register_forward_hook(after, with_kwargs=True).remove)
        side.forward(side.collate([item]).to(side.device))


def _copied(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.detach().float().cpu().clone()


def _settings(module: nn.Module) -> dict[str, str]:
    """Return the plain settings (numbers, words, and small collections of them) of a module and those below it."""
    return {
        f"{path}.{name}".lstrip("."): repr(value)
        for path, below in module.named_modules()
        for name, value in vars(below).items()
        if not name.startswith(_OF_TORCH) and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return len(value) < 20 and all(_is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return len(value) < 20 and all(_is_plain(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str)
