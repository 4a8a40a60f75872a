"""Kills of a whole study at random moments: a process that has imported everything forks one to be killed.

Run as a program: ``python killing.py FOLDER KILLS SEED``; prints what happened as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from babelscope.study import Study

LOG = "begun.txt"

#: What a run says that it does, in order; encoding and comparing are short in a tiny study, and drawn more often.
STAGES = ("starting", "reading", "encoding", "encoding", "encoding", "comparing", "comparing", "writing")


def tiny_study(folder: Path, output: str) -> Study:
    """Return a study of two languages and eight sentences, in blocks of three, on the tiny models in `folder`."""
    return Study.parse(
        {
            "name": "killed",
            "output": str(folder / output),
            "seed": 1,
            "permutations": 19,
            "measures": ["linear_cka", "retrieval"],
            "controls": ["none", "shuffled"],
            "kinds": ["modality_gap", "language_gap_text"],
            "points": ["*.norm", "*.pooled", "*.layer.*"],
            "intervals": False,
            "corpus": {"source": "manifest", "path": str(folder / "manifest.csv"), "languages": ["xa", "xb"], "n": 8},
            "model": {
                "name": "whisper-base+e5-small",
                "window_seconds": 2,
                "weights": {"whisper-base": str(folder / "whisper"), "e5-small": str(folder / "e5")},
            },
        }
    )


def run_in_fork(study: Study, stage: Path) -> int:
    """Start a run in a fork of this process and return its id; it writes its stage to a file, a byte at a time."""
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        _run(study, stage)
        stage.with_name("modules").write_text("\n".join(sys.modules))
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def _run(study: Study, stage: Path) -> None:
    from babelscope import study as module
    from babelscope.capture import encoding

    vars(module)["BLOCK"] = 3
    real = vars(encoding)["encode_job"]
    log = os.open(study.output.parent / f"{study.output.name}.{LOG}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    now = os.open(stage, os.O_WRONLY | os.O_CREAT)

    def counting(model: Any, corpus: Any, job: Any, *more: Any, **named: Any) -> Any:
        os.write(log, f"{job} {job.start}\n".encode())
        return real(model, corpus, job, *more, **named)

    def tell(what: str, done: int, total: int) -> None:
        os.pwrite(now, f"{what.split()[0]:<10}".encode()[:10], 0)

    vars(encoding)["encode_job"] = counting
    module.run(study, progress=tell)


def _wait_for(wanted: str, stage: Path, child: int) -> None:
    """Wait until a run is at a stage, or beyond it, or has ended."""
    while STAGES.index(stage.read_bytes().decode().split()[0].replace("loading", "reading")) < STAGES.index(wanted):
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.001)


def _finish(study: Study, stage: Path) -> float:
    """Let a run end, and return its seconds."""
    started = time.monotonic()
    _, status = os.waitpid(run_in_fork(study, stage), 0)
    if status:
        raise SystemExit(f"a run that nobody killed ended with {status}")
    return time.monotonic() - started


def contents(output: Path) -> dict[str, Any]:
    """Return all that a study leaves, without the times of day in it."""
    from babelscope.capture import Activations
    from babelscope.gaps import Result

    result = Result.load(output)
    tables = {"scores": result.scores, "curves": result.curves, **result.tables}
    found: dict[str, Any] = {name: table.to_csv(index=False, float_format="%.17g") for name, table in tables.items()}
    found["headline"], found["options"] = result.meta["headline"], result.meta["options"]
    held = Activations(output / "activations.zarr")
    for file in sorted(file for file in Path(held.path).rglob("*") if file.is_file() and file.name != "zarr.json"):
        found[file.relative_to(held.path).as_posix()] = file.read_bytes()
    found["left"] = sorted(file.name for file in output.rglob("*.partial"))
    report = (output / "report.html").read_text(encoding="utf-8")
    found["report ends"] = report.rstrip().endswith("</html>")
    found["figures"] = sorted(file.name for file in (output / "figures").iterdir())
    return found


def main(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill runs at random moments until there were enough kills; hold each end against an undisturbed run.

    A study is gone on with after every kill. When one ends, the next begins with an empty folder. A stage is drawn, and
    a moment within a tenth of a whole run's time from its beginning; a run that ends before was not killed.
    """
    draw, stage = random.Random(seed), folder / "stage"
    undisturbed = tiny_study(folder, "undisturbed")
    _finish(tiny_study(folder, "first"), stage)
    for name in stage.with_name("modules").read_text().split():
        with contextlib.suppress(Exception):  # what cannot be imported by its name is not needed by it
            importlib.import_module(name)
    whole = _finish(undisturbed, stage)
    expected = contents_in_fork(undisturbed.output, folder)
    blocks = len((folder / f"undisturbed.{LOG}").read_text().splitlines())
    done, rounds, again, most = 0, 0, 0, 0
    at: Counter[str] = Counter()
    while done < kills:
        study = tiny_study(folder, f"round-{rounds}")
        of_round = 0
        while done < kills:
            stage.write_bytes(b"starting  ")
            child = run_in_fork(study, stage)
            _wait_for(draw.choice(STAGES), stage, child)
            time.sleep(draw.uniform(0, whole * 0.1))
            if os.waitpid(child, os.WNOHANG)[0]:
                break
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            at[stage.read_bytes().decode().split()[0]] += 1
            done, of_round = done + 1, of_round + 1
        _finish(study, stage)
        found = contents_in_fork(study.output, folder)
        differing = [key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)]
        if differing:
            raise SystemExit(f"round {rounds} after {of_round} kills differs in {sorted(differing)[:5]}")
        begun = (folder / f"{study.output.name}.{LOG}").read_text().splitlines()
        again += len(begun) - blocks
        most = max(most, max(Counter(begun).values()) - 1)
        if len(begun) - blocks > 4 * of_round:
            raise SystemExit(f"round {rounds}: {of_round} kills made {len(begun) - blocks} blocks be encoded again")
        rounds += 1
        print(f"{done} kills, {rounds} studies, {dict(at)}, {again} blocks again", file=sys.stderr, flush=True)
        shutil.rmtree(study.output)
    return {
        "kills": done,
        "studies": rounds,
        "at": dict(at.most_common()),
        "blocks": blocks,
        "blocks again": again,
        "most a block": most,
        "seconds undisturbed": round(whole, 2),
    }


def contents_in_fork(output: Path, folder: Path) -> dict[str, Any]:
    """Return :func:`contents`, read in a fork: the process that forks must start no thread."""
    told = folder / "contents"
    child = os.fork()
    if child == 0:
        try:
            found = contents(output)
            import hashlib

            digests = {key: hashlib.sha256(repr(value).encode()).hexdigest() for key, value in found.items()}
            told.write_text(json.dumps(digests))
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise SystemExit(f"what {output} holds could not be read")
    return dict(json.loads(told.read_text()))


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
