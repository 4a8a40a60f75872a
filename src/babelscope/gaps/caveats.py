"""What a reader must know first: each caveat appears only where it applies, with the number that makes it apply."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from babelscope.corpora import Problem
from babelscope.gaps.naming import measure_title
from babelscope.gaps.traced import Traced, told, told_many
from babelscope.similarity.permutation import distinct_permutations

#: Below this many sentences intervals are wide and subspace measures near saturation.
FEW_SENTENCES = 200


_CORPUS_CHECK = "corpus-check"
_TOLD_OF_READERS = ("one-reader", "readers-unknown")


#: One caveat, as a result holds it.
Caveat = dict[str, Any]


def caveats(scores: pd.DataFrame, meta: dict[str, Any]) -> list[Caveat]:
    """List the caveats that apply to a result: each with ``id``, ``title`` and ``text``.

    A caveat that quotes numbers of the scores has ``parts`` as well (:meth:`babelscope.gaps.traced.Traced.parts`); the
    index labels of the scores are row numbers. `meta` has the result's ``model``, ``corpus`` and ``options``.
    """
    candidates = [
        _few(scores),
        *_saturated(scores),
        *_clusters(meta),
        _tails(scores),
        _readers(meta),
        _notes("model", "About the model", meta["model"]["notes"]),
        _towers(meta),
        _weights_by_language(meta),
        _uncontrolled(scores, meta),
        _notes("corpus", "About the recordings and texts", meta["corpus"].get("notes", [])),
        _many(scores),
    ]
    return [caveat for caveat in candidates if caveat]


def with_corpus_caveat(known: Sequence[Caveat], problems: Iterable[Problem]) -> list[Caveat]:
    """Return caveats with one on what a check of the corpus warned of, in place of an earlier one.

    Problems of readers are passed over, which have a caveat of their own.
    """
    kept = [caveat for caveat in known if caveat["id"] != _CORPUS_CHECK]
    warnings = [
        problem for problem in problems if problem.severity == "warning" and problem.kind not in _TOLD_OF_READERS
    ]
    if not warnings:
        return kept
    text = " ".join(f"{problem.message[:1].upper()}{problem.message[1:]}." for problem in warnings)
    return [*kept, {"id": _CORPUS_CHECK, "title": "What a check of the corpus warned of", "text": text}]


def _traced(id: str, title: str, text: Traced) -> Caveat:
    return {"id": id, "title": title, "text": str(text), "parts": text.parts()}


def _tails(scores: pd.DataFrame) -> Caveat | None:
    beyond = scores["null"].fillna("").str.contains("tail of") if "null" in scores else pd.Series(False, scores.index)
    if not beyond.any():
        return None
    return {
        "id": "p-from-a-model",
        "title": "Some p-values are a model's",
        "text": (
            f"{int(beyond.sum())} of {len(scores)} scores lie more than 10 standard deviations beyond what permuting "
            "clusters gave. Their p is the tail of an exponential law with the permutations' mean and standard "
            "deviation, not a share of permutations (column null): read it as small, not as that number."
        ),
    }


def _few(scores: pd.DataFrame) -> Caveat | None:
    plain = scores[scores["control"] == "none"]
    rows = plain if len(plain) else scores
    most = rows.iloc[int(rows["n"].to_numpy().argmax())]
    if most["n"] >= FEW_SENTENCES:
        return None
    text = Traced(
        "{n} sentences are few: intervals are wide, so that only large differences between points or languages are "
        f"found, and a retrieval score of one language moves in steps of {1 / most['n']:.3f}. Conclusions want "
        f"{FEW_SENTENCES} sentences or more.",
        n=told("scores", most, "n", 0),
    )
    return _traced("few-sentences", "Few sentences", text)


def _saturated(scores: pd.DataFrame) -> list[Caveat]:
    plain = scores[scores["control"] == "none"]
    saturated = []
    for measure, rows in plain.groupby("measure", sort=False):
        high = rows[rows["null_mean"] > 0.9]
        if len(high) == 0:
            continue
        name = measure_title(str(measure))
        text = Traced(
            "At {high} of {all} comparisons {measure} gives unrelated sentences more than 0.90 (up to {most}): with so "
            "few sentences for so many directions a high raw value is no sign of similarity. Judge it by "
            "p, or read another measure.",
            high=told_many("scores", high), all=told_many("scores", rows), measure=name,
            most=told("scores", high.iloc[int(high["null_mean"].to_numpy().argmax())], "null_mean"),
        )  # fmt: skip
        saturated.append(_traced("saturated", f"{name} is saturated", text))
    return saturated


#: Permutations that keep clusters together from which p-values have room; and the share of sentences in clusters of a
#: size that no other has from which nulls are reported as too wide.
FEWEST_PERMUTATIONS, MOST_ALONE = 1000, 0.2


def _clusters(meta: dict[str, Any]) -> list[Caveat]:
    """Say what is not known of sentences that belong together, or what their clusters do not allow."""
    options = meta["options"]
    known = options.get("clusters")
    if known is None:
        return [_unknown_clusters(meta)] if "repetition" in options else []
    sizes = {int(size): int(count) for size, count in known["sizes"].items()}
    n = sum(size * count for size, count in sizes.items())
    if not known["used"]:
        if known["count"] == n:
            return []
        text = (
            f"The {n} sentences belong to {known['count']} clusters (documents), but were compared as if every "
            "sentence were independent: p-values are too small and intervals too narrow."
        )
        return [{"id": "clusters-ignored", "title": "Clusters of sentences were ignored", "text": text}]
    cluster_caveats = []
    if known.get("source") == "texts":
        text = (
            f"Sentences whose texts are nearly the same were kept together: {n} sentences are {known['count']} "
            "clusters. Sentences of one document that share few words are not found by their texts; where there are "
            "any, p-values are too small and intervals too narrow."
        )
        cluster_caveats.append(
            {"id": "clusters-from-texts", "title": "Clusters were estimated from the texts", "text": text}
        )
    if unknown := known.get("unknown"):
        cluster_caveats.append(_known_in_part(unknown, known["left_out"], n))
    said = []
    distinct = distinct_permutations(sizes)
    if distinct < FEWEST_PERMUTATIONS:
        said.append(
            f"Only {distinct:.0f} permutations keep the {known['count']} clusters of sentences together, so that no "
            f"p-value can be below {1 / distinct:.2g}."
        )
    alone = sum(size for size, count in sizes.items() if count == 1)
    if alone > MOST_ALONE * n:
        said.append(
            f"{alone} of {n} sentences are in clusters of a size that no other cluster has: they are permuted within "
            "their cluster only. What clusters have in common stays in the null, which errs towards p-values that are "
            "too large."
        )
    if said:
        cluster_caveats.append({"id": "clusters", "title": "Clusters leave few permutations", "text": " ".join(said)})
    return cluster_caveats


def _known_in_part(unknown: int, left_out: int, n: int) -> Caveat:
    """Say what became of the sentences whose cluster is not known, n being those that were compared."""
    rejected = (
        "in simulated unrelated data of which 20 % of the sentences belonged to documents without being known to, "
        "tests at .05 rejected in 16 to 34 % of draws"
    )
    if left_out:
        text = (
            f"The cluster (document) of {left_out} of {n + left_out} sentences is not known, and these were left out "
            f"of all comparisons: {rejected}. Give a sentence that belongs with no other a cluster of its own, and it "
            'is compared; clusters = "alone" in the study compares all.'
        )
        return {"id": "clusters-left-out", "title": "Sentences without a cluster were left out", "text": text}
    text = (
        f"The cluster (document) of {unknown} of {n} sentences is not known, and each of these was treated as "
        f"independent of all others. Where they are not, p-values are too small and intervals too narrow: {rejected}."
    )
    return {"id": "clusters-known-in-part", "title": "Some sentences may not be independent", "text": text}


def _unknown_clusters(meta: dict[str, Any]) -> Caveat:
    text = (
        "The corpus does not say which sentences belong together (no cluster, such as a document), so p-values and "
        "intervals treat all sentences as independent. "
    )
    alike, n = meta["options"]["repetition"], int(meta["corpus"]["n"])
    if alike is not None and alike["sentences"]:
        text += (
            f"{alike['sentences']} of {n} sentences ({alike['sentences'] / n:.0%}) have a text that is nearly the same "
            f"as another's in at least one language. Intervals may be up to {alike['narrow']:.1f} times too narrow, "
            "and p-values too small: in simulated unrelated data with a third of the sentences repeated, tests at .05 "
            'rejected in 34 to 100 % of draws (retrieval in 6 %). clusters = "texts" in the study keeps these '
            "together; 'babelscope corpora check' with --suggest-clusters writes them as a column 'cluster'."
        )
    else:
        text += ("No two texts are nearly the same" if alike is not None else "No texts are known") + (
            "; sentences of one document are still not independent. In simulated unrelated data of three sentences a "
            "document, which shared .3 of the variance, tests at .05 rejected in 39 to 100 % of draws (retrieval in at "
            "most 9 %)."
        )
    return {"id": "clusters-unknown", "title": "Sentences may not be independent", "text": text}


def _readers(meta: dict[str, Any]) -> Caveat | None:
    readers: dict[str, list[str]] = meta["corpus"].get("readers", {})
    minutes = meta["corpus"].get("minutes", {})
    if not minutes:
        return None
    second = meta["options"].get("ceilings", {})  # languages of which sentences were recorded by two readers
    alone = [language for language, names in readers.items() if len(names) == 1 and language not in second]
    unknown = [language for language, names in readers.items() if not names and language not in second]
    if not (alone or unknown):
        return None
    who = "The corpus does not say who reads" if unknown else "One reader speaks each of"
    text = (
        f"{who} {', '.join(unknown or alone)}: what looks like a difference between languages in speech may be one "
        "between voices or recordings."
    )
    title = "Language and reader cannot be distinguished"
    return {"id": "unknown-readers" if unknown else "one-reader", "title": title, "text": text}


def _notes(name: str, title: str, notes: list[str]) -> Caveat | None:
    return {"id": name, "title": title, "text": " ".join(notes)} if notes else None


def _towers(meta: dict[str, Any]) -> Caveat | None:
    if meta["model"].get("shared") or len(meta["model"]["sides"]) < 2:
        return None
    compared = f"Each speech point is compared {meta['options']['match_text']}."
    text = f"The two sides share no layer, so there is no common depth. {compared}"
    return {"id": "towers", "title": "Two separate towers", "text": text}


def _weights_by_language(meta: dict[str, Any]) -> Caveat | None:
    apart = [side["modality"] for side in meta["model"]["sides"] if side.get("weights_by_language")]
    if not apart:
        return None
    text = (
        f"Each language has weights of its own in {' and '.join(apart)}: a layer of one language is not the same "
        "layer as that of another, so that a language gap there is also one between two networks."
    )
    return {"id": "weights-by-language", "title": "Another encoder a language", "text": text}


def _uncontrolled(scores: pd.DataFrame, meta: dict[str, Any]) -> Caveat | None:
    if "length_regressed" not in meta["options"]["controls"]:
        return None
    compared = scores[scores["kind"] != "reader_similarity"]  # of one sentence, one text
    plain, less = (len(compared[compared["control"] == control]) for control in ("none", "length_regressed"))
    if less >= plain:
        return None
    text = (
        f"{plain - less} of {plain} scores have no counterpart with lengths regressed out: there are too few sentences "
        "for the number of lengths, or no length is known."
    )
    return {"id": "no-length-control", "title": "Length not controlled everywhere", "text": text}


def _many(scores: pd.DataFrame) -> Caveat | None:
    tests = int(scores["p"].notna().sum())
    if tests < 20:
        return None
    text = Traced(
        "The scores have {tests} p-values, each for its own comparison and not corrected for their number: of "
        "unrelated data one in twenty would fall below .05. What verdict, headline, findings and the table of "
        "languages say rests on corrected ones.",
        tests=told_many("scores", scores[scores["p"].notna()]),
    )
    return _traced("many-tests", "Many comparisons", text)
