"""The batch script of the documentation on a real SLURM of three machines: requeued, it ends with the local bits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster, missing
from test_examples import titled

from conftest import write_manifest

pytest.importorskip("ray", reason='Ray is an extra: pip install "babelscope[ray]"')

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing() or "there")]

LANGUAGES = ("xa", "xb", "xc")
MACHINES = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    made = SlurmCluster(tmp_path_factory.mktemp("slurm"), MACHINES)
    yield made
    made.close()


@pytest.fixture
def shared(tmp_path: Path, whisper_folder: Path, e5_folder: Path) -> Path:
    """The folder that all machines see: environment, corpus, study, and the batch script with sizes that fit here."""
    (tmp_path / "venv").symlink_to(sys.prefix)
    write_manifest(tmp_path, sentences=160, languages=LANGUAGES)
    (tmp_path / "study.toml").write_text(
        f"""
name = "machines"
output = "out"
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
    script = titled("study.sbatch")
    for written, here in (
        ("/shared/", f"{tmp_path}/"),
        ("--nodes=8", f"--nodes={MACHINES}"),
        ("OMP_NUM_THREADS=8", "OMP_NUM_THREADS=1"),
        ("--num-cpus=64", "--num-cpus=1"),
        ("SLURM_NNODES * 8", "SLURM_NNODES * 1"),
    ):
        assert written in script
        script = script.replace(written, here)
    (tmp_path / "study.sbatch").write_text(script, encoding="utf-8")
    return tmp_path


def submit(cluster: SlurmCluster, shared: Path) -> str:
    said = cluster.run("sbatch", "--parsable", f"--chdir={shared}", f"--output={shared}/log", f"{shared}/study.sbatch")
    return said.partition(";")[0]


def wait(what: Callable[[], bool], shared: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, (shared / "log").read_text("utf-8")[-3000:]
        time.sleep(0.2)


def bits(output: Path) -> dict[str, bytes]:
    files = [path for part in ("activations.zarr", "tables") for path in sorted((output / part).rglob("*"))]
    kept = [path for path in files if path.is_file() and path.name != "zarr.json"] + [output / "scores.parquet"]
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in kept}


def test_a_job_that_is_requeued_in_the_middle_ends_with_the_local_bits(cluster: SlurmCluster, shared: Path) -> None:
    job = submit(cluster, shared)
    log = shared / "log"
    wait(lambda: log.is_file() and "encoding" in log.read_text("utf-8"), shared, 120)
    cluster.run("scontrol", "requeue", job)
    wait(lambda: cluster.state(job) == "PENDING", shared, 60)
    for each in cluster.names:  # what follows is of the second time
        for session in (cluster.folder / "spool" / each / "ray").iterdir():
            session.unlink() if session.is_symlink() or session.is_file() else shutil.rmtree(session)
    written = log.read_text("utf-8")
    assert "Report (" not in written, "it was requeued before its end"
    cluster.run("scontrol", "update", f"jobid={job}", "starttime=now")
    wait(lambda: cluster.state(job) not in {"PENDING", "RUNNING", "COMPLETING"}, shared, 400)
    assert cluster.state(job) == "COMPLETED", log.read_text("utf-8")[-3000:]
    spool = cluster.folder / "spool"
    logs = [path for path in spool.glob("*/ray/*/logs/worker-*.out") if "actor_name:Replica" in path.read_text("utf-8")]
    machines = {path.relative_to(spool).parts[0] for path in logs}
    assert machines == set(cluster.names), "each machine had a replica"

    shutil.move(shared / "out", shared / "on-slurm")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-m", "babelscope", "run", "study.toml"], cwd=shared, env=environment, check=True, timeout=300
    )
    one, other = bits(shared / "on-slurm"), bits(shared / "out")
    assert len(one) > 12 and sorted(one) == sorted(other)
    assert [name for name in one if one[name] != other[name]] == []
