"""Models on the hub that are known by a short name: a declaration each, of what their files do not say.

A declaration adds what is not in a model's files: its licence, its languages, the prefix that an embedder was trained
with, what a reader of its numbers must know. Points, widths and lengths are never declared: they come from the model's
configuration and processor, as they do for any hub id written ``hf:owner/name``. The declarations are data, in
``catalogue.toml`` next to this module.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from babelscope.stages import Modality

#: What a model is, where the rules of :mod:`babelscope.models.adapters` are not to decide.
Kind = Literal["", "text-encoder", "text-decoder", "speech-encoder", "speech-llm", "encoder-decoder"]


@dataclass(frozen=True)
class Declaration:
    """A model of the hub, or in a local folder, in transformers' format.

    Attributes
    ----------
    name : str
        What a study calls it: a name of the catalogue, or ``owner/name`` of a hub id, or a folder's own name.
    source : str
        A hub id ``owner/name``, or a local folder.
    revision : str
        A commit, tag or branch of the hub id; empty for the hub's main branch as it is at the first fetch.
    licence : str
        Empty if it is not known.
    summary : str
        One line.
    modalities : tuple of {"text", "speech"}
        Empty if only the model's configuration says.
    languages : str
        A short phrase, such as ``about 100``; empty if it is not known.
    kind : str
        One of :data:`Kind`; empty if the model's class is to decide.
    prompt : str
        A text with ``{}`` where a sentence stands, for models that read a conversation; empty for the chat template
        that comes with the model.
    pooled : str
        How an embedder makes one vector of a sentence: "mean", "cls", "last", or the like with "-dense" for the dense
        layers of a sentence-transformers folder; empty if it is no embedder, or the folder says.
    prefix : str
        Text before every sentence, that the model was trained with.
    notes : tuple of str
        What a reader of its numbers must know, a sentence each.
    gated : bool
        Whether the hub asks to accept the licence first.
    parameters : int
        Millions, of all that the checkpoint holds; 0 if it is not known.
    announced : bool
        Whether `parameters` is the announced number, not compared with a released configuration or list of tensors.
    seen : str
        What was looked at of the released files: ``configuration``, ``configuration and index``, ``weights``; empty if
        nothing was.
    tested_as : str
        The tiny model of :mod:`babelscope.testing.tiny` that is of the same class; empty if there is none.

    asset : str
        The fetched asset that is read where no weights are named; empty if the weights are those of the hub id.
    window : float
        Seconds of the window that the model was trained on, where a shorter one can be chosen; 0 if there is none.
    config : mapping
        Its released sizes, for planning it before any file is here; empty if the hub's own files say them.

    Notes
    -----
    A licence is what was known when the declaration was written: where the hub's model card names one, that counts.
    """

    name: str
    source: str
    revision: str = ""
    licence: str = ""
    summary: str = ""
    modalities: tuple[Modality, ...] = ()
    languages: str = ""
    kind: Kind = ""
    prompt: str = ""
    pooled: str = ""
    prefix: str = ""
    notes: tuple[str, ...] = ()
    gated: bool = False
    parameters: int = 0
    announced: bool = False
    seen: str = ""
    tested_as: str = ""
    asset: str = ""
    window: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)

    def of_hub(self, repository: str, revision: str) -> Declaration:
        """Return what is declared of a hub id that was named itself: with its own revision, and without an asset."""
        return dataclasses.replace(
            self, name=repository, source=repository, revision=revision, asset="", window=0.0, config={}
        )


def read_catalogue(text: str) -> dict[str, Declaration]:
    """Return the declarations of a catalogue by name, in its order.

    Parameters
    ----------
    text : str
        TOML: ``[models.NAME]`` with the attributes of a declaration, ``[defaults.KIND]`` with those that all models of
        a kind have, and ``[notes]`` with notes that a model names by their key.
    """
    tables = tomllib.loads(text)
    defaults, notes = tables["defaults"], tables["notes"]
    return {name: _declaration(name, defaults[own["kind"]] | own, notes) for name, own in tables["models"].items()}


def _declaration(name: str, settings: Mapping[str, Any], notes: Mapping[str, str]) -> Declaration:
    lists = {
        "modalities": tuple(settings["modalities"]),
        "notes": tuple(notes.get(note, note) for note in settings.get("notes", ())),
    }
    return Declaration(name, **{**settings, **lists})


#: By name, in groups of a kind.
CATALOGUE: dict[str, Declaration] = read_catalogue((files(__package__) / "catalogue.toml").read_text(encoding="utf-8"))


def declared_of_hub(repository: str, revision: str = "") -> Declaration:
    """Return what the catalogue declares of a hub id; of one that it does not have, its name alone."""
    known = (declaration for declaration in CATALOGUE.values() if declaration.source == repository)
    return next(known, Declaration("", repository)).of_hub(repository, revision)
