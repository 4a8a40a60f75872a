"""The models that have a name, as a list for people and programs: size, languages, licence, what was checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from babelscope.models import ModelInfo, info, known
from babelscope.models.catalogue import CATALOGUE

#: Printed below the list.
FOOTNOTE = (
    "size: parameters of the whole checkpoint; ~: as announced, not compared with a released configuration. "
    "revision: the commit that is fetched; 'not pinned' is the main branch as it is at the first fetch, refs/pr/N a "
    "pull request, which its author can still change. seen: what was checked of the released files; of all others only "
    "a tiny model of the same class was run. Licences are as known when this version was made; what the hub's model "
    "card says counts, and is shown once it is fetched."
)

#: Titles of groups, in their order, by a declaration's kind.
GROUPS = {
    "speech-llm": "Text and speech through one language model",
    "encoder-decoder": "Text and speech, other architectures",
    "speech-encoder": "Speech encoders",
    "text-encoder": "Text encoders",
    "text-decoder": "Language models, text alone",
}

#: Length of a commit's hash; any other revision can come to mean other files.
_COMMIT = 40


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
    pinned : bool
        Whether `revision` is a commit, which names the same files for ever.
    seen, tested_as : str
        As in :class:`~babelscope.models.catalogue.Declaration`.
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
    pinned: bool
    seen: str
    tested_as: str

    @property
    def size(self) -> str:
        """Parameters as people write them: ``118 M``, ``8.4 B``; with ``~`` if not verified, empty if not known."""
        if not self.parameters:
            return ""
        about = "" if self.size_verified else "~"
        return f"{about}{self.parameters} M" if self.parameters < 1000 else f"{about}{self.parameters / 1000:.1f} B"

    def shown(self, title: str) -> dict[str, str]:
        """Return the row as it is printed, under the title of its group."""
        revision = self.revision[:12] if self.pinned else self.revision
        columns = {key: str(getattr(self, key)) for key in ("name", "size", "licence", "languages", "summary")}
        if self.source:
            columns |= {"revision": revision or "not pinned", "seen": self.seen or "nothing"}
        return {"kind": title, "revision": "", "seen": ""} | columns


def listed() -> dict[str, list[Row]]:
    """Return every model that has a name, by the title of its group.

    Models that come along or have a loader of their own are first, then those of the catalogue, in its order.
    """
    names = [*(name for name in known() if name not in CATALOGUE), *CATALOGUE]
    rows = [_row(name, info(name)) for name in names]
    groups = {title: [row for row in rows if row.kind == kind] for kind, title in GROUPS.items()}
    return {title: group for title, group in groups.items() if group}


def to_json(groups: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """Return the rows of :func:`listed` as JSON-able tables."""
    return [row._asdict() | {"modalities": list(row.modalities)} for group in groups.values() for row in group]


def _row(name: str, described: ModelInfo) -> Row:
    declared = CATALOGUE.get(name)
    hub = described.declaration
    return Row(
        name,
        declared.kind if declared else _kind(described),
        described.summary,
        described.licence,
        declared.languages if declared else "",
        described.modalities,
        declared.parameters if declared else 0,
        hub.source if hub else "",
        hub.revision if hub else "",
        declared.gated if declared else False,
        declared is not None and not declared.announced,
        hub is not None and len(hub.revision) == _COMMIT,
        declared.seen if declared else "",
        declared.tested_as if declared else "",
    )


def _kind(described: ModelInfo) -> str:
    if len(described.modalities) > 1:
        return "encoder-decoder"
    return "speech-encoder" if "speech" in described.modalities else "text-encoder"
