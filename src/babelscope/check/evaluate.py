"""The number that a rule names, compared with its bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from babelscope.check.grammar import ABOVE, DISTANCE, FINDING, MEAN, STRONGEST, WORST, Rule, parse_rule
from babelscope.check.rules import Verdict, verdict_on
from babelscope.errors import UsageError
from babelscope.gaps.findings import CORRECTED
from babelscope.gaps.result import Result
from babelscope.gaps.selecting import output
from babelscope.gaps.selecting import rows as rows_where
from babelscope.numbers import significant
from babelscope.similarity import parse_measure


class _NoNumberError(Exception):
    """Why a rule finds no number."""


@dataclass(frozen=True)
class _Number:
    """A number, and where it stands."""

    value: float
    where: str


def apply(rule: Rule, result: Result) -> Verdict:
    """Check one rule of a result."""
    look_up = {FINDING: _of_finding, DISTANCE: _of_distances, ABOVE: _of_baselines}.get(rule.metric, _of_curves)
    try:
        number = look_up(rule, result)
    except _NoNumberError as reason:
        return verdict_on(rule, False, reason)
    wrong = number.value > rule.limit if rule.bound == "max" else number.value < rule.limit
    passed = math.isfinite(number.value) and not wrong
    sign = {("max", True): "<=", ("max", False): ">", ("min", True): ">=", ("min", False): "<"}[rule.bound, passed]
    return verdict_on(rule, passed, f"{significant(number.value)} {sign} {rule.limit:g}; {number.where}")


def require(text: str, wanted: str, result: Result) -> Verdict:
    """Compare the verdict of a finding with the one that is required.

    Raises
    ------
    UsageError
        If the rule is not one on a finding, or names one that the result has not.
    """
    rule = parse_rule("min", text, math.nan, result)
    if rule.metric != FINDING:
        raise UsageError(f"rule {text!r}: only a finding has a verdict; write finding.ID, such as finding.convergence")
    name = f"--require {text}={wanted}"
    try:
        row = _finding(rule, result)
    except _NoNumberError as reason:
        return verdict_on(name, False, reason)
    effect = f"effect {significant(float(row['effect']))}"
    if math.isfinite(float(row["low"])):
        effect += f" ({significant(float(row['low']))} to {significant(float(row['high']))})"
    return verdict_on(name, str(row["verdict"]) == wanted, f"{row['verdict']}; {effect}, n {int(row['n'])}")


def _at_point(rule: Rule, rows: pd.DataFrame, what: str, against: str = "against") -> pd.DataFrame:
    """Return the rows at the rule's point: the deepest unless it names one."""
    point = rule.point or output(rows, against=against)["point"].iloc[0]
    rows = rows[rows["point"] == point]
    if rows.empty:
        raise _NoNumberError(f"matches no row: there is no {what} at {point}")
    return rows


def _of_curves(rule: Rule, result: Result) -> _Number:
    rows = rows_where(result.curves, kind=rule.kind, control=rule.control)
    if rows.empty:
        raise _NoNumberError(f"matches no row: the result has no {rule.kind} under the control {rule.control}")
    rows = rows_where(rows, measure=rule.measure)
    if rows.empty:
        known = ", ".join(map(str, result.curves["measure"].unique()))
        raise _NoNumberError(f"matches no row: the result has no {rule.kind} by {rule.measure}; available: {known}")
    rows = _at_point(rule, rows, rule.kind)
    point, against = str(rows["point"].iloc[0]), str(rows["against"].iloc[-1])  # of several text points the last
    rows = rows_where(rows, against=against)
    place = f"{rule.kind} by {rule.measure} at {point}" + ("" if against == point else f" and {against}")
    if rule.control != "none":
        place += f", {rule.control}"
    chosen = _group(rule, rows, result)
    values = {str(row["group"]): _value(rule, row) for _, row in chosen.iterrows()}
    if lacking := [group for group, value in values.items() if not math.isfinite(value)]:
        hint = " (its measure has no null: ask for :value)" if rule.column in (CORRECTED, "calibrated") else ""
        raise _NoNumberError(f"{place} has no {rule.column} for {', '.join(lacking[:5])}{hint}")
    if rule.group != WORST and len(values) > 1:
        return _Number(float(np.mean(list(values.values()))), f"{place}, {rule.group}: mean of {len(values)} pairs")
    group = (max if rule.bound == "max" else min)(values, key=lambda name: values[name])
    row = rows_where(chosen, group=group).iloc[0]
    if rule.group == WORST:
        which = f"worst of {len(values)}: {group}"
    else:
        which = f"mean of {int(row['groups'])}" if group == MEAN else group
        which += f", n {int(row['n'])}"
    at_chance = rule.column in (CORRECTED, "calibrated") and float(row["calibrated"]) == 0
    return _Number(values[group], f"{place}, {which}{' (not above chance)' if at_chance else ''}")


def _group(rule: Rule, rows: pd.DataFrame, result: Result) -> pd.DataFrame:
    """Return the rows of the rule's group: one, or all pairs of a language, or all for the worst."""
    if rule.group == WORST:
        return rows[rows["group"] != MEAN]
    place = {name: rows[name].iloc[0] for name in ("kind", "control", "measure", "point", "against")}
    classes = result.tables.get("by_class", rows.iloc[:0])
    pairs = rows[[rule.group in str(group).split("-") for group in rows["group"]]]
    for chosen in (rows_where(rows, group=rule.group), rows_where(classes, **place, group=rule.group), pairs):
        if len(chosen):
            return chosen
    known = ", ".join(str(group) for group in rows["group"].unique()[:12])
    raise _NoNumberError(f"matches no row: {rule.kind} at {place['point']} has no {rule.group!r} (it has {known})")


def _value(rule: Rule, row: pd.Series[Any]) -> float:
    number = float(row[rule.column])
    if not rule.gap or rule.column == "p":
        return number
    if rule.column in (CORRECTED, "calibrated"):
        return 1.0 - number
    measure = parse_measure(rule.measure)
    if not measure.higher_is_better:
        return number - measure.best
    return measure.best - float(row[{"low": "high", "high": "low"}.get(rule.column, rule.column)])


def _finding(rule: Rule, result: Result) -> pd.Series[Any]:
    rows = rows_where(result.tables["findings"], id=rule.kind, group=rule.group, basis=rule.control)
    if rows.empty:
        raise _NoNumberError(f"matches no row: {rule.kind} was not tested for {rule.group} on {rule.control} scores")
    return rows.iloc[0]


def _of_finding(rule: Rule, result: Result) -> _Number:
    row = _finding(rule, result)
    if not math.isfinite(number := float(row[rule.column])):
        raise _NoNumberError(f"the finding {rule.kind} has no {rule.column} for {rule.group}")
    return _Number(number, f"{rule.column} of {rule.kind}, {rule.group}, {row['verdict']}, n {int(row['n'])}")


def _of_distances(rule: Rule, result: Result) -> _Number:
    table = result.tables.get("centroids")
    rows = rows_where(table, kind=rule.kind) if table is not None else pd.DataFrame()
    if rows.empty:
        raise _NoNumberError(
            f"matches no row: the result has no distances of means for {rule.kind} (no point that both sides share?)"
        )
    rows = _at_point(rule, rows, f"{DISTANCE} of {rule.kind}", against="point")
    place = f"{DISTANCE} of {rule.kind} at {rows['point'].iloc[0]}"
    pairs = zip(rows["language_a"], rows["language_b"], strict=True)
    groups = [str(a) if a == b else f"{a}-{b}" for a, b in pairs]
    values = dict(zip(groups, rows[rule.column].astype(float), strict=True))
    if rule.group not in (MEAN, WORST):
        if rule.group not in values:
            known = ", ".join(list(values)[:12])
            raise _NoNumberError(f"matches no row: {place} has no {rule.group!r} (it has {known})")
        if not math.isfinite(values[rule.group]):
            raise _NoNumberError(f"{place} has no {rule.column}")
        return _Number(values[rule.group], f"{place}, {rule.group}")
    if rule.group == MEAN and rule.column != "distance":
        raise _NoNumberError(f"{place}: the mean has no {rule.column}; name a language, or worst")
    if lacking := [group for group, value in values.items() if not math.isfinite(value)]:
        raise _NoNumberError(f"{place} has no {rule.column} for {lacking[0]}")
    if rule.group == MEAN:
        return _Number(float(np.mean(list(values.values()))), f"{place}, mean of {len(values)}")
    group = (max if rule.bound == "max" else min)(values, key=lambda name: values[name])
    return _Number(values[group], f"{place}, worst of {len(values)}: {group}")


def _of_baselines(rule: Rule, result: Result) -> _Number:
    table = result.tables.get("against_baselines")
    name = f"{rule.kind} by {rule.measure}"
    if table is None or table.empty:
        raise _NoNumberError("matches no row: the result has no baselines (compute_baselines in the study)")
    rows = rows_where(table, kind=rule.kind, measure=rule.measure)
    if rows.empty:
        raise _NoNumberError(f"matches no row: no baseline was compared with {name}")
    own = rows_where(result.curves, kind=rule.kind, measure=rule.measure, control="none")
    point = str(_at_point(rule, own[own["point"].isin(rows["point"])], name)["point"].iloc[0])
    rows = rows_where(rows, point=point)
    rows = rows[rows["strongest"].astype(bool)] if rule.group == STRONGEST else rows_where(rows, baseline=rule.group)
    if rows.empty:
        raise _NoNumberError(f"matches no row: {name} was not compared with {rule.group} at {point}")
    row = rows.iloc[-1]  # of several text points the last
    baseline = f"{row['baseline']}, the strongest baseline" if row["strongest"] else str(row["baseline"])
    scores = significant(row["chance_corrected"]), significant(row["baseline_chance_corrected"])
    place = f"{name} at {point}, {scores[0]}, above {baseline}, {scores[1]}"
    if not math.isfinite(number := float(row[rule.column])):
        raise _NoNumberError(f"{place} has no {rule.column}: not estimable, or the measure has no intervals")
    return _Number(number, f"{rule.column} of {place}, mean of {int(row['groups'])}, n {int(row['n'])}")
