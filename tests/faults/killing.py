"""Kills of a whole study at random moments: a process that has imported everything forks one to be killed.

Run as a program: ``python killing.py FOLDER KILLS SEED``; prints what happened as JSON. Where the folder has a tiny
``pocket``, that is studied: its sides have vectors of one width, so positions are aligned as well.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import itertools
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from babelscope.study import Study, build_model

LOG, BATCHES, TIMES, MODULES = "begun", "batches", "times", "modules"

#: What a run says that it does, in order. What it says elsewhere between comparing and writing counts as comparing:
#: that is encoding the model beside and positions.
STAGES = ("starting", "reading", "encoding", "comparing", "aligning", "writing", "ended")

#: What a run says while it reads.
READING = ("loading", "decoding", "looking")

#: Where the moments of kills are drawn, each as often: nothing is written before.
DRAWN = ("encoding", "comparing", "aligning", "writing", "at a write")

#: What a run imports while it works, as far as it takes long; the rest is imported after the first run.
SLOW_IMPORTS = (
    "altair", "vl_convert", "pyarrow.parquet", "scipy.stats", "scipy.linalg", "transformers.models.whisper",
    "transformers.models.bert", "xarray", "zarr.storage", "babelscope.report.page",
)  # fmt: skip

#: The model, once it is loaded in the process that forks: that writes nothing, and takes most of a tiny run.
MODEL: list[Any] = []

#: What a run says of when it was and how long it took.
TIMES_OF_DAY = re.compile(
    rb'\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?|"seconds": [\d.]+|Time taken</th><td data-sort="[^"]*">[^<]*<'
)

#: Lines of a PDF that say where its objects are.
OFFSETS = re.compile(rb"\d{10} \d{5} [nf] ?|\d+")

#: Blocks that a kill may make a run take up again: the one that is computed, and the one that is being written.
IN_FLIGHT = 2

#: Batches that a kill may make a run compute again: the one that is computed (there is one stream).
IN_A_STREAM = 1


def tiny_study(folder: Path, output: str) -> Study:
    """Return a study of two languages and eight sentences, in blocks of three, on the tiny models in `folder`.

    It has another model beside (the same, pooled otherwise), and keeps positions of both sides. Those of the pair of
    models have vectors of different widths: what is aligned is left out, with a note.
    """
    weights: str | dict[str, str] = {"whisper-base": str(folder / "whisper"), "e5-small": str(folder / "e5")}
    model: dict[str, Any] = {"name": "whisper-base+e5-small", "window_seconds": 2, "batch_size": 1, "weights": weights}
    points = ["*.norm", "text.layer.1", "*.pooled"]
    if (folder / "pocket").is_dir():
        model = {"name": "pocket", "batch_size": 1, "weights": str(folder / "pocket")}
        points = ["shared.*"]
    return Study.parse(
        {
            "name": "killed",
            "output": str(folder / output),
            "seed": 1,
            "permutations": 19,
            "measures": ["linear_cka"],
            "controls": ["none", "shuffled"],
            "kinds": ["modality_similarity"],
            "points": points,
            "corpus": {"source": "manifest", "path": str(folder / "manifest.csv"), "languages": ["xa", "xb"], "n": 8},
            "model": model,
            "baselines": [model | {"pooling": "max"}],
            "tokens": {"n": 6, "permutations": 99, "shuffles": 9},
        }
    )


def in_fork(work: Callable[[], object]) -> int:
    """Do something in a fork of this process, which thereby needs to start no thread; return the fork's id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _must_end(child: int, what: str) -> None:
    if status := os.waitpid(child, 0)[1]:
        raise SystemExit(f"{what} ended with {status}")


def beside(study: Study, kind: str) -> Path:
    """Return where a run keeps something about itself that is none of its results."""
    return study.output.with_name(f"{study.output.name}.{kind}")


def _run(study: Study, stage: Path, write: int | None = None) -> None:
    """Run a study; count what it encodes and when; be killed before so manieth a write, if one is given."""
    from babelscope.capture import encoding, running
    from babelscope.study import encoding as study_encoding
    from babelscope.study import model as study_model
    from babelscope.study import run

    real, real_batch = vars(encoding)["encode_job"], vars(running)["_run"]
    batches = os.open(beside(study, BATCHES), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    begun = os.open(beside(study, LOG), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    times = os.open(beside(study, TIMES), os.O_WRONLY | os.O_TRUNC | os.O_CREAT)
    now = os.open(stage, os.O_WRONLY | os.O_CREAT)
    last = ""

    def counting(model: Any, corpus: Any, job: Any, *more: Any, **named: Any) -> Any:
        os.write(begun, f"{job} {job.start}\n".encode())
        return real(model, corpus, job, *more, **named)

    def counting_batches(*given: Any) -> Any:
        os.write(batches, b"one\n")
        return real_batch(*given)

    def tell(what: str, done: int = 0, total: int = 0) -> None:
        nonlocal last
        word = what.split()[0]
        word = "reading" if word in READING else word if word in STAGES else "comparing"
        if not last or STAGES.index(word) > STAGES.index(last):
            last = word
            os.pwrite(now, f"{word:<10}".encode()[:10], 0)
            os.write(times, f"{word} {time.monotonic()}\n".encode())

    vars(study_encoding)["BLOCK"] = 3
    if MODEL:
        vars(study_model)["build_model"] = lambda _: MODEL[0]
    vars(encoding)["encode_job"] = counting
    vars(running)["_run"] = counting_batches
    writes = _counting_writes(write)
    tell("starting")
    run(study, progress=tell)
    tell("ended")
    beside(study, MODULES).write_text(json.dumps({"modules": list(sys.modules), "writes": writes()}))


def _counting_writes(until: int | None) -> Callable[[], int]:
    """Count what is flushed or put in place, and kill this process before so manieth."""
    count = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def call(*given: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == until:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **named)

        return call

    for name in ("fsync", "replace", "rename", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    return lambda: count


def _finish(study: Study, stage: Path) -> dict[str, float]:
    """Let a run end, and return the seconds of its stages."""
    _must_end(in_fork(functools.partial(_run, study, stage)), "a run that nobody killed")
    lines = [line.split() for line in beside(study, TIMES).read_text().splitlines()]
    starts = [(name, float(at)) for name, at in lines]
    return {name: after - at for (name, at), (_, after) in itertools.pairwise(starts)}


def _where(stage: Path) -> str:
    return stage.read_bytes().decode().split()[0]


def _wait_for(wanted: str, stage: Path, child: int) -> None:
    """Wait until a run is at a stage, or beyond it, or has ended."""
    while STAGES.index(_where(stage)) < STAGES.index(wanted):
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.001)


def contents(output: Path) -> dict[str, str]:
    """Return digests of all that a study leaves, without the times of day in it."""
    from babelscope.gaps import Result

    found: dict[str, object] = {}
    name_of_run = output.name.encode()
    for path in sorted(path for path in output.rglob("*") if path.is_file()):
        name = path.relative_to(output).as_posix()
        if path.name.endswith(".lock"):
            continue
        content = path.read_bytes()
        if path.suffix == ".pdf":  # its objects are listed in any order
            content = b"\n".join(sorted(line for line in content.splitlines() if not OFFSETS.fullmatch(line)))
        elif path.name in ("report.html", "result.json", "zarr.json", "index.json"):
            content = TIMES_OF_DAY.sub(b"", content).replace(name_of_run, b"")
        found[name] = content
    result = Result.load(output)
    found |= {name: table.to_csv(index=False, float_format="%.17g") for name, table in result.tables.items()}
    found["headline"], found["options"] = result.meta["headline"], result.meta["options"]
    return {key: hashlib.sha256(repr(value).encode()).hexdigest() for key, value in found.items()}


def contents_in_fork(study: Study) -> dict[str, str]:
    """Return :func:`contents`, read in a fork."""
    told = beside(study, "contents")
    _must_end(in_fork(lambda: told.write_text(json.dumps(contents(study.output)))), f"reading {study.output}")
    return dict(json.loads(told.read_text()))


def main(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill runs at random moments until there were enough kills; hold each end against an undisturbed run.

    A study is gone on with after every kill. When one ends, the next begins with an empty folder. A stage is drawn, and
    a moment within it by the time that it takes undisturbed; or one of the run's writes, which are short. A run that
    ends before was not killed.
    """
    draw, stage = random.Random(seed), folder / "stage"
    for name in SLOW_IMPORTS:
        importlib.import_module(name)
    # What is installed is the same for every run, and looking it up takes a good part of a tiny one.
    importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)  # type: ignore[assignment]
    undisturbed = tiny_study(folder, "undisturbed")
    took = _finish(undisturbed, stage)
    told = json.loads(beside(undisturbed, MODULES).read_text())
    for name in told["modules"]:
        with contextlib.suppress(Exception):  # what cannot be imported by its name is not needed by it
            importlib.import_module(name)
    MODEL.append(build_model(undisturbed))
    end = time.monotonic() + 10
    while len(names := _threads()) > 1:  # some end by themselves
        if time.monotonic() > end:
            raise SystemExit(f"this process has started threads ({', '.join(names)}): what it forks could hang")
        time.sleep(0.1)
    expected = contents_in_fork(undisturbed)
    once = Counter(beside(undisturbed, LOG).read_text().splitlines())
    blocks, batches = once.total(), len(beside(undisturbed, BATCHES).read_text().splitlines())
    if kills >= 50:  # worth knowing: how long it takes once all is imported, and that two runs are alike
        second = tiny_study(folder, "undisturbed-again")
        took = _finish(second, stage)
        _hold(expected, contents_in_fork(second), "a second undisturbed run")
    done, rounds, again, most, batches_again = 0, 0, 0, 0, 0
    at: Counter[str] = Counter()
    while done < kills:
        study = tiny_study(folder, f"round-{rounds}")
        of_round, encoding, while_encoding = (
            0,
            0,
            draw.randint(0, 4),
        )  # what is encoded stays so: later kills of a round miss it
        while done < kills:
            stages = [name for name in DRAWN if name in took or name == "at a write"]
            drawn = "encoding" if of_round < while_encoding else draw.choice(stages)
            write = draw.randint(1, told["writes"]) if drawn == "at a write" else None
            stage.write_bytes(b"starting  ")
            child = in_fork(functools.partial(_run, study, stage, write))
            if write is None:
                _wait_for(drawn, stage, child)
                time.sleep(draw.uniform(0, took[drawn]))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            if not os.WIFSIGNALED(status):
                if status:
                    raise SystemExit(f"round {rounds}: a run after {of_round} kills ended with {status}")
                break
            at[_where(stage) + (" at a write" if write else "")] += 1
            encoding += _where(stage) in ("encoding", "comparing", "aligning")
            done, of_round = done + 1, of_round + 1
        _finish(study, stage)
        _hold(expected, contents_in_fork(study), f"round {rounds} after {of_round} kills")
        begun = beside(study, LOG).read_text().splitlines()
        again += len(begun) - blocks
        most = max(most, *(Counter(begun) - once).values(), 0)
        if len(begun) - blocks > IN_FLIGHT * of_round:
            raise SystemExit(f"round {rounds}: {of_round} kills made {len(begun) - blocks} blocks be begun again")
        ran = len(beside(study, BATCHES).read_text().splitlines())
        batches_again += ran - batches
        if ran - batches > IN_A_STREAM * encoding:
            raise SystemExit(f"round {rounds}: {encoding} kills made {ran - batches} batches be computed again")
        rounds += 1
        told_again = f"{again} blocks begun and {batches_again} batches computed again"
        print(f"{done} kills, {rounds} studies, {dict(at)}, {told_again}", file=sys.stderr, flush=True)
        shutil.rmtree(study.output)
    return {
        "kills": done,
        "studies": rounds,
        "at": dict(at.most_common()),
        "blocks": blocks,
        "blocks again": again,
        "batches": batches,
        "batches again": batches_again,
        "most a block": most,
        "writes": told["writes"],
        "seconds undisturbed": {name: round(value, 2) for name, value in took.items()},
    }


def _threads() -> list[str]:
    """Return this process's threads, but for that of Arrow's allocator, which a fork does well without."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            names.append((task / "comm").read_text().strip())
    return [name for name in names if not name.startswith("jemalloc")]


def _hold(expected: dict[str, str], found: dict[str, str], what: str) -> None:
    differing = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if differing:
        raise SystemExit(f"{what} differs in {differing[:8]}")


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
