"""Whether a model is what it says: activations position by position, padded batches against single utterances."""

from babelscope.models.verification.watching import deviations, difference, observe, watch

__all__ = ["deviations", "difference", "observe", "watch"]
