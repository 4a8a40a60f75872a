"""A result against an earlier one: whether any similarity is worse than the noise of its sentences explains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.check.rules import Verdict, verdict_on
from babelscope.errors import UsageError
from babelscope.gaps.resample_table import SharedDraws, draws_of, same_draws, shared_draws
from babelscope.gaps.result import Result
from babelscope.gaps.selecting import MEAN, output
from babelscope.numbers import significant
from babelscope.similarity import parse_measure, student
from babelscope.similarity.deviations import freedom

#: Chance that any comparison with a baseline fails though nothing became worse.
ALPHA = 0.025


@dataclass(frozen=True)
class _Scaled:
    """A score and its interval where the null's mean is 0 and perfect agreement 1, and what 1 is worth."""

    value: float
    low: float
    high: float
    unit: float


@dataclass(frozen=True)
class _Change:
    """One chance-corrected number now and before."""

    group: str
    now: float
    before: float
    error: float  # standard error of the difference, for other sentences


class _NotComparedError(Exception):
    """Why a kind and measure cannot be compared, which fails."""


def no_worse(result: Result, baseline: Result, *, tolerance: float = 0.0, name: str = "baseline") -> list[Verdict]:
    """Compare a result with an earlier one: every uncontrolled similarity at its last point, by every measure.

    That of speech and text is compared for each language and their mean, the others for the mean over pairs. Scores are
    chance-corrected (:func:`babelscope.similarity.chance_corrected`), so that another null (another width, say) is
    allowed for. A number is worse if

        now - before + t error < -tolerance

    with the standard error of the difference, and Student's quantile for 2.5 % divided by the number of comparisons
    (Bonferroni). Both results left out the same sentences in the same draws (the table ``draws``), so that the
    difference has an error of its own, for other sentences and these languages:
    :mod:`babelscope.similarity.deviations`. Where one of them has no such table, or another seed, the errors of the two
    numbers are added as if they were independent, which errs towards passing.

    Parameters
    ----------
    result, baseline : Result
    tolerance : float
        Further room, in chance-corrected units.
    name : str
        What to call the baseline.

    Returns
    -------
    list of Verdict
        One a kind and measure. What the baseline has and the result lacks fails.

    Raises
    ------
    UsageError
        If the two are of different corpora, sentences or measures, or have no intervals and no `tolerance` is given.
    """
    _check_comparable(result, baseline, name)
    draws = shared_draws(draws_of(result), draws_of(baseline)) if same_draws(result, baseline) else {}
    now, before = _outputs(result), _outputs(baseline)
    if not before:
        return [verdict_on(f"no worse than {name}", False, "it has no uncontrolled score")]
    changes: dict[tuple[str, str], list[_Change]] = {}
    failed: dict[tuple[str, str], str] = {}
    for kind, measure in before:
        try:
            if (kind, measure) not in now:
                raise _NotComparedError(f"{name} has {kind} by {measure}, the result has not")
            # What the ends of an interval are from its middle, in errors.
            reaches = [student.quantile(0.975, _freedom(each, measure)) for each in (result, baseline)]
            rows = now[kind, measure], before[kind, measure]
            changes[kind, measure] = _changes(kind, measure, rows, reaches, draws, tolerance, name)
        except _NotComparedError as reason:
            failed[kind, measure] = f"matches no row: {reason}"
    if not failed and not any(changes.values()):
        raise UsageError(
            f"{', '.join(dict.fromkeys(measure for _, measure in before))} have no intervals (here or in {name}): name "
            "them in intervals, or set how much worse is allowed by --tolerance"
        )
    least = min(_freedom(each, measure) for each in (result, baseline) for _, measure in before)
    reach = student.quantile(1 - ALPHA / max(sum(map(len, changes.values())), 1), least)
    verdicts = []
    for kind, measure in before:
        rule = f"no worse than {name}: {kind} by {measure}"
        if (kind, measure) in failed:
            verdicts.append(verdict_on(rule, False, failed[kind, measure]))
        elif not changes[kind, measure]:
            remedy = f"name it in intervals (intervals = [{measure!r}]), or give --tolerance"
            verdicts.append(Verdict(rule, True, f"skip  {rule}: not compared, since it has no intervals: {remedy}"))
        else:
            verdicts.append(_verdict(rule, changes[kind, measure], reach, tolerance))
    return verdicts


def _verdict(rule: str, changes: list[_Change], reach: float, tolerance: float) -> Verdict:
    """Return whether none of the changes is worse than the noise, and the one that comes nearest to that."""
    rooms = [(change.now - change.before + change.error * reach + tolerance, change) for change in changes]
    rooms.sort(key=lambda pair: pair[0])
    (room, change), worse = rooms[0], [change.group for room, change in rooms if room < 0]
    now, before, least = (significant(number) for number in (change.now, change.before, change.now - room))
    line = f"{change.group} {now}, was {before}, may fall to {least}"
    if worse[1:]:
        line += f"; {len(worse) - 1} more: {', '.join(worse[1:9])}"
    if not worse and len(changes) > 1:
        line += f" (nearest to worse of {len(changes)})"
    return verdict_on(rule, not worse, line)


def _freedom(result: Result, measure: str) -> float:
    """Return the degrees of freedom of a result's intervals; results of before drew the same for all measures."""
    return float(result.meta["options"].get("freedom", {}).get(measure) or freedom(int(result.meta["corpus"]["n"])))


def _check_comparable(result: Result, baseline: Result, name: str) -> None:
    for what, section, key in (
        ("corpora", "corpus", "fingerprint"),
        ("languages", "corpus", "languages"),
        ("numbers of sentences", "corpus", "n"),
        ("measures", "options", "measures"),
        ("conventions of the measures", "options", "conventions"),
        ("poolings", "options", "pooling"),
    ):
        now, before = (
            sorted(map(str, value)) if isinstance(value, list) else value
            for value in (each.meta.get(section, {}).get(key) for each in (result, baseline))
        )
        if now != before:
            shown = f" ({now} and {before})" if len(f"{now}{before}") < 200 else ""
            raise UsageError(
                f"the result and {name} are of different {what}{shown}: only results of the same sentences and "
                "measures can be compared; run the baseline again"
            )


def _outputs(result: Result) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the uncontrolled rows at the last point, by kind and measure."""
    plain = result.curves[result.curves["control"] == "none"]
    outputs: dict[tuple[str, str], pd.DataFrame] = {}
    for (kind, measure), rows in plain.groupby(["kind", "measure"], sort=False):
        last = output(rows)
        outputs[str(kind), str(measure)] = last if kind == "modality_similarity" else last[last["group"] == MEAN]
    return outputs


def _changes(
    kind: str,
    measure: str,
    rows: tuple[pd.DataFrame, pd.DataFrame],
    reaches: Sequence[float],
    draws: SharedDraws,
    tolerance: float,
    name: str,
) -> list[_Change]:
    """Return the changes by one kind and measure, from its rows now and before; none if no score has an interval.

    _NotComparedError if the result lacks a group, or chance reaches perfect agreement everywhere.
    """
    now, before = rows
    changes: list[_Change] = []
    unknown = False
    later = {str(row["group"]): row for _, row in now.iterrows()}
    for _, row in before.iterrows():
        group = str(row["group"])
        if group not in later:
            raise _NotComparedError(f"{name} has {group} in {kind} by {measure}, the result has not")
        new, old = _scaled(measure, later[group]), _scaled(measure, row)
        if not (math.isfinite(new.value) and math.isfinite(old.value)):
            continue  # chance reaches perfect agreement: the measure says nothing here
        error = _paired_error(draws.get((kind, measure, group), {}), new.unit, old.unit)
        if error is None:
            error = math.hypot((new.high - new.value) / reaches[0], (old.value - old.low) / reaches[1])
        if math.isfinite(error) or tolerance:
            changes.append(_Change(group, new.value, old.value, error if math.isfinite(error) else 0.0))
        else:
            unknown = True
    if not changes and not unknown:
        raise _NotComparedError(f"by {measure}, chance reaches perfect agreement everywhere, so it says nothing")
    return changes


def _paired_error(
    draws: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], new: float, old: float
) -> float | None:
    """Return the standard error of a difference of two scaled scores, or None if their draws are not known."""
    if "blocks" not in draws:
        return None
    blocks, halves = (
        float(((draws[scheme][0] / new - draws[scheme][1] / old) ** 2).sum()) if scheme in draws else 0.0
        for scheme in ("blocks", "halves")
    )
    return math.sqrt(blocks - min(halves, blocks / 2))


def _scaled(measure: str, row: pd.Series[Any]) -> _Scaled:
    parsed = parse_measure(measure)
    best, zero = parsed.best, float(row["null_mean"])
    if not parsed.null_kinds:
        zero = best + (1.0 if not parsed.higher_is_better else -1.0)  # without a null: as it is, higher being better
    if not math.isfinite(zero) or (best - zero) * (1 if parsed.higher_is_better else -1) <= 1e-12:
        return _Scaled(math.nan, math.nan, math.nan, math.nan)
    value, *ends = ((float(row[column]) - zero) / (best - zero) for column in ("value", "low", "high"))
    return _Scaled(value, min(ends), max(ends), best - zero)
