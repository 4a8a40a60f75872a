from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from babelscope.errors import FetchError
from babelscope.fetch import archives
from making_archives import ar_of, compress, deb_of, tar_of, wheel_of

FILES = {"usr/share/a.g722": b"\x01\x02" * 500, "usr/share/digits/1.g722": b"three", "usr/share/doc/x.txt.gz": b""}


@pytest.mark.parametrize("kind", ["xz", "gz", "zst", ""])
def test_a_deb_gives_its_files_whatever_its_compression(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(deb_of(FILES, kind))
    assert dict(archives.read_deb(path)) == FILES


def test_links_in_an_archive_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(deb_of({"a": b"1"}, links={"./etc": "/etc", "./b": "a"}))
    assert dict(archives.read_deb(path)) == {"a": b"1"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive at all",
        b"!<arch>\n",
        ar_of({"debian-binary": b"2.0\n"}),
        ar_of({"data.tar.bz9": b"x"}),
        ar_of({"data.tar.xz": b"not xz"}),
        ar_of({"data.tar.gz": compress(tar_of(FILES), "gz")[:40]}),
        ar_of({"data.tar.xz": compress(tar_of(FILES), "xz")[:-30]}),
        ar_of({"data.tar.zst": compress(tar_of(FILES), "zst")[:-9]}),
        ar_of({"data.tar": tar_of(FILES)[:700]}),
    ],
)
def test_a_damaged_deb_is_told_in_one_line_with_its_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.deb"
    path.write_bytes(data)
    with pytest.raises(FetchError, match=r"broken\.deb"):
        list(archives.read_deb(path))


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(compress(tar_of({"a": bytes(3000), "b": bytes(3000), "c": b""}), "gz"))
    assert len(list(archives.read_tar_gz(path))) == 3
    for limit, value in (("MAX_MEMBER_BYTES", 2999), ("MAX_TOTAL_BYTES", 5999), ("MAX_ENTRIES", 2)):
        with monkeypatch.context() as patched:
            patched.setattr(archives, limit, value)
            with pytest.raises(FetchError, match="refused"):
                list(archives.read_tar_gz(path))


def test_a_stored_zip_is_the_same_bytes_for_the_same_members(tmp_path: Path) -> None:
    archives.write_stored_zip(tmp_path / "a.zip", {"b/2.wav": b"two", "a.wav": b"one"})
    archives.write_stored_zip(tmp_path / "b.zip", {"a.wav": b"one", "b/2.wav": b"two"})
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert [info.compress_type for info in archive.infolist()] == [zipfile.ZIP_STORED] * 2
        assert archive.read("b/2.wav") == b"two"


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "-rf", "a\\..\\x", "a//b", "", ".ssh/x", "a\0b", "c:x", "a/./b"]
)
def test_a_member_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FetchError, match="refused"):
        archives.write_stored_zip(tmp_path / "a.zip", {name: b""})


def test_a_wheel_member_must_be_there_and_measure_what_is_pinned(tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path, "some-thing", "1.0", {"some/data.bin": b"x" * 1000})
    out = io.BytesIO()
    archives.copy_wheel_member(wheel, "some/data.bin", out, 1000)
    assert out.getvalue() == b"x" * 1000
    with pytest.raises(FetchError, match=r"no some/other\.bin"):
        archives.copy_wheel_member(wheel, "some/other.bin", out, 1000)
    with pytest.raises(FetchError, match="not the pinned 999"):
        archives.copy_wheel_member(wheel, "some/data.bin", out, 999)
    broken = tmp_path / "broken.whl"
    broken.write_bytes(wheel.read_bytes()[:200])
    with pytest.raises(FetchError, match=r"broken\.whl"):
        archives.copy_wheel_member(broken, "some/data.bin", out, 1000)
