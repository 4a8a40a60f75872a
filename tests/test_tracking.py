"""What trackers get of a study: by stand-ins with their interfaces, and by the real packages where they are here."""

from __future__ import annotations

import dataclasses
import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from babelscope.cli import main
from babelscope.errors import UsageError
from babelscope.gaps import Result
from babelscope.monitor.loggers import logger_of, metric_name
from babelscope.study import Study
from babelscope.tracking import TrackingOptions, record_of, track
from synthetic import synthetic_result
from synthetic_tables import crossed

STUDY = {"corpus": {"source": "asterisk"}, "model": {"name": "whisper-base"}}
MEASURES = ("svcca(variance=0.9)", "linear_cka", "retrieval")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result on the disk with a page in place of its report."""
    folder = tmp_path_factory.mktemp("made")
    result = synthetic_result(("en", "fr", "sw"), speech=4, text=5, measures=MEASURES)
    study = {"name": "tones: first", "created": "2026-01-01", "command": "babelscope run", "keys": {"corpus": {"n": 9}}}
    result = dataclasses.replace(result, meta={**result.meta, "study": study, "identity": "abc"})
    result.save(folder)
    (folder / "report.html").write_text("<!doctype html><p>A report", encoding="utf-8")
    return folder


@pytest.fixture
def folder(made: Path) -> Path:
    (made / "tracked.json").unlink(missing_ok=True)
    return made


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__dict__.update(members)
    monkeypatch.setitem(sys.modules, name, module)


class Wandb:
    """What the package ``wandb`` is called with."""

    class Error(Exception):
        """Of the server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, key: bool = True, reached: bool = True) -> None:
        self.started: list[dict[str, Any]] = []
        self.logged: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.files: list[str] = []
        self.reached = reached
        stand_in(
            monkeypatch,
            "wandb",
            init=self.init,
            login=lambda **options: key,
            errors=SimpleNamespace(Error=self.Error),
            Settings=lambda **options: options,
            Table=lambda dataframe: dataframe,
            Html=lambda path, inject: path,
            Artifact=lambda name, type: SimpleNamespace(add_file=lambda path, name: self.files.append(name)),
        )

    def init(self, **options: Any) -> Wandb:
        if options["mode"] == "online" and not self.reached:
            raise self.Error("no such host\nat all")
        self.started.append(options)
        self.offline, self.url, self.dir = options["mode"] == "offline", "https://wandb.example/run", "here/run/files"
        return self

    def __enter__(self) -> Wandb:
        return self

    def __exit__(self, *ended: object) -> None:
        pass

    def define_metric(self, name: str, step_metric: str = "") -> None:
        pass

    def log(self, values: dict[str, Any]) -> None:
        self.logged.append(values)

    def log_artifact(self, artifact: Any) -> None:
        self.logged.append({"artifact": artifact})


def test_the_record_has_the_curves_of_the_result_and_where_they_come_from(folder: Path) -> None:
    result = Result.load(folder)
    record = record_of(result, folder)
    curve = result.curves.query("group == 'mean' and control == 'none' and measure == 'linear_cka'")
    curve = curve[curve["kind"] == "modality_similarity"].sort_values("depth")
    steps = dict(record.scalars())
    for layer, value in enumerate(curve["value"]):
        assert steps[layer]["modality_similarity/linear_cka/value"] == pytest.approx(value)
    assert record.numbers["output/modality_similarity/linear_cka/value"] == pytest.approx(curve["value"].iloc[-1])
    assert record.numbers["headline/modality_similarity/value"] <= 1
    assert record.config["keys.corpus.n"] == 9 and record.config["corpus.languages"] == "en, fr, sw"
    assert {"report.html", "result.json", "scores.parquet"} <= set(record.files)
    assert not [name for name in record.files if "zarr" in name]


def test_a_point_compared_with_several_counts_once(folder: Path) -> None:
    every = record_of(crossed(Result.load(folder))).curves
    assert len(every) and not every.duplicated(["kind", "measure", "point"]).any()


def test_wandb_gets_config_curves_numbers_and_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = Wandb(monkeypatch)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    options = TrackingOptions(to=["wandb"], project="mine", tags=["nightly"])
    (logged,) = track(folder, options)
    assert str(logged) == "Weights & Biases: https://wandb.example/run"
    (start,) = wandb.started
    assert (start["project"], start["name"], start["tags"]) == ("mine", "tones: first", ["nightly"])
    assert start["config"]["keys.corpus.n"] == 9
    curves = [values for values in wandb.logged if "layer" in values]
    assert [values["layer"] for values in curves] == list(range(len(curves)))
    assert "modality_similarity/linear_cka/value" in curves[0] and "headline/modality_similarity/value" in wandb.summary
    assert "report.html" in wandb.files and any("report" in values for values in wandb.logged)
    assert track(folder, options, again=False)[0].again and len(wandb.started) == 1
    track(folder, options.model_copy(update={"files": False}))
    assert len(wandb.started) == 2 and not any("report" in values for values in wandb.logged[-1:])


@pytest.mark.parametrize(("key", "reached", "why"), [(False, True, "no API key"), (True, False, "no such host")])
def test_wandb_is_offline_where_it_cannot_be_signed_in_or_reached(
    folder: Path, monkeypatch: pytest.MonkeyPatch, key: bool, reached: bool, why: str
) -> None:
    wandb = Wandb(monkeypatch, key=key, reached=reached)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    (logged,) = track(folder, TrackingOptions(to=["wandb"]))
    assert [start["mode"] for start in wandb.started] == ["offline"]
    assert why in str(logged) and "wandb sync here/run" in str(logged)


def test_a_tracker_that_fails_is_one_line_and_the_others_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: Any) -> None:
        raise ConnectionError("the server\nsays no")

    Wandb(monkeypatch)
    monkeypatch.setattr(sys.modules["wandb"], "init", fail)
    monkeypatch.setenv("WANDB_MODE", "online")
    failed, written = track(folder, TrackingOptions(to=["wandb", "tensorboard"]))
    assert str(failed) == "Weights & Biases: not logged (ConnectionError: the server says no)"
    assert not written.error and (folder / "tensorboard").is_dir()
    assert json.loads((folder / "tracked.json").read_text(encoding="utf-8")).keys() == {"tensorboard"}


def test_what_is_unknown_or_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"MLflow is not installed: pip install 'babelscope\[mlflow\]'"):
        track(folder, TrackingOptions(to=["mlflow"]))
    assert main(["track", str(folder), "--to", "wandbb"]) == 2
    with pytest.raises(UsageError, match="did you mean 'project'"):
        Study.parse(
            {
                **STUDY,
                "tracking": {"to": ["wandb"], "projekt": "x"},
            }
        )


def test_the_command_line_replaces_the_trackers_of_a_study() -> None:
    tracking = {"to": ["wandb"], "project": "mine"}
    study = Study.parse({**STUDY, "tracking": tracking})
    other = study.changed(trackers=["mlflow", "tensorboard"]).tracking
    assert other == TrackingOptions(to=["mlflow", "tensorboard"], project="mine")
    assert study.changed(trackers=["none"]).tracking is None and study.changed().tracking == study.tracking
    with pytest.raises(UsageError, match="did you mean 'mlflow'"):
        study.changed(trackers=["mlflo"])


def test_tensorboard_reads_what_was_logged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # the second replaces the first
        assert main(["track", str(folder), "--to", "tensorboard"]) == 0
    assert f"TensorBoard: {folder / 'tensorboard'}" in capsys.readouterr().out.replace("\n", "")
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    record = record_of(Result.load(folder))
    name = "modality_similarity/linear_cka/chance_corrected"
    wanted = [values[name] for _, values in record.scalars() if name in values]
    assert [event.value for event in events.Scalars(name)] == pytest.approx(wanted, rel=1e-6)
    assert {"verdict/text_summary", "config/text_summary"} <= set(events.Tags()["tensors"])


def test_mlflow_reads_what_was_logged(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    (logged,) = track(folder, TrackingOptions(to=["mlflow"], project="mine"))
    assert not logged.error, logged.error
    client = mlflow.MlflowClient((tmp_path / "runs").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    record = record_of(Result.load(folder))
    assert run.info.status == "FINISHED" and run.data.params["corpus.languages"] == "en, fr, sw"
    assert (
        run.data.metrics["headline/modality_similarity/value"] == record.numbers["headline/modality_similarity/value"]
    )
    name = "modality_similarity/svcca_variance_0.9/value"
    wanted = [values[name] for _, values in record.scalars() if name in values]
    assert [metric.value for metric in client.get_metric_history(run.info.run_id, name)] == wanted
    assert {"report.html", "scores.parquet"} <= {file.path for file in client.list_artifacts(run.info.run_id)}


def test_wandb_itself_takes_it_offline(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", minversion="0.31")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    (logged,) = track(folder, TrackingOptions(to=["wandb"]))
    assert not logged.error, logged.error
    (written,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    content = written.read_bytes()
    for expected in (b"modality_similarity/linear_cka/value", b"headline/modality_similarity/value", b"report.html"):
        assert expected in content


def test_a_monitor_logs_to_mlflow_under_a_name_that_it_takes() -> None:
    taken: list[tuple[dict[str, float], int]] = []
    log = logger_of(SimpleNamespace(log_metrics=lambda scalars, step: taken.append((scalars, step))))
    log({"babelscope/svcca(variance=0.9)/out": 0.7, "babelscope/svcca(variance=0.9)/out/chance_corrected": 0.5}, 7)
    name = "babelscope/svcca_variance_0.9/out"  # a name below another cannot be a file and a folder at once
    assert taken == [({f"{name}/value": 0.7, f"{name}/chance_corrected": 0.5}, 7)]
    assert metric_name("retrieval") == "retrieval"
