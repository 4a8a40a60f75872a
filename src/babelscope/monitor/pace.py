"""The schedule of probes: at the requested interval, unless that would exceed their share of the training time.

Only two times are kept: that of probing, and that of training (all time between probes, from the first step on). A
probe is due `every` steps after the last. It waits if its expected cost would lift the share above the budget; the
first probe of a run does not wait, since its cost is not known yet and the untrained model is the baseline.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Pace:
    """When to probe; times are in seconds."""

    every: int  # steps between probes, as requested
    budget: float  # largest share of the training time that probing may cost; infinity for no limit
    clock: Callable[[], float] = time.perf_counter
    spent: float = 0.0  # for probing so far
    trained: float = 0.0  # for training so far
    cost: float = 0.0  # of the last probe: the expected cost of the next
    last: int | None = None  # the step of the last probe
    _mark: float | None = field(default=None, repr=False)
    _first: tuple[int, float] | None = field(default=None, repr=False)
    step_now: int | None = None  # that of the last call of :meth:`arrive`

    def arrive(self, step: int) -> None:
        """Count the time since the last call as training."""
        now = self.clock()
        if self._mark is not None:
            self.trained += now - self._mark
        self._mark = now
        if self._first is None:
            self._first = (step, self.trained)
        self.step_now = step

    def leave(self, began: float) -> float:
        """Count the time since `began` as probing; return it."""
        now = self.clock()
        self.cost = now - began
        self.spent += self.cost
        self._mark = now
        return self.cost

    def stop(self) -> None:
        """Stop the clock: time from now on is neither training nor probing."""
        self._mark, self._first, self.step_now, self.last = None, None, None, None

    def leave_again(self) -> None:
        """Count the time since the last call, that of the loggers, as part of the same probe."""
        now = self.clock()
        if self._mark is not None:
            self.cost += now - self._mark
            self.spent += now - self._mark
        self._mark = now

    @property
    def share(self) -> float:
        """The cost of probing so far, as a share of the training time; infinity before any training."""
        return self.spent / self.trained if self.trained > 0 else math.inf if self.spent else 0.0

    @property
    def interval(self) -> int:
        """Steps between probes that the budget allows on average, at least `every`."""
        if self._first is None or self.step_now is None or not math.isfinite(self.budget):
            return self.every
        a_step = (self.trained - self._first[1]) / max(self.step_now - self._first[0], 1)
        return max(self.every, math.ceil(self.cost / (self.budget * a_step))) if a_step > 0 else self.every

    def due(self, step: int) -> bool:
        """Return whether a probe is due."""
        return self.last is None or step >= self.last + self.every

    def affordable(self) -> bool:
        """Return whether one more probe stays within the budget."""
        return self.last is None or self.spent + self.cost <= self.budget * self.trained
