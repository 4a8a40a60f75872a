"""The keys of a study file: what they mean, and how a file, a preset or a mapping is read and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from babelscope import corpora, models
from babelscope.capture.jobs import BATCH_SIZE
from babelscope.capture.layout import check_store_dtype
from babelscope.capture.pooling import pooling_named
from babelscope.capture.second_readings import CEILINGS
from babelscope.capture.storage import is_url, storage_of
from babelscope.engines import check_engine, engines
from babelscope.errors import BabelscopeError, UsageError, did_you_mean
from babelscope.gaps.clusters import CLUSTER_CHOICES
from babelscope.gaps.comparisons import MATCHES
from babelscope.gaps.folder import STORE
from babelscope.gaps.old_names import current_controls, current_keys, current_kind
from babelscope.gaps.own_tasks import TaskOptions
from babelscope.gaps.result import CONTROLS, DEFAULT_CONTROLS, KINDS
from babelscope.gaps.scoring import DEFAULT_MEASURES, DEFAULT_PERMUTATIONS
from babelscope.interventions import PatchOptions
from babelscope.key_values import merged
from babelscope.lens import LensOptions
from babelscope.models.base import MODALITIES, dtype_named
from babelscope.models.catalogue import CATALOGUE
from babelscope.models.planning import plan
from babelscope.neurons import NeuronOptions
from babelscope.similarity import MEASURES, parse_measure
from babelscope.study.paths import from_working_folder, relative_to
from babelscope.tokens import TokenOptions
from babelscope.tracking import TrackingOptions, replaced

#: The option by which keys of a study are given on the command line.
SET = "--set"


def _choices(choices: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in choices.items())


T = TypeVar("T", bound=BaseModel | None)


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

    def encode_options(self) -> dict[str, Any]:
        """Return the options of :func:`babelscope.encode` for pooling, batches and workers."""
        names = ("pooling", "batch_size", "batch_tokens", "batch_seconds", "workers")
        return {name: getattr(self, name) for name in names}

    def located(self, folder: Path) -> ModelTable:
        """Return the table with its relative paths made absolute: of its name, weights and options."""
        options = dict(self.options)
        for option in models.path_options(self.name):
            if option in options:
                options[option] = relative_to(folder, options[option])
        name = models.beside(self.name, folder)
        return self.model_copy(update={"name": name, "weights": relative_to(folder, self.weights), "options": options})

    @property
    def label(self) -> str:
        """What the model is called as a baseline: its name, and its options where it has any."""
        chosen = ", ".join(f"{key} {value}" for key, value in self.options.items())
        name = models.readable(self.name)
        return f"{name} ({chosen})" if chosen else name


#: Sections of a study file that are run only where they are there.
SECTION_TABLES: dict[str, type[BaseModel]] = {
    "neurons": NeuronOptions,
    "tokens": TokenOptions,
    "patch": PatchOptions,
    "lens": LensOptions,
    "tasks": TaskOptions,
}


class Study(_Table):
    """A study, validated.

    Relative paths are relative to the study's file, or to the working folder for a study made in Python.
    """

    corpus: CorpusTable = Field(description="where the sentences come from, and which of them")
    model: ModelTable = Field(description="what listens and reads, and how it is run")
    baselines: list[ModelTable] = Field(
        default_factory=list,
        description="other models to run on the same sentences, each a table like [model] (`beside`: the same)",
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
    engine: str = Field(
        "local", description="who computes: local, this process; ray, the machines of a Ray cluster; or a plug-in"
    )
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

    @property
    def activations(self) -> Path | str:
        """Where the study's activations are kept: a folder or URL."""
        return self.store if self.store is not None else self.output / STORE

    @property
    def sections(self) -> dict[str, BaseModel | None]:
        """What is asked of each further section; None for those that are not asked for."""
        return {name: getattr(self, name) for name in SECTION_TABLES}

    @property
    def modalities(self) -> tuple[str, ...]:
        """What is taken of each cell of the corpus: one modality where all points asked for are of one side."""
        points = ["all"] if self.baselines else self.points
        names = models.parts(self.model.name)
        taken = MODALITIES if len(names) == 2 else models.info(names[0]).modalities
        if len(taken) == 1 or (taken and "all" in points) or not models.has_planner(self.model.name):
            return taken
        try:
            return plan(self.model.name).model.select_points(points).modalities
        except BabelscopeError:  # another depth than the released model's, perhaps: refused when the model is loaded
            return taken or MODALITIES

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
            said = merged(said, from_working_folder(settings, said), SET)
        study = cls.parse(said, _named(str(path), settings))
        folder = path.resolve().parent
        model, *others = (table.located(folder) for table in (study.model, *study.baselines))
        return study.model_copy(
            update={
                "corpus": _below(folder, study.corpus, "path"),
                "model": model,
                "baselines": others,
                "tokens": _below(folder, study.tokens, "timings"),
                "tracking": _below(folder, study.tracking, "folder"),
                "output": folder / study.output,
                "store": study.store if study.store is None or is_url(study.store) else str(folder / study.store),
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
        study = self if model is None else self._with_model(model)
        check_engine(engine or study.engine)
        options = _given(workers=workers, device=device)
        corpus = _given(path=corpus_path, languages=list(languages) if languages else None)
        return study.model_copy(
            update={
                "model": study.model.model_copy(update=options | _given(weights=weights)),
                "baselines": [table.model_copy(update=options) for table in study.baselines],
                "corpus": study.corpus.model_copy(update=corpus),
                "output": output or study.output,
                "skip_bad": skip_bad or study.skip_bad,
                "engine": engine or study.engine,
                "replicas": replicas or (None if engine == "local" else study.replicas),
                "tracking": replaced(study.tracking, trackers),
            }
        )

    def _with_model(self, name: str) -> Study:
        """Return the study with another model: without what was chosen for the one that it names."""
        models.parts(name)
        window = self.model.window_seconds if models.takes_window(name) else None
        table: dict[str, Any] = {"name": name, "weights": None, "options": {}, "window_seconds": window}
        # A model that does not say what it was trained on holds nothing out.
        corpus = {} if models.says_held_out(name) else {"held_out": False}
        return self.model_copy(
            update={
                "model": self.model.model_copy(update=table),
                "corpus": self.corpus.model_copy(update=corpus),
                "baselines": [],
            }
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
            ("store", lambda: storage_of(study.store or "activations.zarr")),
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


def _below(folder: Path, table: T, key: str) -> T:
    """Return a table with its path `key` taken relative to a folder; as it is if it has none."""
    path = getattr(table, key, None)
    return table if table is None or path is None else table.model_copy(update={key: folder / path.expanduser()})


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def presets() -> list[str]:
    """Return the names of the studies that come with babelscope."""
    folder = files("babelscope").joinpath("presets")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _named(where: str, settings: Mapping[str, Any] | None) -> str:
    """Return what a message calls a study: its file or name, and what was set."""
    return " ".join([where, *(f"{SET} {key}={value}" for key, value in (settings or {}).items())])


def _check_baselines(tables: Sequence[ModelTable]) -> None:
    labels = [table.label for table in tables]
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
    key = ".".join(str(name) for name in problem["loc"])
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
    unused = {"corpus": {"source": "manifest"}, "model": {"name": "sonar"}}
    return Study.parse(merged(unused, settings, SET), "compare")


def schema() -> dict[str, Any]:
    """Return the JSON schema of a study file, by which editors complete and check its keys."""
    described = Study.model_json_schema()
    tables = described["$defs"]
    for properties, key, known in (
        (tables["CorpusTable"]["properties"], "source", corpora.sources()),
        (tables["ModelTable"]["properties"], "name", [*models.known(), *models.PAIRS, *CATALOGUE]),
        (described["properties"]["measures"], "items", MEASURES),
        (described["properties"], "engine", engines()),
    ):
        properties[key]["anyOf"] = [{"enum": list(known)}, {"type": properties[key].pop("type")}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described, "title": "A study of babelscope"}
