"""The monitor as a callback of transformers' ``Trainer``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback

from babelscope.monitor.loop import GapMonitor


class GapCallback(TrainerCallback):  # type: ignore[misc]
    """Calls a monitor before a Trainer's first step, after each step, and after the last.

    With several processes the main one probes; it must hold the whole model, not a shard (FSDP, ZeRO-3).

    Parameters
    ----------
    monitor : GapMonitor
    trainer : transformers.Trainer, optional
        The means over languages then also go where the Trainer's own numbers go: its ``log_history``, and TensorBoard,
        W&B or whatever its ``report_to`` names.

    Examples
    --------
    >>> trainer = Trainer(model, arguments, train_dataset=dataset)  # doctest: +SKIP
    >>> trainer.add_callback(GapCallback(monitor, trainer))  # doctest: +SKIP
    """

    def __init__(self, monitor: GapMonitor, trainer: Any = None) -> None:
        self.monitor = monitor
        if trainer is not None:
            monitor.loggers.append(lambda scalars, step: _log(trainer, scalars))

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Probe the model as it starts."""
        if state.is_world_process_zero:
            self.monitor.step(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Probe if one is due."""
        if state.is_world_process_zero:
            self.monitor.step(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Probe the model as it ends, if the budget allows it."""
        if state.is_world_process_zero:
            self.monitor.close(state.global_step)


def _log(trainer: Any, scalars: Mapping[str, float]) -> None:
    due = trainer.control.should_log
    trainer.log(dict(scalars))
    trainer.control.should_log = due  # logging clears it, and the Trainer's own numbers of this step would be lost
