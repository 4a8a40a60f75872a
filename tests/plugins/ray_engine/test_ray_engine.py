"""What the Ray engine refuses before anything runs, and how it shares out a cluster: told without Ray being started."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_ray import nodes

from babelscope.cli import main
from babelscope.engines import open_engine
from babelscope.errors import UsageError
from babelscope.models import Model
from babelscope.plugins.ray import engine as module
from babelscope.plugins.ray.environment import Environment
from babelscope.plugins.ray.replica import DescribedSide


def test_without_ray_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    refused = pytest.raises(UsageError, match=r'Ray is not installed: pip install "babelscope\[ray\]"')
    with refused as raised, open_engine("ray"):
        pass
    assert "\n" not in str(raised.value)


def test_without_ray_the_command_ends_with_that_line_and_code_2(
    monkeypatch: pytest.MonkeyPatch, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    study = tmp_path / "study.toml"
    study.write_text(
        f"corpus = {{ source = 'manifest', path = '{manifest}' }}\nmodel = {{ name = 'whisper-base+e5-small' }}\n",
        "utf-8",
    )
    for command in ("run", "encode"):
        assert main([command, str(study), "--engine", "ray"]) == 2
        assert 'pip install "babelscope[ray]"' in " ".join(capsys.readouterr().err.split())


def test_a_broken_ray_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError("libgrpc.so: cannot open", name="ray._raylet")

    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(UsageError, match=r"Ray is installed, and cannot be imported: libgrpc.so"):
        module.Ray()


def test_an_address_where_nobody_answers_is_one_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_imported", lambda: SimpleNamespace(is_initialized=lambda: False))
    for address in ("127.0.0.1:1", "127.0.0.1:99999"):
        refused = pytest.raises(
            UsageError, match=rf"address '{address}': no Ray cluster answers there .*ray start --head"
        )
        with refused as raised, open_engine("ray", address=address):
            pass
        assert "\n" not in str(raised.value)


# -- what has to be alike
# --------------------------------------------------------------------------------------------------------------------
def other(**changes: Any) -> Environment:
    return dataclasses.replace(Environment.current(), host="node-7", **changes)


def test_a_process_like_this_one_is_taken() -> None:
    Environment.current().check(other(folder="/elsewhere", cache="/another"), "cpu")


def test_another_version_is_refused_with_the_machine_and_both_versions() -> None:
    mine = Environment.current()
    theirs = other(versions={**mine.versions, "torch": "1.0"})
    with pytest.raises(
        UsageError, match=rf"^node-7 has torch 1\.0, and {mine.host} has {re.escape(mine.versions['torch'])}: "
    ):
        mine.check(theirs, "cuda")


def test_another_processor_is_refused_only_where_processors_compute_the_model() -> None:
    theirs = other(capability="SSE2")
    Environment.current().check(theirs, "cuda")
    with pytest.raises(UsageError, match=r"the processor of node-7 computes with SSE2.*ATEN_CPU_CAPABILITY"):
        Environment.current().check(theirs, "cpu")


def test_another_number_of_threads_is_refused() -> None:
    with pytest.raises(UsageError, match=r"node-7 computes with 77 threads .* set OMP_NUM_THREADS"):
        Environment.current().check(other(torch_threads=77), "any")


# -- how a cluster is shared out
# --------------------------------------------------------------------------------------------------------------------
def cluster(resources: list[dict[str, float]], replicas: int | None = None, threads: int = 2) -> module.Ray:
    made = module.Ray.__new__(module.Ray)
    made.ray, made.replicas = SimpleNamespace(nodes=nodes(resources)), replicas
    made.environment = dataclasses.replace(Environment.current(), torch_threads=threads)
    return made


def test_a_replica_a_gpu_of_the_whole_cluster() -> None:
    made = cluster([{"CPU": 16, "GPU": 8}, {"CPU": 16, "GPU": 4}, {"CPU": 4}])
    assert made._room("cuda") == (12, {"num_gpus": 1, "num_cpus": 1})
    assert cluster([{"CPU": 16, "GPU": 8}], replicas=3)._room("cuda")[0] == 3
    assert cluster([{"CPU": 4}], replicas=3)._room("cuda")[0] == 3, "they are waited for"


def test_a_model_for_a_gpu_and_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no machine of the cluster has one.*device = 'cpu'"):
        cluster([{"CPU": 4}])._room("cuda")
    with pytest.raises(UsageError, match=r"'cuda:1': each replica has a GPU of its own, write 'cuda'"):
        cluster([{"CPU": 4, "GPU": 2}])._room("cuda:1")


@pytest.mark.parametrize(
    ("cpus", "replicas", "expected"),
    [
        ([8, 8], None, (8, 2)),  # as many as there is room for
        ([8, 8], 3, (3, 2)),
        ([8, 8], 12, (12, 1)),  # more than fit with all their threads: each is given less
        ([2], 8, (8, 0.25)),
        ([1, 8], None, (9, 1)),  # the least machine takes one too
        ([0, 8], None, (4, 2)),  # a head that does not compute
    ],
)
def test_replicas_on_processors_have_room(cpus: list[float], replicas: int | None, expected: tuple[int, float]) -> None:
    size, room = cluster([{"CPU": each} for each in cpus], replicas)._room("cpu")
    assert (size, room["num_cpus"]) == expected
    assert sum(int(count // room["num_cpus"]) for count in cpus) >= size, "all of them can be placed"


def test_comparing_has_a_process_a_machine_and_a_thread_a_processor() -> None:
    assert cluster([{"CPU": 8}, {"CPU": 8}])._machines() == (2, 8)
    assert cluster([{"CPU": 4}, {"CPU": 8}])._machines() == (3, 4)
    assert cluster([{}, {"CPU": 8}])._machines() == (1, 8)


# -- a model that runs elsewhere
# --------------------------------------------------------------------------------------------------------------------
def test_a_described_side_tells_what_the_side_does_and_refuses_to_run(tiny_model: Model) -> None:
    for side in tiny_model.sides.values():
        told = DescribedSide(side)
        assert (told.modality, told.unit, told.parameters) == (side.modality, side.unit, side.parameters)
        assert [(point.name, point.width, point.stage) for point in told.points] == [
            (point.name, point.width, point.stage) for point in side.points
        ]
        refusing = "the model runs in other processes"
        with pytest.raises(UsageError, match=refusing):
            told.prepare("a", "xa")
        with pytest.raises(UsageError, match=refusing):
            told.points[0].length(3)
