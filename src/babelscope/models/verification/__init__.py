"""Whether a model is what it says: activations position by position, padded batches against single utterances."""

from babelscope.models.verification.items import shortest
from babelscope.models.verification.result import CHECKS, Row, Verification
from babelscope.models.verification.verifying import verify
from babelscope.models.verification.watching import deviations, difference, observe, own_forward, survey, watch

__all__ = [
    "CHECKS",
    "Row",
    "Verification",
    "deviations",
    "difference",
    "observe",
    "own_forward",
    "shortest",
    "survey",
    "verify",
    "watch",
]
