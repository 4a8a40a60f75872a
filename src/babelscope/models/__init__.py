"""Models: each a text side, a speech side or both, with named points to look at.

>>> from babelscope import models
>>> model = models.load("whisper-base+e5-small")  # doctest: +SKIP

A name is a registered one, one of the catalogue (``bge-m3``), or ``hf:owner/name`` for any model of the hub and
``hf:./folder`` for one that is here; a name with ``+`` pairs the speech side of the first model with the text side of
the second. See :mod:`babelscope.models.naming`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from babelscope.errors import UsageError, did_you_mean
from babelscope.lazy_imports import lazy_names, load_entries
from babelscope.models import naming
from babelscope.models.catalogue import CATALOGUE, Declaration
from babelscope.models.options import LoadOptions
from babelscope.models.weights.places import HUB, local_path
from babelscope.scratch import sweep

if TYPE_CHECKING:
    from babelscope.sides import Batch, Modality, Model, Point, Prepared, Side, Stage, WeightsFile

__all__ = [
    "Batch",
    "Declaration",
    "LoadOptions",
    "Modality",
    "Model",
    "ModelInfo",
    "Point",
    "Prepared",
    "Side",
    "Stage",
    "WeightsFile",
    "held_out",
    "info",
    "known",
    "load",
    "variant",
]

#: Entry-point group through which other packages offer models; each entry is a :class:`ModelInfo`.
ENTRY_POINTS = "babelscope.models"


#: Imported when they are first used: names and what is known of them need no torch.
__getattr__, __dir__ = lazy_names(
    __name__,
    {"babelscope.sides": ("Batch", "Modality", "Model", "Point", "Prepared", "Side", "Stage", "WeightsFile")},
)


@dataclass(frozen=True)
class ModelInfo:
    """A model that can be loaded by name.

    Attributes
    ----------
    summary : str
        One line.
    modalities : tuple of str
        Empty if only the model's configuration says, and it was not read.
    loader : str
        ``module:function``, imported when needed; the function takes a :class:`LoadOptions` and returns a
        :class:`Model`.
    assets : tuple of str
        What ``babelscope fetch`` must have brought, unless the user names weights.
    licence : str
    planner : str
        ``module:function`` that makes the model without weights, for its points and size; empty if there is none. The
        function takes the name and a folder or None; see :func:`babelscope.models.planning.plan`.
    held_out : str
        ``module:function`` that returns the sentences of a corpus, given by name, that nothing in the model was trained
        on; empty if that is not known.
    variant : str
        ``module:function`` that returns a loaded model under other options without loading it again; empty if the
        family has none.
    takes_window : bool
        Whether it hears a window of a length that can be chosen.
    path_options : tuple of str
        Its own options that name files or folders, one or a mapping to several: a study file may give them relative to
        itself.
    counter : str
        ``module:function`` that returns, for weights as :func:`load` takes them, what counts the tokens of a text
        (given with its language), or None if the tokenizer is not here; empty if there is none.
    declaration : Declaration or None
        Of a model of the catalogue, of the hub or in a folder; None for one with a loader of its own.
    """

    summary: str
    modalities: tuple[Modality, ...]
    loader: str
    assets: tuple[str, ...]
    licence: str
    planner: str = ""
    held_out: str = ""
    variant: str = ""
    takes_window: bool = False
    path_options: tuple[str, ...] = ()
    counter: str = ""
    declaration: Declaration | None = None


def _seamless(version: str, layers: int) -> ModelInfo:
    return ModelInfo(
        f"SeamlessM4T {version}: {layers} layers each for text and speech, and a shared decoder",
        ("text", "speech"),
        "babelscope.models.seamless:load",
        (),
        "CC-BY-NC 4.0",
        "babelscope.models.seamless:planned",
    )


def _sonar(summary: str, modalities: tuple[Modality, ...], licence: str, *paths: str) -> ModelInfo:
    loader, planner = "babelscope.models.sonar:load", "babelscope.models.sonar:planned"
    return ModelInfo(summary, modalities, loader, (), licence, planner, path_options=paths)


_BUILT_IN: dict[str, ModelInfo] = {
    "seamless-m4t-v2-large": _seamless("v2 large", 24),
    "seamless-m4t-large": _seamless("v1 large", 24),
    "seamless-m4t-medium": _seamless("v1 medium", 12),
    "sonar": _sonar(
        "SONAR: text and speech into one space of sentence embeddings; a speech encoder a language",
        ("text", "speech"),
        "CC-BY-NC 4.0 (text), MIT or CC-BY-NC 4.0 (speech, by language)",
        "tokenizer",
        "speech_weights",
    ),
    "sonar-text": _sonar(
        "SONAR's text encoder: 24 layers, 1024 wide, 200 languages", ("text",), "CC-BY-NC 4.0", "tokenizer"
    ),
    "sonar-speech": _sonar(
        "SONAR's speech encoders: 24 layers, 1024 wide, one for each of 58 languages",
        ("speech",),
        "MIT or CC-BY-NC 4.0 (by language)",
        "speech_weights",
    ),
}

#: Pairs worth a line of their own in listings; any other speech and text models pair the same way.
PAIRS: tuple[str, ...] = ("whisper-base+e5-small",)


def known() -> dict[str, ModelInfo]:
    """Return every model that can be loaded by name: from the entry points of installed packages, and built in."""
    return _installed() | _BUILT_IN


@functools.cache
def _installed() -> dict[str, ModelInfo]:
    """Return what installed packages offer; looked for once a process, for that reads a file of every package."""
    return dict(load_entries(ENTRY_POINTS, "model", skip=_BUILT_IN))


def parts(name: str) -> tuple[str, ...]:
    """Return the names that `name` is made of: one, or the speech and the text model of a pair.

    Raises
    ------
    UsageError
        If one is unknown, or a pair's sides do not fit, as far as that is known without their configurations.
    """
    names = naming.split(name, known())
    if len(names) > 2 or (len(names) == 2 and "" in names):
        raise UsageError(f"model {name!r}: a pair is one speech model + one text model, such as {PAIRS[0]!r}")
    infos = [info(single) for single in names]
    if len(names) == 2:
        for single, described, modality in zip(names, infos, ("speech", "text"), strict=True):
            if described.modalities and modality not in described.modalities:
                raise UsageError(_misfit(name, single, modality))
    return names


def _misfit(name: str, single: str, modality: str) -> str:
    return (
        f"model {name!r}: {single!r} has no {modality} side, and a pair is written speech+text, such as {PAIRS[0]!r}: "
        f"name a {modality} model there"
    )


def info(single: str) -> ModelInfo:
    """Return what is known of a model before it is loaded, for a name that is no pair.

    No file is read and no network is used: what a hub id or a folder hears or reads is not known yet, unless the
    catalogue says it (see :func:`babelscope.models.planning.plan`).

    Raises
    ------
    UsageError
        If the name is unknown.
    """
    available = known()
    if single in available:
        return available[single]
    declaration = naming.declared(single)
    if declaration is None:
        raise UsageError(f"model {single!r} is unknown; {_meant(single, available)}")
    return ModelInfo(
        declaration.summary or f"{declaration.name}, from its own configuration",
        declaration.modalities,
        "babelscope.models.adapters:load",
        (declaration.asset,) if declaration.asset else (),
        declaration.licence,
        "babelscope.models.adapters:planned",
        takes_window=bool(declaration.window),
        path_options=("adapter",),
        declaration=declaration,
    )


def _meant(single: str, available: Iterable[str]) -> str:
    """Return how an unknown model may have been meant: as a path, as a hub id, or as a name like it."""
    if naming.is_path(single) or (local_path(single) is not None and "/" in single):
        return f"a folder is named {HUB}{single if naming.is_path(single) else f'./{single}'}"
    if "/" in single:
        return f"a model of the hub is named {HUB}{single}"
    hint = did_you_mean(single, [*available, *CATALOGUE, *PAIRS])
    if not hint.startswith("did you mean"):
        hint = "babelscope models lists the names"
    return f"{hint} ({naming.ANY_MODEL})"


def readable(name: str) -> str:
    """Return a name as results bear it: of a hub id ``owner/name``, of a folder its own name, of a pair both."""
    return "+".join(
        declaration.name if (declaration := info(single).declaration) else single
        for single in naming.split(name, known())
    )


def beside(name: str, folder: Path) -> str:
    """Return a name with the relative folders in it (``hf:./x``) taken as relative to `folder`."""
    return "+".join(naming.beside(single, folder) for single in naming.split(name, known()))


def check_window(name: str, window_seconds: float | None) -> None:
    """Refuse a window for a model that takes none.

    Raises
    ------
    UsageError
        If no part of the model takes a window; it names the models that do.
    """
    if window_seconds is not None and not takes_window(name):
        takers = ", ".join(single for single in dict.fromkeys([*known(), *CATALOGUE]) if info(single).takes_window)
        raise UsageError(f"window_seconds: {name} takes no window ({takers} does): leave it out")


def takes_window(name: str) -> bool:
    """Whether a model, or a part of a pair, hears a window of a length that can be chosen."""
    return any(info(single).takes_window for single in parts(name))


def says_held_out(name: str) -> bool:
    """Whether a model, or a part of a pair, says which sentences it was not trained on."""
    return any(info(single).held_out for single in parts(name))


def has_planner(name: str) -> bool:
    """Whether a model, and each part of a pair, can be made without its weights."""
    return all(info(single).planner for single in parts(name))


def path_options(name: str) -> tuple[str, ...]:
    """Return the options of a model, or of a pair's parts, that name files or folders."""
    return tuple(dict.fromkeys(option for single in parts(name) for option in info(single).path_options))


def assets_of(name: str, weights: str | Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the assets that a model needs, apart from those of parts for which weights are named."""
    given = weights_by_part(name, weights)
    return tuple(dict.fromkeys(asset for single in parts(name) if single not in given for asset in info(single).assets))


def resolve(reference: str) -> Callable[..., Any]:
    """Return the function that ``module:function`` names."""
    module, _, function = reference.partition(":")
    return cast("Callable[..., Any]", getattr(importlib.import_module(module), function))


def held_out(name: str, corpus: str) -> tuple[str, ...]:
    """Return the sentences of a corpus that a model was not trained on.

    Parameters
    ----------
    name : str
        Of a pair, the part that says counts.
    corpus : str
        A corpus's name.

    Raises
    ------
    UsageError
        If the model does not say, or has none of that corpus.
    """
    sources = [source for single in parts(name) if (source := info(single).held_out)]
    if not sources:
        raise UsageError(f"model {name!r} does not say which sentences were held out of its training: leave it out")
    return cast(tuple[str, ...], resolve(sources[0])(corpus))


def variant(model: Model, options: Mapping[str, Any]) -> Model | None:
    """Return a loaded model under other options, with all that does not change by them; None if its family cannot.

    Raises
    ------
    UsageError, DataError
        As :func:`load`.
    """
    described = known().get(model.name)
    if described is None or not described.variant:
        return None
    return cast("Model", resolve(described.variant)(model, options))


def load(
    name: str,
    *,
    weights: str | Mapping[str, str] | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    window_seconds: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> Model:
    """Load a model by name.

    Parameters
    ----------
    name : str
        A registered name, one of the catalogue, ``hf:owner/name``, ``hf:owner/name@revision`` or ``hf:./folder``; or
        ``speech+text`` for a pair of two.
    weights : str or mapping, optional
        A local folder or hub id instead of the model's own; for a pair a mapping from the part's name. None for
        ``hf:``, which names its weights itself.
    device : str
        ``cpu`` or ``cuda``.
    dtype : {"float32", "bfloat16", "float16"}
    window_seconds : float, optional
        For models with a fixed window (Whisper); of a pair, the part that has one gets it.
    options : mapping, optional
        Choices that only this family knows; for a pair none.

    Returns
    -------
    Model

    Raises
    ------
    UsageError
        If the name, device, dtype or window is wrong.
    FetchError
        If the weights are not here yet.
    DataError
        If weights are damaged.
    """
    sweep()
    names = parts(name)
    check_window(name, window_seconds)
    chosen = weights_by_part(name, weights)
    loaded: list[Model] = []
    for single in names:
        described = info(single)
        declaration = described.declaration
        choices = LoadOptions(
            declaration.name if declaration else single,
            chosen.get(single) or (naming.location(declaration) if declaration else None),
            device,
            dtype,
            window_seconds if described.takes_window else None,
            dict(options or {}),
            declaration,
        )
        loaded.append(resolve(described.loader)(choices))
    return loaded[0] if len(loaded) == 1 else pair(name, *loaded)


def weights_by_part(name: str, weights: str | Mapping[str, str] | None) -> dict[str, str]:
    """Return which weights each part of a model is given; parts that use the fetched asset are not among them.

    Raises
    ------
    UsageError
        If a pair's part is not named, there is no such part, or one names its weights itself.
    """
    names = parts(name)
    if isinstance(weights, str):
        if len(names) > 1:
            raise UsageError(f"weights: {name!r} has two parts; say which, as in {{{names[0]!r}: {weights!r}}}")
        weights = {names[0]: weights}
    for single, source in (weights or {}).items():
        if single not in names:
            raise UsageError(f"weights: model {name!r} has no part {single!r}; {did_you_mean(single, names)}")
        if single.startswith(HUB):
            raise UsageError(f"weights: {single!r} names its weights itself: leave weights out")
        if not source.strip():
            raise UsageError(f"weights: those of {single} have an empty name: name a folder or hub id, or leave it out")
    return dict(weights or {})


def pair(name: str, speech: Model, text: Model) -> Model:
    """Return a model with the speech side of one and the text side of another.

    Raises
    ------
    UsageError
        If the first has no speech side, or the second no text side.
    """
    from babelscope.sides import Model

    for single, model, modality in zip(naming.split(name, known()), (speech, text), ("speech", "text"), strict=True):
        if modality not in model.sides:
            raise UsageError(_misfit(name, single, modality))
    return Model(
        name=readable(name),
        sides={"text": text.sides["text"], "speech": speech.sides["speech"]},
        weights=(*speech.weights, *text.weights),
        options={"speech": dict(speech.options), "text": dict(text.options)},
        notes=(
            *speech.notes,
            *text.notes,
            f"Speech is seen by {speech.name} and text by {text.name}: two models that were never trained together, "
            f"so nothing makes them agree "
            "but what both learned of language.",
        ),
        licence=" and ".join(dict.fromkeys([speech.licence, text.licence])),
    )
