"""The examples for clusters that no test can have: valid in form, and of options that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from babelscope.cli import app

PAGE = Path(__file__).parent.parent.parent.parent / "docs" / "many-machines.md"


def titled(name: str) -> str:
    found = re.search(
        rf'^```\w+ title="{re.escape(name)}"\n(.*?)^```$', PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found, f"{PAGE.name} has no {name}"
    return found[1]


def check_command(line: str) -> None:
    typed = shlex.split(line)
    assert typed[:2] == ["babelscope", "run"]
    command: Any = typer.main.get_command(app)
    known = {option for each in command.commands["run"].params for option in each.opts}
    asked = [part for part in typed if part.startswith("-")]
    assert {"--engine", "--address", "--replicas"} == set(asked) and set(asked) <= known


def test_the_batch_script_of_slurm_is_a_script_and_runs_what_there_is() -> None:
    script = titled("study.sbatch")
    if bash := shutil.which("bash"):
        checked = subprocess.run([bash, "-n"], input=script, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr
    lines = script.splitlines()
    assert lines[0].startswith("#!") and all(re.match(r"#SBATCH --[a-z-]+(=\S+)?$", line) for line in lines[1:10])
    check_command(re.sub(r"\$\(\(.*?\)\)", "64", lines[-1]))


def test_ray_start_takes_the_options_of_the_batch_script() -> None:
    pytest.importorskip("ray", reason='Ray is an extra: pip install "babelscope[ray]"')
    from ray.scripts.scripts import start

    known = {option for each in start.params for option in each.opts}
    for line in re.findall(r"ray start (.*?) &$", titled("study.sbatch"), re.MULTILINE):
        asked = {part.partition("=")[0] for part in line.split()}
        assert asked and asked <= known, asked - known


def test_the_job_of_kuberay_is_yaml_with_what_a_rayjob_needs() -> None:
    job = yaml.safe_load(titled("study.yaml"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    assert spec.keys() == {"entrypoint", "shutdownAfterJobFinishes", "backoffLimit", "rayClusterSpec"}
    check_command(spec["entrypoint"])
    cluster = spec["rayClusterSpec"]
    assert cluster.keys() == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    gpus = 0
    for group in (cluster["headGroupSpec"], workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values()), "KubeRay takes texts"
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert {variable["name"] for variable in container["env"]} >= {"OMP_NUM_THREADS", "BABELSCOPE_CACHE"}
        gpus += int(container["resources"]["limits"].get("nvidia.com/gpu", 0)) * int(group.get("replicas", 1))
    assert f"--replicas {gpus}" in spec["entrypoint"], "one replica a GPU"
