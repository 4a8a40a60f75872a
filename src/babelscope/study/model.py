"""The model of a study: loaded with the options of its table, in this process or where an engine runs it."""

from __future__ import annotations

import dataclasses
from functools import partial

from babelscope import models
from babelscope.corpora import Corpus
from babelscope.engines import Engine
from babelscope.errors import UsageError
from babelscope.models.base import Model, Stage
from babelscope.study.settings import ModelTable, Study


def build_model(study: Study) -> Model:
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


def build_model_on(engine: Engine, study: Study) -> Model:
    """Load the study's model wherever an engine runs it, with the study's points.

    Raises
    ------
    BabelscopeError
        Whatever is wrong with it.
    """
    if not engine.has_weights and "device_map" in study.model.options:
        raise UsageError("model.options.device_map: a replica has one device; leave it out, or choose engine = 'local'")
    return engine.load_model(partial(build_model, study), study.model.device)


def with_training_note(model: Model, study: Study, corpus: Corpus) -> Model:
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


def variant_of(model: Model, own: ModelTable, other: ModelTable) -> Model | None:
    """Return the model under another's options, if the other differs in nothing else and the family can."""
    alike = own.model_copy(update={"options": other.options} | other.encode_options())
    return models.variant(model, other.options) if alike == other and len(model.sides) == 2 else None


def without_front_end(model: Model) -> Model:
    """Return the model without its speech points before length adaptation, if it shares points behind that."""
    if not model.shared_points:
        return model
    late = {Stage.LENGTH_ADAPTATION, Stage.SHARED, Stage.POOLED}
    points = [(modality, point) for modality, side in model.sides.items() for point in side.points]
    return model.select_points([point.name for modality, point in points if modality == "text" or point.stage in late])
