"""Two models, checkpoints or layers on the same sentences: in which speech and text, or languages, are nearer.

Both are scored on the same sentences, and every draw leaves out the same sentences of both. What makes all scores move
together, such as a few odd sentences, falls out of the difference: its interval is narrower than two intervals laid
side by side suggest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.capture.store import Activations
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.gaps import selecting
from babelscope.gaps.clusters import compared, documents_of
from babelscope.gaps.comparisons import Comparison, Place, check_kinds, plan
from babelscope.gaps.contrasts import Contrast, Scored, Term
from babelscope.similarity import parse_measure
from babelscope.similarity.blocks import BlockExecutor, Settings
from babelscope.similarity.deviations import Deviations, deviations
from babelscope.similarity.pair_table import PairTable
from babelscope.similarity.pairwise import scores_of_part
from babelscope.similarity.score import null_kind

#: Columns of what :func:`paired` returns.
PAIRED_COLUMNS: tuple[str, ...] = (
    "first",  # the stores, by folder and name
    "second",
    "kind",
    "measure",
    "point_a",  # in the first store; speech where speech and text are compared
    "against_a",  # the text point it is compared with there
    "point_b",
    "against_b",
    "group",  # a language, a pair "en-fr", or "mean" over all of them
    "value_a",
    "value_b",
    "chance_corrected_a",  # chance-corrected; the value itself where a measure has no null
    "chance_corrected_b",
    "difference",  # chance_corrected_b - chance_corrected_a
    "low",
    "high",
    "p",
    "holds_for",  # "other sentences", or "other sentences and languages" (a mean over 3 languages or more)
    "n",
    "groups",
)

#: Recordings of one sentence may differ by this much in length (codecs pad) and still count as one.
SAME_SECONDS = 0.1


class _Both(NamedTuple):
    """One comparison in the first store, and what it is paired with in the second."""

    a: Comparison
    b: Comparison


def paired(
    a: Activations,
    b: Activations,
    measures: Sequence[str] = ("linear_cka",),
    *,
    points: Sequence[tuple[str, str]] | None = None,
    kinds: Sequence[str] | None = None,
    match: str = "output",
    permutations: int = 200,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Compare two stores of activations of the same sentences.

    Parameters
    ----------
    a, b : Activations
        Of two models or checkpoints, or one store twice, for two of its layers. Languages that only one has are left
        out. Where `a` knows clusters of sentences, nulls and intervals go by them, and sentences without one are left
        out as :func:`~babelscope.compare` does.
    measures : sequence of str
    points : sequence of (str, str), optional
        A point of `a` and the point of `b` that it is paired with. By default points of the same name; if there are
        none, the last of each modality.
    kinds : sequence of str, optional
        Of :data:`babelscope.gaps.KINDS`; all by default.
    match : {"output", "depth", "all"}
        As :func:`babelscope.gaps.plan`.
    permutations : int
        For the null of measures without a closed form; only its mean is used.
    seed : int
    progress : callable, optional
        Called with (draws done, draws).

    Returns
    -------
    DataFrame
        Columns :data:`PAIRED_COLUMNS`. ``difference`` is above 0 where the second store brings the two sides nearer. It
        is of chance-corrected scores, because two models of different width have different nulls.

    Raises
    ------
    UsageError
        If a point, kind or measure is unknown, or nothing can be paired.
    DataError
        If the sentences are not the same, naming the first that differs.
    """
    a, b = _compared(a, b)
    languages = [code for code in a.languages if code in b.languages]
    if not languages:
        raise UsageError(
            f"the stores have no language in common ({', '.join(a.languages)}; {', '.join(b.languages)}): encode the "
            "same languages"
        )
    pairs = _pairs(a, b, points, check_kinds(kinds), match, languages)
    names = [str(parse_measure(measure)) for measure in measures]
    rows: list[dict[str, Any]] = []
    for name in names:
        one_space = parse_measure(name).same_space
        fitting = [both for both in pairs if not one_space or (both.a.same_space and both.b.same_space)]
        if fitting:
            scored = _scored(a, b, fitting, name, permutations, seed, progress=progress)
            rows += _differences(scored, fitting, len(a.sentences))
    if not rows:
        raise UsageError(f"{', '.join(names)} compare vectors of one space, and none of these comparisons has one")
    return pd.DataFrame([{"first": a.label, "second": b.label} | row for row in rows], columns=list(PAIRED_COLUMNS))


def paired_stores(
    first: Activations,
    others: Sequence[Activations],
    measures: Sequence[str] = ("linear_cka",),
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Compare each of several stores with the first: :func:`paired`, one after another."""
    frames = [paired(first, other, measures, progress=progress, **options) for other in others]
    return pd.concat(frames, ignore_index=True)


def same_sentences(a: Activations, b: Activations) -> None:
    """Check that two stores hold the same sentences in the same order, in words and in recordings.

    DataError names the first sentence that differs, and how.
    """
    names = f"{a.label} and {b.label}"
    remedy = "encode both from the same corpus, with the same seed and filters"
    for number, (first, second) in enumerate(zip(a.sentences, b.sentences, strict=False)):
        if first != second:
            raise DataError(f"{names} hold other sentences: number {number} is {first!r} and {second!r}; {remedy}")
    if len(a.sentences) != len(b.sentences):
        raise DataError(f"{names} hold {len(a.sentences)} and {len(b.sentences)} sentences; {remedy}")
    for code in (code for code in a.languages if code in b.languages):
        for sentence, first, second in zip(a.sentences, a.texts(code), b.texts(code), strict=True):
            if first and second and first != second:
                raise DataError(f"{names} differ in the text of sentence {sentence!r} in {code!r}; {remedy}")
        if "speech" in a.modalities and "speech" in b.modalities:
            apart = np.abs(a.lengths("speech", code) - b.lengths("speech", code))
            if (apart > SAME_SECONDS).any():
                sentence = a.sentences[int(np.argmax(apart))]
                raise DataError(
                    f"{names} hold other recordings: that of sentence {sentence!r} in {code!r} is {apart.max():.2f} s "
                    f"longer in one; {remedy}"
                )


def _compared(a: Activations, b: Activations) -> tuple[Activations, Activations]:
    """Return both stores with the sentences that are compared, which must be the same."""
    same_sentences(a, b)
    some = compared(a, "auto")
    return (a, b) if some is a else (some, b.only(some.sentences))


def _pairs(
    a: Activations,
    b: Activations,
    points: Sequence[tuple[str, str]] | None,
    kinds: Sequence[str],
    match: str,
    languages: Sequence[str],
) -> list[_Both]:
    first, second = (
        {
            (one.kind, one.a.point, one.b.point, one.a.language, one.b.language): one
            for one in plan(store, match)
            if one.kind in kinds and {one.a.language, one.b.language} <= set(languages)
        }
        for store in (a, b)
    )
    if points is not None:
        for store, asked in ((a, [pair[0] for pair in points]), (b, [pair[1] for pair in points])):
            known = list(dict.fromkeys(point for modality in store.modalities for point in store.points(modality)))
            for point in asked:
                if point not in known:
                    raise UsageError(f"{store.label} has no point {point!r}; {did_you_mean(point, known)}")
        pairs = [both for pair in points for both in _at(first, second, *pair)]
    else:
        pairs = [_Both(one, second[key]) for key, one in first.items() if key in second]
        if not pairs:  # two models: their outputs are what they have in common
            pairs = [
                both
                for modality in a.modalities
                if modality in b.modalities
                for both in _at(first, second, a.points(modality)[-1], b.points(modality)[-1])
            ]
    if not pairs:
        raise UsageError(f"nothing of {a.label} can be paired with anything of {b.label}: name points that both have")
    return list(dict.fromkeys(pairs))


def _at(first: Mapping[Any, Comparison], second: Mapping[Any, Comparison], one: str, other: str) -> list[_Both]:
    """Pair what is compared at a point of the first store with what is compared at a point of the second."""

    def at_point(comparisons: Mapping[Any, Comparison], point: str) -> dict[tuple[str, str, str], Comparison]:
        # Of several text points that a speech point is compared with (match="all"), the last.
        return {
            (comparison.kind, comparison.a.language, comparison.b.language): comparison
            for comparison in comparisons.values()
            if comparison.a.point == point
        }

    there = at_point(second, other)
    return [_Both(comparison, there[key]) for key, comparison in at_point(first, one).items() if key in there]


def together(
    a: Activations,
    b: Activations,
    measure: str,
    *,
    kinds: Sequence[str] | None = None,
    match: str = "output",
    executor: BlockExecutor | None = None,
) -> tuple[list[Comparison], Scored]:
    """Score what two stores compare at points of the same name, so that differences have their deviations.

    The comparisons are those that both stores have and the measure allows; scored are those of `a`, then those of `b`,
    each in their order. DataError if the sentences are not the same, naming the first that differs.
    """
    a, b = _compared(a, b)
    languages = [code for code in a.languages if code in b.languages]
    one_space = parse_measure(measure).same_space
    there = [
        {one: None for one in plan(store, match, kinds) if {one.a.language, one.b.language} <= set(languages)}
        for store in (a, b)
    ]
    both = [_Both(one, one) for one in there[0] if one in there[1] and (one.same_space or not one_space)]
    if not both:
        return [], Scored(pd.DataFrame({"measure": [], "value": []}), Deviations.none(0))
    return [one.a for one in both], _scored(a, b, both, measure, executor=executor)


def _scored(
    a: Activations,
    b: Activations,
    compared: Sequence[_Both],
    measure: str,
    permutations: int = 200,
    seed: int = 0,
    *,
    progress: Callable[[int, int], None] | None = None,
    executor: BlockExecutor | None = None,
) -> Scored:
    """Score the comparisons of the first store, then those of the second, all by the same draws of sentences."""
    stores, n = (a, b), len(a.sentences)
    kept: dict[tuple[int, Place], NDArray[np.float32]] = {}

    def read(label: tuple[int, Place]) -> NDArray[np.float32]:
        if label not in kept:
            which, place = label
            kept[label] = stores[which].matrix(place.point, place.modality, place.language)
        return kept[label]

    sided = [(which, both[which]) for which in (0, 1) for both in compared]
    pairs = [((which, one.a), (which, one.b)) for which, one in sided]
    sides = {label: partial(read, label) for pair in pairs for label in pair}
    parsed = parse_measure(measure)
    documents = documents_of(a)
    settings = Settings(
        (parsed,),
        (null_kind(parsed, "auto", clustered=documents is not None),),
        permutations,
        seed,
        alpha=0.05,
        clusters=(np.arange(n) if documents is None else documents) if parsed.has_influence else None,
        documents=documents,
    )
    whole = PairTable(sides, pairs, settings, executor=executor)
    whole.compute()
    if whole.deviations is not None:
        drawn = Deviations.of_clusters(whole.deviations[:, 0].T)
    else:
        score = partial(scores_of_part, sides, pairs, [parsed], n, documents, executor=executor)
        drawn = deviations(score, n, seed=seed, progress=progress, clusters=documents).at(0).without_short_halves()
    numbers = whole.numbers[:, 0, 0]
    table = pd.DataFrame(
        {
            "language_a": [one.a.language for _, one in sided],
            "language_b": [one.b.language for _, one in sided],
            "measure": measure,
            "value": numbers["value"],
            "null_mean": numbers["null_mean"],
        }
    )
    return Scored(table, drawn)


def _differences(scored: Scored, pairs: Sequence[_Both], n: int) -> list[dict[str, Any]]:
    """Return the differences of the second store's scores from the first's: means, and each language or pair."""
    measure, raw = scored.measure, scored.values
    if np.isfinite(scored.rows["null_mean"]).all():  # else a measure without a null: the values themselves
        scored = scored.corrected
    places: dict[tuple[str, ...], list[int]] = {}
    for at, both in enumerate(pairs):
        key = (both.a.kind, both.a.a.point, both.a.b.point, both.b.a.point, both.b.b.point)
        places.setdefault(key, []).append(at)
    groups, count = selecting.groups(scored.rows), len(pairs)
    rows: list[dict[str, Any]] = []
    for (kind, *points), members in places.items():
        named = dict(zip(("point_a", "against_a", "point_b", "against_b"), points, strict=True))
        for group, chosen in [("mean", members), *((groups[member], [member]) for member in members)]:
            first, second = np.array(chosen), np.array(chosen) + count
            contrast, holds_for = _contrast(scored, [(1.0, second), (-1.0, first)], wide=group == "mean")
            low, high = contrast.interval()
            values = {"value": raw, "chance_corrected": scored.values}
            rows.append(
                {"kind": kind, "measure": measure, **named, "group": group}
                | {f"{name}_a": float(each[first].mean()) for name, each in values.items()}
                | {f"{name}_b": float(each[second].mean()) for name, each in values.items()}
                | {"difference": contrast.value, "low": low, "high": high, "p": contrast.p}
                | {"holds_for": holds_for, "n": n, "groups": len(chosen)}
            )
    return rows


def _contrast(scored: Scored, terms: Sequence[Term], *, wide: bool) -> tuple[Contrast, str]:
    """Return a contrast and what it holds for: with `wide` for other languages too, where they are enough."""
    contrast = scored.contrast(terms, other_languages=wide)
    if wide and np.isfinite(contrast.error):
        return contrast, "other sentences and languages"
    return scored.contrast(terms, other_languages=False), "other sentences"
