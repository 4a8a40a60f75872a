"""Files in the layout of SIB-FLEURS and Belebele-FLEURS, from reading to related tasks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from babelscope import corpora
from babelscope.capture.encoding import encode
from babelscope.errors import DataError
from babelscope.gaps.own_tasks import tasks_table
from babelscope.models.base import Model, Prepared
from babelscope.testing.joint import joint_model

sys.path.insert(0, str(Path(__file__).parent.parent / "corpora"))

from fleurs_fixture import tones as readings
from slu_fixture import write_belebele, write_sib


def test_topics_of_sib_fleurs_are_scored(tmp_path: Path) -> None:
    corpus = corpora.load("sib-fleurs", path=write_sib(tmp_path / "sib", readings(["en_us", "it_it"]), rows=4))
    model = joint_model(corpus)
    table = tasks_table(model, corpus, encode(model, corpus, tmp_path / "a.zarr"))
    assert set(table["task"]) == {"topic"} and len(table) == 4 and (table["n"] == 6).all()
    assert table["accuracy"].between(0, 1).all() and table["clusters"].eq(2).all()


def test_questions_of_belebele_fleurs_are_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpora.load("belebele-fleurs", path=write_belebele(tmp_path / "b", readings(["en_us", "it_it"])))
    model: Model = joint_model(corpus)
    side = model.sides["text"]
    whole = type(side).prepare

    def prepare(self: object, item: object, language: str) -> Prepared:
        """A question has words that no sentence has: the planted model reads those it knows."""
        known = [word for word in str(item).split() if word in side.tokenizer.numbers]  # type: ignore[attr-defined]
        return whole(self, " ".join(known) or "Sentence", language)  # type: ignore[arg-type]

    activations = encode(model, corpus, tmp_path / "a.zarr")
    monkeypatch.setattr(type(side), "prepare", prepare)
    table = tasks_table(model, corpus, activations)
    assert set(table["task"]) == {"passage", "answer"} and set(table["modality"]) == {"text", "speech"}
    assert table[table["task"] == "answer"]["chance"].eq(0.25).all()
    assert table[table["task"] == "passage"]["chance"].eq(0.5).all()
    lines: list[str] = []
    assert tasks_table(None, corpus, activations, notice=lines.append).empty and len(lines) == 1


def test_a_corpus_without_labels_has_no_tasks(tmp_path: Path) -> None:
    corpus = corpora.load("sib-fleurs", path=write_sib(tmp_path / "sib", readings(["en_us", "it_it"]), rows=4))
    bare = corpora.Corpus(corpus.table.copy(), name="bare")
    model = joint_model(bare)
    with pytest.raises(DataError, match="no topics"):
        tasks_table(model, bare, encode(model, bare, tmp_path / "a.zarr"))
