"""How it was done, fit to paste into a paper: written from the provenance and from nothing else, with what it cites."""

from __future__ import annotations

from typing import Any

from babelscope.gaps.baselines.regressed import described_in_words
from babelscope.gaps.result import CONTROLS, Result
from babelscope.report import queries, references
from babelscope.report.meta import get, items, mapping
from babelscope.report.references import REFERENCES, Reference, cite
from babelscope.report.wording import CONTROL_TITLES, listed, measure_title

#: The analysis that this package follows.
LEE = "lee2025multimodal"


def section(result: Result) -> dict[str, Any]:
    """Return the paragraphs, and the references that they cite, in alphabetical order."""
    cited: dict[str, Reference] = {}

    def citing(*works: Reference) -> str:
        cited.update({one.key: one for one in works})
        return cite(works)

    named = {key: REFERENCES[key] for key in REFERENCES}
    meta = result.meta
    paragraphs = [
        _data(result, meta, citing),
        _representations(result, meta, citing),
        _measures(result, citing, named),
        _nulls(meta, citing, named),
        _controls(result, meta),
        _further(result, citing, named),
    ]
    texts = [" ".join(sentences) for sentences in paragraphs if sentences]
    ordered = sorted(cited.values(), key=lambda one: (one.authors.lower(), one.year, one.title))
    return {
        "paragraphs": texts,
        "references": ordered,
        "bibtex": "\n\n".join(one.bibtex for one in ordered),
    }


def families(meta: dict[str, Any]) -> list[str]:
    """Return the model's name and the families of its sides."""
    names = [get(meta, "model", "name"), *(get(side, "family") for side in items(get(meta, "model", "sides")))]
    return [str(name) for name in names if name]


def sentences_of(result: Result) -> int | None:
    """Return how many sentences were compared."""
    named = mapping(result.meta, "corpus").get("n")
    if isinstance(named, int):
        return named
    counts = result.curves["n"].dropna()
    return int(counts.max()) if len(counts) else None


def _data(result: Result, meta: dict[str, Any], citing: Any) -> list[str]:
    corpus, model = mapping(meta, "corpus"), mapping(meta, "model")
    n, names = sentences_of(result), queries.languages(result)
    if not n:
        return []
    where = f" in {len(names)} language{'' if len(names) == 1 else 's'} ({listed(names, 120)})" if names else ""
    data = corpus.get("title") or corpus.get("name")
    of_corpus = citing(*references.of_corpus(str(corpus.get("name") or "")))
    source = f" of the corpus {data}{of_corpus}" if data else ""
    name = str(model.get("name") or "the model")
    sentences = [
        f"{n} sentences{where}{source} went through {name}{citing(*references.of_model(*families(meta)))}.",
        "Every language has the same sentences.",
    ]
    if revision := model.get("revision"):
        sentences.append(f"The weights are those of revision {revision}.")
    if window := mapping(meta, "options").get("window_seconds"):
        sentences.append(f"Speech entered in windows of {window} s.")
    return sentences


def _representations(result: Result, meta: dict[str, Any], citing: Any) -> list[str]:
    options = mapping(meta, "options")
    sentences = []
    if pooling := options.get("pooling"):
        sentences.append(
            f"At each point an utterance's activations were pooled to one vector over its valid positions ({pooling}), "
            f"after{_bare(citing(REFERENCES[LEE]))}."
        )
    sentences.append("In every comparison rows are sentences and columns are features.")
    if match := options.get("match_text") or options.get("match"):
        sentences.append(f"Speech points and text points were matched so: {match}.")
    if partner := partner_of(result):
        sentences.append(f"Shown here is every speech point compared with {partner}.")
    return sentences


def partner_of(result: Result) -> str | None:
    """Return the one text point that every speech point is compared with, if there is one."""
    faced = queries.facing(result)
    return next(iter(faced.values())) if len(faced) > 1 and len(set(faced.values())) == 1 else None


def _measures(result: Result, citing: Any, named: dict[str, Reference]) -> list[str]:
    measures = queries.measures(result)
    if not measures:
        return []
    measured = [f"{measure_title(name)}{citing(*references.of_measure(name))}" for name in measures]
    return [f"The similarity of two sets of representations was measured by {listed(measured, 40)}."]


def _nulls(meta: dict[str, Any], citing: Any, named: dict[str, Reference]) -> list[str]:
    options = mapping(meta, "options")
    sentences = []
    if null := options.get("null"):
        sentences.append(f"The null is a {null}." if str(null).startswith("permutation") else f"The null: {null}.")
    if permutations := options.get("permutations"):
        most = "" if str(null).startswith("permutation") else "at most "  # what earlier versions drew for every score
        cited = citing(named["groger2026revisiting"])
        sentences.append(
            f"Where permutations were drawn, there were {most}{permutations} permutations{cited}; p is the "
            "probability that the null reaches the score."
        )
    sentences.append(
        "Scores are compared, averaged and subtracted as (score − null mean) / (best − null mean): 0 is what unrelated "
        "sentences give on average, 1 perfect agreement."
    )
    if interval := options.get("interval"):
        sources = [named["efron1981jackknife"]] + [named["shao1989general"]] * ("drawn" in str(interval))
        sentences.append(f"Intervals: {interval}{citing(*sources)}.")
        if str(options.get("interval_of_means", "")).endswith("languages"):
            sentences.append(
                "Those of means over languages or pairs are for other languages too: the jackknife over languages adds "
                "what the sentences do not explain."
            )
    if options.get("seed") is not None:
        sentences.append(f"The seed was {options['seed']}.")
    return sentences


def _controls(result: Result, meta: dict[str, Any]) -> list[str]:
    used = queries.distinct(result.scores["control"])
    there = [name for name in CONTROLS if name != "none" and name in used]
    if not there:
        return []
    controls = [f"{CONTROL_TITLES[name]} ({CONTROLS[name]})" for name in there]
    forms = [
        f"{CONTROL_TITLES[control].capitalize()}: {described_in_words(described)}."
        for control, described in mapping(meta, "options", "regressed").items()
    ]
    return [f"Every comparison was repeated under the controls {listed(controls, 9)}.", *forms]


def _further(result: Result, citing: Any, named: dict[str, Reference]) -> list[str]:
    sentences = []
    decomposition = result.tables.get("decomposition")
    if decomposition is not None and len(decomposition):
        sentences.append(
            "The variance of each layer was divided into sentence, language, modality, their interactions and the rest "
            f"({decomposition['convention'].iloc[0]})."
        )
    if "centroids" in result.tables:
        sentences.append(f"Distances between the means of two groups follow{_bare(citing(named['liang2022mind']))}.")
    classes = [
        table["resource_class"] for name in ("languages", "diagnosis") if (table := result.tables.get(name)) is not None
    ]
    if any(column.notna().any() and (column.astype(str) != "").any() for column in classes):
        sentences.append(f"Resource classes are those of{_bare(citing(named['joshi2020state']))}, in three.")
    if "projection" in result.tables:
        sentences.append("Point maps show the first two principal axes.")
    return sentences


def _bare(citation: str) -> str:
    return citation.replace(" (", " ", 1).removesuffix(")")
