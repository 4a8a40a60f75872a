"""Debian packages, through ``apt-get download``: no root, and no state outside the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from babelscope.cache import cache_folder, make_folder, sha256_of
from babelscope.errors import FetchError
from babelscope.fetch.progress import Progress, SilentProgress
from babelscope.fetch.sources import DebianPackage

#: Package lists of our own are made again when older, in seconds.
_LISTS_AGE = 24 * 3600

_UNKNOWN = re.compile(r"Unable to locate package|was not found|Can't find a source")


def have_apt() -> bool:
    """Return whether this machine has ``apt-get``."""
    return shutil.which("apt-get") is not None


def download_debian_package(source: DebianPackage, target: Path, progress: Progress | None = None) -> None:
    """Let ``apt-get download`` get a ``.deb``, verify it, and put it at `target`. It is not installed.

    The system's package lists are used where they know the package; otherwise lists of our own are made in the cache
    folder, from the system's configured archives.

    Raises
    ------
    FetchError
        No apt-get, no network, a version that the configured archives lack, a full disk, or other bytes than pinned.
    """
    progress = progress or SilentProgress()
    if not have_apt():
        raise FetchError(f"{source} needs apt-get, which this machine lacks")
    folder = target.parent / f".apt-{source.package}"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = f"{source.package}={source.version}"
    code, said = _apt(["download", wanted], folder, progress)
    if code != 0 and _UNKNOWN.search(said):
        code, said = _apt([*_private_lists(), "download", wanted], folder, progress)
        if code != 0 and _UNKNOWN.search(said):
            raise FetchError(f"the Debian archives of this machine do not offer {source} ({_last(said)})")
    files = list(folder.glob("*.deb"))
    if code != 0 or len(files) != 1:
        if "No space left" in said:
            raise FetchError(
                f"the disk is full: downloading {source} failed; free some space and run again, finished parts are kept"
            )
        raise FetchError(f"apt-get could not download {source} ({_last(said)}): run again when there is a network")
    good = files[0].stat().st_size == source.size and sha256_of(files[0]) == source.sha256
    if good:
        files[0].replace(target)
    shutil.rmtree(folder, ignore_errors=True)
    if not good:
        raise FetchError(
            f"{source} from the Debian archive is not the file that was pinned (sha256 differs): it was removed"
        )


def _private_lists() -> list[str]:
    root = cache_folder() / "apt"
    lists, cache, stamp = root / "lists", root / "cache", root / "updated"
    for folder in (lists / "partial", cache / "archives" / "partial"):
        make_folder(folder)
    options = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
    if not stamp.exists() or time.time() - stamp.stat().st_mtime > _LISTS_AGE:
        code, said = _apt([*options, "-o", "APT::Update::Error-Mode=any", "update"], root)
        if code != 0 and not any(lists.glob("*_Packages*")):
            raise FetchError(
                f"apt-get could not read the package lists ({_last(said)}): run again when there is a network"
            )
        if code == 0:
            stamp.touch()
    return options


def _apt(arguments: list[str], folder: Path, progress: Progress | None = None) -> tuple[int, str]:
    command = ["apt-get", "-q", "-y", "-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=", *arguments]
    log = folder / ".apt.log"
    with log.open("wb") as said:
        # Messages are matched and quoted: ask for them in one language.
        environment = os.environ | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        with subprocess.Popen(  # noqa: S603 - fixed arguments, no shell
            command, cwd=folder, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
        ) as process:
            try:
                while process.poll() is None:
                    time.sleep(0.05)
                    if progress is not None:
                        progress.update(sum(_size(path) for path in folder.glob("*.deb")))
            except BaseException:
                process.kill()
                raise
    text = log.read_text("utf-8", "replace")
    log.unlink(missing_ok=True)
    return process.returncode, text


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _last(said: str) -> str:
    lines = (
        [line for line in said.splitlines() if re.match(r"(E|Err|W):", line)]
        or said.splitlines()
        or ["it said nothing"]
    )
    return lines[-1].strip()
