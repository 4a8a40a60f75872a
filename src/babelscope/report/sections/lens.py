"""What speech reads as inside the model, where a study read its positions."""

from __future__ import annotations

from babelscope.gaps.result import Result
from babelscope.report.section import Column, Section, Table, section
from babelscope.report.sentences import Sentence, percent, tell
from babelscope.report.wording import number


@section(order=70)
def lens(result: Result) -> Section | None:
    """Return where most positions read as words of the transcript, and the shares by layer; None without a lens."""
    table = result.tables.get("lens")
    if table is None or table.empty:
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
    parts = {"excess": "excess", "low": "low", "high": "high"} if above else {}
    sentence = Sentence(
        text,
        point=str(best["point"]),
        share=percent("lens", best, "share"),
        others=percent("lens", best, "other_sentences"),
        p=tell("lens", best, "p_adjusted"),
        **{name: tell("lens", best, column) for name, column in parts.items()},
    )
    shown = table[(table["language"] == "mean") & (table["of"] != "neither")]
    rows = tuple(
        (
            str(row["point"]),
            str(row["of"]),
            percent("lens", row, "share"),
            percent("lens", row, "other_sentences"),
            tell("lens", row, "p_adjusted"),
        )
        for _, row in shown.iterrows()
    )
    caption = (
        f"Positions whose {number(float(best['k']), 0)} nearest entries ({best['by']}) hold a word of the sentence; "
        f"mean over the languages. lens.html plays recordings with what each layer reads."
    )
    columns = (
        Column("layer", numeric=False),
        Column("words of", numeric=False),
        Column("share"),
        Column("other sentences"),
        Column("p, corrected"),
    )
    return Section("lens", "What does speech read as?", (sentence,), None, Table(caption, columns, rows))
