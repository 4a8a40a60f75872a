"""Two stores of the same sentences: the difference that was planted, and a clear line where nothing can be paired."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from babelscope.capture import Activations
from babelscope.errors import DataError, UsageError
from babelscope.gaps.paired import PAIRED_COLUMNS, paired
from babelscope.testing import Planted, planted_activations

LANGUAGES = ("xa", "xb", "xc")
KINDS = ("modality_similarity", "language_similarity_text")


def store(folder: Path, name: str, meaning: float, n: int = 40, seed: int = 0) -> Activations:
    points = {"shared.0": Planted(meaning=0.2, modality=0.5), "shared.1": Planted(meaning=meaning, modality=0.1)}
    return planted_activations(folder / name, points, n=n, languages=LANGUAGES, width=16, seed=seed)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Activations:
    return store(tmp_path_factory.mktemp("paired"), "earlier.zarr", 0.3)


def test_a_checkpoint_that_brings_them_nearer_is_found(earlier: Activations, tmp_path: Path) -> None:
    found = paired(earlier, store(tmp_path, "later.zarr", 0.8), kinds=["modality_similarity"])
    assert tuple(found.columns) == PAIRED_COLUMNS
    assert set(found["group"]) == {"mean", *LANGUAGES}
    mean = found[found["group"] == "mean"].set_index("point_a")
    assert mean["low"]["shared.1"] > 0.3  # 0.64 less 0.09 was planted
    assert mean.loc["shared.0", "difference"] == pytest.approx(0, abs=1e-12)  # the same vectors: the same seed
    assert (found["difference"] - (found["chance_corrected_b"] - found["chance_corrected_a"])).abs().max() < 1e-12
    assert mean.loc["shared.1", "holds_for"] == "other sentences and languages"
    assert set(found.loc[found["group"] != "mean", "holds_for"]) == {"other sentences"}


def test_two_layers_of_one_store(earlier: Activations) -> None:
    found = paired(earlier, earlier, points=[("shared.0", "shared.1")], kinds=KINDS)
    assert set(found["kind"]) == set(KINDS)
    text = found[(found["kind"] == "language_similarity_text") & (found["group"] == "mean")].iloc[0]
    assert (text["point_a"], text["point_b"], text["groups"]) == ("shared.0", "shared.1", 3)
    assert text["difference"] == pytest.approx(0.4**2 - 0.7**2, abs=0.12)


def test_without_a_point_in_common_the_outputs_are_paired(earlier: Activations, tmp_path: Path) -> None:
    points = {"other.0": Planted(meaning=0.1), "other.1": Planted(meaning=0.6)}
    other = planted_activations(tmp_path / "b.zarr", points, n=40, languages=LANGUAGES, width=8)
    found = paired(earlier, other, kinds=["modality_similarity"])
    assert set(zip(found["point_a"], found["point_b"], strict=True)) == {("shared.1", "other.1")}


def test_other_sentences_are_refused(earlier: Activations, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hold 40 and 30 sentences"):
        paired(earlier, store(tmp_path, "fewer.zarr", 0.5, n=30))
    with pytest.raises(DataError, match="other recordings: that of sentence 's0"):
        paired(earlier, store(tmp_path, "other.zarr", 0.5, seed=1))


def test_what_is_unknown_is_named(earlier: Activations) -> None:
    with pytest.raises(UsageError, match=r"no point 'shared.2'.*did you mean"):
        paired(earlier, earlier, points=[("shared.2", "shared.1")])
    with pytest.raises(UsageError, match="did you mean 'modality_similarity'"):
        paired(earlier, earlier, kinds=["modality_similaritys"])
    with pytest.raises(UsageError, match="linear_cka"):
        paired(earlier, earlier, ["linear_ck"])


def test_a_layer_differs_from_itself_by_nothing(earlier: Activations) -> None:
    found = paired(earlier, earlier, points=[("shared.1", "shared.1")], kinds=["modality_similarity"])
    assert np.allclose(found["difference"], 0)
    assert found[["low", "high"]].isna().all(axis=None)  # no sentence moves it, so that no interval can be told
