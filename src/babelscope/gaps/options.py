"""The options of a comparison: checked, with all that they decide, and how a result describes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.capture.store import Activations, now, versions
from babelscope.errors import UsageError, did_you_mean
from babelscope.gaps.clusters import described, repetition
from babelscope.gaps.comparisons import MATCHES, Comparison, plan
from babelscope.gaps.folder import Checkpoints
from babelscope.gaps.old_names import current_controls
from babelscope.gaps.readers import Readings
from babelscope.gaps.result import CONTROLS
from babelscope.progress import Progress
from babelscope.similarity import MEASURES, Measure, parse_measure
from babelscope.similarity.blocks import BlockExecutor
from babelscope.similarity.deviations import BLOCKS, FEWEST_CLUSTERS, HALVINGS, PARTITIONS
from babelscope.similarity.intervals import SCALES

#: Raised when the same activations and options give other numbers, so that a study compares again.
STATISTICS = 4

#: Clusters of sentences at most that intervals rest on: more sentences are taken together, in their order.
CLUSTERS = 500

CLOSED_FORM = (
    "closed form: from the score without each sentence in turn (delete-one jackknife), less what it counts twice of "
    "pairs of sentences"
)
CLOSED_FORM_BY_CLUSTER = CLOSED_FORM.replace(
    "each sentence in turn (delete-one jackknife)", "each cluster of sentences in turn (delete-one-cluster jackknife)"
)
DRAWN = (
    f"drawn: from the score without each of {BLOCKS} blocks of the sentences in turn, in {PARTITIONS} partitions, less "
    f"what {HALVINGS} halvings of the sentences show to be counted too often"
)
DRAWN_BY_CLUSTER = DRAWN.replace("blocks of the sentences", "blocks of whole clusters of sentences").replace(
    "halvings of the sentences", "halvings by whole clusters"
)
NOT_ASKED = "none: without a closed form, and not named in intervals"

#: What the null of a study is, in one line.
NULL_TEXT = (
    "unrelated sentences: the law of the score over permutations of the sentences, in closed form where there is one, "
    "else from permutations that are drawn until p is decided (column null)"
)
NULL_TEXT_BY_CLUSTER = (
    "unrelated sentences: the score over permutations that keep clusters together (whole clusters change places with "
    "clusters of the same size, and sentences within their cluster), drawn until p is decided"
)


@dataclass(frozen=True)
class Options:
    """What a comparison was asked for, as in :func:`babelscope.gaps.compare`, checked.

    `whole` is the store as it was given, `activations` the sentences of it that are compared; `documents` says which of
    them belong together; `intervals` says how each measure gets its own.
    """

    whole: Activations
    activations: Activations
    measures: list[Measure]
    controls: list[str]
    documents: NDArray[np.int64] | None
    intervals: dict[str, str]
    comparisons: list[Comparison]
    readings: list[Readings]
    permutations: int
    seed: int
    match: str
    device: str
    memory: float
    clusters: str
    baselines: bool
    progress: Progress | None
    checkpoint: Path | None
    executor: BlockExecutor | None

    @property
    def names(self) -> list[str]:
        """The measures, as written."""
        return [str(measure) for measure in self.measures]

    @property
    def closed(self) -> list[str]:
        """The measures whose intervals have a closed form."""
        return [name for name, how in self.intervals.items() if how in (CLOSED_FORM, CLOSED_FORM_BY_CLUSTER)]

    @property
    def drawn(self) -> list[str]:
        """The measures whose intervals are drawn."""
        return [name for name, how in self.intervals.items() if how in (DRAWN, DRAWN_BY_CLUSTER)]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Fields of :class:`babelscope.similarity.blocks.Settings` that all scores share."""
        return {
            "permutations": self.permutations,
            "seed": self.seed,
            "alpha": 0.05,
            "memory": self.memory / 2,
            "documents": self.documents,
        }

    @cached_property
    def units(self) -> NDArray[np.int64] | None:
        """Which sentences a jackknife in closed form leaves out together; None where none is taken."""
        units = np.arange(len(self.activations.sentences)) if self.documents is None else self.documents
        count = int(units.max()) + 1
        return units * min(count, CLUSTERS) // count if self.closed else None

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """Where finished blocks of pairs and draws are kept."""
        activations, documents = self.activations, self.documents
        return Checkpoints(
            self.checkpoint,
            {
                "activations": [activations.dataset.attrs["identity"], activations.meta["created"]],
                "skipped": [list(sentence) for sentence in activations.skipped],
                "left out": [one for one in self.whole.without_cluster if one not in set(activations.sentences)],
                "second": [[one.language, one.store.dataset.attrs["identity"]] for one in self.readings],
                "comparisons": [[each.kind, list(each.a), list(each.b)] for each in self.comparisons],
                "settings": [
                    self.names,
                    self.settings | {"documents": None if documents is None else documents.tolist()},
                    self.controls,
                    self.intervals,
                    self.device,
                    self.baselines,
                ],
                "versions": versions(),
                "statistics": STATISTICS,
            },
        )

    def progress_of(self, what: str) -> Callable[[int, int], None] | None:
        """Return what is called with how many pairs are done."""
        return None if self.progress is None else partial(self.progress, what)


def checked_measures(measures: Sequence[str | Measure] | str | Measure) -> list[Measure]:
    """Return the measures that are asked for; UsageError for one that is unknown or named twice, or none."""
    chosen = [parse_measure(item) for item in ([measures] if isinstance(measures, (str, Measure)) else measures)]
    for measure in chosen:
        if measure.name not in MEASURES:  # an object of a class that was not registered: tables name it by its name
            MEASURES.add(measure)
    names = [str(measure) for measure in chosen]
    if not names:
        raise UsageError("measures is empty: name at least one, such as linear_cka")
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise UsageError(f"measures: {twice[0]} is named twice")
    return chosen


def checked_controls(controls: Sequence[str]) -> list[str]:
    """Return the controls that are asked for, by their present names; UsageError for one that is unknown, or none."""
    controls = current_controls(controls)
    if not controls:
        raise UsageError(f"controls is empty: name at least one of {', '.join(CONTROLS)}")
    for control in controls:
        if control not in CONTROLS:
            raise UsageError(f"controls: {control!r} is unknown; {did_you_mean(control, CONTROLS)}")
    return controls


def checked_plan(
    activations: Activations, measures: Sequence[Measure], match: str, kinds: Sequence[str] | None
) -> list[Comparison]:
    """Return all comparisons (:func:`babelscope.gaps.plan`); UsageError if no measure allows any."""
    comparisons = plan(activations, match, kinds)
    if not any(one.same_space for one in comparisons) and all(measure.same_space for measure in measures):
        raise UsageError(
            f"{', '.join(map(str, measures))}: vectors of one space are compared, and no two points that are compared "
            "share one; add a measure that needs no common space, such as linear_cka"
        )
    return comparisons


def intervals_of(
    measures: Sequence[Measure],
    asked: bool | str | Measure | Sequence[str | Measure],
    documents: NDArray[np.int64] | None,
) -> dict[str, str]:
    """Return how each measure gets its intervals; UsageError for one that the study does not have."""
    if asked is False:
        return {}
    names = {str(measure): measure for measure in measures}
    asked = [asked] if isinstance(asked, (str, Measure)) else asked
    closed, drawn = (CLOSED_FORM, DRAWN) if documents is None else (CLOSED_FORM_BY_CLUSTER, DRAWN_BY_CLUSTER)
    if documents is not None and documents.max() + 1 < FEWEST_CLUSTERS:
        closed = drawn = (
            f"none: the sentences are of {documents.max() + 1} clusters, and fewer than {FEWEST_CLUSTERS} do not show "
            "how far the score would move with others"
        )
    if isinstance(asked, bool):
        wanted = {name for name, measure in names.items() if measure.has_influence or measure.drawn_by_default}
    else:
        for item in asked:
            if str(parse_measure(item)) not in names:
                raise UsageError(f"intervals: the study has no measure {item!r}; {did_you_mean(str(item), names)}")
        wanted = {str(parse_measure(item)) for item in asked}
    return {
        name: NOT_ASKED if name not in wanted else closed if measure.has_influence else drawn
        for name, measure in names.items()
    }


def _interval_text(intervals: Mapping[str, str]) -> str:
    """Return how intervals were made, in one line."""
    ways: dict[str, list[str]] = {}
    for name, how in intervals.items():
        scale = parse_measure(name).interval_scale
        symmetric = "" if scale == "score" or how.startswith("none") else f"; symmetric on {SCALES[scale]}"
        ways.setdefault(how + symmetric, []).append(name)
    return "95 %, for other sentences; " + "; ".join(f"{', '.join(names)}: {how}" for how, names in ways.items())


def meta_of(
    options: Options,
    scores: pd.DataFrame,
    *,
    baselines: list[dict[str, str]],
    regressed: Mapping[str, Mapping[str, float]],
    freedoms: Mapping[str, float],
    interval_of_means: str | None,
    kinds: list[str],
) -> dict[str, Any]:
    """Return what a result says of where it comes from: its `meta`, but for headline and caveats.

    `baselines` describe the baselines, `regressed` what was regressed out under a control; `freedoms` are the degrees
    of freedom of the intervals, `interval_of_means` is what those of the averages hold for; `kinds` are the kinds of
    comparison that were scored.
    """
    activations, documents = options.activations, options.documents
    clusters = described(options.whole, activations, options.clusters, documents)
    return {
        "study": {"created": now()},
        "model": activations.meta["model"],
        "corpus": activations.meta["corpus"] | _who_and_how_long(activations),
        "options": {
            "statistics": STATISTICS,
            "measures": options.names,
            "conventions": scores.drop_duplicates("measure").set_index("measure")["convention"].to_dict(),
            "controls": options.controls,
            "baselines": baselines,
            "regressed": regressed,
            "permutations": options.permutations,
            "null": NULL_TEXT if documents is None else NULL_TEXT_BY_CLUSTER,
            "clusters": clusters,
            "interval": _interval_text(options.intervals) if scores["low"].notna().any() else None,
            "intervals": options.intervals,
            "freedom": freedoms,
            "interval_of_means": interval_of_means,
            "seed": options.seed,
            "match": options.match,
            "match_text": MATCHES[options.match],
            "kinds": kinds,
            "pooling": activations.meta["pooling"],
            "window_seconds": _window(activations.meta["model"]["options"]),
            **({"repetition": repetition(activations)} if clusters is None else {}),
            "ceilings": {one.language: len(one.rows) for one in options.readings},
        },
        "versions": versions(),
        "activations": {"created": activations.meta["created"], "versions": activations.meta["versions"]},
    }


def _window(options: Mapping[str, Any]) -> float | None:
    """The window that a model hears, wherever in its options (a pair's are one level down)."""
    inner = [value for value in options.values() if isinstance(value, Mapping)]
    return next((each["window_seconds"] for each in (options, *inner) if "window_seconds" in each), None)


def _who_and_how_long(activations: Activations) -> dict[str, Any]:
    readers = {
        language: sorted({str(reader) for reader in activations.column("reader", language)} - {""})
        for language in activations.languages
    }
    minutes = {
        language: round(float(activations.lengths("speech", language).sum()) / 60, 2)
        for language in (activations.languages if "speech" in activations.modalities else ())
    }
    return {"readers": readers, "minutes": minutes}
