"""Archives that would write elsewhere, or take all memory: nothing outside is touched, one line is told."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from babelscope.corpora import packing
from babelscope.errors import BabelscopeError
from babelscope.fetch import archives

READERS = [archives.read_tar_gz, packing.read_tar_gz]
File = tuple[str, bytes, bytes, str]


def tar_gz(entries: list[File]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, kind, data, link in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(data), link
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


HOSTILE: list[File] = [
    ("../../outside", tarfile.REGTYPE, b"1", ""),
    ("/outside", tarfile.REGTYPE, b"2", ""),
    ("link", tarfile.SYMTYPE, b"", "/etc/passwd"),
    ("link/outside", tarfile.REGTYPE, b"3", ""),
    ("hard", tarfile.LNKTYPE, b"", "../../outside"),
    ("device", tarfile.CHRTYPE, b"", ""),
    ("pipe", tarfile.FIFOTYPE, b"", ""),
    ("a\x1b[2J\nb", tarfile.REGTYPE, b"4", ""),
]


def tree(folder: Path) -> set[tuple[str, int]]:
    return {(path.relative_to(folder).as_posix(), path.lstat().st_size) for path in folder.rglob("*")}


@pytest.mark.parametrize("read", READERS)
def test_reading_writes_nothing_and_passes_over_links_and_devices(
    tmp_path: Path, read: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    path = tmp_path / "a" / "b" / "x.tar.gz"
    path.write_bytes(tar_gz(HOSTILE))
    before = tree(tmp_path)
    assert [data for _, data in read(path)] == [b"1", b"2", b"3", b"4"]  # type: ignore[attr-defined]
    assert tree(tmp_path) == before


def test_packing_writes_in_the_cache_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / "cache").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "home" / "cache"))
    path = tmp_path / "home" / "x.tar.gz"
    for entry in HOSTILE:
        path.write_bytes(tar_gz([entry]))
        before = {name for name in tree(tmp_path) if "/cache/" not in name[0]}
        try:
            packed = packing.pack("c", "l", [path], lambda: packing.read_tar_gz(path))
        except BabelscopeError as error:
            assert "refused" in str(error) and str(error).isprintable()
        else:
            assert not packed.seconds
        assert {name for name in tree(tmp_path) if "/cache/" not in name[0]} == before


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "x.tar.gz"
    path.write_bytes(tar_gz([("a/x.wav", tarfile.REGTYPE, b"1", ""), ("b/x.wav", tarfile.REGTYPE, b"2", "")]))
    with pytest.raises(BabelscopeError, match=r"holds 'x\.wav' twice"):
        packing.pack("c", "l", [path], lambda: packing.read_tar_gz(path))


def zeros(start: bytes, megabytes: int) -> bytes:
    """``start``, then so many megabytes of zeros, compressed."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts = [packer.compress(start)]
    parts += [packer.compress(bytes(2**20)) for _ in range(megabytes)]
    return b"".join([*parts, packer.flush()])


@pytest.mark.parametrize("read", READERS)
def test_zeros_without_end_behind_the_last_member_are_refused(
    tmp_path: Path, read: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "RATIO_FROM", 2**22)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(zeros(gzip.decompress(tar_gz(HOSTILE[:1])), 24))
    with pytest.raises(BabelscopeError, match=r"x\.tar\.gz is refused: it unpacks to more than 200 times"):
        list(read(path))  # type: ignore[call-overload]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_claims_gigabytes_is_refused_while_it_is_read(
    tmp_path: Path, read: Callable[[Path], object], kind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tarfile reads extended headers whole, before anybody can look at their size."""
    monkeypatch.setattr(archives, "RATIO_FROM", 2**22)
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, 2**31
    path = tmp_path / "x.tar.gz"
    path.write_bytes(zeros(header.tobuf(), 24))
    with pytest.raises(BabelscopeError, match=r"x\.tar\.gz is refused"):
        list(read(path))  # type: ignore[call-overload]


@pytest.mark.parametrize("read", READERS)
def test_wherever_it_is_cut_it_is_told(tmp_path: Path, read: Callable[[Path], object]) -> None:
    whole = tar_gz([("a.wav", tarfile.REGTYPE, bytes(range(256)) * 40, "")])
    path = tmp_path / "x.tar.gz"
    for end in range(0, len(whole) - 1, 37):
        path.write_bytes(whole[:end])
        with pytest.raises(BabelscopeError, match=r"x\.tar\.gz"):
            list(read(path))  # type: ignore[call-overload]
