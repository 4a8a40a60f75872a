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
        "POOLINGS": "babelscope.capture.pooling",
        "Activations": "babelscope.capture.store",
        "Capture": "babelscope.capture.hooks",
        "Positions": "babelscope.capture.positions",
        "encode": "babelscope.capture.encoding",
        "encode_positions": "babelscope.capture.position_encoding",
        "open_activations": "babelscope.capture.store",
        "pool": "babelscope.capture.pooling",
    },
)
