"""Models on the hub that are known by a short name: a declaration each, of what their files do not say.

A declaration adds what is not in a model's files: its licence, its languages, the prefix that an embedder was trained
with, what a reader of its numbers must know. Points, widths and lengths are never declared: they come from the model's
configuration and processor, as they do for any hub id written ``hf:owner/name``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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


_SPEECH: tuple[Modality, ...] = ("speech",)
_TEXT: tuple[Modality, ...] = ("text",)
_BOTH: tuple[Modality, ...] = ("text", "speech")

CATALOGUE: dict[str, Declaration] = {
    each.name: each
    for each in (
        Declaration(
            "qwen2-audio-7b",
            "Qwen/Qwen2-Audio-7B-Instruct",
            "0a095220c30b",
            licence="Apache-2.0",
            summary="Qwen2-Audio 7B Instruct: an audio encoder into Qwen, which reads text",
            modalities=_BOTH,
            kind="speech-llm",
        ),
        Declaration(
            "voxtral-mini-3b",
            "mistralai/Voxtral-Mini-3B-2507",
            "3060fe34b35b",
            licence="Apache-2.0",
            summary="Voxtral Mini 3B: an audio encoder into Ministral, which reads text",
            modalities=_BOTH,
            languages="en, es, fr, pt, hi, de, nl, it",
            kind="speech-llm",
        ),
        Declaration(
            "xls-r-300m",
            "facebook/wav2vec2-xls-r-300m",
            licence="Apache-2.0",
            summary="XLS-R 300M: wav2vec 2.0 trained on untranscribed speech",
            modalities=_SPEECH,
            languages="128",
            kind="speech-encoder",
        ),
        Declaration(
            "bge-m3",
            "BAAI/bge-m3",
            licence="MIT",
            summary="BGE-M3: an XLM-R that embeds sentences",
            modalities=_TEXT,
            languages="more than 100",
            kind="text-encoder",
            pooled="cls",
        ),
    )
}
