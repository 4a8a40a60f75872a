"""Interventions: speech is patched inside the model, and the rest of it runs on."""

from babelscope.interventions.edits import Edit, Shift, Swap
from babelscope.interventions.effects import PATCH_COLUMNS, PatchPlan, patch_table, plan_patch, points_to_patch
from babelscope.interventions.options import KINDS, PatchOptions
from babelscope.interventions.outcomes import OUTCOMES
from babelscope.interventions.patching import Patched
from babelscope.interventions.replay import Replay
from babelscope.lazy_imports import public_names

__all__ = [
    "KINDS",
    "OUTCOMES",
    "PATCH_COLUMNS",
    "Edit",
    "PatchOptions",
    "PatchPlan",
    "Patched",
    "Replay",
    "Shift",
    "Swap",
    "patch_table",
    "plan_patch",
    "points_to_patch",
]

__dir__ = public_names(__name__)
