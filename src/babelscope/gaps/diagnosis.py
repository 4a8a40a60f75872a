"""For whom the gap stays open, and at which stage: each language against the one whose speech ends nearest its text.

A stage's *loss* for a language is how much less likeness to its text the language's speech gains over that stage than
the best language's does. The losses of all stages sum to what the language stays behind at the end, and another
language shows that they can be avoided in this model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from babelscope.capture.store import Activations
from babelscope.corpora.words import count_words
from babelscope.errors import UsageError
from babelscope.gaps.by_class import resource_classes
from babelscope.gaps.contrasts import Contrast, IntArray, Scored
from babelscope.gaps.findings import CORRECTED, FEWEST_SENTENCES, leading
from babelscope.gaps.result import TABLE_COLUMNS
from babelscope.gaps.stages import Stop, ends, way
from babelscope.languages import Language, language
from babelscope.stages import Stage

#: What there is to look at, stage by stage. It names the part, and promises nothing.
_PLACES: dict[str, str] = {
    Stage.FRONT_END: "what goes in: its recordings and their features, before the first layer of the encoder",
    Stage.ENCODER: "the speech encoder",
    Stage.LENGTH_ADAPTATION: "the length adaptation",
    Stage.SHARED: "the layers that speech and text share",
    Stage.POOLED: "the pooling at the output",
}

_SIDES = ("language_a", "language_b")


def diagnosis(activations: Activations, scored: Mapping[str, Scored], scores: pd.DataFrame) -> pd.DataFrame:
    """Say at which stage each language's speech falls behind.

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
        and text, a measure with a null, or a second language. Intervals hold for other sentences. ``worst`` needs a
        loss above 0 at a level of .05 over all languages and stages together (Bonferroni).
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
    reached = {code: float(one.values[at[code, stops[-1].point]].mean()) for code in languages}
    texts = {code: _texts_reached(one, code, stops[-1].against) for code in languages}
    order = sorted(languages, key=lambda code: -reached[code])
    best = order[0]
    classes = resource_classes(languages)
    level = 0.05 / (len(stops) * (len(languages) - 1))
    n = len(activations.sentences)
    rows: list[dict[str, Any]] = []
    for code in languages:
        losses = [_loss(one, at, stops, index, best, code) for index in range(len(stops))]
        shown = [
            index for index, loss in enumerate(losses) if n >= FEWEST_SENTENCES and code != best and _above(loss, level)
        ]
        worst = max(shown, key=lambda index: losses[index].value, default=None)
        behind = one.contrast(
            [(1.0, at[best, stops[-1].point]), (-1.0, at[code, stops[-1].point])], other_languages=False
        )
        for index, (stop, loss) in enumerate(zip(stops, losses, strict=True)):
            low, high = loss.interval() if code != best else (0.0, 0.0)
            told = index == (worst if worst is not None else len(stops) - 1)
            rows.append(
                {
                    "language": code,
                    "resource_class": classes[code],
                    "measure": measure,
                    "stage": stop.stage,
                    "point": stop.point,
                    "reached": float(one.values[at[code, stop.point]].mean()),
                    "texts_reached": texts[code],
                    "loss": loss.value,
                    "low": low,
                    "high": high,
                    "worst": index == worst,
                    "rank": order.index(code) + 1,
                    "behind": behind.value,
                    **dict(
                        zip(
                            ("behind_low", "behind_high"),
                            behind.interval() if code != best else (0.0, 0.0),
                            strict=True,
                        )
                    ),
                    "advice": _advice(code, best, worst, stops, losses, behind, level, n, reached[code], texts[code])
                    if told
                    else "",
                    "evidence": json.dumps(_evidence(one, at, stops, index, best, code), ensure_ascii=False),
                }
            )
    return pd.DataFrame(rows, columns=columns)


def _row(one: Scored, stop: Stop, code: str) -> IntArray:
    return one.where(kind="modality_gap", point_a=stop.point, point_b=stop.against, language_a=code)


def _loss(
    one: Scored, at: Mapping[tuple[str, str], IntArray], stops: Sequence[Stop], index: int, best: str, code: str
) -> Contrast:
    """What the best language gains over a stage, less what this one gains; the first stage begins at chance, 0."""
    terms = [(1.0, at[best, stops[index].point]), (-1.0, at[code, stops[index].point])]
    if index:
        earlier = stops[index - 1].point
        terms += [(-1.0, at[best, earlier]), (1.0, at[code, earlier])]
    return one.contrast(terms, other_languages=False)


def _above(contrast: Contrast, level: float) -> bool:
    low, _ = contrast.interval(level)
    return bool(low > 0)


def _advice(
    code: str,
    best: str,
    worst: int | None,
    stops: Sequence[Stop],
    losses: Sequence[Contrast],
    behind: Contrast,
    level: float,
    n: int,
    reached: float,
    texts: float,
) -> str:
    """Say in words what the numbers of a language say."""
    last = stops[-1]
    if code == best:
        return _of_best(code, last, reached, texts)
    low, high = behind.interval()
    ending = (
        f"At {last.point} the speech of {code} stays {behind.value:.2f} ({low:.2f} to {high:.2f}) behind that of "
        f"{best} in likeness to its text"
    )
    if worst is None:
        why = f"{n} sentences are too few" if n < FEWEST_SENTENCES else f"with {n} sentences no stage's loss stands out"
        return f"{ending}; at which stage cannot be told: {why}."
    loss, stage = losses[worst], stops[worst].stage
    low, high = loss.interval()
    advice = f"{ending}; the largest loss, {loss.value:.2f} ({low:.2f} to {high:.2f}), falls on the {stage} stage. "
    if not _above(behind, 0.05):
        return advice + "Later stages make up for it, so that little is to be gained there."
    others = [
        f"{stop.stage} {value.value:.2f}"
        for index, (stop, value) in enumerate(zip(stops, losses, strict=True))
        if index != worst
    ]
    compare = f" (the others: {', '.join(others)})" if others else ""
    return advice + f"The place to look first is {_PLACES.get(stage, stage)}{compare}."


def _texts_reached(one: Scored, code: str, point: str) -> float:
    """Return how alike a language's texts and those of the others are at a point, on average; NaN if not known."""
    sides = [one.where(kind="language_gap_text", point_a=point, **{side: code}) for side in _SIDES]
    return float(one.values[rows].mean()) if len(rows := np.union1d(*sides)) else float("nan")


def _of_best(code: str, last: Stop, reached: float, texts: float) -> str:
    """Say how far the best language gets, and how far two texts get at the same point."""
    said = f"The speech of {code} ends nearest its text of all languages here ({reached:.2f} at {last.point}): the "
    said += "others are held against it."
    if np.isfinite(texts):
        said += f" Its texts reach {texts:.2f} with those of other languages at {last.against}."
    return said


def _evidence(
    one: Scored, at: Mapping[tuple[str, str], IntArray], stops: Sequence[Stop], index: int, best: str, code: str
) -> list[dict[str, Any]]:
    found = [
        {
            "table": "scores",
            "where": {
                "kind": "modality_gap",
                "point_a": stop.point,
                "point_b": stop.against,
                "language_a": whose,
                "measure": one.measure,
                "control": "none",
            },
            "column": CORRECTED,
            "of": "mean",
            "rows": 1,
            "value": float(one.values[at[whose, stop.point]].mean()),
        }
        for stop in stops[max(index - 1, 0) : index + 1]
        for whose in dict.fromkeys([best, code])
    ]
    if code == best:
        wheres = [{"kind": "language_gap_text", "point_a": stops[-1].against, side: code} for side in _SIDES]
        total = sum(len(one.where(**where)) for where in wheres)
        found += [
            {
                "table": "scores",
                "where": {**where, "measure": one.measure, "control": "none"},
                "column": CORRECTED,
                "of": "mean",
                "rows": len(rows),
                "weight": len(rows) / total,
                "value": float(one.values[rows].mean()),
            }
            for where in wheres
            if len(rows := one.where(**where)) and np.isfinite(one.values[rows]).all()
        ]
    return found


def languages_table(activations: Activations, scored: Mapping[str, Scored], scores: pd.DataFrame) -> pd.DataFrame:
    """Give each language its names, lengths, and its modality gap where that is narrowest.

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
        for other sentences. ``p`` is that of the best of so many points: the point's own times their number
        (Bonferroni), at most 1. ``rank`` is by chance-corrected score, 1 being the narrowest gap.
    """
    measure, stops = leading(scored), way(activations, scores)
    found: list[dict[str, Any]] = []
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
        if measure is not None and stops:
            row |= _narrowest(scored[measure], stops, code)
        found.append(row)
    table = pd.DataFrame(found, columns=list(TABLE_COLUMNS["languages"]))
    if any("corrected" in row for row in found):
        order = pd.Series([row.get("corrected", np.nan) for row in found]).rank(ascending=False, method="min")
        table["rank"] = order.astype("Int64")
    return table


def _narrowest(one: Scored, stops: Sequence[Stop], code: str) -> dict[str, Any]:
    corrected = one.corrected.values
    rows = [(stop, found) for stop in stops if len(found := _row(one, stop, code)) and np.isfinite(corrected[found[0]])]
    if not rows:
        return {}
    stop, found = max(rows, key=lambda item: corrected[item[1][0]])
    low, high = one.contrast([(1.0, found)], other_languages=False).interval()
    held = one.rows.iloc[found[0]]
    return {
        "point": stop.point,
        "measure": one.measure,
        "value": float(held["value"]),
        "calibrated": float(held["calibrated"]),
        "low": low,
        "high": high,
        "p": min(float(held["p"]) * len(rows), 1.0),
        "corrected": float(corrected[found[0]]),
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
