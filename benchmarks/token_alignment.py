"""Align pocket's positions of speech to words, with its trained adapter and an untrained one, and draw the figures.

::

    python benchmarks/token_alignment.py docs/figures/tokens --work alignment

Real recordings (Asterisk's prompts, held out of the adapter's training); word times by Whisper-base's
cross-attention. Every figure comes with the table it shows. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from babelscope import corpora, models
from babelscope.capture import encode_positions
from babelscope.tokens import TokenOptions, token_tables
from babelscope.tokens.whisper_times import write_word_times

LAYERS = ("input", "layer.0", "layer.3", "layer.6", "layer.9", "layer.11")
POINTS = ["speech.after_adaptation", "text.words", *(f"shared.{name}" for name in LAYERS)]
COLOURS = {"trained": "#4269d0", "untrained": "#d6604d", "in proportion": "#8a8a8a"}


def measured(work: Path, languages: list[str], n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the alignments and what their paths say, of both adapters."""
    held_out = models.held_out("pocket", "asterisk")
    corpus = corpora.load("asterisk").select(languages=languages, ids=held_out, max_seconds=8, n=n, seed=0)
    work.mkdir(parents=True, exist_ok=True)
    times = work / f"times-{n}.csv"
    if not times.is_file():
        write_word_times(corpus, times)
    options = TokenOptions(points=POINTS, n=n, timings=times)
    aligned, paths = [], []
    for adapter in ("trained", "untrained"):
        model = models.load("pocket", options={"adapter": adapter}).select_points(POINTS)
        positions = encode_positions(model, corpus, work / f"{adapter}-{n}.tokens", points=POINTS, n=n, notice=print)
        tables = token_tables(positions, options, checkpoint=work / f"{adapter}-{n}.tables", notice=print)
        aligned.append(tables["tokens_alignment"].assign(adapter=adapter))
        paths.append(tables["tokens_paths"].assign(adapter=adapter))
    return pd.concat(aligned, ignore_index=True), pd.concat(paths, ignore_index=True)


def excess_chart(aligned: pd.DataFrame) -> tuple[Any, pd.DataFrame]:
    """Draw what the similarity along the path is above that of other sentences, layer by layer."""
    table = aligned[(aligned["measure"] == "dtw") & (aligned["speech_point"] == aligned["text_point"])].copy()
    table["layer"] = table["speech_point"].str.removeprefix("shared.")
    base = alt.Chart(table).encode(
        x=alt.X("layer:O", sort=list(LAYERS), title="shared layer"),
        color=alt.Color("adapter:N", scale=_scale("trained", "untrained"), title="adapter"),
    )
    band = base.mark_area(opacity=0.25).encode(
        y=alt.Y("low:Q", title="cosine along the path, above other sentences"), y2="high:Q"
    )
    line = base.mark_line(point=True).encode(y="excess:Q")
    chart = alt.layer(band, line).properties(width=120, height=150).facet(column=alt.Column("language:N", title=None))
    return chart, table.drop(columns="layer")


def word_chart(paths: pd.DataFrame) -> tuple[Any, pd.DataFrame]:
    """Draw the share of positions that are aligned to the word that is spoken, layer by layer."""
    table = paths[paths["speech_point"] == paths["text_point"]].copy()
    table["layer"] = table["speech_point"].str.removeprefix("shared.")
    linear = table[table["adapter"] == "trained"].assign(adapter="in proportion", in_word=table["in_word_linear"])
    columns = ["language", "layer", "adapter", "in_word", "in_word_positions"]
    shown = pd.concat([table[columns], linear[columns]], ignore_index=True)
    chart = (
        alt.Chart(shown)
        .mark_line(point=True)
        .encode(
            x=alt.X("layer:O", sort=list(LAYERS), title="shared layer"),
            y=alt.Y("in_word:Q", title="positions aligned to the word spoken", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("adapter:N", scale=_scale(*COLOURS), title="adapter"),
        )
        .properties(width=120, height=150)
        .facet(column=alt.Column("language:N", title=None))
    )
    return chart, shown


def order_chart(aligned: pd.DataFrame) -> tuple[Any, pd.DataFrame]:
    """Draw what the true order of the words adds to the similarity, layer by layer."""
    table = aligned[(aligned["measure"] == "dtw") & (aligned["speech_point"] == aligned["text_point"])].copy()
    table["layer"] = table["speech_point"].str.removeprefix("shared.")
    table["order"] = table["similarity"] - table["shuffled"]
    columns = ["language", "layer", "adapter", "order", "p_order", "p_order_max"]
    chart = (
        alt.Chart(table)
        .mark_line(point=True)
        .encode(
            x=alt.X("layer:O", sort=list(LAYERS), title="shared layer"),
            y=alt.Y("order:Q", title="cosine along the path, above shuffled words"),
            color=alt.Color("adapter:N", scale=_scale("trained", "untrained"), title="adapter"),
        )
        .properties(width=120, height=150)
        .facet(column=alt.Column("language:N", title=None))
    )
    return chart, table[columns]


def _scale(*names: str) -> alt.Scale:
    return alt.Scale(domain=list(names), range=[COLOURS[name] for name in names])


def main() -> None:
    """Measure, and write figures and tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the figures and their tables")
    parser.add_argument("--work", type=Path, required=True, help="for positions and word times")
    parser.add_argument("--languages", nargs="+", default=["en", "it"], help="of en es fr it ru")
    parser.add_argument("-n", type=int, default=16, help="sentences")
    chosen = parser.parse_args()
    aligned, paths = measured(chosen.work, chosen.languages, chosen.n)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for name, (chart, table) in {
        "excess": excess_chart(aligned),
        "in-word": word_chart(paths),
        "order": order_chart(aligned),
    }.items():
        chart.save(str(chosen.folder / f"{name}.svg"))
        table.round(4).to_csv(chosen.folder / f"{name}.csv", index=False)
    aligned.round(4).to_csv(chosen.folder / "alignment.csv", index=False)
    paths.round(4).to_csv(chosen.folder / "paths.csv", index=False)


if __name__ == "__main__":
    main()
