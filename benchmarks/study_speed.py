"""What comparing a study costs: the command that users run, on planted activations, against the field's recipe.

::

    python benchmarks/study_speed.py                 # 10 languages x 8 points, flat and falling spectra, one thread
    python benchmarks/study_speed.py --few           # 4 languages x 3 points: the start of the process weighs most
    python benchmarks/study_speed.py --whole         # 30 languages x 27 points in both modalities, once to the end

Each run is ``babelscope compare`` with all controls, intervals and tables, and ``babelscope report``, in a process of
its own. The recipe is google/svcca's tutorial, two SVCCA a pair and nothing else: no null, no control, no interval.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from babelscope.testing import Planted, planted_activations
from similarity_speed import google_recipe

MEASURES = ("svcca(variance=0.9)", "svcca(variance=0.99)", "linear_cka", "retrieval")
KINDS = ("modality_similarity", "language_similarity_text", "language_similarity_speech")
#: Comparisons of the paper's study: 30 languages, 26 and 27 points. And of all of FLEURS at as many points.
PAPER, FLEURS = 23_865, 102 * 27 + 53 * (102 * 101 // 2)


def languages(count: int) -> list[str]:
    """Return codes of languages of FLEURS, so that resource classes are known."""
    from babelscope.languages import LANGUAGES

    return [language.fleurs for language in LANGUAGES][:count]


def write_store(folder: Path, *, count: int, points: int, n: int, width: int, falling: float) -> Path:
    """Write planted activations: speech and text converge with depth."""
    path = folder / "activations.zarr"
    planted = {
        f"shared.layer.{at}": Planted(
            meaning=0.1 + 0.5 * at / max(points - 1, 1), modality=0.1, language=0.1, length=0.02
        )
        for at in range(points)
    }
    planted_activations(path, planted, n=n, languages=languages(count), width=width, falling=falling)
    return path


def run(arguments: list[str], threads: int) -> tuple[float, float, float]:
    """Run a command of babelscope; return its seconds of processor and of wall, and its peak memory in GB."""
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = os.environ | limits
    cores = sorted(os.sched_getaffinity(0))[:threads]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "babelscope", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"babelscope {' '.join(arguments)} failed with status {status}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, usage.ru_maxrss / 1e6


def stages(store: Path, folder: Path) -> dict[str, float]:
    """Return seconds of processor by stage, of the same comparison in this process."""
    from babelscope.capture import Activations
    from babelscope.gaps import compare
    from babelscope.report import write_report

    spent: dict[str, float] = {}
    last, name = time.process_time(), "preparing"

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last, name
        now = time.process_time()
        spent[what] = spent.get(what, 0.0) + now - last
        last, name = now, what

    with threadpool_limits(1):
        result = compare(Activations(store), MEASURES, kinds=KINDS, progress=tell)
        tell("tables, findings", 0, 0)
        result.save(folder)
        tell("saving", 0, 0)
        write_report(result, folder)
        tell("report", 0, 0)
    return spent


def recipe(width: int, n: int, falling: float) -> float:
    """Return the seconds of processor that the recipe takes for two SVCCA of a pair."""
    rng = np.random.default_rng(0)
    scale = np.arange(1, width + 1) ** -falling
    common, first, second = rng.standard_normal((3, n, width)) * scale
    x, y = (common + first).astype(np.float32), (common + second).astype(np.float32)
    with threadpool_limits(1):
        google_recipe(x, y)
        begun = time.process_time()
        for variance in (0.9, 0.99):
            google_recipe(x, y, variance)
        return time.process_time() - begun


def timed(falling: float, folder: Path, count: int, points: int, n: int, width: int) -> None:
    """Print what a pair of a study of this size costs."""
    folder.mkdir()
    store = write_store(folder, count=count, points=points, n=n, width=width, falling=falling)
    pairs = points * (count + count * (count - 1))
    options = [text for measure in MEASURES for text in ("-m", measure)]
    options += [text for kind in KINDS for text in ("-k", kind)]
    compared = run(["compare", str(store), "-o", str(folder / "out"), *options], 1)
    reported = run(["report", str(folder / "out")], 1)
    started = run(["compare", "--help"], 1)
    peer = recipe(width, n, falling)
    name = "flat" if not falling else f"i^-{falling:g}"
    each = compared[0] / pairs
    print(f"{name} spectrum, {pairs} pairs of {n} x {width}, one thread")
    print(f"  babelscope compare: {compared[0]:.1f} s of processor, {each:.3f} s a pair, {compared[2]:.2f} GB")
    print(f"  of which the process starts in {started[0]:.1f} s; babelscope report: {reported[0]:.1f} s")
    print(f"  recipe, two SVCCA alone: {peer:.3f} s a pair = {peer / each:.1f} x")
    by_stage = stages(store, folder / "stages")
    print("  by stage: " + ", ".join(f"{what} {spent:.2f} s" for what, spent in by_stage.items() if spent > 0.005))
    print(f"  the paper's {PAPER:,} comparisons at this price: {PAPER * each / 3600:.2f} core hours")


def whole(falling: float, folder: Path, count: int, points: int, n: int, width: int) -> None:
    """Print what a study of the paper's size costs, from the store to the report."""
    folder.mkdir(exist_ok=True)
    begun = time.perf_counter()
    store = folder / "activations.zarr"
    if not store.exists():
        write_store(folder, count=count, points=points, n=n, width=width, falling=falling)
        print(f"store written in {time.perf_counter() - begun:.0f} s")
    threads = len(os.sched_getaffinity(0))
    options = [text for measure in MEASURES for text in ("-m", measure)]
    options += [text for kind in KINDS for text in ("-k", kind)]
    compared = run(["compare", str(store), "-o", str(folder / "out"), *options], threads)
    reported = run(["report", str(folder / "out")], threads)
    pairs = points * (count + count * (count - 1))
    total = compared[1] + reported[1]
    print(f"{count} languages x {points} points of both modalities, {n} x {width}: {pairs:,} pairs, {threads} cores")
    print(f"  compare: {compared[1] / 60:.1f} min ({compared[0] / 3600:.2f} core hours), {compared[2]:.2f} GB")
    print(f"  report: {reported[1] / 60:.1f} min, {reported[2]:.2f} GB; together {total / 60:.1f} min")
    print(f"  {compared[0] / pairs:.3f} s of processor a pair; recipe {recipe(width, n, falling):.3f} s")
    meta: dict[str, Any] = json.loads((folder / "out" / "result.json").read_text())
    print(f"  {meta['headline'][0]}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true", help="a study of the paper's size, on all cores")
    parser.add_argument("--few", action="store_true", help="4 languages x 3 points")
    parser.add_argument("--falling", type=float, nargs="*", help="exponents of the singular values")
    parser.add_argument("--languages", type=int, default=30, help="of --whole")
    parser.add_argument("--points", type=int, default=27, help="of --whole")
    parser.add_argument("--sentences", type=int, default=350)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--folder", type=Path, help="where the store and the results go; a temporary one if left out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        if given.whole:
            falling = (given.falling or [1.0])[0]
            whole(falling, folder, given.languages, given.points, given.sentences, given.width)
        else:
            for falling in given.falling if given.falling is not None else (0.0, 1.0):
                count, points = (4, 3) if given.few else (10, 8)
                timed(falling, folder / f"falling-{falling:g}", count, points, given.sentences, given.width)
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
