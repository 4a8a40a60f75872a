"""How it was done: the method, fit to paste into a paper with what it cites.

It is written from what the result's ``meta`` and tables record, and from nothing else.
"""

from __future__ import annotations

from typing import Any

from babelscope.gaps.baselines.regressed import described_in_words
from babelscope.gaps.result import CONTROLS, Result
from babelscope.report import queries, references
from babelscope.report.queries import get, items, mapping
from babelscope.report.references import REFERENCES, Reference, cite
from babelscope.report.wording import CONTROL_TITLES, listed, measure_title


def section(result: Result) -> dict[str, Any]:
    """Return the paragraphs, and the references that they cite, in alphabetical order."""
    cited: dict[str, Reference] = {}

    def citing(*works: Reference) -> str:
        cited.update({one.key: one for one in works})
        return cite(works)

    makers = (_data, _representations, _measures, _nulls, _controls, _further)
    paragraphs = [maker(result, citing) for maker in makers]
    texts = [" ".join(sentences) for sentences in paragraphs if sentences]
    ordered = sorted(cited.values(), key=lambda one: (one.authors.lower(), one.year, one.title))
    bibtex = "\n\n".join(one.bibtex for one in ordered)
    return {"paragraphs": texts, "references": ordered, "bibtex": bibtex}


def sentences_of(result: Result) -> int | None:
    """Return how many sentences were compared."""
    named = mapping(result.meta, "corpus").get("n")
    if isinstance(named, int):
        return named
    counts = result.curves["n"].dropna()
    return int(counts.max()) if len(counts) else None


def _data(result: Result, citing: Any) -> list[str]:
    corpus, model = mapping(result.meta, "corpus"), mapping(result.meta, "model")
    n, names = sentences_of(result), queries.languages(result)
    if not n:
        return []
    where = f" in {len(names)} language{'' if len(names) == 1 else 's'} ({listed(names, 120)})" if names else ""
    data = corpus.get("title") or corpus.get("name")
    of_corpus = citing(*references.of_corpus(str(corpus.get("name") or "")))
    source = f" of the corpus {data}{of_corpus}" if data else ""
    name = str(model.get("name") or "the model")
    families = [str(get(side, "family") or "") for side in items(model.get("sides"))]
    of_model = citing(*references.of_model(str(model.get("name") or ""), *families))
    sentences = [
        f"{n} sentences{where}{source} went through {name}{of_model}.",
        "Every language has the same sentences.",
    ]
    if revision := model.get("revision"):
        sentences.append(f"The weights are those of revision {revision}.")
    if window := mapping(result.meta, "options").get("window_seconds"):
        sentences.append(f"Speech entered in windows of {window} s.")
    return sentences


def _representations(result: Result, citing: Any) -> list[str]:
    options = mapping(result.meta, "options")
    sentences = []
    if pooling := options.get("pooling"):
        sentences.append(
            f"At each point an utterance's activations were pooled to one vector over its valid positions ({pooling}), "
            f"after{_bare(citing(REFERENCES['lee2025multimodal']))}."
        )
    sentences.append("In every comparison rows are sentences and columns are features.")
    if match := options.get("match_text") or options.get("match"):
        sentences.append(f"Speech points and text points were matched so: {match}.")
    faced = queries.facing(result)
    if len(faced) > 1 and len(set(faced.values())) == 1:
        sentences.append(f"Shown here is every speech point compared with {next(iter(faced.values()))}.")
    return sentences


def _measures(result: Result, citing: Any) -> list[str]:
    measured = [f"{measure_title(name)}{citing(*references.of_measure(name))}" for name in queries.measures(result)]
    said = f"The similarity of two sets of representations was measured by {listed(measured, 40)}."
    return [said] if measured else []


def _nulls(result: Result, citing: Any) -> list[str]:
    options = mapping(result.meta, "options")
    sentences = []
    if null := options.get("null"):
        sentences.append(f"The null is a {null}." if str(null).startswith("permutation") else f"The null: {null}.")
    if permutations := options.get("permutations"):
        most = "" if str(null).startswith("permutation") else "at most "  # what earlier versions drew for every score
        cited = citing(REFERENCES["groger2026revisiting"])
        sentences.append(
            f"Where permutations were drawn, there were {most}{permutations} permutations{cited}; p is the "
            "probability that the null reaches the score."
        )
    sentences.append(
        "Scores are compared, averaged and subtracted as (score − null mean) / (best − null mean): 0 is what unrelated "
        "sentences give on average, 1 perfect agreement."
    )
    if interval := options.get("interval"):
        sources = [REFERENCES["efron1981jackknife"]] + [REFERENCES["shao1989general"]] * ("drawn" in str(interval))
        sentences.append(f"Intervals: {interval}{citing(*sources)}.")
        if str(options.get("interval_of_means", "")).endswith("languages"):
            sentences.append(
                "Those of means over languages or pairs are for other languages too: the jackknife over languages adds "
                "what the sentences do not explain."
            )
    if options.get("seed") is not None:
        sentences.append(f"The seed was {options['seed']}.")
    return sentences


def _controls(result: Result, citing: Any) -> list[str]:
    used = queries.in_order(result.scores["control"])
    there = [name for name in CONTROLS if name != "none" and name in used]
    if not there:
        return []
    controls = [f"{CONTROL_TITLES[name]} ({CONTROLS[name]})" for name in there]
    forms = [
        f"{CONTROL_TITLES[control].capitalize()}: {described_in_words(described)}."
        for control, described in mapping(result.meta, "options", "regressed").items()
    ]
    return [f"Every comparison was repeated under the controls {listed(controls, 9)}.", *forms]


def _further(result: Result, citing: Any) -> list[str]:
    sentences = []
    decomposition = result.tables.get("decomposition")
    if decomposition is not None and len(decomposition):
        sentences.append(
            "The variance of each layer was divided into sentence, language, modality, their interactions and the rest "
            f"({decomposition['convention'].iloc[0]})."
        )
    if "centroids" in result.tables:
        sentences.append(
            f"Distances between the means of two groups follow{_bare(citing(REFERENCES['liang2022mind']))}."
        )
    classes = [
        table["resource_class"] for name in ("languages", "diagnosis") if (table := result.tables.get(name)) is not None
    ]
    if any(column.notna().any() and (column.astype(str) != "").any() for column in classes):
        sentences.append(f"Resource classes are those of{_bare(citing(REFERENCES['joshi2020state']))}, in three.")
    if "projection" in result.tables:
        sentences.append("Point maps show the first two principal axes.")
    return sentences


def _bare(citation: str) -> str:
    return citation.replace(" (", " ", 1).removesuffix(")")
