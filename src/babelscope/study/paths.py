"""Relative paths in a study: to its file where they stand in it, to the working folder where they are given apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babelscope import models
from babelscope.capture.storage import is_url
from babelscope.errors import UsageError
from babelscope.gaps.folder import STORE
from babelscope.gaps.result import Result
from babelscope.models.weights.places import looks_local


def from_working_folder(settings: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with relative paths made absolute: they are relative to the working folder, not to the file."""
    here = Path.cwd()
    chosen = said.get("model") if isinstance(said.get("model"), dict) else {}
    name = str(settings.get("model.name", (chosen or {}).get("name", "")))
    try:
        options = models.path_options(name)
    except UsageError:  # the study's own check says so
        options = ()
    known = ("corpus.path", "output", "store", "model.weights", *(f"model.options.{option}" for option in options))
    absolute = dict(settings)
    for key, value in settings.items():
        if key in known[:3] and isinstance(value, str) and not is_url(value):
            absolute[key] = str(here / Path(value).expanduser())
        elif key in known[3:] or key.startswith("model.weights."):
            absolute[key] = relative_to(here, value)
        elif key == "model.name" and isinstance(value, str) and options:
            absolute[key] = models.beside(value, here)
    return absolute


def relative_to(folder: Path, source: Any) -> Any:
    """Return a path below a folder, where it is there or can be nothing else; else it may be a hub id."""
    if isinstance(source, dict):
        return {name: relative_to(folder, each) for name, each in source.items()}
    if not isinstance(source, str) or not source or source.startswith("~"):
        return source
    path = folder / source
    return str(path) if path.exists() or looks_local(source) else source


def store_beside(result: Result, folder: Path) -> Path | str:
    """Return where the activations of a result that was read from a folder are, as far as it says."""
    activations = result.meta.get("activations")
    where = str(activations.get("store") or STORE) if isinstance(activations, dict) else STORE
    return where if is_url(where) else folder / where
