"""What a study finds, in two sentences made from its numbers and its tests, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.above_chance import above_chance
from babelscope.gaps.baselines.sentences import strongest_baseline
from babelscope.gaps.findings import CORRECTED, HOLDS
from babelscope.gaps.naming import by_preference, measure_title
from babelscope.gaps.pairing import shown_points
from babelscope.gaps.result import KINDS
from babelscope.gaps.traced import Number, Traced, told, told_count
from babelscope.similarity import parse_measure

Parts = dict[str, Number | str]


def headline(
    curves: pd.DataFrame,
    scores: pd.DataFrame,
    meta: dict[str, Any],
    tables: Mapping[str, pd.DataFrame] | None = None,
) -> list[Traced]:
    """Return one sentence on where speech and text are most similar, and one on languages in text and speech.

    Where is said only if speech and text are somewhere more similar than chance, and only as far as the points differ;
    a direction between text and speech only where the finding ``speech_spread`` holds. The index labels of curves and
    scores are row numbers. What ``most_similar``, ``findings`` and ``against_baselines`` test is not said without them.
    """
    tables = tables or {}
    means = curves[curves["group"] == "mean"]
    plain, less = means[means["control"] == "none"], means[means["control"] == "length_regressed"]
    sentences = [
        _modalities(plain, less, scores, tables.get("most_similar"), tables.get("against_baselines")),
        _languages(plain, tables.get("findings"), tables.get("against_baselines")),
    ]
    return [sentence for sentence in sentences if sentence]


def _modalities(
    plain: pd.DataFrame,
    less: pd.DataFrame,
    scores: pd.DataFrame,
    compared: pd.DataFrame | None,
    baselines: pd.DataFrame | None,
) -> Traced | None:
    rows = plain[plain["kind"] == "modality_similarity"]
    if rows.empty:
        return None
    tested = None if compared is None or compared.empty else compared
    measure = _leading(scores) if tested is None else str(tested["measure"].iloc[0])
    name, each = measure_title(measure), above_chance(scores, measure)
    shown = shown_points(scores)
    rows = rows[(rows["measure"] == measure) & (rows["point"].map(shown) == rows["against"])]
    points, languages = len(rows), each["language_a"].nunique()
    if not each["above"].any():
        return Traced(
            "Speech and text of the same sentences are not found to be more similar than unrelated sentences: "
            f"{{measure}} is above chance at none of {points} {_plural('point', points)}, in none of {languages} "
            f"{_plural('language', languages)} (Holm-corrected p ≥ .05, n = {{n}} sentences).",
            measure=name, n=told("curves", rows.iloc[0], "n", 0),
        )  # fmt: skip
    best = rows.iloc[int(np.nanargmax(rows["chance_corrected"].to_numpy(dtype=float)))]
    if tested is not None:
        point = tested.loc[tested["best"].astype(bool), "point"].iloc[0]
        best = rows[rows["point"] == point].iloc[0]
    here = each[each["point_a"] == best["point"]]
    where, parts = _where(tested, points)
    same = less[(less["kind"] == "modality_similarity") & (less["measure"] == measure)]
    same = same[(same["point"] == best["point"]) & (same["against"] == best["against"])]
    against = "" if best["against"] == best["point"] else " (text: {against})"
    baseline, numbers = strongest_baseline(baselines, best)
    parts |= numbers
    without = ""
    if len(same):
        without = " With length regressed out the model gives {without}."
        parts["without"] = told("curves", same.iloc[0], "value")
    ceiling = ""
    if np.isfinite(float(best["ceiling"])):
        ceiling = ", of a ceiling of {ceiling} that two readers of a sentence allow"
        parts["ceiling"] = told("curves", best, "ceiling")
    return Traced(
        where + against + ", {stage}, depth {depth}: {measure} {value}" + _interval(tested, parts, points) + ceiling
        + f". {baseline}{without} Above chance in {{above}} of {{each}} "
        + _plural("language", len(here)) + f" (Holm-corrected over {_plural('language', languages)} and points, "
        "n = {n} sentences).",
        point=str(best["point"]), against=str(best["against"]), stage=str(best["stage"]),
        depth=told("curves", best, "depth"), measure=name, value=told("curves", best, "value"),
        n=told("curves", best, "n", 0),
        above=told_count("scores", here[here["above"]]), each=told_count("scores", here), **parts,
    )  # fmt: skip


def _where(tested: pd.DataFrame | None, points: int) -> tuple[str, Parts]:
    """Return how the best point is named: as the best, as one of several, or as the highest and no more."""
    if points == 1:
        return "Speech and text were compared at {point}", {}
    if tested is None or tested["candidate"].isna().any():
        return "The similarity of speech and text is highest (not tested against other points) at {point}", {}
    candidate = tested["candidate"].astype(bool).to_numpy()
    parts: Parts = {"candidates": told_count("most_similar", tested[candidate]), "points": str(points)}
    if candidate.sum() == 1:
        return "Speech and text are most similar at {point}", {}
    if candidate.all():
        return (
            "Speech and text are similar, but no point is found to be lower than another ({points} points); the "
            "highest is {point}"
        ), parts
    among = tested[candidate]
    parts |= {"first": str(among["point"].iloc[0]), "last": str(among["point"].iloc[-1])}
    inside = np.flatnonzero(candidate)
    joint = "from {first} to {last}" if np.ptp(inside) + 1 == len(inside) else "between {first} and {last}"
    return (
        "Speech and text are most similar "
        + joint
        + " ({candidates} of {points} points that cannot be distinguished); "
        "the highest is {point}"
    ), parts


def _interval(tested: pd.DataFrame | None, parts: Parts, points: int) -> str:
    """Return the interval of the best point's value, which knows of the choice, and add its numbers."""
    if tested is None:
        return ""
    best = tested[tested["best"].astype(bool)].iloc[0]
    if not np.isfinite(float(best["low"])):
        return ""
    parts |= {name: told("most_similar", best, name) for name in ("low", "high")}
    return " ({low} to {high}" + (", simultaneous over points)" if points > 1 else ")")


def _leading(scores: pd.DataFrame) -> str:
    """Return the measure that leads by its class, not by its scores; one between two spaces before one within one."""
    rows = scores[(scores["kind"] == "modality_similarity") & (scores["control"] == "none")]
    names = by_preference(dict.fromkeys(rows["measure"].astype(str)))
    return next((name for name in names if not parse_measure(name).same_space), names[0])


def _languages(plain: pd.DataFrame, findings: pd.DataFrame | None, baselines: pd.DataFrame | None) -> Traced | None:
    rows = plain[plain["kind"].isin(["language_similarity_text", "language_similarity_speech"])]
    if rows.empty:
        return None
    measures = by_preference(dict.fromkeys(rows["measure"].astype(str)))
    measure = next((name for name in measures if name.startswith("retrieval")), measures[0])
    rows = rows[rows["measure"] == measure]
    ends = {
        kind: kind_rows.iloc[int(kind_rows["depth"].to_numpy().argmax())]
        for kind, kind_rows in rows.groupby("kind", sort=False)
    }
    name = measure_title(measure)
    if len(ends) < 2:
        kind, end = next(iter(ends.items()))
        count = int(end["groups"])
        baseline, parts = strongest_baseline(baselines, end)
        return Traced(
            f"{KINDS[str(kind)]}, at the output ({{point}}): {{measure}} {{value}} on average over {{groups}} "
            f"{_plural('pair', count)}. {baseline}",
            point=str(end["point"]), measure=name, value=told("curves", end, "value"),
            groups=told("curves", end, "groups", 0), **parts,
        )  # fmt: skip
    text, speech = ends["language_similarity_text"], ends["language_similarity_speech"]
    direction, parts = _direction(findings)
    count = int(text["groups"])
    in_text, numbers = strongest_baseline(baselines, text, "text")
    in_speech, more = strongest_baseline(baselines, speech, "speech")
    parts |= numbers | more
    return Traced(
        direction + " At the two outputs {measure} is {text} in text ({a}) and {speech} in speech ({b}) on average "
        f"over {{groups}} {_plural('pair', count)} of languages. " + f"{in_text} {in_speech}",
        measure=name, text=told("curves", text, "value"), a=str(text["point"]), speech=told("curves", speech, "value"),
        b=str(speech["point"]), groups=told("curves", text, "groups", 0), **parts,
    )  # fmt: skip


def _direction(findings: pd.DataFrame | None) -> tuple[str, Parts]:
    """Return what the test of text against speech says, with its numbers."""
    nothing = "Whether languages are more similar in text or in speech was not tested."
    if findings is None:
        return nothing, {}
    rows = findings[(findings["id"] == "speech_spread") & (findings["group"] == "all")]
    rows = rows[rows["basis"] == CORRECTED]
    if rows.empty:
        return nothing, {}
    row = rows.iloc[0]
    parts: Parts = {"effect": told("findings", row, "effect"), "score": measure_title(str(row["measure"]))}
    over = " (speech over its noise ceiling)" if '"ceiling"' in str(row["caveats"]) else ""
    difference = "chance-corrected {score}, text less speech" + over + ": {effect}"
    if np.isfinite(float(row["low"])):
        parts |= {name: told("findings", row, name) for name in ("low", "high")}
        difference += ", 95 % {low} to {high}"
    if row["verdict"] == HOLDS:
        return f"Languages are more similar in text than in speech ({difference}).", parts
    if '"voices"' in str(row["caveats"]):
        return (
            "Whether languages are more similar in text than in speech cannot be determined, since voices differ "
            f"too and it is not known by how much: too few sentences have recordings by two readers ({difference})."
        ), parts
    parts["sentences"] = told("findings", row, "n", 0)
    return (
        "No difference is found between text and speech in how similar languages are (n = {sentences} sentences; "
        f"{difference})."
    ), parts


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
