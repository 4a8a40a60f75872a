"""Several who fetch: two processes at once, one that is stopped in a download, two users of one cache."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from making_archives import Server, serving, sha256

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and users of POSIX")

CONTENT = bytes(range(256)) * 400
NOBODY = 65534

#: A command line whose asset is on a local server.
PROGRAM = """
import sys
from babelscope import cli
from babelscope.fetch import Asset, catalogue
from babelscope.fetch.sources import Recipe, WebFile

def build(downloads, folder):
    for path in downloads.values():
        (folder / "one.bin").write_bytes(path.read_bytes())

url, digest, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
for name in ("thing", "other"):
    source = WebFile(f"{url}/{name}.bin", digest, size)
    catalogue.ASSETS[name] = Asset(name, "", "CC0-1.0", "", ("one.bin",), (Recipe("a server", (source,), build),))
if sys.argv[4] == "read":
    from babelscope.fetch import asset_folder
    print(len((asset_folder(sys.argv[5]) / "one.bin").read_bytes()))
else:
    sys.exit(cli.main(sys.argv[4:]))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may look into."""
    folder = Path(tempfile.mkdtemp(prefix="babelscope-sharing-"))
    folder.chmod(0o755)
    (folder / "program.py").write_text(PROGRAM)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        state.files = {"/thing.bin": CONTENT, "/other.bin": CONTENT}
        yield state


def _start(place: Path, server: Server, *arguments: str, user: int | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, str(place / "program.py"), server.url, sha256(CONTENT), str(len(CONTENT)), *arguments]
    if user is not None:
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
    told = {"BABELSCOPE_CACHE": str(place / "cache"), "HOME": str(place), "NO_PROXY": "127.0.0.1"}
    return subprocess.Popen(
        command, env=os.environ | told, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=place
    )


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out + err


def _wait_for_bytes(place: Path, process: subprocess.Popen[str]) -> None:
    part = place / "cache" / "downloads" / "thing" / "thing.bin.part"
    end = time.monotonic() + 60
    while not part.exists() or not part.stat().st_size:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)


def test_two_fetches_at_once_download_once_and_both_succeed(place: Path, server: Server) -> None:
    server.pause = 0.02
    both = [_start(place, server, "fetch", "thing") for _ in range(2)]
    ends = [_end(process) for process in both]
    assert [code for code, _ in ends] == [0, 0], ends
    assert len(server.asked) == 1
    assert (place / "cache" / "assets" / "thing" / "one.bin").read_bytes() == CONTENT


def test_a_download_that_is_stopped_says_so_in_one_line_and_is_resumed(place: Path, server: Server) -> None:
    server.pause = 0.05
    process = _start(place, server, "fetch", "thing")
    _wait_for_bytes(place, process)
    process.send_signal(signal.SIGINT)
    code, told = _end(process)
    assert code == 130 and "Traceback" not in told
    assert told.strip().splitlines()[-1].startswith("babelscope: stopped")
    server.pause = 0.0
    assert _end(_start(place, server, "fetch", "thing"))[0] == 0
    assert server.asked[-1][1] is not None and server.asked[-1][1] != "bytes=0-", "from where it was stopped"


def test_a_download_that_is_killed_is_resumed(place: Path, server: Server) -> None:
    server.pause = 0.05
    process = _start(place, server, "fetch", "thing")
    _wait_for_bytes(place, process)
    process.kill()
    _end(process)
    server.pause = 0.0
    assert _end(_start(place, server, "fetch", "thing"))[0] == 0
    assert server.asked[-1][1] is not None


as_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root becomes another user"
)


@as_root
@pytest.mark.plugins
def test_another_user_reads_the_cache_and_is_told_where_to_fetch(place: Path, server: Server) -> None:
    (place / "cache").mkdir(mode=0o755)
    assert _end(_start(place, server, "fetch", "thing"))[0] == 0
    assert _end(_start(place, server, "read", "thing", user=NOBODY)) == (0, f"{len(CONTENT)}\n")
    assert _end(_start(place, server, "verify", "--cache", user=NOBODY))[0] == 0
    code, told = _end(_start(place, server, "fetch", "other", user=NOBODY))
    assert code == 1 and len(told.strip().splitlines()) == 1
    assert "cannot write" in told and "set BABELSCOPE_CACHE to a folder that you may write" in told


@as_root
@pytest.mark.plugins
def test_two_users_fill_one_cache_that_both_may_write(place: Path, server: Server) -> None:
    (place / "cache").mkdir()
    (place / "cache").chmod(0o777)
    assert _end(_start(place, server, "fetch", "thing"))[0] == 0
    assert _end(_start(place, server, "fetch", "other", user=NOBODY))[0] == 0
    assert _end(_start(place, server, "read", "other"))[1] == f"{len(CONTENT)}\n"
    with (place / "cache" / "assets" / "thing" / "one.bin").open("r+b") as handle:
        handle.write(b"damaged")
    code, told = _end(_start(place, server, "fetch", "thing", user=NOBODY))
    assert code == 0, told
    assert (place / "cache" / "assets" / "thing" / "one.bin").read_bytes() == CONTENT
