"""Adapters: models of transformers as sides and points, by rules and measurements instead of a program for each.

:func:`load` and :func:`planned` are what ``hf:`` names and the names of the catalogue are loaded and planned with.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from babelscope.errors import DataError
from babelscope.models.adapters import speech_llm
from babelscope.models.adapters.embedding import Embedding, declared, read_embedding
from babelscope.models.adapters.loading import Configuration, in_one_line, load_model, read_configuration
from babelscope.models.adapters.merging import ADAPTER
from babelscope.models.adapters.speech import read_extractor, speech_side
from babelscope.models.adapters.text import PLACE, TextSide, check_prompt, text_points
from babelscope.models.adapters.tokenizing import read_tokenizer
from babelscope.models.catalogue import Declaration
from babelscope.models.options import LoadOptions
from babelscope.models.placement import DEVICE_MAP
from babelscope.models.weights.places import check_folder, locate
from babelscope.sides import Model, WeightsFile
from babelscope.verification import apply, probe

#: Options of every model here.
OPTIONS = ("pooled", "batch", ADAPTER, DEVICE_MAP)


def load(options: LoadOptions) -> Model:
    """Load a model by what its files say of it.

    Parameters
    ----------
    options : LoadOptions
        ``weights`` names a folder or a hub id. ``extra`` may hold ``prompt`` (a text with ``{}`` where a sentence
        stands), ``pooled`` (how an embedder makes one vector: "mean", "cls", "last", "max"), ``batch`` ("auto", or
        "alone" for one utterance at a time) and ``device_map``.

    Returns
    -------
    Model

    Raises
    ------
    DataError
        If the model cannot be read, or no point of it holds.
    UsageError
        If an option is wrong.
    FetchError
        If it is a hub id whose files cannot be had.
    """
    with in_one_line(options.name):
        return _load(options)


def _load(options: LoadOptions) -> Model:
    declaration = options.declaration or Declaration(options.name, str(options.weights))
    place = locate(str(options.weights), adapters=True)
    declaration = dataclasses.replace(declaration, licence=place.licence_or(declaration.licence))
    configuration = read_configuration(place.folder, declaration.kind)
    if configuration.kind != "speech-llm":  # which says what it does with an adapter that lies beside it
        check_folder(place.folder, str(options.weights))
    if configuration.kind == "encoder-decoder":
        from babelscope.models import seamless

        own = dataclasses.replace(options, name=_seamless(configuration))
        return dataclasses.replace(seamless.load(own), name=options.name)
    if configuration.kind == "speech-llm":
        return speech_llm.load(dataclasses.replace(options, declaration=declaration), place, configuration)
    options.check_extra((*OPTIONS, "prompt"))
    loaded = load_model(configuration, place, options)
    if configuration.kind == "speech-encoder":
        side, notes = speech_side(
            loaded.model, configuration, read_extractor(place.folder), front=_front(configuration)
        )
        model = Model(
            options.name,
            {"speech": side},
            loaded.files,
            loaded.options,
            (*declaration.notes, *notes),
            declaration.licence,
        )
    else:
        model = _text(options, declaration, place.folder, place.source, configuration, loaded.model)
        model = dataclasses.replace(
            model, weights=(*loaded.files, *model.weights), options={**loaded.options, **model.options}
        )
    return _measured(model, options)


def _seamless(configuration: Configuration) -> str:
    """Return the registered name of a SeamlessM4T: its class and number of layers say which release it is.

    Raises
    ------
    DataError
        If it is another model that reads, hears and writes.
    """
    kind, layers = configuration.config.model_type, configuration.layer_counts
    if kind == "seamless_m4t_v2":
        return "seamless-m4t-v2-large"
    if kind == "seamless_m4t":
        return "seamless-m4t-medium" if 12 in layers else "seamless-m4t-large"
    raise DataError(
        f"weights: {configuration.folder / 'config.json'} is of model_type {kind!r}, which hears, reads and writes: of "
        f"such models SeamlessM4T alone is read; name another"
    )


def _front(configuration: Configuration) -> str:
    return "" if configuration.config.model_type == "whisper" else "front."


def _text(
    options: LoadOptions, declaration: Declaration, folder: Path, source: str, configuration: Configuration, model: Any
) -> Model:
    """Return a text encoder or decoder, with the files of its own way to one vector."""
    decodes = configuration.kind == "text-decoder"
    prompt = check_prompt(str(options.extra.get("prompt") or declaration.prompt or PLACE))
    embedding, prefix, files = _embedding(options, declaration, folder, source)
    points, notes = text_points(model, configuration.layer_counts)
    tokenizer = read_tokenizer(folder, configuration.config.get_text_config().vocab_size)
    side = TextSide(model, tokenizer, points, decodes=decodes, embedding=embedding, prefix=prefix, prompt=prompt)
    recorded: dict[str, Any] = {}
    if prefix:
        recorded["prefix"] = prefix
    if prompt != PLACE:
        recorded["prompt"] = prompt
    if embedding is not None:
        recorded["pooled"] = embedding.formula
    return Model(options.name, {"text": side}, files, recorded, (*declaration.notes, *notes), declaration.licence)


def _embedding(
    options: LoadOptions, declaration: Declaration, folder: Path, source: str
) -> tuple[Embedding | None, str, tuple[WeightsFile, ...]]:
    """Return how one vector is made: as the user says, as the folder says, as it is declared; None if nobody says."""
    chosen = options.extra.get("pooled")
    if chosen is not None:
        return declared(str(chosen)), declaration.prefix, ()
    read = read_embedding(folder, source)
    if read is not None:
        embedding, prefix, files = read
        return embedding, declaration.prefix or prefix, files
    return (declared(declaration.pooled) if declaration.pooled else None), declaration.prefix, ()


def _measured(model: Model, options: LoadOptions) -> Model:
    """Return a model whose sides were measured once for these weights: what does not hold is left out, and said."""
    notes = list(model.notes)
    for side in model.sides.values():
        outcome = probe(side, model.weights, options=model.options)
        apply(outcome, side)
        notes += outcome.notes
        if options.extra.get("batch") == "alone":
            side.exact_in_batches = False
    return dataclasses.replace(model, notes=tuple(dict.fromkeys(notes)))


def planned(name: str, folder: str | None = None) -> Model:
    """Return a model without weights: its points and parameters, but nothing to run.

    Parameters
    ----------
    name : str
    folder : str, optional
        With ``config.json``, and the processor's files.

    Raises
    ------
    DataError
        If its files do not say what it is.
    """
    from babelscope.models.catalogue import CATALOGUE

    declaration = next(
        (each for each in CATALOGUE.values() if name in (each.name, each.source)), Declaration(name, name)
    )
    with in_one_line(name):
        return _planned(name, Path(str(folder)), declaration)


def _planned(name: str, where: Path, declaration: Declaration) -> Model:
    configuration = read_configuration(where, declaration.kind)
    if configuration.kind == "encoder-decoder":
        from babelscope.models import seamless

        return dataclasses.replace(seamless.planned(_seamless(configuration), str(where)), name=name)
    model = configuration.build()
    if configuration.kind == "speech-llm":
        return speech_llm.planned(name, where, configuration, declaration)
    if configuration.kind == "speech-encoder":
        side, notes = speech_side(model, configuration, read_extractor(where), front=_front(configuration))
        return Model(name, {"speech": side}, (), {}, notes, declaration.licence)
    points, notes = text_points(model, configuration.layer_counts)
    embedding, _, _ = _embedding(LoadOptions(name), declaration, where, name)
    text = TextSide(model, None, points, decodes=configuration.kind == "text-decoder", embedding=embedding)
    return Model(name, {"text": text}, (), {}, notes, declaration.licence)
