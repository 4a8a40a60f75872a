"""The picture of a run's gaps against its steps, from the log that the monitor wrote."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import pandas as pd

from babelscope.cache import write_atomically
from babelscope.monitor import read_log
from babelscope.report.figure import to_svg

#: Measure, and what it is called in the picture.
SHOWN = {
    "centroid_gap": "centroid gap, speech against text (0 is none)",
    "retrieval": "precision at 1, speech against text (1 is best)",
}


def means(log: Path) -> pd.DataFrame:
    """Return the mean over languages of every gap: columns ``measure``, ``point``, ``step``, ``value``."""
    rows = read_log(log)
    rows = rows[(rows["kind"] == "modality_similarity") & rows["measure"].isin(list(SHOWN))]
    return rows.groupby(["measure", "point", "step"], sort=False)["value"].mean().reset_index()


def curve(log: Path) -> alt.HConcatChart:
    """Return two panels: the centroid gap and retrieval at each watched point, against the step."""
    table = means(log)
    points = list(dict.fromkeys(table["point"]))
    colour = alt.Color("point:N", sort=points, title="point", scale=alt.Scale(scheme="viridis"))
    panels = [
        alt.Chart(table[table["measure"] == measure])
        .mark_line(point=alt.OverlayMarkDef(size=18))
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=True)),
            color=colour,
        )
        .properties(width=330, height=260)
        for measure, title in SHOWN.items()
    ]
    return alt.hconcat(*panels).properties(
        title="Gaps on validation sentences while pocket's adapter is trained (mean over five languages)"
    )


def draw(log: Path, stem: Path) -> None:
    """Write the picture as SVG."""
    svg = to_svg(curve(log))
    write_atomically(stem.with_suffix(".svg"), lambda path: path.write_text(svg, encoding="utf-8"))
