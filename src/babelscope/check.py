"""Whether a result passes: bounds on its numbers, and none worse than in an earlier result; for continuous integration.

A rule names one number of a result::

    METRIC[.KIND][.GROUP][:COLUMN][:CONTROL][@POINT]

``modality_gap``, ``modality_gap.swh``, ``retrieval.speech.swh``,
``linear_cka.modality_similarity.worst@speech.layer.5``, ``svcca(variance=0.9).text:value``. What is left out has one
meaning each, which :class:`Rule` states. Three metrics have tables of their own: ``centroid_distance``, how far apart
the means lie; ``above_baseline``, by how much the model exceeds a baseline; and ``finding``, the effect of a finding,
of which the verdict may be required as well. Names that nobody knows are refused; a rule that finds no number fails.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as Xml

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.cache import write_atomically
from babelscope.errors import UsageError, did_you_mean
from babelscope.gaps.by_class import ALL
from babelscope.gaps.draws import SharedDraws, draws_of, output, same_draws, shared_draws
from babelscope.gaps.findings import CANNOT_TELL, CORRECTED, HOLDS, HOLDS_NOT
from babelscope.gaps.naming import by_preference
from babelscope.gaps.old_names import LENGTH_ONLY, current_basis, current_kind
from babelscope.gaps.resampling import freedom
from babelscope.gaps.result import CONTROLS, GAPS, KINDS, Result
from babelscope.languages import language
from babelscope.similarity import MEASURES, parse_measure, student

#: Short words for kinds, by what a listener of them would ask of.
SHORT_KINDS: dict[str, str] = {
    "speech": "modality_similarity",  # a language's speech against its own text
    "text": "language_similarity_text",  # its text against the texts of the others
}

COLUMNS = (CORRECTED, "calibrated", "value", "low", "high", "p")

#: The same for distances.
SHORT_GAPS: dict[str, str] = {"speech": "modality_gap", "text": "language_gap_text"}

#: Metrics that stand in tables of their own, and the columns that a rule may ask of each, the usual one first.
DISTANCE, FINDING, ABOVE = "centroid_distance", "finding", "above_baseline"
OF_TABLES: dict[str, tuple[str, ...]] = {
    DISTANCE: ("distance", "low", "high"),
    FINDING: ("effect", "low", "high", "p"),
    ABOVE: ("difference", "low", "high"),
}
VERDICTS = (HOLDS, HOLDS_NOT, CANNOT_TELL)
MEAN, WORST = "mean", "worst"

#: Of all baselines, the one that comes nearest to the model: with the highest score at a point.
STRONGEST = "strongest"

#: Chance that any comparison with a baseline fails though nothing became worse.
ALPHA = 0.025

Bound = Literal["max", "min"]


@dataclass(frozen=True)
class Rule:
    """A bound on one number.

    Attributes
    ----------
    bound : {"max", "min"}
    limit : float
    text : str
        As it was written.
    metric : str
        A measure or a kind of similarity, of which more is better; or a gap (:data:`~babelscope.gaps.GAPS`), of which
        less is: 1 - the chance-corrected score, or the distance of ``value`` from perfect agreement. A gap of 0 is
        perfect agreement, of 1 what chance gives on average. Or ``centroid_distance``, ``above_baseline`` or
        ``finding``.
    kind : str
        Of :data:`~babelscope.gaps.KINDS`, those of ``centroid_distance`` of :data:`~babelscope.gaps.GAPS`; speech and
        text of one language if left out. Of a finding its id.
    measure : str
        As it stands in the result. A kind or gap is that of linear CKA, else of retrieval, else of SVCCA, else of the
        result's first measure, unless a measure follows it.
    group : str
        ``mean`` (over all, the default), ``worst`` (of all), a language, a pair of languages, or a resource class. A
        language, where pairs are compared, is the mean over its pairs. Of ``above_baseline`` the baseline;
        ``strongest`` if left out.
    column : str
        Of :data:`COLUMNS`; ``chance_corrected`` if left out.
    control : str
        Of :data:`~babelscope.gaps.CONTROLS`; ``none`` if left out. Of a finding its basis; ``chance_corrected`` if left
        out.
    point : str
        The last (deepest) point if empty.
    """

    bound: Bound
    limit: float
    text: str
    metric: str
    kind: str
    measure: str
    group: str = MEAN
    column: str = CORRECTED
    control: str = "none"
    point: str = ""

    @property
    def gap(self) -> bool:
        """Whether the number is a gap, not a similarity."""
        return self.metric in GAPS

    def __str__(self) -> str:
        return f"--{self.bound} {self.text}={self.limit:g}"


@dataclass(frozen=True)
class Verdict:
    """What became of one rule: whether it passed, and one line with the number, the bound, and where it stands."""

    rule: str
    passed: bool
    line: str


@dataclass(frozen=True)
class Rules:
    """What is asked of a result: bounds, and a baseline.

    Attributes
    ----------
    bounds : tuple of (bound, rule, limit)
        As written.
    required : tuple of (rule, verdict)
        Findings, and the verdict that each must have.
    no_worse_than : Path or None
        Folder of an earlier result.
    tolerance : float
        How much worse than the baseline is always allowed, in chance-corrected units.
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
            said = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UsageError(f"there is no file of rules {path}") from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"{path} is not valid TOML: {error}") from error
        known = ("max", "min", "require", "no_worse_than", "tolerance")
        for key in said:
            if key not in known:
                raise UsageError(f"{path}: there is no key {key!r}; {did_you_mean(key, known)}")
        bounds: list[tuple[Bound, str, float]] = []
        kinds: tuple[Bound, ...] = ("max", "min")
        for bound in kinds:
            table = said.get(bound, {})
            if not isinstance(table, dict):
                raise UsageError(f"{path}: {bound} is a table of rules, [{bound}]")
            bounds += [(bound, rule, _number(limit, f"{path}: {bound} {rule}")) for rule, limit in _flat(table)]
        table = said.get("require", {})
        if not isinstance(table, dict):
            raise UsageError(f"{path}: require is a table of findings and verdicts, [require]")
        required = tuple((rule, _verdict(str(wanted), f"{path}: require {rule}")) for rule, wanted in _flat(table))
        baseline = said.get("no_worse_than")
        if baseline is not None and not isinstance(baseline, str):
            raise UsageError(f"{path}: no_worse_than is the folder of a result, in quotes")
        return cls(
            tuple(bounds),
            path.resolve().parent / baseline if baseline is not None else None,
            _number(said.get("tolerance", 0.0), f"{path}: tolerance"),
            required,
        )

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


def _number(said: Any, where: str) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said):
        raise UsageError(f"{where}: {said!r} is not a number")
    return float(said)


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


def _verdict(said: str, where: str) -> str:
    """Return a verdict as the findings spell it; hyphens stand for spaces."""
    wanted = said.strip().replace("-", " ").replace("_", " ")
    if wanted not in VERDICTS:
        raise UsageError(f"{where}: there is no verdict {said.strip()!r}; {did_you_mean(wanted, VERDICTS)}")
    return wanted


def parse_rule(bound: Bound, text: str, limit: float, result: Result) -> Rule:
    """Read a rule, in the names of a result.

    Raises
    ------
    UsageError
        For a measure, kind, group, column, control or point that is unknown (with what was probably meant), or a
        measure that the result holds with several parameters.
    """
    head, _, point = text.partition("@") if "@" in text else (text, "", "")
    parts, *qualifiers = head.split(":")
    words = [word.strip() for word in re.split(r"\.(?![^(]*\))", parts)]
    if not all(words):
        raise UsageError(f"rule {text!r}: a name is empty; write METRIC.KIND.GROUP:COLUMN@POINT")
    where = f"rule {text!r}"
    metric = words.pop(0)
    if metric in OF_TABLES:
        return _of_table(bound, text, limit, result, metric, words, qualifiers, point)
    if metric in KINDS or metric in GAPS:
        kind = GAPS.get(metric, metric)
        measure = _measure(words.pop(0), result, where) if words and _is_measure(words[0], result) else _usual(result)
    else:
        if metric in SHORT_KINDS or not _is_measure(metric, result):
            raise UsageError(f"{where}: there is no metric {metric!r}; {did_you_mean(metric, _metrics(result))}")
        measure = _measure(metric, result, where)
        kind = "modality_similarity"
        if words and (words[0] in KINDS or words[0] in SHORT_KINDS or words[0] in GAPS):
            word = words.pop(0)
            kind = current_kind(SHORT_KINDS.get(word, word), where)
    group = words.pop(0) if words else MEAN
    if words:
        raise UsageError(f"{where}: {words[0]!r} is one name too many; write METRIC.KIND.GROUP:COLUMN@POINT")
    _check_group(group, result, where)
    column, control = CORRECTED, "none"
    for qualifier in (word.strip() for word in qualifiers):
        if qualifier in COLUMNS:
            column = qualifier
        elif qualifier in CONTROLS:
            control = qualifier
        elif qualifier == LENGTH_ONLY:
            raise UsageError(
                f"{where}: {LENGTH_ONLY!r} is now the baseline 'lengths': write {ABOVE}.lengths, by how much the model "
                f"exceeds it"
            )
        else:
            raise UsageError(
                f"{where}: there is no column or control {qualifier!r}; "
                f"{did_you_mean(qualifier, (*COLUMNS, *CONTROLS))}"
            )
    points = dict.fromkeys(result.curves["point"])
    if point and point not in points:
        raise UsageError(f"{where}: the result has no point {point!r}; {did_you_mean(point, points)}")
    return Rule(bound, limit, text, metric, kind, measure, group, column, control, point)


def _of_table(
    bound: Bound,
    text: str,
    limit: float,
    result: Result,
    metric: str,
    words: list[str],
    qualifiers: Sequence[str],
    point: str,
) -> Rule:
    """Read a rule on the distances of means, on a finding, or on a baseline."""
    where = f"rule {text!r}"
    columns = OF_TABLES[metric]
    column, kind, group, basis = columns[0], "modality_gap", MEAN, "none"
    measure = ""
    bases: tuple[str, ...] = ()
    if metric == ABOVE:
        kind, measure, group = _of_baseline(words, result, where)
        points = dict.fromkeys(result.curves["point"])
        if point and point not in points:
            raise UsageError(f"{where}: the result has no point {point!r}; {did_you_mean(point, points)}")
    elif metric == FINDING:
        table = result.tables.get("findings", pd.DataFrame(columns=["id", "group", "basis"]))
        known = list(dict.fromkeys(map(str, table["id"])))
        if not words:
            raise UsageError(f"{where}: say which finding, such as finding.{known[0] if known else 'convergence'}")
        kind, group, basis = words.pop(0), ALL, CORRECTED
        if kind not in known:
            raise UsageError(f"{where}: the result has no finding {kind!r}; {did_you_mean(kind, known)}")
        bases = tuple(dict.fromkeys(map(str, table["basis"])))
        if words:
            group = words.pop(0)
            groups = list(dict.fromkeys(map(str, table.loc[table["id"] == kind, "group"])))
            if group not in groups:
                raise UsageError(f"{where}: {kind} has no group {group!r}; {did_you_mean(group, groups)}")
        if point:
            raise UsageError(f"{where}: a finding is about all points; leave out @{point}")
    else:
        if words and (words[0] in GAPS or words[0] in SHORT_GAPS):
            word = words.pop(0)
            kind = SHORT_GAPS.get(word, word)
        if words:
            group = words.pop(0)
            _check_group(group, result, where)
        points = dict.fromkeys(result.tables["centroids"]["point"]) if "centroids" in result.tables else {}
        if point and points and point not in points:
            raise UsageError(f"{where}: no distance was taken at {point!r}; {did_you_mean(point, points)}")
    if words:
        raise UsageError(f"{where}: {words[0]!r} is one name too many")
    for qualifier in (word.strip() for word in qualifiers):
        qualifier = current_basis(qualifier, where) if metric == FINDING else qualifier
        if qualifier in columns:
            column = qualifier
        elif qualifier in bases:
            basis = qualifier
        else:
            raise UsageError(f"{where}: {metric} has no {qualifier!r}; {did_you_mean(qualifier, (*columns, *bases))}")
    return Rule(bound, limit, text, metric, kind, measure, group, column, basis, point)


def _of_baseline(words: list[str], result: Result, where: str) -> tuple[str, str, str]:
    """Return kind, measure and baseline of a rule on a baseline, and take their words away."""
    kind, measure, baseline = "modality_similarity", _usual(result), STRONGEST
    table = result.tables.get("against_baselines")
    known = [STRONGEST, *(() if table is None else dict.fromkeys(map(str, table["baseline"])))]
    rest = ".".join(words)
    # Labels of models may have dots in them.
    named = [name for name in known if rest == name or rest.startswith(f"{name}.")]
    if named:
        baseline = max(named, key=len)
        words[:] = [word for word in re.split(r"\.(?![^(]*\))", rest[len(baseline) + 1 :]) if word]
    if words and (words[0] in KINDS or words[0] in SHORT_KINDS):
        word = words.pop(0)
        kind = SHORT_KINDS.get(word, word)
    if words and _is_measure(words[0], result):
        measure = _measure(words.pop(0), result, where)
    if words and baseline == STRONGEST and len(known) > 1:
        options = [*known, *KINDS, *SHORT_KINDS, *_measures(result)]
        raise UsageError(
            f"{where}: there is no baseline, kind or measure {words[0]!r}; {did_you_mean(words[0], options)}"
        )
    return kind, measure, baseline


def _metrics(result: Result) -> list[str]:
    return list(dict.fromkeys([*GAPS, *KINDS, *OF_TABLES, *_measures(result), *MEASURES]))


def _measures(result: Result) -> list[str]:
    return [str(name) for name in dict.fromkeys(result.curves["measure"])]


def _is_measure(word: str, result: Result) -> bool:
    return word.split("(")[0] in MEASURES or word in _measures(result)


def _measure(word: str, result: Result, where: str) -> str:
    """Return a measure as the result spells it; as it was written where the result has none like it."""
    there = _measures(result)
    if word in there:
        return word
    written = str(parse_measure(word))
    if written in there:
        return written
    alike = [name for name in there if name.split("(")[0] == word]
    if len(alike) > 1:
        raise UsageError(f"{where}: the result has {' and '.join(alike)}; name one with its parameters")
    return alike[0] if alike else written


def _usual(result: Result) -> str:
    return next(iter(by_preference(_measures(result))), "")


def _check_group(group: str, result: Result, where: str) -> None:
    known = _groups(result)
    if group in known:
        return
    for code in group.split("-") if group.count("-") == 1 else (group,):
        try:
            language(code)
        except UsageError:
            raise UsageError(
                f"{where}: there is no kind, language or group {group!r}; {did_you_mean(group, known)}"
            ) from None


def _groups(result: Result) -> list[str]:
    pairs = dict.fromkeys(str(group) for group in result.curves["group"])
    languages = dict.fromkeys(
        str(code) for column in ("language_a", "language_b") for code in result.scores.get(column, ())
    )
    classes = dict.fromkeys(str(group) for group in _classes(result)["group"])
    return list(dict.fromkeys([MEAN, WORST, *languages, *classes, *pairs, *KINDS, *GAPS, *SHORT_KINDS]))


def _classes(result: Result) -> pd.DataFrame:
    return result.tables.get("by_class", result.curves.iloc[:0])


# -- one number


@dataclass(frozen=True)
class _Found:
    """A number, and where it stands."""

    number: float
    where: str
    note: str = ""


def apply(rule: Rule, result: Result) -> Verdict:
    """Check one rule of a result."""
    found = _find(rule, result)
    if isinstance(found, str):
        return Verdict(str(rule), False, f"FAIL  {rule}: {found}")
    wrong = found.number > rule.limit if rule.bound == "max" else found.number < rule.limit
    passed = math.isfinite(found.number) and not wrong
    sign = {("max", True): "<=", ("max", False): ">", ("min", True): ">=", ("min", False): "<"}[rule.bound, passed]
    line = f"{'pass' if passed else 'FAIL'}  {rule}: {_shown(found.number)} {sign} {rule.limit:g}; {found.where}"
    return Verdict(str(rule), passed, line + found.note)


def _find(rule: Rule, result: Result) -> _Found | str:
    """Return the rule's number, or why there is none."""
    if rule.metric == FINDING:
        return _find_effect(rule, result)
    if rule.metric == DISTANCE:
        return _find_distance(rule, result)
    if rule.metric == ABOVE:
        return _find_above(rule, result)
    curves = result.curves
    rows = curves[(curves["kind"] == rule.kind) & (curves["control"] == rule.control)]
    if rows.empty:
        return f"matches no row: the result has no {rule.kind} under the control {rule.control}"
    rows = rows[rows["measure"] == rule.measure]
    if rows.empty:
        there = ", ".join(_measures(result))
        return f"matches no row: the result has no {rule.kind} by {rule.measure}; available: {there}"
    point = rule.point or output(list(rows["point"]), list(rows["depth"]), list(rows["against"]))[0]
    rows = rows[rows["point"] == point]
    if rows.empty:
        return f"matches no row: there is no {rule.kind} at {point}"
    rows = rows[rows["against"] == rows["against"].iloc[-1]]  # of several text points the last
    against = str(rows["against"].iloc[0])
    place = f"{rule.kind} by {rule.measure} at {point}" + ("" if against == point else f" and {against}")
    if rule.control != "none":
        place += f", {rule.control}"
    chosen = _group(rule, rows, result, point, against)
    if isinstance(chosen, str):
        return chosen
    numbers = [(str(row["group"]), _value(rule, row)) for _, row in chosen.iterrows()]
    if any(not math.isfinite(number) for _, number in numbers):
        lacking = [group for group, number in numbers if not math.isfinite(number)]
        hint = " (its measure has no null: ask for :value)" if rule.column in (CORRECTED, "calibrated") else ""
        return f"{place} has no {rule.column} for {', '.join(lacking[:5])}{hint}"
    if rule.group == WORST:
        worst = (max if rule.bound == "max" else min)(numbers, key=lambda pair: pair[1])
        return _Found(worst[1], f"{place}, worst of {len(numbers)}: {worst[0]}", _note(rule, chosen, worst[0]))
    if len(numbers) > 1:
        number = float(np.mean([number for _, number in numbers]))
        return _Found(number, f"{place}, {rule.group}: mean of {len(numbers)} pairs")
    row = chosen.iloc[0]
    of = f"mean of {int(row['groups'])}" if numbers[0][0] == MEAN else numbers[0][0]
    return _Found(numbers[0][1], f"{place}, {of}, n {int(row['n'])}", _note(rule, chosen, numbers[0][0]))


def _finding(rule: Rule, result: Result) -> pd.Series[Any] | str:
    """Return the row of a finding, or why there is none."""
    table = result.tables["findings"]
    rows = table[(table["id"] == rule.kind) & (table["group"] == rule.group) & (table["basis"] == rule.control)]
    if rows.empty:
        return f"matches no row: {rule.kind} was not tested for {rule.group} on {rule.control} scores"
    return rows.iloc[0]


def _find_effect(rule: Rule, result: Result) -> _Found | str:
    row = _finding(rule, result)
    if isinstance(row, str):
        return row
    if not math.isfinite(number := float(row[rule.column])):
        return f"the finding {rule.kind} has no {rule.column} for {rule.group}"
    return _Found(number, f"{rule.column} of {rule.kind}, {rule.group}, {row['verdict']}, n {int(row['n'])}")


def _find_distance(rule: Rule, result: Result) -> _Found | str:
    table = result.tables.get("centroids")
    rows = table[table["kind"] == rule.kind] if table is not None else None
    if rows is None or rows.empty:
        return f"matches no row: the result has no distances of means for {rule.kind} (no point that both sides share?)"
    point = rule.point or output(list(rows["point"]), list(rows["depth"]), list(rows["point"]))[0]
    rows = rows[rows["point"] == point]
    place = f"{DISTANCE} of {rule.kind} at {point}"
    if rows.empty:
        return f"matches no row: there is no {place}"
    pairs = [str(a) if a == b else f"{a}-{b}" for a, b in zip(rows["language_a"], rows["language_b"], strict=True)]
    numbers = rows[rule.column].to_numpy(dtype=float)
    if rule.group in (MEAN, WORST):
        if rule.group == MEAN and rule.column != "distance":
            return f"{place}: the mean has no {rule.column}; name a language, or worst"
        if not np.isfinite(numbers).all():
            return f"{place} has no {rule.column} for {pairs[int(np.argmin(np.isfinite(numbers)))]}"
        if rule.group == MEAN:
            return _Found(float(numbers.mean()), f"{place}, mean of {len(numbers)}")
        at = int(numbers.argmax() if rule.bound == "max" else numbers.argmin())
        return _Found(float(numbers[at]), f"{place}, worst of {len(numbers)}: {pairs[at]}")
    if rule.group not in pairs:
        return f"matches no row: {place} has no {rule.group!r} (it has {', '.join(pairs[:12])})"
    number = float(numbers[pairs.index(rule.group)])
    return _Found(number, f"{place}, {rule.group}") if math.isfinite(number) else f"{place} has no {rule.column}"


def _find_above(rule: Rule, result: Result) -> _Found | str:
    table, curves = result.tables.get("against_baselines"), result.curves
    of = f"{rule.kind} by {rule.measure}"
    if table is None or table.empty:
        return "matches no row: the result has no baselines (compute_baselines in the study)"
    rows = table[(table["kind"] == rule.kind) & (table["measure"] == rule.measure)]
    if rows.empty:
        return f"matches no row: no baseline was compared with {of}"
    own = curves[(curves["kind"] == rule.kind) & (curves["measure"] == rule.measure) & (curves["control"] == "none")]
    there = own[own["point"].isin(rows["point"])]
    point = rule.point or output(list(there["point"]), list(there["depth"]), list(there["against"]))[0]
    rows = rows[rows["point"] == point]
    rows = rows[rows["strongest"].astype(bool) if rule.group == STRONGEST else rows["baseline"] == rule.group]
    if rows.empty:
        return f"matches no row: {of} was not compared with {rule.group} at {point}"
    row = rows.iloc[-1]  # of several text points the last
    name = f"{row['baseline']}, the strongest baseline" if row["strongest"] else str(row["baseline"])
    place = (
        f"{of} at {point}, {_shown(row['chance_corrected'])}, above {name}, {_shown(row['baseline_chance_corrected'])}"
    )
    if not math.isfinite(number := float(row[rule.column])):
        return f"{place} has no {rule.column}: not estimable, or the measure has no intervals"
    return _Found(number, f"{rule.column} of {place}, mean of {int(row['groups'])}, n {int(row['n'])}")


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
    row = _finding(rule, result)
    if isinstance(row, str):
        return Verdict(name, False, f"FAIL  {name}: {row}")
    found = str(row["verdict"])
    effect = f"effect {_shown(float(row['effect']))}"
    if math.isfinite(float(row["low"])):
        effect += f" ({_shown(float(row['low']))} to {_shown(float(row['high']))})"
    line = f"{'pass' if found == wanted else 'FAIL'}  {name}: {found}; {effect}, n {int(row['n'])}"
    return Verdict(name, found == wanted, line)


def _group(rule: Rule, rows: pd.DataFrame, result: Result, point: str, against: str) -> pd.DataFrame | str:
    if rule.group == WORST:
        return rows[rows["group"] != MEAN]
    direct = rows[rows["group"] == rule.group]
    if len(direct):
        return direct
    classes = _classes(result)
    if len(classes):
        same = classes[
            (classes["kind"] == rule.kind)
            & (classes["control"] == rule.control)
            & (classes["measure"] == rule.measure)
            & (classes["point"] == point)
            & (classes["against"] == against)
            & (classes["group"] == rule.group)
        ]
        if len(same):
            return same
    pairs = rows[[rule.group in str(group).split("-") for group in rows["group"]]]
    if len(pairs):
        return pairs
    there = ", ".join(str(group) for group in rows["group"].unique()[:12])
    return f"matches no row: {rule.kind} at {point} has no {rule.group!r} (it has {there})"


def _value(rule: Rule, row: pd.Series[Any]) -> float:
    number = float(row[rule.column])
    if not rule.gap or rule.column == "p":
        return number
    if rule.column in (CORRECTED, "calibrated"):
        return 1.0 - number
    measure = parse_measure(rule.measure)
    if rule.column == "value":
        return measure.best - number if measure.higher_is_better else number - measure.best
    if not measure.higher_is_better:
        return number - measure.best
    return measure.best - float(row["high" if rule.column == "low" else "low"])


def _note(rule: Rule, chosen: pd.DataFrame, group: str) -> str:
    """Say of a score that it is not above the null's 95th percentile."""
    row = chosen[chosen["group"] == group].iloc[0]
    floor = rule.column in (CORRECTED, "calibrated") and float(row["calibrated"]) == 0
    return " (not above chance)" if floor else ""


def _shown(number: float) -> str:
    return f"{number:.4g}"


# -- against a baseline


@dataclass(frozen=True)
class _Change:
    """One chance-corrected number now and before."""

    group: str
    now: float
    before: float
    error: float  # standard error of the difference, for other sentences


def no_worse(result: Result, baseline: Result, *, tolerance: float = 0.0, name: str = "baseline") -> list[Verdict]:
    """Compare a result with an earlier one: every uncontrolled similarity at its last point, by every measure.

    That of speech and text is compared for each language and their mean, the others for the mean over pairs. Scores are
    chance-corrected (:func:`babelscope.similarity.chance_corrected`), so that another null (another width, say) is
    allowed for. A number is worse if

        now - before + t error < -tolerance

    with the standard error of the difference, and Student's quantile for 2.5 % divided by the number of comparisons
    (Bonferroni). Both results left out the same sentences in the same draws (the table ``draws``), so that the
    difference has an error of its own, for other sentences and these languages:
    :mod:`babelscope.gaps.resampling`. Where one of them has no such table, or another seed, the errors of the two
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
    pairs: dict[tuple[str, str], list[_Change] | str | None] = {}
    there = _outputs(result)
    drawn = shared_draws(draws_of(result), draws_of(baseline)) if same_draws(result, baseline) else {}

    def reaches(measure: str) -> tuple[float, float]:
        # What the ends of an interval are from its middle, in errors.
        now, before = (student.quantile(0.975, _freedom(each, measure)) for each in (result, baseline))
        return now, before

    for (kind, measure), before in _outputs(baseline).items():
        now = there.get((kind, measure))
        if now is None:
            pairs[kind, measure] = f"matches no row: {name} has {kind} by {measure}, the result has not"
        else:
            pairs[kind, measure] = _changes(kind, measure, now, before, drawn, reaches(measure), tolerance, name)
    count = sum(len(changes) for changes in pairs.values() if isinstance(changes, list))
    if not pairs:
        return [Verdict(f"no worse than {name}", False, f"FAIL  no worse than {name}: it has no uncontrolled score")]
    if all(changes is None for changes in pairs.values()):
        raise UsageError(
            f"{', '.join(dict.fromkeys(measure for _, measure in pairs))} have no intervals (here or in {name}): name "
            "them in intervals, or set how much worse is allowed by --tolerance"
        )
    least = min(_freedom(each, measure) for each in (result, baseline) for _, measure in pairs)
    reach = student.quantile(1 - ALPHA / max(count, 1), least)
    return [_told(kind, measure, changes, reach, tolerance, name) for (kind, measure), changes in pairs.items()]


def _freedom(result: Result, measure: str) -> float:
    """Return the degrees of freedom of a result's intervals; results of before drew the same for all measures."""
    drawn = freedom(int(result.meta["corpus"]["n"]))
    return float(result.meta["options"].get("freedom", {}).get(measure) or drawn)


def _check_comparable(result: Result, baseline: Result, name: str) -> None:
    for what, path in (
        ("corpora", ("corpus", "fingerprint")),
        ("languages", ("corpus", "languages")),
        ("numbers of sentences", ("corpus", "n")),
        ("measures", ("options", "measures")),
        ("conventions of the measures", ("options", "conventions")),
        ("poolings", ("options", "pooling")),
    ):
        now, before = (one.meta.get(path[0], {}).get(path[1]) for one in (result, baseline))
        same = sorted(map(str, now)) == sorted(map(str, before)) if _lists(now, before) else now == before
        if not same:
            shown = f" ({now} and {before})" if len(f"{now}{before}") < 200 else ""
            raise UsageError(
                f"the result and {name} are of different {what}{shown}: only results of the same sentences and "
                "measures can be compared; run the baseline again"
            )


def _lists(*given: Any) -> bool:
    return all(isinstance(one, list) for one in given)


def _outputs(result: Result) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the uncontrolled rows at the last point, by kind and measure."""
    plain = result.curves[result.curves["control"] == "none"]
    found: dict[tuple[str, str], pd.DataFrame] = {}
    for (kind, measure), rows in plain.groupby(["kind", "measure"], sort=False):
        point, against = output(list(rows["point"]), list(rows["depth"]), list(rows["against"]))
        last = rows[(rows["point"] == point) & (rows["against"] == against)]
        if kind != "modality_similarity":
            last = last[last["group"] == MEAN]
        found[str(kind), str(measure)] = last
    return found


def _changes(
    kind: str,
    measure: str,
    now: pd.DataFrame,
    before: pd.DataFrame,
    drawn: SharedDraws,
    usual: tuple[float, float],
    tolerance: float,
    name: str,
) -> list[_Change] | str | None:
    """Return the changes by one kind and measure, or why there are none; None if none has an interval."""
    changes: list[_Change] = []
    unknown = False
    later = {str(row["group"]): row for _, row in now.iterrows()}
    for _, row in before.iterrows():
        group = str(row["group"])
        if group not in later:
            return f"matches no row: {name} has {group} in {kind} by {measure}, the result has not"
        new, old = _scaled(measure, later[group]), _scaled(measure, row)
        if not (math.isfinite(new[0]) and math.isfinite(old[0])):
            continue  # chance reaches perfect agreement: the measure says nothing here
        error = _paired_error(drawn.get((kind, measure, group), {}), new[3], old[3])
        if error is None:
            error = math.hypot((new[2] - new[0]) / usual[0], (old[0] - old[1]) / usual[1])
        if not math.isfinite(error):
            if not tolerance:
                unknown = True
                continue
            error = 0.0
        changes.append(_Change(group, new[0], old[0], error))
    if unknown and not changes:
        return None
    return changes or f"matches no row: by {measure}, chance reaches perfect agreement everywhere, so it says nothing"


def _paired_error(
    draws: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], new: float, old: float
) -> float | None:
    """Return the standard error of a difference of two scaled scores, or None if their draws are not known."""
    if "blocks" not in draws:
        return None
    blocks, halves = (
        float(((draws[part][0] / new - draws[part][1] / old) ** 2).sum()) if part in draws else 0.0
        for part in ("blocks", "halves")
    )
    return math.sqrt(blocks - min(halves, blocks / 2))


def _scaled(measure: str, row: pd.Series[Any]) -> tuple[float, float, float, float]:
    """Return value, low and high where the null's mean is 0 and perfect agreement 1, and what 1 is worth."""
    parsed = parse_measure(measure)
    best, zero = parsed.best, float(row["null_mean"])
    if not parsed.null_kinds:
        zero = best + (1.0 if not parsed.higher_is_better else -1.0)  # without a null: as it is, higher being better
    if not math.isfinite(zero) or (best - zero) * (1 if parsed.higher_is_better else -1) <= 1e-12:
        return math.nan, math.nan, math.nan, math.nan
    value, one, other = ((float(row[column]) - zero) / (best - zero) for column in ("value", "low", "high"))
    return value, min(one, other), max(one, other), best - zero


def _told(
    kind: str, measure: str, changes: list[_Change] | str | None, reach: float, tolerance: float, name: str
) -> Verdict:
    rule = f"no worse than {name}: {kind} by {measure}"
    if changes is None:
        remedy = f"name it in intervals (intervals = [{measure!r}]), or give --tolerance"
        return Verdict(rule, True, f"skip  {rule}: not compared, since it has no intervals: {remedy}")
    if isinstance(changes, str):
        return Verdict(rule, False, f"FAIL  {rule}: {changes}")
    rooms = [(change.now - change.before + change.error * reach + tolerance, change) for change in changes]
    worse = sorted((pair for pair in rooms if pair[0] < 0), key=lambda pair: pair[0])
    room, change = min(rooms, key=lambda pair: pair[0])
    line = f"{change.group} {_shown(change.now)}, was {_shown(change.before)}, may fall to {_shown(change.now - room)}"
    if worse:
        others = f"; {len(worse) - 1} more: {', '.join(change.group for _, change in worse[1:9])}" if worse[1:] else ""
        return Verdict(rule, False, f"FAIL  {rule}: {line}{others}")
    nearest = f" (nearest to worse of {len(changes)})" if len(changes) > 1 else ""
    return Verdict(rule, True, f"pass  {rule}: {line}{nearest}")


# -- all of it


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
        name = str(rules.no_worse_than)
        verdicts += no_worse(result, baseline, tolerance=rules.tolerance, name=name)
    return verdicts


def write_junit(verdicts: Sequence[Verdict], path: Path | str) -> Path:
    """Write verdicts as JUnit XML, one test case a rule."""
    failed = [verdict for verdict in verdicts if not verdict.passed]
    counts = {"tests": str(len(verdicts)), "failures": str(len(failed)), "errors": "0"}
    suites = Xml.Element("testsuites", counts)
    suite = Xml.SubElement(suites, "testsuite", {"name": "babelscope check", **counts, "skipped": "0"})
    for verdict in verdicts:
        case = Xml.SubElement(suite, "testcase", {"classname": "babelscope.check", "name": _plain(verdict.rule)})
        if not verdict.passed:
            Xml.SubElement(case, "failure", {"message": _plain(verdict.line)}).text = _plain(verdict.line)
        else:
            Xml.SubElement(case, "system-out").text = _plain(verdict.line)
    Xml.indent(suites)
    return write_atomically(
        Path(path), lambda at: Xml.ElementTree(suites).write(at, encoding="utf-8", xml_declaration=True)
    )


#: What XML 1.0 cannot hold, even escaped.
_CONTROL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _plain(text: str) -> str:
    return _CONTROL.sub("\ufffd", text)
