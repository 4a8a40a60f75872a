"""How often the 95 % intervals of scores hold the score's mean over studies of as many other sentences.

Each call adds draws to a file of scores and reaches, so that hours of simulation can be collected in parts of minutes::

    python benchmarks/coverage.py draws.json --n 60 --documents 3 --draws 100
    python benchmarks/coverage.py draws.json --show

Half of the variance of each side is common to both. Documents have half of the common variance and half of each side's
own, and are known. Scores, deviations and quantiles are those of a study's uncontrolled scores; what is not estimable
(no sentence moves the score) is counted apart.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from babelscope.gaps.contrasts import NOTHING, Scored
from babelscope.gaps.resampling import Deviations, deviations, in_part
from babelscope.similarity import Measure, parse_measure
from babelscope.similarity.intervals import deviations_by_cluster
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


def two_sides(seed: int, n: int, documents: str, width: int, spectrum: str) -> tuple[tuple[FloatArray, ...], IntArray]:
    """Return two sides that share half of their variance, and the document of each sentence."""
    generator = np.random.default_rng([seed, n, 11])
    clusters = clusters_of(n, documents)
    share = 0.0 if documents == "none" else 0.5
    common, own, other = (side(generator, clusters, share, width, spectrum) for _ in range(3))
    return (common + own, common + other), clusters


def scored(measures: list[Measure], sides: tuple[FloatArray, ...], clusters: IntArray | None) -> list[float]:
    """Return the score of each measure; NaN where the sentences are too few for it."""
    both = [Representation(rows, clusters=clusters) for rows in sides]
    return [
        measure.value(*(measure.prepare(rows) for rows in both)) if measure.minimum_sentences <= both[0].n else np.nan
        for measure in measures
    ]


def draw(seed: int, measures: list[Measure], options: argparse.Namespace) -> list[list[float]]:
    """Return the score and the interval's reach for each measure; a reach of 0 where it is not estimable."""
    sides, of_sentence = two_sides(seed, options.n, options.documents, options.width, options.spectrum)
    clusters = None if options.documents == "none" else of_sentence
    units = np.arange(options.n) if clusters is None else clusters
    values = scored(measures, sides, clusters)
    reaches = np.zeros(len(measures))

    def reach_of(found: Deviations) -> FloatArray:
        single = Scored(pd.DataFrame({"value": np.zeros(found.blocks.shape[1])}), found)
        return np.asarray(student.ppf(0.975, single.freedoms) * np.where(single.errors > NOTHING, single.errors, 0.0))

    for at, measure in enumerate(measures):
        if measure.has_influence:
            both = [measure.prepare(Representation(rows, clusters=clusters)) for rows in sides]
            outcome = measure.outcome(both[0], both[1], influence=True)
            assert outcome.influence is not None
            assert outcome.pairs is not None
            moved = np.concatenate([deviations_by_cluster(outcome.influence, units), outcome.pairs])
            reaches[at] = reach_of(Deviations.of_clusters(moved[:, None]))[0]
    drawn = [at for at, measure in enumerate(measures) if not measure.has_influence]
    if drawn:
        chosen = [measures[at] for at in drawn]

        def again(rows: IntArray) -> FloatArray:
            within = None if clusters is None else coded(clusters[rows])
            by = [in_part(measure, rows, options.n, clusters) for measure in chosen]
            return np.array(scored(by, tuple(whole[rows] for whole in sides), within))

        reaches[drawn] = reach_of(deviations(again, options.n, seed=seed, clusters=clusters))
    return [values, reaches.tolist()]


def shares(draws: list[list[float]]) -> str:
    """Return how many of the estimable intervals hold the mean score, with how many are not estimable."""
    values, reaches = np.array(draws).T
    known = reaches > 0
    target = values.mean()
    if not known.any():
        return f"not estimable ({len(values)})"
    held = (np.abs(values - target) <= reaches)[known].mean()
    width = reaches[known].mean() / (1.96 * values.std()) if values.std() else np.nan
    lost = f", {(~known).mean():.0%} not estimable" if not known.all() else ""
    return f"{100 * held:.1f} ({known.sum()}{lost}; reach {width:.2f} of the normal one)"


def main() -> None:
    """Add draws, or show how often the intervals hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--documents", choices=SIZES, default="none")
    parser.add_argument("--spectrum", choices=SPECTRA, default="flat")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--measures", nargs="*", default=list(MEASURES))
    options = parser.parse_args()
    kept = json.loads(options.file.read_text()) if options.file.exists() else {}
    if not options.show:
        design = f"n {options.n}, width {options.width}, {options.spectrum}, documents {options.documents}"
        here = kept.setdefault(design, {})
        names = [name for name in options.measures if parse_measure(name).minimum_sentences <= options.n * 3 // 4]
        first = max((len(here.get(name, [])) for name in names), default=0)
        for seed in range(first, first + options.draws):
            for name, *pair in zip(names, *draw(seed, [parse_measure(name) for name in names], options), strict=True):
                here.setdefault(name, []).append(pair)
        options.file.write_text(json.dumps(kept))
    for design, here in kept.items():
        print(f"{design}: " + "; ".join(f"{name} {shares(draws)}" for name, draws in here.items()))


if __name__ == "__main__":
    main()
