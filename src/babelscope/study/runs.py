"""The runs below a folder: what each is of, how far it came, and the number it would be asked for first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from babelscope.errors import BabelscopeError, DataError
from babelscope.gaps.folder import STORE
from babelscope.gaps.result import Result
from babelscope.report.first_screen import first_screen

#: Folders that hold no run: what a store or a result keeps its parts in.
SKIPPED = ("tables", "figures")

COMPLETE, INCOMPLETE, DAMAGED = "complete", "incomplete", "damaged"


@dataclass(frozen=True)
class Run:
    """One folder of results.

    `state` is ``complete``; ``incomplete``, where activations are there and no result; or ``damaged``. `why` says what
    is missing or damaged, and the remedy; `headline` is the first number of its report, with its name: ``Speech to its
    own text 97 %``.
    """

    folder: Path
    state: str
    why: str = ""
    study: str = ""
    model: str = ""
    corpus: str = ""
    created: str = ""
    languages: tuple[str, ...] = ()
    n: int = 0
    headline: str = ""
    report: Path | None = None

    def record(self) -> dict[str, Any]:
        """Return the run as JSON holds it."""
        paths = {"folder": str(self.folder), "report": None if self.report is None else str(self.report)}
        return asdict(self) | paths | {"languages": list(self.languages)}


def runs_below(folder: Path | str) -> list[Run]:
    """Return the runs in a folder and below it, in the order of their paths; DataError if there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    runs = [run_of(place) for place in places_below(folder)]
    if not runs:
        raise DataError(f"{folder} holds no results and no activations: 'babelscope run' writes them")
    return runs


def places_below(folder: Path) -> Iterator[Path]:
    """Yield the folders, from this one down, that hold a result or activations; stores are not entered."""
    if (folder / "result.json").is_file() or (folder / STORE).is_dir():
        yield folder
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error
    for path in below:
        if path.suffix != ".zarr" and path.name not in SKIPPED and not path.name.startswith("."):
            yield from places_below(path)


def run_of(folder: Path) -> Run:
    """Return what a folder of results holds; what is wrong with it is part of the answer."""
    report = folder / "report.html"
    there = report if report.is_file() else None
    if not (folder / "result.json").is_file():
        return Run(folder, INCOMPLETE, why=_unfinished(folder), report=there, **_about(_store_meta(folder)))
    try:
        result = Result.load(folder)
        tiles = first_screen(result).tiles
    except BabelscopeError as error:
        return Run(folder, DAMAGED, why=str(error), report=there, **_about(_read(folder / "result.json")))
    headline = f"{tiles[0].title} {tiles[0].value}" if tiles else ""
    return Run(folder, COMPLETE, headline=headline, report=there, **_about(result.meta))


def _unfinished(folder: Path) -> str:
    from babelscope.capture import Activations

    try:
        done = Activations(folder / STORE).done
    except BabelscopeError as error:
        return str(error)
    if not done.all():
        return f"{int(done.sum())} of {done.size} blocks are encoded; run the study again to go on"
    return "encoded, not compared; run the study again to go on"


def _store_meta(folder: Path) -> Mapping[str, Any]:
    from babelscope.capture import Activations

    try:
        return Activations(folder / STORE).meta
    except BabelscopeError:
        return {}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _about(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run is of, as far as it is written there."""

    def section_of(name: str) -> Mapping[str, Any]:
        section = meta.get(name)
        return section if isinstance(section, dict) else {}

    study, model, corpus = section_of("study"), section_of("model"), section_of("corpus")
    languages = corpus.get("languages")
    n = corpus.get("n")
    return {
        "study": str(study.get("name") or ""),
        "model": str(model.get("name") or ""),
        "corpus": str(corpus.get("name") or ""),
        "created": str(study.get("created") or meta.get("created") or ""),
        "languages": tuple(map(str, languages)) if isinstance(languages, list) else (),
        "n": int(n) if isinstance(n, int) else 0,
    }
