"""Whether closing the gap inside the model changes its output, where a study patched speech."""

from __future__ import annotations

from babelscope.gaps.result import Result
from babelscope.gaps.traced import told_count
from babelscope.report import queries
from babelscope.report.evidence.rows import listing
from babelscope.report.section import Section, section
from babelscope.report.sentences import Sentence, tell

#: What is patched and what is looked at, in a reader's words.
KINDS = {
    "centroid": "moved to the text's centroid",
    "subspace": "given the text centroid's part of the subspace between the modalities",
    "language": "without its language's vector",
}
OUTCOMES = {
    "retrieval_same": "P@1, own language",
    "retrieval_across": "P@1, other languages",
    "retrieval_same_centred": "P@1, own language, centred",
    "retrieval_across_centred": "P@1, other languages, centred",
    "cosine_same": "cosine, own language",
    "cosine_across": "cosine, other languages",
    "kl": "next token: KL from text, nats",
}


@section(order=72)
def patch(result: Result) -> Section | None:
    """Return how many outcomes improve beyond random patches, and all of them; None without patches."""
    if (table := queries.table(result, "patch")) is None:
        return None
    means = table[table["language"] == "mean"]
    closing = means[means["closes"].astype(bool)]
    moved = means[means["outcome"] == "retrieval_across"]
    sentences = [
        Sentence(
            "{closes} of {all} outcomes improve at the output when speech is patched, beyond random patches of the "
            "same size (corrected, and with an interval that excludes 0).",
            closes=told_count("patch", closing),
            all=told_count("patch", means),
        )
    ]
    if len(moved):
        row = moved.sort_values("change", kind="stable").iloc[-1]
        sentences.append(
            Sentence(
                "The largest change of P@1 across languages is {change} (95 % {low} to {high}), with speech {kind} at "
                "{point}.",
                change=tell("patch", row, "change"), low=tell("patch", row, "low"), high=tell("patch", row, "high"),
                kind=KINDS.get(str(row["kind"]), str(row["kind"])), point=str(row["point"]),
            )
        )  # fmt: skip
    caption = "Speech patched at a layer, fitted on other sentences; changes at the output, mean over the languages."
    texts = {"point": "layer", "kind": "patch", "outcome": "outcome"}
    numbers = {name: name for name in ("plain", "change", "low", "high")}
    numbers |= {"random": "random patches", "p_adjusted": "p, corrected"}
    listed = listing("patch", means.replace({"outcome": OUTCOMES}), caption, texts, numbers)
    return Section("patch", "Does closing the gap change the output?", tuple(sentences), None, listed)
