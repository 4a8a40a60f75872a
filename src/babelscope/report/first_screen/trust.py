"""What trust in a study depends on, a fact a line."""

from __future__ import annotations

from babelscope.gaps.caveats import FEW_SENTENCES
from babelscope.gaps.result import Result
from babelscope.languages import name_of
from babelscope.report.first_screen.content import Fact
from babelscope.report.first_screen.reading import caveat_ids, one_reader, sentences_of, some_of
from babelscope.report.queries import get, items, mapping
from babelscope.report.wording import plural


def facts_of(result: Result) -> list[Fact]:
    """Return what trust in the study depends on: sentences, clusters, readers, baselines, intervals, seed."""
    facts = []
    n = sentences_of(result)
    languages = items(get(result.meta, "corpus", "languages"))
    if n:
        few = n < FEW_SENTENCES
        text = f"{n} in {len(languages)} {plural('language', len(languages))}" if languages else str(n)
        facts.append(Fact("Sentences", text + (f"; fewer than {FEW_SENTENCES} are few" if few else ""), few))
    options = mapping(result.meta, "options")
    clusters = options.get("clusters")
    ids = caveat_ids(result)
    if isinstance(clusters, dict):
        used = bool(clusters.get("used"))
        said = f"{clusters.get('count')} known" + ("" if used else ", but ignored: p too small, intervals too narrow")
        unknown, left_out = clusters.get("unknown"), clusters.get("left_out")
        if unknown:
            said += f"; {left_out or unknown} sentences without one " + (
                "left out" if left_out else "taken as independent"
            )
        warned = (not used and "clusters-ignored" in ids) or "clusters-known-in-part" in ids
        facts.append(Fact("Clusters of sentences", said, warned))
    elif "clusters-unknown" in ids:
        facts.append(Fact("Clusters of sentences", "not known; sentences are taken as independent", True))
    facts += _readers(result, ids)
    titles = [str(title) for baseline in items(options.get("baselines")) if (title := get(baseline, "title"))]
    titles += [str(label) for model in items(result.meta.get("beside")) if (label := get(model, "label"))]
    facts.append(Fact("Baselines", "; ".join(titles) if titles else "none", not titles))
    holds_for = options.get("interval_of_means")
    facts.append(Fact("Intervals", f"95 %, for {holds_for}", False) if holds_for else Fact("Intervals", "none", True))
    if "seed" in options:
        facts.append(Fact("Seed", str(options["seed"])))
    return facts


def _readers(result: Result, ids: set[str]) -> list[Fact]:
    corpus = mapping(result.meta, "corpus")
    if not corpus.get("minutes"):
        return []
    second = [name_of(code) for code in mapping(result.meta, "options", "ceilings")]
    text = "not known" if "unknown-readers" in ids else "one in some languages" if "one-reader" in ids else (
        "two or more a language"
    )  # fmt: skip
    readers = mapping(corpus, "readers")
    if "one-reader" in ids and all(len(names) == 1 for names in readers.values()):
        text = "one a language"
    if second:
        text += f"; second recordings in {some_of(second)}"
    return [Fact("Readers", text, one_reader(result))]
