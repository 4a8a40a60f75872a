"""For those who extend babelscope, and for its own tests: activations whose gaps are known, because planted."""

from __future__ import annotations

from babelscope.testing.planted import Planted, planted_activations

__all__ = ["Planted", "planted_activations"]
