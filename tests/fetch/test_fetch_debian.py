from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from babelscope.cache import CACHE_VARIABLE
from babelscope.errors import FetchError
from babelscope.fetch import packages
from babelscope.fetch.sources import DebianPackage
from making_archives import deb_of, sha256

needs_apt = pytest.mark.skipif(not packages.have_apt(), reason="this platform has no apt-get")

CONTROL = (
    "Package: some-sounds\nVersion: 1.0-1\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: sounds\n"
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DebianPackage:
    """An archive in a folder, and an apt that knows nothing else and has read no list yet."""
    archive = tmp_path / "archive"
    archive.mkdir()
    data = deb_of({"usr/share/some/a.g722": b"sound"}, control=CONTROL)
    (archive / "some-sounds_1.0-1_all.deb").write_bytes(data)
    sums = f"Size: {len(data)}\nMD5sum: {hashlib.md5(data).hexdigest()}\nSHA256: {sha256(data)}\n"
    (archive / "Packages").write_text(f"{CONTROL}Filename: ./some-sounds_1.0-1_all.deb\n{sums}\n")
    lists = tmp_path / "system-lists"
    (lists / "partial").mkdir(parents=True)
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] copy:{archive} ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        f'Dir::State::Lists "{lists}";\nDir::Cache "{tmp_path}/system-cache";\nDir::Etc::parts "/dev/null";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return DebianPackage("some-sounds", "1.0-1", sha256(data), len(data))


@needs_apt
def test_lists_of_our_own_are_made_where_the_system_has_none(package: DebianPackage, tmp_path: Path) -> None:
    target = tmp_path / "cache" / "downloads" / "x.deb"
    target.parent.mkdir(parents=True)
    packages.download_debian_package(package, target)
    assert sha256(target.read_bytes()) == package.sha256
    assert [path.name for path in target.parent.iterdir()] == ["x.deb"]
    assert not any((tmp_path / "system-lists").glob("*Packages*"))


@needs_apt
def test_a_rebuilt_package_is_refused(package: DebianPackage, tmp_path: Path) -> None:
    other = DebianPackage(package.package, package.version, "0" * 64, package.size)
    with pytest.raises(FetchError, match="sha256 differs"):
        packages.download_debian_package(other, tmp_path / "x.deb")
    assert not (tmp_path / "x.deb").exists()


@needs_apt
def test_a_version_that_the_archive_lacks_is_named(package: DebianPackage, tmp_path: Path) -> None:
    other = DebianPackage(package.package, "2.0-1", package.sha256, package.size)
    with pytest.raises(FetchError, match=r"do not offer some-sounds 2\.0-1"):
        packages.download_debian_package(other, tmp_path / "x.deb")


@needs_apt
def test_an_archive_that_is_away_is_one_clear_line(package: DebianPackage, tmp_path: Path) -> None:
    for path in (tmp_path / "archive").iterdir():
        path.unlink()
    with pytest.raises(FetchError, match=r"network|offer") as caught:
        packages.download_debian_package(package, tmp_path / "x.deb")
    assert "\n" not in str(caught.value)


def test_a_machine_without_apt_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="needs apt-get, which this machine lacks"):
        packages.download_debian_package(DebianPackage("some-sounds", "1.0-1", "0" * 64, 5), tmp_path / "x.deb")
