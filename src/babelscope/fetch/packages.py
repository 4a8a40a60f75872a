"""Pinned packages, through the user's own ``pip`` and ``apt-get``: downloaded and verified, never installed.

Neither needs root, and neither keeps state outside the cache.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from babelscope.cache import cache_folder, make_folder, sha256_of
from babelscope.errors import FetchError
from babelscope.fetch.progress import Progress, SilentProgress
from babelscope.fetch.sources import DebianPackage, RegistryFile

#: Package lists of our own are made again when older, in seconds.
_LISTS_AGE = 24 * 3600

_NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|Network is unreachable"
    r"|Connection refused|name resolution|Failed to establish|Max retries exceeded|Connection aborted|IncompleteRead",
    re.IGNORECASE,
)
_NOT_OFFERED = re.compile(r"Unable to locate package|was not found|Can't find a source")

# One platform for everybody: the wheel is read as an archive, and the same bytes must be found on every machine.
_ANY_MACHINE = (
    *("--no-deps", "--only-binary=:all:", "--platform", "manylinux2014_x86_64"),
    *("--python-version", "3.12", "--implementation", "py", "--abi", "none"),
)
_PIP = (
    *("--progress-bar", "off", "--no-cache-dir", "--resume-retries", "5", "--retries", "3"),
    *("--disable-pip-version-check", "--no-input", "--no-color"),
)
_APT = ("apt-get", "-q", "-y", "-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=")


def download_registry_file(source: RegistryFile, target: Path, progress: Progress | None = None) -> None:
    """Download a wheel by ``pip download``, verify it, and put it at `target`.

    FetchError: no pip, no network, not offered by the configured registry, a full disk, or other bytes than pinned.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pip-", ignore_cleanup_errors=True) as folder:
        pip = [sys.executable, "-m", "pip", "download", f"{source.package}=={source.version}", "--dest", folder]
        # pip unpacks into TMPDIR first, which may be a small memory disk.
        code, output = _run([*pip, *_ANY_MACHINE, *_PIP], Path(folder), "*.whl", {"TMPDIR": folder}, progress)
        wheels = list(Path(folder).glob("*.whl"))
        if code != 0 or len(wheels) != 1:
            raise FetchError(_pip_failure(source, output))
        _keep(source, wheels[0], target, "the registry")


def _pip_failure(source: RegistryFile, output: str) -> str:
    if "No module named pip" in output:
        return f"{source} needs pip, which this Python lacks: run '{Path(sys.executable).name} -m ensurepip' first"
    if "No space left" in output or "Disk quota exceeded" in output:
        return _full_disk(source)
    if _NO_NETWORK.search(output):
        return f"no network to the package registry for {source}: run again when there is one, finished parts are kept"
    if "No matching distribution" in output:
        return f"the package registry that pip is configured for does not offer {source}"
    return f"pip could not download {source}: {_last_error(output)}"


def have_apt() -> bool:
    """Return whether this machine has ``apt-get``."""
    return shutil.which("apt-get") is not None


def download_debian_package(source: DebianPackage, target: Path, progress: Progress | None = None) -> None:
    """Download a ``.deb`` by ``apt-get download``, verify it, and put it at `target`.

    The system's package lists are used where they know the package; otherwise lists of our own are made in the cache
    folder, from the system's configured archives. FetchError: no apt-get, no network, a version that the configured
    archives lack, a full disk, or other bytes than pinned.
    """
    if not have_apt():
        raise FetchError(f"{source} needs apt-get, which this machine lacks")
    folder = target.parent / f".apt-{source.package}"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = f"{source.package}={source.version}"
    code, output = _apt(["download", wanted], folder, progress)
    if code != 0 and _NOT_OFFERED.search(output):
        code, output = _apt([*_private_lists(), "download", wanted], folder, progress)
        if code != 0 and _NOT_OFFERED.search(output):
            raise FetchError(f"the Debian archives of this machine do not offer {source} ({_last_error(output)})")
    files = list(folder.glob("*.deb"))
    if code != 0 or len(files) != 1:
        if "No space left" in output:
            raise FetchError(_full_disk(source))
        reason = _last_error(output)
        raise FetchError(f"apt-get could not download {source} ({reason}): run again when there is a network")
    try:
        _keep(source, files[0], target, "the Debian archive")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _private_lists() -> list[str]:
    root = cache_folder() / "apt"
    lists, cache, stamp = root / "lists", root / "cache", root / "updated"
    for folder in (lists / "partial", cache / "archives" / "partial"):
        make_folder(folder)
    options = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
    if not stamp.exists() or time.time() - stamp.stat().st_mtime > _LISTS_AGE:
        code, output = _apt([*options, "-o", "APT::Update::Error-Mode=any", "update"], root)
        if code != 0 and not any(lists.glob("*_Packages*")):
            reason = _last_error(output)
            raise FetchError(f"apt-get could not read the package lists ({reason}): run again when there is a network")
        if code == 0:
            stamp.touch()
    return options


def _apt(arguments: Sequence[str], folder: Path, progress: Progress | None = None) -> tuple[int, str]:
    # Messages are matched and quoted: ask for them in one language.
    environment = {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    return _run([*_APT, *arguments], folder, "*.deb", environment, progress)


def _run(
    command: Sequence[str], folder: Path, files: str, environment: Mapping[str, str], progress: Progress | None
) -> tuple[int, str]:
    """Run a program in a folder, reporting the size of what it downloads; return its exit code and its messages."""
    progress = progress or SilentProgress()
    log = folder / ".log"
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - fixed arguments, no shell
            command,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | environment,
        ) as process,
    ):
        try:
            while process.poll() is None:
                time.sleep(0.05)
                progress.update(_downloaded(folder, files))
        except BaseException:
            process.kill()
            raise
    text = log.read_text("utf-8", "replace")
    log.unlink(missing_ok=True)
    return process.returncode, text


def _keep(source: RegistryFile | DebianPackage, file: Path, target: Path, origin: str) -> None:
    """Put a downloaded file at `target` if it is the one that was pinned."""
    if file.stat().st_size != source.size or sha256_of(file) != source.sha256:
        raise FetchError(f"{source} from {origin} is not the file that was pinned (sha256 differs): it was removed")
    file.replace(target)


def _downloaded(folder: Path, files: str) -> int:
    try:
        return max((path.stat().st_size for path in folder.rglob(files)), default=0)
    except FileNotFoundError:  # it was moved meanwhile
        return 0


def _full_disk(source: RegistryFile | DebianPackage) -> str:
    return f"the disk is full: downloading {source} failed; free some space and run again, finished parts are kept"


def _last_error(output: str) -> str:
    lines = output.splitlines() or ["no message"]
    return ([line for line in lines if re.match(r"(E|Err|W|ERROR):", line)] or lines)[-1].strip()
