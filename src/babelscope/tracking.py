"""Results in Weights & Biases, TensorBoard and MLflow, by their own loggers: provenance, curves, numbers, the report.

>>> from babelscope.tracking import TrackingOptions, track
>>> track("results/demo", TrackingOptions(to=["tensorboard"]))  # doctest: +SKIP
[Logged(tracker='tensorboard', where='results/demo/tensorboard', error='')]
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from babelscope.cache import write_atomically
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.gaps.result import Result
from babelscope.monitor.loggers import metric_name
from babelscope.report.first_screen import first_screen

Tracker = Literal["wandb", "tensorboard", "mlflow"]

#: The names of trackers, and what each is called.
TRACKERS: dict[str, str] = dict(zip(get_args(Tracker), ("Weights & Biases", "TensorBoard", "MLflow"), strict=True))

#: The file in a folder of results that says where the result was logged.
LOGGED = "tracked.json"

#: What is logged of a score at each point, and of a tile of the report.
_COLUMNS = ("value", "chance_corrected", "null_mean", "low", "high")
_TILE = ("value", "low", "high", "chance")

#: The axis of curves in Weights & Biases: the number of a point along the model.
_LAYER = "layer"

#: Where a tracker must not wait for long: the study is done.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_SECONDS = 45

#: MLflow takes at most so many metrics, parameters and characters at once.
_METRICS, _PARAMETERS, _CHARACTERS = 500, 100, 500


class TrackingOptions(BaseModel):
    """``[tracking]``: where a finished study is logged."""

    model_config = ConfigDict(extra="forbid", frozen=True, field_title_generator=lambda name, info: name)

    to: list[Tracker] = Field(min_length=1, description="trackers: wandb, tensorboard, mlflow")
    project: str = Field(default="babelscope", description="the project in Weights & Biases, the experiment in MLflow")
    folder: Path | None = Field(
        default=None, description="of TensorBoard's logs; tensorboard in the study's output if left out"
    )
    tags: list[str] = Field(default_factory=list, description="of the run in Weights & Biases and MLflow")
    files: bool = Field(default=True, description="whether the report, the scores and the tables are uploaded")


@dataclass(frozen=True)
class Logged:
    """What became of logging a result to one tracker.

    Attributes
    ----------
    tracker : str
    where : str
        An address or a folder; empty where it failed.
    error : str
        What failed, in a line; empty where nothing did.
    again : bool
        Whether this very result was logged there before, and nothing was done.
    """

    tracker: str
    where: str = ""
    error: str = ""
    again: bool = False

    def __str__(self) -> str:
        if self.error:
            return f"{TRACKERS[self.tracker]}: {self.error}"
        return f"{TRACKERS[self.tracker]}{' (logged before)' if self.again else ''}: {self.where}"


@dataclass(frozen=True)
class Record:
    """What is logged of a result.

    Attributes
    ----------
    name, model : str
        Of the study, and of its model.
    identity : str
        Of the result: another one if any score or section is another.
    config : mapping of str to scalar
        The study's keys and where its numbers come from, by dotted path.
    curves : DataFrame
        Means over languages along the model: ``kind``, ``measure``, ``layer``, ``point``, ``depth``, and the scores.
    numbers : mapping of str to float
        The tiles of the report, and each kind's and measure's score at the output.
    text : str
        The verdict and the headline, in Markdown.
    files : mapping of str to Path
        By name; without activations and recordings.
    picture : Path or None
        Similarity along the model.
    """

    name: str
    model: str
    identity: str
    config: Mapping[str, str | float | int | bool]
    curves: pd.DataFrame
    numbers: Mapping[str, float]
    text: str
    files: Mapping[str, Path] = field(default_factory=dict)
    picture: Path | None = None

    def scalars(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield the number of each point along the model, and the curves' values there, by name."""
        for layer in range(int(self.curves["layer"].max()) + 1 if len(self.curves) else 0):
            rows = self.curves[self.curves["layer"] == layer]
            values = {
                f"{row['kind']}/{row['measure']}/{column}": float(row[column])
                for _, row in rows.iterrows()
                for column in _COLUMNS
            }
            yield layer, _named(values)


def record_of(result: Result, folder: Path | str | None = None) -> Record:
    """Return what is logged of a result; with the files of its folder, if one is named."""
    from babelscope.publishing import published_files

    meta, screen = result.meta, first_screen(result)
    study, model, corpus = (meta.get(name) or {} for name in ("study", "model", "corpus"))
    facts = {
        "study": {name: value for name, value in study.items() if name != "keys"},
        "keys": study.get("keys") or {},
        "model": {name: model.get(name) for name in ("name", "revision", "licence", "dtype", "options")},
        "corpus": {name: corpus.get(name) for name in ("name", "fingerprint", "n", "languages", "licence")},
        "options": {name: (meta.get("options") or {}).get(name) for name in ("measures", "seed", "match", "pooling")},
        "versions": meta.get("versions") or {},
    }
    tiles = {
        f"headline/{tile.id}/{name}": shown.value
        for tile in screen.tiles
        for name in _TILE
        if (shown := getattr(tile, name)) is not None
    }
    curves = _curves(result)
    outputs = curves.loc[curves.groupby(["kind", "measure"], sort=False)["layer"].idxmax()] if len(curves) else curves
    numbers = tiles | {
        f"output/{row['kind']}/{row['measure']}/{column}": float(row[column])
        for _, row in outputs.iterrows()
        for column in _COLUMNS
    }
    lines = [str(sentence) for sentence in screen.verdict]
    lines += [f"- {sentence}" for sentence in meta.get("headline", ())]
    picture = None if folder is None else Path(folder) / "figures" / "similarity.png"
    return Record(
        name=str(study.get("name") or "babelscope"),
        model=str(model.get("name") or ""),
        identity=_identity(meta),
        config=dict(_flat(facts)),
        curves=curves,
        numbers=_named(numbers),
        text="\n\n".join(lines),
        files={} if folder is None else published_files(folder),
        picture=picture if picture is not None and picture.is_file() else None,
    )


def _curves(result: Result) -> pd.DataFrame:
    every = result.curves
    means = every[(every["group"] == "mean") & (every["control"] == "none")]
    means = means.sort_values(["kind", "measure", "depth"], kind="stable")
    means = means.drop_duplicates(["kind", "measure", "point"], keep="last")  # of several text points the deepest
    numbered = means.assign(layer=means.groupby(["kind", "measure"]).cumcount())
    return numbered[["kind", "measure", "layer", "point", "depth", *_COLUMNS]].reset_index(drop=True)


def _identity(meta: Mapping[str, Any]) -> str:
    sections = {name: each.get("identity") for name, each in (meta.get("sections") or {}).items()}
    decided = [meta.get("identity"), sections, meta.get("headline"), meta.get("versions")]
    return hashlib.sha256(json.dumps(decided, sort_keys=True, default=str).encode()).hexdigest()


def _named(values: Mapping[str, float]) -> dict[str, float]:
    """Return finite values, under names that every tracker takes."""
    return {metric_name(name): float(value) for name, value in values.items() if math.isfinite(value)}


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str | float | int | bool]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        scalar = not any(isinstance(each, (Mapping, list, tuple)) for each in value)
        yield name, ", ".join(map(str, value)) if scalar else json.dumps(value, default=str)
    elif value is not None:
        yield name, value if isinstance(value, (str, float, int, bool)) else str(value)


def options_for(trackers: Sequence[str], project: str = "babelscope") -> TrackingOptions:
    """Return options by the names of trackers.

    Raises
    ------
    UsageError
        If one is unknown.
    """
    _check_names(trackers)
    return TrackingOptions.model_validate({"to": list(trackers), "project": project})


def replaced(options: TrackingOptions | None, trackers: Sequence[str] | None) -> TrackingOptions | None:
    """Return options with other trackers: ``["none"]`` leaves out tracking, None changes nothing.

    Raises
    ------
    UsageError
        If one is unknown.
    """
    if not trackers:
        return options
    if list(trackers) == ["none"]:
        return None
    chosen = options_for(trackers)
    return chosen if options is None else options.model_copy(update={"to": chosen.to})


def _check_names(trackers: Sequence[str]) -> None:
    for tracker in trackers:
        if tracker not in TRACKERS:
            raise UsageError(f"tracking: there is no tracker {tracker!r}; {did_you_mean(tracker, TRACKERS)}")


def check_trackers(trackers: Sequence[str]) -> None:
    """Refuse trackers that are unknown or not installed.

    Raises
    ------
    UsageError
        With what to install.
    """
    _check_names(trackers)
    for tracker in trackers:
        if importlib.util.find_spec(tracker) is None:
            raise UsageError(
                f"tracking: {TRACKERS[tracker]} is not installed: pip install 'babelscope[{tracker}]', or leave it out "
                "(--track none)"
            )


def track(folder: Path | str, options: TrackingOptions, *, again: bool = True) -> list[Logged]:
    """Log a result to trackers. What fails there is returned, not raised.

    Parameters
    ----------
    folder : Path or str
        Of a result.
    options : TrackingOptions
    again : bool
        Whether to log a result that was logged to the same tracker before.

    Returns
    -------
    list of Logged
        One a tracker.

    Raises
    ------
    DataError
        If the folder holds no result, or a damaged one.
    UsageError
        If a tracker is not installed.
    """
    check_trackers(options.to)
    folder = Path(folder)
    record = record_of(Result.load(folder), folder)
    before = _logged(folder)
    outcomes = []
    for tracker in dict.fromkeys(options.to):
        known = before.get(tracker, {})
        if not again and known.get("result") == record.identity:
            outcomes.append(Logged(tracker, str(known.get("where", "")), again=True))
            continue
        try:
            with _quiet(tracker), _patient():
                where = _LOGGERS[tracker](record, options, folder)
        except Exception as error:  # whatever another program raises: the study is done and must not fail by it
            line = " ".join(str(error).split()) or "no reason given"
            outcomes.append(Logged(tracker, error=f"not logged ({type(error).__name__}: {line[:300]})"))
            continue
        outcomes.append(Logged(tracker, where))
        before[tracker] = {"result": record.identity, "where": where}
        with suppress(DataError, OSError):  # a folder that can only be read: then it is logged again next time
            _remember(folder, before)
    return outcomes


def _logged(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        known = json.loads((folder / LOGGED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    known = known if isinstance(known, dict) else {}
    return {tracker: entry for tracker, entry in known.items() if isinstance(entry, dict)}


def _remember(folder: Path, logged: Mapping[str, Any]) -> None:
    text = json.dumps(logged, indent=2) + "\n"
    write_atomically(folder / LOGGED, lambda path: path.write_text(text, encoding="utf-8"))


@contextmanager
def _quiet(tracker: str) -> Iterator[None]:
    """Leave out what a tracker's own package says of its database and service."""
    importlib.import_module(tracker)  # which sets the levels
    talkative = [logging.getLogger(name) for name in ("alembic", "mlflow", "tensorboard")]
    levels = [logger.level for logger in talkative]
    for logger in talkative:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(talkative, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _patient() -> Iterator[None]:
    """Wait for a server as long as is fitting at the end of a study, unless the user has chosen how long."""
    chosen = {name: value for name, value in _PATIENCE.items() if name not in os.environ}
    os.environ.update(chosen)
    try:
        yield
    finally:
        for name in chosen:
            os.environ.pop(name, None)


def _to_wandb(record: Record, options: TrackingOptions, folder: Path) -> str:
    import wandb

    def start(mode: str | None) -> Any:
        return wandb.init(
            project=options.project,
            name=record.name,
            config=dict(record.config),
            notes=record.text,
            tags=options.tags,
            job_type="babelscope",
            dir=os.environ.get("WANDB_DIR") or str(folder),
            mode=mode,
            reinit="create_new",  # a run that the caller has is left alone
            settings=wandb.Settings(init_timeout=_SECONDS, silent=True, console="off"),
        )

    why = ""
    if "WANDB_MODE" in os.environ:
        run = start(None)
    elif not wandb.login(prompt=False, verify=False):
        why = "no API key is known here: wandb login"
        run = start("offline")
    else:
        try:
            run = start("online")
        except wandb.errors.Error as error:
            why = str(error).split("\n")[0][:200]
            run = start("offline")
    with run:
        run.define_metric(_LAYER)
        run.define_metric("*", step_metric=_LAYER)
        for layer, scalars in record.scalars():
            run.log({**scalars, _LAYER: layer})
        run.summary.update(dict(record.numbers))
        shown: dict[str, Any] = {"curves": wandb.Table(dataframe=record.curves)}
        if record.picture is not None:
            shown["similarity"] = wandb.Image(str(record.picture))
        if options.files and "report.html" in record.files:
            shown["report"] = wandb.Html(str(record.files["report.html"]), inject=False)
        run.log(shown)
        if options.files and record.files:
            artifact = wandb.Artifact(_file_name(record.name), type="babelscope-result")
            for name, path in record.files.items():
                artifact.add_file(str(path), name=name)
            run.log_artifact(artifact)
        where = str(Path(run.dir).parent)
        if not run.offline:
            return str(run.url or "a disabled run")
    return f"{where}, offline{f' ({why})' if why else ''}; upload it with: wandb sync {where}"


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "result"


def _to_tensorboard(record: Record, options: TrackingOptions, folder: Path) -> str:
    from torch.utils.tensorboard import SummaryWriter

    place = folder / "tensorboard" if options.folder is None else options.folder / _file_name(record.name)
    for earlier in place.glob("events.out.tfevents.*"):
        earlier.unlink()
    with SummaryWriter(str(place)) as writer:
        for layer, scalars in record.scalars():
            for name, value in scalars.items():
                writer.add_scalar(name, value, layer)
        writer.add_text("verdict", record.text)
        writer.add_text("config", _table(record.config))
        writer.add_hparams(dict(record.config), dict(record.numbers), run_name=".")
        if record.picture is not None:
            from PIL import Image

            with Image.open(record.picture) as picture:
                writer.add_image("similarity", np.asarray(picture.convert("RGB")), dataformats="HWC")
    return str(place)


def _table(values: Mapping[str, object]) -> str:
    """Return names and values as a table in Markdown."""
    rows = [f"| {name} | {str(value).replace('|', '&#124;')} |" for name, value in values.items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def _to_mlflow(record: Record, options: TrackingOptions, folder: Path) -> str:
    import mlflow
    from mlflow.entities import Metric, Param

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(options.project)
    number = client.create_experiment(options.project) if experiment is None else experiment.experiment_id
    tags = {"mlflow.note.content": record.text, "babelscope.model": record.model, "mlflow.source.name": "babelscope"}
    run = client.create_run(number, run_name=record.name, tags=tags | dict.fromkeys(options.tags, "true"))
    own = run.info.run_id
    try:
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in record.numbers.items()]
        metrics += [Metric(name, value, now, layer) for layer, all_ in record.scalars() for name, value in all_.items()]
        parameters = [Param(name, str(value)[:_CHARACTERS]) for name, value in record.config.items() if value != ""]
        for first in range(0, len(metrics), _METRICS):
            client.log_batch(own, metrics=metrics[first : first + _METRICS])
        for first in range(0, len(parameters), _PARAMETERS):
            client.log_batch(own, params=parameters[first : first + _PARAMETERS])
        for name, path in record.files.items() if options.files else ():
            client.log_artifact(own, str(path), str(PurePosixPath(name).parent).removeprefix("."))
        client.set_tag(own, "babelscope.result", record.identity)
    except BaseException:
        client.set_terminated(own, "FAILED")
        raise
    client.set_terminated(own)
    return f"run {own} of the experiment {options.project} at {_public(mlflow.get_tracking_uri())}"


def _public(address: str) -> str:
    """Return an address without a password in it."""
    split = urlsplit(address)
    return urlunsplit(split._replace(netloc=split.netloc.rpartition("@")[2])) if "@" in split.netloc else address


_LOGGERS: dict[str, Callable[[Record, TrackingOptions, Path], str]] = {
    "wandb": _to_wandb,
    "tensorboard": _to_tensorboard,
    "mlflow": _to_mlflow,
}
