"""How numbers are written for a reader, in sentences, tables and figures."""

from __future__ import annotations

import math

#: Written where there is no number.
NOTHING = "–"


def number(value: object, digits: int = 2, *, minus: str = "−", nothing: str = NOTHING) -> str:
    """Write a number with `digits` decimals, without the sign of a zero.

    Parameters
    ----------
    value : object
        `nothing` is written for what is no finite number.
    digits : int
    minus, nothing : str
        The sign of negative numbers, and what stands for a missing one.
    """
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return nothing
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", minus)


def p_value(value: object) -> str:
    """Write a p-value: ``< 0.001``, three decimals below 0.1, two above; a dash where there is none."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return NOTHING
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def significant(value: float) -> str:
    """Write a number with four significant digits."""
    return f"{value:.4g}"
