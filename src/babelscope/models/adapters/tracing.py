"""What a model's modules do in one forward pass, and which of them are its layers: by what runs, not by names."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from babelscope.errors import DataError
from babelscope.sides import Layout, first_tensor

Shape = tuple[int, ...]

#: Words in the names of classes that compute no activations of their own.
_WITHOUT_ACTIVATIONS = ("rotary", "position", "dropout", "timeembedding", "identity")


@dataclass
class Trace:
    """One forward pass: when each call of each module began and ended, and the shapes of what it took and gave.

    Attributes
    ----------
    entered, left : dict of str to list of int
        By a module's path, one number a call; the numbers grow with time.
    inputs, outputs : dict of str to list of (shape or None)
        Of the tensor that each call took, and of the first that it gave; None where there was none.
    givers : dict of str to list of tuple of str
        For each call the modules whose output is the very tensor that it took.
    items : dict of str to list of int
        How many items the tuple had that each call gave; 0 if it gave none.
    """

    entered: dict[str, list[int]] = field(default_factory=dict)
    left: dict[str, list[int]] = field(default_factory=dict)
    inputs: dict[str, list[Shape | None]] = field(default_factory=dict)
    outputs: dict[str, list[Shape | None]] = field(default_factory=dict)
    givers: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    items: dict[str, list[int]] = field(default_factory=dict)

    def calls(self, path: str) -> int:
        """Return how often a module ran to its end."""
        return len(self.left.get(path, ()))

    def shape(self, path: str, take: str, call: int = 0) -> Shape | None:
        """Return the shape of what one call of a module gave or took; None if it did not run."""
        shapes = (self.outputs if take == "output" else self.inputs).get(path, [])
        return shapes[call] if call < len(shapes) else None


class _StopError(Exception):
    """Ends a forward pass where nothing more is wanted."""


def trace(
    root: nn.Module,
    run: Callable[[], object],
    *,
    stop: str | None = None,
    finite: list[str] | None = None,
    noted: Trace | None = None,
) -> Trace:
    """Run a model and note what its modules do.

    Parameters
    ----------
    run : callable
        One forward pass.
    stop : str, optional
        Path of a module before which the pass ends.
    finite : list of str, optional
        Is given the paths of modules whose output is not finite.
    noted : Trace, optional
        Is filled, so that it is there if the pass fails.
    """
    noted, clock = Trace() if noted is None else noted, iter(range(1 << 62))
    given: dict[int, tuple[weakref.ref[Tensor], list[str]]] = {}

    def enter(path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tensor = first_tensor(argument(args, kwargs))
        noted.entered.setdefault(path, []).append(next(clock))
        noted.inputs.setdefault(path, []).append(_shape(tensor))
        reference, givers = given.get(id(tensor), (None, []))
        same = tensor is not None and reference is not None and reference() is tensor
        noted.givers.setdefault(path, []).append(tuple(givers) if same else ())
        if path == stop:
            raise _StopError

    def leave(path: str, output: Any) -> None:
        tensor = first_tensor(output)
        noted.left.setdefault(path, []).append(next(clock))
        noted.outputs.setdefault(path, []).append(_shape(tensor))
        noted.items.setdefault(path, []).append(len(output) if isinstance(output, tuple) else 0)
        if tensor is None:
            return
        reference, givers = given.get(id(tensor), (None, []))
        same = reference is not None and reference() is tensor
        given[id(tensor)] = (weakref.ref(tensor), [*givers, path] if same else [path])
        if finite is not None and not bool(torch.isfinite(tensor).all()):
            finite.append(path)

    with ExitStack() as hooks, torch.inference_mode():
        for path, module in root.named_modules(remove_duplicate=False):

            def before(_: Any, args: Any, kwargs: Any, path: str = path) -> None:
                enter(path, args, kwargs)

            def behind(_: Any, __: Any, output: Any, path: str = path) -> None:
                leave(path, output)

            if path:
                hooks.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
                hooks.callback(module.register_forward_hook(behind).remove)
        with suppress(_StopError):
            run()
    return noted


def argument(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return a module's first argument, however it was passed."""
    if args:
        return args[0]
    return kwargs.get("hidden_states", next(iter(kwargs.values()), None))


def _shape(tensor: Tensor | None) -> Shape | None:
    return None if tensor is None else tuple(tensor.shape)


def positions_of(shape: Shape | None, layout: Layout) -> int | None:
    """Return how many positions an array of one utterance has; None of none."""
    if shape is None:
        return None
    if layout == "td":
        return math.prod(shape[:-1])
    return shape[2] if layout == "bdt" else shape[1]


def is_within(path: str, outer: str) -> bool:
    """Whether a module is another, or is inside it."""
    return not outer or path == outer or path.startswith(outer + ".")


class Layer(NamedTuple):
    """One layer of a stack: a module, and which of its calls."""

    path: str
    call: int


@dataclass(frozen=True)
class Stack:
    """Layers that run one after the other, each giving what the next takes: the trunk of an encoder or decoder.

    Attributes
    ----------
    path : str
        Of the list of layers, or of the one module that runs again and again.
    entered, left : int
        When the first began and the last ended.
    """

    path: str
    layers: tuple[Layer, ...]
    entered: int
    left: int


def stacks(root: nn.Module, noted: Trace) -> list[Stack]:
    """Return the stacks of layers of a model in the order in which they ran; none is inside a layer of another.

    A stack is a list of modules that ran one after the other and keep the shape of what they are given; or one module
    that ran several times so (ALBERT's shared layer).
    """
    finished: list[Stack] = []
    weighted = {
        path for path, module in root.named_modules() if next(module.parameters(recurse=False), None) is not None
    }
    for path, module in root.named_modules():
        if isinstance(module, nn.ModuleList | nn.Sequential) and len(module) > 1:
            children = [f"{path}.{name}" if path else name for name, _ in module.named_children()]
            if any(noted.calls(child) != 1 for child in children):
                continue
            stack = _chained(path, [Layer(child, 0) for child in children], noted, weighted)
        elif noted.calls(path) > 1 and next(module.parameters(), None) is not None:
            stack = _chained(path, [Layer(path, call) for call in range(noted.calls(path))], noted, weighted)
        else:
            continue
        if stack is not None and not any(is_within(path, layer.path) for each in finished for layer in each.layers):
            finished.append(stack)
    return sorted(finished, key=lambda stack: stack.entered)


def _chained(path: str, layers: Sequence[Layer], noted: Trace, weighted: Container[str]) -> Stack | None:
    """Return layers as a stack if they follow each other directly and all take and give arrays of one shape."""
    shapes = {noted.shape(path, take, call) for path, call in layers for take in ("input", "output")}
    if len(shapes) != 1 or (shape := next(iter(shapes))) is None or len(shape) < 2:
        return None
    begun = [noted.entered[path][call] for path, call in layers]
    ended = [noted.left[path][call] for path, call in layers]
    gaps = list(zip(ended, begun[1:], strict=False))
    if any(after < before for before, after in gaps):
        return None
    # Halves of layers that are in several lists (XLM's): between two of one list the others run, with weights.
    others = [
        time
        for other, times in noted.entered.items()
        if other in weighted and not any(is_within(other, layer.path) for layer in layers)
        for time in times
    ]
    filled = sum(any(before < time < after for time in others) for before, after in gaps)
    return Stack(path, tuple(layers), begun[0], ended[-1]) if 2 * filled <= len(gaps) else None


def largest(root: nn.Module, candidates: Sequence[Stack], counts: Sequence[int] = ()) -> Stack | None:
    """Return the stack with the most weights, among those of as many layers as a configuration says if there are any.

    Parameters
    ----------
    counts : sequence of int
        Numbers of layers in the configuration.
    """
    said = [stack for stack in candidates if len(stack.layers) in counts]

    def weight(stack: Stack) -> int:
        modules = {id(module): module for path, _ in stack.layers for module in [root.get_submodule(path)]}
        return sum(parameter.numel() for module in modules.values() for parameter in module.parameters())

    return max(said or candidates, key=weight, default=None)


def trunk(root: nn.Module, noted: Trace, counts: Sequence[int] = ()) -> Stack:
    """Return the one stack of layers that an encoder or decoder is.

    Parameters
    ----------
    noted : Trace
        Of a whole pass.
    counts : sequence of int
        Numbers of layers in the configuration.

    Raises
    ------
    DataError
        If no stack ran, or layers of the same class are in further lists (stages of a hierarchical model).
    """
    candidates = stacks(root, noted)
    stack = largest(root, candidates, counts)
    name = type(root).__name__
    if stack is None:
        raise DataError(
            f"{name}: no list of layers was found that run one after the other: it cannot be looked at by rules"
        )
    kind = type(root.get_submodule(stack.layers[0].path))
    for other in candidates:
        if other is not stack and type(root.get_submodule(other.layers[0].path)) is kind:
            raise DataError(
                f"{name}: its layers ({kind.__name__}) lie in several lists, such as {stack.path} and {other.path}: it "
                f"cannot be looked at by rules"
            )
    return stack


def ran_between(root: nn.Module, noted: Trace, after: int, before: int, leave_out: Sequence[str] = ()) -> Iterator[str]:
    """Yield what computed an utterance's activations between two moments, in the order in which it ended.

    Parameters
    ----------
    leave_out : sequence of str
        Paths of lists of layers: neither they nor what they are inside of is yielded.

    Yields
    ------
    str
        Paths of the outermost modules, and of the convolutions over time inside them, whose first call was there.
    """
    modules = dict(root.named_modules())
    there = [
        path
        for path in noted.left
        if path in modules
        and after < noted.entered[path][0]
        and noted.left[path][0] < before
        and not any(is_within(path, other) or is_within(other, path) for other in leave_out)
    ]
    outermost = {path for path in there if not any(path != other and is_within(path, other) for other in there)}
    wanted = [path for path in there if path in outermost or isinstance(modules[path], nn.Conv1d)]
    words = input_embeddings(root)
    for path in sorted(wanted, key=lambda path: noted.left[path][0]):
        if is_table(modules[path], words) or computes(modules[path], noted, path):
            yield path


def input_embeddings(root: nn.Module) -> nn.Module | None:
    """Return a model's embedding of tokens, as it says itself; None if it has none."""
    try:
        return cast(nn.Module, root.get_input_embeddings())  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        return None


def is_table(module: nn.Module, words: nn.Module | None) -> bool:
    """Whether a module is a model's table of tokens, or one with the same weights (mT5's encoder has its own)."""
    if module is words:
        return True
    shapes = [each.weight.shape for each in (module, words) if isinstance(each, nn.Embedding)]
    return len(shapes) == 2 and shapes[0] == shapes[1]


def computes(module: nn.Module, noted: Trace, path: str) -> bool:
    """Whether a module computes an utterance's own activations: it is no table, no dropout, no mask."""
    kind = type(module).__name__.lower()
    if isinstance(module, nn.Embedding):
        return False
    if any(word in kind for word in _WITHOUT_ACTIVATIONS) and "conv" not in kind:
        return False
    return any(shape is not None and len(shape) >= 2 for shape in noted.outputs.get(path, ()))
