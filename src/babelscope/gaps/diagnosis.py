"""In which languages the speech is less similar to its text than in the others, and at which stage that arises.

Each language is compared with the mean of the others, so that none is chosen for its score. A stage's *loss* for a
language is how much less similarity it gains over that stage than the others do on average; the losses of all stages
sum to the deficit at the end. All of them are tested together (:mod:`babelscope.gaps.simultaneous`), and nothing is
said where speech and text are nowhere more similar than chance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from babelscope.capture.store import Activations
from babelscope.corpora.words import count_words
from babelscope.errors import UsageError
from babelscope.gaps.above_chance import above_chance
from babelscope.gaps.by_class import resource_classes
from babelscope.gaps.contrasts import IntArray, Scored, Term
from babelscope.gaps.findings import CORRECTED, FEWEST_SENTENCES, leading
from babelscope.gaps.result import TABLE_COLUMNS
from babelscope.gaps.simultaneous import simultaneous
from babelscope.gaps.stages import Stop, ends, way
from babelscope.languages import Language, language
from babelscope.stages import Stage

#: What there is to look at, stage by stage. It names the component, and promises nothing.
_PLACES: dict[str, str] = {
    Stage.FRONT_END: "the input: its recordings and their features, before the first layer of the encoder",
    Stage.ENCODER: "the speech encoder",
    Stage.LENGTH_ADAPTATION: "the length adaptation",
    Stage.SHARED: "the layers that speech and text share",
    Stage.POOLED: "the pooling at the output",
}

#: The probability that any of the intervals misses. Only deficits are said, so that half of it can be false; with 2.5 %
#: of the findings and 0.5 % of the points (:mod:`babelscope.gaps.most_similar`) a report stays below 5 %.
LEVEL = 0.03

_SIDES = ("language_a", "language_b")


@dataclass(frozen=True)
class _Difference:
    """How much lower one language is than the mean of the others, with its simultaneous interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


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
        and stages together with 97 % probability.
    """
    columns = list(TABLE_COLUMNS["diagnosis"])
    measure, stops = leading(scored), ends(way(activations, scores))
    languages = activations.languages
    if measure is None or not stops or len(languages) < 2:
        return pd.DataFrame(columns=columns)
    one = scored[measure].corrected
    at = {(code, stop.point): _row(one, stop, code) for code in languages for stop in stops}
    if not np.isfinite(one.values[np.concatenate(list(at.values()))]).all():
        return pd.DataFrame(columns=columns)
    last, n = stops[-1], len(activations.sentences)
    reached = {code: float(one.values[at[code, last.point]].mean()) for code in languages}
    order = sorted(languages, key=lambda code: -reached[code])
    classes = resource_classes(languages)
    deficits, losses, detectable = _differences(one, at, stops, languages)
    why = _untested(n, scored[measure], scores)
    rows: list[dict[str, Any]] = []
    for code in languages:
        shown = [index for index, loss in enumerate(losses[code]) if not why and loss.low > 0]
        worst = max(shown, key=lambda index: losses[code][index].value, default=None)
        deficit = deficits[code]
        advice = why or _advice(code, worst, stops, losses[code], deficit, detectable, n, len(languages))
        texts = _texts_reached(one, code, last.against)
        for index, (stop, loss) in enumerate(zip(stops, losses[code], strict=True)):
            told = index == (worst if worst is not None else len(stops) - 1)
            rows.append(
                {
                    "language": code,
                    "resource_class": classes[code],
                    "measure": measure,
                    "stage": stop.stage,
                    "point": stop.point,
                    "reached": float(one.values[at[code, stop.point]].mean()),
                    "texts_reached": texts,
                    "loss": loss.value,
                    "low": loss.low,
                    "high": loss.high,
                    "worst": index == worst,
                    "rank": order.index(code) + 1,
                    "behind": deficit.value,
                    "behind_low": deficit.low,
                    "behind_high": deficit.high,
                    "detectable": detectable,
                    "advice": advice if told else "",
                    "evidence": json.dumps(_evidence(one, at, stops, index, code, languages), ensure_ascii=False),
                }
            )
    return pd.DataFrame(rows, columns=columns)


def _row(one: Scored, stop: Stop, code: str) -> IntArray:
    return one.where(kind="modality_similarity", point_a=stop.point, point_b=stop.against, language_a=code)


def _differences(
    one: Scored, at: Mapping[tuple[str, str], IntArray], stops: Sequence[Stop], languages: Sequence[str]
) -> tuple[dict[str, _Difference], dict[str, list[_Difference]], float]:
    """Return each language's deficit at the end, its loss at each stage, and the smallest deficit that would be found.

    The first stage begins at chance, 0.
    """

    def lower(code: str, point: str, sign: float) -> list[Term]:
        others = np.concatenate([at[other, point] for other in languages if other != code])
        return [(sign, others), (-sign, at[code, point])]

    contrasts = [lower(code, stops[-1].point, 1.0) for code in languages]
    for code in languages:
        for index, stop in enumerate(stops):
            earlier = lower(code, stops[index - 1].point, -1.0) if index else []
            contrasts.append([*lower(code, stop.point, 1.0), *earlier])
    together = simultaneous(one, contrasts)
    every = [_Difference(*map(float, ends)) for ends in zip(together.values, *together.intervals(LEVEL), strict=True)]
    count = len(languages)
    losses = {
        code: every[count + number * len(stops) : count + (number + 1) * len(stops)]
        for number, code in enumerate(languages)
    }
    return dict(zip(languages, every, strict=False)), losses, together.detectable(together.errors[:count], LEVEL)


def _untested(n: int, one: Scored, scores: pd.DataFrame) -> str:
    """Return why languages are not compared, if they are not."""
    if n < FEWEST_SENTENCES:
        return f"Languages are not compared: {n} sentences are too few, {FEWEST_SENTENCES} or more are needed."
    if one.deviations.freedom < 1:
        return (
            f"Languages are not compared, since there is no interval: ask for one by name (intervals = "
            f"[{one.measure!r}])."
        )
    if not above_chance(scores, one.measure)["above"].any():
        return (
            f"Languages are not compared: with n = {n} sentences, speech and text are in no language and at no point "
            "more similar than unrelated sentences."
        )
    return ""


def _advice(
    code: str,
    worst: int | None,
    stops: Sequence[Stop],
    losses: Sequence[_Difference],
    deficit: _Difference,
    detectable: float,
    n: int,
    languages: int,
) -> str:
    """Say in words what the numbers of a language say, and no more than was tested."""
    point = stops[-1].point
    if worst is None and not deficit.low > 0:
        return (
            f"With n = {n} sentences and {languages} languages tested together, the similarity of speech and text at "
            f"{point} is not found to be lower than the mean of the other languages; a deficit of {detectable:.2f} "
            "would be found with 80 % probability."
        )
    ending = (
        f"At {point} the similarity of speech and text in {code} is lower than the mean of the other languages by "
        f"{deficit}"
    )
    if worst is None:
        return f"{ending}. At which stage this arises cannot be told: with n = {n} sentences no stage's loss is found."
    stage = stops[worst].stage
    others = [
        f"{stop.stage} {value.value:.2f}"
        for index, (stop, value) in enumerate(zip(stops, losses, strict=True))
        if index != worst
    ]
    compare = f" (other stages: {', '.join(others)})" if others else ""
    if deficit.low > 0:
        place = _PLACES.get(stage, stage)
        return f"{ending}. The largest loss, {losses[worst]}, is at the {stage} stage{compare}: look first at {place}."
    return (
        f"Over the {stage} stage {code} gains less similarity of speech and text than the other languages do on "
        f"average, by {losses[worst]}{compare}; at {point} no deficit is found: {deficit}."
    )


def _texts_reached(one: Scored, code: str, point: str) -> float:
    """Return how similar a language's texts and those of the others are at a point, on average; NaN if not known."""
    sides = [one.where(kind="language_similarity_text", point_a=point, **{side: code}) for side in _SIDES]
    return float(one.values[rows].mean()) if len(rows := np.union1d(*sides)) else float("nan")


def _evidence(
    one: Scored,
    at: Mapping[tuple[str, str], IntArray],
    stops: Sequence[Stop],
    index: int,
    code: str,
    languages: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the scores that a loss is made of, with their weights in it: the others' before the language's own."""
    return [
        {
            "table": "scores",
            "where": {
                "kind": "modality_similarity",
                "point_a": stops[place].point,
                "point_b": stops[place].against,
                "language_a": whose,
                "measure": one.measure,
                "control": "none",
            },
            "column": CORRECTED,
            "of": "mean",
            "rows": len(rows),
            "value": float(one.values[rows].mean()),
            "weight": sign * (1.0 if place == index else -1.0),
        }
        for place in range(max(index - 1, 0), index + 1)
        for whose, sign in (([other for other in languages if other != code], 1.0), (code, -1.0))
        if len(
            rows := np.concatenate(
                [at[one_of, stops[place].point] for one_of in (whose if isinstance(whose, list) else [whose])]
            )
        )
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
    measure, stops = leading(scored), way(activations, scores)
    found: list[dict[str, Any]] = []
    tested = above_chance(scores, measure) if measure is not None else None
    for code in activations.languages:
        known = _known(code)
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
        found.append(row)
    table = pd.DataFrame(found, columns=list(TABLE_COLUMNS["languages"]))
    if any("chance_corrected" in row for row in found):
        order = pd.Series([row.get("chance_corrected", np.nan) for row in found]).rank(ascending=False, method="min")
        table["rank"] = order.astype("Int64")
    return table


def _most_similar(one: Scored, stops: Sequence[Stop], code: str, tested: pd.DataFrame) -> dict[str, Any]:
    corrected = one.corrected.values
    rows = [(stop, found) for stop in stops if len(found := _row(one, stop, code)) and np.isfinite(corrected[found[0]])]
    if not rows:
        return {}
    stop, found = max(rows, key=lambda item: corrected[item[1][0]])
    low, high = one.contrast([(1.0, found)], other_languages=False).interval()
    row = one.rows.iloc[found[0]]
    p = tested.loc[(tested["point_a"] == stop.point) & (tested["language_a"] == code), "p_adjusted"]
    return {
        "point": stop.point,
        "measure": one.measure,
        "value": float(row["value"]),
        "chance_corrected": float(row["chance_corrected"]),
        "low": low,
        "high": high,
        "p": float(p.iloc[0]),
    }


def _known(code: str) -> Language | None:
    try:
        return language(code)
    except UsageError:
        return None


def _lengths(activations: Activations, code: str) -> dict[str, float]:
    nothing = float("nan")
    found = {"tokens_per_word": nothing, "tokens_median": nothing, "seconds_median": nothing}
    if "text" in activations.modalities:
        tokens = activations.lengths("text", code)
        words = sum(map(count_words, activations.texts(code)))
        found["tokens_median"] = float(np.median(tokens))
        found["tokens_per_word"] = float(tokens.sum()) / words if words else nothing
    if "speech" in activations.modalities:
        found["seconds_median"] = float(np.median(activations.lengths("speech", code)))
    return found
