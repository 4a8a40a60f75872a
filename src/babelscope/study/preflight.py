"""What is wrong with a study and can be known before a model is loaded.

First its assets, weights, points, output and comparisons: that reads no recording and no weight, for a model's points
come from its configuration. Then its corpus, for the models and measures that are to be used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from babelscope import gaps, models
from babelscope.audio import SAMPLE_RATE
from babelscope.capture.position_encoding import with_positions
from babelscope.corpora import Corpus, Problem, checks
from babelscope.corpora.checks import DECODED, DECODED_BEFORE_A_RUN, CorpusCheck, Limits
from babelscope.errors import BabelscopeError, DataError, FetchError
from babelscope.fetch import ASSETS, is_fetched
from babelscope.gaps.comparisons import Comparison
from babelscope.models.base import Model, Point, check_device
from babelscope.models.naming import location
from babelscope.models.planning import plan, token_counter
from babelscope.models.weights.places import local_path, locate
from babelscope.progress import Progress
from babelscope.similarity import parse_measure
from babelscope.study.corpus import filtered, load_corpus
from babelscope.study.settings import Study
from babelscope.tracking import check_trackers

#: Options of models of the hub that leave their points as they are planned.
_KEEP_POINTS = {"prompt", "batch", "device_map"}


def check_assets(names: Iterable[str]) -> None:
    """Refuse a study whose corpus or models were not fetched: name all of them, with the command that fetches them.

    Names that are no assets are passed over.
    """
    missing = [name for name in dict.fromkeys(names) if name in ASSETS and not is_fetched(name)]
    if missing:
        is_here = "is not here" if len(missing) == 1 else "are not here"
        raise FetchError(f"{', '.join(missing)} {is_here} yet: run 'babelscope fetch {' '.join(missing)}'")


def check_model(
    name: str,
    weights: str | Mapping[str, str] | None,
    points: Sequence[str],
    device: str,
    options: Mapping[str, Any] | None = None,
) -> Model | None:
    """Refuse weights that are not here or of another kind, points that the model does not have, and a missing device.

    The model, by a registered name or ``speech+text`` for a pair, is returned without weights, with the points that
    match the patterns; None if these are not known yet: the family's own options may name further files and change the
    points, so that what depends on them is only known when the model is loaded.

    Raises
    ------
    UsageError
        If a point or the device does not exist.
    DataError
        If a folder does not exist, or holds no model of that kind.
    """
    check_device(device)
    named = models.weights_by_part(name, weights)
    folders = {model: local_path(source) for model, source in named.items()}
    for model, folder in folders.items():
        if folder is not None and not os.path.lexists(folder):
            raise DataError(f"weights: there is no folder {folder}: name the folder of {model}'s weights, or a hub id")
    declared = {model: declaration for model in models.parts(name) if (declaration := models.info(model).declaration)}
    for model, declaration in declared.items():
        source = named.get(model) or location(declaration)
        if source is not None and local_path(source) is not None:
            locate(source, adapters=not declaration.asset)
    keep_points = _KEEP_POINTS if len(declared) == len(models.parts(name)) else set()
    if set(options or ()) - keep_points or not models.has_planner(name):
        return None
    given = {model: source for model, source in named.items() if folders[model] is not None or model in declared}
    planned = plan(name, given).model
    return planned.select_points(points) if len(given) == len(named) else None


def check_output(folder: Path) -> None:
    """Refuse an output folder that cannot be made or written, naming what is in the way."""
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise DataError(f"output: {folder} cannot be made, for {existing} is not a folder: choose another output")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise DataError(f"output: {existing} cannot be written (no permission): choose another output")


def check_comparisons(model: Model, languages: Sequence[str], match: str, kinds: Sequence[str]) -> list[Comparison]:
    """Return what a study compares by a model, loaded or not, and refuse one that compares nothing."""
    return gaps.plan(_Places(model, languages), match, kinds)


def limits_of(
    name: str,
    weights: str | Mapping[str, str] | None = None,
    window_seconds: float | None = None,
    planned: Model | None = None,
) -> Limits:
    """Return how much a model takes at once, as far as that is known before it is loaded.

    `planned` is the model without weights; if left out, the one of the configuration that `weights` holds, or the
    released one. UsageError if the name or a part of `weights` is unknown.
    """
    if planned is None and models.has_planner(name):
        try:
            planned = plan(name, weights).model
        except BabelscopeError:  # weights that are elsewhere, or not here yet
            planned = plan(name).model
    longest = {} if planned is None else {modality: side.longest for modality, side in planned.sides.items()}
    if window_seconds is not None and "speech" in longest:
        longest["speech"] = round(window_seconds * SAMPLE_RATE)
    return Limits(name, longest.get("speech"), longest.get("text"), token_counter(name, weights))


def check_measures(measures: Iterable[str], sentences: int, where: str) -> None:
    """Refuse measures that so many sentences are too few for; `where` says where these are from."""
    for measure in measures:
        parse_measure(measure).check(sentences, where)


def too_few(measures: Iterable[str], corpus: Corpus) -> Iterable[Problem]:
    """Yield the measures that the sentences of a corpus are too few for."""
    for measure in measures:
        try:
            parse_measure(measure).check(len(corpus.sentences), f"corpus {corpus.name}")
        except DataError as error:
            message, _, remedy = str(error).rpartition(": ")
            yield Problem("too-few-sentences", "error", message, remedy)


def refuse(check: CorpusCheck) -> None:
    """Refuse a corpus that a study cannot be run on, with the first error and its remedy, in one line."""
    errors = [problem for problem in check.problems if problem.severity == "error"]
    if not errors:
        return
    first = errors[0]
    place = f" ({first.where[0]})" if first.where else ""
    more = len(errors) - 1
    further = f" ({more} more: babelscope corpora check)" if more else ""
    raise DataError(f"corpus {check.corpus!r}: {first.message}{place}: {first.remedy}{further}")


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
        The study's own and its baselines, without weights, as far as their configurations are here.

    Raises
    ------
    BabelscopeError
        In one line.
    """
    if compared and study.corpus.n is not None:
        check_measures(study.measures, study.corpus.n, "corpus.n")
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
        modalities=study.modalities,
        limits=list(limits.values()),
        skip_bad=study.skip_bad,
        before=before,
        decoded=decoded,
        progress=progress,
    )
    return check.with_problems(too_few(study.measures, corpus)) if compared else check


class _Places:
    """A model's points in some languages, as a plan of comparisons takes them."""

    def __init__(self, model: Model, languages: Sequence[str]) -> None:
        self.name, self._model = model.name, model
        self.languages, self.modalities = tuple(languages), tuple(model.modalities)
        self.shared_points = model.shared_points

    def points(self, modality: str) -> tuple[str, ...]:
        return tuple(point.name for point in self._points(modality))

    def depth(self, point: str, modality: str) -> float:
        return next(each.depth for each in self._points(modality) if each.name == point)

    def _points(self, modality: str) -> Sequence[Point]:
        return next(side.points for kind, side in self._model.sides.items() if kind == modality)
