"""What a large study takes on many GPUs: arithmetic from unit costs, and a discrete simulation of the same jobs.

::

    python benchmarks/plan_scaling.py                       # the tables of docs/planning.md
    python benchmarks/plan_scaling.py --measure             # measure here what can be measured without a GPU
    python benchmarks/plan_scaling.py --gpu-tflops 200 --store-gb-s 10 --life-hours 4

Every unit cost is an option; ``--help`` says which defaults was measured and which are assumed.
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MEASURES = ("svcca(variance=0.9)", "svcca(variance=0.99)", "linear_cka", "retrieval")
LANGUAGES, BLOCK, DEPTH, GPUS_A_MACHINE = 102, 128, 3, 8


def _cost(default: float, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True)
class Costs:
    """Unit costs. What is not said to be assumed was measured by ``--measure`` on two cores of a busy machine."""

    prepare: float = _cost(0.0015, "seconds of a core for a second of speech: read, decoded, filterbank")
    dispatch: float = _cost(0.001, "seconds of the driver for a job, handed out and heard of")
    write_s: float = _cost(0.015, "seconds for a block whatever its size: its small files, flushed")
    write_gb_s: float = _cost(0.087, "GB/s at which one process compresses and writes a block")
    stored: float = _cost(0.90, "bytes on the disk for a byte of float32")
    side_350: float = _cost(0.026, "seconds of a core to prepare a representation of 350 sentences, four measures")
    side_2009: float = _cost(0.78, "the same of 2009")
    pair_350: float = _cost(0.0165, "seconds of a core for a pair of 350 sentences, four measures, controls, intervals")
    pair_2009: float = _cost(0.31, "the same of 2009")
    held_350: float = _cost(5.7e6, "bytes that are held of a prepared representation of 350 sentences")
    held_2009: float = _cost(61e6, "the same of 2009")
    gpu_tflops: float = _cost(100.0, "TFLOP/s that a GPU reaches, assumed: a third of an A100's peak in bfloat16")
    store_gb_s: float = _cost(2.0, "GB/s that the shared store takes in from all writers, assumed")
    load_gb_s: float = _cost(0.5, "GB/s at which a replica reads its weights, assumed")
    start_s: float = _cost(30.0, "seconds until a replica's process has imported everything, assumed")
    cores: float = _cost(8.0, "processor cores beside a GPU, assumed")
    seconds: float = _cost(12.0, "mean seconds of a recording, assumed")
    life_hours: float = _cost(0.0, "mean life of a machine in hours, for spot machines; 0: none dies")
    again_s: float = _cost(300.0, "seconds until another machine is there, assumed")


@dataclass(frozen=True)
class System:
    """A model: TFLOP for a second of speech, for an utterance beside that, for a text; what it stores and compares."""

    name: str
    second: float
    utterance: float
    text: float
    weights_gb: float
    speech_width: int
    text_width: int
    points: tuple[int, int, int]  # speech, text, comparisons of speech with text of one language


#: TFLOP from the models' configurations; points and widths as `babelscope models show` lists them.
SYSTEMS = (
    System("seamless-m4t-v2-large", 0.0626, 0.009, 0.049, 4.0, 56320, 52224, (55, 51, 55)),
    System("sonar", 0.062, 0.001, 0.040, 2.8, 31744, 28672, (31, 28, 31)),
    System("salmonn-7b", 0.0, 5.2, 0.6, 14.7, 203520, 143360, (88, 35, 88)),
)


@dataclass(frozen=True)
class Job:
    """A block of one language in one modality."""

    prepare: float
    compute: float
    bytes: float


def jobs_of(system: System, n: int, costs: Costs, rng: np.random.Generator) -> list[Job]:
    """Return a model's jobs in their order, with recordings whose lengths differ by sentence and by language."""
    jobs = []
    for pace in rng.lognormal(-0.02, 0.2, LANGUAGES):  # languages differ in how long they take to say the same
        for modality in ("text", "speech"):
            for start in range(0, n, BLOCK):
                size = min(BLOCK, n - start)
                spoken = costs.seconds * pace * rng.lognormal(-0.08, 0.4, size).sum()
                if modality == "speech":
                    flop, width = system.second * spoken + system.utterance * size, system.speech_width
                    prepare = costs.prepare * spoken / min(4.0, costs.cores)
                else:
                    flop, width, prepare = system.text * pace * size, system.text_width, 0.0
                jobs.append(Job(prepare, flop / costs.gpu_tflops, 4.0 * width * size * costs.stored))
    return jobs


def arithmetic(jobs: Sequence[Job], gpus: int, costs: Costs, load: float) -> dict[str, float]:
    """Return the seconds that each resource would need if it were the only one, the model's loading included."""
    compute, prepare = sum(job.compute for job in jobs), sum(job.prepare for job in jobs)
    size = sum(job.bytes for job in jobs)
    writing = len(jobs) * costs.write_s + size / (costs.write_gb_s * 1e9)
    return {
        "GPUs": load + compute / gpus,
        "preparing": load + prepare / gpus,
        "writers": load + writing / gpus,
        "store": load + size / (costs.store_gb_s * 1e9),
        "driver": load + len(jobs) * costs.dispatch,
    }


def encode(jobs: Sequence[Job], gpus: int, costs: Costs, load: float, rng: np.random.Generator) -> tuple[float, int]:
    """Simulate encoding; return the seconds and how many jobs were begun again.

    Each replica has up to three jobs, and three steps that take one job each. All writes share the store; the driver
    does one thing at a time. A machine that dies takes its replicas' jobs with it, and another comes.
    """
    pending, left = deque(range(len(jobs))), len(jobs)
    clock: list[tuple[float, int, str, int, int, int]] = []  # time, order, what, replica, its life, job
    free = np.full((gpus, 3), load)
    held: list[set[int]] = [set() for _ in range(gpus)]
    life, there = [0] * gpus, [True] * gpus
    store = driver = 0.0
    order = again = 0
    machines = -(-gpus // GPUS_A_MACHINE)

    def add(at: float, what: str, replica: int, job: int = -1) -> None:
        nonlocal order
        order += 1
        heapq.heappush(clock, (at, order, what, replica, life[replica], job))

    def hand(now: float) -> None:
        nonlocal driver
        while pending:
            least = min((r for r in range(gpus) if there[r]), key=lambda r: len(held[r]), default=-1)
            if least < 0 or len(held[least]) >= DEPTH:
                return
            number = pending.popleft()
            held[least].add(number)
            driver = max(driver, now) + costs.dispatch
            free[least, 0] = max(free[least, 0], driver) + jobs[number].prepare
            free[least, 1] = max(free[least, 1], free[least, 0]) + jobs[number].compute
            add(free[least, 1], "computed", least, number)

    for machine in range(machines if costs.life_hours else 0):
        add(rng.exponential(costs.life_hours * 3600), "dies", machine * GPUS_A_MACHINE)
    hand(0.0)
    now = 0.0
    while left:
        now, _, what, replica, born, number = heapq.heappop(clock)
        if what == "dies":
            mates = range(replica, min(replica + GPUS_A_MACHINE, gpus))
            for each in mates:
                pending.extendleft(sorted(held[each], reverse=True))
                again += len(held[each])
                held[each].clear()
                life[each], there[each] = life[each] + 1, False
                add(now + costs.again_s + load, "comes", each)
            add(now + costs.again_s + rng.exponential(costs.life_hours * 3600), "dies", replica)
        elif born != life[replica]:
            continue
        elif what == "comes":
            there[replica], free[replica] = True, now
        elif what == "computed":
            begins = max(now, float(free[replica, 2]))
            store = max(store, begins) + jobs[number].bytes / (costs.store_gb_s * 1e9)
            own = begins + costs.write_s + jobs[number].bytes / (costs.write_gb_s * 1e9)
            free[replica, 2] = max(own, store)
            add(float(free[replica, 2]), "written", replica, number)
        elif what == "written":
            held[replica].discard(number)
            left -= 1
        hand(now)
    return now, again


def blocks_of(system: System, n: int, costs: Costs) -> list[tuple[int, int]]:
    """Return the blocks of a table as (representations, pairs): tiles, within the memory for what is prepared."""
    held = costs.held_350 if n == 350 else costs.held_2009
    tile = min(48, max(int(1e9 / held) // 2, 1))
    tiles = [min(tile, LANGUAGES - start) for start in range(0, LANGUAGES, tile)]
    within = [
        (size, size * (size - 1) // 2) if i == j else (size + other, size * other)
        for i, size in enumerate(tiles)
        for j, other in enumerate(tiles[: i + 1])
    ]
    speech, text, across = system.points
    return (speech + text) * within + across * [(2 * size, size) for size in tiles]


def compare(
    blocks: Sequence[tuple[int, int]], n: int, machines: int, threads: int, costs: Costs
) -> tuple[float, float]:
    """Return the seconds by arithmetic (all cores always busy) and by simulation (one table after another)."""
    side, pair = (costs.side_350, costs.pair_350) if n == 350 else (costs.side_2009, costs.pair_2009)
    work = sum(sides * side + pairs * pair for sides, pairs in blocks)
    busy = [0.0] * machines
    for sides, pairs in blocks:
        took = -(-sides // threads) * side + pairs * pair / min(threads, max(pairs, 1))
        heapq.heapreplace(busy, max(busy[0], 0.0) + took + costs.dispatch)
    return work / (machines * threads), max(max(busy), len(blocks) * costs.dispatch)


def tables(costs: Costs, gpus: Sequence[int], sizes: Sequence[int], seed: int) -> Iterator[str]:
    """Yield the lines of the tables: encoding, where encoding ends to scale, comparing."""
    yield "| model | sentences | store | files | GPUs | by arithmetic (minutes), bound by | simulated | begun again |"
    yield "|---|---|---|---|---|---|---|---|"
    ends, total = [], dict.fromkeys(((n, count) for n in sizes for count in gpus), 0.0)
    for system in SYSTEMS:
        load = costs.start_s + system.weights_gb / costs.load_gb_s
        for n in sizes:
            jobs = jobs_of(system, n, costs, np.random.default_rng([seed, n]))
            size, compute = sum(job.bytes for job in jobs), sum(job.compute for job in jobs)
            saturating = compute * costs.store_gb_s * 1e9 / size
            ends.append(
                f"| {system.name} | {n} | {compute / 3600:.1f} | {compute / load:.0f} | {saturating:.0f} | "
                f"{compute / (len(jobs) * costs.dispatch):.0f} | {len(jobs)} |"
            )
            for count in gpus:
                needed = arithmetic(jobs, count, costs, load)
                bound = max(needed, key=lambda name: needed[name])
                took, again = encode(jobs, count, costs, load, np.random.default_rng([seed, n, count]))
                total[n, count] += took
                yield (
                    f"| {system.name} | {n} | {size / 1e9:.0f} GB | {len(jobs) * 7 // 2} | {count} | "
                    f"{needed[bound] / 60:.1f}, {bound} | {took / 60:.1f} | {again} |"
                )
    for (n, count), took in total.items():
        yield f"| all three, one after another | {n} | | | {count} | | {took / 60:.1f} | |"
    yield ""
    yield "| model | sentences | GPU hours | loading is as long | the store is full | the driver is busy | blocks |"
    yield "|---|---|---|---|---|---|---|"
    yield from ends
    yield ""
    yield "| model | sentences | pairs | blocks | core hours | machines x cores | by arithmetic | simulated |"
    yield "|---|---|---|---|---|---|---|---|"
    spent = dict.fromkeys(total, 0.0)
    for system in SYSTEMS:
        for n in sizes:
            blocks = blocks_of(system, n, costs)
            pairs = sum(count for _, count in blocks)
            for count in gpus:
                machines = -(-count // GPUS_A_MACHINE)
                threads = int(costs.cores) * min(count, GPUS_A_MACHINE)
                ideal, took = compare(blocks, n, machines, threads, costs)
                spent[n, count] += took
                yield (
                    f"| {system.name} | {n} | {pairs} | {len(blocks)} | {ideal * machines * threads / 3600:.0f} | "
                    f"{machines} x {threads} | {ideal / 3600:.2f} h | {took / 3600:.2f} h |"
                )
    for (n, count), took in spent.items():
        yield f"| all three | {n} | | | | for {count} GPUs | | {took / 3600:.2f} h |"


# -- measuring
# --------------------------------------------------------------------------------------------------------------------
def measured() -> Iterator[tuple[str, float]]:
    """Yield the unit costs that can be measured here, in processor time of one thread where nothing is waited for."""
    import torch

    torch.set_num_threads(1)
    yield from _writing()
    yield "prepare", _preparing()
    for n in (350, 2009):
        yield from _comparing(n)
    yield "dispatch", _dispatching()


def _comparing(n: int) -> Iterator[tuple[str, float]]:
    """Measure what a study does: nulls, intervals in closed form, lengths regressed out, shuffled sentences."""
    from itertools import combinations, pairwise

    from babelscope.similarity import parse_measure
    from babelscope.similarity.blocks import NONE, REGRESSED, SHUFFLED, Settings
    from babelscope.similarity.pair_table import PairTable
    from babelscope.similarity.residuals import span_of
    from making_clouds import cloud, rolled

    count = 8
    base = cloud(0, n)
    source: dict[Any, Any] = {number: rolled(base, 1 + 7 * number) for number in range(count)}
    measures = tuple(parse_measure(name) for name in MEASURES)
    settings = Settings(
        measures,
        ("exact",) * len(measures),
        2000,
        0,
        alpha=0.05,
        memory=1e12,
        controls=(NONE, REGRESSED, SHUFFLED),
        clusters=np.arange(n) * min(n, 500) // n,
        sequential=True,
    )
    lengths: dict[Any, Any] = {"lengths": span_of(np.random.default_rng(0).standard_normal((n, 4)))}

    def spent(pairs: list[tuple[int, int]]) -> float:
        table = PairTable(
            source,
            pairs,
            settings,
            keys=["lengths"] * len(pairs),
            covariates=lengths,
            shuffles=["x"] * len(pairs),
            workers=1,
        )
        begun = time.process_time()
        table.compute()
        return time.process_time() - begun

    every, few = list(combinations(range(count), 2)), list(pairwise(range(count)))
    spent(few)  # what is computed once
    all_of_them, chained = spent(every), spent(few)
    pair = (all_of_them - chained) / (len(every) - len(few))
    side = (chained - pair * len(few)) / count
    held = sum(state_bytes(measure, base) for measure in measures)
    yield from ((f"side_{n}", side), (f"pair_{n}", pair), (f"held_{n}", held))


def state_bytes(measure: Any, rows: Any) -> float:
    """Return the bytes of a prepared side."""
    from babelscope.similarity.blocks import size_of
    from babelscope.similarity.representation import Representation

    return float(size_of(measure.prepare(Representation(rows))))


def _writing() -> Iterator[tuple[str, float]]:
    from babelscope.capture.store import Block, Layout, Writer

    width, points = 1024, 54
    rng = np.random.default_rng(0)
    times, stored = {}, 0.0
    for count in (2, points):
        described = tuple(
            {"name": f"p{number}", "modality": "speech", "stage": "encoder", "depth": number / count, "width": width,
             "module": ""} for number in range(count)
        )  # fmt: skip
        sentences = tuple(f"s{number}" for number in range(BLOCK * 6))
        layout = Layout(sentences, ("xa",), ("speech",), described, BLOCK, {"of": "a benchmark"}, {"versions": {}})
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            writer = Writer(Path(folder) / "store.zarr", layout)
            names = [str(point["name"]) for point in described]
            vectors = {name: rng.normal(size=(BLOCK, width)).astype(np.float32) for name in names}
            block = Block(vectors, {name: [1] * BLOCK for name in names}, [1.0] * BLOCK)
            took = []
            for part in layout.blocks:
                begun = time.perf_counter()
                writer.write_block("speech", 0, part, block)
                took.append(time.perf_counter() - begun)
            files = [path for path in Path(folder).rglob("c.*") if path.is_file()]
            stored = sum(path.stat().st_size for path in files) / (len(layout.blocks) * count * width * BLOCK * 4)
        times[count] = float(np.median(took))
    size = {count: 4 * count * width * BLOCK * stored for count in times}
    rate = (size[points] - size[2]) / max(times[points] - times[2], 1e-9)
    yield from (("write_gb_s", rate / 1e9), ("write_s", max(times[2] - size[2] / rate, 0.0)), ("stored", stored))


def _preparing() -> float:
    import soundfile

    from babelscope import models, testing
    from babelscope.audio import load_audio
    from babelscope.corpora import Recording

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        side = models.load("seamless-m4t-v2-large", weights=str(testing.tiny("seamless-m4t-v2", folder))).sides[
            "speech"
        ]
        path = Path(folder) / "one.wav"
        soundfile.write(path, rng.normal(size=12 * 16000).astype(np.float32) * 0.1, 16000)
        recording = Recording(path, None, 12.0, "", "s", "eng")
        side.prepare(load_audio(recording), "eng")
        begun = time.process_time()
        for _ in range(10):
            side.prepare(load_audio(recording), "eng")
        return (time.process_time() - begun) / 120


class _Idle:
    def run(self, item: int) -> int:
        return item


def _dispatching() -> float:
    import ray

    from babelscope.plugins.ray.pool import ActorPool

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        pool = ActorPool(ray, lambda: ray.remote(_Idle).options(max_concurrency=DEPTH).remote(), 2, DEPTH, [])
        hand = lambda actor, item: actor.run.remote(item)  # noqa: E731
        list(pool.run(range(20), hand, str))
        begun = time.process_time()
        list(pool.run(range(2000), hand, str))
        spent = (time.process_time() - begun) / 2000
        pool.stop()
        return spent
    finally:
        ray.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="measure the unit costs here, and print them")
    parser.add_argument("--gpus", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--sentences", type=int, nargs="+", default=[350, 2009], choices=[350, 2009])
    parser.add_argument("--seed", type=int, default=0)
    for cost in dataclasses.fields(Costs):
        about = f"{cost.metadata['about']} (%(default)s)"
        parser.add_argument(f"--{cost.name.replace('_', '-')}", type=float, default=cost.default, help=about)
    given = parser.parse_args()
    if given.measure:
        for name, value in measured():
            print(f"--{name.replace('_', '-')} {value:.3g}", flush=True)
        return
    costs = Costs(**{cost.name: getattr(given, cost.name) for cost in dataclasses.fields(Costs)})
    for line in tables(costs, given.gpus, given.sentences, given.seed):
        print(line)


if __name__ == "__main__":
    main()
