"""What happens inside: hooks, pooling over valid positions, batches, and the store of activations."""

from __future__ import annotations

from babelscope.capture.encoding import encode
from babelscope.capture.hooks import Capture
from babelscope.capture.pooling import POOLINGS, pool
from babelscope.capture.store import Activations, open_activations

__all__ = ["POOLINGS", "Activations", "Capture", "encode", "open_activations", "pool"]
