"""What a reader must know first: each caveat appears only where it applies, with the number that makes it apply."""

from __future__ import annotations

from typing import Any

import pandas as pd

from babelscope.gaps.naming import measure_title
from babelscope.gaps.result import KINDS

#: Below this many sentences intervals are wide and subspace measures near saturation.
FEW_SENTENCES = 200


def caveats(scores: pd.DataFrame, meta: dict[str, Any]) -> list[dict[str, str]]:
    """List the caveats that apply to a result.

    Parameters
    ----------
    scores : DataFrame
    meta : dict
        The result's ``model``, ``corpus`` and ``options``.

    Returns
    -------
    list of dict
        Each with ``id``, ``title`` and ``text``.
    """
    found = [
        _few(scores),
        *_saturated(scores),
        _readers(meta),
        _notes("model", "About the model", meta["model"]["notes"]),
        _towers(meta),
        _weights_by_language(meta),
        _length(scores),
        _uncontrolled(scores, meta),
        _notes("corpus", "About the recordings and texts", meta["corpus"].get("notes", [])),
        _many(scores),
    ]
    return [caveat for caveat in found if caveat]


def _few(scores: pd.DataFrame) -> dict[str, str] | None:
    n = (
        int(scores.loc[scores["control"] == "none", "n"].max())
        if (scores["control"] == "none").any()
        else int(scores["n"].max())
    )
    if n >= FEW_SENTENCES:
        return None
    text = (
        f"{n} sentences are few: differences between points or languages that are smaller than the intervals mean "
        f"nothing, and a "
        f"retrieval score moves in steps of {1 / n:.3f}. Conclusions want {FEW_SENTENCES} sentences or more."
    )
    return {"id": "few-sentences", "title": "Few sentences", "text": text}


def _saturated(scores: pd.DataFrame) -> list[dict[str, str]]:
    plain = scores[scores["control"] == "none"]
    told = []
    for measure, rows in plain.groupby("measure", sort=False):
        high = rows[rows["null_mean"] > 0.9]
        if len(high) == 0:
            continue
        text = (
            f"At {len(high)} of {len(rows)} comparisons {measure_title(str(measure))} gives unrelated sentences more "
            f"than 0.90 (up to {high['null_mean'].max():.2f}): "
            "with so few sentences for so many directions a high raw value is no sign of likeness. Read its "
            "calibrated value, or another measure."
        )
        told.append({"id": "saturated", "title": f"{measure_title(str(measure))} is saturated", "text": text})
    return told


def _readers(meta: dict[str, Any]) -> dict[str, str] | None:
    readers: dict[str, list[str]] = meta["corpus"].get("readers", {})
    minutes = meta["corpus"].get("minutes", {})
    if not minutes:
        return None
    alone = [language for language, names in readers.items() if len(names) == 1]
    unknown = [language for language, names in readers.items() if not names]
    if unknown:
        text = (
            f"The corpus does not say who reads {', '.join(unknown)}: what looks like a difference between languages "
            f"in "
            "speech may be one between voices or recordings."
        )
        return {"id": "unknown-readers", "title": "Language and reader cannot be told apart", "text": text}
    if not alone:
        return None
    text = (
        f"One reader speaks each of {', '.join(alone)}: what looks like a difference between languages in speech may "
        f"be one between voices or "
        "recordings."
    )
    return {"id": "one-reader", "title": "Language and reader cannot be told apart", "text": text}


def _notes(name: str, title: str, notes: list[str]) -> dict[str, str] | None:
    return {"id": name, "title": title, "text": " ".join(notes)} if notes else None


def _towers(meta: dict[str, Any]) -> dict[str, str] | None:
    if meta["model"].get("shared") or len(meta["model"]["sides"]) < 2:
        return None
    text = (
        "The two sides share no layer, so there is no common depth. The modality gap holds "
        + meta["options"]["match_text"]
        + "."
    )
    return {"id": "towers", "title": "Two separate towers", "text": text}


def _weights_by_language(meta: dict[str, Any]) -> dict[str, str] | None:
    apart = [side["modality"] for side in meta["model"]["sides"] if side.get("weights_by_language")]
    if not apart:
        return None
    text = (
        f"Each language has weights of its own in {' and '.join(apart)}: a layer of one language is not the same "
        f"layer as that "
        "of another, so that a language gap there is also one between two networks."
    )
    return {"id": "weights-by-language", "title": "Another encoder a language", "text": text}


def _length(scores: pd.DataFrame) -> dict[str, str] | None:
    bare = scores[(scores["control"] == "length_only") & scores["measure"].str.startswith("retrieval")]
    if bare.empty:
        return None
    parts = [
        f"{KINDS[str(kind)].lower()} {rows['value'].mean():.2f} (chance {rows['null_mean'].mean():.2f})"
        for kind, rows in bare.groupby("kind", sort=False)
    ]
    text = (
        f"Retrieval from the length of the utterance alone reaches {'; '.join(parts)}. The control with lengths "
        f"regressed out shows what remains "
        "without it (linearly)."
    )
    return {"id": "length", "title": "Length alone is a clue", "text": text}


def _uncontrolled(scores: pd.DataFrame, meta: dict[str, Any]) -> dict[str, str] | None:
    if "length_regressed" not in meta["options"]["controls"]:
        return None
    plain, less = (len(scores[scores["control"] == control]) for control in ("none", "length_regressed"))
    if less >= plain:
        return None
    text = (
        f"{plain - less} of {plain} scores have no counterpart with lengths regressed out: too few sentences are left "
        "beside the lengths, or no length is known."
    )
    return {"id": "no-length-control", "title": "Length not controlled everywhere", "text": text}


def _many(scores: pd.DataFrame) -> dict[str, str] | None:
    tests = int(scores["p"].notna().sum())
    if tests < 20:
        return None
    text = (
        f"{tests} p-values were computed, each for its own comparison and not corrected for their number: of "
        f"unrelated data one in twenty would fall "
        "below .05."
    )
    return {"id": "many-tests", "title": "Many comparisons", "text": text}
