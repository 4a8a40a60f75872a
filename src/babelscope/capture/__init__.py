"""What happens inside: hooks, pooling over valid positions, batches, and the store of activations.

Names are imported when they are first used: reading a store needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babelscope.capture.encoding import encode
    from babelscope.capture.hooks import Capture
    from babelscope.capture.pooling import POOLINGS, pool
    from babelscope.capture.store import Activations, open_activations

__all__ = ["POOLINGS", "Activations", "Capture", "encode", "open_activations", "pool"]

_HOME = {
    "POOLINGS": "pooling",
    "Activations": "store",
    "Capture": "hooks",
    "encode": "encoding",
    "open_activations": "store",
    "pool": "pooling",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
