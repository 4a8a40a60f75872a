"""What a shell completes: names of studies, models, corpora, measures; nothing heavy is imported for it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import typer


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _comes_along(name: str) -> Path:
    return Path(str(files("babelscope").joinpath("presets", f"{name}.toml")))


def presets() -> list[str]:
    """Return the studies that come along."""
    return sorted(path.stem for path in _comes_along("").parent.glob("?*.toml"))


def study_names(incomplete: str) -> list[str]:
    """Return studies that come along, and TOML files and folders here."""
    names = presets()
    folder = Path(incomplete).parent if "/" in incomplete else Path()
    here = sorted(folder.iterdir()) if folder.is_dir() else ()
    paths = sorted(
        f"{path}/" if path.is_dir() else str(path) for path in here if path.is_dir() or path.suffix == ".toml"
    )
    return _beginning([*names, *paths], incomplete)


def languages_of(context: typer.Context, incomplete: str) -> list[str]:
    """Return the languages that the study names."""
    study = str(context.params.get("study") or next(iter(context.args), ""))  # what is typed is not wholly parsed yet
    try:
        path = Path(study) if Path(study).is_file() else _comes_along(study)
        with path.open("rb") as handle:
            languages = tomllib.load(handle)["corpus"]["languages"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{language}" for language in _beginning(languages, last)]


def model_names(incomplete: str) -> list[str]:
    """Return models that have a name; behind a plus sign, those that may be the text side of a pair."""
    from babelscope.models import PAIRS, known
    from babelscope.models.catalogue import CATALOGUE

    speech, plus, text = incomplete.rpartition("+")
    names = _beginning([*known(), *CATALOGUE, *(() if plus else PAIRS)], text)
    return [f"{speech}{plus}{name}" for name in names]


def corpus_names(incomplete: str) -> list[str]:
    """Return the corpora."""
    from babelscope.corpora.sources import sources

    return _beginning(sources(), incomplete)


def asset_names(incomplete: str) -> list[str]:
    """Return what can be fetched."""
    from babelscope.fetch import ASSETS

    return _beginning(ASSETS, incomplete)


def measure_names(incomplete: str) -> list[str]:
    """Return the measures."""
    from babelscope.similarity import MEASURES

    return _beginning(MEASURES, incomplete)
