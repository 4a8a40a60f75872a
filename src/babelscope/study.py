"""One study: a corpus, a model and measures, written in one TOML file, run into one folder of results.

Running a study again goes on where it was stopped: blocks that are encoded stay encoded, and scores that were computed
from the same activations with the same options are kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from babelscope import corpora, models
from babelscope.capture.encoding import BLOCK, encode
from babelscope.capture.jobs import BATCH_SIZE, How
from babelscope.capture.layout import check_store_dtype
from babelscope.capture.places import is_url, place_of
from babelscope.capture.pooling import pooling_named
from babelscope.capture.position_encoding import with_positions
from babelscope.capture.second_readings import CEILINGS, encode_second
from babelscope.capture.store import Activations
from babelscope.capture.taking_over import Earlier
from babelscope.corpora import Corpus, checks
from babelscope.corpora.checks import DECODED, DECODED_BEFORE_A_RUN, CorpusCheck
from babelscope.corpora.checks.output import in_short, problems_to_json
from babelscope.corpora.manifest import RowError
from babelscope.engines import ENGINES, Engine, check_engine, open_engine
from babelscope.errors import BabelscopeError, DataError, UsageError, did_you_mean
from babelscope.gaps.baselines.against import against_model, marked
from babelscope.gaps.baselines.models import KINDS_BESIDE, beside, told_beside, with_beside
from babelscope.gaps.baselines.sides import BASELINES
from babelscope.gaps.caveats import with_corpus_caveat
from babelscope.gaps.clusters import CLUSTER_CHOICES, compared, documents_of
from babelscope.gaps.comparisons import MATCHES
from babelscope.gaps.folder import STORE, locked_output, save, tidy
from babelscope.gaps.headline import headline
from babelscope.gaps.old_names import current_controls, current_keys, current_kind
from babelscope.gaps.own_tasks import TaskOptions
from babelscope.gaps.parts import PARTS, forget
from babelscope.gaps.result import CONTROLS, DEFAULT_CONTROLS, KINDS, Result
from babelscope.gaps.scoring import DEFAULT_MEASURES, DEFAULT_PERMUTATIONS, compare
from babelscope.interventions import PatchOptions
from babelscope.key_values import merged
from babelscope.lens import LensOptions
from babelscope.models.base import MODALITIES, Model, Stage, dtype_named
from babelscope.models.catalogue import CATALOGUE
from babelscope.models.planning import plan
from babelscope.models.weights.places import looks_local
from babelscope.neurons import NeuronOptions
from babelscope.preflight import check_assets, check_comparisons, check_model, check_output, limits_of, refuse, too_few
from babelscope.report import write_report
from babelscope.report.listening import write_listening_page
from babelscope.sections import SECTIONS, Material, add_sections, check_sections
from babelscope.similarity import MEASURES, parse_measure
from babelscope.similarity.blocks import BlockExecutor
from babelscope.tokens import TokenOptions
from babelscope.tracking import Logged, TrackingOptions, check_trackers, replaced, track

#: The option by which keys of a study are given on the command line.
SET = "--set"

#: Called with what is being done, how much is done, and how much there is.
Progress = Callable[[str, int, int], None]


def _choices(choices: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in choices.items())


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, field_title_generator=lambda name, info: name)


class CorpusTable(_Table):
    """``[corpus]``: where the sentences come from, and which of them."""

    source: str = Field(description="manifest, or a corpus that `babelscope corpora` lists")
    path: Path | None = Field(None, description="the manifest, or a local copy of a data set")
    languages: list[str] | None = Field(None, description="language codes; all if left out")
    ids: list[str] | None = Field(None, description="sentence ids; all if left out")
    n: Annotated[int, Field(ge=2)] | None = Field(
        None, description="how many sentences to draw (with the study's seed)"
    )
    min_words: Annotated[int, Field(ge=1)] | None = Field(None, description="fewest words in every language")
    max_seconds: Annotated[float, Field(gt=0)] | None = Field(None, description="longest recording in every language")
    format: str | None = Field(None, description="a manifest's layout, such as common-voice; recognised if left out")
    columns: dict[str, str] | None = Field(
        None, description="a manifest's columns by other names, as {text = 'transcript'}"
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="choices that only this source knows, such as a manifest's licence"
    )
    distinct: bool = Field(False, description="leave out sentences that are worded like another in some language")
    ceilings: Literal["auto", "none"] = Field(
        "auto",
        description="second recordings of sentences by other readers: " + _choices(CEILINGS),
    )
    held_out: bool = Field(False, description="only sentences that the model was not trained on, where it says which")


class ModelTable(_Table):
    """``[model]``: what listens and reads, and how it is run."""

    name: str = Field(
        description="a name that babelscope models lists, hf:owner/name, hf:./folder, or speech+text for a pair"
    )
    weights: str | dict[str, str] | None = Field(
        None, description="a local folder or hub id instead of the fetched asset (a pair: one a part)"
    )
    window_seconds: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Whisper's window; 30, as trained, if left out"
    )
    pooling: str = Field("mean", description="mean, max, first or last, over the valid positions")
    device: str = Field("cpu", description="cpu or cuda")
    dtype: str = Field("float32", description="float32, bfloat16 or float16")
    store_dtype: str = Field(
        "float32", description="float32, float16 or bfloat16: what activations are kept in on the disk"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="choices that only this family of models knows")
    batch_size: Annotated[int, Field(ge=1)] = Field(BATCH_SIZE, description="most utterances in one forward pass")
    batch_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="most tokens in one forward pass: utterances x the longest; 256, on a GPU 1024, if left out"
    )
    batch_seconds: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="most seconds of speech in one forward pass: utterances x the longest, or the window; 15, on a GPU "
        "60, if left out",
    )
    workers: Annotated[int, Field(ge=0)] | None = Field(
        None, description="how many prepare recordings ahead of the model: a thread of torch's each, up to 4"
    )

    def how(self) -> dict[str, Any]:
        """Return what :func:`babelscope.encode` is told of pooling, batches and workers."""
        names = ("pooling", "batch_size", "batch_tokens", "batch_seconds", "workers")
        return {name: getattr(self, name) for name in names}


#: Sections of a study file that are run only where they are there.
SECTION_TABLES: dict[str, type[BaseModel]] = {
    "neurons": NeuronOptions,
    "tokens": TokenOptions,
    "patch": PatchOptions,
    "lens": LensOptions,
    "tasks": TaskOptions,
}


def store_beside(result: Result, folder: Path) -> Path | str:
    """Return where the activations of a result that was read from a folder are, as far as it says."""
    told = result.meta.get("activations")
    where = str(told.get("store") or STORE) if isinstance(told, dict) else STORE
    return where if is_url(where) else folder / where


def store_of(study: Study) -> Path | str:
    """Return where a study's activations are kept."""
    return study.store if study.store is not None else study.output / STORE


def label_of(table: ModelTable) -> str:
    """Return what a model beside another is called: its name, and its options where it has any."""
    chosen = ", ".join(f"{key} {value}" for key, value in table.options.items())
    name = models.readable(table.name)
    return f"{name} ({chosen})" if chosen else name


class Study(_Table):
    """A study, validated.

    Relative paths are relative to the study's file, or to the working folder for a study made in Python.
    """

    corpus: CorpusTable = Field(description="where the sentences come from, and which of them")
    model: ModelTable = Field(description="what listens and reads, and how it is run")
    baselines: list[ModelTable] = Field(
        default_factory=list,
        description="other models to run on the same sentences, each a table like [model] (beside: the same)",
    )
    compute_baselines: bool = Field(
        True, description="whether lengths, strings, sounds and the model's input are compared in its place"
    )
    name: str = Field("study", description="what the study is called")
    output: Path = Field(Path("results"), description="folder for the results")
    store: str | None = Field(
        None, description="where activations are kept: a folder or URL; activations.zarr in the output if left out"
    )
    points: list[str] = Field(
        default_factory=lambda: ["all"], min_length=1, description="points to look at, with wildcards"
    )
    measures: list[str] = Field(
        default_factory=lambda: list(DEFAULT_MEASURES),
        min_length=1,
        description="measures, such as svcca(variance=0.9)",
    )
    controls: list[str] = Field(
        default_factory=lambda: list(DEFAULT_CONTROLS),
        min_length=1,
        description=_choices(CONTROLS),
        json_schema_extra={"items": {"enum": list(CONTROLS), "type": "string"}},
    )
    kinds: list[str] = Field(
        default_factory=lambda: list(KINDS),
        min_length=1,
        description="of comparison: " + _choices(KINDS),
        json_schema_extra={"items": {"enum": list(KINDS), "type": "string"}},
    )
    permutations: Annotated[int, Field(ge=19)] = Field(
        DEFAULT_PERMUTATIONS, description="of the sentences at most, for nulls without a closed form"
    )
    intervals: bool | list[str] = Field(
        True,
        description="whether to give intervals, and the tables that rest on them: by class, findings, diagnosis; or a "
        "list of the measures to give them for (svcca has none unless it is named)",
    )
    clusters: Literal["auto", "alone", "texts", "none"] = Field("auto", description=_choices(CLUSTER_CHOICES))
    compare_device: str = Field("cpu", description="where pairs are computed: cpu, or a device of torch such as cuda")
    match: Literal["output", "depth", "all"] = Field("output", description=_choices(MATCHES))
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of every draw")
    skip_bad: bool = Field(
        False,
        description="whether to leave out sentences that cannot be encoded, and list them, instead of stopping",
    )
    engine: str = Field("local", description="who computes: " + _choices(ENGINES))
    replicas: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="of the model, where a Ray cluster computes; one a GPU, or as many as have room, if left out",
    )
    neurons: NeuronOptions | None = Field(None, description="which features carry a modality or a language")
    tokens: TokenOptions | None = Field(None, description="a few sentences whose positions are kept, not pooled")
    patch: PatchOptions | None = Field(
        None, description="whether closing the gap between speech and text changes the output"
    )
    tasks: TaskOptions | None = Field(None, description="tasks that are scored by nearest neighbour: topics, questions")
    lens: LensOptions | None = Field(None, description="what positions of speech read as in the model's vocabulary")
    tracking: TrackingOptions | None = Field(None, description="trackers to which the finished study is logged")

    @field_validator("controls")
    @classmethod
    def _current_controls(cls, controls: list[str]) -> list[str]:
        return current_controls(controls)

    @field_validator("kinds")
    @classmethod
    def _current_kinds(cls, kinds: list[str]) -> list[str]:
        return [current_kind(kind, "kinds") for kind in kinds]

    @classmethod
    def load(cls, path: Path | str, settings: Mapping[str, Any] | None = None) -> Study:
        """Read and validate a study's TOML file.

        Parameters
        ----------
        path : Path or str
        settings : mapping, optional
            Values by dotted path, such as ``{"corpus.n": 20}``, in place of those in the file. Relative paths among
            them are relative to the working folder.

        Raises
        ------
        UsageError
            If the file is missing or broken (naming the line), or a key is unknown, missing or wrong (naming the key).
        """
        path = Path(path)
        try:
            with path.open("rb") as handle:
                said = tomllib.load(handle)
        except FileNotFoundError as error:
            raise UsageError(f"there is no study {path}") from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"{path} is not valid TOML: {error}") from error
        if settings:
            said = merged(said, _from_here(settings, said), SET)
        study = cls.parse(said, _named(str(path), settings))
        folder = path.resolve().parent
        corpus = study.corpus
        if corpus.path is not None:
            corpus = corpus.model_copy(update={"path": folder / corpus.path.expanduser()})
        model, *others = (_beside_the_study(table, folder) for table in (study.model, *study.baselines))
        tracking = study.tracking
        if tracking is not None and tracking.folder is not None:
            tracking = tracking.model_copy(update={"folder": folder / tracking.folder.expanduser()})
        store = study.store if study.store is None or is_url(study.store) else str(folder / study.store)
        tokens = study.tokens
        if tokens is not None and tokens.timings is not None:
            tokens = tokens.model_copy(update={"timings": folder / tokens.timings.expanduser()})
        return study.model_copy(
            update={
                "corpus": corpus,
                "model": model,
                "baselines": others,
                "tokens": tokens,
                "tracking": tracking,
                "output": folder / study.output,
                "store": store,
            }
        )

    def changed(
        self,
        *,
        model: str | None = None,
        weights: str | None = None,
        corpus_path: Path | None = None,
        output: Path | None = None,
        skip_bad: bool = False,
        workers: int | None = None,
        engine: str | None = None,
        replicas: int | None = None,
        device: str | None = None,
        languages: Sequence[str] | None = None,
        trackers: Sequence[str] | None = None,
    ) -> Study:
        """Return the study with another model, weights, corpus's place, output or engine; None leaves each as it is.

        `device` is that of the baselines too. `trackers` are instead of those of the study; ``["none"]`` is without.

        Raises
        ------
        UsageError
            If the model or the engine is unknown.
        """
        if model is not None:
            models.parts(model)
        check_engine(engine or self.engine)
        told = {"engine": engine or self.engine, "replicas": replicas or (None if engine == "local" else self.replicas)}
        table = self.model.model_copy(
            update=(
                {"name": model, "weights": None, "options": {}, "window_seconds": _window(self.model, model)}
                if model is not None
                else {}
            )
            | ({"weights": weights} if weights is not None else {})
        )
        corpus = self.corpus.model_copy(
            update=({"path": corpus_path} if corpus_path is not None else {})
            | ({"languages": list(languages)} if languages else {})
        )
        if model is not None and not models.says_held_out(model):
            corpus = corpus.model_copy(update={"held_out": False})  # it does not say what it was trained on
        others = self.baselines if model is None else []  # they were chosen for the model that the study names
        asked = {key: value for key, value in (("workers", workers), ("device", device)) if value is not None}
        table, *others = (one.model_copy(update=asked) for one in (table, *others))
        return self.model_copy(
            update={"model": table, "baselines": others, "corpus": corpus, "output": output or self.output}
            | {"skip_bad": skip_bad or self.skip_bad, "tracking": replaced(self.tracking, trackers)}
            | told
        )

    @classmethod
    def preset(cls, name: str, settings: Mapping[str, Any] | None = None) -> Study:
        """Return a study that comes with babelscope; its output is relative to the working folder.

        Parameters
        ----------
        name : str
        settings : mapping, optional
            As for :meth:`load`.

        Raises
        ------
        UsageError
            If there is none of that name.
        """
        if name not in presets():
            raise UsageError(f"there is no study {name!r}; {did_you_mean(name, presets())}")
        text = files("babelscope").joinpath("presets", f"{name}.toml").read_text(encoding="utf-8")
        return cls.parse(merged(tomllib.loads(text), settings or {}, SET), _named(name, settings))

    def keys(self) -> dict[str, Any]:
        """Return the keys and values of a study file that says the same: those that differ from the defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @classmethod
    def parse(cls, said: dict[str, Any], where: str = "study") -> Study:
        """Validate a study given as nested dictionaries.

        Raises
        ------
        UsageError
            If a key is unknown, missing or wrong; the message names it.
        """
        try:
            study = cls.model_validate(current_keys(said))
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
        except ValidationError as error:
            raise UsageError(f"{where}: {_first_problem(error)}") from error
        for key, check in (
            ("model.name", lambda: models.parts(study.model.name)),
            ("model.pooling", lambda: pooling_named(study.model.pooling)),
            ("model.dtype", lambda: dtype_named(study.model.dtype)),
            ("store", lambda: place_of(study.store or "activations.zarr")),
            ("model.store_dtype", lambda: check_store_dtype(study.model.store_dtype)),
            ("baselines", lambda: _check_baselines(study.baselines)),
            ("engine", lambda: check_engine(study.engine)),
            ("tokens", lambda: _check_tokens(study)),
            ("corpus.source", lambda: _check_each([study.corpus.source], corpora.sources())),
            ("model", lambda: models.check_window(study.model.name, study.model.window_seconds)),
            ("measures", lambda: [parse_measure(measure) for measure in study.measures]),
            ("controls", lambda: _check_each(study.controls, CONTROLS)),
            ("kinds", lambda: _check_each(study.kinds, KINDS)),
        ):
            try:
                check()
            except UsageError as error:
                raise UsageError(f"{where}: {key}: {error}") from error
        return study


def _window(table: ModelTable, name: str) -> float | None:
    """Return the window of a study that another model is put into, if that model takes one."""
    return table.window_seconds if models.takes_window(name) else None


def presets() -> list[str]:
    """Return the names of the studies that come with babelscope."""
    folder = files("babelscope").joinpath("presets")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _named(where: str, settings: Mapping[str, Any] | None) -> str:
    """Return what a message calls a study: its file or name, and what was set."""
    return " ".join([where, *(f"{SET} {key}={value}" for key, value in (settings or {}).items())])


def _from_here(settings: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with relative paths made absolute: they are relative to the working folder, not to the file."""
    here = Path.cwd()
    chosen = said.get("model") if isinstance(said.get("model"), dict) else {}
    name = str(settings.get("model.name", (chosen or {}).get("name", "")))
    try:
        options = models.path_options(name)
    except UsageError:  # the study's own check says so
        options = ()
    known = ("corpus.path", "output", "store", "model.weights", *(f"model.options.{option}" for option in options))
    found = dict(settings)
    for key, value in settings.items():
        if key in known[:3] and isinstance(value, str) and not is_url(value):
            found[key] = str(here / Path(value).expanduser())
        elif key in known[3:] or key.startswith("model.weights."):
            found[key] = _relative(value, here)
        elif key == "model.name" and isinstance(value, str) and options:
            found[key] = models.beside(value, here)
    return found


def _beside_the_study(table: ModelTable, folder: Path) -> ModelTable:
    """Return the model's table with its paths made absolute: its name's, weights, and options that are paths."""
    options = dict(table.options)
    for option in models.path_options(table.name):
        if option in options:
            options[option] = _relative(options[option], folder)
    name = models.beside(table.name, folder)
    return table.model_copy(update={"name": name, "weights": _relative(table.weights, folder), "options": options})


def _relative(source: Any, folder: Path) -> Any:
    """Return a path below the study's folder, where it is there or can be nothing else; else it may be a hub id."""
    if isinstance(source, dict):
        return {part: _relative(each, folder) for part, each in source.items()}
    if not isinstance(source, str) or not source or source.startswith("~"):
        return source
    path = folder / source
    return str(path) if path.exists() or looks_local(source) else source


def _check_baselines(tables: Sequence[ModelTable]) -> None:
    labels = [label_of(table) for table in tables]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"{label!r} is listed twice; give each other options, or leave one out")
    for table in tables:
        models.parts(table.name)


def _check_tokens(study: Study) -> None:
    if study.tokens is not None and study.engine != "local":
        raise UsageError("positions are kept by the process that runs the study: choose engine = 'local'")


def _check_each(names: Sequence[str], known: Iterable[str]) -> None:
    choices = list(known)
    for name in names:
        if name not in choices:
            raise UsageError(f"{name!r} is unknown; {did_you_mean(name, choices)}")


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        tables: dict[str, type[BaseModel]] = {"corpus": CorpusTable, "model": ModelTable, "baselines": ModelTable}
        tables |= {**SECTION_TABLES, "tracking": TrackingOptions}
        table = tables.get(str(problem["loc"][0]), Study) if len(problem["loc"]) > 1 else Study
        return f"{key}: there is no such key; {did_you_mean(str(problem['loc'][-1]), table.model_fields)}"
    if problem["type"] == "missing":
        return f"{key}: this key is missing"
    return f"{key}: {problem['msg']} (got {problem['input']!r})"


#: Keys of a study that say how activations are compared.
COMPARING = (
    "measures",
    "controls",
    "kinds",
    "permutations",
    "intervals",
    "clusters",
    "compare_device",
    "compute_baselines",
    "match",
    "seed",
    "engine",
)


def comparing(settings: Mapping[str, Any]) -> Study:
    """Return a study of which only the keys that say how activations are compared mean something.

    Raises
    ------
    UsageError
        If another key is given, or one is wrong.
    """
    for key in settings:
        if key.partition(".")[0] in Study.model_fields and key not in COMPARING:
            raise UsageError(
                f"{SET} {key}: the activations are encoded already; of a study, compare takes {', '.join(COMPARING)}"
            )
    unused = {"corpus": {"source": "manifest"}, "model": {"name": "pocket"}}
    return Study.parse(merged(unused, settings, SET), "compare")


@dataclass(frozen=True)
class Outcome:
    """What a study left: its result, its report, where everything is, and what became of logging it to trackers."""

    result: Result
    report: Path
    folder: Path
    seconds: float
    logged: Sequence[Logged] = ()


def check_start(study: Study, *, compared: bool = True) -> list[Model]:
    """Refuse what is wrong with a study and can be known before its corpus is read.

    Parameters
    ----------
    study : Study
    compared : bool
        Whether its activations are to be compared as well: then the measures count.

    Returns
    -------
    list of Model
        The study's own and those beside it, without weights, as far as their configurations are here.

    Raises
    ------
    BabelscopeError
        In one line.
    """
    if compared and study.corpus.n is not None:
        _check_measures(study, study.corpus.n, "corpus.n")
    check_output(study.output)
    if study.tracking is not None and compared:
        check_trackers(study.tracking.to)
    if study.engine != "local":  # weights and devices are other machines'
        return []
    tables = (study.model, *study.baselines)
    needed = [asset for table in tables for asset in models.assets_of(table.name, table.weights)]
    check_assets([study.corpus.source, *needed])
    patterns = (study.points, *(["all"] for _ in study.baselines))
    planned = [
        check_model(table.name, table.weights, points, table.device, table.options)
        for table, points in zip(tables, patterns, strict=True)
    ]
    if study.tokens is not None and planned[0] is not None:
        with_positions(planned[0], study.tokens.points)
    return [model for model in planned if model is not None]


def checked_corpus(
    study: Study, planned: Sequence[Model], progress: Progress | None = None, *, compared: bool = True
) -> tuple[Corpus, CorpusCheck]:
    """Load, filter and check the study's corpus, and refuse one that the study cannot be run on.

    Parameters
    ----------
    study : Study
    planned : sequence of Model
        Of :func:`check_start`.
    progress : callable, optional
    compared : bool
        Whether its activations are to be compared as well: then the measures and comparisons count.

    Raises
    ------
    BabelscopeError
        In one line.
    """
    if progress:
        progress("reading the corpus", 0, 0)
    loaded = load_corpus(study)
    corpus = filtered(study, loaded)
    check = check_corpus(
        study,
        corpus,
        before=loaded,
        planned=planned,
        decoded=DECODED_BEFORE_A_RUN,
        compared=compared,
        progress=progress,
    )
    refuse(check)
    for model in planned[: int(compared)]:
        check_comparisons(model, corpus.languages, study.match, study.kinds)
    return corpus, check


def check_corpus(
    study: Study,
    corpus: Corpus,
    *,
    before: Corpus | None = None,
    planned: Sequence[Model] = (),
    decoded: int | None = DECODED,
    compared: bool = True,
    progress: Progress | None = None,
) -> CorpusCheck:
    """Check a corpus for a study: for its languages, models and measures.

    Parameters
    ----------
    study : Study
    corpus : Corpus
        After the study's filters, or as it is loaded if these leave nothing.
    before : Corpus, optional
        Before the filters.
    planned : sequence of Model
        Of :func:`check_start`, as far as they are known.
    decoded, progress
        As for :func:`babelscope.corpora.checks.check_corpus`.
    compared : bool
        Whether the measures count.
    """
    known = {model.name: model for model in planned}
    tables = (study.model, *study.baselines)
    limits = {
        table.name: limits_of(table.name, table.weights, table.window_seconds, known.get(models.readable(table.name)))
        for table in tables
    }
    check = checks.check_corpus(
        corpus,
        languages=study.corpus.languages,
        modalities=_taken(study),
        limits=list(limits.values()),
        skip_bad=study.skip_bad,
        before=before,
        decoded=decoded,
        progress=progress,
    )
    return check.with_problems(too_few(study.measures, corpus)) if compared else check


def gather(study: Study) -> Corpus:
    """Load and filter the study's corpus.

    Raises
    ------
    BabelscopeError
        Whatever is wrong with it.
    """
    return filtered(study, load_corpus(study))


def load_corpus(study: Study) -> Corpus:
    """Load the study's corpus, before its filters.

    Raises
    ------
    BabelscopeError
        Whatever is wrong with it.
    """
    try:
        return corpora.load(study.corpus.source, path=study.corpus.path, **corpus_options(study))
    except RowError as error:
        raise DataError(f"{error} (--skip-bad leaves such rows out)") from error


def corpus_options(study: Study) -> dict[str, Any]:
    """Return the options that the study's corpus is loaded with."""
    table = study.corpus
    named = {"format": table.format, "columns": table.columns}
    options = {key: value for key, value in named.items() if value is not None} | table.options
    if table.languages and corpora.takes(table.source, "languages"):
        options.setdefault("languages", table.languages)  # nothing of the others is read, or fetched
    if corpora.takes(table.source, "modalities"):
        options.setdefault("modalities", _taken(study))  # nor are recordings that nobody listens to
    if study.skip_bad and corpora.takes(table.source, "skip_bad"):
        options.setdefault("skip_bad", True)
    return options


def filtered(study: Study, corpus: Corpus) -> Corpus:
    """Return the sentences and languages of a corpus that the study uses.

    Raises
    ------
    UsageError, DataError
        If a filter is wrong, or nothing is left.
    """
    table = study.corpus
    return corpus.select(
        languages=table.languages,
        ids=_ids(study, corpus),
        min_words=table.min_words,
        max_seconds=table.max_seconds,
        distinct=table.distinct,
        n=table.n,
        seed=study.seed,
        modalities=_taken(study),
        skip_bad=study.skip_bad,
    )


def _taken(study: Study) -> tuple[str, ...]:
    """Return what the study takes of each cell of its corpus."""
    return _modalities(study.model.name, ["all"] if study.baselines else study.points)


def _ids(study: Study, corpus: Corpus) -> list[str] | None:
    """Return the sentences that may be used; None if all may."""
    table = study.corpus
    if not table.held_out:
        return table.ids
    held_out = set(models.held_out(study.model.name, table.source))
    if table.ids is not None:
        known = next((one for one in table.ids if one not in held_out), None)
        if known is not None:
            raise UsageError(
                f"corpus.ids: {known!r} was not held out of the training of {study.model.name}: leave it out, or "
                f"set held_out = false"
            )
        return table.ids
    return [sentence for sentence in corpus.sentences if sentence in held_out]


def _modalities(name: str, points: Sequence[str]) -> tuple[str, ...]:
    """Return what a model takes, or less where its chosen points are of one side."""
    names = models.parts(name)
    taken = MODALITIES if len(names) == 2 else models.info(names[0]).modalities
    if len(taken) == 1 or (taken and "all" in points) or not models.has_planner(name):
        return taken
    try:
        return plan(name).model.select_points(points).modalities
    except (
        BabelscopeError
    ):  # another depth than the released model's, perhaps: the error comes when the model is loaded
        return taken or MODALITIES


def summon(study: Study) -> Model:
    """Load the study's model, with the study's points.

    Raises
    ------
    BabelscopeError
        Whatever is wrong with it.
    """
    table = study.model
    model = models.load(
        table.name,
        weights=table.weights,
        device=table.device,
        dtype=table.dtype,
        window_seconds=table.window_seconds,
        options=table.options,
    )
    return model.select_points(study.points)


def summon_on(engine: Engine, study: Study) -> Model:
    """Load the study's model wherever an engine runs it, with the study's points.

    Raises
    ------
    BabelscopeError
        Whatever is wrong with it.
    """
    if not engine.has_weights and "device_map" in study.model.options:
        raise UsageError("model.options.device_map: a replica has one device; leave it out, or choose engine = 'local'")
    return engine.summon(partial(summon, study), study.model.device)


def run(
    study: Study,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    command: str = "",
    address: str | None = None,
    notice: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Run a study from its corpus to its report.

    Parameters
    ----------
    study : Study
    overwrite : bool
        Replace activations of another study that stand in the output folder.
    progress : callable, optional
        Told what is being done.
    command : str
        What the user typed, for the report.
    address : str, optional
        Of the Ray cluster to join, for the engine "ray".
    notice : callable
        Called with each line of what the check of the corpus warns of, before the model is loaded.

    Returns
    -------
    Outcome

    Raises
    ------
    BabelscopeError
        In one line; what was finished is kept, and a second run goes on from there.
    """
    started = time.monotonic()
    tell = progress or (lambda what, done, total: None)
    planned = check_start(study)
    corpus, check = checked_corpus(study, planned, tell)
    for line in in_short(check):
        notice(line)
    with open_engine(study.engine, address=address, replicas=study.replicas, tell=tell) as engine:
        tell("loading the model", 0, 0)
        model = _warning(summon_on(engine, study), study, corpus)
        check_sections(asked_sections(study), model)
        others = [_variant(model, study.model, table) if engine.has_weights else None for table in study.baselines]
        store = store_of(study)
        activations = encode(
            model,
            corpus,
            store,
            **study.model.how(),
            store_dtype=study.model.store_dtype,
            skip_bad=study.skip_bad,
            block=BLOCK,
            overwrite=overwrite,
            progress=lambda what, done, total: tell(f"encoding {what}", done, total),
            engine=engine,
        )
        second = encode_seconds(model, study, corpus, overwrite, tell, engine)
        with locked_output(study.output):
            result = _scored(study, activations, tell, second, executor=engine.executor)
            _put_beside(
                result, study, corpus, others, overwrite, tell, engine, Earlier(model, activations), activations
            )
            result.meta["study"] = {
                "name": study.name,
                "created": result.meta["study"]["created"],
                "command": command,
                "keys": study.keys(),
                "seconds": round(time.monotonic() - started, 1),
            }
            result.meta["corpus_check"] = {"problems": problems_to_json(check), "sampled": list(check.sampled)}
            result.meta["caveats"] = with_corpus_caveat(result.meta["caveats"], check.problems)
            rows = compared(activations, study.clusters)
            material = Material(
                model,
                engine.has_weights,
                How(**{name: value for name, value in study.model.how().items() if name != "workers"}),
                corpus,
                rows,
                study.output,
                study.seed,
                documents_of(rows, study.clusters),
                tell,
            )
            add_sections(result, asked_sections(study), material)
            save(result, study.output, store)
            forget(study.output / SECTIONS)
            tell("writing the report", 0, 0)
            report = write_report(result, study.output)
            _write_listening_page(result, corpus, study)
    logged: list[Logged] = []
    if study.tracking is not None:
        tell("logging", 0, 0)
        logged = track(study.output, study.tracking, again=False)
    return Outcome(result, report, study.output, time.monotonic() - started, logged)


def _write_listening_page(result: Result, corpus: Corpus, study: Study) -> None:
    """Write ``lens.html`` where positions were read; one of an earlier run is removed where they were not."""
    path, readings = study.output / "lens.html", result.tables.get("lens_readings")
    if readings is None:
        path.unlink(missing_ok=True)
        return
    cells = [
        (corpus.text(sentence, language) or "", corpus.recordings(sentence, language)[0])
        for sentence, language in dict.fromkeys(zip(readings["sentence"], readings["language"], strict=True))
    ]
    note = " ".join(f"{line.removeprefix('lens: ').capitalize()}." for line in result.meta["sections"]["lens"]["notes"])
    title = f"What {models.readable(study.model.name)} reads at each layer of speech"
    write_listening_page(readings, cells, path, title=title, note=note)


def asked_sections(study: Study) -> dict[str, BaseModel | None]:
    """Return what a study asks of each section."""
    return {name: getattr(study, name) for name in SECTION_TABLES}


def encode_seconds(
    model: Model, study: Study, corpus: Corpus, overwrite: bool, tell: Progress, engine: Engine
) -> dict[str, Activations]:
    """Encode the second recordings of a study's sentences, if it is to have noise ceilings, for each language."""
    if study.corpus.ceilings == "none":
        return {}
    return encode_second(
        model,
        corpus,
        store_of(study),
        max_seconds=study.corpus.max_seconds,
        **study.model.how(),
        store_dtype=study.model.store_dtype,
        skip_bad=study.skip_bad,
        block=BLOCK,
        overwrite=overwrite,
        progress=lambda what, done, total: tell(f"encoding {what}", done, total),
        engine=engine,
    )


def _warning(model: Model, study: Study, corpus: Corpus) -> Model:
    """Return the model with a note if it was trained on sentences of the study, as far as it says."""
    try:
        held_out = set(models.held_out(study.model.name, study.corpus.source))
    except UsageError:  # it does not say
        return model
    seen = sum(sentence not in held_out for sentence in corpus.sentences)
    note = (
        f"{seen} of the {len(corpus.sentences)} sentences were not held out of the training of {study.model.name}: its "
        f"numbers are too good there (corpus.held_out = true leaves them out)."
    )
    return dataclasses.replace(model, notes=(*model.notes, note)) if seen else model


def _variant(model: Model, own: ModelTable, other: ModelTable) -> Model | None:
    """Return the model under another's options, if the other differs in nothing else and the family can."""
    alike = own.model_copy(update={"options": other.options} | other.how())
    return models.variant(model, other.options) if alike == other and len(model.sides) == 2 else None


def _put_beside(
    result: Result,
    study: Study,
    corpus: Corpus,
    others: Sequence[Model | None],
    overwrite: bool,
    tell: Progress,
    engine: Engine,
    earlier: Earlier,
    studied: Activations,
) -> None:
    """Run the models beside on the same sentences, and add their tables and one line on each.

    They are looked at from their length adaptation on, if they have one: what lies before is the model's own. Each has
    a folder of its own below ``beside``, so that a stopped run goes on there too.
    """
    found: dict[str, Result] = {}
    told: list[dict[str, Any]] = []
    known = result.tables.get("against_baselines")
    compared = [known[known["baseline"].isin(BASELINES)]] if known is not None else []
    for table, variant in zip(study.baselines, others, strict=True):
        label = label_of(table)
        short = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
        own = study.model_copy(
            update={
                "model": table,
                "baselines": [],
                "compute_baselines": False,
                "output": study.output / "beside" / short,
                "store": None if study.store is None else f"{study.store.removesuffix('.zarr')}.{short}.zarr",
                "controls": ["none"],
                "intervals": study.intervals is not False,  # those in closed form, which cost little
                "kinds": [kind for kind in study.kinds if kind in KINDS_BESIDE] or study.kinds,
            }
        )
        tell(f"loading {label}", 0, 0)
        model = _late(variant.select_points(own.points) if variant is not None else summon_on(engine, own))
        activations = encode(
            model,
            corpus,
            store_of(own),
            **table.how(),
            store_dtype=table.store_dtype,
            skip_bad=study.skip_bad,
            block=BLOCK,
            overwrite=overwrite,
            progress=partial(_labelled, tell, label),
            engine=engine,
            earlier=earlier if variant is not None else None,
        )
        tidy(own.output)
        found[label] = _scored(own, activations, tell, executor=engine.executor)
        save(found[label], own.output, store_of(own))
        if study.compute_baselines:
            tell(f"comparing with {label}", 0, 0)
            compared += against_model(
                studied,
                activations,
                label,
                study.measures,
                match=study.match,
                kinds=own.kinds,
                executor=engine.executor,
            )
        told.append(
            {
                "label": label,
                "name": models.readable(table.name),
                "options": dict(model.options),
                "notes": list(model.notes),
            }
        )
    result.tables.update(beside(found))
    if told:
        result.meta["beside"] = told
        if len(against := marked(compared)):
            result.tables["against_baselines"] = against
            said = headline(result.curves, result.scores, result.meta, result.tables)
            result.meta["headline"] = [str(sentence) for sentence in said]
            result.meta["headline_parts"] = [sentence.parts() for sentence in said]
        result.meta.update(with_beside(result.meta, told_beside(result)))


def _labelled(tell: Progress, label: str, what: str, done: int, total: int) -> None:
    tell(f"encoding {what} ({label})", done, total)


def _late(model: Model) -> Model:
    """Return the model without its speech points before length adaptation, if it shares points behind that."""
    late = {Stage.LENGTH_ADAPTATION, Stage.SHARED, Stage.POOLED}
    if not model.shared_points:
        return model
    return model.select_points(
        [
            point.name
            for modality, side in model.sides.items()
            for point in side.points
            if modality == "text" or point.stage in late
        ]
    )


def _check_measures(study: Study, sentences: int, where: str) -> None:
    for measure in study.measures:
        parse_measure(measure).check(sentences, where)


def _scored(
    study: Study,
    activations: Activations,
    tell: Progress,
    second: Mapping[str, Activations] | None = None,
    executor: BlockExecutor | None = None,
) -> Result:
    asked = {
        "activations": activations.dataset.attrs["identity"],
        "measures": [str(parse_measure(measure)) for measure in study.measures],
        "controls": study.controls,
        "kinds": study.kinds,
        "permutations": study.permutations,
        "seed": study.seed,
        "match": study.match,
        "intervals": study.intervals,
        "null": "closed form",  # permutations for every null before
        "versions": activations.meta["versions"],
    }
    if activations.clusters is not None or study.clusters == "texts":
        known = activations.clusters
        asked["clusters"] = [study.clusters, None if known is None else known.tolist()]
        if activations.without_cluster:
            asked["without cluster"] = list(activations.without_cluster)
    if activations.skipped:
        asked["skipped"] = [list(one) for one in activations.skipped]
    if second:
        asked["second recordings"] = {language: own.dataset.attrs["identity"] for language, own in second.items()}
    if study.baselines:
        asked["beside"] = [label_of(table) for table in study.baselines]
    if study.compute_baselines:
        asked["baselines"] = list(BASELINES)
    identity = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    if (study.output / "result.json").is_file():
        with contextlib.suppress(DataError):  # a damaged one is made anew
            earlier = Result.load(study.output)
            if earlier.meta.get("identity") == identity:
                return earlier
            if "intervals" not in earlier.meta.get("options", {}):
                tell("comparing again, since an earlier version drew permutations for every null", 0, 0)
    _check_measures(study, len(activations.sentences), activations.name)  # once more: some may have been skipped
    result = compare(
        activations,
        study.measures,
        controls=study.controls,
        permutations=study.permutations,
        seed=study.seed,
        match=study.match,
        kinds=study.kinds,
        interval=study.intervals,
        device=study.compare_device,
        clusters=study.clusters,
        baselines=study.compute_baselines,
        second=second or {},
        progress=lambda what, done, total: tell(f"comparing ({what})", done, total),
        checkpoint=study.output / PARTS,
        executor=executor,
    )
    result.meta["identity"] = identity
    return result


def describe_keys() -> list[tuple[str, str]]:
    """Return every key of a study file with what it means, for help texts."""
    tables: dict[str, type[BaseModel]] = {"corpus": CorpusTable, "model": ModelTable, **SECTION_TABLES}
    tables["tracking"] = TrackingOptions
    rows = [(name, field.description or "") for name, field in Study.model_fields.items() if name not in tables]
    for prefix, table in tables.items():
        rows += [(f"{prefix}.{name}", field.description or "") for name, field in table.model_fields.items()]
    return rows


def schema() -> dict[str, Any]:
    """Return the JSON schema of a study file, by which editors complete and check its keys."""
    described = Study.model_json_schema()
    tables = described["$defs"]
    for properties, key, known in (
        (tables["CorpusTable"]["properties"], "source", corpora.sources()),
        (tables["ModelTable"]["properties"], "name", [*models.known(), *models.PAIRS, *CATALOGUE]),
        (described["properties"]["measures"], "items", MEASURES),
        (described["properties"], "engine", ENGINES),
    ):
        properties[key]["anyOf"] = [{"enum": list(known)}, {"type": properties[key].pop("type")}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described, "title": "A study of babelscope"}
