"""Adapters: models of transformers as sides and points, by rules and measurements instead of a program for each.

:func:`load` and :func:`planned` are what ``hf:`` names and the names of the catalogue are loaded and planned with.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from babelscope.errors import BabelscopeError, DataError
from babelscope.fetch import asset_folder
from babelscope.models.adapters import speech_llm
from babelscope.models.adapters.embedding import Embedding, declared, read_embedding
from babelscope.models.adapters.loading import (
    Configuration,
    configuration_of,
    in_one_line,
    load_model,
    read_configuration,
)
from babelscope.models.adapters.merging import ADAPTER
from babelscope.models.adapters.processors import read_extractor
from babelscope.models.adapters.prompts import PLACE, given
from babelscope.models.adapters.speech import SpeechSide, speech_side
from babelscope.models.adapters.text import TextSide, text_points
from babelscope.models.adapters.tokenizing import read_tokenizer
from babelscope.models.adapters.windows import checked_window, cut_window, window_extractor, window_notes
from babelscope.models.catalogue import CATALOGUE, Declaration, declared_of_hub
from babelscope.models.options import LoadOptions
from babelscope.models.placement import DEVICE_MAP
from babelscope.models.weights.containers import Container, open_asset
from babelscope.models.weights.folder import read_config
from babelscope.models.weights.folder import read_tokenizer as read_plain_tokenizer
from babelscope.models.weights.places import Place, check_folder, expanded, locate
from babelscope.sides import Modality, Model, Side, WeightsFile
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
    opened = open_declared(declaration, options.weights)
    place, configuration = opened.place, opened.configuration
    declaration = dataclasses.replace(declaration, licence=place.licence_or(declaration.licence))
    if configuration.kind != "speech-llm" and not declaration.asset:
        check_folder(place.folder, str(options.weights))  # no adapter may be in it
    if configuration.kind == "encoder-decoder":
        from babelscope.models import seamless

        own = dataclasses.replace(options, name=_seamless(configuration))
        return dataclasses.replace(seamless.load(own), name=options.name)
    if configuration.kind == "speech-llm":
        return _measured(speech_llm.load(options, declaration, place, configuration), options)
    options.check_extra((*OPTIONS, "prompt"))
    window = checked_window(options.window_seconds, declaration.window) if declaration.window else 0.0
    loaded = load_model(configuration, place, options, opened.container)
    sides: dict[Modality, Side]
    files: tuple[WeightsFile, ...] = ()
    if configuration.kind == "speech-encoder":
        side, notes = _speech(loaded.model, configuration, place.folder, declaration.window)
        if window < declaration.window:
            cut_window(side, window)
        sides, recorded = {"speech": side}, {"window_seconds": window} if window else {}
        notes = (*notes, *window_notes(window, declaration.window))
    else:
        text, files, recorded, notes = _text(options, declaration, place, configuration, loaded.model)
        sides = {"text": text}
    model = Model(
        options.name,
        sides,
        (*loaded.files, *files),
        {**loaded.options, **recorded},
        (*declaration.notes, *opened.notes, *notes),
        declaration.licence,
    )
    # Of a declared asset it is known: its weights were verified.
    return model if declaration.asset else _measured(model, options)


@dataclass(frozen=True)
class Opened:
    """A declared model's files.

    Attributes
    ----------
    configuration : Configuration
        What they say.
    container : Container or None
        The weights, where they are in a format that a plug-in reads.
    """

    place: Place
    configuration: Configuration
    container: Container | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know of the weights."""
        return (self.container.note,) if self.container is not None and self.container.note else ()


def open_declared(declaration: Declaration, weights: str | None = None) -> Opened:
    """Return a declared model's files: of a folder or hub id, or of its asset if no weights are named.

    Raises
    ------
    DataError
        If they are missing, damaged, or another kind of model's.
    FetchError
        If they are not here and cannot be had.
    """
    if weights is None and declaration.asset:
        place, container = open_asset(declaration.asset, declaration.name)
        if container is not None:
            return Opened(place, configuration_of(container.config, place.folder, declaration.kind), container)
    else:
        place = locate(str(weights), adapters=not declaration.asset)
    _check_kind(declaration, place.folder)
    return Opened(place, read_configuration(place.folder, declaration.kind))


def _check_kind(declaration: Declaration, folder: Path) -> None:
    """Refuse a folder of another kind of model than a declared one with sizes of its own."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if declaration.config:
        read_config(CONFIG_MAPPING[declaration.config["model_type"]], folder)


def _speech(
    model: Any, configuration: Configuration, folder: Path, window: float
) -> tuple[SpeechSide, tuple[str, ...]]:
    front = "" if configuration.config.model_type == "whisper" else "front."
    extractor = window_extractor(configuration.config, window) if window else read_extractor(folder)
    return speech_side(model, configuration, extractor, front=front)


def token_counter(declaration: Declaration, weights: str | None = None) -> Callable[[str, str], int] | None:
    """Return what counts the tokens of a text, given with its language; None if its tokenizer is not here.

    Parameters
    ----------
    declaration : Declaration
    weights : str, optional
        A local folder in place of the declared asset.
    """
    if not declaration.asset or "text" not in declaration.modalities:
        return None
    try:
        file = (expanded(weights) if weights else asset_folder(declaration.asset)) / "tokenizer.json"
    except BabelscopeError:
        return None
    tokenizer = functools.cache(lambda: read_plain_tokenizer(file))  # takes much memory: only if a text is counted
    if not file.is_file():
        return None
    return lambda text, language: len(tokenizer().encode(declaration.prefix + text).ids)


def _seamless(configuration: Configuration) -> str:
    """Return the registered name of a SeamlessM4T: its class and number of layers say which release it is."""
    kind, layers = configuration.config.model_type, configuration.layer_counts
    if kind == "seamless_m4t_v2":
        return "seamless-m4t-v2-large"
    if kind == "seamless_m4t":
        return "seamless-m4t-medium" if 12 in layers else "seamless-m4t-large"
    raise DataError(
        f"weights: {configuration.folder / 'config.json'} is of model_type {kind!r}, which hears, reads and writes: of "
        f"such models SeamlessM4T alone is read; name another"
    )


def _text(
    options: LoadOptions, declaration: Declaration, place: Place, configuration: Configuration, model: Any
) -> tuple[TextSide, tuple[WeightsFile, ...], dict[str, Any], tuple[str, ...]]:
    """Return a text side, the files of its own way to one vector, what to record of it, and notes."""
    prompt = given(str(options.extra.get("prompt") or declaration.prompt or PLACE)).text
    embedding, prefix, files = _embedding(options, declaration, place.folder, place.source)
    points, notes = text_points(model, configuration.layer_counts)
    vocabulary = configuration.config.get_text_config().vocab_size
    if declaration.asset:
        tokenizer: Any = read_plain_tokenizer(place.folder / "tokenizer.json", vocabulary)
    else:
        tokenizer = read_tokenizer(place.folder, vocabulary)
    decodes = configuration.kind == "text-decoder"
    side = TextSide(model, tokenizer, points, decodes=decodes, embedding=embedding, prefix=prefix, prompt=prompt)
    recorded: dict[str, Any] = {}
    if prefix:
        recorded["prefix"] = prefix
    if prompt != PLACE:
        recorded["prompt"] = prompt
    # A declared asset's own way is no option of its stores, which are older than the option.
    if embedding is not None and not (declaration.asset and "pooled" not in options.extra):
        recorded["pooled"] = embedding.formula
    return side, files, recorded, notes


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
        With ``config.json``, and the processor's files; the declared sizes count if it is left out.

    Raises
    ------
    DataError
        If its files do not say what it is.
    """
    declaration = _declaration(name)
    with in_one_line(name), _settings(declaration, folder) as where:
        return _planned(name, where, declaration)


def build_planned(name: str, folder: str | None = None) -> Any:
    """Return the part of a model that is looked at, without weights; see :func:`planned`."""
    declaration = _declaration(name)
    with in_one_line(name), _settings(declaration, folder) as where:
        return read_configuration(where, declaration.kind).build()


def _declaration(name: str) -> Declaration:
    return CATALOGUE.get(name) or dataclasses.replace(declared_of_hub(name), name=name)


@contextmanager
def _settings(declaration: Declaration, folder: str | None) -> Iterator[Path]:
    """Give a folder with what says what a model is: as named, or with the declared sizes."""
    if folder is not None:
        if declaration.asset:
            check_folder(Path(folder), folder, weights=False)
        _check_kind(declaration, Path(folder))
        yield Path(folder)
        return
    with TemporaryDirectory() as made:
        (Path(made) / "config.json").write_text(json.dumps(dict(declaration.config)), encoding="utf-8")
        yield Path(made)


def _planned(name: str, where: Path, declaration: Declaration) -> Model:
    configuration = read_configuration(where, declaration.kind)
    if configuration.kind == "encoder-decoder":
        from babelscope.models import seamless

        return dataclasses.replace(seamless.planned(_seamless(configuration), str(where)), name=name)
    model = configuration.build()
    if configuration.kind == "speech-llm":
        return speech_llm.planned(name, where, configuration, declaration)
    if configuration.kind == "speech-encoder":
        side, notes = _speech(model, configuration, where, declaration.window)
        recorded = {"window_seconds": declaration.window} if declaration.window else {}
        return Model(name, {"speech": side}, (), recorded, notes, declaration.licence)
    points, notes = text_points(model, configuration.layer_counts)
    embedding, _, _ = _embedding(LoadOptions(name), declaration, where, name)
    text = TextSide(model, None, points, decodes=configuration.kind == "text-decoder", embedding=embedding)
    return Model(name, {"text": text}, (), {}, notes, declaration.licence)
