"""Finds a speech LLM's parts in two traced forward passes, one of a recording and one of a text: no names are known.

What runs in both passes is the language model, and what runs in the first alone hears: the audio tower, whose layers
are its largest stack, and the projector after it. A module that runs for a text, too, but once more for a recording
(Gemma 3n's embedding of audio), counts as hearing with the calls that only the recording makes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from babelscope.errors import DataError
from babelscope.models.adapters.tracing import Stack, Trace, computes, input_embeddings, is_within, largest, stacks

Role = Literal["front", "layer", "norm", "adaptation", "shared"]


@dataclass(frozen=True)
class Spot:
    """A place where a speech LLM can be looked at.

    Attributes
    ----------
    name : str
        ``front.conv1``, ``input``, ``layer.0``, ``norm``, ``projector.linear``.
    module : str
        Path below the root.
    role : {"front", "layer", "norm", "adaptation", "shared"}
    take : {"output", "input"}
    call : int
        Which call of the module counts.
    calls : int
        How many it makes in a pass.
    """

    name: str
    module: str
    role: Role
    take: Literal["output", "input"] = "output"
    call: int = 0
    calls: int = 1


@dataclass(frozen=True)
class Towers:
    """A speech LLM's parts.

    Attributes
    ----------
    tower : str or None
        Path of the module that holds the tower's layers; None if it has none.
    language : str
        Path of the language model.
    first_layer : str
        Path of its first layer.
    embeddings : str
        Path of the embedding of tokens.
    own, shared : tuple of Spot
        Where speech alone can be looked at, and where both can.
    notes : tuple of str
        What was left out, and why.
    """

    tower: str | None
    language: str
    first_layer: str
    embeddings: str
    own: tuple[Spot, ...]
    shared: tuple[Spot, ...]
    notes: tuple[str, ...]


def find(root: nn.Module, spoken: Trace, written: Trace, varying: Callable[[Spot], int | None]) -> Towers:
    """Find the parts of a speech LLM.

    Parameters
    ----------
    spoken, written : Trace
        Of a recording and of a text.
    varying : callable
        Of a spot whose module runs more than once, the one call that depends on the recording's length; None if there
        is no such call, or more than one.

    Raises
    ------
    DataError
        If there is no language model that both run through, or nothing that runs for a recording alone.
    """
    modules = dict(root.named_modules(remove_duplicate=False))
    hearing = {path for path in spoken.left if path and spoken.calls(path) > written.calls(path)}
    if not hearing:
        raise DataError(
            "no module runs for a recording that does not run for a text: there is no audio tower or projector whose "
            "activations could be looked at"
        )
    ran = stacks(root, spoken)
    language = largest(root, [stack for stack in ran if _runs_for_both(stack, spoken, written)])
    if language is None:
        raise DataError(
            "no stack of layers runs once both for a recording and for a text: there is no language model that both "
            "share"
        )
    before = [stack for stack in ran if stack.left < language.entered and stack.layers[0].path in hearing]
    tower = largest(root, before)
    notes: list[str] = []
    spots = _own(modules, spoken, hearing, tower, language)
    kept = [counted for spot in spots if (counted := _counted(spot, varying, notes)) is not None]
    outer = _outer(language)
    shared = [Spot("input", language.layers[0].path, "shared", "input")]
    shared += [Spot(f"layer.{index}", layer.path, "shared") for index, layer in enumerate(language.layers)]
    norm = _final_norm(modules, spoken, written, outer, language)
    if norm is not None:
        shared.append(Spot("norm", norm, "shared"))
    else:
        notes.append("the language model's final norm, which was not found")
    return Towers(
        tower=_outer(tower) if tower else None,
        language=outer,
        first_layer=language.layers[0].path,
        embeddings=_embeddings(root, modules, written, language.layers[0].path),
        own=tuple(_named_once(kept)),
        shared=tuple(shared),
        notes=tuple(notes),
    )


def adapters_of_speech(root: nn.Module, spoken: Trace, written: Trace, towers: Towers) -> list[str]:
    """Return modules inside the language model's layers that a recording runs and a text does not.

    Experts are not among them: which of them run depends on every token.
    """
    inside = [
        path
        for path in spoken.left
        if any(is_within(path, spot.module) for spot in towers.shared)
        and spoken.calls(path) != written.calls(path)
        and "expert" not in path
    ]
    return sorted(inside)


def _outer(stack: Stack) -> str:
    return stack.path.rpartition(".")[0]


def _runs_for_both(stack: Stack, spoken: Trace, written: Trace) -> bool:
    return all(spoken.calls(layer.path) == written.calls(layer.path) == 1 for layer in stack.layers)


def _own(
    modules: Mapping[str, nn.Module], spoken: Trace, hearing: set[str], tower: Stack | None, language: Stack
) -> Iterator[Spot]:
    """Yield where speech alone can be looked at, in the order of the forward pass."""
    apart = [language.path, *([tower.path] if tower else [])]

    def spot(name: str, module: str, role: Role, take: Literal["output", "input"] = "output") -> Spot:
        calls = spoken.calls(module)
        return Spot(name, module, role, take, calls - 1, calls)

    def between(after: int, before: int) -> list[str]:
        """Return the outermost modules that ran between two moments, and the convolutions over time inside them."""
        there = [
            path
            for path in hearing
            if after < spoken.entered[path][-1]
            and spoken.left[path][-1] < before
            and not any(is_within(path, other) or is_within(other, path) for other in apart)
        ]
        outermost = {path for path in there if not any(path != other and is_within(path, other) for other in there)}
        wanted = [path for path in there if path in outermost or isinstance(modules[path], nn.Conv1d)]
        looked_at = [path for path in wanted if computes(modules[path], spoken, path) and not activates(path)]
        return sorted(looked_at, key=lambda path: spoken.left[path][-1])

    def activates(path: str) -> bool:
        """Whether a module has no weights and leaves the shape as it is: it is an activation function or the like."""
        shapes = {spoken.shape(path, take, spoken.calls(path) - 1) for take in ("input", "output")}
        return len(shapes) == 1 and next(modules[path].parameters(), None) is None

    if tower is None:
        for path in between(-1, language.entered):
            yield spot(f"projector.{_last(path)}", path, "adaptation")
        return
    outer = _outer(tower)
    for path in between(-1, tower.entered):
        yield spot(f"front.{path.removeprefix(outer + '.') if is_within(path, outer) else _last(path)}", path, "front")
    first, final = tower.layers[0], tower.layers[-1]
    calls = spoken.calls(first.path)
    yield Spot("input", first.path, "front", "input", first.call, calls)
    for index, layer in enumerate(tower.layers):
        yield Spot(f"layer.{index}", layer.path, "layer", "output", layer.call, calls)
    at_end, adapted = spoken.shape(final.path, "output", final.call), False
    for path in between(tower.left, language.entered):
        is_norm = "norm" in type(modules[path]).__name__.lower()
        if not adapted and is_norm and spoken.shape(path, "output", spoken.calls(path) - 1) == at_end:
            yield spot("norm", path, "norm")
            continue
        adapted = True
        yield spot(f"projector.{_last(path)}", path, "adaptation")


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _named_once(spots: list[Spot]) -> list[Spot]:
    """Return spots under names of their own: where two have one, the paths of their modules are their names."""
    names = [spot.name for spot in spots]
    twice = {name for name in names if names.count(name) > 1}
    return [
        dataclasses.replace(spot, name=f"{spot.name.partition('.')[0]}.{spot.module}") if spot.name in twice else spot
        for spot in spots
    ]


def _counted(spot: Spot, varying: Callable[[Spot], int | None], notes: list[str]) -> Spot | None:
    """Return a spot with the call that counts; None, and a note, if no one call of its module does."""
    if spot.calls == 1 or spot.role == "layer":
        return spot
    call = varying(spot)
    if call is None:
        notes.append(f"{spot.module}, which runs {spot.calls} times in one forward pass")
        return None
    return dataclasses.replace(spot, call=call)


def _final_norm(
    modules: Mapping[str, nn.Module], spoken: Trace, written: Trace, outer: str, language: Stack
) -> str | None:
    """Return the norm that runs once after the language model's layers, next to them."""
    last = spoken.shape(language.layers[-1].path, "output")
    for path in sorted(spoken.left, key=lambda path: spoken.entered[path][0]):
        if spoken.entered[path][0] < language.left or not is_within(path, outer) or is_within(path, language.path):
            continue
        shape = spoken.shape(path, "output")
        if "norm" not in type(modules[path]).__name__.lower() or shape is None or last is None:
            continue
        if spoken.calls(path) == written.calls(path) == 1 and shape[-1] == last[-1]:
            return path
    return None


def _embeddings(root: nn.Module, modules: Mapping[str, nn.Module], written: Trace, first_layer: str) -> str:
    """Return the embedding of tokens: as the model says, else the largest table that ran once before any layer."""
    begin = written.entered[first_layer][0]
    ran = [
        path
        for path in written.left
        if written.calls(path) == 1 and written.left[path][0] < begin and isinstance(modules[path], nn.Embedding)
    ]
    if not ran:
        raise DataError("no table of token embeddings runs before the language model's first layer")
    words = input_embeddings(root)
    if said := [path for path in ran if modules[path] is words]:
        return said[0]
    return max(ran, key=lambda path: sum(parameter.numel() for parameter in modules[path].parameters()))
