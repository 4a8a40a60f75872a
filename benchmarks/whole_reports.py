"""What whole reports state: how often a difference where there is none, and how often one that was planted.

Each call adds studies to a file of counts, so that hours of simulation can be collected in parts of minutes::

    python benchmarks/whole_reports.py counts.json --design equal --n 60 --languages 5 --draws 20
    python benchmarks/whole_reports.py counts.json --design losing --lost 0.2 --n 60 --documents 3 --draws 20
    python benchmarks/whole_reports.py counts.json --show

Designs (five points, one a stage, linear CKA):

equal    speech and text are equally similar at every point and in every language, and languages as much in text
noise    nothing is similar to anything
voices   as equal, but a tenth of the variance of speech goes from meaning to the voice of each language's one reader
losing   as equal, but the first language loses meaning from length adaptation on
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

from babelscope.capture import Activations
from babelscope.gaps import Result, compare
from babelscope.gaps.findings import HOLDS
from babelscope.testing import Planted, planted_activations

STAGES = ("front end", "encoder", "length adaptation", "shared", "pooled")
KINDS = ("modality_similarity", "language_similarity_text", "language_similarity_speech")
DESIGNS = ("equal", "noise", "voices", "losing")
#: From this stage on the first language loses meaning.
LOSES_AT = STAGES.index("length adaptation")
SIZES = {"none": (1,), "3": (3,), "mixed": (1, 2, 3, 4, 5)}


def names_of(count: int) -> list[str]:
    """Return codes of so many languages."""
    return [f"x{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(count)]


def points_of(design: str, languages: list[str], lost: float) -> dict[str, Planted]:
    """Return what is planted at each point."""
    if design == "noise":
        return {f"p{at}": Planted(stage=stage) for at, stage in enumerate(STAGES)}
    points = {}
    for at, stage in enumerate(STAGES):
        losing = {"losing": {languages[0]: lost} if at >= LOSES_AT else {}, "voices": dict.fromkeys(languages, 0.1)}
        shares = {"meaning": 0.5, "modality": 0.1, "language": 0.1}
        points[f"p{at}"] = Planted(**shares, stage=stage, lost=losing.get(design, {}))
    return points


def clusters_of(n: int, documents: str) -> list[str]:
    """Return the document of each sentence; nothing where they are independent."""
    if documents == "none":
        return []
    sizes = SIZES[documents]
    return [f"d{at}" for at in range(n) for _ in range(sizes[at % len(sizes)])][:n]


def study(folder: Path, seed: int, options: argparse.Namespace) -> Result:
    """Return the result of one study as users run it, with intervals in closed form."""
    languages = names_of(options.languages)
    clusters = clusters_of(options.n, options.documents)
    store: Activations = planted_activations(
        folder / f"{seed}.zarr",
        points_of(options.design, languages, options.lost),
        n=options.n,
        languages=languages,
        width=options.width,
        seed=seed,
        falling=1.0 if options.spectrum == "steep" else 0.0,
        clusters=clusters,
        together=options.share if clusters else 0.0,
        readers=1 if options.design == "voices" else 3,
    )
    return compare(store, [options.measure], controls=["none"], kinds=KINDS, seed=seed, permutations=500)


def stated(result: Result, loser: str, design: str) -> set[str]:
    """Return what a report states, by where it does."""
    first, second = result.meta["headline"]
    tables = result.tables
    diagnosis = tables["diagnosis"]
    lower = set(diagnosis.loc[diagnosis["deficit_low"] > 0, "language"])
    lower = {code for code in lower if f" {code} is lower" in " ".join(diagnosis["advice"])}
    worst = diagnosis[diagnosis["worst"].astype(bool)]
    told = {
        "headline: a point": "are most similar" in first,
        "headline: a direction": second.startswith("Languages are more similar in"),
        "a finding": bool((tables["findings"]["verdict"] == HOLDS).any()),
        "a language": bool(lower),
        "a stage": bool(len(worst)),
    }
    said = {name for name, there in told.items() if there}
    if said:
        said.add("any difference")
    if "are not found to be more similar" not in first or bool((tables["languages"]["p"] < 0.05).any()):
        said.add("above chance")
    if design == "losing":
        if loser in lower:
            said.add("the language")
        if lower - {loser}:
            said.add("another language")
        own = worst[worst["language"] == loser]["stage"].tolist()
        if own == [STAGES[LOSES_AT]]:
            said.add("its stage")
        elif own:
            said.add("a wrong stage")
    return said


def main() -> None:
    """Add studies to the counts, or show them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=Path)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--design", choices=DESIGNS, default="equal")
    parser.add_argument("--lost", type=float, default=0.2, help="the share of .5 that the first language loses")
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--languages", type=int, default=5)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--measure", default="linear_cka")
    parser.add_argument("--documents", choices=SIZES, default="none")
    parser.add_argument("--share", type=float, default=0.5, help="of the variance, that a document has in common")
    parser.add_argument("--spectrum", choices=("flat", "steep"), default="flat")
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    counts = json.loads(options.counts.read_text()) if options.counts.exists() else {}
    if not options.show:
        lost = f" {options.lost:g}" if options.design == "losing" else ""
        documents = f", documents {options.documents}" if options.documents != "none" else ""
        name = (
            f"{options.design}{lost}, n {options.n}, {options.languages} languages, {options.spectrum}{documents}, "
            f"{options.measure}"
        )
        here = Counter(counts.get(name, {}))
        first = here["studies"]
        for seed in range(first, first + options.draws):
            with tempfile.TemporaryDirectory() as folder:
                result = study(Path(folder), seed, options)
            here.update(stated(result, names_of(1)[0], options.design) | {"studies"})
        counts[name] = dict(here)
        options.counts.write_text(json.dumps(counts, indent=1))
    for name, here in counts.items():
        studies = here["studies"]
        rates = ", ".join(f"{key} {100 * here[key] / studies:.1f}" for key in sorted(here) if key != "studies")
        print(f"{name} ({studies}): {rates}")


if __name__ == "__main__":
    main()
