from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from babelscope.errors import FetchError
from babelscope.fetch.sources import WebFile
from babelscope.fetch.web import ATTEMPTS, download_web_file
from making_archives import Server, serving, sha256

DATA = random.Random(0).randbytes(400_000)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        state.files["/a.tar.gz"] = DATA
        yield state


def _file(server: Server, data: bytes = DATA) -> WebFile:
    return WebFile(f"{server.url}/a.tar.gz", sha256(data), len(data))


def test_a_cut_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cuts = [100_000, 50_000]
    download_web_file(_file(server), tmp_path / "a", wait=0)
    assert (tmp_path / "a").read_bytes() == DATA
    assert [wanted for _, wanted in server.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_an_earlier_run_left_is_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(DATA[:399_000])
    download_web_file(_file(server), tmp_path / "a", wait=0)
    assert server.asked == [("/a.tar.gz", "bytes=399000-")]
    assert (tmp_path / "a").read_bytes() == DATA


def test_a_server_without_ranges_is_asked_again_from_the_start(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "a.part").write_bytes(b"stale" * 100)
    download_web_file(_file(server), tmp_path / "a", wait=0)
    assert (tmp_path / "a").read_bytes() == DATA


@pytest.mark.parametrize("served", [DATA[:-1] + b"?", DATA + b"more"])
def test_other_bytes_than_pinned_are_removed(server: Server, tmp_path: Path, served: bytes) -> None:
    server.files["/a.tar.gz"] = served
    with pytest.raises(FetchError, match="sha256 differs"):
        download_web_file(_file(server), tmp_path / "a", wait=0)
    assert list(tmp_path.iterdir()) == []


def test_a_stale_part_does_not_survive(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"x" * 1000)
    with pytest.raises(FetchError, match="sha256 differs"):
        download_web_file(_file(server), tmp_path / "a", wait=0)
    download_web_file(_file(server), tmp_path / "a", wait=0)
    assert (tmp_path / "a").read_bytes() == DATA


def test_a_file_that_moved_is_told_at_once(server: Server, tmp_path: Path) -> None:
    server.files.clear()
    with pytest.raises(FetchError, match="answered 404"):
        download_web_file(_file(server), tmp_path / "a", wait=0)
    assert len(server.asked) == 1


def test_a_line_that_dies_leaves_its_part_and_says_so(server: Server, tmp_path: Path) -> None:
    server.cuts = [1000] + [0] * 20
    with pytest.raises(FetchError, match="kept"):
        download_web_file(_file(server), tmp_path / "a", wait=0)
    assert (tmp_path / "a.part").read_bytes() == DATA[:1000]
    assert len(server.asked) == 1 + ATTEMPTS


def test_no_network_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FetchError, match="no network") as caught:
        download_web_file(WebFile(f"http://127.0.0.1:{port}/a", "0" * 64, 5), tmp_path / "a", wait=0)
    assert "\n" not in str(caught.value)
