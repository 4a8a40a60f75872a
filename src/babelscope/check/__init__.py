"""Whether a result passes: bounds on its numbers, and none worse than in an earlier result; for continuous integration.

:mod:`~babelscope.check.grammar` says how a rule names a number, :mod:`~babelscope.check.evaluate` looks it up and
compares it with its bound, and :mod:`~babelscope.check.baseline` compares a result with an earlier one.
"""

from __future__ import annotations

from babelscope.check.baseline import no_worse
from babelscope.check.evaluate import apply, require
from babelscope.check.grammar import Rule, parse_rule
from babelscope.check.junit import write_junit
from babelscope.check.rules import Rules, Verdict, parse_bound, parse_required
from babelscope.errors import UsageError
from babelscope.gaps.result import Result

__all__ = [
    "Rule",
    "Rules",
    "Verdict",
    "apply",
    "check",
    "no_worse",
    "parse_bound",
    "parse_required",
    "parse_rule",
    "require",
    "write_junit",
]


def check(result: Result, rules: Rules) -> list[Verdict]:
    """Check every rule of a result.

    Parameters
    ----------
    result : Result
    rules : Rules

    Returns
    -------
    list of Verdict
        Bounds in their order, then verdicts that are required, then the baseline.

    Raises
    ------
    UsageError
        If there is no rule at all, a name is unknown, or the baseline cannot be compared.
    DataError
        If the baseline is missing or damaged.

    Examples
    --------
    >>> from babelscope.check import Rules, check
    >>> rules = Rules((("max", "modality_gap", 0.4), ("min", "retrieval.speech.swh", 0.8)))
    >>> all(verdict.passed for verdict in check(result, rules))  # doctest: +SKIP
    """
    if not rules.bounds and not rules.required and rules.no_worse_than is None:
        raise UsageError("there is no rule: give --max, --min, --require, --no-worse-than or --rules")
    parsed = [parse_rule(bound, text, limit, result) for bound, text, limit in rules.bounds]
    verdicts = [apply(rule, result) for rule in parsed]
    verdicts += [require(text, wanted, result) for text, wanted in rules.required]
    if rules.no_worse_than is not None:
        baseline = Result.load(rules.no_worse_than)
        verdicts += no_worse(result, baseline, tolerance=rules.tolerance, name=str(rules.no_worse_than))
    return verdicts
