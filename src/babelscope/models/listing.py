"""The models that have a name, as a list for people and programs: by kind, with size, languages and licence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from babelscope.models import ModelInfo, info, known
from babelscope.models.catalogue import CATALOGUE, SIZES_NOT_VERIFIED

#: What is said below the list.
FOOTNOTE = (
    "Size: parameters of the whole checkpoint; ~: as announced, not compared with a released configuration. Licences "
    "are as known when this version was made; what the hub's model card says counts, and is shown once it is fetched."
)

#: Titles of groups, in their order, by a declaration's kind.
GROUPS = {
    "speech-llm": "Text and speech through one language model",
    "encoder-decoder": "Text and speech, other architectures",
    "speech-encoder": "Speech encoders",
    "text-encoder": "Text encoders",
    "text-decoder": "Language models, text alone",
}


class Row(NamedTuple):
    """A model of the list.

    Attributes
    ----------
    name, kind, summary, licence, languages : str
    modalities : tuple of str
    parameters : int
        Millions; 0 if it is not known.
    source, revision : str
        Hub id and pinned revision of a model of the catalogue; empty for one with a loader of its own.
    gated : bool
    size_verified : bool
        Whether `parameters` were compared with a released configuration or list of tensors.
    """

    name: str
    kind: str
    summary: str
    licence: str
    languages: str
    modalities: tuple[str, ...]
    parameters: int
    source: str
    revision: str
    gated: bool
    size_verified: bool

    @property
    def size(self) -> str:
        """Parameters as people write them: ``118 M``, ``8.4 B``; with ``~`` if not verified, empty if not known."""
        if not self.parameters:
            return ""
        about = "" if self.size_verified else "~"
        return f"{about}{self.parameters} M" if self.parameters < 1000 else f"{about}{self.parameters / 1000:.1f} B"


def listed() -> dict[str, list[Row]]:
    """Return every model that has a name, by the title of its group."""
    names = dict.fromkeys([*known(), *CATALOGUE])
    rows = [_row(name, info(name)) for name in names]
    groups = {title: sorted((row for row in rows if row.kind == kind), key=_order) for kind, title in GROUPS.items()}
    return {title: group for title, group in groups.items() if group}


def to_json(groups: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """Return the rows of :func:`listed` as JSON-able tables."""
    return [row._asdict() | {"modalities": list(row.modalities)} for group in groups.values() for row in group]


def _order(row: Row) -> tuple[bool, int]:
    """Models that come along or have a loader of their own first; the catalogue's in its order."""
    places = list(CATALOGUE)
    return (row.name in CATALOGUE, places.index(row.name) if row.name in CATALOGUE else 0)


def _row(name: str, described: ModelInfo) -> Row:
    declared = CATALOGUE.get(name)
    kind = declared.kind if declared else _kind(described)
    return Row(
        name,
        kind,
        described.summary,
        described.licence,
        declared.languages if declared else "",
        described.modalities,
        declared.parameters if declared else 0,
        described.declaration.source if described.declaration else "",
        described.declaration.revision if described.declaration else "",
        declared.gated if declared else False,
        bool(declared) and name not in SIZES_NOT_VERIFIED,
    )


def _kind(described: ModelInfo) -> str:
    if len(described.modalities) > 1:
        return "encoder-decoder"
    return "speech-encoder" if "speech" in described.modalities else "text-encoder"
