"""How a rule names one number of a result.

::

    METRIC[.KIND][.GROUP][:COLUMN][:CONTROL][@POINT]

``modality_gap``, ``modality_gap.swh``, ``retrieval.speech.swh``,
``linear_cka.modality_similarity.worst@speech.layer.5``, ``svcca(variance=0.9).text:value``. What is left out has one
meaning each, which :class:`Rule` states. Three metrics have tables of their own: ``centroid_distance``, how far apart
the means lie; ``above_baseline``, by how much the model exceeds a baseline; and ``finding``, the effect of a finding,
of which the verdict may be required as well. Names that nobody knows are refused; a rule that finds no number fails.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass

import pandas as pd

from babelscope.check.rules import Bound
from babelscope.errors import UsageError, did_you_mean
from babelscope.gaps.by_class import ALL
from babelscope.gaps.findings import CORRECTED
from babelscope.gaps.naming import by_preference
from babelscope.gaps.old_names import LENGTH_ONLY, current_basis, current_kind
from babelscope.gaps.result import CONTROLS, GAPS, KINDS, Result
from babelscope.languages import language
from babelscope.similarity import MEASURES, parse_measure

#: Short words for kinds, by what a listener of them would ask of.
SHORT_KINDS: dict[str, str] = {
    "speech": "modality_similarity",  # a language's speech against its own text
    "text": "language_similarity_text",  # its text against the texts of the others
}

#: The same for distances.
SHORT_GAPS: dict[str, str] = {"speech": "modality_gap", "text": "language_gap_text"}

COLUMNS = (CORRECTED, "calibrated", "value", "low", "high", "p")

#: Metrics that stand in tables of their own, and the columns that a rule may ask of each, the usual one first.
DISTANCE, FINDING, ABOVE = "centroid_distance", "finding", "above_baseline"
OF_TABLES: dict[str, tuple[str, ...]] = {
    DISTANCE: ("distance", "low", "high"),
    FINDING: ("effect", "low", "high", "p"),
    ABOVE: ("difference", "low", "high"),
}
MEAN, WORST = "mean", "worst"

#: Of all baselines, the one that comes nearest to the model: with the highest score at a point.
STRONGEST = "strongest"

#: A dot between two names: not one inside of a measure's parameters.
_DOT = re.compile(r"\.(?![^(]*\))")


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


def parse_rule(bound: Bound, text: str, limit: float, result: Result) -> Rule:
    """Read a rule, in the names of a result.

    Raises
    ------
    UsageError
        For a measure, kind, group, column, control or point that is unknown (with what was probably meant), or a
        measure that the result holds with several parameters.
    """
    words = _Words(text, result)
    metric = words.names.pop(0)
    columns, others = OF_TABLES.get(metric, COLUMNS), tuple(CONTROLS)
    kind, measure, group, other = "modality_similarity", "", MEAN, "none"
    points: Iterable[str] = result.curves["point"]
    if metric == ABOVE:
        kind, measure, group = _of_baseline(words)
        others = ()
    elif metric == FINDING:
        table = result.tables.get("findings", pd.DataFrame(columns=["id", "group", "basis"]))
        kind, group = _of_finding(words, table)
        others, other = tuple(dict.fromkeys(map(str, table["basis"]))), CORRECTED
        words.qualifiers = [current_basis(word, words.where) for word in words.qualifiers]
    elif metric == DISTANCE:
        kind = words.take({*GAPS, *SHORT_GAPS}) or "modality_gap"
        kind, group, others = SHORT_GAPS.get(kind, kind), words.group(), ()
        points = result.tables["centroids"]["point"] if "centroids" in result.tables else [words.point]
    elif metric in KINDS or metric in GAPS:
        kind, measure = GAPS.get(metric, metric), words.measure() or _usual(result)
        group = words.group()
    else:
        if metric in SHORT_KINDS or not _is_measure(metric, result):
            known = [*GAPS, *KINDS, *OF_TABLES, *_measures(result), *MEASURES]
            raise words.unknown("metric", metric, dict.fromkeys(known))
        measure = words.spelled(metric)
        if word := words.take({*KINDS, *SHORT_KINDS, *GAPS}):
            kind = current_kind(SHORT_KINDS.get(word, word), words.where)
        group = words.group()
    if words.names:
        raise UsageError(
            f"{words.where}: {words.names[0]!r} is one name too many; write METRIC.KIND.GROUP:COLUMN@POINT"
        )
    column = columns[0]
    for word in words.qualifiers:
        if word in columns:
            column = word
        elif word in others:
            other = word
        elif word == LENGTH_ONLY:
            raise UsageError(
                f"{words.where}: {LENGTH_ONLY!r} is now the baseline 'lengths': write {ABOVE}.lengths, by how much the "
                "model exceeds it"
            )
        else:
            meant = did_you_mean(word, (*columns, *others))
            raise UsageError(f"{words.where}: {metric} has no {word!r} (a column or control); {meant}")
    if words.point and words.point not in set(points):
        raise words.unknown("point", words.point, dict.fromkeys(points))
    return Rule(bound, limit, text, metric, kind, measure, group, column, other, words.point)


class _Words:
    """The words of a rule: names, of which those that are read are taken away, qualifiers, and the point."""

    def __init__(self, text: str, result: Result) -> None:
        head, _, self.point = text.partition("@")
        names, *qualifiers = head.split(":")
        self.where, self.result = f"rule {text!r}", result
        self.names = [name.strip() for name in _DOT.split(names)]
        self.qualifiers = [word.strip() for word in qualifiers]
        if not all(self.names):
            raise UsageError(f"{self.where}: a name is empty; write METRIC.KIND.GROUP:COLUMN@POINT")

    def unknown(self, what: str, name: str, known: Iterable[str]) -> UsageError:
        """Return an error that says what was probably meant."""
        return UsageError(f"{self.where}: there is no {what} {name!r}; {did_you_mean(name, known)}")

    def take(self, known: Container[str]) -> str:
        """Take the next name away and return it if it is one of these; else return an empty text."""
        return self.names.pop(0) if self.names and self.names[0] in known else ""

    def measure(self) -> str:
        """Take a measure away and return it as the result spells it; an empty text if none comes next."""
        return self.spelled(self.names.pop(0)) if self.names and _is_measure(self.names[0], self.result) else ""

    def spelled(self, measure: str) -> str:
        """Return a measure as the result spells it; as it was written where the result has none like it."""
        known = _measures(self.result)
        if measure in known:
            return measure
        written = str(parse_measure(measure))
        if written in known:
            return written
        alike = [name for name in known if name.split("(")[0] == measure]
        if len(alike) > 1:
            raise UsageError(f"{self.where}: the result has {' and '.join(alike)}; name one with its parameters")
        return alike[0] if alike else written

    def group(self) -> str:
        """Take a group away and return it; all that are averaged if none comes next."""
        if not self.names:
            return MEAN
        group = self.names.pop(0)
        known = _groups(self.result)
        for code in () if group in known else group.split("-") if group.count("-") == 1 else (group,):
            try:
                language(code)
            except UsageError:
                raise self.unknown("kind, language or group", group, known) from None
        return group


def _of_baseline(words: _Words) -> tuple[str, str, str]:
    """Return kind, measure and baseline of a rule on a baseline."""
    table = words.result.tables.get("against_baselines")
    known = [STRONGEST, *(() if table is None else dict.fromkeys(map(str, table["baseline"])))]
    rest = ".".join(words.names)
    # Labels of models may have dots in them.
    named = [name for name in known if rest == name or rest.startswith(f"{name}.")]
    baseline = max(named, key=len, default=STRONGEST)
    if named:
        words.names = [word for word in _DOT.split(rest[len(baseline) + 1 :]) if word]
    kind = words.take({*KINDS, *SHORT_KINDS}) or "modality_similarity"
    measure = words.measure() or _usual(words.result)
    if words.names and baseline == STRONGEST and len(known) > 1:
        options = [*known, *KINDS, *SHORT_KINDS, *_measures(words.result)]
        raise words.unknown("baseline, kind or measure", words.names[0], options)
    return SHORT_KINDS.get(kind, kind), measure, baseline


def _of_finding(words: _Words, table: pd.DataFrame) -> tuple[str, str]:
    """Return id and group of a rule on a finding."""
    known = list(dict.fromkeys(map(str, table["id"])))
    if not words.names:
        example = known[0] if known else "convergence"
        raise UsageError(f"{words.where}: say which finding, such as {FINDING}.{example}")
    finding, group = words.names.pop(0), ALL
    if finding not in known:
        raise words.unknown("finding", finding, known)
    if words.names:
        group = words.names.pop(0)
        groups = list(dict.fromkeys(map(str, table.loc[table["id"] == finding, "group"])))
        if group not in groups:
            raise UsageError(f"{words.where}: {finding} has no group {group!r}; {did_you_mean(group, groups)}")
    if words.point:
        raise UsageError(f"{words.where}: a finding is about all points; leave out @{words.point}")
    return finding, group


def _measures(result: Result) -> list[str]:
    return [str(name) for name in dict.fromkeys(result.curves["measure"])]


def _is_measure(word: str, result: Result) -> bool:
    return word.split("(")[0] in MEASURES or word in _measures(result)


def _usual(result: Result) -> str:
    return next(iter(by_preference(_measures(result))), "")


def _groups(result: Result) -> list[str]:
    """Return what may be meant by a group."""
    languages = (str(code) for column in ("language_a", "language_b") for code in result.scores.get(column, ()))
    classes = map(str, result.tables["by_class"]["group"]) if "by_class" in result.tables else ()
    pairs = map(str, result.curves["group"])
    return list(dict.fromkeys([MEAN, WORST, *languages, *classes, *pairs, *KINDS, *GAPS, *SHORT_KINDS]))
