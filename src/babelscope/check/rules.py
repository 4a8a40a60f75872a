"""What is asked of a result, from a file or the command line, and what became of it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from babelscope.errors import UsageError, did_you_mean
from babelscope.gaps.findings import CANNOT_TELL, HOLDS, HOLDS_NOT

Bound = Literal["max", "min"]

VERDICTS = (HOLDS, HOLDS_NOT, CANNOT_TELL)


@dataclass(frozen=True)
class Rules:
    """What is asked of a result: bounds, and a baseline.

    Attributes
    ----------
    bounds : tuple of (bound, rule, limit)
        As written.
    no_worse_than : Path or None
        Folder of an earlier result.
    tolerance : float
        How much worse than the baseline is always allowed, in chance-corrected units.
    required : tuple of (rule, verdict)
        Findings, and the verdict that each must have.
    """

    bounds: tuple[tuple[Bound, str, float], ...] = ()
    no_worse_than: Path | None = None
    tolerance: float = 0.0
    required: tuple[tuple[str, str], ...] = ()

    @classmethod
    def load(cls, path: Path | str) -> Rules:
        """Read rules from a TOML file: ``[max]``, ``[min]``, ``[require]``, ``no_worse_than`` and ``tolerance``.

        Raises
        ------
        UsageError
            If the file is missing or broken, or a key is unknown or wrong.
        """
        path = Path(path)
        try:
            keys = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UsageError(f"there is no file of rules {path}") from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"{path} is not valid TOML: {error}") from error
        known = ("max", "min", "require", "no_worse_than", "tolerance")
        for key in keys:
            if key not in known:
                raise UsageError(f"{path}: there is no key {key!r}; {did_you_mean(key, known)}")

        def table(name: str, of: str) -> list[tuple[str, Any]]:
            entries = keys.get(name, {})
            if not isinstance(entries, dict):
                raise UsageError(f"{path}: {name} is a table of {of}, [{name}]")
            return list(_flat(entries))

        sides: tuple[Bound, ...] = ("max", "min")
        bounds = [
            (bound, rule, _number(limit, f"{path}: {bound} {rule}"))
            for bound in sides
            for rule, limit in table(bound, "rules")
        ]
        baseline = keys.get("no_worse_than")
        if baseline is not None and not isinstance(baseline, str):
            raise UsageError(f"{path}: no_worse_than is the folder of a result, in quotes")
        folder = path.resolve().parent / baseline if baseline is not None else None
        tolerance = _number(keys.get("tolerance", 0.0), f"{path}: tolerance")
        asked = table("require", "findings and verdicts")
        required = [(rule, _verdict(str(wanted), f"{path}: require {rule}")) for rule, wanted in asked]
        return cls(tuple(bounds), folder, tolerance, tuple(required))

    def changed(
        self,
        bounds: Iterable[tuple[Bound, str, float]] = (),
        no_worse_than: Path | None = None,
        tolerance: float | None = None,
        required: Iterable[tuple[str, str]] = (),
    ) -> Rules:
        """Return the rules with further ones, another baseline or tolerance; None leaves each as it is."""
        return Rules(
            (*self.bounds, *bounds),
            self.no_worse_than if no_worse_than is None else no_worse_than,
            self.tolerance if tolerance is None else tolerance,
            (*self.required, *required),
        )


def _flat(table: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    """Yield keys as they would be written in quotes: TOML reads unquoted dots as tables."""
    for key, value in table.items():
        name = f"{before}.{key}" if before else key
        if isinstance(value, dict):
            yield from _flat(value, name)
        else:
            yield name, value


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{where}: {value!r} is not a number")
    return float(value)


def parse_bound(text: str, bound: Bound) -> tuple[Bound, str, float]:
    """Read a rule with its limit, ``RULE=NUMBER``, as the command line takes it.

    Raises
    ------
    UsageError
        If there is no number behind the last ``=``.
    """
    rule, sign, limit = text.rpartition("=")
    try:
        number = float(limit)
    except ValueError:
        number = math.nan
    if not sign or not rule.strip() or not math.isfinite(number):
        raise UsageError(f"--{bound} {text!r}: write a rule and a number, such as modality_gap=0.4")
    return bound, rule.strip(), number


def parse_required(text: str) -> tuple[str, str]:
    """Read a verdict that is required, ``finding.ID=VERDICT``, as the command line takes it.

    Raises
    ------
    UsageError
        If there is no verdict behind the last ``=``.
    """
    rule, sign, wanted = text.rpartition("=")
    if not sign or not rule.strip():
        raise UsageError(f"--require {text!r}: write a finding and a verdict, such as finding.convergence=holds")
    return rule.strip(), _verdict(wanted, f"--require {text!r}")


def _verdict(text: str, where: str) -> str:
    """Return a verdict as the findings spell it; hyphens stand for spaces."""
    wanted = text.strip().replace("-", " ").replace("_", " ")
    if wanted not in VERDICTS:
        raise UsageError(f"{where}: there is no verdict {text.strip()!r}; {did_you_mean(wanted, VERDICTS)}")
    return wanted


@dataclass(frozen=True)
class Verdict:
    """What became of one rule: whether it passed, and one line with the number, the bound, and where it stands."""

    rule: str
    passed: bool
    line: str


def verdict_on(rule: object, passed: bool, text: object) -> Verdict:
    """Return a verdict whose line begins with what it is."""
    return Verdict(str(rule), passed, f"{'pass' if passed else 'FAIL'}  {rule}: {text}")
