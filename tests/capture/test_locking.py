"""The lock: it names its owner, lets go of the dead, and waits for the living."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from babelscope.capture import locking
from babelscope.capture.locking import SILENCE, Owner, lock
from babelscope.errors import DataError


def _holding(place: Path | str) -> subprocess.Popen[bytes]:
    program = (
        "import sys\nfrom babelscope.capture.locking import lock\n"
        f"with lock({str(place)!r}):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdout.readline() == b"held\n"
    return other


def _lock_file(tmp_path: Path) -> Path:
    return tmp_path / ".a.zarr.lock"


def test_the_second_of_two_writers_is_told_who_writes_and_the_dead_let_go(tmp_path: Path) -> None:
    other = _holding(tmp_path / "a.zarr")
    me = Owner.me()
    words = rf"another run \(process {other.pid} of {me.user} on {me.host} since 20\d\d-.*\) is using .*: wait for it"
    with pytest.raises(DataError, match=words), lock(tmp_path / "a.zarr"):
        pass
    with lock(tmp_path / "b.zarr"):
        pass
    other.kill()
    other.wait()
    with lock(tmp_path / "a.zarr"):
        held = json.loads(_lock_file(tmp_path).read_text())
        assert held["pid"] == os.getpid()
        with pytest.raises(DataError, match=f"process {os.getpid()} "), lock(tmp_path / "a.zarr"):
            pass
    assert _lock_file(tmp_path).read_text() == ""


def test_an_error_lets_go_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock(tmp_path / "a.zarr"):
        raise ZeroDivisionError
    assert _lock_file(tmp_path).read_text() == ""


def _left_by_another_machine(tmp_path: Path, silent: float) -> None:
    file = _lock_file(tmp_path)
    file.write_bytes(dataclasses.replace(Owner.me(), host="node-17", pid=4242).encoded())
    os.utime(file, (time.time() - silent, time.time() - silent))


def test_an_owner_on_another_machine_lives_as_long_as_it_gives_signs(tmp_path: Path) -> None:
    _left_by_another_machine(tmp_path, SILENCE / 2)
    words = rf"process 4242 of .* on node-17 .*sign of life [56]\d s ago; after {SILENCE:.0f} s .*or delete .*lock"
    with pytest.raises(DataError, match=words), lock(tmp_path / "a.zarr"):
        pass
    assert b"node-17" in _lock_file(tmp_path).read_bytes()
    _left_by_another_machine(tmp_path, SILENCE + 1)
    with lock(tmp_path / "a.zarr"):
        assert b"node-17" not in _lock_file(tmp_path).read_bytes()


def test_signs_of_life_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "BEAT", 0.02)
    with lock(tmp_path / "a.zarr"):
        os.utime(_lock_file(tmp_path), (0, 0))
        until = time.monotonic() + 5
        while _lock_file(tmp_path).stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.01)
        assert time.time() - _lock_file(tmp_path).stat().st_mtime < 60


def test_where_the_system_keeps_no_locks_the_signs_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "_flock", lambda descriptor: None)
    with lock(tmp_path / "a.zarr"), pytest.raises(DataError, match="another run"), lock(tmp_path / "a.zarr"):
        pass
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    _lock_file(tmp_path).write_bytes(dataclasses.replace(Owner.me(), pid=dead.pid).encoded())
    with lock(tmp_path / "a.zarr"):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_keep_its_dead_parents_lock(tmp_path: Path) -> None:
    program = (
        "import os, sys, time\nfrom babelscope.capture.locking import lock\n"
        f"with lock({str(tmp_path / 'a.zarr')!r}):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n        os.close(1)\n        time.sleep(60)\n        os._exit(0)\n"
        "    print(child, flush=True)\n    os.kill(os.getpid(), 9)\n"
    )
    parent = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    child = int(parent.stdout)
    try:
        with lock(tmp_path / "a.zarr"):
            os.kill(child, 0)  # it lives
    finally:
        os.kill(child, 9)


def test_a_lock_that_says_nothing_is_no_owner(tmp_path: Path) -> None:
    _lock_file(tmp_path).write_text("4711")  # as an earlier version wrote it
    with lock(tmp_path / "a.zarr"):
        pass
