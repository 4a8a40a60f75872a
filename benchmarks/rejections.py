"""How often unrelated sides are found to be related at .05, by measure, design and null.

Each call adds draws to a file of counts, so that hours of simulation can be collected in parts of minutes::

    python benchmarks/rejections.py counts.json --n 60 --documents 3 --draws 100
    python benchmarks/rejections.py counts.json --n 60 --documents 3 --regress 3 --draws 100
    python benchmarks/rejections.py counts.json --show

A draw has its own seed, counted on from the last call. The sides are independent; documents carry a share of the
variance of each, and the covariates follow the documents as lengths do.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Hashable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babelscope.errors import DataError
from babelscope.similarity import parse_measure
from babelscope.similarity.blocks import REGRESSED, Settings
from babelscope.similarity.pair_table import PairTable
from babelscope.similarity.residuals import span_of
from babelscope.similarity.score import coded, null_kind

MEASURES = (
    "linear_cka",
    "svcca(variance=0.9)",
    "svcca",
    "retrieval",
    "mutual_knn",
    "rsa",
    "rbf_cka",
    "procrustes",
    "pwcca",
    "anc",
    "cv_cca",
)
#: Sizes of the documents, repeated until there are enough sentences.
SIZES = {"none": (1,), "3": (3,), "mixed": (1, 2, 3, 4, 5), "pairs": (2, 1)}
#: The standard deviation of the i-th of the features, by its number from 1.
SPECTRA = {"flat": 0.0, "steep": 1.0}

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def clusters_of(n: int, documents: str) -> IntArray:
    """Return the document of each sentence."""
    sizes = np.resize(SIZES[documents], n)
    return np.repeat(np.arange(n), sizes)[:n]


def side(generator: np.random.Generator, clusters: IntArray, share: float, width: int, spectrum: str) -> FloatArray:
    """Return a side of which documents carry a share of the variance."""
    common = generator.standard_normal((int(clusters.max()) + 1, width))[clusters]
    own = generator.standard_normal((clusters.size, width))
    scale = np.arange(1.0, width + 1) ** -SPECTRA[spectrum]
    return np.asarray((share**0.5 * common + (1 - share) ** 0.5 * own) * scale)


def p_values(seed: int, measures: list[str], options: argparse.Namespace) -> FloatArray:
    """Return the p-value of each measure in one draw."""
    generator = np.random.default_rng([seed, options.n, 7])
    clusters = clusters_of(options.n, options.documents)
    share = 0.0 if options.documents == "none" else options.share
    sides = {name: side(generator, clusters, share, options.width, options.spectrum) for name in "xy"}
    covariates = side(generator, clusters, share, options.regress, "flat") if options.regress else None
    known = None if options.documents == "none" or options.unknown else clusters
    if known is not None and options.mistaken:
        alone = generator.random(options.n) < options.mistaken
        if options.alone:
            known = coded(np.where(alone, options.n + np.arange(options.n), known))
        else:
            known = coded(known[~alone])
            sides = {name: rows[~alone] for name, rows in sides.items()}
            covariates = None if covariates is None else covariates[~alone]
    chosen = tuple(map(parse_measure, measures))
    kinds = tuple(null_kind(measure, "auto", clustered=known is not None) for measure in chosen)
    controls = ("none", REGRESSED) if options.regress else ("none",)
    settings = Settings(chosen, kinds, options.permutations, seed, 0.05, controls=controls, documents=known)
    spans: dict[Hashable, FloatArray] = {} if covariates is None else {"k": span_of(covariates)}
    table = PairTable(sides, [("x", "y")], settings, keys=["k"] if spans else (), covariates=spans, workers=1)
    table.compute()
    return np.asarray(table.numbers["p"][0, :, -1])


def design(options: argparse.Namespace) -> str:
    """Return the name under which draws of a design are counted."""
    shared = "" if options.share == 0.3 else f" sharing {options.share:g}"
    known = "unknown" if options.unknown else "known"
    if options.mistaken:
        known += f" but of {options.mistaken:.0%}, which are {'alone' if options.alone else 'left out'}"
    clustered = "independent" if options.documents == "none" else f"documents {options.documents}{shared} {known}"
    regressed = f", {options.regress} regressed" if options.regress else ""
    return f"n {options.n}, width {options.width}, {options.spectrum}, {clustered}{regressed}"


def main() -> None:
    """Add draws to the counts, or show them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=Path)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--documents", choices=SIZES, default="none")
    parser.add_argument("--unknown", action="store_true", help="do not tell the test which sentences belong together")
    parser.add_argument(
        "--mistaken", type=float, default=0.0, help="share of the sentences whose document is not known"
    )
    parser.add_argument(
        "--alone", action="store_true", help="take these for documents by themselves, instead of leaving them out"
    )
    parser.add_argument("--share", type=float, default=0.3, help="of the variance, that a document has in common")
    parser.add_argument("--spectrum", choices=SPECTRA, default="flat")
    parser.add_argument("--regress", type=int, default=0, help="covariates to regress out of both sides")
    parser.add_argument("--permutations", type=int, default=99)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--measures", nargs="*", default=list(MEASURES))
    options = parser.parse_args()
    counts = json.loads(options.counts.read_text()) if options.counts.exists() else {}
    if not options.show:
        here = counts.setdefault(design(options), {})
        for measure in options.measures:
            here.setdefault(measure, [0, 0])
        first = max(here[measure][1] for measure in options.measures)
        able = [measure for measure in options.measures if parse_measure(measure).minimum_sentences <= options.n - 8]
        for seed in range(first, first + options.draws):
            try:
                p = p_values(seed, able, options)
            except DataError as error:
                raise SystemExit(str(error)) from error
            for measure, value in zip(able, p, strict=True):
                if np.isfinite(value):
                    here[measure][0] += int(value <= 0.05)
                    here[measure][1] += 1
        options.counts.write_text(json.dumps(counts, indent=1))
    for name, here in counts.items():
        shares = ", ".join(f"{key} {100 * a / b:.1f} ({b})" for key, (a, b) in here.items() if b)
        print(f"{name}: {shares}")


if __name__ == "__main__":
    main()
