"""FLEURS from a loopback server that speaks the hub's routes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from babelscope import corpora
from babelscope.errors import BabelscopeError
from fleurs_fixture import files_of, tones, write
from hub_server import COMMIT, Hub, digest_of, point_the_client_to, serving

TAR, TSV = "data/en_us/audio/test.tar.gz", "data/en_us/test.tsv"

SCRIPT = "import json, sys, test_fleurs_hub; print(json.dumps(test_fleurs_hub.loaded(**json.loads(sys.argv[1]))))"


def loaded(corpus: str = "fleurs", **options: Any) -> dict[str, Any]:
    """Load the corpus, and describe it, or the error."""
    try:
        data = corpora.load(corpus, progress=False, **options)
    except BabelscopeError as error:
        assert "\n" not in str(error)
        return {"error": str(error), "kind": type(error).__name__}
    described = {"fingerprint": data.fingerprint(), "sentences": len(data), "languages": list(data.languages)}
    return described | {"notes": list(data.notes)}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving("google/fleurs", files_of(tones(["en_us", "it_it"], sentences=4))) as state:
        yield state


class Runs:
    """Loads the corpus with a cache of its own."""

    def __init__(self, folder: Path, url: str, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.url, self._patch = folder, url, patch

    def __call__(self, *, offline: bool = False, url: str | None = None, **options: Any) -> dict[str, Any]:
        with self._patch.context() as patch:
            patch.setenv("BABELSCOPE_CACHE", str(self.folder / "cache"))
            point_the_client_to(url or self.url, patch, self.folder / "hf" / "hub", offline=offline)
            return loaded(**{"languages": ["en"]} | options)

    def apart(self, **options: Any) -> dict[str, Any]:
        """Load it in a process of its own, where the environment says what is set, as it is for a user."""
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")} | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(self.folder / "hf"),
            "BABELSCOPE_CACHE": str(self.folder / "cache"),
            "HF_HUB_OFFLINE": "0",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        command = [sys.executable, "-c", SCRIPT, json.dumps({"languages": ["en"]} | options)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        described: dict[str, Any] = json.loads(done.stdout)
        return described

    def parts(self) -> list[Path]:
        return sorted(each for each in (self.folder / "cache").rglob("*") if each.is_file())


@pytest.fixture
def load(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(tmp_path, hub.url, monkeypatch)


def test_the_hub_gives_what_a_local_copy_gives(
    hub: Hub, load: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "another"))
    copy = write(tmp_path / "copy", tones(["en_us", "it_it"], sentences=4))
    told = load(languages=["en", "it"], splits="dev+test")
    local = corpora.load("fleurs", path=copy, splits="dev+test")
    assert told["fingerprint"] == local.fingerprint() and told["languages"] == ["en_us", "it_it"]
    assert any(COMMIT in note for note in told["notes"])
    assert not [each for each in load.parts() if each.name.endswith((".gz", ".part"))]  # packed, and gone

    asked = len(hub.asked)
    again = load(offline=True, languages=["en", "it"], splits="dev+test")
    assert again == told and len(hub.asked) == asked


def test_restored_recordings_have_a_repository_of_their_own(hub: Hub, load: Runs) -> None:
    hub.repository = "google/fleurs-r"
    told = load(corpus="fleurs-r")
    assert told["sentences"] == 4 and any(note.startswith("google/fleurs-r at") for note in told["notes"])
    assert load(offline=True, corpus="fleurs-r") == told
    assert load(offline=True)["kind"] == "FetchError"  # google/fleurs is another one


def test_texts_alone_fetch_no_recording(hub: Hub, load: Runs) -> None:
    texts = load(modalities=["text"])
    assert texts["sentences"] == 4 and {path for _, path, _ in hub.asked} == {"the list", TSV}
    assert load(offline=True, modalities=["text"]) == texts
    told = load(offline=True)
    assert told["kind"] == "FetchError" and TAR in told["error"]  # texts are no reason to believe in recordings

    hub.asked.clear()
    both = load()
    assert both["fingerprint"] != texts["fingerprint"] and {path for _, path, _ in hub.asked} == {"the list", TSV, TAR}
    assert load(offline=True, modalities=["text"])["fingerprint"] == texts["fingerprint"]


def test_a_cut_line_is_taken_up_within_the_run(hub: Hub, load: Runs) -> None:
    hub.cuts[TAR] = [5000]
    assert load()["sentences"] == 4
    assert [wanted for method, path, wanted in hub.asked if (method, path) == ("GET", TAR)] == [None, "bytes=5000-"]


def test_and_by_the_next_run(hub: Hub, load: Runs) -> None:
    part = load.folder / "cache" / "downloads" / "fleurs"
    hub.cuts[TAR] = [7000]
    hub.refused_after_a_cut = True
    told = load()
    assert told["kind"] == "FetchError" and "answered 403" in told["error"]
    kept = list(part.glob("en_us-test-*.tar.gz.part"))
    assert len(kept) == 1 and kept[0].stat().st_size == 7000
    hub.refused.clear()
    hub.refused_after_a_cut = False
    hub.asked.clear()
    assert load()["sentences"] == 4
    assert [wanted for method, path, wanted in hub.asked if (method, path) == ("GET", TAR)] == ["bytes=7000-"]


def test_two_processes_fetch_it_once(hub: Hub, load: Runs) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: load.apart(), range(2))
    assert one == two and one["sentences"] == 4
    assert [path for method, path, _ in hub.asked if method == "GET"].count(TAR) == 1


def test_other_bytes_than_the_hub_told_of_are_refused(hub: Hub, load: Runs) -> None:
    hub.bodies[TAR] = hub.files[TAR][:-1] + b"?"
    told = load()
    assert told["kind"] == "FetchError" and "sha256 differs" in told["error"] and TAR in told["error"]
    assert not [each for each in load.parts() if ".gz" in each.name or each.suffix == ".zip"]
    hub.bodies = {TSV: hub.files[TSV].replace(b"Sentence 1", b"Sentence 7")}
    told = load()
    assert told["kind"] == "FetchError" and "git hash differs" in told["error"] and TSV in told["error"]
    hub.bodies.clear()
    assert load()["sentences"] == 4


def test_offline_and_without_network_it_says_what_is_missing(hub: Hub, load: Runs) -> None:
    told = load(offline=True)
    assert told["kind"] == "FetchError" and not hub.asked
    assert TAR in told["error"] and "HF_HUB_OFFLINE" in told["error"] and "local copy" in told["error"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    told = load(url=url)
    assert told["kind"] == "FetchError" and "no network" in told["error"] and url in told["error"]


def test_what_the_hub_does_not_have(hub: Hub, load: Runs) -> None:
    del hub.files[TAR]
    told = load()
    assert told["kind"] == "FetchError" and f"the hub has no {TAR}" in told["error"]
    hub.repository = "somebody/else"
    told = load()
    assert told["kind"] == "FetchError" and "google/fleurs" in told["error"]
    assert load(revision="../../x")["kind"] == "UsageError"


def test_a_copy_in_the_cache_of_huggingface_hub_is_used(hub: Hub, load: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load()
    place = load.folder / "hf" / "hub" / "datasets--google--fleurs"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    (place / "blobs").mkdir()
    for path in (TAR, TSV):
        blob = place / "blobs" / digest_of(path, hub.files[path])
        blob.write_bytes(hub.files[path])
        link = place / "snapshots" / COMMIT / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    fresh = Runs(load.folder / "fresh", hub.url, monkeypatch)
    fresh.folder.mkdir()
    (load.folder / "hf").rename(fresh.folder / "hf")
    hub.asked.clear()
    assert fresh(offline=True) == whole and not hub.asked

    blob = fresh.folder / "hf" / "hub" / place.name / "blobs" / digest_of(TAR, hub.files[TAR])
    blob.write_bytes(hub.files[TAR][:-1] + b"?")
    for each in fresh.parts():
        each.unlink()
    told = fresh(offline=True)
    assert told["kind"] == "DataError" and "sha256 differs" in told["error"] and str(blob) in told["error"]
