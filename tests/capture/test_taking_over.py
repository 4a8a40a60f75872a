"""A side that two models have in common is run once: the second model's store takes over what the first one's holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from babelscope.capture import encode
from babelscope.capture.taking_over import Earlier
from babelscope.corpora import Corpus
from babelscope.models import Model
from babelscope.models.base import Batch


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
            other, tones, tmp_path / "taken.zarr", earlier=Earlier(tiny_model, whole),
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
        tiny_model, tones, tmp_path / "max.zarr", pooling="max", earlier=Earlier(tiny_model, whole)
    )  # fmt: skip
    language = tones.languages[0]
    point = whole.points("text")[0]
    assert not np.array_equal(pooled.matrix(point, "text", language), whole.matrix(point, "text", language))
