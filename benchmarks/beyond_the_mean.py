"""Draw the figures of the page "Beyond the mean": what pocket reads in speech, and what moving its centroid does.

::

    python benchmarks/beyond_the_mean.py docs/figures/beyond-the-mean

It runs two studies on the prompts of Asterisk that pocket was not trained on, with the trained adapter and with an
untrained one (some twenty minutes on one core), and draws from their results. ``--results FOLDER`` keeps them, and
draws from those that are there. Every figure comes with the table it shows, as CSV.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from babelscope.gaps import Result
from babelscope.study import Study, run

KINDS = ("trained", "untrained")
POINTS = ["shared.input", "shared.layer.3", "shared.layer.7", "shared.layer.11"]
COLOURS = ["#4269d0", "#d6604d", "#2a9d6f"]


def study(adapter: str, output: Path) -> Study:
    """Return the study of one adapter."""
    return Study.parse(
        {
            "name": f"pocket, {adapter}",
            "output": str(output),
            "measures": ["retrieval"],
            "controls": ["none"],
            "kinds": ["modality_similarity"],
            "intervals": False,
            "compute_baselines": False,
            "points": ["text.words", "shared.*"],
            "permutations": 99,
            "corpus": {
                "source": "asterisk",
                "languages": ["en", "fr", "ru"],
                "held_out": True,
                "max_seconds": 12,
                "ceilings": "none",
            },
            "model": {"name": "pocket", "options": {"adapter": adapter}, "batch_size": 32, "batch_seconds": 120},
            "neurons": {"points": POINTS, "permutations": 199},
            "patch": {"points": ["shared.layer.4", "shared.layer.9"], "kinds": ["centroid"], "n": 24},
            "lens": {"points": POINTS, "n": 24, "shown": 2},
        }
    )


def both(results: dict[str, Result], table: str) -> pd.DataFrame:
    """Return one table of both studies, with a column ``adapter``."""
    return pd.concat([result.tables[table].assign(adapter=kind) for kind, result in results.items()], ignore_index=True)


def words(results: dict[str, Result]) -> tuple[pd.DataFrame, Any]:
    """Shares of positions that are words of the transcript, by layer and language."""
    table = both(results, "lens")
    table = table[(table["of"] == "transcript") & (table["language"] != "mean")]
    table = table[["adapter", "point", "language", "share", "other_sentences", "excess", "low", "high", "p_adjusted"]]
    base = alt.Chart(table).encode(x=alt.X("point:N", sort=POINTS, title=None), color=_coloured("language"))
    lines = base.mark_line(point=True).encode(y=alt.Y("share:Q", title="positions that read as the transcript"))
    null = base.mark_line(strokeDash=[4, 3]).encode(y="other_sentences:Q")
    return table, (lines + null).properties(width=260, height=220).facet(column=alt.Column("adapter:N", title=None))


def scripts(results: dict[str, Result]) -> tuple[pd.DataFrame, Any]:
    """Shares of readings of Russian speech by the script of most of their letters."""
    table = both(results, "lens_languages")
    table = table[(table["by"] == "script") & (table["language"] == "ru")][["adapter", "point", "read_as", "share"]]
    chart = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("point:N", sort=POINTS, title=None),
            y=alt.Y("share:Q", title="readings of Russian speech"),
            color=_coloured("read_as", "script"),
        )
        .properties(width=260, height=200)
        .facet(column=alt.Column("adapter:N", title=None))
    )
    return table, chart


def patches(results: dict[str, Result]) -> tuple[pd.DataFrame, Any]:
    """What moving speech to the text's centroid changes at the output, against random directions of the same size."""
    table = both(results, "patch")
    shown = ["retrieval_same", "retrieval_across", "retrieval_across_centred"]
    table = table[(table["language"] == "mean")]
    columns = ["plain", "patched", "change", "low", "high", "random", "random_low", "random_high", "p", "p_adjusted"]
    table = table[["adapter", "point", "outcome", *columns, "closes", "size"]]
    base = alt.Chart(table[table["outcome"].isin(shown)]).encode(
        x=alt.X("outcome:N", sort=shown, title=None, axis=alt.Axis(labelAngle=-30))
    )
    random = base.mark_bar(width=16, opacity=0.25).encode(
        y=alt.Y("random_low:Q", title="change of P@1 at the output"), y2="random_high:Q"
    )
    own = base.mark_point(filled=True, size=70).encode(y="change:Q") + base.mark_rule().encode(y="low:Q", y2="high:Q")
    facets = {"row": alt.Row("adapter:N", title=None), "column": alt.Column("point:N", title=None)}
    return table, (random + own).properties(width=240, height=160).facet(**facets)


def selective(results: dict[str, Result]) -> tuple[pd.DataFrame, Any]:
    """Shares of features that tell speech from text, or a language from the others."""
    table = both(results, "neurons")
    table = table.assign(
        question=table["question"].where(table["question"] != "language", table["modality"] + " language")
    )
    table = table.groupby(["adapter", "question", "point"], sort=False)["share"].mean().reset_index()
    chart = (
        alt.Chart(table)
        .mark_line(point=True)
        .encode(
            x=alt.X("point:N", sort=POINTS, title=None),
            y=alt.Y("share:Q", title="selective features (AUC .8, corrected)"),
            color=_coloured("question"),
        )
        .properties(width=260, height=200)
        .facet(column=alt.Column("adapter:N", title=None))
    )
    return table, chart


def _coloured(name: str, title: str | None = None) -> Any:
    return alt.Color(f"{name}:N", title=title or name, scale=alt.Scale(range=COLOURS))


FIGURES = {"words": words, "scripts": scripts, "patches": patches, "selective": selective}


def main() -> None:
    """Run what is not there, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=Path, help="where the studies are, or shall be")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = asked.results or Path(scratch)
        results = {}
        for kind in KINDS:
            if not (place / kind / "result.json").is_file():
                run(study(kind, place / kind), progress=lambda what, done, total: print(what, done, total, flush=True))
            results[kind] = Result.load(place / kind)
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name, figure in FIGURES.items():
        table, chart = figure(results)
        table.round(4).to_csv(asked.folder / f"{name}.csv", index=False)
        chart.configure(background="white", font="sans-serif").save(asked.folder / f"{name}.svg")


if __name__ == "__main__":
    main()
