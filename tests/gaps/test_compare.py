"""Gaps on planted activations: what was planted is found, what was not is not, and everything is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from babelscope.capture import Activations, encode
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.gaps import CURVE_COLUMNS, SCORE_COLUMNS, Result, compare, plan
from babelscope.gaps.pairing import shown_points
from babelscope.gaps.result import TABLE_COLUMNS
from babelscope.models import Model
from babelscope.testing import Planted, planted_activations

RISING = {
    "shared.layer.0": Planted(meaning=0.05, modality=0.6, language=0.1),
    "shared.layer.1": Planted(meaning=0.4, modality=0.3, language=0.1),
    "shared.layer.2": Planted(meaning=0.8, modality=0.05, language=0.05),
}


@pytest.fixture(scope="module")
def rising(tmp_path_factory: pytest.TempPathFactory) -> Result:
    store = planted_activations(tmp_path_factory.mktemp("planted") / "a.zarr", RISING, n=50)
    return compare(store, ["svcca(variance=0.9)", "linear_cka", "retrieval"], permutations=99)


def _mean(result: Result, kind: str, measure: str, control: str = "none") -> pd.DataFrame:
    rows = result.curves
    chosen = rows[
        (rows["kind"] == kind) & (rows["measure"] == measure) & (rows["control"] == control) & (rows["group"] == "mean")
    ]
    return chosen.sort_values("depth")


def test_the_planted_convergence_is_found_at_every_layer(rising: Result) -> None:
    for kind in ("modality_similarity", "language_similarity_text", "language_similarity_speech"):
        for measure in ("linear_cka", "retrieval"):
            curve = _mean(rising, kind, measure)
            assert list(curve["point"]) == list(RISING)
            assert curve["value"].iloc[-1] > 0.5 > curve["null_q95"].iloc[-1]
            if kind == "modality_similarity":
                assert curve["value"].is_monotonic_increasing
                assert curve["calibrated"].iloc[0] < 0.15


def test_languages_agree_where_the_modality_is_what_differs(rising: Result) -> None:
    """At the first point texts of two languages share 65 % of their variance, text and speech of one language 15 %."""
    assert (
        _mean(rising, "language_similarity_text", "linear_cka")["value"].iloc[0]
        > 3 * _mean(rising, "modality_similarity", "linear_cka")["value"].iloc[0]
    )


def test_every_row_has_its_null_and_shuffled_data_stay_at_it(rising: Result) -> None:
    assert list(rising.scores.columns) == list(SCORE_COLUMNS)
    assert list(rising.curves.columns) == list(CURVE_COLUMNS)
    judged = rising.scores[rising.scores["control"] != "shuffled"]
    assert judged[["value", "null_mean", "null_sd", "null_q95", "calibrated", "p", "n"]].notna().all().all()
    plain = judged[judged["control"] == "none"]
    told = plain[plain["low"].notna()]
    assert (told["low"] < told["high"]).all() and (told["low"] <= told["value"]).all()
    untold = plain[plain["low"].isna()]
    drawn = untold["measure"] == "svcca(variance=0.9)"  # its intervals are drawn only where they are asked for
    assert drawn.sum() == (plain["measure"] == "svcca(variance=0.9)").sum()
    assert untold.loc[~drawn, "value"].isin([0, 1]).all(), "where no sentence misses, how far is not estimable"
    assert set(judged["null"]) == {"closed form"} and set(judged["convention"]) >= set(plain["convention"])
    shuffled = rising.scores[rising.scores["control"] == "shuffled"].merge(
        plain, on=["kind", "point_a", "point_b", "language_a", "language_b", "measure"], suffixes=("", "_null")
    )
    assert len(shuffled) == len(plain)
    for measure, rows in shuffled.groupby("measure"):
        excess = (rows["value"] - rows["null_mean_null"]) / rows["null_sd_null"]
        assert abs(excess.mean()) < 1.0, measure


def test_the_interval_of_a_mean_is_for_other_sentences_and_languages(rising: Result) -> None:
    """Not the average of the languages' own intervals, which knows of no other language."""
    of_all = rising.tables["by_class"].query("group == 'all' and control == 'none'")
    keys = ["kind", "measure", "point", "against"]
    means = rising.curves.query("group == 'mean' and control == 'none'")
    both = means.merge(of_all, on=keys, suffixes=("", "_all"))
    assert len(both) == len(means) == len(of_all)
    for name in ("value", "low", "high"):
        np.testing.assert_allclose(both[name], both[f"{name}_all"])
    told = means[(means["measure"] != "svcca(variance=0.9)") & (means["value"] < 1)]
    assert (told["low"] < told["value"]).all() and (told["high"] <= 1).all()
    assert means.drop(told.index)["low"].isna().all()
    assert rising.meta["options"]["interval_of_means"] == "other sentences and languages"
    controlled = rising.curves.query("group == 'mean' and control != 'none'")
    assert controlled[["low", "high"]].isna().all().all()


def test_the_mean_over_two_languages_has_an_interval_for_other_sentences(tmp_path: Path) -> None:
    points = {"shared.layer.0": Planted(meaning=0.5)}
    store = planted_activations(tmp_path / "a.zarr", points, n=40, languages=("xa", "xb"))
    result = compare(store, ["linear_cka"], permutations=19, controls=("none",), kinds=["modality_similarity"])
    rows = result.curves.set_index("group")
    assert result.meta["options"]["interval_of_means"] == "other sentences"
    widths = rows["high"] - rows["low"]
    assert 0 < widths["mean"] < widths[["xa", "xb"]].max()  # two languages' noise averages out in part
    assert result.tables["by_class"]["low"].isna().all()


def test_length_alone_is_found_and_its_control_removes_it(tmp_path: Path) -> None:
    points = {"shared.layer.0": Planted(length=0.5), "shared.layer.1": Planted(length=0.3, meaning=0.5)}
    result = compare(
        planted_activations(tmp_path / "a.zarr", points, n=60),
        ["linear_cka", "retrieval"],
        permutations=99,
        interval=False,
    )
    raw, less = (
        _mean(result, "modality_similarity", "linear_cka", control) for control in ("none", "length_regressed")
    )
    assert raw["value"].iloc[0] > 0.5 and abs(less["value"].iloc[0]) < 0.1
    assert less["value"].iloc[1] > 0.4
    scores = result.scores
    bare = result.tables["baselines"].query("baseline == 'lengths' and measure == 'retrieval' and group != 'mean'")
    assert (bare["value"] > bare["null_q95"]).mean() > 0.8
    lengthless = scores[(scores["control"] == "length_regressed") & (scores["point_a"] == "shared.layer.0")]
    assert (lengthless["p"] < 0.05).mean() < 0.25


def test_pure_noise_is_nowhere_beyond_chance(tmp_path: Path) -> None:
    points = {f"shared.layer.{index}": Planted() for index in range(4)}
    result = compare(
        planted_activations(tmp_path / "a.zarr", points, n=40, languages=("xa", "xb")), permutations=99, interval=False
    )
    judged = result.scores[result.scores["control"].isin(["none", "length_regressed"])]
    assert (judged["p"] < 0.05).mean() < 0.15
    assert (
        "no" in " ".join(result.meta["headline"]).lower()
        or _mean(result, "modality_similarity", "linear_cka")["value"].abs().max() < 0.1
    )


def test_a_result_is_read_back_and_a_damaged_one_is_refused(rising: Result, tmp_path: Path) -> None:
    folder = rising.save(tmp_path / "out")
    again = Result.load(folder)
    pd.testing.assert_frame_equal(again.scores, rising.scores)
    pd.testing.assert_frame_equal(again.curves, rising.curves, check_exact=False)
    assert again.meta == rising.meta
    assert len(pd.read_csv(folder / "scores.csv")) == len(rising.scores)
    (folder / "scores.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="damaged"):
        Result.load(folder)
    with pytest.raises(DataError, match="holds no result"):
        Result.load(tmp_path)


def test_a_result_that_is_read_and_saved_again_has_the_same_bytes(rising: Result, tmp_path: Path) -> None:
    assert "baselines" in rising.tables, "whose rows of means have no language"
    of_means = rising.tables["baselines"]["language_a"].isna()
    assert 0 < of_means.sum() < len(of_means)
    saved = rising.save(tmp_path / "saved")
    again = Result.load(saved).save(tmp_path / "again")
    files = {file.relative_to(saved) for file in saved.rglob("*") if file.is_file()}
    assert files == {file.relative_to(again) for file in again.rglob("*") if file.is_file()}
    assert [file for file in sorted(files) if (saved / file).read_bytes() != (again / file).read_bytes()] == []


def test_numbers_in_the_headline_stand_in_the_scores(rising: Result) -> None:
    first, second = rising.meta["headline"]
    best = _mean(rising, "modality_similarity", "linear_cka").iloc[-1]
    assert f"{best['value']:.2f}" in first and "shared.layer.2" in first and "3 of 3 languages" in first
    text = _mean(rising, "language_similarity_text", "retrieval").iloc[-1]
    assert f"{text['value']:.2f}" in second


def test_two_towers_are_matched_as_asked(tmp_path: Path, tiny_model: Model, tones: Corpus) -> None:
    store = encode(tiny_model, tones, tmp_path / "a.zarr")
    speech, text = store.points("speech"), store.points("text")

    def across(match: str) -> list[tuple[str, str]]:
        return list(
            dict.fromkeys((one.a.point, one.b.point) for one in plan(store, match) if one.kind == "modality_similarity")
        )

    assert across("output") == [(point, "text.pooled") for point in speech]
    assert across("all") == [(point, other) for point in speech for other in text]
    depth = across("depth")
    assert depth[0] == ("speech.conv1", "text.embeddings") and depth[-1] == ("speech.norm", "text.pooled")
    with pytest.raises(UsageError, match="did you mean 'output'"):
        plan(store, "outptu")
    result = compare(store, ["linear_cka", "retrieval"], permutations=49, interval=False)
    across_towers = result.scores[
        (result.scores["kind"] == "modality_similarity") & (result.scores["control"] == "none")
    ]
    assert set(across_towers["measure"]) == {"linear_cka"}  # cosines between two models' spaces mean nothing
    assert {"towers", "few-sentences", "one-reader"} <= {caveat["id"] for caveat in result.meta["caveats"]}
    traced = {caveat["id"]: caveat["parts"] for caveat in result.meta["caveats"] if "parts" in caveat}
    assert {"few-sentences", "many-tests"} <= set(traced)
    for parts in traced.values():
        numbers = [part for part in parts if isinstance(part, dict)]
        assert numbers
        for number in numbers:
            rows = result.scores.iloc[list(number["rows"])]
            column = str(number["column"])
            stands = float(len(rows) if column == "rows" else rows[column].to_numpy(dtype=float).mean())
            assert stands == pytest.approx(number["value"])
    for caveat in result.meta["caveats"]:
        if "parts" in caveat:
            said = [part["text"] if isinstance(part, dict) else part for part in caveat["parts"]]
            assert "".join(said) == caveat["text"]


def test_what_cannot_be_compared_says_so(tmp_path: Path, tiny_model: Model, tones: Corpus) -> None:
    only_text = tiny_model.select_points(["text.*"])
    store = encode(only_text, tones.select(languages=["xa"], modalities=("text",)), tmp_path / "a.zarr")
    with pytest.raises(UsageError, match="one language"):
        compare(store)
    few = planted_activations(tmp_path / "few.zarr", {"shared.layer.0": Planted()}, n=4)
    with pytest.raises(DataError, match="needs at least"):
        compare(few, ["svcca"])
    with pytest.raises(UsageError, match="did you mean 'length_regressed'"):
        compare(few, ["svcca"], controls=["lenght_regressed"])
    with pytest.raises(UsageError, match="svcca"):
        compare(few, ["svca"])
    with pytest.raises(UsageError, match="measures is empty"):
        compare(few, [])
    with pytest.raises(UsageError, match="linear_cka is named twice"):
        compare(few, ["linear_cka", "linear_cka(debiased=True)"])
    with pytest.raises(UsageError, match="controls is empty"):
        compare(few, controls=[])
    towers = encode(tiny_model, tones.select(languages=["xa"]), tmp_path / "towers.zarr")
    with pytest.raises(UsageError, match="no two points that are compared share one"):
        compare(towers, ["retrieval"], kinds=["modality_similarity"])
    mixed = compare(towers, ["linear_cka", "retrieval"], kinds=["modality_similarity"], controls=["none"])
    assert set(mixed.scores["measure"]) == {"linear_cka"}


def test_measures_of_directions_take_lengths_by_distance_or_not_at_all(tmp_path: Path) -> None:
    store = planted_activations(tmp_path / "a.zarr", {"shared.layer.0": Planted(meaning=0.5)}, n=20, languages=["xa"])
    result = compare(store, ["rsa", "mutual_knn(k=3)", "mexa"], controls=["none"], interval="rsa")
    rows = result.tables["baselines"].query("baseline == 'lengths' and group != 'mean'")
    assert set(rows["measure"]) == {"rsa", "mutual_knn(k=3)"}
    assert (rows["value"].to_numpy(dtype=np.float64) > 0.5).all() and rows["convention"].str.contains("uclidean").all()
    plain = result.scores[result.scores["control"] == "none"].set_index("measure")
    assert plain["low"].notna().to_dict() == {"rsa": True, "mutual_knn(k=3)": False, "mexa": False}


def test_the_same_seed_gives_the_same_scores(tmp_path: Path) -> None:
    store = planted_activations(
        tmp_path / "a.zarr", {"shared.layer.0": Planted(meaning=0.3)}, n=20, languages=("xa", "xb")
    )
    first, second = (compare(store, ["procrustes"], permutations=49, seed=5) for _ in range(2))
    pd.testing.assert_frame_equal(first.scores, second.scores)
    other = compare(store, ["procrustes"], permutations=49, seed=6)
    assert set(other.scores["null"]) == {"permutation", ""}
    assert not np.array_equal(first.scores["null_mean"], other.scores["null_mean"], equal_nan=True)


def test_shares_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sum to more than 1"):
        planted_activations(tmp_path / "a.zarr", {"shared.layer.0": Planted(meaning=0.9, modality=0.3)})


def test_a_store_can_be_opened_again(tmp_path: Path) -> None:
    store = planted_activations(tmp_path / "a.zarr", RISING, n=10)
    assert Activations(store.path).shared_points == tuple(RISING)


@pytest.mark.parametrize("match", ["output", "depth", "all"])
def test_which_points_are_paired_is_a_table_of_the_result(
    match: str, tiny_model: Model, tones: Corpus, tmp_path: Path
) -> None:
    store = encode(tiny_model, tones, tmp_path / "a.zarr")
    result = compare(
        store, ["linear_cka"], match=match, kinds=["modality_similarity"], controls=["none"], interval=False
    )
    table = result.tables["pairing"]
    assert tuple(table.columns) == TABLE_COLUMNS["pairing"]
    pairs = set(result.scores[["point_a", "point_b"]].itertuples(index=False, name=None))
    assert pairs == set(table[["speech_point", "text_point"]].itertuples(index=False, name=None))
    assert (table.groupby("speech_point")["shown"].sum() == 1).all()
    assert shown_points(result.scores, table) == shown_points(result.scores)
    again = Result.load(result.save(tmp_path / "out"))
    pd.testing.assert_frame_equal(again.tables["pairing"], table)
