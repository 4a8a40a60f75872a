"""What speech reads as inside the model, where a study read its positions."""

from __future__ import annotations

from babelscope.gaps.result import Result
from babelscope.report import queries
from babelscope.report.evidence.rows import listing
from babelscope.report.section import Section, section
from babelscope.report.sentences import Sentence, percent, tell
from babelscope.report.wording import number


@section(order=70)
def lens(result: Result) -> Section | None:
    """Return where most positions read as words of the transcript, and the shares by layer; None without a lens."""
    if (table := queries.table(result, "lens")) is None:
        return None
    means = table[(table["language"] == "mean") & (table["of"] == "transcript")]
    best = means.sort_values("excess", kind="stable").iloc[-1]
    above = float(best["p_adjusted"]) <= 0.05
    text = (
        "At {point}, {share} of the positions of speech read as a word of the transcript, {others} as one of another "
        "sentence's (difference {excess}, 95 % {low} to {high}, corrected p = {p})."
        if above
        else "Nowhere do positions of speech read as words of the transcript more often than of other sentences: at "
        "most {share} against {others}, at {point} (corrected p = {p})."
    )
    sentence = Sentence(
        text,
        point=str(best["point"]),
        share=percent("lens", best, "share"),
        others=percent("lens", best, "other_sentences"),
        p=tell("lens", best, "p_adjusted"),
        **{name: tell("lens", best, name) for name in (("excess", "low", "high") if above else ())},
    )
    caption = (
        f"Positions whose {number(float(best['k']), 0)} nearest entries ({best['by']}) hold a word of the sentence; "
        f"mean over the languages. lens.html plays recordings with what each layer reads."
    )
    shown = table[(table["language"] == "mean") & (table["of"] != "neither")]
    shares = {"share": "share", "other_sentences": "other sentences"}
    texts, numbers = {"point": "layer", "of": "words of"}, shares | {"p_adjusted": "p, corrected"}
    listed = listing("lens", shown, caption, texts, numbers, percents=shares)
    return Section("lens", "What does speech read as?", (sentence,), None, listed)
