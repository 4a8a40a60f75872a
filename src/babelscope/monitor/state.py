"""The state that a probe must not change: modules, gradients, and every random number generator.

Parameters and gradients are large, so they are not copied: torch counts how often a tensor is written in place, and the
counts are compared. Everything small is copied and restored: modes, flags, hooks, plain attributes (where
modules keep caches that a forward pass makes), buffers.
"""

from __future__ import annotations

import random
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from babelscope.errors import UsageError

#: Containers that are restored entry by entry; subclasses may not allow that.
_CONTAINERS = (dict, OrderedDict, defaultdict, list, set)


@contextmanager
def unchanged(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Evaluate modules, with all their submodules, without gradients, and restore their state, also after an error.

    Inside the block they are in evaluation mode and gradients are off. UsageError if the block wrote to a parameter or
    a gradient: that cannot be undone, and a probe may only read.
    """
    roots = list(modules)
    kept = _Kept(roots)
    grad = torch.is_grad_enabled()
    try:
        with torch.no_grad():
            for module in kept.modules:
                module.training = False  # not eval(): some modules merge weights there
            yield
    finally:
        torch.set_grad_enabled(grad)
        written = kept.put_back()
    if written:
        raise UsageError(
            f"the probe wrote to {written}: a probe may only read the model under training; leave optimizer steps, "
            "backward passes and in-place changes out of it"
        )


class _Kept:
    """The state of modules and generators at one moment."""

    def __init__(self, roots: list[nn.Module]) -> None:
        self.modules = list(dict.fromkeys(module for root in roots for module in root.modules()))
        # With copies of the containers among them: parameters, buffers, hooks, caches.
        self.attributes = [{name: (value, _copy(value)) for name, value in vars(each).items()} for each in self.modules]
        self.values = _small_tensors(self.modules)
        named = {id(tensor): (name, tensor) for root in roots for name, tensor in root.named_parameters()}
        self.parameters = [
            (name, tensor, tensor.requires_grad, tensor.grad, _version(tensor), _version(tensor.grad))
            for name, tensor in named.values()
        ]
        self.threads = torch.get_num_threads()
        self.python = random.getstate()
        self.numpy = np.random.get_state()  # noqa: NPY002  (the global generator is what must not be moved)
        self.cpu = torch.get_rng_state()
        started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self.cuda = torch.cuda.get_rng_state_all() if started else []

    def put_back(self) -> str:
        """Restore the state; return the name of a parameter or gradient that was written to, or an empty text."""
        written = ""
        for name, tensor, requires, gradient, version, of_gradient in self.parameters:
            if _version(tensor) != version:
                written = written or f"parameter {name}"
            if tensor.requires_grad != requires:
                tensor.requires_grad_(requires)
            if gradient is not None and _version(gradient) != of_gradient:
                written = written or f"the gradient of {name}"
            if tensor.grad is not gradient:
                tensor.grad = gradient
        for module, attributes in zip(self.modules, self.attributes, strict=True):
            _restore(module, attributes)
        with torch.no_grad():
            for buffer, value in self.values:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)
        return written


def _copy(value: Any) -> Any:
    return value.copy() if type(value) in _CONTAINERS else value


def _restore(module: nn.Module, attributes: dict[str, tuple[Any, Any]]) -> None:
    here = vars(module)
    for name in [name for name in here if name not in attributes]:
        del here[name]
    for name, (value, copied) in attributes.items():
        if value is not copied:  # the same container, with what it held: others may hold it too
            if isinstance(value, list):
                value[:] = copied
            else:
                value.clear()
                value.update(copied)
        here[name] = value


def _small_tensors(modules: list[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    """Return buffers, and tensors that modules keep as plain attributes, each with a copy of its values."""
    tensors = {
        id(value): value
        for module in modules
        for value in (*module._buffers.values(), *vars(module).values())
        if isinstance(value, Tensor) and not value.requires_grad and not value.is_inference()
    }
    return [(tensor, tensor.detach().clone()) for tensor in tensors.values()]


def _version(tensor: Tensor | None) -> int:
    """Return how often a tensor was written in place; torch does not count for tensors of its inference mode."""
    return -1 if tensor is None or tensor.is_inference() else tensor._version
