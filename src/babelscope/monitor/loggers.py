"""Where scalars go besides the log: a training script's TensorBoard writer, W&B run, MLflow run or function."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from babelscope.errors import UsageError

#: Takes scalars by name, and the step.
Logger = Callable[[Mapping[str, float], int], object]

#: The axis of the scalars in W&B, whose own step may already have gone on.
STEP = "babelscope/step"


def metric_name(name: str) -> str:
    """Return a name that every tracker takes: ``svcca(variance=0.9)`` is ``svcca_variance_0.9``."""
    return re.sub(r"_(?=/|$)", "", re.sub(r"[^-/\w.]+", "_", name))


def _leaves(scalars: Mapping[str, float]) -> dict[str, float]:
    """Return scalars by names none of which lies below another: MLflow may keep each in a file."""
    above = {name.rpartition("/")[0] for name in scalars}
    return {metric_name(f"{name}/value" if name in above else name): value for name, value in scalars.items()}


def logger_of(given: Any) -> Logger:
    """Return how to log to what was given.

    That is a TensorBoard writer (anything with ``add_scalar(name, value, step)``), a W&B run (anything with ``log`` and
    ``define_metric``), the module ``mlflow`` (anything with ``log_metrics``), or a function of scalars by name and the
    step; UsageError if it is none of these.
    """
    if hasattr(given, "add_scalar"):
        return lambda scalars, step: [given.add_scalar(name, value, step) for name, value in scalars.items()]
    if hasattr(given, "log") and hasattr(given, "define_metric"):
        given.define_metric(STEP)
        given.define_metric("babelscope/*", step_metric=STEP)
        return lambda scalars, step: given.log({**scalars, STEP: step})
    if hasattr(given, "log_metrics"):
        return lambda scalars, step: given.log_metrics(_leaves(scalars), step=step)
    if callable(given):
        logger: Logger = given
        return logger
    raise UsageError(
        f"to: {type(given).__name__} is no TensorBoard writer (add_scalar), no W&B run (log), not mlflow (log_metrics) "
        "and no function of (scalars, step)"
    )
