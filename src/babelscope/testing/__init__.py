"""For those who extend babelscope, and for its own tests.

Activations whose gaps are known, because planted; tiny models in released formats; and :class:`ModelTests`, which
tells whoever writes a model whether it is described as it is (it needs pytest and hypothesis, so it is imported only
when asked for).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from babelscope.lazy_imports import lazy_names
from babelscope.testing.planted import Planted, planted_activations, planted_likeness, planted_vectors
from babelscope.testing.tiny import tiny

if TYPE_CHECKING:
    from babelscope.testing.model_tests import ModelTests

__all__ = ["ModelTests", "Planted", "planted_activations", "planted_likeness", "planted_vectors", "tiny"]

#: Imported when it is first used: it needs pytest.
__getattr__, __dir__ = lazy_names(__name__, {"babelscope.testing.model_tests": ("ModelTests",)})
