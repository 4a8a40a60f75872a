"""The findings as tests: what Lee et al. 2025 (arXiv 2411.17666) found, asked of this model, each with a verdict.

Each finding is a contrast of scores (:mod:`babelscope.gaps.contrasts`), taken on chance-corrected scores and once more
on raw SVCCA, so that a reader sees where the published reading changes. The p-values of all findings on one kind of
scores are corrected together (Holm). The rules of the verdicts are those of :func:`verdict`; docs/gaps.md states both
in formulas.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from babelscope.capture.store import Activations
from babelscope.gaps.by_class import ALL, resource_classes
from babelscope.gaps.contrasts import FEWEST_LANGUAGES, Contrast, Scored, Term
from babelscope.gaps.naming import by_preference, measure_title
from babelscope.gaps.readers import DIVIDES_OUT
from babelscope.gaps.result import table_of
from babelscope.gaps.selecting import matching
from babelscope.gaps.speech_path import PathPoint, after_front_end, around_adaptation, speech_path
from babelscope.languages import RESOURCE_CLASSES
from babelscope.similarity import holm, parse_measure
from babelscope.stages import Stage

HOLDS, HOLDS_NOT, CANNOT_TELL = "holds", "holds not", "cannot tell"

#: The smallest effect that counts: a share of what lies between chance and perfect agreement.
MATTERS = 0.05

#: Fewest sentences for a verdict.
FEWEST_SENTENCES = 20

#: What the findings are of: :func:`babelscope.similarity.chance_corrected` scores of the leading measure and of SVCCA,
#: and SVCCA at face value, as published.
CORRECTED, CORRECTED_SVCCA, RAW_SVCCA = "chance_corrected", "chance_corrected_svcca", "raw_svcca"

#: Findings that compare speech with speech, or with text, across languages: voices that differ would look the same.
VOICES = ("speech_spread", "modality_over_language")

#: The smallest ceiling that scores are divided by.
LEAST_CEILING = 0.1


@dataclass(frozen=True)
class Part:
    """A weighted average over the rows of the scores that a filter keeps."""

    weight: float
    where: Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """A sentence about a model, and the contrast that is above 0 if it is true.

    `effect_of` says what the effect is, in words; ``{score}`` stands for the measure. `strata` are the classes of the
    languages, where the contrast is one of classes.
    """

    id: str
    group: str
    statement: str
    effect_of: str
    parts: Sequence[Part]
    strata: Mapping[str, str] = field(default_factory=dict)


def findings(activations: Activations, scored: Mapping[str, Scored], scores: pd.DataFrame) -> pd.DataFrame:
    """Test every finding that the study allows.

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
        Columns as in :data:`babelscope.gaps.result.TABLE_COLUMNS`. A finding that needs what the study lacks (text or
        speech, two languages, length adaptation, languages of a class) has no row.
    """
    bases = _bases(scored)
    asked = claims(activations, scores)
    # Languages of which sentences were recorded by two readers.
    second = [str(code) for code in scores.loc[scores["kind"] == "reader_similarity", "language_a"].drop_duplicates()]
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for basis, one in bases.items():
        tests = [test for claim in asked if (test := _estimated(claim, basis, one, second)) is not None]
        # What the recordings cannot answer is no test, whatever its p-value.
        p = [np.nan if test.voices else test.contrast.p for test in tests]
        for test, adjusted in zip(tests, holm(p), strict=True):
            rows[test.claim.id, test.claim.group, basis] = _judged(test, float(adjusted), scores, activations)
    order = [(claim.id, claim.group, basis) for claim in asked for basis in bases]
    return table_of("findings", [rows[key] for key in order if key in rows])


def leading(scored: Mapping[str, Scored]) -> str | None:
    """Return the measure that carries the findings and the diagnosis; None if none has a null between two spaces."""
    fitting = by_preference(
        name
        for name, one in scored.items()
        if not parse_measure(name).same_space and np.isfinite(one.rows["null_mean"]).all()
    )
    with_intervals = [name for name in fitting if scored[name].deviations.freedom >= 1]
    return next(iter([*with_intervals, *fitting]), None)


def verdict(contrast: Contrast, beyond_chance: bool, margin: float, n: int, p: float | None = None) -> tuple[str, str]:
    """Return the verdict on a claim, and why there is none, if it is ``cannot tell``.

    Parameters
    ----------
    contrast : Contrast
        Above 0 if the claim is true.
    beyond_chance : bool
        Whether the scores it is made of are above chance at all.
    margin : float
        The smallest effect that counts.
    n : int
        Sentences.
    p : float, optional
        The contrast's p-value, corrected for the other findings; by default it is the only one.

    Returns
    -------
    verdict : str
        ``holds`` if the effect is above 0 and its corrected p-value at most .05; else ``holds not`` if the 95 %
        interval lies below `margin`; else ``cannot tell``.
        The last also with fewer than :data:`FEWEST_SENTENCES` sentences or 3 languages (in each class), and where
        nothing is above chance: of unrelated data, differences mean nothing.
    reason : str
        Empty unless the verdict is ``cannot tell``.
    """
    low, high = contrast.interval()
    one = contrast.languages == 1
    languages = f"{contrast.languages} {'language' if one else 'languages'}"
    if n < FEWEST_SENTENCES:
        return CANNOT_TELL, f"{n} sentences are too few: a verdict wants {FEWEST_SENTENCES} or more."
    if not np.isfinite(contrast.error):
        return CANNOT_TELL, (
            f"{languages} {'is' if one else 'are'} too few to speak of others: a verdict wants {FEWEST_LANGUAGES} or "
            "more (of each class)."
        )
    if contrast.error == 0:
        return CANNOT_TELL, f"The scores are the same whichever of the {n} sentences are taken: there is no interval."
    if not beyond_chance:
        return CANNOT_TELL, (
            f"With n = {n} sentences and {languages}, the scores are not above what unrelated sentences give, so that "
            "their differences mean nothing."
        )
    if contrast.value > 0 and (contrast.p if p is None else p) <= 0.05:
        return HOLDS, ""
    if high < margin:
        return HOLDS_NOT, ""
    if low > 0:
        return CANNOT_TELL, (
            f"With n = {n} sentences and {languages}, the effect is above 0 if it is the only one tested, but not "
            "after correction for the other findings."
        )
    return CANNOT_TELL, (
        f"With n = {n} sentences and {languages}, the interval includes both 0 and effects that count ({margin:.3g} or "
        "more)."
    )


def claims(activations: Activations, scores: pd.DataFrame) -> list[Claim]:
    """List the findings as claims about the scores at hand, in the order of the paper."""
    plain = scores[scores["control"] == "none"]
    stops = speech_path(activations, scores)
    later = after_front_end(stops)
    classes = resource_classes(activations.languages)
    members = {name: [code for code, own in classes.items() if own == name] for name in RESOURCE_CLASSES}
    return [
        *_convergence(later),
        *_length_adaptation(around_adaptation(activations, stops), members),
        *_speech_spread(activations, plain),
        *_modality_over_language(later, plain),
    ]


def at_stop(stop: PathPoint, **more: Any) -> dict[str, Any]:
    """Return what the scores of speech and text at a point have in their columns."""
    return {"kind": "modality_similarity", "point_a": stop.point, "point_b": stop.against, **more}


def _convergence(stops: Sequence[PathPoint]) -> list[Claim]:
    depths = np.array([stop.depth for stop in stops])
    if len(stops) < 2 or np.ptp(depths) <= 0:
        return []
    centred = depths - depths.mean()
    weights = centred / (centred**2).sum() * np.ptp(depths)
    effect = (
        f"rise of {{score}} between speech and text of one language from {stops[0].point} to {stops[-1].point}: a "
        f"straight line through its means at {len(stops)} points, along the depth"
    )
    statement = "After the modality-specific front end, speech and text of a sentence become more similar with depth."
    parts = [Part(float(weight), at_stop(stop)) for weight, stop in zip(weights, stops, strict=True)]
    return [Claim("convergence", ALL, statement, effect, parts)]


def _length_adaptation(around: tuple[PathPoint, PathPoint] | None, members: Mapping[str, list[str]]) -> list[Claim]:
    if around is None:
        return []
    before, behind = around

    def parts(weight: float, languages: list[str] | None) -> list[Part]:
        only = {} if languages is None else {"language_a": languages}
        return [Part(weight, at_stop(behind, **only)), Part(-weight, at_stop(before, **only))]

    effect = f"{{score}} between speech and text of one language at {behind.point}, less that at {before.point}"
    statement = "Length adaptation makes the speech of a sentence more similar to its text"
    asked = [Claim("length_adaptation", ALL, f"{statement}.", effect, parts(1.0, None))]
    for name, languages in members.items():
        if languages:
            text = f"{statement} in {name}-resource languages."
            asked.append(Claim("length_adaptation", name, text, effect, parts(1.0, languages)))
    high, low = members["high"], members["low"]
    if high and low:
        text = f"{statement}, more so in high- than in low-resource languages."
        strata = {code: name for name in ("high", "low") for code in members[name]}
        both = [*parts(1.0, high), *parts(-1.0, low)]
        effect = f"{effect}: high- less low-resource languages"
        asked.append(Claim("length_adaptation", "high-low", text, effect, both, strata))
    return asked


def _speech_spread(activations: Activations, plain: pd.DataFrame) -> list[Claim]:
    later: dict[str, list[str]] = {}
    for modality in ("text", "speech"):
        there = set(plain.loc[plain["kind"] == f"language_similarity_{modality}", "point_a"])
        points = [point for point in activations.points(modality) if point in there] if there else []
        later[modality] = [point for point in points if activations.stage(point, modality) != Stage.FRONT_END] or points
        if not points:
            return []
    shared = [point for point in later["text"] if point in later["speech"]]
    if shared:  # like with like
        later = dict.fromkeys(later, shared)
        where = f"over the {len(shared)} {'point' if len(shared) == 1 else 'points'} that text and speech share"
        effect = f"mean {{score}} of two languages in text, less that in speech, {where}"
    else:
        effect = (
            f"mean {{score}} of two languages in text (over {len(later['text'])} points after the front end), less "
            f"that in speech (over {len(later['speech'])})"
        )
    parts = [
        Part(sign / len(points), {"kind": f"language_similarity_{modality}", "point_a": point})
        for (modality, points), sign in zip(later.items(), (1.0, -1.0), strict=True)
        for point in points
    ]
    return [Claim("speech_spread", ALL, "Languages differ more in speech than in text.", effect, parts)]


def _modality_over_language(stops: Sequence[PathPoint], plain: pd.DataFrame) -> list[Claim]:
    if not stops or not (plain["kind"] == "language_similarity_text").any():
        return []
    # Like with like: where the two sides share points, the others have no counterpart.
    stops = [stop for stop in stops if stop.point == stop.against] or stops
    parts = []
    for stop in stops:
        parts.append(Part(1 / len(stops), {"kind": "language_similarity_text", "point_a": stop.against}))
        parts.append(Part(-1 / len(stops), at_stop(stop)))
    effect = (
        f"mean {{score}} of a text with its translation, less that of the text with its recording, over {len(stops)} "
        "speech points after the front end, each with the text point it is compared with"
    )
    statement = (
        "The modality gap exceeds the language gap: a text is less similar to its recording than to its translation."
    )
    return [Claim("modality_over_language", ALL, statement, effect, parts)]


def _bases(scored: Mapping[str, Scored]) -> dict[str, Scored]:
    first = leading(scored)
    bases = {} if first is None else {CORRECTED: scored[first].corrected}
    svcca = next((name for name in scored if name.split("(")[0] == "svcca"), None)
    if svcca is not None:
        bases[RAW_SVCCA] = scored[svcca]
        if svcca != first:
            bases[CORRECTED_SVCCA] = scored[svcca].corrected
    return bases


@dataclass(frozen=True)
class _Test:
    """A claim with its estimate on one kind of scores."""

    claim: Claim
    basis: str
    scored: Scored
    contrast: Contrast
    beyond_chance: bool
    used: pd.DataFrame
    voices: str = ""


def _estimated(claim: Claim, basis: str, scored: Scored, second: Sequence[str]) -> _Test | None:
    voices = ""
    if claim.id in VOICES:
        claim, scored, voices = _without_voices(claim, basis, scored, second)
    terms: list[Term] = [(average.weight, scored.where(**average.where)) for average in claim.parts]
    if any(len(rows) == 0 or not np.isfinite(scored.values[rows]).all() for _, rows in terms):
        return None
    contrast = scored.contrast(terms, strata=claim.strata or None)
    overall = scored.contrast([(1 / len(terms), rows) for _, rows in terms], strata=claim.strata or None)
    used = scored.rows.iloc[np.unique(np.concatenate([rows for _, rows in terms]))]
    beyond = basis == RAW_SVCCA or overall.interval()[0] > 0
    return _Test(claim, basis, scored, contrast, beyond, used, voices)


def _without_voices(claim: Claim, basis: str, scored: Scored, second: Sequence[str]) -> tuple[Claim, Scored, str]:
    """Return a claim on speech with its scores over their ceilings, or why voices do not allow to test it.

    Only languages with second recordings are taken then, in text too.
    """
    if len(second) < FEWEST_LANGUAGES:
        having = f"only {' and '.join(second)}" if second else "no language"
        why = (
            f"Voices: recordings of one sentence by two readers are needed in {FEWEST_LANGUAGES} languages, and "
            f"{having} {'have' if len(second) > 1 else 'has'} them here. A difference between readers looks the "
            f"same as one between languages or modalities."
        )
        return claim, scored, why
    if basis == RAW_SVCCA or scored.measure not in DIVIDES_OUT:
        why = (
            f"Voices: what readers differ in does not divide out of {measure_title(scored.measure)}; it does "
            "out of debiased linear CKA."
        )
        return claim, scored, why
    chosen = list(second)
    parts = [Part(term.weight, {**term.where, "language_a": chosen, "language_b": chosen}) for term in claim.parts]
    effect_of = f"{claim.effect_of}; scores of speech over their noise ceiling"
    used = np.unique(np.concatenate([scored.where(**term.where) for term in parts]))
    spoken = scored.rows.iloc[used]
    spoken = spoken[spoken["kind"] != "language_similarity_text"]
    ceilings = scored.where(kind="reader_similarity", point_a=list(spoken["point_a"].unique()), language_a=chosen)
    known = scored.rows.iloc[ceilings]
    low = known[~(known["chance_corrected"] >= LEAST_CEILING) | ~(known["p"] < 0.05)]
    if len(low) or not np.isfinite(spoken["ceiling"].to_numpy(dtype=np.float64)).all():
        where = f" (at {low['point_a'].iloc[0]} in {low['language_a'].iloc[0]}, for one)" if len(low) else ""
        why = (
            f"Voices: two readers of a sentence are hardly more similar than unrelated sentences{where}, so that "
            "nothing can be divided by that."
        )
        return claim, scored, why
    return replace(claim, parts=parts, effect_of=effect_of), scored.disattenuated, ""


def _judged(test: _Test, p_adjusted: float, scores: pd.DataFrame, activations: Activations) -> dict[str, Any]:
    claim, basis, scored, contrast, used = test.claim, test.basis, test.scored, test.contrast, test.used
    raw = basis == RAW_SVCCA
    n = int(used["n"].min())
    margin = MATTERS * (1 - float(used["null_mean"].mean()) if raw else 1.0)
    if test.voices:
        said, reason = CANNOT_TELL, test.voices
    elif scored.deviations.freedom < 1:
        name = scored.measure
        said, reason = CANNOT_TELL, f"There is no interval: ask for one by name (intervals = [{name!r}])."
    else:
        said, reason = verdict(contrast, test.beyond_chance, margin, n, p_adjusted)
    caveats = _caveats(test, margin, said, reason, scores, activations)
    low, high = contrast.interval()
    title = measure_title(scored.measure)
    score = title if raw else f"chance-corrected {title}"
    over = claim.id in VOICES and not test.voices
    column = "value" if raw else f"{CORRECTED} / ceiling" if over else CORRECTED
    return {
        "id": claim.id,
        "group": claim.group,
        "basis": basis,
        "measure": scored.measure,
        "statement": claim.statement,
        "effect": contrast.value,
        "effect_of": claim.effect_of.format(score=score),
        "low": low,
        "high": high,
        "p": contrast.p,
        "p_adjusted": p_adjusted,
        "verdict": said,
        "n": n,
        "groups": contrast.languages,
        "evidence": evidence(claim.parts, scored, column),
        "caveats": json.dumps([{"id": name, "text": text} for name, text in caveats.items()], ensure_ascii=False),
    }


def evidence(parts: Sequence[Part], scored: Scored, column: str) -> str:
    """Return the averages of scores that something is made of, with their weights in it, as a JSON list."""
    items = []
    for term in parts:
        rows = scored.where(**term.where)
        items.append(
            {
                "table": "scores",
                "where": {**term.where, "measure": scored.measure, "control": "none"},
                "column": column,
                "of": "mean",
                "rows": len(rows),
                "value": float(scored.values[rows].mean()),
                "weight": term.weight,
            }
        )
    return json.dumps(items, ensure_ascii=False)


def _caveats(
    test: _Test, margin: float, said: str, reason: str, scores: pd.DataFrame, activations: Activations
) -> dict[str, str]:
    """Return the caveats of a verdict by their names."""
    claim, contrast, used, raw = test.claim, test.contrast, test.used, test.basis == RAW_SVCCA
    caveats: dict[str, str] = {}
    null = float(used["null_mean"].mean())
    if reason:
        caveats["voices" if reason.startswith("Voices") else "cannot-tell"] = reason
    if said == HOLDS and contrast.value < margin:
        caveats["small"] = f"The effect is smaller than {margin:.3g}, which is what counts here."
    if raw:
        caveats["no-null"] = (
            f"The raw score is taken at face value: unrelated sentences give {null:.2f} on average here, and what "
            "moves that (the number of directions kept) looks like a finding."
        )
    elif null > 0.9:
        caveats["null"] = f"Unrelated sentences give {null:.2f} on average: little is left between that and 1."
    over = "language_b" in claim.parts[0].where and claim.id in VOICES
    if over:
        caveats["ceiling"] = (
            "Scores of speech are divided by what two readers of a sentence allow (the square root of both sides' "
            f"ceilings), in the {contrast.languages} languages that have two."
        )
    less = None if over else _without_length(claim, raw, str(used["measure"].iloc[0]), scores)
    if less is not None:
        caveats["length"] = f"With lengths regressed out the effect is {less:.2f} (here {contrast.value:.2f})."
    by_language = any(side.get("weights_by_language") for side in activations.meta["model"]["sides"])
    if claim.id == "speech_spread" and by_language:
        text = "Each language has an encoder of its own in speech: what differs may be the encoders."
        caveats["weights-by-language"] = text
    if not activations.shared_points:
        caveats["towers"] = "Speech and text share no layer: which layers are compared is a choice (match)."
    return caveats


def _without_length(claim: Claim, raw: bool, measure: str, scores: pd.DataFrame) -> float | None:
    """Return the effect where lengths are regressed out; None if a term of it is not known there."""
    rows = scores[(scores["control"] == "length_regressed") & (scores["measure"] == measure)]
    if rows.empty:
        return None
    values = rows["value" if raw else "chance_corrected"].to_numpy(dtype=np.float64)
    total = 0.0
    for term in claim.parts:
        keep = matching(rows, **term.where)
        if not keep.any() or not np.isfinite(values[keep]).all():
            return None
        total += term.weight * float(values[keep].mean())
    return total
