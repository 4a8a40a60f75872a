"""Which features carry a modality or a language, where a study asked."""

from __future__ import annotations

from babelscope.gaps.result import Result
from babelscope.report import queries
from babelscope.report.evidence.rows import listing
from babelscope.report.section import Section, section
from babelscope.report.sentences import Sentence, percent, tell


@section(order=74)
def neurons(result: Result) -> Section | None:
    """Return the largest share of selective features, and the shares by layer; None where nobody asked."""
    if (table := queries.table(result, "neurons")) is None:
        return None
    best = table.sort_values("share", kind="stable").iloc[-1]
    what = "speech from text" if best["question"] == "modality" else f"a language from the others in {best['modality']}"
    none = not float(best["share"])
    sentence = Sentence(
        "No single feature tells speech from text, or a language from the others, at an AUC of {auc}."
        if none
        else "Most features are selective at {point}: {share} of them tell {what} in {language} (AUC {auc} or more, "
        "corrected p ≤ .05).",
        auc=tell("neurons", best, "threshold"),
        **({} if none else {
            "point": str(best["point"]), "share": percent("neurons", best, "share"), "what": what,
            "language": str(best["language"]),
        }),
    )  # fmt: skip
    questions = ("language, in " + table["modality"].astype(str)).where(
        table["question"] != "modality", "speech or text"
    )
    caption = "Features selective for a modality or a language; tables/neurons_overlap.parquet says which are the same."
    texts = {"point": "layer", "tells": "tells", "language": "language"}
    numbers = {"share": "selective features", "largest_auc": "strongest AUC", "p_adjusted": "its p, corrected"}
    listed = listing("neurons", table.assign(tells=questions), caption, texts, numbers, percents=("share",))
    return Section("neurons", "Which features carry it?", (sentence,), None, listed)
