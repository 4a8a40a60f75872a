"""How a score of the model compares with the strongest baseline, in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.baselines.sides import BASELINES
from babelscope.gaps.traced import Number, told

_TABLE = "against_baselines"


def title_of(baseline: str) -> str:
    """Return what a baseline is called in a sentence; other models go by their label."""
    return BASELINES.get(baseline, (baseline, ""))[0]


def rival_of(table: pd.DataFrame | None, row: Any) -> pd.Series[Any] | None:
    """Return the baseline that a mean score, a row of the curves, has to exceed, as a row of ``against_baselines``.

    A score exceeds the baselines if it exceeds each of them. Where it does not, the strongest of those is returned that
    it is not known to exceed. Baselines that lack a language or pair do not count. None without one.
    """
    if table is None:
        return None
    here = table[(table["groups"] == table["of"]) & table["baseline_value"].notna()]
    for column in ("kind", "measure", "point", "against"):
        here = here[here[column].astype(str) == str(row[column])]
    if here.empty:
        return None
    short = here[~(here["low"] > 0)]
    rivals = short if len(short) else here
    return rivals.iloc[int(rivals["baseline_chance_corrected"].fillna(-np.inf).to_numpy().argmax())]


def strongest_baseline(table: pd.DataFrame | None, row: Any, side: str = "") -> tuple[str, dict[str, Number | str]]:
    """Return a sentence that sets a mean score against the strongest baseline, and its parts.

    It is a template with a place for each part (:class:`babelscope.gaps.traced.Traced`). `side` is ``text`` or
    ``speech`` where one of both is meant.
    """
    rival = rival_of(table, row)
    start = f"In {side} " if side else ""
    if rival is None:
        return f"{start}{'n' if side else 'N'}o baseline was computed.", {}

    def slot(name: str) -> str:
        return "{" + f"{side}_{name}" + "}"

    parts: dict[str, Number | str] = {
        f"{side}_name": title_of(str(rival["baseline"])),
        f"{side}_value": told(_TABLE, rival, "baseline_value"),
    }
    name, value, the = slot("name"), slot("value"), "the" if side else "The"
    if not np.isfinite(float(rival["difference"])):
        return f"{start}{the} baseline {name} gives {value}; chance leaves no room to tell which is higher.", parts
    parts[f"{side}_difference"] = told(_TABLE, rival, "difference")
    difference = slot("difference")
    if not np.isfinite(float(rival["low"])):
        return (
            f"{start}{the} strongest baseline, {name}, gives {value} (difference {difference}, chance-corrected, not "
            "tested)."
        ), parts
    parts |= {f"{side}_{end}": told(_TABLE, rival, end) for end in ("low", "high")}
    interval = f"chance-corrected, 95 % {slot('low')} to {slot('high')}"
    if float(rival["low"]) > 0:
        return (
            f"{start}{the} strongest baseline, {name}, gives {value}, which the model exceeds by {difference} "
            f"({interval})."
        ), parts
    return (
        f"{start}{the} baseline {name} gives {value}, which the model is not found to exceed (difference {difference}, "
        f"{interval})."
    ), parts
