"""Other models on the same sentences: each encoded and compared as the study's own, in a folder of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from babelscope import models
from babelscope.capture.reuse import SharedSide
from babelscope.capture.store import Activations
from babelscope.gaps.baselines.against import against_model, marked
from babelscope.gaps.baselines.models import KINDS_BESIDE, beside, told_beside, with_beside
from babelscope.gaps.baselines.sides import BASELINES
from babelscope.gaps.folder import save, tidy
from babelscope.gaps.headline import headline
from babelscope.gaps.result import Result
from babelscope.models.base import Model
from babelscope.study.encoding import StudyEncoder
from babelscope.study.model import build_model_on, without_front_end
from babelscope.study.scores import scores_of
from babelscope.study.settings import ModelTable, Study


def add_baselines(
    result: Result,
    study: Study,
    encoder: StudyEncoder,
    model: Model,
    variants: Sequence[Model | None],
    activations: Activations,
) -> None:
    """Run the baselines of a study on the same sentences, and add their tables and one line on each to its result.

    They are looked at from their length adaptation on, if they have one: what lies before is the model's own. Each has
    a folder of its own below ``beside``, so that a stopped run resumes there too. `variants` has for each baseline the
    study's model under other options; None if it has to be loaded.
    """
    engine, tell = encoder.engine, encoder.progress
    results: dict[str, Result] = {}
    described: list[dict[str, Any]] = []
    computed = result.tables.get("against_baselines")
    comparisons = [computed[computed["baseline"].isin(BASELINES)]] if computed is not None else []
    for table, variant in zip(study.baselines, variants, strict=True):
        label, own = table.label, _study_of(study, table)
        tell(f"loading {label}", 0, 0)
        loaded = variant.select_points(own.points) if variant is not None else build_model_on(engine, own)
        baseline = without_front_end(loaded)
        earlier = SharedSide(model, activations) if variant is not None else None
        theirs = encoder.encode(baseline, own, label=label, earlier=earlier)
        tidy(own.output)
        results[label] = scores_of(own, theirs, tell, executor=engine.executor)
        save(results[label], own.output, own.activations)
        if study.compute_baselines:
            tell(f"comparing with {label}", 0, 0)
            comparisons += against_model(
                activations,
                theirs,
                label,
                study.measures,
                match=study.match,
                kinds=own.kinds,
                executor=engine.executor,
            )
        named = {"label": label, "name": models.readable(table.name)}
        described.append(named | {"options": dict(baseline.options), "notes": list(baseline.notes)})
    result.tables.update(beside(results))
    if not described:
        return
    result.meta["beside"] = described
    if len(against := marked(comparisons)):
        result.tables["against_baselines"] = against
        sentences = headline(result.curves, result.scores, result.meta, result.tables)
        result.meta["headline"] = [str(sentence) for sentence in sentences]
        result.meta["headline_parts"] = [sentence.parts() for sentence in sentences]
    result.meta.update(with_beside(result.meta, told_beside(result)))


def _study_of(study: Study, table: ModelTable) -> Study:
    """Return the study of one baseline: scores without controls, in a folder of its own."""
    short = re.sub(r"[^a-z0-9]+", "-", table.label.lower()).strip("-")
    return study.model_copy(
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
