"""From a store of activations to scores: every comparison under every measure and control, each with its null."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.capture.second_readings import open_second
from babelscope.capture.store import Activations
from babelscope.errors import DataError, UsageError
from babelscope.gaps.above_chance import LEVEL as ABOVE_CHANCE
from babelscope.gaps.baselines.against import against_baselines, baselines_table
from babelscope.gaps.baselines.regressed import FORMS, form_covariates
from babelscope.gaps.baselines.sides import Baseline, baselines_of
from babelscope.gaps.by_class import intervals_of_means
from babelscope.gaps.caveats import caveats
from babelscope.gaps.clusters import compared, documents_of
from babelscope.gaps.comparisons import Comparison, Place, by_space
from babelscope.gaps.contrasts import FEWEST_LANGUAGES, Scored, scored_by_measure, with_intervals
from babelscope.gaps.curves import curves
from babelscope.gaps.headline import headline
from babelscope.gaps.lengths import length_covariates
from babelscope.gaps.naming import by_preference
from babelscope.gaps.options import Options, checked_controls, checked_measures, checked_plan, intervals_of, meta_of
from babelscope.gaps.pairing import pairing_table
from babelscope.gaps.readers import (
    SECOND,
    ReaderEffects,
    Readings,
    reader_comparisons,
    reader_effects,
    readings_of,
    scored_table,
    sides_of,
    spread_over,
    with_ceilings,
    with_readers,
)
from babelscope.gaps.resampling import resample
from babelscope.gaps.result import CONTROLS, DEFAULT_CONTROLS, SCORE_COLUMNS, Result
from babelscope.gaps.tables import tables_of_activations, tables_of_scores
from babelscope.progress import Progress
from babelscope.similarity import Measure
from babelscope.similarity.arrays import on_device
from babelscope.similarity.blocks import NONE, REGRESSED, SHUFFLED, VARIABLES, BlockExecutor, Settings
from babelscope.similarity.deviations import Deviations
from babelscope.similarity.pair_table import PairTable
from babelscope.similarity.permutation import chance_corrected
from babelscope.similarity.score import null_kind

DEFAULT_MEASURES: tuple[str, ...] = ("svcca", "linear_cka", "retrieval")
#: Permutations that are drawn at most, where a null has no closed form.
DEFAULT_PERMUTATIONS = 2000

#: Bytes of activations that comparing holds.
MEMORY = 2e9

#: What is added to the null of a score that lies beyond its permutations.
TAIL = "tail of an exponential law"

#: Which control of the pairs each control of a study is.
_IN_TABLE = {"none": NONE, "length_regressed": REGRESSED, "shuffled": SHUFFLED}
_PROGRESS = {
    "any-space": "measures between any two spaces",
    "one-space": "measures of one space",
}


def compare(
    activations: Activations,
    measures: Sequence[str | Measure] = DEFAULT_MEASURES,
    *,
    controls: Sequence[str] = DEFAULT_CONTROLS,
    permutations: int = DEFAULT_PERMUTATIONS,
    seed: int = 0,
    match: str = "output",
    kinds: Sequence[str] | None = None,
    interval: bool | str | Measure | Sequence[str | Measure] = True,
    device: str = "cpu",
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    memory: float = MEMORY,
    clusters: str = "auto",
    baselines: bool = True,
    second: Mapping[str, Activations] | None = None,
    executor: BlockExecutor | None = None,
) -> Result:
    """Measure how similar modalities and languages are at every point.

    Parameters
    ----------
    activations : Activations
        Complete.
    measures : sequence of str or Measure, or one of them
        Such as ``"svcca"``, ``"svcca(variance=0.9)"``, ``"linear_cka"``, ``"retrieval"``.
    controls : sequence of str
        Of :data:`~babelscope.gaps.result.CONTROLS`. ``length_only``, of earlier versions, is now the baseline
        ``lengths``, and is passed over.
    permutations : int
        Permutations of the sentences at most, where a null has no closed form. They are drawn until the p-value is
        decided (:func:`babelscope.similarity.permutation.sequential_p`); the same ones serve every pair and point.
    seed : int
        Of the permutations, the blocks of sentences and the shuffle.
    match : {"output", "depth", "all"}
        Which text point a speech point is compared with where the two sides share none.
    kinds : sequence of str, optional
        Of ``modality_similarity``, ``language_similarity_text``, ``language_similarity_speech``, ``cross_similarity``;
        all by default. The last has as many comparisons as the two before it together.
    interval : bool, or measures as in `measures`
        Whether to give intervals for the uncontrolled scores, and the tables that rest on them: by class, findings,
        diagnosis, languages. True: for measures with a closed form (debiased CKA, RSA, Procrustes, retrieval), and
        drawn for others but the CCA family, whose draws cost 40 times its scores. A sequence of measures: for those.
    device : str
        Where pairs are computed: ``cpu`` (NumPy), or a device of torch that has double precision, such as ``cuda``.
    progress : callable, optional
    checkpoint : Path, optional
        A folder that keeps finished blocks of pairs and draws. Called again with the same arguments and activations,
        the comparison resumes there, to the same bits; parts of another comparison in it are removed. To be
        removed once the scores are saved (:func:`babelscope.gaps.folder.clear`), and for one run at a time.
    memory : float
        Bytes for activations, half of them for what was read and half for what was prepared to be compared. The store
        is never held whole: beyond, parts are read and prepared again. docs/stores.md says what comes on top.
    clusters : {"auto", "alone", "texts", "none"}
        Whether sentences of one cluster (:attr:`Activations.clusters`, such as a document) are kept together: nulls by
        permutations of clusters, without closed forms; intervals, and the folds of ``cv_cca``, by cluster. Sentences
        whose cluster is not known are left out then, if they are at most half; "alone" compares them too, each as a
        cluster by itself. "texts" is "auto", with sentences whose texts are nearly the same in one cluster. "none"
        treats all sentences as independent. P-values are too small where sentences belong together that are not known
        to.
    baselines : bool
        Whether to compare lengths, strings, sounds and the model's input in place of the model
        (:mod:`babelscope.gaps.baselines`), and to set the model's scores against them.
    second : mapping of language to Activations, optional
        The same sentences by other readers, for noise ceilings (kind ``reader_similarity``) and for intervals that hold
        for other readers; those next to the store if left out (:mod:`babelscope.capture.second_readings`).
    executor : BlockExecutor, optional
        Computes blocks of pairs, such as an engine's on a cluster; this process if left out. It does not change the
        numbers.

    Returns
    -------
    Result

    Raises
    ------
    UsageError
        If a measure, control or kind is unknown, or there is nothing to compare.
    DataError
        If there are fewer sentences than a measure needs.
    """
    chosen, controls = checked_measures(measures), checked_controls(controls)
    whole, activations = activations, compared(activations, clusters)
    documents = documents_of(activations, clusters)
    options = Options(
        whole,
        activations,
        chosen,
        controls,
        documents,
        intervals_of(chosen, interval, documents) if "none" in controls else {},
        checked_plan(activations, chosen, match, kinds),
        readings_of(activations, open_second(activations) if second is None else second),
        permutations=permutations,
        seed=seed,
        match=match,
        device=device,
        memory=memory,
        clusters=clusters,
        baselines=baselines,
        progress=progress,
        checkpoint=checkpoint,
        executor=executor,
    )
    activations.hold(int(memory / 2))
    try:
        scoring = _Scoring(_Reader(activations, device), options.comparisons, controls, options)
        scoring.take(chosen)
        comparisons, effects = _with_second_readings(scoring, options)
        scores = with_ceilings(scoring.scores())
        tables: dict[str, pd.DataFrame] = {}
        scored: dict[str, Scored] = {}
        freedoms: dict[str, float] = {}
        means, holds_for = None, None
        if "none" in controls:
            deviating = {
                name: with_readers(deviations, effects.get(name), comparisons, len(activations.languages))
                for name, deviations in scoring.deviating(options.names, options.closed, options.drawn).items()
            }
            scored = scored_by_measure(scores, comparisons, deviating)
            if interval:
                freedoms = {name: deviations.freedom for name, deviations in deviating.items()}
                scores = with_intervals(scores, scored)
                tables = tables_of_scores(activations, scores, scored)
                means, holds_for = intervals_of_means(scored, tables["by_class"], activations.languages)
        described_baselines: list[dict[str, str]] = []
        if baselines:
            described_baselines, compared_with = _baselines(scoring, scored)
            tables |= compared_with
        if {"modality_similarity", "cross_similarity"} & {comparison.kind for comparison in comparisons}:
            tables["pairing"] = pairing_table(activations, match)
        along = curves(scores, means)
        meta = meta_of(
            options,
            scores,
            baselines=described_baselines,
            regressed=scoring.regressed,
            freedoms=freedoms,
            interval_of_means=holds_for if along["low"].notna().any() else None,
            kinds=list(dict.fromkeys(comparison.kind for comparison in comparisons)),
        )
        sentences = headline(along, scores, meta, tables)
        meta["headline"] = [str(sentence) for sentence in sentences]
        meta["headline_parts"] = [sentence.parts() for sentence in sentences]
        meta["caveats"] = caveats(scores, meta)
        tables |= tables_of_activations(activations, scores, seed, documents)
        return Result(scores, along, meta, tables)
    finally:
        activations.hold(0)


def _with_second_readings(scoring: _Scoring, options: Options) -> tuple[list[Comparison], dict[str, ReaderEffects]]:
    """Score second recordings too, uncontrolled; return all comparisons, and how scores move with the reader."""
    comparisons, readings, measures = options.comparisons, options.readings, options.measures
    effects: dict[str, ReaderEffects] = {}
    if not readings or "none" not in options.controls:
        return comparisons, effects
    seconds = [(one, _Reader(one.store, options.device)) for one in readings]
    if options.closed and len(readings) >= FEWEST_LANGUAGES:  # of fewer, nothing is known of how readers differ
        effects = reader_effects(
            scoring.read, seconds, comparisons, measures, options.units, options.settings, options.executor
        )
    comparisons = [*comparisons, *reader_comparisons(options.activations, readings)]
    scoring.take_readers(measures, seconds, comparisons)
    return comparisons, effects


def _baselines(scoring: _Scoring, scored: Mapping[str, Scored]) -> tuple[list[dict[str, str]], dict[str, pd.DataFrame]]:
    """Return what a result says of its baselines, and their tables; none without rows."""
    described: list[dict[str, str]] = []
    by_baseline: dict[str, dict[str, Scored]] = {}
    for baseline in baselines_of(scoring.activations, scoring.comparisons, scoring.read):
        by_baseline[baseline.name], note = _scored_baseline(baseline, scoring.options)
        described.append(baseline.described() | ({"note": note} if note else {}))
    tables = {
        "baselines": baselines_table(by_baseline),
        "against_baselines": against_baselines(scored, by_baseline),
    }
    return described, {name: table for name, table in tables.items() if len(table)}


class _Scoring:
    """Scores all comparisons under every control, and gives them as tables."""

    def __init__(
        self,
        read: Callable[[Place], Any],
        comparisons: Sequence[Comparison],
        controls: Sequence[str],
        options: Options,
        baseline: str = "",
    ) -> None:
        self.read, self.comparisons, self.controls, self.baseline = read, list(comparisons), controls, baseline
        self.options, self.activations, self.clustered = options, options.activations, options.documents is not None
        self.frames: list[pd.DataFrame] = []
        self.deviations: dict[str, NDArray[np.float64]] = {}
        self.regressed: dict[str, dict[str, float]] = {}

    def scores(self) -> pd.DataFrame:
        """Return all scores, control after control."""
        order = {control: at for at, control in enumerate(CONTROLS)}
        if not any(len(frame) for frame in self.frames):
            raise UsageError(
                f"controls: {', '.join(self.controls)} gives no score, since no lengths are known or too few sentences "
                "are left; add none"
            )
        whole = pd.concat(self.frames, ignore_index=True)
        return whole.sort_values("control", key=lambda column: column.map(order), kind="stable", ignore_index=True)

    def take(self, measures: Sequence[Measure]) -> None:
        """Score every comparison under every measure that it allows: measures of one space need one point."""
        wanted = tuple(_IN_TABLE[control] for control in self.controls if control in _IN_TABLE)
        for name, chosen, rows in by_space(measures, self.comparisons) if wanted else ():
            self._take(chosen, rows, wanted, name)
        for control in self.controls:
            if control in FORMS:
                self._regress_form(measures, control)

    def deviating(self, names: Sequence[str], closed: Sequence[str], drawn: Sequence[str]) -> dict[str, Deviations]:
        """Return how the uncontrolled scores of each measure move with the sentences, in closed form or drawn.

        `closed` and `drawn` name the measures with deviations in closed form, and those whose deviations are drawn;
        others have none.
        """
        by_measure = {name: Deviations.of_clusters(self.deviations[name]) for name in closed if name in self.deviations}
        by_measure |= resample(
            self.read,
            self.comparisons,
            drawn,
            self.options,
            progress=self.options.progress_of(f"intervals{self._of_baseline}"),
            checkpoint=self.options.checkpoints.of(self._part("intervals")),
        )
        count = len(self.comparisons)
        return by_measure | {name: Deviations.none(count) for name in names if name not in by_measure}

    @property
    def _of_baseline(self) -> str:
        return f" of {self.baseline}" if self.baseline else ""

    def _part(self, name: str) -> str:
        return f"{self.baseline}-{name}" if self.baseline else name

    def _take(self, measures: Sequence[Measure], rows: Sequence[int], wanted: tuple[str, ...], name: str) -> None:
        comparisons = [self.comparisons[at] for at in rows]
        keys: list[tuple[str, str] | None] = []
        covariates: dict[Any, NDArray[np.float64]] = {}
        if REGRESSED in wanted:
            covariates = length_covariates(self.activations, map(_languages, comparisons))
            keys = [key if (key := _languages(one)) in covariates else None for one in comparisons]
        table = self._table(
            comparisons,
            measures,
            wanted,
            name,
            keys=keys,
            covariates=covariates,
            # One shuffle for each pair of languages and kind of gap.
            shuffles=[f"{one.kind}/{one.a.language}/{one.b.language}" for one in comparisons],
        )
        titles = {number: control for control, number in _IN_TABLE.items()}
        for at, control in enumerate(table.settings.controls):
            if control in wanted:
                self._add(comparisons, measures, table.numbers[:, :, at], titles[control])
        if table.deviations is not None:
            for at, number in enumerate(table.settings.deviating):
                whole = np.full((len(self.comparisons), table.deviations.shape[2]), np.nan)
                whole[list(rows)] = table.deviations[:, at]
                self.deviations[str(measures[number])] = whole.T

    def take_readers(
        self,
        measures: Sequence[Measure],
        seconds: Sequence[tuple[Readings, _Reader]],
        comparisons: Sequence[Comparison],
    ) -> None:
        """Score first against second recordings, uncontrolled: the last of `comparisons`, behind those of before."""
        for name, deviations in self.deviations.items():
            more = np.full((len(deviations), len(comparisons) - deviations.shape[1]), np.nan)
            self.deviations[name] = np.hstack([deviations, more])
        for one, second in seconds:
            rows = [
                at
                for at, each in enumerate(comparisons)
                if each.kind == "reader_similarity" and each.a.language == one.language
            ]
            pairs = [(comparisons[at].a, comparisons[at].b) for at in rows]
            sides = sides_of(self.read, second, one, [place for pair in pairs for place in pair])
            fitting = [measure for measure in measures if measure.minimum_sentences <= len(one.rows)]
            for _, chosen, _ in by_space(fitting, [comparisons[at] for at in rows]):
                nulls = [null_kind(measure, "auto", clustered=self.clustered) for measure in chosen]
                units = self.options.units if any(measure.has_influence for measure in chosen) else None
                table = scored_table(
                    sides, pairs, chosen, nulls, one.rows, units, self.options.settings, self.options.executor
                )
                self._add([comparisons[at] for at in rows], chosen, table.numbers[:, :, 0], "none")
                if table.deviations is None or units is None:
                    continue
                for at, number in enumerate(table.settings.deviating):
                    if (into := self.deviations.get(str(chosen[number]))) is not None:
                        into[:, rows] = spread_over(table.deviations[:, at].T, units, one.rows, int(units.max()) + 1)

    def _regress_form(self, measures: Sequence[Measure], control: str) -> None:
        """Score every comparison with the strings or sounds of its languages regressed out of both sides."""
        covariates, self.regressed[control] = form_covariates(
            self.activations, control, map(_languages, self.comparisons)
        )
        there = [one for one in self.comparisons if _languages(one) in covariates]
        for name, chosen, rows in by_space(measures, there):
            comparisons = [there[at] for at in rows]
            keys = list(map(_languages, comparisons))
            table = self._table(
                comparisons, chosen, (REGRESSED,), name, control=control, keys=keys, covariates=covariates
            )
            self._add(comparisons, chosen, table.numbers[:, :, 0], control)

    def _table(
        self,
        comparisons: Sequence[Comparison],
        measures: Sequence[Measure],
        controls: tuple[str, ...],
        name: str,
        control: str = "",
        **per_pair: Any,
    ) -> PairTable:
        plain = not control
        folder = self.options.checkpoints.of(self._part(f"{name}-{control}" if control else name))
        settings = Settings(
            tuple(measures),
            tuple(null_kind(measure, "auto", clustered=self.clustered) for measure in measures),
            controls=(NONE, *(one for one in controls if one != NONE)) if plain else controls,
            clusters=self.options.units if plain and any(measure.has_influence for measure in measures) else None,
            sequential=True,
            tails=self._tails(measures),
            fingerprints=folder is not None,
            **self.options.settings,
        )
        progress = self.options.progress_of(f"{_PROGRESS[name]}{self._of_baseline}")
        pairs = [(one.a, one.b) for one in comparisons]
        sides = {place: partial(self.read, place) for pair in pairs for place in pair}
        table = PairTable(sides, pairs, settings, progress=progress, executor=self.options.executor, **per_pair)
        if folder is not None:
            table.keep_in(folder)
        table.compute()
        return table

    def _tails(self, measures: Sequence[Measure]) -> tuple[bool, ...]:
        """Return of which measures p may be a model's, where permutations would take long to reach a score.

        None without clusters, and all for a baseline. The p-values of the leading measure are corrected for all
        languages and points (:mod:`babelscope.gaps.above_chance`): its p is a model's only where permutations could not
        pass that correction.
        """
        if not self.clustered:
            return ()
        if self.baseline:
            return (True,) * len(measures)
        tested = sum(one.kind == "modality_similarity" for one in self.comparisons)
        decide = tested <= ABOVE_CHANCE * (self.options.permutations + 1)
        leading = by_preference(str(measure) for measure in measures if not measure.same_space)[:1]
        return tuple(not (decide and str(measure) in leading) for measure in measures)

    def _add(
        self,
        comparisons: Sequence[Comparison],
        measures: Sequence[Measure],
        numbers: NDArray[np.void],
        control: str,
    ) -> None:
        """Add one row a comparison and measure, in that order, but for those that could not be computed."""
        columns: dict[str, Any] = {"model": self.activations.meta["model"]["name"]}
        columns |= {"kind": [one.kind for one in comparisons]}
        for side in ("a", "b"):
            columns |= self._labels([getattr(one, side) for one in comparisons], side)
        frame = pd.DataFrame(columns, index=range(len(comparisons)))
        frame = frame.loc[np.repeat(frame.index, len(measures))].reset_index(drop=True)
        frame["measure"] = [str(measure) for measure in measures] * len(comparisons)
        frame["control"] = control
        flat = numbers.reshape(-1)
        frame = frame.assign(**{name: flat[name] for name in VARIABLES if name in SCORE_COLUMNS})
        best = [measure.best for measure in measures] * len(comparisons)
        frame["ceiling"] = np.nan
        frame["chance_corrected"] = chance_corrected(frame["value"], frame["null_mean"], best)
        exact, known = flat["exact"] == 1, np.isfinite(flat["null_mean"])
        drawn = "permutation of clusters" if self.clustered else "permutation"
        tail = flat["tail"] == 1
        frame["null"] = np.where(known, np.select([exact, tail], ["closed form", f"{drawn}, {TAIL}"], drawn), "")
        frame["convention"] = [measure.convention_text for measure in measures] * len(comparisons)
        self.frames.append(frame.loc[np.isfinite(flat["value"]), list(SCORE_COLUMNS)])

    def _labels(self, places: Sequence[Place], side: str) -> dict[str, Any]:
        heard = {SECOND: "speech"}
        seen = {
            (point, modality): ("", np.nan)
            if self.baseline
            else (
                str(self.activations.stage(point, heard.get(modality, modality))),
                self.activations.depth(point, heard.get(modality, modality)),
            )
            for point, modality in {(place.point, place.modality) for place in places}
        }
        return {
            f"point_{side}": [place.point for place in places],
            f"stage_{side}": [seen[place.point, place.modality][0] for place in places],
            f"depth_{side}": [seen[place.point, place.modality][1] for place in places],
            f"modality_{side}": [place.modality for place in places],
            f"language_{side}": [place.language for place in places],
        }


def _scored_baseline(baseline: Baseline, options: Options) -> tuple[dict[str, Scored], str]:
    """Score a baseline as the model is scored; by measure, and what could not be computed."""
    taken = {str(one): one.of_one_column() if baseline.one_column else one for one in options.measures}
    forms = {name: form for name, form in taken.items() if form is not None}
    if not baseline.comparisons or not forms:
        return {}, ""
    scoring = _Scoring(baseline.read, baseline.comparisons, ("none",), options, baseline.name)
    distinct = list(dict.fromkeys(forms.values()))
    try:
        scoring.take(distinct)
        if not any(len(frame) for frame in scoring.frames):
            return {}, ""
        scores = scoring.scores()
        deviating = scoring.deviating(
            [str(one) for one in distinct],
            list(dict.fromkeys(str(forms[name]) for name in options.closed if name in forms)),
            list(dict.fromkeys(str(forms[name]) for name in options.drawn if name in forms)),
        )
    except DataError as error:  # such as texts that are all the same: the model can be compared all the same
        return {}, str(error)
    scored = scored_by_measure(scores, baseline.comparisons, deviating)
    scores = with_intervals(scores, scored)
    whole = scored_by_measure(scores, baseline.comparisons, deviating)
    # Under the name of the measure of the study, whatever form it takes for a single column.
    return {
        name: Scored(whole[str(form)].rows.assign(measure=name), whole[str(form)].deviations)
        for name, form in forms.items()
        if str(form) in whole
    }, ""


def _languages(comparison: Comparison) -> tuple[str, str]:
    return comparison.a.language, comparison.b.language


class _Reader:
    """Reads representations from a store; in another process, from the store at the same place.

    On the device ``cpu`` as NumPy arrays; else as torch tensors there.
    """

    def __init__(self, activations: Activations, device: str = "cpu") -> None:
        self.activations, self.device = activations, device

    def __reduce__(self) -> tuple[Callable[..., _Reader], tuple[Any, ...]]:
        """Be sent to another process as the place of the store, which is opened once there."""
        path, identity = self.activations.path, self.activations.dataset.attrs["identity"]
        located = str(path.resolve() if isinstance(path, Path) else path)
        sentences = self.activations.sentences
        return _reader_there, (located, identity, self.activations.meta["created"], self.device, sentences)

    def __call__(self, place: Place) -> Any:
        rows = self.activations.matrix(place.point, place.modality, place.language)
        return rows if self.device == "cpu" else on_device(rows, self.device)


@lru_cache(maxsize=2)
def _reader_there(path: str, identity: str, created: str, device: str, sentences: tuple[str, ...]) -> _Reader:
    """Return this process's reader of a store; identity and time keep apart those that stood there one after another.

    DataError if another store stands there, or none that can be seen from this machine.
    """
    activations = Activations(path).only(sentences)
    if (activations.dataset.attrs["identity"], activations.meta["created"]) != (identity, created):
        raise DataError(f"{path} was replaced, or is another store on {socket.gethostname()}: run again")
    activations.hold(int(MEMORY / 2))
    return _Reader(activations, device)
