"""Several results side by side: each model's scores at its output, and paired tests between models.

Models are compared only within one corpus, whose fingerprint says that texts and recordings are the same. There the
draws of sentences are the same too, so that a difference between two models has an interval of its own
(:mod:`babelscope.gaps.resample_table`): narrower than two intervals side by side tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.errors import UsageError, did_you_mean
from babelscope.gaps.at_output import RETRIEVAL, at_output
from babelscope.gaps.contrasts import Contrast, Scored
from babelscope.gaps.kinds import KINDS
from babelscope.gaps.naming import by_preference, measure_head
from babelscope.gaps.resample_table import SharedDraws, draws_of, same_draws, shared_draws
from babelscope.gaps.result import Result
from babelscope.gaps.selecting import MEAN
from babelscope.similarity import holm, parse_measure
from babelscope.similarity.deviations import NOTHING, Deviations, freedom

#: Kinds of comparison that have a table, in order.
SHOWN: tuple[str, ...] = ("modality_similarity", "language_similarity_speech", "language_similarity_text")

#: The probability that any two equal models of a corpus are said to differ in a mean.
LEVEL = 0.05

#: Columns of the scores: a row a model, kind and language (or the mean over languages or pairs).
SCORE_COLUMNS: tuple[str, ...] = (
    "corpus",  # the fingerprint
    "model",  # the label
    "folder",
    "kind",
    "measure",
    "point",
    "against",
    "group",  # "mean", or a language; of pairs, the mean over those with that language, which has no interval
    "value",
    "low",
    "high",
    "null_mean",
    "chance_corrected",
    "n",
    "groups",
)

#: Columns of the paired differences: of two models, over the same sentences and languages.
PAIR_COLUMNS: tuple[str, ...] = (
    "corpus",
    "kind",
    "measure",
    "first",  # the labels
    "second",
    "group",
    "difference",  # chance-corrected score of the first less that of the second
    "low",
    "high",
    "p",
    "p_adjusted",  # Holm: means over all pairs of models and kinds of a corpus; languages over all of theirs
    "holds_for",  # "other sentences", or "other sentences and languages"; empty where nothing was tested
)


@dataclass(frozen=True)
class Leaderboard:
    """Models by corpus.

    Attributes
    ----------
    scores : DataFrame
        Columns :data:`SCORE_COLUMNS`, the best mean first.
    pairs : DataFrame
        Columns :data:`PAIR_COLUMNS`.
    corpora : dict of str to dict
        By fingerprint: ``title``, ``n`` and ``languages``.
    notes : tuple of str
        What was not compared, and why.
    """

    scores: pd.DataFrame
    pairs: pd.DataFrame
    corpora: dict[str, dict[str, Any]]
    notes: tuple[str, ...]


def standing(result: Result) -> Result:
    """Return what a leaderboard needs of a result: the rest would be held for every model at once."""
    curves = result.curves
    plain = curves[curves["control"] == "none"]
    measured = plain[["kind", "measure"]].drop_duplicates().itertuples(index=False, name=None)
    rows = [at_output(plain, str(kind), str(measure)) for kind, measure in measured]
    kept = pd.concat(rows) if rows else plain
    tables = {name: result.tables[name] for name in ("draws",) if name in result.tables}
    if "projection" in result.tables:
        tables["projection"] = result.tables["projection"][["sentence"]].drop_duplicates()
    return Result(result.scores.iloc[:0], kept.reset_index(drop=True), result.meta, tables)


def labels(results: Mapping[str, Result]) -> dict[str, str]:
    """Return what to call each model, by the name of its folder: its own name, and what tells it from namesakes.

    That is the options in which they differ, and the folder where none does.
    """
    names = {folder: str(_meta(result, "model").get("name") or folder) for folder, result in results.items()}
    options = {folder: _meta(result, "model").get("options") or {} for folder, result in results.items()}
    labelled = dict(names)
    for name in dict.fromkeys(names.values()):
        namesakes = [folder for folder, other in names.items() if other == name]
        shared = [key for key in options[namesakes[0]] if all(key in options[folder] for folder in namesakes)]
        differing = [key for key in shared if len({str(options[folder][key]) for folder in namesakes}) > 1]
        for folder in namesakes:
            settings = ", ".join(f"{key} {options[folder][key]}" for key in differing)
            labelled[folder] = f"{name} ({settings})" if settings else name
    twice = [label for label in labelled.values() if list(labelled.values()).count(label) > 1]
    return {folder: f"{label}, {folder}" if label in twice else label for folder, label in labelled.items()}


def leaderboard(
    results: Mapping[str, Result], *, kinds: Sequence[str] = SHOWN, measures: Sequence[str] = ()
) -> Leaderboard:
    """Compare several results, by the name of their folder.

    Without `measures` it is, for each kind and corpus, the measure that all of its models have: retrieval before the
    leading one. UsageError if a kind is unknown, no result has a measure, or there is nothing to compare.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"there is no kind {kind!r}; {did_you_mean(kind, KINDS)}")
    standings = {folder: standing(result) for folder, result in results.items()}
    measure_names = dict.fromkeys(str(name) for result in standings.values() for name in result.curves["measure"])
    for measure in measures:
        if measure not in measure_names:
            raise UsageError(f"no result has the measure {measure!r}; {did_you_mean(measure, measure_names)}")
    label_of = labels(standings)
    corpora: dict[str, list[str]] = {}
    for folder, result in standings.items():
        corpora.setdefault(str(_meta(result, "corpus").get("fingerprint") or folder), []).append(folder)
    scores: list[pd.DataFrame] = []
    pairs: list[pd.DataFrame] = []
    notes: list[str] = []
    if len(corpora) > 1:
        notes.append(
            f"The results are of {len(corpora)} different corpora (their fingerprints differ): models are compared "
            "within one corpus only."
        )
    for fingerprint, folders in corpora.items():
        members = {label_of[folder]: standings[folder] for folder in folders}
        corpus_scores, compared, corpus_notes = _of_corpus(fingerprint, members, kinds, measures)
        scores += [
            corpus_scores.assign(folder=corpus_scores["model"].map({label_of[folder]: folder for folder in folders}))
        ]
        pairs.append(compared)
        notes += corpus_notes
    table = pd.concat(scores, ignore_index=True)
    if table.empty:
        raise UsageError("the results have no scores of these kinds and measures")
    table = _ordered(table, kinds, list(corpora))
    about = {fingerprint: _about(standings[folders[0]]) for fingerprint, folders in corpora.items()}
    return Leaderboard(
        table.reindex(columns=list(SCORE_COLUMNS)),
        pd.concat(pairs, ignore_index=True).reindex(columns=list(PAIR_COLUMNS)),
        about,
        tuple(dict.fromkeys(notes)),
    )


def _ordered(scores: pd.DataFrame, kinds: Sequence[str], corpora: Sequence[str]) -> pd.DataFrame:
    """Return the scores by corpus and kind, the model with the best mean first."""
    means = scores[scores["group"] == MEAN].set_index(["corpus", "kind", "measure", "model"])["chance_corrected"]
    keys = pd.MultiIndex.from_frame(scores[["corpus", "kind", "measure", "model"]])
    by = scores.assign(
        _corpus=scores["corpus"].map({name: at for at, name in enumerate(corpora)}),
        _kind=scores["kind"].map({name: at for at, name in enumerate(kinds)}),
        _mean=-means.reindex(keys).to_numpy(),
    )
    order = by.sort_values(["_corpus", "_kind", "measure", "_mean"], kind="stable").index
    return scores.loc[order].reset_index(drop=True)


def _of_corpus(
    corpus: str, members: Mapping[str, Result], kinds: Sequence[str], measures: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Return the scores and the paired differences of the models of one corpus, and what was not compared."""
    frames: list[pd.DataFrame] = []
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    kept = {label: draws_of(result) for label, result in members.items()}
    for kind in kinds:
        having = {label: result for label, result in members.items() if (result.curves["kind"] == kind).any()}
        for measure in measures or _common(having.values(), kind):
            measured = {
                label: curves for label, result in having.items() if len(curves := _curves(result, kind, measure))
            }
            lacking = [label for label in having if label not in measured]
            if lacking and measured:
                notes.append(f"{KINDS[kind]} was not measured by {measure} in {', '.join(lacking)}.")
            frames += [_scores(curves, label, kind) for label, curves in measured.items()]
            unpaired = []
            for pair in combinations(measured, 2):
                first, second = pair
                draws = shared_draws(kept[first], kept[second]) if same_draws(members[first], members[second]) else {}
                differences = _differences(members, measured, pair, kind, measure, draws)
                unpaired += [] if differences else [" and ".join(pair)]
                rows += differences
            if unpaired:
                notes.append(
                    f"{KINDS[kind]} by {measure}: no paired test of {'; '.join(unpaired)}. Their results keep no draws "
                    "of the same sentences (no intervals, another seed, or another convention of the measure): "
                    "'babelscope compare' on their activations makes them."
                )
    table = pd.concat(frames, ignore_index=True).assign(corpus=corpus) if frames else pd.DataFrame(columns=["model"])
    compared = pd.DataFrame(rows, columns=list(PAIR_COLUMNS)).assign(corpus=corpus)
    # The means are what a leaderboard is for; single languages are tested as well, as a family of their own.
    of_means = (compared["group"] == MEAN).to_numpy()
    adjusted = np.full(len(compared), np.nan)
    for family in (of_means, ~of_means):
        adjusted[family] = holm(compared.loc[family, "p"].to_numpy(dtype=float))
    return table, compared.assign(p_adjusted=adjusted), notes


def _common(results: Iterable[Result], kind: str) -> list[str]:
    """Return the measure by which all results are compared: retrieval where all have it, else the leading one."""
    each = [
        dict.fromkeys(one.curves.loc[(one.curves["kind"] == kind) & one.curves["value"].notna(), "measure"].astype(str))
        for one in results
    ]
    names = by_preference(dict.fromkeys(name for one in each for name in one))
    shared = [name for name in names if all(name in one for one in each)] or names
    return [next((name for name in shared if measure_head(name) == RETRIEVAL), shared[0])] if shared else []


def _curves(result: Result, kind: str, measure: str) -> pd.DataFrame:
    rows = result.curves[(result.curves["kind"] == kind) & (result.curves["measure"] == measure)]
    return rows[rows["value"].notna()]


def _scores(rows: pd.DataFrame, label: str, kind: str) -> pd.DataFrame:
    """Return a model's mean and languages; where pairs were compared, a language is the mean over its pairs."""
    if kind == "modality_similarity":
        return rows.assign(model=label)
    mean, pairs = rows[rows["group"] == MEAN], rows[rows["group"] != MEAN]
    each = [mean]
    split = pairs["group"].astype(str).str.partition("-")
    for code in dict.fromkeys([*split[0], *split[2]]):
        own = pairs[(split[0] == code) | (split[2] == code)]
        averaged = own[["value", "null_mean", "chance_corrected"]].mean().to_dict()
        empty = {"low": np.nan, "high": np.nan, "p": np.nan, "group": code, "groups": len(own)}
        each.append(own.head(1).assign(**averaged, **empty))
    return pd.concat(each).assign(model=label)


def _differences(
    members: Mapping[str, Result],
    measured: Mapping[str, pd.DataFrame],
    pair: tuple[str, str],
    kind: str,
    measure: str,
    draws: SharedDraws,
) -> list[dict[str, Any]]:
    """Return the paired differences of two models by one kind and measure: their mean, and each language's."""
    tables = [measured[label].set_index("group") for label in pair]
    groups = [
        str(group) for group in tables[0].index if group in tables[1].index and (kind, measure, str(group)) in draws
    ]
    languages = [group for group in groups if group != MEAN] if kind == "modality_similarity" else []
    units = [_unit(table, measure) for table in tables]
    if MEAN not in groups or units[0] is None or units[1] is None:
        return []
    degrees = [_freedom(members[label], measure) for label in pair]

    def scored(names: Sequence[str]) -> Scored:
        """The first model's scores, then the second's, moving with the same sentences."""
        values = np.concatenate([table.loc[list(names), "chance_corrected"].to_numpy(dtype=float) for table in tables])
        moving = {
            name: np.concatenate(
                [
                    np.stack([draws[kind, measure, group][name][at] for group in names], axis=1) * units[at]
                    for at in (0, 1)
                ],
                axis=1,
            )
            for name in ("blocks", "halves")
            if all(name in draws[kind, measure, group] for group in names)
        }
        blocks = moving.get("blocks", np.full((0, len(values)), np.nan))
        halves = moving.get("halves", np.zeros((0, len(values))))
        codes = [*names, *names]
        rows = pd.DataFrame({"kind": kind, "measure": measure, "language_a": codes, "language_b": codes})
        return Scored(rows.assign(value=values), Deviations(blocks, halves, min(degrees)), values)

    joint = scored(languages or [MEAN])
    count = len(joint.values) // 2

    def row(group: str, at: NDArray[np.int64], *, wide: bool = False) -> dict[str, Any]:
        terms = [(1.0, at), (-1.0, at + count)]
        contrast = joint.contrast(terms, other_languages=wide)
        holds_for = "other sentences and languages"
        if not wide or not np.isfinite(contrast.error):
            contrast, holds_for = joint.contrast(terms, other_languages=False), "other sentences"
        return _difference_row(pair, kind, measure, group, contrast, holds_for)

    mean = row(MEAN, np.arange(count), wide=bool(languages))
    return [mean, *(row(language, np.array([at])) for at, language in enumerate(languages))]


def _difference_row(
    pair: tuple[str, str], kind: str, measure: str, group: str, contrast: Contrast, holds_for: str
) -> dict[str, Any]:
    known = np.isfinite(contrast.error) and contrast.error > NOTHING
    # The weighted sum of equal scores is rounded away from 0 where a processor fuses its products and sums.
    same = not known and abs(contrast.value) < NOTHING
    low, high = contrast.interval() if known else (np.nan, np.nan)
    return {
        "kind": kind,
        "measure": measure,
        "first": pair[0],
        "second": pair[1],
        "group": group,
        "difference": 0.0 if same else contrast.value,
        "low": low,
        "high": high,
        "p": contrast.p if known else np.nan,
        "holds_for": holds_for if known else "",
    }


def _unit(curves: pd.DataFrame, measure: str) -> float:
    """Return what one of the score is worth where the null's mean is 0 and perfect agreement 1; NaN without a null."""
    best, null = parse_measure(measure).best, curves.loc[curves.index == MEAN, "null_mean"].mean()
    return 1 / (best - null) if abs(best - null) > 1e-12 else np.nan


def _freedom(result: Result, measure: str) -> float:
    kept = _meta(result, "options").get("freedom") or {}
    return float(kept.get(measure) or freedom(int(_meta(result, "corpus").get("n") or 0)))


def _about(result: Result) -> dict[str, Any]:
    corpus = _meta(result, "corpus")
    return {
        "title": str(corpus.get("title") or corpus.get("name") or "unnamed"),
        "n": int(corpus.get("n") or 0),
        "languages": [str(code) for code in corpus.get("languages") or ()],
    }


def _meta(result: Result, name: str) -> dict[str, Any]:
    section = result.meta.get(name)
    return section if isinstance(section, dict) else {}
