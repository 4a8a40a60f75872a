"""Whether a model is what it says: activations position by position, padded batches against single utterances."""

from babelscope.lazy_imports import public_names
from babelscope.verification.items import shortest
from babelscope.verification.probing import Probe, apply, probe
from babelscope.verification.result import CHECKS, Row, Verification
from babelscope.verification.verifying import verify
from babelscope.verification.watching import deviations, difference, observe, own_forward, survey, watch

__all__ = [
    "CHECKS",
    "Probe",
    "Row",
    "Verification",
    "apply",
    "deviations",
    "difference",
    "observe",
    "own_forward",
    "probe",
    "shortest",
    "survey",
    "verify",
    "watch",
]

__dir__ = public_names(__name__)
