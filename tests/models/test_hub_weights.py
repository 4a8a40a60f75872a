"""Models by a hub id, from a loopback server that speaks the hub's routes: nothing is used that was not checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from babelscope import models
from babelscope.errors import DataError, FetchError, UsageError
from babelscope.fetch.hub import hub_folder
from babelscope.models.planning import plan
from babelscope.models.weights.places import locate
from babelscope.testing import tiny
from hub_server import COMMIT, Hub, digest_of, point_the_client_to, serving

NAME = "someone/e5-like"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"


@pytest.fixture
def hub(tmp_path: Path, e5_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    files = {path.name: path.read_bytes() for path in e5_folder.iterdir()}
    files |= {"pytorch_model.bin": b"pickled", "onnx/model.safetensors": b"of another kind"}
    with serving(NAME, files, "model") as state:
        monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "cache"))
        point_the_client_to(state.url, monkeypatch, tmp_path / "hf")
        yield state


def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def _in_their_cache(folder: Path, hub: Hub, names: tuple[str, ...]) -> Path:
    """Lay files where huggingface_hub keeps them; returns the folder of its blobs."""
    place = folder / f"models--{NAME.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    (place / "blobs").mkdir()
    for name in names:
        blob = place / "blobs" / digest_of(name, hub.files[name])
        blob.write_bytes(hub.files[name])
        link = place / "snapshots" / COMMIT / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return place / "blobs"


def test_weights_and_tokenizer_come_from_one_commit_and_are_asked_for_once(
    hub: Hub, e5_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.load("e5-small", weights=NAME)
    local = models.load("e5-small", weights=str(e5_folder))
    assert [file.sha256 for file in model.weights] == [file.sha256 for file in local.weights]
    assert [file.source for file in model.weights] == [f"hub {NAME} at {COMMIT[:12]}"]
    text = "a text"
    ours, theirs = (each.sides["text"].prepare(text, "en").inputs["input_ids"] for each in (model, local))
    assert ours.equal(theirs)
    fetched = {path for _, path, _ in hub.asked} - {"the list"}
    assert {WEIGHTS, TOKENIZER, "config.json"} <= fetched and not fetched & {
        "pytorch_model.bin",
        "onnx/model.safetensors",
    }

    hub.asked.clear()
    _offline(monkeypatch)
    assert models.load("e5-small", weights=NAME).weights == model.weights and not hub.asked


@pytest.mark.parametrize(("spoiled", "words"), [(TOKENIZER, "git hash differs"), (WEIGHTS, "sha256 differs")])
def test_other_bytes_than_the_hub_told_of_are_refused(hub: Hub, tmp_path: Path, spoiled: str, words: str) -> None:
    hub.bodies[spoiled] = hub.files[spoiled][:-1] + b"?"
    with pytest.raises(FetchError, match=words) as caught:
        models.load("e5-small", weights=NAME)
    assert spoiled in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "cache" / "hub").rglob(spoiled))
    hub.bodies.clear()
    assert models.load("e5-small", weights=NAME).modalities == ("text",)


def test_a_cut_line_is_taken_up(hub: Hub) -> None:
    hub.cuts[WEIGHTS] = [500]
    models.load("e5-small", weights=NAME)
    assert [wanted for method, path, wanted in hub.asked if (method, path) == ("GET", WEIGHTS)] == [None, "bytes=500-"]


def test_what_huggingface_hub_has_is_used_but_not_unchecked(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = _in_their_cache(tmp_path / "hf", hub, ("config.json", TOKENIZER, WEIGHTS))
    _offline(monkeypatch)
    assert models.load("e5-small", weights=NAME).weights[0].source.endswith(COMMIT[:12]) and not hub.asked
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    models.load("e5-small", weights=NAME)
    assert {path for _, path, _ in hub.asked} == {"the list"}
    _offline(monkeypatch)
    blob = blobs / digest_of(TOKENIZER, hub.files[TOKENIZER])
    blob.write_bytes(hub.files[TOKENIZER][:-1] + b"?")
    with pytest.raises(DataError, match=r"tokenizer.json is damaged \(git hash differs\)"):
        models.load("e5-small", weights=NAME)


def test_what_is_not_there_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(error: type[Exception], words: str, weights: str = NAME, **more: Any) -> None:
        with pytest.raises(error, match=words) as caught:
            models.load(more.get("name", "e5-small"), weights=weights)
        assert "\n" not in str(caught.value)

    told(FetchError, "the hub has no model someone/else, or wants a token", "someone/else")
    told(FetchError, "neither a local folder nor", "some/where/else")
    del hub.files[TOKENIZER]
    told(DataError, "holds no tokenizer.json")
    hub.files = {"README.md": b"# nothing"}
    with pytest.raises(FetchError, match=r"has none of the files config\.json"):
        hub_folder(NAME, ["config.json"])
    _offline(monkeypatch)
    told(FetchError, "HF_HUB_OFFLINE is set", "someone/else")


def test_small_files_come_first_and_weights_from_the_same_commit(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_files = (
        "processor_config.json preprocessor_config.json tokenizer_config.json special_tokens_map.json "
        "added_tokens.json chat_template.json vocab.json modules.json 1_Pooling/config.json 2_Dense/config.json "
        "adapter_config.json model.safetensors.index.json"
    )
    read = dict.fromkeys(settings_files.split(), b"{}")
    read |= {"chat_template.jinja": b"{{ messages }}", "merges.txt": b"a b", "spiece.model": b"\x0a", "vocab.txt": b"a"}
    weights = {"2_Dense/model.safetensors": b"dense", "adapter_model.safetensors": b"an adapter"}
    never = {"modeling_own.py": b"import os", "2_Dense/pytorch_model.bin": b"pickled", "checkpoint.pt": b"pickled"}
    hub.files |= read | weights | never
    hub.card = {"license": "other", "license_name": "own-licence"}

    settings = locate(f"hf:{NAME}@some/branch", weights=False)
    assert settings.source == f"hub {NAME} at {COMMIT[:12]}" and settings.licence == "own-licence"
    fetched = {path for _, path, _ in hub.asked} - {"the list"}
    assert fetched == {"config.json", TOKENIZER, *read} and hub.revisions == ["some/branch"]

    whole = locate(f"hf:{NAME}@some/branch", adapters=True)
    assert hub.revisions == ["some/branch", COMMIT]
    later = {path for _, path, _ in hub.asked} - {"the list"} - fetched
    assert later == {WEIGHTS, *weights}
    assert whole.licence == settings.licence and (whole.folder / "1_Pooling" / "config.json").is_file()

    hub.asked.clear()
    _offline(monkeypatch)
    assert locate(f"hf:{NAME}@some/branch", adapters=True) == whole and not hub.asked
    with pytest.raises(FetchError, match="HF_HUB_OFFLINE is set"):
        locate(f"hf:{NAME}@another")


def test_a_commit_that_was_asked_for_is_the_one_that_comes(hub: Hub) -> None:
    assert locate(f"hf:{NAME}@{COMMIT}", weights=False).folder.name == COMMIT
    with pytest.raises(FetchError, match="the hub answered with commit"):
        locate(f"hf:{NAME}@{'f' * 40}", weights=False)


def test_a_folder_of_the_same_name_is_not_taken_for_a_hub_id(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert locate(f"hf:{NAME}").source == f"hub {NAME} at {COMMIT[:12]}"


def test_a_gated_model_says_what_to_do(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated = True
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nonexistent")
    line = f"model {NAME} is gated: accept its licence on {hub.url}/{NAME}, then set HF_TOKEN to a token of the account"
    with pytest.raises(FetchError) as without:
        locate(f"hf:{NAME}", weights=False)
    assert line in str(without.value) and not {path for _, path, _ in hub.asked} - {"the list"}
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_who_did_not")
    with pytest.raises(FetchError) as refused:
        locate(f"hf:{NAME}", weights=False)
    assert line in str(refused.value)


def test_pickled_weights_alone_are_refused_before_they_are_fetched(hub: Hub) -> None:
    del hub.files[WEIGHTS], hub.files["onnx/model.safetensors"]
    with pytest.raises(FetchError) as caught:
        locate(f"hf:{NAME}")
    assert "has no *.safetensors but pytorch_model.bin" in str(caught.value)
    assert str(caught.value).endswith("save it with save_pretrained(FOLDER) and name that folder, as hf:./FOLDER")
    assert {path for _, path, _ in hub.asked} == {"the list", "config.json", TOKENIZER}


def test_a_conversion_that_the_hub_offers_is_named(hub: Hub) -> None:
    del hub.files[WEIGHTS], hub.files["onnx/model.safetensors"]
    hub.conversion = 12
    with pytest.raises(FetchError) as caught:
        locate(f"hf:{NAME}")
    assert f"or take the hub's own conversion, {NAME}@refs/pr/12" in str(caught.value)


def test_a_hub_id_is_a_model(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny("xlm-r", tmp_path / "reader")
    hub.files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    hub.card = {"license": "mit"}
    planned = plan(f"hf:{NAME}")
    assert planned.model.licence == "mit" and planned.model.modalities == ("text",) and not planned.from_weights
    assert not [path for _, path, _ in hub.asked if path.endswith(".safetensors")]

    model = models.load(f"hf:{NAME}")
    local = models.load(f"hf:{folder}")
    assert (model.name, local.name) == (NAME, "reader")
    assert [file.sha256 for file in model.weights] == [file.sha256 for file in local.weights]
    assert {file.source for file in model.weights} == {f"hub {NAME} at {COMMIT[:12]}"}
    assert str(tmp_path) not in repr((local.name, local.weights, local.options, local.notes))
    assert [point.name for point in planned.model.sides["text"].points] == [
        point.name for point in model.sides["text"].points
    ]

    hub.asked.clear()
    _offline(monkeypatch)
    assert models.load(f"hf:{NAME}").weights == model.weights and not hub.asked
    with pytest.raises(UsageError, match=f"'hf:{NAME}' has no speech side"):
        models.load(f"hf:{NAME}+hf:{folder}")
    with pytest.raises(UsageError, match=f"'hf:{NAME}' has no speech side"):
        plan(f"hf:{NAME}+hf:{folder}")


def test_an_adapter_alone_names_its_base(hub: Hub) -> None:
    hub.files = {"adapter_config.json": b'{"base_model_name_or_path": "owner/base"}', "adapter_model.safetensors": b"x"}
    with pytest.raises(DataError, match=r"PEFT adapter alone: name owner/base and this folder as its option 'adapter'"):
        locate(f"hf:{NAME}", weights=False)


@pytest.mark.parametrize("part", ["vicuna", "whisper"])
@pytest.mark.plugins
def test_a_part_of_salmonn_comes_the_same_way(hub: Hub, tmp_path: Path, part: str) -> None:
    folder = tiny("salmonn", tmp_path / "salmonn")
    own = next(path for path in folder.iterdir() if path.is_dir() and path.name.startswith(part))
    pickled = list(own.glob("*.bin"))
    hub.files = {path.name: path.read_bytes() for path in own.iterdir()} | {"README.md": b"read me"}
    local = models.load("salmonn-7b", weights=str(folder))
    own.rename(tmp_path / "elsewhere")
    model = models.load("salmonn-7b", weights=str(folder), options={part: NAME})
    assert {file.sha256 for file in model.weights} == {file.sha256 for file in local.weights}
    assert f"hub {NAME} at {COMMIT[:12]}" in {file.source for file in model.weights}
    fetched = {path for _, path, _ in hub.asked}
    assert "README.md" not in fetched and {path.name for path in pickled} <= fetched


def test_seamless_comes_the_same_way(hub: Hub, tmp_path: Path) -> None:
    folder = tiny("seamless-m4t-v2", tmp_path / "seamless")
    hub.files = {path.name: path.read_bytes() for path in folder.iterdir()} | {"original.pt": b"pickled"}
    model = models.load("seamless-m4t-v2-large", weights=NAME)
    assert model.modalities == ("text", "speech") and len(model.weights[0].sha256) == 64
    assert "original.pt" not in {path for _, path, _ in hub.asked}
