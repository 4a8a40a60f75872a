"""What a study found, in two sentences made from its numbers and from nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.naming import by_preference, measure_title
from babelscope.gaps.result import KINDS
from babelscope.gaps.traced import Traced, told, told_count


def headline(curves: pd.DataFrame, scores: pd.DataFrame, meta: dict[str, Any]) -> list[Traced]:
    """Return one sentence on where speech and text meet, and one on languages.

    Parameters
    ----------
    curves, scores : DataFrame
        Whose index labels are row numbers.
    meta : dict
        The result's ``corpus`` and ``options``.

    Returns
    -------
    list of Traced
        At most two sentences; empty if nothing was compared.
    """
    means = curves[curves["group"] == "mean"]
    plain, less = means[means["control"] == "none"], means[means["control"] == "length_regressed"]
    sentences = [_modalities(plain, less, scores, meta), _languages(plain, meta)]
    return [sentence for sentence in sentences if sentence]


def _best_measure(rows: pd.DataFrame) -> str | None:
    for name in by_preference(dict.fromkeys(rows["measure"])):
        if (rows.loc[rows["measure"] == name, "calibrated"] > 0).any():  # a saturated one is passed over
            return name
    return None


def _modalities(plain: pd.DataFrame, less: pd.DataFrame, scores: pd.DataFrame, meta: dict[str, Any]) -> Traced | None:
    rows = plain[plain["kind"] == "modality_gap"]
    if rows.empty:
        return None
    n, languages = int(rows["n"].max()), len(meta["corpus"]["languages"])
    measure = _best_measure(rows)
    if measure is None:
        return Traced(
            "Speech and text of the same sentences are nowhere more alike than unrelated sentences would be, by any "
            f"measure taken ({n} sentences, {languages} {_plural('language', languages)})."
        )
    held = rows[rows["measure"] == measure]
    best = held.iloc[int(np.nanargmax(held["calibrated"].to_numpy()))]
    each = scores[
        (scores["kind"] == "modality_gap")
        & (scores["control"] == "none")
        & (scores["measure"] == measure)
        & (scores["point_a"] == best["point"])
        & (scores["point_b"] == best["against"])
    ]
    same = less[(less["kind"] == "modality_gap") & (less["measure"] == measure)]
    same = same[(same["point"] == best["point"]) & (same["against"] == best["against"])]
    without = " ({without} without what length explains)" if len(same) else ""
    against = "" if best["against"] == best["point"] else " against {against}"
    parts = {"without": told("curves", same.iloc[0], "value")} if len(same) else {}
    return Traced(
        "Speech comes nearest to text at {point}" + against + " ({stage}, depth {depth}): {measure} {value}" + without
        + " where unrelated sentences give {null} (95 % below {q95}), beyond chance in {above} of {each} "
        + _plural("language", len(each)) + " (p < .05 each, {n} sentences).",
        point=str(best["point"]), against=str(best["against"]), stage=str(best["stage"]),
        depth=told("curves", best, "depth"), measure=measure_title(measure), value=told("curves", best, "value"),
        n=told("curves", best, "n", 0), null=told("curves", best, "null_mean"), q95=told("curves", best, "null_q95"),
        above=told_count("scores", each[each["p"] < 0.05]), each=told_count("scores", each), **parts,
    )  # fmt: skip


def _languages(plain: pd.DataFrame, meta: dict[str, Any]) -> Traced | None:
    rows = plain[plain["kind"].isin(["language_gap_text", "language_gap_speech"])]
    if rows.empty:
        return None
    measure = next(
        (name for name in dict.fromkeys(rows["measure"]) if name.startswith("retrieval")), None
    ) or _best_measure(rows)
    if measure is None:
        return Traced("No two languages are more alike than unrelated sentences would be, by any measure taken.")
    rows = rows[rows["measure"] == measure]
    ends = {kind: part.iloc[int(part["depth"].to_numpy().argmax())] for kind, part in rows.groupby("kind", sort=False)}
    name = measure_title(measure)
    if len(ends) < 2:
        kind, end = next(iter(ends.items()))
        count = int(end["groups"])
        return Traced(
            f"{KINDS[str(kind)]}, at the output ({{point}}): {{measure}} {{value}} on average over {{groups}} "
            f"{_plural('pair', count)}, where unrelated sentences give {{null}}.",
            point=str(end["point"]), measure=name, value=told("curves", end, "value"),
            groups=told("curves", end, "groups", 0), null=told("curves", end, "null_mean"),
        )  # fmt: skip
    text, speech = ends["language_gap_text"], ends["language_gap_speech"]
    more = (
        "more alike in text than in speech" if text["value"] > speech["value"] else "more alike in speech than in text"
    )
    count = int(text["groups"])
    return Traced(
        f"At the two outputs, languages are {more}: {{measure}} {{text}} in text ({{a}}) and {{speech}} in speech "
        "({b}), where unrelated sentences give {null}, on average over {groups} "
        f"{_plural('pair', count)} of languages.",
        measure=name, text=told("curves", text, "value"), a=str(text["point"]), speech=told("curves", speech, "value"),
        b=str(speech["point"]), null=told("curves", text, "null_mean"), groups=told("curves", text, "groups", 0),
    )  # fmt: skip


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
