"""Where scalars go besides the log: a TensorBoard writer or a W&B run that the training script has, or a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from babelscope.errors import UsageError

#: Takes scalars by name, and the step.
Logger = Callable[[Mapping[str, float], int], object]

#: The axis of the scalars in W&B, whose own step may already have gone on.
STEP = "babelscope/step"


def logger_of(given: Any) -> Logger:
    """Return how to log to what was given.

    Parameters
    ----------
    given : object
        A TensorBoard writer (anything with ``add_scalar(name, value, step)``), a W&B run (anything with ``log`` and
        ``define_metric``), or a function of scalars by name and the step.

    Raises
    ------
    UsageError
        If it is none of these.
    """
    if hasattr(given, "add_scalar"):
        return lambda scalars, step: [given.add_scalar(name, value, step) for name, value in scalars.items()]
    if hasattr(given, "log") and hasattr(given, "define_metric"):
        given.define_metric(STEP)
        given.define_metric("babelscope/*", step_metric=STEP)
        return lambda scalars, step: given.log({**scalars, STEP: step})
    if callable(given):
        logger: Logger = given
        return logger
    raise UsageError(
        f"to: {type(given).__name__} is no TensorBoard writer (add_scalar), no W&B run (log) and no function of "
        "(scalars, step)"
    )
