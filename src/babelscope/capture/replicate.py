"""Replicas of a side: copies of its modules that share every weight, so that several threads can run it at once.

A hook hangs on a module, and some modules keep what one forward pass computes for the next (tables of positions). Two
threads on the same modules would see each other's. Copying the modules without their weights costs milliseconds.
"""

from __future__ import annotations

import copy
import functools
from collections import OrderedDict, defaultdict
from types import MethodType
from typing import Any

from torch import nn
from torch.jit import ScriptModule

from babelscope.models.base import Side

#: Containers that a replica has of its own, so that what a forward pass keeps in them stays apart.
_CONTAINERS = (dict, OrderedDict, defaultdict, list, tuple, set)


def replicate(side: Side) -> Side | None:
    """Return a side that gives the same bits with the same weights, and can run while the other runs.

    Every module that the side's ``forward`` uses can be reached from it by attributes of sides and modules, lists,
    tuples and dictionaries. These modules are copied; tensors, hooks that hang on the modules, and everything else are
    shared. None if they cannot be copied: compiled ones, and those whose weights accelerate brings when needed.
    """
    modules = _below(vars(side))
    replicas: dict[int, nn.Module] = {}
    for module in modules:
        if isinstance(module, ScriptModule) or "_hf_hook" in vars(module):
            return None
        replicas[id(module)] = made = type(module).__new__(type(module))
        made.__dict__ = vars(module).copy()
    for made in replicas.values():
        for name, value in vars(made).items():
            vars(made)[name] = _with_replicas(value, replicas)
        forward = vars(made).get("forward")
        if forward is not None and not isinstance(forward, MethodType | functools.partial):
            return None  # a function of its own, which may know the module that it was made for
    beside = copy.copy(side)
    for name, value in vars(side).items():
        if _below(value):  # what holds no module is shared: vocabularies, memories
            vars(beside)[name] = _with_replicas(value, replicas)
    return beside


def _below(value: Any) -> list[nn.Module]:
    """Return every module that can be reached from a value by modules, their attributes and containers."""
    modules: dict[int, nn.Module] = {}
    waiting = [value]
    while waiting:
        reached = waiting.pop()
        if isinstance(reached, nn.Module):
            if id(reached) not in modules:
                modules[id(reached)] = reached
                waiting.extend(vars(reached).values())
        elif type(reached) in _CONTAINERS:
            waiting.extend(reached.values() if isinstance(reached, dict) else reached)
    return list(modules.values())


def _with_replicas(value: Any, replicas: dict[int, nn.Module]) -> Any:
    """Return a value with every module in it replaced by its replica; containers are copied, whatever they hold."""
    if isinstance(value, nn.Module):
        return replicas.get(id(value), value)
    if isinstance(value, MethodType):
        return MethodType(value.__func__, _with_replicas(value.__self__, replicas))
    if type(value) is functools.partial:
        given = [_with_replicas(each, replicas) for each in value.args]
        named = {name: _with_replicas(each, replicas) for name, each in value.keywords.items()}
        return functools.partial(_with_replicas(value.func, replicas), *given, **named)
    if type(value) not in _CONTAINERS:
        return value
    if isinstance(value, dict):
        copied = value.copy()
        for name, each in value.items():
            copied[name] = _with_replicas(each, replicas)
        return copied
    return type(value)(_with_replicas(each, replicas) for each in value)
