"""How models are named: registered names, names of the catalogue, ids of the hub, folders, and pairs of any of these.

A name is read here without opening a file and without a network:

- ``whisper-base``: registered, or offered by an installed package;
- ``qwen2-audio-7b``: of :data:`~babelscope.models.catalogue.CATALOGUE`;
- ``hf:owner/name`` or ``hf:owner/name@revision``: any model of the hub, at a branch, tag or commit;
- ``hf:./folder``, ``hf:/folder`` or ``hf:~/folder``: a local folder in transformers' format;
- ``SPEECH+TEXT``: the speech side of one model and the text side of another.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from babelscope.errors import UsageError
from babelscope.models.catalogue import CATALOGUE, Declaration, declared_of_hub
from babelscope.models.weights.places import HUB, expanded, hub_id
from babelscope.models.weights.places import is_path as is_path

#: How a model without a name of its own is named, for messages.
ANY_MODEL = f"any model of the hub is named '{HUB}owner/name', a folder '{HUB}./folder'"


def split(name: str, registered: Collection[str]) -> tuple[str, ...]:
    """Return the parts of a name: one, or those of a pair; a ``+`` in the name of a folder separates none."""
    parts: list[str] = []
    for piece in name.split("+"):
        named = piece.strip()
        new = named.startswith(HUB) or named in registered or named in CATALOGUE
        if parts and is_folder(parts[-1]) and not new:
            parts[-1] += f"+{piece}"
        else:
            parts.append(named)
    return tuple(parts)


def is_folder(single: str) -> bool:
    """Whether a part of a name is a local folder."""
    return single.startswith(HUB) and is_path(single.removeprefix(HUB))


def declared(single: str) -> Declaration | None:
    """Return the declaration of a name of the catalogue, of a hub id or of a folder; None for any other name.

    A hub id that the catalogue knows has what is declared there, but not its revision: the one that was asked for
    counts.

    Raises
    ------
    UsageError
        If what follows ``hf:`` is neither a hub id nor a folder.
    """
    if not single.startswith(HUB):
        return CATALOGUE.get(single)
    source = single.removeprefix(HUB)
    if is_path(source):
        return Declaration(_folder_name(source), source)
    try:
        repository, revision = hub_id(source)
    except UsageError as error:
        raise UsageError(f"model {single!r}: {error}") from error
    return declared_of_hub(repository, revision)


def location(declaration: Declaration) -> str | None:
    """Return where a declared model's files are, as :func:`~babelscope.models.weights.places.locate` takes it.

    None for one whose weights are a fetched asset.
    """
    if declaration.asset:
        return None
    if is_path(declaration.source):
        return declaration.source
    return f"{HUB}{declaration.source}" + (f"@{declaration.revision}" if declaration.revision else "")


def beside(single: str, folder: Path) -> str:
    """Return a part of a name with a relative folder in it taken as relative to `folder`."""
    source = single.removeprefix(HUB)
    return f"{HUB}{folder / source}" if is_folder(single) and not source.startswith("~") else single


def _folder_name(source: str) -> str:
    """Return a folder's own name: where it is does not matter to what it holds."""
    path = expanded(source)
    return path.name if path.name not in ("", "..") else path.resolve().name or "folder"
