"""For those who extend babelscope, and for its own tests.

Activations whose gaps are known, because planted; tiny models in released formats; and :class:`ModelTests`, which
tells whoever writes a model whether it is described as it is (it needs pytest and hypothesis, so it is imported only
when asked for).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from babelscope.testing.planted import Planted, planted_activations, planted_likeness, planted_vectors
from babelscope.testing.tiny import tiny

if TYPE_CHECKING:
    from babelscope.testing.model_tests import ModelTests

__all__ = ["ModelTests", "Planted", "planted_activations", "planted_likeness", "planted_vectors", "tiny"]


def __getattr__(name: str) -> Any:
    if name == "ModelTests":
        from babelscope.testing.model_tests import ModelTests

        return ModelTests
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
