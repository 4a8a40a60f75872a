"""What a model may be called: registered and catalogue names, hub ids, folders, pairs; the rest is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from babelscope import models
from babelscope.errors import BabelscopeError, UsageError
from babelscope.models.catalogue import CATALOGUE
from babelscope.models.naming import declared, location
from babelscope.study import Study


@pytest.mark.parametrize(
    ("name", "parts", "readable"),
    [
        ("whisper-base", ("whisper-base",), "whisper-base"),
        ("bge-m3", ("bge-m3",), "bge-m3"),
        ("hf:Some-one/a_model-1.5", ("hf:Some-one/a_model-1.5",), "Some-one/a_model-1.5"),
        ("hf:owner/name@refs/pr/70", ("hf:owner/name@refs/pr/70",), "owner/name"),
        ("hf:./folder/", ("hf:./folder/",), "folder"),
        ("hf:/data/c++/model", ("hf:/data/c++/model",), "model"),
        ("whisper-base + e5-small", ("whisper-base", "e5-small"), "whisper-base+e5-small"),
        ("hf:a/speech+hf:b/text@v1", ("hf:a/speech", "hf:b/text@v1"), "a/speech+b/text"),
        ("hf:/data/a+b/speech+bge-m3", ("hf:/data/a+b/speech", "bge-m3"), "speech+bge-m3"),
    ],
)
def test_a_name_has_these_parts_and_results_bear_it_without_a_path(
    name: str, parts: tuple[str, ...], readable: str
) -> None:
    assert models.parts(name) == parts
    assert models.readable(name) == readable


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("qwen2-audio", "did you mean 'qwen2-audio-7b'?"),
        ("e5smal", "did you mean 'e5-small'?"),
        ("zzz", "babelscope models lists the names"),
        ("zzz", "any model of the hub is named 'hf:owner/name', a folder 'hf:./folder'"),
        ("Qwen/Qwen2-Audio-7B", "a model of the hub is named hf:Qwen/Qwen2-Audio-7B"),
        ("./folder", "a folder is named hf:./folder"),
        ("hf:", "neither a hub id"),
        ("hf:name", "neither a hub id"),
        ("hf:owner/name/more", "neither a hub id"),
        ("hf:owner/name@", "neither a hub id"),
        ("hf:owner/../name", "neither a hub id"),
        ("whisper-base+e5-small+bge-m3", "a pair is one speech model + one text model"),
        ("whisper-base+", "a pair is one speech model + one text model"),
        ("hf+hf", "model 'hf' is unknown"),
        ("whisper-base+whisper-base", "'whisper-base' has no text side"),
        ("bge-m3+whisper-base", "'bge-m3' has no speech side"),
    ],
)
def test_what_is_no_name_is_refused_in_one_line(name: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        models.parts(name)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_weights_beside_a_name_that_has_its_own_are_refused() -> None:
    with pytest.raises(UsageError, match="'hf:owner/name' names its weights itself: leave weights out"):
        models.weights_by_part("hf:owner/name", "folder")
    assert models.weights_by_part("bge-m3", "folder") == {"bge-m3": "folder"}


def test_a_hub_id_that_the_catalogue_knows_has_its_declaration_but_its_own_revision() -> None:
    known = CATALOGUE["bge-m3"]
    named = declared(f"hf:{known.source}@some-tag")
    assert named is not None
    assert (named.name, named.revision, named.licence) == (known.source, "some-tag", known.licence)
    assert location(named) == f"hf:{known.source}@some-tag"


def test_a_study_names_a_folder_relative_to_its_file(tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    lines = ['name = "x"', "[corpus]", 'source = "asterisk"', "[model]", 'name = "hf:./speech+hf:../text"']
    study.write_text("\n".join(lines))
    first, second = models.parts(Study.load(study).model.name)
    assert Path(first.removeprefix("hf:")) == tmp_path / "speech"
    assert Path(second.removeprefix("hf:")).resolve() == tmp_path.parent / "text"
    assert models.readable(Study.load(study).model.name) == "speech+text"


def test_a_study_with_a_hub_id_is_validated_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)
    said = {"name": "x", "corpus": {"source": "asterisk"}, "model": {"name": "hf:owner/name"}}
    assert Study.parse(said).model.name == "hf:owner/name"
    with pytest.raises(BabelscopeError, match=r"model\.name: model 'hf:owner': "):
        Study.parse(said | {"model": {"name": "hf:owner"}})


def test_every_declaration_of_the_catalogue_can_be_listed() -> None:
    for name, declaration in CATALOGUE.items():
        described = models.info(name)
        assert described.summary and described.modalities == declaration.modalities
        assert (described.declaration is None) == (name in models.known())
        json.dumps(vars(declaration))
