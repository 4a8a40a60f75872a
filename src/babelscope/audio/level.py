"""The level of samples that come in blocks."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


class Level:
    """The range and the mean of samples that come in blocks."""

    def __init__(self) -> None:
        self.count = 0
        self._low, self._high, self._total = math.inf, -math.inf, 0.0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Take a block."""
        if len(values):
            self._low, self._high = min(self._low, float(values.min())), max(self._high, float(values.max()))
            self._total, self.count = self._total + float(values.sum()), self.count + len(values)

    @property
    def peak(self) -> float:
        """The largest absolute value."""
        return max(self._high, -self._low) if self.count else 0.0

    @property
    def swing(self) -> float:
        """The largest distance from the mean."""
        mean = self._total / max(1, self.count)
        return max(self._high - mean, mean - self._low) if self.count else 0.0
