"""The scores of a study: computed, or kept from an earlier run where nothing changed that decides them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from babelscope.capture.store import Activations
from babelscope.errors import DataError
from babelscope.gaps.baselines.sides import BASELINES
from babelscope.gaps.folder import CHECKPOINTS
from babelscope.gaps.options import STATISTICS
from babelscope.gaps.result import Result
from babelscope.gaps.scoring import compare
from babelscope.progress import Progress
from babelscope.similarity import parse_measure
from babelscope.similarity.blocks import BlockExecutor
from babelscope.study.preflight import check_measures
from babelscope.study.settings import Study


def scores_of(
    study: Study,
    activations: Activations,
    progress: Progress,
    second: Mapping[str, Activations] | None = None,
    executor: BlockExecutor | None = None,
) -> Result:
    """Return the scores of a study's activations: those in its output folder, if they were computed from the same."""
    identity = _identity(study, activations, second or {})
    if (study.output / "result.json").is_file():
        with contextlib.suppress(DataError):  # a damaged one is computed again
            kept = Result.load(study.output)
            if kept.meta.get("identity") == identity:
                return kept
            if kept.meta.get("options", {}).get("statistics") != STATISTICS:
                progress("comparing again: an earlier version made nulls or intervals in another way", 0, 0)
    # Once more: some sentences may have been skipped.
    check_measures(study.measures, len(activations.sentences), activations.name)
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
        progress=lambda what, done, total: progress(f"comparing ({what})", done, total),
        checkpoint=study.output / CHECKPOINTS,
        executor=executor,
    )
    result.meta["identity"] = identity
    return result


def _identity(study: Study, activations: Activations, second: Mapping[str, Activations]) -> str:
    """Return a digest of everything that decides the scores."""
    decided: dict[str, Any] = {
        "activations": activations.dataset.attrs["identity"],
        "measures": [str(parse_measure(measure)) for measure in study.measures],
        "controls": study.controls,
        "kinds": study.kinds,
        "permutations": study.permutations,
        "seed": study.seed,
        "match": study.match,
        "intervals": study.intervals,
        "statistics": STATISTICS,
        "versions": activations.meta["versions"],
    }
    clusters = activations.clusters
    if clusters is not None or study.clusters == "texts":
        decided["clusters"] = [study.clusters, None if clusters is None else clusters.tolist()]
        if activations.without_cluster:
            decided["without cluster"] = list(activations.without_cluster)
    if activations.skipped:
        decided["skipped"] = [list(sentence) for sentence in activations.skipped]
    if second:
        decided["second recordings"] = {language: own.dataset.attrs["identity"] for language, own in second.items()}
    if study.baselines:
        decided["beside"] = [table.label for table in study.baselines]
    if study.compute_baselines:
        decided["baselines"] = list(BASELINES)
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
