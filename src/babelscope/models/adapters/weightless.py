"""Runs a model for its shapes alone: without weights, and without the products that take the time.

Which modules run, in which order, and how many positions each gives does not depend on weights. What does decide it
(masks, counts of frames, chunks) is computed as ever; matrix products, convolutions and attention give zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from babelscope.models.adapters.tracing import argument
from babelscope.models.weights.folder import silent

_aten = torch.ops.aten

#: Operations whose results are zeros of the right shape.
_PRODUCTS = {
    _aten.mm,
    _aten.addmm,
    _aten.bmm,
    _aten.baddbmm,
    _aten.matmul,
    _aten.linear,
    _aten.convolution,
    _aten.convolution_overrideable,
    _aten.conv1d,
    _aten.conv2d,
    _aten.mkldnn_convolution,
}


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        packet = func.overloadpacket
        if packet is _aten.scaled_dot_product_attention or packet is _aten._scaled_dot_product_flash_attention_for_cpu:
            query, key, value = args[:3]
            heads = [max(query.shape[-3], key.shape[-3])] if query.ndim > 2 else []  # keys may be fewer, or one for all
            before = torch.broadcast_shapes(query.shape[:-3], key.shape[:-3])  # type: ignore[no-untyped-call]
            rows = (*before, *heads, query.shape[-2])
            if packet is _aten._scaled_dot_product_flash_attention_for_cpu:
                rows = query.shape[:-1]
                return query.new_zeros((*rows, value.shape[-1])), query.new_zeros(rows, dtype=torch.float32)
            return query.new_zeros((*rows, value.shape[-1]))
        if packet is _aten._grouped_mm:
            left, right = args[:2]
            return left.new_zeros((*left.shape[:-1], right.shape[-1]))
        if packet not in _PRODUCTS:
            return func(*args, **given)
        blank = func(*tree_map(_on_meta, args), **tree_map(_on_meta, given))
        device = next(tensor.device for tensor in args if isinstance(tensor, Tensor))
        return tree_map(lambda each: _zeros(each, device), blank)


def _on_meta(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) else value


def _zeros(value: Any, device: torch.device) -> Any:
    return torch.zeros(value.shape, dtype=value.dtype, device=device) if isinstance(value, Tensor) else value


@contextmanager
def shapes_only(model: nn.Module, skip: Mapping[str, int] | None = None) -> Iterator[None]:
    """Let a model's forward passes give the right shapes, quickly and whatever its weights are.

    Parameters
    ----------
    model : torch.nn.Module
        May be on the "meta" device: its weights take no memory here. It is left as it was.
    skip : mapping of str to int, optional
        Paths of layers that give an array of the shape that they take, and are not run; and how many items the tuple
        has that each gives, 0 if it gives the array itself.
    """
    replaced: list[tuple[Any, str, Tensor]] = []
    blanks: dict[int, Tensor] = {}
    skipped = {path: model.get_submodule(path) for path in skip or {}}
    try:
        for path, module in skipped.items():
            module.forward = _passing_on((skip or {})[path])
        for module in model.modules():
            tables: Sequence[Any] = (module._parameters, module._buffers)
            for table in tables:
                for name, tensor in table.items():
                    if tensor is not None and tensor.is_meta:
                        replaced.append((table, name, tensor))
                        blank = blanks.setdefault(id(tensor), torch.zeros((), dtype=tensor.dtype).expand(tensor.shape))
                        table[name] = nn.Parameter(blank, False) if table is module._parameters else blank
        with torch.no_grad(), _Products():  # type: ignore[no-untyped-call]
            yield
    finally:
        for module in skipped.values():
            del module.forward
        for table, name, tensor in replaced:
            table[name] = tensor


def _passing_on(items: int) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        taken = argument(args, kwargs)
        return (taken, *[None] * (items - 1)) if items else taken

    return forward


def build_without_weights(make: Callable[[], nn.Module]) -> nn.Module:
    """Return a model on the "meta" device, in evaluation mode, without gradients.

    What the library would print about it is kept back: a model without weights misses whatever it would warn of.
    """
    with silent(), torch.device("meta"):
        return make().eval().requires_grad_(False)
