"""Many numbers in little room: arrays as base-64 digits, for the page's script to unpack."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

#: The digits of a packed array, in order.
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def pack(values: NDArray[np.float64], digits: int = 3) -> dict[str, Any] | None:
    """Pack an array, flattened, in even steps between its ends; the last code stands for "nothing there".

    Parameters
    ----------
    values : ndarray
        NaN or infinite where there is nothing.
    digits : int
        Base-64 digits a number: 2 give 4094 steps, 3 give 262142.

    Returns
    -------
    dict or None
        ``low``, ``high``, ``digits`` and ``cells``; None if no value is finite.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    finite = np.isfinite(flat)
    if not finite.any():
        return None
    low, high = float(flat[finite].min()), float(flat[finite].max())
    top = 64**digits - 2
    codes = np.full(flat.shape, top + 1, dtype=np.int64)
    codes[finite] = np.rint((flat[finite] - low) / (high - low) * top) if high > low else 0
    letters = np.frombuffer(DIGITS.encode("ascii"), dtype=np.uint8)
    places = [letters[(codes // 64**place) % 64] for place in reversed(range(digits))]
    return {"low": low, "high": high, "digits": digits, "cells": np.stack(places, axis=1).tobytes().decode("ascii")}


def thousandths(values: Any) -> list[int | None]:
    """Return numbers in whole thousandths, None where there is nothing."""
    return [round(float(value) * 1000) if np.isfinite(value) else None for value in np.asarray(values, dtype=float)]


def for_script(value: object) -> Markup:
    """Return JSON that can stand in a ``<script>``: without a character that could end it, or open a comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704 - escaped here
