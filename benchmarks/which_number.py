"""Draw the figures of the page "Which number can I trust?" from data that it makes itself.

::

    python benchmarks/which_number.py docs/figures/which-number

Every figure comes with the table it shows, as CSV, so that the text can be checked against it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from babelscope import similarity as sim

FloatArray = npt.NDArray[np.float64]

SPECTRA = {"flat": 0.0, "falling as i^-0.75": 0.75, "steep, i^-1.5": 1.5}
COLOURS = ["#4269d0", "#d6604d", "#2a9d6f", "#8b6bb1"]


@dataclass(frozen=True)
class Size:
    """How much to compute."""

    sentences: tuple[int, ...]
    features: int
    planted: int
    draws: int
    rogue: tuple[float, ...]


FULL = Size((50, 75, 100, 150, 200, 250, 350, 500, 700, 1000), 1024, 350, 3, (1, 2, 4, 8, 16, 32, 64, 128, 256))
SMALL = Size((40, 80), 64, 120, 1, (1, 64))


def cloud(rng: np.random.Generator, n: int, d: int, exponent: float) -> FloatArray:
    """Return n sentences in d features whose singular values fall as i^-exponent."""
    q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    out: FloatArray = (rng.normal(size=(n, d)) * np.arange(1, d + 1) ** -exponent) @ q
    return out


def unrelated(size: Size) -> pd.DataFrame:
    """Score two clouds that have nothing in common, for every n and spectrum."""
    rng = np.random.default_rng(0)
    rows = []
    for spectrum, exponent in SPECTRA.items():
        for n in size.sentences:
            for draw in range(size.draws):
                x, y = (cloud(rng, n, size.features, exponent) for _ in range(2))
                found = sim.score(x, y, "svcca(variance=0.99)")
                rows.append(
                    {
                        "spectrum": spectrum,
                        "sentences": n,
                        "draw": draw,
                        "SVCCA": found.value,
                        "chance": found.null_mean,
                        "calibrated": found.calibrated,
                        "p": found.p,
                        "directions": found.kx,
                    }
                )
    return pd.DataFrame(rows)


def planted(size: Size) -> pd.DataFrame:
    """Score two sides that share a signal of rank 20 in half their variance, and again with the sentences shuffled."""
    rng = np.random.default_rng(1)
    n, d = size.planted, size.features
    signal = rng.normal(size=(n, 20)) * np.sqrt(d / 20)
    turns = [np.linalg.qr(rng.normal(size=(d, 20)))[0].T for _ in range(2)]
    x, y = (signal @ turn + rng.normal(size=(n, d)) for turn in turns)
    rows = []
    for measure in ("svcca(variance=0.99)", "svcca(variance=0.9)", "linear_cka", "mutual_knn(k=10)", "cv_cca"):
        for pairing, other in (("shared signal", y), ("shuffled", rng.permutation(y))):
            found = sim.score(x, other, measure)
            rows.append(
                {
                    "measure": measure,
                    "pairing": pairing,
                    "value": found.value,
                    "chance": found.null_mean,
                    "chance_corrected": found.chance_corrected,
                    "calibrated": found.calibrated,
                    "p": found.p,
                }
            )
    return pd.DataFrame(rows)


def rogue(size: Size) -> pd.DataFrame:
    """Score two related sides while one feature of one side is blown up with noise."""
    rng = np.random.default_rng(2)
    n, d = size.planted, size.features
    common = cloud(rng, n, d, 0.75)
    x, y = (common + cloud(rng, n, d, 0.75) * 0.5 for _ in range(2))
    noise = rng.normal(size=n) * y.std()
    rows = []
    for factor in size.rogue:
        spoiled = y.copy()
        spoiled[:, 7] = noise * factor
        cleaned, _ = sim.drop_rogue(spoiled)
        svcca = sim.score(x, spoiled, "svcca(variance=0.99)")
        rows.append(
            {
                "times": factor,
                "CKA": sim.linear_cka(x, spoiled),
                "CKA without rogue": sim.linear_cka(x, cleaned),
                "mutual k-NN": sim.mutual_knn(x, spoiled),
                "SVCCA": svcca.value,
                "directions": svcca.ky,
            }
        )
    return pd.DataFrame(rows)


def curves(table: pd.DataFrame, field: str, title: str) -> Any:
    """Draw a score against the number of sentences, one line a spectrum."""
    mean = table.groupby(["spectrum", "sentences"], as_index=False).mean(numeric_only=True)
    colour = alt.Color(
        "spectrum:N", sort=list(SPECTRA), title="Spectrum", scale=alt.Scale(range=COLOURS[:3], domain=list(SPECTRA))
    )
    base = alt.Chart(mean).encode(
        x=alt.X(
            "sentences:Q",
            scale=alt.Scale(type="log", nice=False),
            title="Sentences",
            axis=alt.Axis(values=[50, 100, 200, 500, 1000]),
        ),
        color=colour,
    )
    y = alt.Y(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 1]))
    return base.mark_line(point=True).encode(y=y).properties(width=520, height=280)


def grouped(table: pd.DataFrame) -> Any:
    """Draw value and calibrated value of each measure, for related and shuffled sentences."""
    long = table.melt(["measure", "pairing"], ["value", "calibrated"], "number", "score")
    return (
        alt.Chart(long)
        .mark_bar()
        .encode(
            x=alt.X("measure:N", sort=None, title=None, axis=alt.Axis(labelAngle=-30)),
            xOffset=alt.XOffset("pairing:N", sort=["shared signal", "shuffled"]),
            y=alt.Y("score:Q", title="Score", scale=alt.Scale(domainMax=1)),
            color=alt.Color(
                "pairing:N", sort=["shared signal", "shuffled"], title="Sentences", scale=alt.Scale(range=COLOURS[:2])
            ),
            column=alt.Column("number:N", sort=["value", "calibrated"], title=None),
        )
        .properties(width=300, height=240)
    )


def spoiled(table: pd.DataFrame) -> Any:
    """Draw what one feature does to each measure."""
    names = ["CKA", "CKA without rogue", "mutual k-NN", "SVCCA"]
    long = table.melt(["times"], names, "measure", "score")
    return (
        alt.Chart(long)
        .mark_line(point=True)
        .encode(
            x=alt.X(
                "times:Q", scale=alt.Scale(type="log", base=2), title="Spread of the one feature, times the others'"
            ),
            y=alt.Y("score:Q", title="Score"),
            color=alt.Color("measure:N", sort=names, title=None, scale=alt.Scale(range=COLOURS, domain=names)),
        )
        .properties(width=520, height=280)
    )


def draw(folder: Path, size: Size = FULL) -> list[Path]:
    """Write all figures and tables into `folder`; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    noise, signal, outlier = unrelated(size), planted(size), rogue(size)
    figures = {
        "unrelated-raw": (curves(noise, "SVCCA", "SVCCA of unrelated data"), noise),
        "unrelated-calibrated": (curves(noise, "calibrated", "The same, calibrated"), None),
        "planted": (grouped(signal), signal),
        "rogue": (spoiled(outlier), outlier),
    }
    written = []
    for name, (chart, table) in figures.items():
        path = folder / f"{name}.svg"
        chart.configure(background="white", font="sans-serif").save(path)
        written.append(path)
        if table is not None:
            table.round(4).to_csv(folder / f"{name}.csv", index=False)
            written.append(folder / f"{name}.csv")
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it runs")
    given = parser.parse_args()
    for path in draw(given.folder, SMALL if given.small else FULL):
        print(path)


if __name__ == "__main__":
    main()
