"""How often the 95 % intervals of scores hold the score's mean over studies of as many other sentences.

Each call adds draws to a file of scores and intervals, so that hours of simulation can be collected in parts of
minutes::

    python benchmarks/coverage.py draws.json --n 60 --documents 3 --draws 100
    python benchmarks/coverage.py draws.json --show

Half of the variance of each side (``--share``) is common to both. Documents have half of the common variance and half
of each side's own, and are known. Scores and intervals are those of a study's uncontrolled scores; what is not
estimable (no sentence moves the score) is counted apart.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.gaps.contrasts import Scored
from babelscope.similarity import Measure, parse_measure
from babelscope.similarity.deviations import Deviations, deviations, in_part
from babelscope.similarity.jackknife import deviations_by_cluster
from babelscope.similarity.representation import Representation
from babelscope.similarity.score import coded
from rejections import SIZES, SPECTRA, clusters_of, side

MEASURES = (
    "linear_cka",
    "rbf_cka",
    "rsa",
    "retrieval",
    "mutual_knn",
    "procrustes",
    "svcca",
    "svcca(variance=0.9)",
    "svcca(variance=0.99)",
    "pwcca",
    "cv_cca",
    "anc",
    "centroid_gap",
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def two_sides(
    seed: int, n: int, documents: str, width: int, spectrum: str, common: float = 0.5
) -> tuple[tuple[FloatArray, ...], IntArray]:
    """Return two sides that share so much of their variance, and the document of each sentence."""
    generator = np.random.default_rng([seed, n, 11])
    clusters = clusters_of(n, documents)
    share = 0.0 if documents == "none" else 0.5
    both, own, other = (side(generator, clusters, share, width, spectrum) for _ in range(3))
    if common == 0.5:  # sums of equal parts are what earlier draws were
        return (both + own, both + other), clusters
    both, own, other = (rows * size**0.5 for rows, size in ((both, common), (own, 1 - common), (other, 1 - common)))
    return (both + own, both + other), clusters


def scored(measures: list[Measure], sides: tuple[FloatArray, ...], clusters: IntArray | None) -> list[float]:
    """Return the score of each measure; NaN where the sentences are too few for it."""
    both = [Representation(rows, clusters=clusters) for rows in sides]
    return [
        measure.value(*(measure.prepare(rows) for rows in both)) if measure.minimum_sentences <= both[0].n else np.nan
        for measure in measures
    ]


def draw(seed: int, measures: list[Measure], options: argparse.Namespace) -> list[list[float]]:
    """Return the score, and the ends of its interval, for each measure; NaN where it is not estimable."""
    sides, of_sentence = two_sides(seed, options.n, options.documents, options.width, options.spectrum, options.share)
    clusters = None if options.documents == "none" else of_sentence
    units = np.arange(options.n) if clusters is None else clusters
    values = scored(measures, sides, clusters)
    ends = np.full((len(measures), 2), np.nan)

    def ends_of(at: int, found: Deviations) -> list[float]:
        rows = pd.DataFrame({"measure": [str(measures[at])], "value": [values[at]]})
        return [float(end[0]) for end in Scored(rows, found).intervals()]

    for at, measure in enumerate(measures):
        if measure.has_influence:
            both = [measure.prepare(Representation(rows, clusters=clusters)) for rows in sides]
            outcome = measure.outcome(both[0], both[1], influence=True)
            assert outcome.influence is not None
            assert outcome.pairs is not None
            moved = np.concatenate([deviations_by_cluster(outcome.influence, units), outcome.pairs])
            ends[at] = ends_of(at, Deviations.of_clusters(moved[:, None]))
    drawn = [at for at, measure in enumerate(measures) if not measure.has_influence]
    if drawn:
        chosen = [measures[at] for at in drawn]

        def again(rows: IntArray) -> FloatArray:
            within = None if clusters is None else coded(clusters[rows])
            by = [in_part(measure, rows, options.n, clusters) for measure in chosen]
            return np.array(scored(by, tuple(whole[rows] for whole in sides), within))

        together = deviations(again, options.n, seed=seed, clusters=clusters)
        for column, at in enumerate(drawn):
            ends[at] = ends_of(at, together.at(np.array([column])))
    return [[value, *pair] for value, pair in zip(values, ends.tolist(), strict=True)]


def shares(draws: list[list[float]]) -> str:
    """Return how many of the estimable intervals hold the mean score, on which side others miss it, and widths."""
    values, low, high = np.array(draws, dtype=float).T
    known = np.isfinite(low)
    target = values.mean()
    if not known.any():
        return f"not estimable ({len(values)})"
    above, below = (low[known] > target).mean(), (high[known] < target).mean()
    width = (high - low)[known].mean() / (2 * 1.96 * values.std()) if values.std() else np.nan
    lost = f", {(~known).mean():.0%} not estimable" if not known.all() else ""
    missed = f"{100 * above:.1f} above, {100 * below:.1f} below"
    return f"{100 * (1 - above - below):.1f} ({missed}; {known.sum()}{lost}; {width:.2f} times the normal one)"


def main() -> None:
    """Add draws, or show how often the intervals hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--documents", choices=SIZES, default="none")
    parser.add_argument("--share", type=float, default=0.5, help="of the variance, that both sides have in common")
    parser.add_argument("--spectrum", choices=SPECTRA, default="flat")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--measures", nargs="*", default=list(MEASURES))
    options = parser.parse_args()
    kept = json.loads(options.file.read_text()) if options.file.exists() else {}
    if not options.show:
        design = f"n {options.n}, width {options.width}, {options.spectrum}, documents {options.documents}"
        design += "" if options.share == 0.5 else f", {options.share:g} in common"
        here = kept.setdefault(design, {})
        names = [name for name in options.measures if parse_measure(name).minimum_sentences <= options.n * 3 // 4]
        first = max((len(here.get(name, [])) for name in names), default=0)
        for seed in range(first, first + options.draws):
            for name, ends in zip(names, draw(seed, [parse_measure(name) for name in names], options), strict=True):
                here.setdefault(name, []).append(ends)
        options.file.write_text(json.dumps(kept))
    for design, here in kept.items():
        print(f"{design}: " + "; ".join(f"{name} {shares(draws)}" for name, draws in here.items()))


if __name__ == "__main__":
    main()
