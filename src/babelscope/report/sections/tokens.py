"""Which word a position of speech is: alignments of recordings with their texts, where a study asks for them."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report import charts, queries
from babelscope.report.evidence.rows import listing
from babelscope.report.figure import LANGUAGE_COLOURS, PALETTE, Figure, captioned, finished, restyled, tooltips
from babelscope.report.section import Evidence, Section, Table, section
from babelscope.report.sentences import Sentence, interval, tell

#: The measure that the section leads with, and the level of its tests.
MEASURE, LEVEL = "dtw", 0.05

_TABLE = "tokens_alignment"
_TEXTS = {"language": "language", "speech_point": "speech", "text_point": "text"}


@section(order=70)
def tokens(result: Result) -> Section | None:
    """Return the alignment layer by layer, the strongest pair of layers and what the paths say."""
    if (table := queries.table(result, _TABLE)) is None:
        return None
    rows = table[table["measure"] == MEASURE]
    strongest = rows.loc[rows.groupby("language", sort=False)["excess"].idxmax()]
    lead = _lead(strongest)
    evidence = [Evidence("The strongest pair of layers by language", (_pairs(strongest), *_order(strongest)))]
    paths = result.tables.get("tokens_paths")
    if paths is not None and len(paths):
        evidence.append(Evidence("Norms, positions without a token, and words", (_paths(paths),)))
    notes = result.meta.get("sections", {}).get("tokens", {}).get("notes", [])
    if notes:
        evidence.append(
            Evidence("What could not be aligned", tuple(Sentence("{note}", note=str(one)) for one in notes))
        )
    return Section(
        "tokens", "Which word is a position of speech?", (lead,), _figure(result, rows, lead), None, tuple(evidence)
    )


def _lead(strongest: pd.DataFrame) -> Sentence:
    above = strongest[strongest["p_max"] <= LEVEL]
    if above.empty:
        return Sentence("Positions of speech are no more similar to their own text's tokens than to other texts'.")
    best = queries.highest(above, "excess")
    ends = interval(_TABLE, best)
    return Sentence(
        "Positions of speech follow their own text in {count} of {of} languages (corrected p ≤ .05); most in "
        "{language}, {speech} against {text}: cosine {excess} above texts of like length"
        + (", 95 % {low} to {high}" if ends else "") + ".",
        count=str(len(above)), of=str(len(strongest)), language=str(best["language"]),
        speech=str(best["speech_point"]), text=str(best["text_point"]), excess=tell(_TABLE, best, "excess"),
        **ends,
    )  # fmt: skip


def _order(strongest: pd.DataFrame) -> tuple[Sentence, ...]:
    tested = strongest[strongest["p_order_max"].notna()]
    if tested.empty:
        return ()
    follows = tested[tested["p_order_max"] <= LEVEL]
    return (
        Sentence(
            "There the order of the positions follows that of the words, compared with the same words shuffled, in "
            "{count} of {of} languages (corrected p ≤ .05).",
            count=str(len(follows)),
            of=str(len(tested)),
        ),
    )


def _pairs(strongest: pd.DataFrame) -> Table:
    numbers = {
        "similarity": "cosine along the path", "other": "other sentences", "shuffled": "words shuffled",
        "excess": "above others", "low": "95 % from", "high": "to", "p_max": "corrected p", "n": "sentences",
    }  # fmt: skip
    return listing(_TABLE, strongest, "Dynamic time warping on the centred cosine", _TEXTS, numbers)


def _paths(paths: pd.DataFrame) -> Table:
    numbers = {
        "norm_ratio": "log2 ratio of norms", "positions_per_token": "positions a token",
        "no_match": "share without a match", "in_word": "share in the right word",
        "in_word_linear": "the same in proportion",
    }  # fmt: skip
    caption = "What the paths say; a share of .95 without a match is that of chance"
    return listing("tokens_paths", paths, caption, _TEXTS, numbers)


def _figure(result: Result, rows: pd.DataFrame, lead: Sentence) -> Figure | None:
    same = rows[rows["speech_point"] == rows["text_point"]]
    if same["speech_point"].nunique() > 1 and same["language"].nunique() <= len(LANGUAGE_COLOURS):
        return Figure("alignment", lambda width: _lines(result, same, width), same, lead, str(lead))
    if rows["speech_point"].nunique() * rows["text_point"].nunique() < 2:
        return None
    first = rows[rows["language"] == rows["language"].iloc[0]]
    return Figure("alignment", lambda width: _map(result, first, width), first, lead, str(lead))


def _lines(result: Result, rows: pd.DataFrame, width: int) -> Any:
    names = queries.in_order(rows["language"])
    x = alt.X("speech_point:N", sort=queries.in_order(rows["speech_point"]), title="layer of speech and text")
    colour = alt.Color(
        "language:N",
        title="language",
        scale=alt.Scale(domain=names, range=list(LANGUAGE_COLOURS[: len(names)])),
        legend=alt.Legend(orient="bottom"),
    )

    def at(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title="cosine above other sentences", scale=alt.Scale(nice=False))

    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=PALETTE["null-edge"]).encode(y=alt.Y("zero:Q"))
    columns = ["language", "speech_point", "excess", "low", "high"]
    base = alt.Chart(rows[columns]).encode(x=x, color=colour)
    layers = [
        zero,
        base.mark_area(opacity=0.18).encode(y=at("low"), y2="high:Q"),
        base.mark_line(strokeWidth=1.6).encode(
            y=at("excess"), tooltip=tooltips(["language", "speech_point"], ["excess"])
        ),
    ]
    title = "Positions of speech along their own text, above texts of like length"
    about = charts.about(result, int(rows["n"].max()))
    return finished(alt.LayerChart(layer=layers), width, 220, title, [about])


def _map(result: Result, rows: pd.DataFrame, width: int) -> Any:
    language = str(rows["language"].iloc[0])
    chart = (
        alt.Chart(rows[["speech_point", "text_point", "excess"]])
        .mark_rect()
        .encode(
            x=alt.X("speech_point:N", sort=queries.in_order(rows["speech_point"]), title="layer of speech"),
            y=alt.Y("text_point:N", sort=queries.in_order(rows["text_point"]), title="layer of text"),
            color=alt.Color("excess:Q", title="above others", legend=alt.Legend(orient="bottom")),
            tooltip=tooltips(["speech_point", "text_point"], ["excess"]),
        )
    )
    about = charts.about(result, int(rows["n"].max()))
    title = captioned(f"Alignment of every layer with every layer, {language}", [about], width)
    return restyled(chart.properties(width=width, title=title), "")
