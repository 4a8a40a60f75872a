"""Models: each a text side, a speech side or both, with named points to look at.

>>> from babelscope import models
>>> model = models.load("whisper-base+e5-small")  # doctest: +SKIP

A name with ``+`` pairs the speech side of the first model with the text side of the second.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, cast

from babelscope.errors import UsageError, did_you_mean
from babelscope.models.base import Batch, Modality, Model, Point, Prepared, Side, Stage, WeightsFile
from babelscope.models.options import LoadOptions

__all__ = [
    "Batch",
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
    "known",
    "load",
    "variant",
]

#: Entry-point group through which other packages offer models; each entry is a :class:`ModelInfo`.
ENTRY_POINTS = "babelscope.models"


@dataclass(frozen=True)
class ModelInfo:
    """A model that can be loaded by name.

    Attributes
    ----------
    summary : str
        One line.
    modalities : tuple of str
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


_BUILT_IN: dict[str, ModelInfo] = {
    "pocket": ModelInfo(
        "Whisper-base, a length adapter that comes along, and the layers of multilingual-e5-small, which text shares",
        ("text", "speech"),
        "babelscope.models.pocket:load",
        ("whisper-base", "e5-small"),
        "MIT (Whisper, E5), Apache-2.0 (adapter)",
        "babelscope.models.pocket:planned",
        held_out="babelscope.models.pocket:held_out",
        variant="babelscope.models.pocket:variant",
        counter="babelscope.models.pocket:counter",
    ),
    "whisper-base": ModelInfo(
        "Whisper-base encoder: 6 layers, 512 wide, about 100 languages",
        ("speech",),
        "babelscope.models.whisper:load",
        ("whisper-base",),
        "MIT",
        "babelscope.models.whisper:planned",
        takes_window=True,
    ),
    "e5-small": ModelInfo(
        "multilingual-e5-small: 12 layers, 384 wide, about 100 languages",
        ("text",),
        "babelscope.models.e5:load",
        ("e5-small",),
        "MIT",
        "babelscope.models.e5:planned",
        counter="babelscope.models.e5:counter",
    ),
    "seamless-m4t-v2-large": ModelInfo(
        "SeamlessM4T v2 large: 24 layers each for text and speech, and a shared decoder",
        ("text", "speech"),
        "babelscope.models.seamless:load",
        (),
        "CC-BY-NC 4.0",
        "babelscope.models.seamless:planned",
    ),
    "seamless-m4t-large": ModelInfo(
        "SeamlessM4T v1 large: 24 layers each for text and speech, and a shared decoder",
        ("text", "speech"),
        "babelscope.models.seamless:load",
        (),
        "CC-BY-NC 4.0",
        "babelscope.models.seamless:planned",
    ),
    "seamless-m4t-medium": ModelInfo(
        "SeamlessM4T v1 medium: 12 layers each for text and speech, and a shared decoder",
        ("text", "speech"),
        "babelscope.models.seamless:load",
        (),
        "CC-BY-NC 4.0",
        "babelscope.models.seamless:planned",
    ),
    "salmonn-7b": ModelInfo(
        "SALMONN 7B: Whisper and BEATs into Vicuna, which reads text: 32 shared layers, 4096 wide",
        ("text", "speech"),
        "babelscope.models.salmonn:load",
        (),
        "Apache-2.0, MIT, Llama 2 Community License",
        "babelscope.models.salmonn:planned",
        path_options=("whisper", "beats", "vicuna"),
    ),
    "salmonn-13b": ModelInfo(
        "SALMONN 13B: Whisper and BEATs into Vicuna, which reads text: 40 shared layers, 5120 wide",
        ("text", "speech"),
        "babelscope.models.salmonn:load",
        (),
        "Apache-2.0, MIT, LLaMA's licence (not for commercial use)",
        "babelscope.models.salmonn:planned",
        path_options=("whisper", "beats", "vicuna"),
    ),
    "sonar": ModelInfo(
        "SONAR: text and speech into one space of sentence embeddings; a speech encoder a language",
        ("text", "speech"),
        "babelscope.models.sonar:load",
        (),
        "CC-BY-NC 4.0 (text), MIT or CC-BY-NC 4.0 (speech, by language)",
        "babelscope.models.sonar:planned",
        path_options=("tokenizer", "speech_weights"),
    ),
    "sonar-text": ModelInfo(
        "SONAR's text encoder: 24 layers, 1024 wide, 200 languages",
        ("text",),
        "babelscope.models.sonar:load_text",
        (),
        "CC-BY-NC 4.0",
        "babelscope.models.sonar:planned",
        path_options=("tokenizer",),
    ),
    "sonar-speech": ModelInfo(
        "SONAR's speech encoders: 24 layers, 1024 wide, one for each of 58 languages",
        ("speech",),
        "babelscope.models.sonar:load_speech",
        (),
        "MIT or CC-BY-NC 4.0 (by language)",
        "babelscope.models.sonar:planned",
        path_options=("speech_weights",),
    ),
}

#: Pairs worth a line of their own in listings; any other speech and text models pair the same way.
PAIRS: tuple[str, ...] = ("whisper-base+e5-small",)


def known() -> dict[str, ModelInfo]:
    """Return every model that can be loaded by name: built in, and from the entry points of installed packages."""
    return _BUILT_IN | _installed()


@functools.cache
def _installed() -> dict[str, ModelInfo]:
    """Return what installed packages offer; looked for once a process, for that reads a file of every package."""
    return {
        entry.name: cast(ModelInfo, entry.load())
        for entry in entry_points(group=ENTRY_POINTS)
        if entry.name not in _BUILT_IN
    }


def parts(name: str) -> tuple[str, ...]:
    """Return the registered names that `name` is made of.

    Raises
    ------
    UsageError
        If one is unknown, or a pair's sides do not fit.
    """
    names = tuple(part.strip() for part in name.split("+"))
    available = known()
    for part in names:
        if part not in available:
            raise UsageError(f"model {part!r} is unknown; {did_you_mean(part, [*available, *PAIRS])}")
    if len(names) > 2:
        raise UsageError(f"model {name!r}: a pair is one speech model + one text model")
    if len(names) == 2 and (
        "speech" not in available[names[0]].modalities or "text" not in available[names[1]].modalities
    ):
        raise UsageError(f"model {name!r}: a pair is written speech+text, such as {PAIRS[0]!r}")
    return names


def check_window(name: str, window_seconds: float | None) -> None:
    """Refuse a window for a model that takes none.

    Raises
    ------
    UsageError
        If no part of the model takes a window; it names the models that do.
    """
    if window_seconds is not None and not any(known()[part].takes_window for part in parts(name)):
        takers = ", ".join(part for part, info in known().items() if info.takes_window)
        raise UsageError(f"window_seconds: {name} takes no window ({takers} does): leave it out")


def path_options(name: str) -> tuple[str, ...]:
    """Return the options of a model, or of a pair's parts, that name files or folders."""
    return tuple(dict.fromkeys(option for part in parts(name) for option in known()[part].path_options))


def assets_of(name: str, weights: str | Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the assets that a model needs, apart from those of parts for which weights are named."""
    given = weights_by_part(name, weights)
    return tuple(dict.fromkeys(asset for part in parts(name) if part not in given for asset in known()[part].assets))


def held_out(name: str, corpus: str) -> tuple[str, ...]:
    """Return the sentences of a corpus that a model was not trained on.

    Parameters
    ----------
    name : str
        A registered name; of a pair, the part that says counts.
    corpus : str
        A corpus's name.

    Raises
    ------
    UsageError
        If the model does not say, or has none of that corpus.
    """
    told = [info.held_out for part in parts(name) if (info := known()[part]).held_out]
    if not told:
        raise UsageError(f"model {name!r} does not say which sentences were held out of its training: leave it out")
    module, _, function = told[0].partition(":")
    return cast(tuple[str, ...], getattr(importlib.import_module(module), function)(corpus))


def variant(model: Model, options: Mapping[str, Any]) -> Model | None:
    """Return a loaded model under other options, with all that does not change by them; None if its family cannot.

    Raises
    ------
    UsageError, DataError
        As :func:`load`.
    """
    info = known().get(model.name)
    if info is None or not info.variant:
        return None
    module, _, function = info.variant.partition(":")
    return cast(Model, getattr(importlib.import_module(module), function)(model, options))


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
        A registered name, or ``speech+text`` for a pair of two.
    weights : str or mapping, optional
        A local folder or hub id instead of the fetched asset; for a pair a mapping from the part's name.
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
    names = parts(name)
    check_window(name, window_seconds)
    chosen = weights_by_part(name, weights)
    loaded = []
    for part in names:
        module, _, function = known()[part].loader.partition(":")
        loader = cast(Callable[[LoadOptions], Model], getattr(importlib.import_module(module), function))
        window = window_seconds if known()[part].takes_window else None
        loaded.append(loader(LoadOptions(part, chosen.get(part), device, dtype, window, dict(options or {}))))
    return loaded[0] if len(loaded) == 1 else pair(name, *loaded)


def weights_by_part(name: str, weights: str | Mapping[str, str] | None) -> dict[str, str]:
    """Return which weights each part of a model is given; parts that use the fetched asset are not among them.

    Raises
    ------
    UsageError
        If a pair's part is not named, or there is no such part.
    """
    names = parts(name)
    if isinstance(weights, str):
        if len(names) > 1:
            raise UsageError(f"weights: {name!r} has two parts; say which, as in {{{names[0]!r}: {weights!r}}}")
        weights = {names[0]: weights}
    for part, source in (weights or {}).items():
        if part not in names:
            raise UsageError(f"weights: model {name!r} has no part {part!r}; {did_you_mean(part, names)}")
        if not source.strip():
            raise UsageError(f"weights: those of {part} have an empty name: name a folder or hub id, or leave it out")
    return dict(weights or {})


def pair(name: str, speech: Model, text: Model) -> Model:
    """Return a model with the speech side of one and the text side of another."""
    return Model(
        name=name,
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
