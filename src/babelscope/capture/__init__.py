"""What happens inside: hooks, pooling over valid positions, batches, and the store of activations.

Names are imported when they are first used: reading a store needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from babelscope.lazy_imports import lazy_names

if TYPE_CHECKING:
    from babelscope.capture.encoding import encode
    from babelscope.capture.hooks import Capture
    from babelscope.capture.pooling import POOLINGS, pool
    from babelscope.capture.position_encoding import encode_positions
    from babelscope.capture.positions import Positions
    from babelscope.capture.store import Activations, open_activations

__all__ = ["POOLINGS", "Activations", "Capture", "Positions", "encode", "encode_positions", "open_activations", "pool"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "babelscope.capture.encoding": ("encode",),
        "babelscope.capture.hooks": ("Capture",),
        "babelscope.capture.pooling": ("POOLINGS", "pool"),
        "babelscope.capture.position_encoding": ("encode_positions",),
        "babelscope.capture.positions": ("Positions",),
        "babelscope.capture.store": ("Activations", "open_activations"),
    },
)
