from __future__ import annotations

import errno
import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from babelscope.cache import CACHE_VARIABLE
from babelscope.errors import FetchError, UsageError
from babelscope.fetch import Asset, asset_folder, asset_record, catalogue, fetch, is_fetched
from babelscope.fetch.sources import Recipe, WebFile
from making_archives import Server, serving, sha256

CONTENT = {"/one.bin": b"one" * 1000, "/two.bin": b"two" * 2000, "/other.bin": b"other"}


class Shop(NamedTuple):
    server: Server
    cache: Path
    offer: Callable[..., None]

    def asked(self) -> Counter[str]:
        return Counter(path for path, _ in self.server.asked)


def copy_all(downloads: Mapping[str, Path], folder: Path) -> None:
    for name, path in downloads.items():
        (folder / name).write_bytes(path.read_bytes())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """An asset 'thing' of two files on a local server."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with serving() as server:
        server.files.update(CONTENT)

        def source(path: str) -> WebFile:
            return WebFile(server.url + path, sha256(CONTENT[path]), len(CONTENT[path]))

        def offer(*ways: tuple[str, ...], build: Callable[[Mapping[str, Path], Path], None] = copy_all) -> None:
            recipes = tuple(Recipe(" + ".join(way), tuple(map(source, way)), build) for way in ways)
            asset = Asset("thing", "a thing", "CC0-1.0", "nobody", ("one.bin", "two.bin"), recipes)
            monkeypatch.setitem(catalogue.ASSETS, "thing", asset)

        offer(("/one.bin", "/two.bin"))
        yield Shop(server, tmp_path / "cache", offer)


def test_what_is_not_here_is_told_with_the_remedy(shop: Shop) -> None:
    assert not is_fetched("thing")
    with pytest.raises(FetchError, match=r"thing is not here yet: run 'babelscope fetch thing'"):
        asset_folder("thing")


def test_an_unknown_asset_is_a_usage_error_and_nothing_is_fetched(shop: Shop) -> None:
    with pytest.raises(UsageError, match="did you mean 'asterisk'"):
        fetch(["thing", "asterix"], progress=False)
    assert not is_fetched("thing")


def test_an_asset_is_whole_recorded_and_works_offline(shop: Shop) -> None:
    fetch(["thing", "thing"], progress=False)
    assert (asset_folder("thing") / "two.bin").read_bytes() == CONTENT["/two.bin"]
    record = asset_record("thing")
    assert record["files"] == {"one.bin": sha256(CONTENT["/one.bin"]), "two.bin": sha256(CONTENT["/two.bin"])}
    assert record["licence"] == "CC0-1.0"
    assert not (shop.cache / "downloads" / "thing").exists()
    shop.server.files.clear()
    fetch(["thing"], progress=False)
    assert shop.asked() == {"/one.bin": 1, "/two.bin": 1}


def test_verified_downloads_survive_a_failure_and_are_not_got_again(shop: Shop) -> None:
    two = shop.server.files.pop("/two.bin")
    with pytest.raises(FetchError, match="404"):
        fetch(["thing"], progress=False)
    assert not is_fetched("thing")
    shop.server.files["/two.bin"] = two
    fetch(["thing"], progress=False)
    assert shop.asked()["/one.bin"] == 1
    assert is_fetched("thing")


def test_a_kept_download_that_was_damaged_is_got_again(shop: Shop) -> None:
    folder = shop.cache / "downloads" / "thing"
    folder.mkdir(parents=True)
    (folder / "one.bin").write_bytes(b"damaged")
    fetch(["thing"], progress=False)
    assert (asset_folder("thing") / "one.bin").read_bytes() == CONTENT["/one.bin"]


def test_the_second_source_is_tried_when_the_first_fails(shop: Shop) -> None:
    shop.offer(("/one.bin", "/two.bin"), ("/other.bin",))
    shop.server.files["/two.bin"] = bytes(len(CONTENT["/two.bin"]))
    fetch(["thing"], progress=False)
    assert asset_record("thing")["way"] == "/other.bin"
    assert [path.name for path in sorted(asset_folder("thing").iterdir())] == ["asset.json", "other.bin"]


def test_when_every_source_fails_each_reason_is_told_in_one_line(shop: Shop) -> None:
    shop.offer(("/one.bin",), ("/other.bin",))
    shop.server.files.clear()
    with pytest.raises(FetchError, match=r"one\.bin: .*404.*other\.bin: .*404") as caught:
        fetch(["thing"], progress=False)
    assert "\n" not in str(caught.value)


def test_a_build_that_was_cut_short_is_not_taken_for_whole(shop: Shop) -> None:
    place = shop.cache / "assets" / "thing"
    place.mkdir(parents=True)
    (place / "one.bin").write_bytes(b"half")
    (place / "stray.bin").write_bytes(b"")
    assert not is_fetched("thing")
    fetch(["thing"], progress=False)
    assert sorted(path.name for path in place.iterdir()) == ["asset.json", "one.bin", "two.bin"]


@pytest.mark.parametrize("damage", ["file gone", "record cut"])
def test_an_asset_that_lost_something_is_fetched_again(shop: Shop, damage: str) -> None:
    fetch(["thing"], progress=False)
    if damage == "file gone":
        (asset_folder("thing") / "two.bin").unlink()
    else:
        (asset_folder("thing") / "asset.json").write_text('{"files": ')
    assert not is_fetched("thing")
    fetch(["thing"], progress=False)
    assert json.loads((asset_folder("thing") / "asset.json").read_text())["name"] == "thing"
    assert (asset_folder("thing") / "two.bin").exists()


def test_a_disk_that_fills_up_is_told_keeps_the_downloads_and_asks_no_second_source(shop: Shop) -> None:
    def full(downloads: Mapping[str, Path], folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    shop.offer(("/one.bin",), ("/other.bin",), build=full)
    with pytest.raises(FetchError, match="the disk is full"):
        fetch(["thing"], progress=False)
    assert shop.asked() == {"/one.bin": 1}
    assert (shop.cache / "downloads" / "thing" / "one.bin").exists()
    shop.offer(("/one.bin",))
    fetch(["thing"], progress=False)
    assert shop.asked() == {"/one.bin": 1}


def test_too_little_space_is_told_before_anything_is_downloaded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(shop.cache.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000))
    with pytest.raises(FetchError, match="the disk is full"):
        fetch(["thing"], progress=False)
    assert not shop.server.asked


def test_two_fetches_at_once_make_one_asset(shop: Shop) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            fetch(["thing"], progress=False)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert shop.asked() == {"/one.bin": 1, "/two.bin": 1}
    assert is_fetched("thing")


def test_the_catalogue_names_licence_attribution_and_pins() -> None:
    for asset in catalogue.ASSETS.values():
        assert asset.licence and asset.attribution and asset.what and asset.files
        for recipe in asset.recipes:
            assert len({source.file_name for source in recipe.sources}) == len(recipe.sources)
            for source in recipe.sources:
                assert len(source.sha256) == 64 and source.size > 0


@pytest.mark.assets
@pytest.mark.parametrize("name", ["asterisk", "whisper-base", "e5-small"])
def test_the_real_assets_hold_what_was_recorded(name: str) -> None:
    folder, record = asset_folder(name), asset_record(name)
    assert {path.name for path in folder.iterdir()} == {*record["files"], "asset.json"}
    for file, digest in record["files"].items():
        assert sha256((folder / file).read_bytes()) == digest
