"""Results on a loopback hub: pushed with a card and metadata, opened again to the same tables, refused in one line."""

from __future__ import annotations

import base64
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pandas as pd
import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCardData

import babelscope
import hub_server
from babelscope import cli, compare
from babelscope.errors import DataError, FetchError, UsageError
from babelscope.publishing import contents, open_result, push_result
from babelscope.testing.planted import Planted, planted_activations

NAME = "someone/a-result"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("result")
    stored = planted_activations(made / "a.zarr", {"a": Planted(meaning=0.5)}, n=24, languages=("xa", "xb"), width=8)
    compare(stored, ["linear_cka"], permutations=19, interval=False, controls=["none"]).save(made / "result")
    return made / "result"


class Writable:
    """What the hub's routes for writing are sent."""

    def __init__(self, hub: hub_server.Hub) -> None:
        self.hub, self.asked, self.refuses, self.url = hub, list[str](), False, ""
        self.tokens: set[str | None] = set()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writable]:
    """A hub that takes commits, and hands reading on to the server of the other tests."""
    with hub_server.serving(NAME, {}, "dataset") as readable:
        state = Writable(readable)

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                state.asked.append(self.path)
                state.tokens.add(self.headers.get("Authorization"))
                if state.refuses:
                    self.send_error(401)
                    return
                self._say(self._answered(content))

            def _answered(self, content: bytes) -> Any:
                if self.path.endswith("/repos/create"):
                    return {"url": f"{state.url}/datasets/{NAME}", "id": NAME}
                if "/preupload/" in self.path:
                    told = {"uploadMode": "regular", "shouldIgnore": False}
                    return {"files": [{"path": each["path"]} | told for each in json.loads(content)["files"]]}
                if "/commit/" in self.path:
                    readable.files = {}
                    for line in map(json.loads, content.splitlines()):
                        if line["key"] == "file":
                            data = base64.b64decode(line["value"]["content"])
                            readable.files[line["value"]["path"]] = data
                    address = f"{state.url}/datasets/{NAME}/commit/{hub_server.COMMIT}"
                    return {"success": True, "commitOid": hub_server.COMMIT, "commitUrl": address}
                return {"errors": [], "warnings": []}  # of the card's metadata

            def do_GET(self) -> None:
                self.send_response(307)
                self.send_header("Location", f"{readable.url}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_GET  # noqa: N815

            def _say(self, answer: Any) -> None:
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        hub_server.point_the_client_to(readable.url, monkeypatch, tmp_path / "hf")
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", state.url)
        yield state
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_pushed_result_is_opened_again_to_the_same_tables(
    hub: Writable, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["push", str(folder), NAME]) == 0
    assert f"{hub.url}/datasets/{NAME}/commit/{hub_server.COMMIT}" in capsys.readouterr().out
    assert hub.tokens == {"Bearer hf_secret"}
    again, here = babelscope.open_result(f"hf:{NAME}"), open_result(folder)
    pd.testing.assert_frame_equal(again.scores, here.scores)
    pd.testing.assert_frame_equal(again.curves, here.curves)
    assert again.tables.keys() == here.tables.keys() and again.meta == here.meta
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert open_result(f"hf:{NAME}").meta == here.meta, "offline afterwards"


def test_the_card_and_the_metadata_are_what_the_hub_reads(folder: Path) -> None:
    pushed = contents(folder, NAME)
    card = DatasetCard(pushed["README.md"].decode())
    about = yaml.safe_load(card.data.to_yaml())
    assert about["license"] == "other" and about["configs"][0]["data_files"] == "scores.parquet"
    assert f'open_result("hf:{NAME}")' in card.text
    index = yaml.safe_load(pushed["model-index.yml"])
    assert ModelCardData(**index).eval_results, "as a model's card has it"
    (model,) = index["model-index"]
    result = open_result(folder)
    means = result.curves.query("group == 'mean' and control == 'none' and kind == 'modality_similarity'")
    value = float(means.sort_values("depth")["chance_corrected"].iloc[-1])
    values = {each["dataset"]["config"]: each["metrics"][0]["value"] for each in model["results"]}
    assert values["modality_similarity"] == pytest.approx(value, abs=1e-6)
    assert not any("zarr" in name for name in pushed)


def test_names_from_strangers_are_no_markup(folder: Path, tmp_path: Path) -> None:
    from babelscope.publishing import card

    result = open_result(folder)
    result.meta["model"]["name"] = "<script>alert(1)</script> [x](http://evil) | `y`"
    told = card(result, NAME).split("---", 2)[2]
    assert "<script>" not in told and "[x](" not in told


def test_what_is_wrong_is_one_line(hub: Writable, folder: Path, tmp_path: Path) -> None:
    for name in ("no-owner", "a/b/c", "../x", "https://huggingface.co/a/b"):
        with pytest.raises(UsageError, match="write owner/name"):
            push_result(folder, name)
    with pytest.raises(DataError, match="holds no result"):
        push_result(tmp_path, NAME)
    hub.refuses = True
    with pytest.raises(FetchError) as caught:
        push_result(folder, NAME)
    assert "\n" not in str(caught.value) and "HF_TOKEN" in str(caught.value)
    hub.hub.files = {"README.md": b"# nothing"}
    with pytest.raises(FetchError, match="none of the files"):
        open_result(f"hf:{NAME}")


def test_a_damaged_copy_is_refused_and_the_advice_heals_it(hub: Writable, folder: Path, tmp_path: Path) -> None:
    push_result(folder, NAME)
    open_result(f"hf:{NAME}")
    (file,) = (tmp_path / "cache" / "hub").rglob("scores.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match=f"scores.parquet is damaged .*babelscope fetch hf:datasets/{NAME}"):
        open_result(f"hf:{NAME}")
    assert cli.main(["fetch", f"hf:datasets/{NAME}"]) == 0
    open_result(f"hf:{NAME}")
    shutil.rmtree(tmp_path / "cache")
