"""How often the diagnosis finds a language that loses meaning, and where; and any other language, without any effect.

Much faster than whole reports, since only speech is compared with text, and no store is written. Each call adds draws
to a file of counts::

    python benchmarks/diagnosis_power.py counts.json --lost 0.2 --n 60 --draws 50
    python benchmarks/diagnosis_power.py counts.json --lost 0 --languages 30 --documents 3 --draws 20
    python benchmarks/diagnosis_power.py counts.json --show

The first language loses meaning from length adaptation on. *Before* is what was tested earlier: the deficit at
the last point and the loss over each stage, in all languages together at 3 %.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.gaps.contrasts import Scored
from babelscope.gaps.diagnosis import Compared
from babelscope.gaps.simultaneous import simultaneous
from babelscope.gaps.speech_path import PathPoint
from babelscope.similarity import parse_measure
from babelscope.similarity.deviations import Deviations
from babelscope.similarity.jackknife import deviations_by_cluster
from babelscope.similarity.representation import Representation

STAGES = ("front end", "encoder", "length adaptation", "shared", "pooled")
LOSES_AT = STAGES.index("length adaptation")
MEASURE = parse_measure("linear_cka")
MEANING, MODALITY, LANGUAGE = 0.5, 0.1, 0.1

FloatArray = NDArray[np.float64]


def scored(seed: int, options: argparse.Namespace) -> Scored:
    """Return the scores of one draw, a point a stage, with how they move with the sentences."""
    n, width, count = options.n, options.width, len(STAGES)
    generator = np.random.default_rng([seed, n, options.languages])
    clusters = np.arange(n) // options.documents
    scale = np.arange(1.0, width + 1) ** -(1.0 if options.spectrum == "steep" else 0.0)

    def drawn() -> FloatArray:
        own = generator.standard_normal((n, width))
        if options.documents == 1:
            return own
        common = generator.standard_normal((int(clusters.max()) + 1, width))[clusters]
        return np.asarray((0.5**0.5) * (common + own))

    def along() -> list[FloatArray]:
        common = drawn()
        return [options.alike**0.5 * common + (1 - options.alike) ** 0.5 * drawn() for _ in range(count)]

    meaning, modality = along(), (along(), along())
    rows, columns = [], []
    for number in range(options.languages):
        language, noise = along(), (along(), along())
        for at, stage in enumerate(STAGES):
            states = []
            for side in (0, 1):
                lost = options.lost if number == 0 and side == 0 and at >= LOSES_AT else 0.0
                parts = (meaning[at], modality[side][at], language[at], noise[side][at])
                shares = (MEANING - lost, MODALITY, LANGUAGE, 1 - MEANING + lost - MODALITY - LANGUAGE)
                x = sum(share**0.5 * part for share, part in zip(shares, parts, strict=True)) * scale
                known = clusters if options.documents > 1 else None
                states.append(MEASURE.prepare(Representation(x, clusters=known)))
            outcome = MEASURE.outcome(*states, influence=True)
            assert outcome.influence is not None and outcome.pairs is not None
            columns.append(np.concatenate([deviations_by_cluster(outcome.influence, clusters), outcome.pairs]))
            rows.append(
                {
                    "kind": "modality_similarity",
                    "point_a": stage,
                    "point_b": stage,
                    "language_a": f"l{number}",
                    "language_b": f"l{number}",
                    "measure": "linear_cka",
                    "value": outcome.value,
                    "null_mean": 0.0,
                }
            )
    return Scored(pd.DataFrame(rows), Deviations.of_clusters(np.array(columns).T))


def found(one: Scored, count: int) -> set[str]:
    """Return what is found in one draw."""
    stops = [PathPoint(stage, stage, stage, at / (len(STAGES) - 1)) for at, stage in enumerate(STAGES)]
    languages = [f"l{number}" for number in range(count)]
    at = {
        (str(row["language_a"]), str(row["point_a"])): np.array([number], dtype=np.int64)
        for number, row in one.rows.iterrows()
    }
    compared = Compared(one, at, stops, [[stop] for stop in stops], languages)
    differences = compared.differences()
    lower = [code for code in languages if any(deficit.low > 0 for deficit in differences.deficits[code])]
    said = set()
    if lower:
        said.add("any language")
    if set(lower) - {"l0"}:
        said.add("another language")
    if "l0" in lower:
        said.add("the language")
        first, last = compared.located(lower)["l0"]
        if first == last:
            said.add("its stage" if first == LOSES_AT else "a wrong stage")
        if not first <= LOSES_AT <= last:
            said.add("stages without its own")
    contrasts = [compared.lower(code, stops[-1:], 1.0) for code in languages]
    for code in languages:
        for index, stop in enumerate(stops):
            earlier = compared.lower(code, [stops[index - 1]], -1.0) if index else []
            contrasts.append([*compared.lower(code, [stop], 1.0), *earlier])
    lows, _ = simultaneous(one, contrasts).intervals(0.03)
    if lows[0] > 0:
        said.add("before: the language")
    if (lows[count : count + len(stops)] > 0).any():
        said.add("before: a stage of it")
    if (lows[1:count] > 0).any() or (lows[count + len(stops) :] > 0).any():
        said.add("before: another language")
    return said


def main() -> None:
    """Add draws to the counts, or show them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=Path)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--lost", type=float, default=0.2, help="the share of .5 that the first language loses")
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--languages", type=int, default=5)
    parser.add_argument(
        "--documents", type=int, default=1, help="sentences of a document, which share half the variance"
    )
    parser.add_argument("--alike", type=float, default=0.0, help="of the variance, that all points have in common")
    parser.add_argument("--spectrum", choices=("flat", "steep"), default="flat")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    counts = json.loads(options.counts.read_text()) if options.counts.exists() else {}
    if not options.show:
        documents = f", documents of {options.documents}" if options.documents > 1 else ""
        alike = f", points {options.alike:g} alike" if options.alike else ""
        name = (
            f"lost {options.lost:g}, n {options.n}, {options.languages} languages, {options.spectrum}{documents}{alike}"
        )
        here = Counter(counts.get(name, {}))
        first = here["draws"]
        for seed in range(first, first + options.draws):
            here.update(found(scored(seed, options), options.languages) | {"draws"})
        counts[name] = dict(here)
        options.counts.write_text(json.dumps(counts, indent=1))
    for name, here in counts.items():
        rates = ", ".join(f"{key} {100 * here[key] / here['draws']:.1f}" for key in sorted(here) if key != "draws")
        print(f"{name} ({here['draws']}): {rates}")


if __name__ == "__main__":
    main()
