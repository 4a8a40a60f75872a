"""Monitoring of training: a small probe set is encoded at regular steps, and its gaps are logged.

>>> from babelscope.monitor import FunctionProbe, GapMonitor
>>> probe = FunctionProbe(speech=encode_speech, text=encode_text, modules=[model])  # doctest: +SKIP
>>> with GapMonitor(probe, "run/gaps.jsonl", every=200) as monitor:  # doctest: +SKIP
...     for step, batch in enumerate(batches, 1):
...         train(batch)
...         monitor.step(step)

Training is not affected: modes, gradients, buffers, hooks and every random number generator are
restored (:mod:`babelscope.monitor.state`), and all probing together takes at most 5 % of the training time
(:mod:`babelscope.monitor.pace`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from babelscope.lazy_imports import lazy_names
from babelscope.monitor.loop import GapMonitor
from babelscope.monitor.probe import FunctionProbe, ModelProbe, Probe
from babelscope.monitor.record import read_log

if TYPE_CHECKING:
    from babelscope.monitor.trainer import GapCallback

__all__ = ["FunctionProbe", "GapCallback", "GapMonitor", "ModelProbe", "Probe", "read_log"]

#: Imported when it is first used: its base class imports all of transformers' Trainer.
__getattr__, __dir__ = lazy_names(__name__, {"babelscope.monitor.trainer": ("GapCallback",)})
