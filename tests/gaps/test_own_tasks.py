"""Tasks scored by nearest neighbour: planted topics are told, a sentence's own article is not looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from babelscope.capture.encoding import encode
from babelscope.capture.store import Activations
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.gaps.own_tasks import TASK_COLUMNS, TaskOptions, own_tasks, tasks_table
from babelscope.gaps.tasks import relate
from babelscope.testing.joint import joint_model
from babelscope.testing.selective import SelectiveVectors

TOPICS = np.repeat(["travel", "health", "sports"], 12)
LANGUAGES = ("xa", "xb", "xc", "xd", "xe", "xf")


def planted(noise: dict[str, float], by: np.ndarray[Any, Any], seed: int = 0) -> tuple[Corpus, Activations]:
    """36 sentences in articles of two; speech of each language is its topic's (or article's) vector and noise."""
    generator = np.random.default_rng(seed)
    sentences = tuple(f"s{row:02}" for row in range(36))
    meanings = {one: generator.standard_normal(16) for one in dict.fromkeys(by.tolist())}
    common = np.stack([meanings[one] for one in by.tolist()])
    vectors = {
        ("out", modality, language): common
        + (0.1 if modality == "text" else share) * generator.standard_normal((36, 16))
        for language, share in noise.items()
        for modality in ("text", "speech")
    }
    held = SelectiveVectors(vectors, tuple(noise), sentences, clusters=np.arange(36) // 2)
    empty = dict.fromkeys(("audio", "member", "reader", "seconds"))
    cells = [{"sentence": one, "language": language, "text": one, **empty} for one in sentences for language in noise]
    table = pd.DataFrame(cells)
    corpus = Corpus(table, name="planted", labels=pd.DataFrame({"category": TOPICS}, index=list(sentences)))
    return corpus, cast(Activations, held)


def test_planted_topics_are_told_as_far_as_speech_is_clear() -> None:
    noise = dict(zip(LANGUAGES, (0.1, 0.5, 1.0, 2.0, 4.0, 50.0), strict=True))
    corpus, activations = planted(noise, TOPICS)
    table = tasks_table(None, corpus, activations)
    assert tuple(table.columns) == TASK_COLUMNS
    speech = table[table["modality"] == "speech"].set_index("language")
    accuracy = dict(zip(speech.index, speech["accuracy"].to_numpy(dtype=float), strict=True))
    assert accuracy["xa"] == 1 and accuracy["xf"] < 0.6
    assert (table[table["modality"] == "text"]["accuracy"] == 1).all()
    # 10 of the 34 sentences of other articles have the topic.
    assert speech["chance"].to_numpy() == pytest.approx(10 / 34)
    assert speech["clusters"].tolist() == [18] * 6
    place = {
        "kind": "modality_similarity",
        "measure": "linear_cka",
        "control": "none",
        "point_a": "out",
        "point_b": "out",
    }
    scores = pd.DataFrame(
        [
            place | {"language_a": one, "language_b": one, "value": -share, "chance_corrected": -share}
            for one, share in noise.items()
        ]
    )
    related = relate(scores, own_tasks(table)[["topic_speech"]])
    assert related["rho"].item() > 0.85


def test_a_sentence_is_not_told_by_its_own_article() -> None:
    """Vectors of articles that say nothing of topics: with the article's other sentence all would be right."""
    accuracy = []
    for seed in range(20):
        corpus, activations = planted(dict.fromkeys(LANGUAGES[:2], 0.1), np.arange(36) // 2, seed)
        accuracy.append(tasks_table(None, corpus, activations)["accuracy"].mean())
    assert np.mean(accuracy) == pytest.approx(10 / 34, abs=0.06)


def test_what_cannot_be_scored_is_said_in_a_line(tones: Corpus, tmp_path: Path) -> None:
    corpus, activations = planted({"xa": 0.1}, TOPICS)
    with pytest.raises(UsageError, match=r"tasks\.reference: 'xz' is no language of the study"):
        tasks_table(None, corpus, activations, TaskOptions(reference="xz"))
    model = joint_model(tones)
    with pytest.raises(DataError, match=r"has no topics \(category\) and no questions among its labels"):
        tasks_table(model, tones, encode(model, tones, tmp_path / "a.zarr"))
