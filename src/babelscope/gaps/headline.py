"""What a study found, in two sentences made from its numbers and from nothing else."""

from __future__ import annotations

from typing import Any

import pandas as pd

from babelscope.gaps.result import KINDS

#: Measures whose mean carries the headline, best first; a saturated one is passed over.
_PREFERRED = ("linear_cka", "retrieval", "svcca")


def headline(curves: pd.DataFrame, scores: pd.DataFrame, meta: dict[str, Any]) -> list[str]:
    """Return one sentence on where speech and text meet, and one on languages.

    Parameters
    ----------
    curves, scores : DataFrame
    meta : dict
        The result's ``corpus`` and ``options``.

    Returns
    -------
    list of str
        At most two sentences; empty if nothing was compared.
    """
    means = curves[curves["group"] == "mean"]
    plain, less = means[means["control"] == "none"], means[means["control"] == "length_regressed"]
    sentences = [_modalities(plain, less, scores, meta), _languages(plain, meta)]
    return [sentence for sentence in sentences if sentence]


def _best_measure(rows: pd.DataFrame) -> str | None:
    names = list(dict.fromkeys(rows["measure"]))
    for wanted in _PREFERRED:
        for name in names:
            if name.split("(")[0] == wanted and (rows.loc[rows["measure"] == name, "calibrated"] > 0).any():
                return str(name)
    return None


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def _modalities(plain: pd.DataFrame, less: pd.DataFrame, scores: pd.DataFrame, meta: dict[str, Any]) -> str | None:
    rows = plain[plain["kind"] == "modality_gap"]
    if rows.empty:
        return None
    n, languages = int(rows["n"].max()), len(meta["corpus"]["languages"])
    measure = _best_measure(rows)
    if measure is None:
        return (
            "Speech and text of the same sentences are nowhere more alike than unrelated sentences would be, by any "
            f"measure taken ({n} sentences, {languages} {_plural('language', languages)})."
        )
    best = max(_records(rows[rows["measure"] == measure]), key=lambda row: row["calibrated"])
    each = scores[
        (scores["kind"] == "modality_gap")
        & (scores["control"] == "none")
        & (scores["measure"] == measure)
        & (scores["point_a"] == best["point"])
        & (scores["point_b"] == best["against"])
    ]
    above = int((each["p"] < 0.05).sum())
    same = less[(less["kind"] == "modality_gap") & (less["measure"] == measure)]
    same = same[(same["point"] == best["point"]) & (same["against"] == best["against"])]
    without = f" ({_number(float(same['value'].iloc[0]))} without what length explains)" if len(same) else ""
    against = "" if best["against"] == best["point"] else f" against {best['against']}"
    return (
        f"Speech comes nearest to text at {best['point']}{against} ({best['stage']}, depth {best['depth']:.2f}): "
        f"{_name(measure)} {_number(best['value'])}{without} where unrelated sentences give "
        f"{_number(best['null_mean'])} (95 % below {_number(best['null_q95'])}), "
        f"beyond chance in {above} of {len(each)} {_plural('language', len(each))} (p < .05 each, {n} sentences)."
    )


def _languages(plain: pd.DataFrame, meta: dict[str, Any]) -> str | None:
    rows = plain[plain["kind"].isin(["language_gap_text", "language_gap_speech"])]
    if rows.empty:
        return None
    measure = next(
        (name for name in dict.fromkeys(rows["measure"]) if name.startswith("retrieval")), None
    ) or _best_measure(rows)
    if measure is None:
        return "No two languages are more alike than unrelated sentences would be, by any measure taken."
    rows = rows[rows["measure"] == measure]
    ends: dict[str, dict[str, Any]] = {}
    for row in _records(rows):
        if row["kind"] not in ends or row["depth"] > ends[row["kind"]]["depth"]:
            ends[row["kind"]] = row
    if len(ends) < 2:
        kind, end = next(iter(ends.items()))
        return (
            f"{KINDS[kind]}, at the output ({end['point']}): {_name(measure)} {_number(end['value'])} on average "
            f"over {int(end['groups'])} "
            f"{_plural('pair', int(end['groups']))}, where unrelated sentences give {_number(end['null_mean'])}."
        )
    text, speech = ends["language_gap_text"], ends["language_gap_speech"]
    more = (
        "more alike in text than in speech" if text["value"] > speech["value"] else "more alike in speech than in text"
    )
    return (
        f"At the two outputs, languages are {more}: {_name(measure)} {_number(text['value'])} in text "
        f"({text['point']}) and "
        f"{_number(speech['value'])} in speech ({speech['point']}), where unrelated sentences give "
        f"{_number(text['null_mean'])}, on average over "
        f"{int(text['groups'])} {_plural('pair', int(text['groups']))} of languages."
    )


def _name(measure: str) -> str:
    names = {"linear_cka": "linear CKA", "retrieval": "retrieval P@1", "svcca": "SVCCA"}
    return names.get(measure.split("(")[0], measure)


def _number(value: float) -> str:
    shown = f"{value:.2f}"
    return "0.00" if shown == "-0.00" else shown


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
