"""What another store holds is taken over: a side that two models share, and what a changed corpus left as it was."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from torch import Tensor

from babelscope import corpora
from babelscope.capture import Activations, encode
from babelscope.capture.layout import shard_key
from babelscope.capture.reuse import SharedSide
from babelscope.capture.store import Writer
from babelscope.corpora import Corpus
from babelscope.errors import UsageError
from babelscope.models import Model
from babelscope.models.base import Batch, Prepared, Side


def test_a_common_side_is_not_run_again(
    tmp_path: Path, tiny_model: Model, tones: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encode(tiny_model, tones, tmp_path / "whole.zarr")
    other = dataclasses.replace(tiny_model.select_points(["text.pooled", "speech.*"]), name="another")
    text = other.sides["text"]
    monkeypatch.setattr(type(text), "computes_as", lambda self, one: one.root is self.root)

    def run(self: object, batch: Batch) -> Mapping[str, Tensor]:
        raise AssertionError("the text side was run")

    told: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(type(text), "forward", run)
        taken = encode(
            other, tones, tmp_path / "taken.zarr", earlier=SharedSide(tiny_model, whole),
            progress=lambda what, done, total: told.append(done),
        )  # fmt: skip
    afresh = encode(other, tones, tmp_path / "afresh.zarr")
    assert told[-1] == 2 * len(tones.languages) * len(tones.sentences)
    for modality in ("text", "speech"):
        assert taken.points(modality) == afresh.points(modality)
        for language in tones.languages:
            for point in afresh.points(modality):
                np.testing.assert_array_equal(
                    taken.matrix(point, modality, language), afresh.matrix(point, modality, language)
                )
            np.testing.assert_array_equal(taken.positions(modality, language), afresh.positions(modality, language))
            np.testing.assert_array_equal(taken.lengths(modality, language), afresh.lengths(modality, language))
    for language in tones.languages:
        assert taken.texts(language) == afresh.texts(language)
        ids, again = taken.token_ids(language), afresh.token_ids(language)
        assert ids is not None and again is not None
        assert all(np.array_equal(one, two) for one, two in zip(ids, again, strict=True))


def test_what_is_not_known_to_be_the_same_is_run(tmp_path: Path, tiny_model: Model, tones: Corpus) -> None:
    whole = encode(tiny_model, tones, tmp_path / "whole.zarr")
    pooled = encode(
        tiny_model, tones, tmp_path / "max.zarr", pooling="max", earlier=SharedSide(tiny_model, whole)
    )  # fmt: skip
    language = tones.languages[0]
    point = whole.points("text")[0]
    assert not np.array_equal(pooled.matrix(point, "text", language), whole.matrix(point, "text", language))


# A store that is replaced, because the corpus changed.


class Counted:
    """Encodes in blocks of five, and counts the texts and recordings that the model was given, by language."""

    def __init__(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: Counter[str] = Counter()
        self.said: list[str] = []
        for side in model.sides.values():
            monkeypatch.setattr(type(side), "prepare", self._counting(type(side).prepare))

    def _counting(self, prepare: Callable[..., Prepared]) -> Callable[..., Prepared]:
        def counting(side: Side, item: Any, language: str) -> Prepared:
            self.given[f"{side.modality} {language}"] += 1
            return prepare(side, item, language)

        return counting

    def encode(self, model: Model, corpus: Corpus, path: Path, **more: Any) -> dict[str, int]:
        self.given.clear()
        self.said = []
        encode(model, corpus, path, block=5, progress=lambda what, done, total: self.said.append(what), **more)
        return dict(self.given)


def both(count: int, *languages: str) -> dict[str, int]:
    """So many texts and recordings of each language."""
    return {f"{modality} {language}": count for modality in ("text", "speech") for language in languages}


@pytest.fixture
def counted(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(tiny_model, monkeypatch)


@pytest.fixture
def own(manifest: Path, tmp_path: Path) -> Path:
    """A manifest of one's own, to be changed."""
    return Path(shutil.copytree(manifest.parent, tmp_path / "corpus")) / manifest.name


def load(manifest: Path, **select: Any) -> Corpus:
    return corpora.load("manifest", path=manifest).select(**select)


def change(manifest: Path, sentence: str, language: str, **columns: str) -> None:
    with manifest.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        if (row["sentence"], row["language"]) == (sentence, language):
            row.update(columns)
    with manifest.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def files(path: Path) -> dict[str, bytes]:
    found = {each.relative_to(path).as_posix(): each for each in path.rglob("*") if each.is_file()}
    # The root's description says when the store was made; the inventory has a checksum of the rest of it.
    return {name: each.read_bytes() for name, each in found.items() if name != "zarr.json"}


def assert_as_if_afresh(model: Model, corpus: Corpus, path: Path) -> None:
    afresh = path.with_name("afresh.zarr")
    encode(model, corpus, afresh, block=5)
    assert files(path) == files(afresh)
    assert Activations(path).identity == Activations(afresh).identity
    beside = {each.name for each in path.parent.iterdir() if each.name.startswith(f".{path.name}")}
    assert not {name for name in beside if name.endswith((".former", ".batches", ".old"))}
    shutil.rmtree(afresh)


def test_a_language_that_is_added_is_all_that_is_run(
    tiny_model: Model, own: Path, tmp_path: Path, counted: Counted
) -> None:
    path = tmp_path / "a.zarr"
    counted.encode(tiny_model, load(own, languages=["xa", "xc"]), path)
    whole = load(own)
    with pytest.raises(UsageError, match=r"another corpus, languages: .*; only what has changed"):
        counted.encode(tiny_model, whole, path)
    assert Activations(path).languages == ("xa", "xc"), "refused, it is left as it was"
    assert counted.encode(tiny_model, whole, path, overwrite=True) == both(12, "xb")
    assert "what changed: text xb, speech xb (12 of 18 blocks are reused)" in counted.said
    assert_as_if_afresh(tiny_model, whole, path)
    assert counted.encode(tiny_model, load(own, languages=["xb"]), path, overwrite=True) == {}
    assert_as_if_afresh(tiny_model, load(own, languages=["xb"]), path)


def test_what_is_run_is_the_block_of_a_text_or_recording_that_changed(
    tiny_model: Model, own: Path, tmp_path: Path, counted: Counted
) -> None:
    path = tmp_path / "a.zarr"
    counted.encode(tiny_model, load(own), path)
    change(own, "s06", "xb", text="quite another text")
    assert counted.encode(tiny_model, load(own), path, overwrite=True) == {"text xb": 5}
    assert_as_if_afresh(tiny_model, load(own), path)
    sound = own.parent / "xc-11.wav"
    samples, rate = soundfile.read(sound)
    soundfile.write(sound, samples[::-1], rate)  # as long as before, under the same name
    assert counted.encode(tiny_model, load(own), path, overwrite=True) == {"speech xc": 2}
    assert_as_if_afresh(tiny_model, load(own), path)
    fewer = load(own, ids=[f"s{number:02}" for number in range(12) if number != 7])
    given = counted.encode(tiny_model, fewer, path, overwrite=True)
    assert given == both(6, "xa", "xb", "xc"), "those behind it move up"
    assert_as_if_afresh(tiny_model, fewer, path)


def test_a_replacement_that_was_stopped_resumes_reusing(
    tiny_model: Model, own: Path, tmp_path: Path, counted: Counted
) -> None:
    path = tmp_path / "a.zarr"
    counted.encode(tiny_model, load(own, languages=["xa", "xb"]), path)
    real = Writer.write_block
    writes = 0

    def stopping(*given: Any) -> None:
        nonlocal writes
        writes += 1
        if writes == 4:
            raise KeyboardInterrupt
        real(*given)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Writer, "write_block", stopping)
        counted.encode(tiny_model, load(own), path, overwrite=True)
    assert path.with_name(".a.zarr.former").is_dir()
    assert counted.encode(tiny_model, load(own), path) == both(12, "xc"), "the language that was added"
    assert_as_if_afresh(tiny_model, load(own), path)


def test_of_another_model_or_pooling_nothing_is_taken(
    tiny_model: Model, own: Path, tmp_path: Path, counted: Counted
) -> None:
    path = tmp_path / "a.zarr"
    counted.encode(tiny_model, load(own), path)
    alone = load(own, languages=["xa"])
    assert counted.encode(tiny_model, alone, path, overwrite=True, pooling="max") == both(12, "xa")
    assert not path.with_name(".a.zarr.former").exists() and not any("what changed" in said for said in counted.said)
    other = dataclasses.replace(tiny_model, options={**tiny_model.options, "window_seconds": 3})
    assert counted.encode(other, alone, path, overwrite=True, pooling="max") == both(12, "xa")


def test_points_may_become_fewer(tiny_model: Model, own: Path, tmp_path: Path, counted: Counted) -> None:
    path = tmp_path / "a.zarr"
    few = tiny_model.select_points(["*.pooled", "speech.norm"])
    counted.encode(tiny_model, load(own), path)
    assert counted.encode(few, load(own), path, overwrite=True) == {}
    assert_as_if_afresh(few, load(own), path)
    assert counted.encode(tiny_model, load(own), path, overwrite=True) == both(12, "xa", "xb", "xc"), "and not more"


def test_a_damaged_block_is_made_anew(tiny_model: Model, own: Path, tmp_path: Path, counted: Counted) -> None:
    path = tmp_path / "a.zarr"
    counted.encode(tiny_model, load(own), path)
    shard = path / shard_key(0, 1, 1)
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 1
    shard.write_bytes(content)
    assert counted.encode(tiny_model, load(own, languages=["xa", "xb"]), path, overwrite=True) == {"text xb": 5}
    assert_as_if_afresh(tiny_model, load(own, languages=["xa", "xb"]), path)
