"""From a store of activations to scores: every comparison under every measure and control, each with its null."""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.capture.store import Activations, now, versions
from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.gaps.by_class import intervals_of_means
from babelscope.gaps.caveats import caveats
from babelscope.gaps.comparisons import MATCHES, Comparison, Place, plan
from babelscope.gaps.contrasts import scored_by_measure, with_intervals
from babelscope.gaps.curves import curves
from babelscope.gaps.headline import headline
from babelscope.gaps.lengths import log_lengths, project_out, standardised_log
from babelscope.gaps.parts import Parts
from babelscope.gaps.resampling import BLOCKS, HALVINGS, PARTITIONS, resample
from babelscope.gaps.result import CONTROLS, SCORE_COLUMNS, Result
from babelscope.gaps.tables import tables, tables_of_scores
from babelscope.similarity import pairwise, parse_measure, regress_out

DEFAULT_MEASURES: tuple[str, ...] = ("svcca", "linear_cka", "retrieval")
DEFAULT_PERMUTATIONS = 200

#: Bytes of activations that comparing holds.
MEMORY = 2e9

INTERVAL_TEXT = (
    f"95 %, for other sentences, from the score without each of {BLOCKS} blocks of the sentences in turn, in "
    f"{PARTITIONS} partitions, less what {HALVINGS} halvings of the sentences show to be counted too often"
)

#: Measures of the whole geometry: after a regression they are taken in the space of the residual degrees of freedom, so
#: that the regression itself makes nothing look alike. Neighbour measures need sentences in rows and take the residuals
#: as they are.
_GLOBAL = frozenset({"cca", "svcca", "pwcca", "linear_cka", "procrustes"})

#: Called with what is being compared, how many pairs are done, and how many there are.
Progress = Callable[[str, int, int], None]


def compare(
    activations: Activations,
    measures: Sequence[str] = DEFAULT_MEASURES,
    *,
    controls: Sequence[str] = tuple(CONTROLS),
    permutations: int = DEFAULT_PERMUTATIONS,
    seed: int = 0,
    match: str = "output",
    kinds: Sequence[str] | None = None,
    interval: bool = True,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    memory: float = MEMORY,
) -> Result:
    """Measure the modality gap and the language gaps at every point.

    Parameters
    ----------
    activations : Activations
        Complete.
    measures : sequence of str
        Such as ``"svcca"``, ``"svcca(variance=0.9)"``, ``"linear_cka"``, ``"retrieval"``.
    controls : sequence of str
        Of ``none``, ``length_regressed``, ``length_only``, ``shuffled``.
    permutations : int
        Permutations of the sentences for the null; the same ones for every pair and point.
    seed : int
        Of the permutations, the blocks of sentences and the shuffle.
    match : {"output", "depth", "all"}
        Which text point a speech point is held against where the two sides share none.
    kinds : sequence of str, optional
        Of ``modality_gap``, ``language_gap_text``, ``language_gap_speech``, ``cross_gap``; all by default. The last has
        as many comparisons as the two before it together.
    interval : bool
        Whether to give intervals for the uncontrolled scores, and the tables that rest on them: by class, findings,
        diagnosis, languages. All comparisons are scored again on parts of the sentences, without a null:
        :mod:`babelscope.gaps.resampling`.
    progress : callable, optional
    checkpoint : Path, optional
        A folder that keeps finished blocks of pairs and draws. Called again with the same arguments and activations,
        the comparison goes on from there, to the same bits; parts of another comparison in it are removed. To be
        removed once the scores are saved (:func:`babelscope.gaps.parts.forget`), and for one run at a time.
    memory : float
        Bytes for activations, half of them for what was read and half for what was prepared to be compared. The store
        is never held whole: beyond, parts are read and prepared again. What comes on top is told in docs/stores.md.

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
    parsed = [str(parse_measure(measure)) for measure in measures]
    for control in controls:
        if control not in CONTROLS:
            raise UsageError(f"controls: {control!r} is unknown; {did_you_mean(control, CONTROLS)}")
    comparisons = plan(activations, match, kinds)
    settings: dict[str, Any] = {
        "null": "permutation", "permutations": permutations, "seed": seed, "memory": memory / 2
    }  # fmt: skip
    frames: list[pd.DataFrame] = []
    read = _Reader(activations)
    parts = Parts(
        checkpoint,
        {
            "activations": [activations.dataset.attrs["identity"], activations.meta["created"]],
            "skipped": [list(one) for one in activations.skipped],
            "comparisons": [[comparison.kind, list(comparison.a), list(comparison.b)] for comparison in comparisons],
            "settings": [parsed, settings],
            "versions": versions(),
        },
    )
    activations.hold(int(memory / 2))
    try:
        for control in (control for control in CONTROLS if control in controls):
            scoring = _Scoring(read, control, _telling(progress, CONTROLS[control]), parts)
            if control == "none":
                scoring.take(comparisons, parsed, _plain(read), **settings)
            elif control == "length_regressed":
                _length_regressed(scoring, comparisons, parsed, settings)
            elif control == "length_only":
                _length_only(scoring, comparisons, parsed, settings)
            else:
                scoring.take(comparisons, parsed, _shuffled(read, seed), null=None, seed=seed, memory=memory / 2)
            frames += scoring.frames
        scores = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)[list(SCORE_COLUMNS)]
        further: dict[str, pd.DataFrame] = {}
        means, holds_for = None, None
        if interval and "none" in controls:
            told = _telling(progress, "intervals")
            drawn = resample(
                read,
                comparisons,
                parsed,
                len(activations.sentences),
                seed=seed,
                progress=told,
                checkpoint=parts.of("intervals"),
                memory=memory / 2,
            )
            scored = scored_by_measure(scores, comparisons, drawn)
            scores = with_intervals(scores, scored)
            further = tables_of_scores(activations, scores, scored)
            means, holds_for = intervals_of_means(scored, further["by_class"], activations.languages)
        along = curves(scores, means)
        options = {
            "measures": parsed,
            "conventions": scores.drop_duplicates("measure").set_index("measure")["convention"].to_dict(),
            "controls": list(controls),
            "permutations": permutations,
            "null": "permutation of the sentences",
            "interval": INTERVAL_TEXT if scores["low"].notna().any() else None,
            "interval_of_means": holds_for if along["low"].notna().any() else None,
            "seed": seed,
            "match": match,
            "match_text": MATCHES[match],
            "kinds": list(dict.fromkeys(comparison.kind for comparison in comparisons)),
            "pooling": activations.meta["pooling"],
            "window_seconds": _window(activations.meta["model"]["options"]),
        }
        corpus = activations.meta["corpus"] | _who_and_how_long(activations)
        meta: dict[str, Any] = {
            "study": {"created": now()},
            "model": activations.meta["model"],
            "corpus": corpus,
            "options": options,
            "versions": versions(),
            "activations": {"created": activations.meta["created"], "versions": activations.meta["versions"]},
        }
        said = headline(along, scores, meta)
        meta["headline"] = [str(sentence) for sentence in said]
        meta["headline_parts"] = [sentence.parts() for sentence in said]
        meta["caveats"] = caveats(scores, meta)
        return Result(scores, along, meta, further | tables(activations, scores, along, seed))
    finally:
        activations.hold(0)


def _telling(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(what, done, total)


#: Gives a representation of a comparison's first or second side a label, and says how to read it.
Represent = Callable[[Comparison, Place, bool], tuple[Hashable, Callable[[], NDArray[Any]]]]


class _Scoring:
    """Scores of many comparisons under one control, as tables."""

    def __init__(self, read: _Reader, control: str, told: Callable[[int, int], None] | None, parts: Parts) -> None:
        self.activations, self.read, self.control, self.told = read.activations, read, control, told
        self.parts, self.tables = parts, 0
        self.frames: list[pd.DataFrame] = []

    def take(
        self,
        comparisons: Sequence[Comparison],
        measures: Sequence[str],
        represent: Represent,
        *,
        shown: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        """Score every comparison under every measure that it allows.

        A measure of one space (retrieval) needs both sides at one point. `shown` renames measures in the table.
        """
        for same_space in (False, True):
            chosen = [measure for measure in measures if parse_measure(measure).same_space is same_space]
            fitting = [comparison for comparison in comparisons if comparison.same_space or not same_space]
            if not chosen or not fitting:
                continue
            representations: dict[Hashable, Callable[[], NDArray[Any]]] = {}
            pairs: list[tuple[Hashable, Hashable]] = []
            for comparison in fitting:
                first, read_first = represent(comparison, comparison.a, False)
                second, read_second = represent(comparison, comparison.b, True)
                representations |= {first: read_first, second: read_second}
                pairs.append((first, second))
            self.tables += 1
            part = self.parts.of(f"{self.control}-{self.tables:02}")
            found = pairwise(representations, chosen, pairs=pairs, progress=self.told, checkpoint=part, **settings)
            self.frames.append(_table(self.activations, fitting, found, self.control, shown or {}))


def _plain(read: _Reader) -> Represent:
    return lambda comparison, place, second: (place, partial(read, place))


def _shuffled(read: _Reader, seed: int) -> Represent:
    """The second side's sentences in another order, one for each pair of languages and kind of gap."""

    def represent(comparison: Comparison, place: Place, second: bool) -> tuple[Hashable, Callable[[], NDArray[Any]]]:
        if not second:
            return place, partial(read, place)
        drawn_for = (comparison.kind, comparison.a.language, comparison.b.language)
        order = np.random.default_rng([seed, *"/".join(drawn_for).encode()]).permutation(
            len(read.activations.sentences)
        )
        label = (*place, f"shuffled against {comparison.a.language}")
        return label, partial(_ordered, read, place, order)

    return represent


def _length_regressed(
    scoring: _Scoring, comparisons: Sequence[Comparison], measures: Sequence[str], settings: Mapping[str, Any]
) -> None:
    """Both sides less the lengths of both: log seconds and log tokens of every language that the pair has."""
    activations = scoring.activations
    covariates: dict[tuple[str, str], NDArray[np.float64]] = {}
    for languages in {(comparison.a.language, comparison.b.language) for comparison in comparisons}:
        found = log_lengths(activations, languages)
        if found.shape[1]:
            covariates[languages] = found
    kept = [one for one in comparisons if (one.a.language, one.b.language) in covariates]

    def less_lengths(remove: Callable[..., NDArray[np.float64]]) -> Represent:
        def represent(
            comparison: Comparison, place: Place, second: bool
        ) -> tuple[Hashable, Callable[[], NDArray[Any]]]:
            languages = (comparison.a.language, comparison.b.language)
            label = (*place, f"less lengths in {' and '.join(dict.fromkeys(languages))}")
            return label, partial(_removed, remove, scoring.read, place, covariates[languages])

        return represent

    for measure in measures:
        parsed = parse_measure(measure)
        whole = parsed.name in _GLOBAL
        n = len(activations.sentences)
        fitting = [
            one
            for one in kept
            if n - covariates[one.a.language, one.b.language].shape[1] * whole >= parsed.minimum_sentences
        ]
        scoring.take(fitting, [measure], less_lengths(project_out if whole else regress_out), **settings)


def _length_only(
    scoring: _Scoring, comparisons: Sequence[Comparison], measures: Sequence[str], settings: Mapping[str, Any]
) -> None:
    """How alike the two sides are if only their lengths are known: one row a kind and pair, at no point."""
    activations = scoring.activations
    columns: dict[tuple[str, str], NDArray[np.float64]] = {}
    for modality in activations.modalities:
        for language in activations.languages:
            column = standardised_log(activations.lengths(modality, language))
            if column is not None:
                columns[modality, language] = column
    bare = [
        Comparison(comparison.kind, comparison.a._replace(point="length"), comparison.b._replace(point="length"))
        for comparison in comparisons
        if {(comparison.a.modality, comparison.a.language), (comparison.b.modality, comparison.b.language)}
        <= columns.keys()
    ]

    def represent(comparison: Comparison, place: Place, second: bool) -> tuple[Hashable, Callable[[], NDArray[Any]]]:
        return place, partial(np.asarray, columns[place.modality, place.language])

    # One centred number has no direction, so neighbours are found by distance.
    asked = {_by_distance(measure): measure for measure in measures}
    scoring.take(list(dict.fromkeys(bare)), list(asked), represent, shown=asked, **settings)


# What may be read in another process is a function of the module with all it needs: a closure would take along whatever
# it can see, the display of the progress included.
def _ordered(read: _Reader, place: Place, order: NDArray[np.int64]) -> NDArray[Any]:
    return read(place)[order]


def _removed(
    remove: Callable[..., NDArray[np.float64]], read: _Reader, place: Place, covariates: NDArray[np.float64]
) -> NDArray[np.float64]:
    return remove(read(place), covariates)


def _by_distance(measure: str) -> str:
    parsed = parse_measure(measure)
    return str(parse_measure("retrieval(metric='euclidean')")) if parsed.name == "retrieval" else measure


class _Reader:
    """Reads representations from a store; in another process, from the store at the same place."""

    def __init__(self, activations: Activations) -> None:
        self.activations = activations

    def __reduce__(self) -> tuple[Callable[..., _Reader], tuple[Any, ...]]:
        """Be sent to another process as the place of the store, which is opened once there."""
        path, identity = self.activations.path, self.activations.dataset.attrs["identity"]
        located = str(path.resolve() if isinstance(path, Path) else path)
        return _reader_there, (located, identity, self.activations.meta["created"])

    def __call__(self, place: Place) -> NDArray[np.float32]:
        return self.activations.matrix(place.point, place.modality, place.language)


@lru_cache(maxsize=2)
def _reader_there(path: str, identity: str, created: str) -> _Reader:
    """Return this process's reader of a store; identity and time keep apart those that stood there one after another.

    Raises
    ------
    DataError
        If another store stands there, or none that can be seen from this machine.
    """
    activations = Activations(path)
    if (activations.dataset.attrs["identity"], activations.meta["created"]) != (identity, created):
        raise DataError(f"{path} was replaced, or is another store on {socket.gethostname()}: run again")
    activations.hold(int(MEMORY / 2))
    return _Reader(activations)


def _table(
    activations: Activations, comparisons: Sequence[Comparison], found: Any, control: str, shown: Mapping[str, str]
) -> pd.DataFrame:
    """One row a comparison and measure."""
    rows = []
    names = ("value", "null_mean", "null_sd", "null_q95", "calibrated", "p", "low", "high", "n", "kx", "ky")
    columns = {name: found[name].values for name in names}
    conventions = [str(found.attrs["conventions"][str(measure)]) for measure in found["measure"].values]
    for row, comparison in enumerate(comparisons):
        for column, measure in enumerate(found["measure"].values):
            a, b = comparison.a, comparison.b
            rows.append(
                {
                    "model": activations.meta["model"]["name"],
                    "kind": comparison.kind,
                    **_labels(activations, a, "a"),
                    **_labels(activations, b, "b"),
                    "measure": shown.get(str(measure), str(measure)),
                    "control": control,
                    **{name: float(values[row, column]) for name, values in columns.items()},
                    "convention": conventions[column],
                }
            )
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def _labels(activations: Activations, place: Place, side: str) -> dict[str, Any]:
    bare = place.point == "length"
    return {
        f"point_{side}": place.point,
        f"stage_{side}": "" if bare else str(activations.stage(place.point, place.modality)),
        f"depth_{side}": float("nan") if bare else activations.depth(place.point, place.modality),
        f"modality_{side}": place.modality,
        f"language_{side}": place.language,
    }


def _window(options: Mapping[str, Any]) -> float | None:
    """The window that a model hears, wherever in its options (a pair's are one level down)."""
    inner = [value for value in options.values() if isinstance(value, Mapping)]
    return next((held["window_seconds"] for held in (options, *inner) if "window_seconds" in held), None)


def _who_and_how_long(activations: Activations) -> dict[str, Any]:
    readers = {
        language: sorted({str(reader) for reader in activations.column("reader", language)} - {""})
        for language in activations.languages
    }
    speech = "speech" in activations.modalities
    minutes = (
        {
            language: round(float(activations.lengths("speech", language).sum()) / 60, 2)
            for language in activations.languages
        }
        if speech
        else {}
    )
    return {"readers": readers, "minutes": minutes}
