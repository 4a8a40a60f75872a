"""The base folder of recordings whose paths are relative to the folder in which a recipe was run."""

from __future__ import annotations

from pathlib import Path

#: Folders above a manifest's own in which its paths are looked for.
_ABOVE = 3


def base_of(folder: Path, audio: str) -> Path:
    """Return the folder from which a relative path is meant: a manifest's own, or one of those above it."""
    bases = (folder, *list(folder.absolute().parents)[:_ABOVE])
    try:
        return next((base for base in bases if (base / audio).is_file()), folder)
    except (OSError, ValueError):
        return folder
