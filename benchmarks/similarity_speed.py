"""Speed and memory of babelscope.similarity against peers measured in the same run.

Run one part, or all::

    python benchmarks/similarity_speed.py pair cka permutations study

``study`` is the whole job of a paper (44,250 pairs); ``--share 0.1`` runs a tenth of its layers.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from babelscope import similarity as sim
from babelscope.similarity.permutation import permutations
from making_clouds import cloud, rolled

SVCCA = sim.SVCCA()


def best_of(work: Callable[[], Any], repeats: int = 7) -> float:
    """Return the shortest of some runs, in seconds: what the machine can do when nothing else wants it."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def peak() -> str:
    return f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"


def google_recipe(x: Any, y: Any, variance: float = 0.99) -> float:
    """SVCCA as google/svcca's tutorial does it: an SVD a side, then CCA by inverse square roots, epsilon 1e-10."""
    sides = []
    for side in (x, y):
        centred = (side - side.mean(0)).T.astype(np.float64)
        _, s, vt = np.linalg.svd(centred, full_matrices=False)
        k = int(np.searchsorted(np.cumsum(s**2), variance * (s**2).sum())) + 1
        sides.append(s[:k, None] * vt[:k])
    a, b = sides
    covariance = np.cov(a, b)
    k = len(a)
    sxx, sxy, syy = covariance[:k, :k], covariance[:k, k:], covariance[k:, k:]
    mx, my = np.abs(sxx).max(), np.abs(syy).max()
    sxx, syy, sxy = sxx / mx + 1e-10 * np.eye(k), syy / my + 1e-10 * np.eye(len(b)), sxy / np.sqrt(mx * my)
    roots = []
    for square in (sxx, syy):
        values, vectors = np.linalg.eigh(np.linalg.pinv(square))
        roots.append(vectors @ np.diag(np.sqrt(np.abs(values))) @ vectors.T)
    return float(np.linalg.svd(roots[0] @ sxy @ roots[1], compute_uv=False).mean())


def pair() -> None:
    """One pair with cached bases, one thread; and how near single precision is."""
    x, y = (sim.Representation(cloud(seed)) for seed in (0, 1))
    with threadpool_limits(1):
        a, b = SVCCA.prepare(x), SVCCA.prepare(y)
        truth = np.linalg.svd(a.u.T @ b.u, compute_uv=False).mean()
        double, value = best_of(lambda: SVCCA.value(a, b), 20), SVCCA.value(a, b)
        law = best_of(lambda: SVCCA.law(a, b).calibrate(value), 50)  # type: ignore[union-attr]
        a, b = SVCCA.narrow(a), SVCCA.narrow(b)
        single, rough = best_of(lambda: SVCCA.value(a, b), 20), SVCCA.value(a, b)
    left, right = cloud(0), cloud(1)
    recipe = best_of(lambda: google_recipe(left, right), 2)
    print(f"pair: k = {a.k}, {b.k}; one thread; goal 0.002 s")
    print(
        f"  double {double * 1e3:.2f} ms (off {abs(value - truth):.1e}), "
        f"single {single * 1e3:.2f} ms (off {abs(rough - truth):.1e})"
    )
    print(
        f"  exact null, calibrated value and p: {law * 1e6:.0f} us = {100 * law / single:.1f} % of a pair (goal 15 %)"
    )
    print(f"  google recipe, all threads: {recipe:.3f} s a pair = {recipe / single:.0f} x a cached pair; {peak()}")


def cka() -> None:
    """All pairs of 12 representations, from the features on, against pytorch-cka's batched kernel."""
    import torch

    sides = {i: cloud(i) for i in range(12)}
    ours = best_of(lambda: sim.pairwise(sides, "linear_cka", null=None, precision="single"), 4)
    double = best_of(lambda: sim.pairwise(sides, "linear_cka", null=None), 2)
    exact = sim.pairwise(sides, "linear_cka", null=None).value.values[:, 0]
    rough = sim.pairwise(sides, "linear_cka", null=None, precision="single").value.values[:, 0]
    print(f"cka: 66 pairs of 12; single {ours:.3f} s (off {np.abs(exact - rough).max():.1e}), double {double:.3f} s")
    shifted = {i: (side + 100 * side.std(0)).astype(np.float32) for i, side in sides.items()}
    moved = sim.pairwise(shifted, "linear_cka", null=None, precision="single").value.values[:, 0]
    print(f"  off by {np.abs(moved - exact).max():.1e} at a mean offset of 100 s.d. (float32 input)")
    spec = importlib.util.find_spec("cka")
    if spec is None or not spec.submodule_search_locations:
        print("  pytorch-cka is not installed: no ratio")
        return
    # Its package imports matplotlib on the way; the kernel itself does not need it.
    path = Path(spec.submodule_search_locations[0]) / "hsic.py"
    inner = importlib.util.spec_from_file_location("cka_hsic", path)
    assert inner is not None
    assert inner.loader is not None
    module = importlib.util.module_from_spec(inner)
    inner.loader.exec_module(module)

    def peer(features: Any) -> Any:
        grams = torch.bmm(features, features.transpose(1, 2))
        xy, xx, yy = module.hsic(grams, grams)
        return torch.clamp(xy / torch.sqrt(torch.clamp(xx[:, None] * yy[None, :], min=0.0)), 0.0, 1.0)

    torch.set_num_threads(os.cpu_count() or 1)
    stacked = torch.from_numpy(np.stack(list(sides.values())))
    theirs = best_of(lambda: peer(stacked), 4)
    upper = np.triu_indices(12, 1)
    off = np.abs(peer(torch.from_numpy(np.stack(list(shifted.values())))).numpy()[upper] - np.maximum(exact, 0)).max()
    print(f"  pytorch-cka {theirs:.3f} s: {theirs / ours:.2f} x ours; off by {off:.1e} at that offset; {peak()}")


def permuting() -> None:
    """200 permutations of one pair, and of several on all cores, against cached pair kernels."""
    x, y = (sim.Representation(cloud(seed)) for seed in (0, 1))
    squared = sim.SVCCA(squared=True)
    orders = permutations(1000, 200, 0)
    with threadpool_limits(1):
        a, b = SVCCA.prepare(x), SVCCA.prepare(y)
        for name in ("double", "single"):
            if name == "single":
                a, b = SVCCA.narrow(a), SVCCA.narrow(b)
            kernel = best_of(partial(SVCCA.value, a, b), 20)
            plain = best_of(partial(SVCCA.permuted, a, b, orders), 2)
            square = best_of(partial(squared.permuted, a, b, orders), 2)
            print(f"permutations: 200 of one pair, {name} precision, one thread, kernel {kernel * 1e3:.2f} ms")
            print(f"  mean correlation {plain:.3f} s = {plain / (200 * kernel):.2f} x 200 kernels (goal 1)")
            print(f"  squared form {square:.3f} s = {plain / square:.2f} x less (goal 2.5)")
    sides = {i: cloud(i) for i in range(6)}

    def spent(null: str | None) -> float:
        start = time.perf_counter()
        sim.pairwise(sides, "svcca", null=null, permutations=200, precision="single")
        return time.perf_counter() - start

    spent("exact")  # what is computed once a process
    without = min(spent(None) for _ in range(3))
    drawn = spent("permutation") - without
    cores = os.cpu_count() or 1

    def kernels(times: int) -> None:
        for _ in range(times):
            SVCCA.value(a, b)

    def spread() -> None:
        with threadpool_limits(1), ThreadPoolExecutor(cores) as pool:
            list(pool.map(kernels, [200] * 15))

    plain = best_of(spread, 2)
    print(
        f"  15 pairs on {cores} cores: {drawn:.2f} s = {drawn / plain:.2f} x 200 kernels a pair spread over them "
        f"({plain:.2f} s; goal 1)"
    )
    closed = min(spent("exact") for _ in range(3)) - without
    print(f"  the closed form of the same pairs: {1e3 * max(closed, 0.0) / 15:.2f} ms a pair; {peak()}")


def study(share: float) -> None:
    """SVCCA of 25 layers x 60 conditions, all pairs of a layer, with exact null, calibrated value and p."""
    conditions, layers = 60, max(round(25 * share), 1)
    bases = [cloud(seed, exponent=0.84 + 0.005 * seed) for seed in range(10)]
    sides = {(at, c): rolled(bases[(at + c) % 10], 1 + 7 * c + at) for at in range(layers) for c in range(conditions)}
    pairs = [((at, a), (at, b)) for at in range(layers) for a, b in combinations(range(conditions), 2)]
    wall, cpu = time.perf_counter(), time.process_time()
    table = sim.pairwise(sides, "svcca", pairs=pairs, precision="single")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    recipe = best_of(lambda: google_recipe(bases[0], bases[1]), 1)
    with threadpool_limits(1):
        start = time.process_time()
        google_recipe(bases[0], bases[1])
        recipe_cpu = time.process_time() - start
    each, cores = wall / len(pairs), os.cpu_count() or 1
    print(f"study: {len(pairs)} pairs of {len(sides)} representations in {wall:.0f} s ({cpu:.0f} s of processor)")
    print(
        f"  k {table.kx.values.min():.0f} to {table.kx.values.max():.0f}; "
        f"projected to 44,250 pairs: {each * 44250 / 60:.1f} min (goal 5), "
        f"{cpu / len(pairs) * 44250 / cores / 60:.1f} min if {cores} cores were free"
    )
    print(
        f"  google recipe {recipe:.3f} s a pair = {recipe / each:.0f} x, preparation and null included (goal 100)\n"
        f"  by processor time, one thread: {recipe_cpu:.3f} s = {recipe_cpu / (cpu / len(pairs)):.0f} x"
    )
    assert not np.isnan(table.p.values).any()
    print(f"  {peak()} (goal 4 GB)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["pair", "cka", "permutations", "study"])
    parser.add_argument("--share", type=float, default=1.0, help="share of the layers of 'study'")
    given = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {
        "pair": pair,
        "cka": cka,
        "permutations": permuting,
        "study": lambda: study(given.share),
    }
    for name in given.parts:
        if name not in parts:
            parser.error(f"there is no part {name!r}: {', '.join(parts)}")
        parts[name]()


if __name__ == "__main__":
    main()
