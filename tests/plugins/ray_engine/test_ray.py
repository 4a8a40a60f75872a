"""On a real Ray cluster (several nodes of this machine) a study ends with the local engine's bits, whoever dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from babelscope import study as module
from babelscope.engines import open_engine
from babelscope.plugins.ray.pool import ActorPool
from babelscope.study import Study, run
from conftest import write_manifest

ray = pytest.importorskip("ray", reason='Ray is an extra: pip install "babelscope[ray]"')
psutil = pytest.importorskip("psutil", reason="processes are looked for with psutil")

pytestmark = pytest.mark.slow

LANGUAGES = ("xa", "xb", "xc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a corpus of 24 sentences in three languages is."""
    folder = tmp_path_factory.mktemp("many-machines")
    write_manifest(folder, sentences=24, languages=LANGUAGES)
    return folder


@pytest.fixture(autouse=True)
def _unhindered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else workers hardly get on beside other tests


@pytest.fixture
def make(folder: Path, whisper_folder: Path, e5_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Study]:
    """Write a study's file and load it. Blocks are of two sentences: 72 jobs."""
    monkeypatch.setattr(module, "BLOCK", 2)

    def made(name: str, engine: str = "local", **more: Any) -> Study:
        (folder / f"{name}.toml").write_text(
            f"""
name = "machines"
output = "{name}"
seed = 1
permutations = 19
measures = ["linear_cka", "retrieval"]
controls = ["none", "shuffled"]
corpus = {{ source = "manifest", path = "manifest.csv" }}
[model]
name = "whisper-base+e5-small"
window_seconds = 2
weights = {{ whisper-base = "{whisper_folder}", e5-small = "{e5_folder}" }}
""",
            encoding="utf-8",
        )
        return Study.load(folder / f"{name}.toml").changed(engine=engine, **more)

    return made


@pytest.fixture
def expected(make: Callable[..., Study]) -> dict[str, bytes]:
    """What the local engine leaves; it is run once."""
    study = make("local")
    if not (study.output / "result.json").exists():
        run(study)
    return bits(study.output)


def bits(output: Path) -> dict[str, bytes]:
    """Return every file of the store, the scores and the tables, but for what holds a time of day."""
    kept = {
        path.relative_to(output).as_posix(): path.read_bytes()
        for part in ("activations.zarr", "tables")
        for path in sorted((output / part).rglob("*"))
        if path.is_file() and path.name != "zarr.json"
    }
    assert len(kept) > 72, "every block is there"
    return kept | {"scores.parquet": (output / "scores.parquet").read_bytes()}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head that computes nothing, and two machines of one processor each: all of them on this one."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    try:
        yield made
    finally:
        if ray.is_initialized():
            ray.shutdown()  # type: ignore[no-untyped-call, unused-ignore]
        made.shutdown()  # type: ignore[no-untyped-call, unused-ignore]


class Murderer:
    """Kills the machine of an actor, with all that runs there, when it was just handed its so manieth item.

    Attributes
    ----------
    lost : list of int
        How many items each buried actor had.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cluster: Any, after: dict[str, int], replaced: bool) -> None:
        self.cluster, self.after, self.replaced = cluster, dict(after), replaced
        self.lost: list[int] = []
        self.handed: dict[str, int] = {}
        real_run, real_bury = ActorPool.run, ActorPool._drop

        def run(crew: ActorPool, items: Sequence[Any], hand: Callable[..., Any], name: Callable[..., str]) -> Any:
            def handing(actor: Any, item: Any) -> Any:
                reference, kind = hand(actor, item), type(item).__name__
                self.handed[kind] = self.handed.get(kind, 0) + 1
                if self.handed[kind] == self.after.get(kind):
                    self._kill(actor)
                return reference

            return real_run(crew, items, handing, name)

        def bury(crew: ActorPool, member: Any, again: Callable[[Any], None]) -> None:
            if member in crew.members:
                self.lost.append(len(member.handed))
            real_bury(crew, member, again)

        monkeypatch.setattr(ActorPool, "run", run)
        monkeypatch.setattr(ActorPool, "_drop", bury)

    def _kill(self, actor: Any) -> None:
        from ray._private.state import actors

        where = actors(actor._actor_id.hex())["Address"]["NodeID"]
        node = next(one for one in self.cluster.worker_nodes if one.node_id == where)
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        for process in (raylet, *raylet.children(recursive=True)):  # at once, as by a power cut
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)
        if self.replaced:
            self.cluster.add_node(num_cpus=1)


def test_two_replicas_on_this_machine_give_the_bits_of_the_local_engine(
    make: Callable[..., Study], expected: dict[str, bytes]
) -> None:
    study = make("two", "ray", replicas=2)
    run(study)
    assert differing(expected, bits(study.output)) == []
    assert not ray.is_initialized(), "what was started is ended"


@pytest.mark.parametrize("replaced", [False, True])
def test_a_machine_that_dies_while_encoding_and_one_while_comparing_change_no_bit(
    make: Callable[..., Study],
    expected: dict[str, bytes],
    cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
    replaced: bool,
) -> None:
    if not replaced:  # two die, and one must be left
        cluster.add_node(num_cpus=1)
    kills = Murderer(monkeypatch, cluster, {"Job": 20, "Block": 2}, replaced)
    study = make(f"killed-{replaced}", "ray", replicas=2)
    run(study, address=cluster.address)
    assert sum(lost > 0 for lost in kills.lost) >= 2, f"one died of each kind while it had items: {kills.lost}"
    assert differing(expected, bits(study.output)) == []


#: The command line, with blocks as small as those of :func:`make`.
PROGRAM = "import sys; from babelscope import cli, study; study.BLOCK = 2; sys.exit(cli.main())"


def _command(study: Study, *options: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "run", f"{study.output}.toml", "--engine", "ray", *options]


def _start(command: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen(
        command, env=environment, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _wait_for_blocks(study: Study, started: subprocess.Popen[str], count: int) -> None:
    for _ in range(12_000):  # a busy machine takes minutes to start Ray and load two models
        if len(list((study.output / "activations.zarr" / "activation").glob("c.*"))) >= count:
            return
        assert started.poll() is None, started.communicate()[0][-2000:]
        time.sleep(0.05)
    started.kill()
    raise AssertionError("nothing was encoded within ten minutes")


def _processes_of(started: subprocess.Popen[str]) -> list[Any]:
    return list(psutil.Process(started.pid).children(recursive=True))


def _gone(processes: list[Any]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=60)
    return not [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_driver_that_is_stopped_leaves_no_process_and_the_local_engine_goes_on_from_there(
    make: Callable[..., Study], expected: dict[str, bytes], how: signal.Signals
) -> None:
    study = make(f"stopped-{how.name}", "ray")
    started = _start(_command(study, "--replicas", "2"))
    _wait_for_blocks(study, started, 1)
    processes = _processes_of(started)
    assert any("raylet" in one.name() for one in processes), "Ray was running"
    if how == signal.SIGINT:
        os.killpg(started.pid, how)  # as a terminal does
    else:
        os.kill(started.pid, how)
    told = started.communicate(timeout=300)[0]
    if how == signal.SIGINT:
        assert started.returncode == 130 and "Traceback" not in told, told[-2000:]
    agents = [one for one in processes if one.is_running() and "Agent" in one.name()] if how == signal.SIGKILL else []
    assert _gone([one for one in processes if one not in agents])
    for one in agents:  # of Ray's own, which outlive a raylet that was killed with its driver
        one.kill()
    run(make(study.output.name))
    assert differing(expected, bits(study.output)) == []


def test_a_command_joins_by_the_address_and_the_cluster_outlives_it(
    make: Callable[..., Study], expected: dict[str, bytes], cluster: Any
) -> None:
    study = make("joined", "ray")
    started = _start(_command(study, "--replicas", "2", "--address", cluster.address))
    told = started.communicate(timeout=300)[0]
    assert started.returncode == 0, told[-2000:]
    with open_engine("ray", address=cluster.address):
        assert sum(node["Alive"] for node in ray.nodes()) == 3
    assert differing(expected, bits(study.output)) == []
