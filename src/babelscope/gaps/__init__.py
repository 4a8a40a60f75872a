"""What it means: how similar modalities and languages are at every depth, each with its null and its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from babelscope.gaps.comparisons import MATCHES, Comparison, Place, plan
from babelscope.gaps.curves import curves
from babelscope.gaps.result import CONTROLS, CURVE_COLUMNS, GAPS, KINDS, SCORE_COLUMNS, Result
from babelscope.lazy_imports import lazy_names

if TYPE_CHECKING:
    from babelscope.gaps.scoring import compare

__all__ = [
    "CONTROLS",
    "CURVE_COLUMNS",
    "GAPS",
    "KINDS",
    "MATCHES",
    "SCORE_COLUMNS",
    "Comparison",
    "Place",
    "Result",
    "compare",
    "curves",
    "plan",
]

#: Imported when it is first used: what reads results needs no torch.
__getattr__, __dir__ = lazy_names(__name__, {"babelscope.gaps.scoring": ("compare",)})
