"""In which languages the speech is less similar to its text than in the others, and at which stage that arises.

Each language is compared with the mean of the others, so that none is chosen for its score. What is tested first is its
*deficit from a stage on*: how much lower it is on average over that stage and all later ones. Points that are averaged
have less noise than a single one, so that this finds more than the output alone does. Only in languages where such a
deficit is found is it asked where it arises: at the latest in a stage up to which the language is lower already, at the
earliest behind a stage that it is lower after than at. All languages and stages are tested together
(:mod:`babelscope.gaps.simultaneous`). There is no diagnosis where speech and text are nowhere more similar than chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from babelscope.capture.store import Activations
from babelscope.corpora.words import count_words
from babelscope.gaps.above_chance import above_chance
from babelscope.gaps.by_class import resource_classes
from babelscope.gaps.contrasts import Scored, Term
from babelscope.gaps.findings import CORRECTED, FEWEST_SENTENCES, Part, at_stop, evidence, leading
from babelscope.gaps.result import table_of
from babelscope.gaps.simultaneous import simultaneous
from babelscope.gaps.speech_path import PathPoint, by_stage, ends, speech_path
from babelscope.languages import known_language
from babelscope.similarity.arrays import FloatArray, IntArray
from babelscope.stages import Stage

#: What there is to look at, stage by stage. It names the component, and promises nothing.
_PLACES: dict[str, str] = {
    Stage.FRONT_END: "the input: its recordings and their features, before the first layer of the encoder",
    Stage.ENCODER: "the speech encoder",
    Stage.LENGTH_ADAPTATION: "the length adaptation",
    Stage.SHARED: "the layers that speech and text share",
    Stage.POOLED: "the pooling at the output",
}

#: The probability that any of the intervals misses, and that any of the further tests of where a deficit arises does.
#: Only deficits are said, so that half of it can be false: 1 % and, where languages do differ, 1 % more. With 2.5 % of
#: the findings and 0.5 % of the points (:mod:`babelscope.gaps.most_similar`) a report stays at 5 %.
LEVEL = 0.02

_SIDES = ("language_a", "language_b")


@dataclass(frozen=True)
class _Difference:
    """How much lower one language is than the mean of the others, with its simultaneous interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class _Differences:
    """What is tested of all languages together, by language.

    At the last point; by stage how much less is gained over it (losses), and how much lower on average from it on
    (deficits); the deficits shrunk towards 0 by how much the languages differ beyond the noise of their sentences; and
    the smallest difference at the output that would be found with 80 % probability.
    """

    at_output: dict[str, _Difference]
    losses: dict[str, list[_Difference]]
    deficits: dict[str, list[_Difference]]
    shrunk: dict[str, list[float]]
    detectable: float


def diagnosis(activations: Activations, scored: Mapping[str, Scored], scores: pd.DataFrame) -> pd.DataFrame:
    """Say in which languages, and at which stage, speech is less similar to its text than in the others.

    Parameters
    ----------
    activations : Activations
    scored : mapping of measure to Scored
        Of the uncontrolled scores.
    scores : DataFrame
        All scores.

    Returns
    -------
    DataFrame
        Columns as in :data:`babelscope.gaps.result.TABLE_COLUMNS`, one row a language and stage; empty without speech
        and text, a measure with a null, or a second language. Intervals hold for other sentences, and for all languages
        and stages together with 98 % probability.
    """
    measure, path = leading(scored), speech_path(activations, scores)
    stops, languages = ends(path), activations.languages
    if measure is None or not stops or len(languages) < 2:
        return table_of("diagnosis")
    corrected = scored[measure].corrected
    at = {(code, stop.point): _row(corrected, stop, code) for code in languages for stop in path}
    if not np.isfinite(corrected.values[np.concatenate(list(at.values()))]).all():
        return table_of("diagnosis")
    last, n = stops[-1], len(activations.sentences)
    reached = {code: float(corrected.values[at[code, last.point]].mean()) for code in languages}
    order = sorted(languages, key=lambda code: -reached[code])
    classes = resource_classes(languages)
    compared = Compared(corrected, at, stops, by_stage(path), languages)
    differences = compared.differences()
    why = _untested(n, scored[measure], scores)
    lower = (
        [] if why else [code for code in languages if any(deficit.low > 0 for deficit in differences.deficits[code])]
    )
    located = compared.located(lower)
    rows: list[dict[str, Any]] = []
    for code in languages:
        worst = _only_stage(*located[code], len(stops)) if code in located else None
        output_deficit = differences.at_output[code]
        advice = why or _advice(code, stops, differences, located.get(code), n, len(languages))
        texts = _texts_reached(corrected, code, last.against)
        for index, stop in enumerate(stops):
            loss, deficit = differences.losses[code][index], differences.deficits[code][index]
            advised = index == (worst if worst is not None else len(stops) - 1)
            rows.append(
                {
                    "language": code,
                    "resource_class": classes[code],
                    "measure": measure,
                    "stage": stop.stage,
                    "point": stop.point,
                    "similarity": float(corrected.values[at[code, stop.point]].mean()),
                    "text_similarity": texts,
                    "loss": loss.value,
                    "low": loss.low,
                    "high": loss.high,
                    "worst": index == worst,
                    "rank": order.index(code) + 1,
                    "output_deficit": output_deficit.value,
                    "output_deficit_low": output_deficit.low,
                    "output_deficit_high": output_deficit.high,
                    "deficit": deficit.value,
                    "deficit_low": deficit.low,
                    "deficit_high": deficit.high,
                    "deficit_shrunk": differences.shrunk[code][index],
                    "detectable": differences.detectable,
                    "advice": advice if advised else "",
                    "evidence": evidence(_loss_of(stops, index, code, languages), corrected, CORRECTED),
                }
            )
    return table_of("diagnosis", rows)


def _row(one: Scored, stop: PathPoint, code: str) -> IntArray:
    return one.where(**at_stop(stop, language_a=code))


class Compared:
    """Each language compared with the mean of the others, at the ends of stages and on average over them."""

    def __init__(
        self,
        one: Scored,
        at: Mapping[tuple[str, str], IntArray],
        ends: Sequence[PathPoint],
        stages: Sequence[Sequence[PathPoint]],
        languages: Sequence[str],
    ) -> None:
        self.one, self.at, self.ends, self.stages, self.languages = one, at, ends, stages, languages

    def lower(self, code: str, stops: Sequence[PathPoint], weight: float) -> list[Term]:
        """Return how much lower a language is than the others on average over points, times a weight."""
        own = np.concatenate([self.at[code, stop.point] for stop in stops])
        others = np.concatenate(
            [self.at[other, stop.point] for stop in stops for other in self.languages if other != code]
        )
        return [(weight, others), (-weight, own)]

    def _over(self, code: str, first: int, last: int, weight: float = 1.0) -> list[Term]:
        """Return the same on average over stages, each of which counts as much whatever its points."""
        stages = self.stages[first : last + 1]
        return [term for stops in stages for term in self.lower(code, stops, weight / len(stages))]

    def differences(self) -> _Differences:
        """Return deficits and losses; the first stage begins at chance, 0."""
        count, size = len(self.languages), len(self.ends)
        contrasts = [self.lower(code, self.ends[-1:], 1.0) for code in self.languages]
        for code in self.languages:
            for index in range(size):
                earlier = self.lower(code, self.ends[index - 1 : index], -1.0) if index else []
                contrasts.append([*self.lower(code, self.ends[index : index + 1], 1.0), *earlier])
        contrasts += [self._over(code, index, size - 1) for code in self.languages for index in range(size)]
        together = simultaneous(self.one, contrasts)
        every = [
            _Difference(*map(float, ends)) for ends in zip(together.values, *together.intervals(LEVEL), strict=True)
        ]
        split = {
            code: slice(count + number * size, count + (number + 1) * size)
            for number, code in enumerate(self.languages)
        }
        later = count * size
        shrunk = _shrunk(
            together.values[count + later :].reshape(count, size), together.errors[count + later :].reshape(count, size)
        )
        return _Differences(
            dict(zip(self.languages, every, strict=False)),
            {code: every[rows] for code, rows in split.items()},
            {code: every[rows.start + later : rows.stop + later] for code, rows in split.items()},
            {code: row.tolist() for code, row in zip(self.languages, shrunk, strict=True)},
            together.detectable(together.errors[:count], LEVEL),
        )

    def located(self, languages: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return the first and the last stage at which the deficit of each language can arise.

        A language that is lower on average over any stages up to one has lost something there or before: the last. One
        that is lower on average over all later stages than at the end of one has lost something behind it: the first.
        Where it has lost something at two places, the first may come after the last.
        """
        size = len(self.ends)
        if not languages or size < 2:
            return dict.fromkeys(languages, (0, size - 1))
        ranges = [(first, last) for last in range(size - 1) for first in range(last + 1)]
        contrasts = [
            terms
            for code in languages
            for terms in (
                *(self._over(code, *between) for between in ranges),
                *(
                    [*self._over(code, index + 1, size - 1), *self.lower(code, self.ends[index : index + 1], -1.0)]
                    for index in range(size - 1)
                ),
            )
        ]
        lows, _ = simultaneous(self.one, contrasts).intervals(LEVEL)
        located = {}
        for code, low in zip(languages, lows.reshape(len(languages), -1), strict=True):
            already = [last for (_, last), least in zip(ranges, low, strict=False) if least > 0]
            further = np.flatnonzero(low[len(ranges) :] > 0)
            located[code] = (int(further.max(initial=-1)) + 1, min(already, default=size - 1))
        return located


def _shrunk(values: FloatArray, errors: FloatArray) -> FloatArray:
    """Return differences (languages, stages), shrunk towards 0 as empirical Bayes does.

    Each is multiplied by v / (v + error^2), v being by how much the languages vary at that stage beyond their errors:
    the mean square of the differences less that of the errors, or 0 (Efron & Morris 1975). The largest of many is
    overestimated; shrunk it is not, on average over the languages.
    """
    squares = np.where(np.isfinite(errors), errors, 0.0) ** 2
    between = np.maximum((values**2).mean(0) - squares.mean(0), 0.0)
    total = between + squares
    return np.asarray(values * np.where(total > 0, between / np.where(total > 0, total, 1.0), 1.0))


#: How the advice begins where no language is compared with others.
UNCOMPARED = "Languages are not compared"


def uncompared(table: pd.DataFrame) -> str:
    """Return why a stored diagnosis compares no languages, in its words; empty if it does.

    Its numbers stand there all the same; nothing may be said of them.
    """
    return next((text for text in table["advice"].astype(str) if text.startswith(UNCOMPARED)), "")


def _untested(n: int, one: Scored, scores: pd.DataFrame) -> str:
    """Return why languages are not compared, if they are not."""
    if n < FEWEST_SENTENCES:
        return f"{UNCOMPARED}: {n} sentences are too few, {FEWEST_SENTENCES} or more are needed."
    if one.deviations.freedom < 1:
        return f"{UNCOMPARED}, since there is no interval: ask for one by name (intervals = [{one.measure!r}])."
    if not above_chance(scores, one.measure)["above"].any():
        return (
            f"{UNCOMPARED}: with n = {n} sentences, speech and text are in no language and at no point "
            "more similar than unrelated sentences."
        )
    return ""


def _advice(
    code: str,
    stops: Sequence[PathPoint],
    differences: _Differences,
    located: tuple[int, int] | None,
    n: int,
    languages: int,
) -> str:
    """Say in words what the numbers of a language say, and no more than was tested."""
    point = stops[-1].point
    if located is None:
        return (
            f"With n = {n} sentences and {languages} languages tested together, the similarity of speech and text is "
            f"not found to be lower than the mean of the other languages; at {point} a deficit of "
            f"{differences.detectable:.2f} would be found with 80 % probability."
        )
    deficits = differences.deficits[code]
    # The one that stands out most from its interval's width.
    index = max(range(len(stops)), key=lambda at: deficits[at].low / max(deficits[at].high - deficits[at].low, 1e-12))
    where = (
        f"At the {stops[index].stage} stage" if index + 1 == len(stops) else f"From the {stops[index].stage} stage on"
    )
    summary = (
        f"{where}, the similarity of speech and text in {code} is lower than the mean of the other languages by "
        f"{deficits[index]}; shrunk over the languages, since the largest of many is overestimated, by "
        f"{differences.shrunk[code][index]:.2f}. At {point} it is lower by {differences.at_output[code]}."
    )
    first, last = located
    names = [stop.stage for stop in stops]
    if first == last:
        losses = [
            f"{name} {loss.value:.2f}"
            for at, (name, loss) in enumerate(zip(names, differences.losses[code], strict=True))
            if at != first
        ]
        compare = f" (loss there {differences.losses[code][first]}; {', '.join(losses)})" if losses else ""
        return (
            f"{summary} The deficit arises at the {names[first]} stage{compare}: look first at "
            f"{place_of(names[first])}."
        )
    if first > last:
        further = f"at the {names[first]} stage" if first + 1 == len(stops) else f"behind the {names[first - 1]} stage"
        return (
            f"{summary} It is there by the end of the {names[last]} stage, and grows further {further}: two places to "
            "look at."
        )
    if (first, last) == (0, len(stops) - 1):
        return f"{summary} At which stage it arises cannot be determined with n = {n} sentences."
    return (
        f"{summary} It arises between the {names[first]} and the {names[last]} stage, both included; with n = {n} "
        "sentences these cannot be distinguished."
    )


def _only_stage(first: int, last: int, stages: int) -> int | None:
    """Return the only stage at which a deficit (or what is lost of it last, or first) can arise, if there is one."""
    if first == last or first + 1 == stages:
        return first
    return 0 if last == 0 else None


def place_of(stage: str) -> str:
    """Return what there is to look at in a stage; its name where nothing more is known."""
    return _PLACES.get(stage, stage)


def _texts_reached(one: Scored, code: str, point: str) -> float:
    """Return how similar a language's texts and those of the others are at a point, on average; NaN if not known."""
    sides = [one.where(kind="language_similarity_text", point_a=point, **{side: code}) for side in _SIDES]
    return float(one.values[rows].mean()) if len(rows := np.union1d(*sides)) else float("nan")


def _loss_of(stops: Sequence[PathPoint], index: int, code: str, languages: Sequence[str]) -> list[Part]:
    """Return the averages that a loss is made of: the others' before the language's own."""
    others = [other for other in languages if other != code]
    return [
        Part(sign * (1.0 if place == index else -1.0), at_stop(stops[place], language_a=whose))
        for place in range(max(index - 1, 0), index + 1)
        for whose, sign in ((others, 1.0), (code, -1.0))
    ]


def languages_table(activations: Activations, scored: Mapping[str, Scored], scores: pd.DataFrame) -> pd.DataFrame:
    """Give each language its names, lengths, and the point where its speech and text are most similar.

    Parameters
    ----------
    activations : Activations
    scored : mapping of measure to Scored
        Of the uncontrolled scores.
    scores : DataFrame
        All scores.

    Returns
    -------
    DataFrame
        Columns as in :data:`babelscope.gaps.result.TABLE_COLUMNS`, one row a language. The interval is the score's own,
        for other sentences. ``p`` is corrected for all languages and points together, as in the headline
        (:func:`babelscope.gaps.above_chance.above_chance`). ``rank`` is by chance-corrected score, 1 being the most
        similar; that one language is above another is not tested here.
    """
    measure, stops = leading(scored), speech_path(activations, scores)
    rows: list[dict[str, Any]] = []
    tested = above_chance(scores, measure) if measure is not None else None
    for code in activations.languages:
        known = known_language(code)
        row: dict[str, Any] = {
            "language": code,
            "name": known.name if known else "",
            "script": known.script if known else "",
            "family": known.family if known else "",
            "resource_class": known.resource if known else "",
            **_lengths(activations, code),
        }
        if measure is not None and tested is not None and stops:
            row |= _most_similar(scored[measure], stops, code, tested)
        rows.append(row)
    table = table_of("languages", rows)
    if any("chance_corrected" in row for row in rows):
        table["rank"] = table["chance_corrected"].rank(ascending=False, method="min").astype("Int64")
    return table


def _most_similar(one: Scored, stops: Sequence[PathPoint], code: str, tested: pd.DataFrame) -> dict[str, Any]:
    corrected = one.corrected.values
    rows = [(stop, own) for stop in stops if len(own := _row(one, stop, code)) and np.isfinite(corrected[own[0]])]
    if not rows:
        return {}
    stop, own = max(rows, key=lambda item: corrected[item[1][0]])
    low, high = one.interval_of_average(own, other_languages=False)
    row = one.rows.iloc[own[0]]
    p = tested.loc[(tested["point_a"] == stop.point) & (tested["language_a"] == code), "p_adjusted"]
    return {
        "point": stop.point,
        "measure": one.measure,
        "value": float(row["value"]),
        "chance_corrected": float(row["chance_corrected"]),
        "ceiling": float(row["ceiling"]),
        "low": low,
        "high": high,
        "p": float(p.iloc[0]),
    }


def _lengths(activations: Activations, code: str) -> dict[str, float]:
    nothing = float("nan")
    lengths = {"tokens_per_word": nothing, "tokens_median": nothing, "seconds_median": nothing}
    if "text" in activations.modalities:
        tokens = activations.lengths("text", code)
        words = sum(map(count_words, activations.texts(code)))
        lengths["tokens_median"] = float(np.median(tokens))
        lengths["tokens_per_word"] = float(tokens.sum()) / words if words else nothing
    if "speech" in activations.modalities:
        lengths["seconds_median"] = float(np.median(activations.lengths("speech", code)))
    return lengths
