"""Similarity against accuracy in tasks: planted correlations are recovered, and noise is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from babelscope.cli import main
from babelscope.errors import DataError, UsageError
from babelscope.gaps import compare
from babelscope.gaps.folder import save
from babelscope.gaps.tasks import FEWEST_LANGUAGES, read_tasks, relate, similarity_by_language
from babelscope.testing import Planted, planted_activations

CODES = [f"l{number:02}" for number in range(30)]


def scores(values: np.ndarray[Any, Any], codes: list[str] = CODES, kind: str = "modality_similarity") -> pd.DataFrame:
    """One row a language (columns of `values`) and point (its rows), without a control."""
    return pd.DataFrame(
        [
            {
                "kind": kind,
                "measure": "linear_cka",
                "control": "none",
                "point_a": f"p{point}",
                "point_b": f"p{point}",
                "language_a": code,
                "language_b": code,
                "value": value,
                "chance_corrected": value,
            }
            for point, row in enumerate(values)
            for code, value in zip(codes, row, strict=True)
        ]
    )


def tasks(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns, index=pd.Index(CODES, name="language"))


def test_rho_is_spearmans_and_a_planted_relation_survives_the_correction() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((12, 30))
    accuracy = values[4] + 0.2 * rng.standard_normal(30)
    table = relate(scores(values), tasks(qa=accuracy))
    assert table["point"].iloc[0] == "p4"
    for _, row in table.iterrows():
        expected = spearmanr(values[int(row["point"][1:])], accuracy)
        assert row["rho"] == pytest.approx(expected.statistic, abs=1e-12)
        assert row["p"] == pytest.approx(expected.pvalue, abs=0.02)
    best = table.iloc[0]
    assert best["p_adjusted"] < 0.01 and best["low"] > 0.2 and best["languages"] == 30
    assert (table["p_adjusted"] >= table["p"]).all()


def test_on_noise_the_best_of_many_points_passes_the_corrected_level_rarely() -> None:
    rng = np.random.default_rng(1)
    passed = uncorrected = 0
    for draw in range(120):
        table = relate(scores(rng.random((15, 30))), tasks(qa=rng.random(30)), draws=199, seed=draw)
        passed += bool((table["p_adjusted"] <= 0.05).any())
        uncorrected += bool((table["p"] <= 0.05).any())
    assert passed <= 13  # 6 expected; 13 or fewer with a probability of .998
    assert uncorrected > 30


def test_what_is_given_is_regressed_out_of_both() -> None:
    rng = np.random.default_rng(2)
    hours = rng.random(30)
    values = (hours + 0.1 * rng.standard_normal(30))[None]
    accuracy = hours + 0.1 * rng.standard_normal(30)
    plain = relate(scores(values), tasks(qa=accuracy, hours=hours)).set_index("task").loc["qa"]
    less = relate(scores(values), tasks(qa=accuracy, hours=hours), given=["hours"]).set_index("task").loc["qa"]
    assert plain["rho"] > 0.8 and plain["p"] < 0.001
    assert abs(less["rho"]) < 0.45 and less["p"] > 0.01
    assert less["high"] - less["low"] > plain["high"] - plain["low"]


def test_with_names_given_the_level_is_kept() -> None:
    rng = np.random.default_rng(3)
    family = np.repeat(["a", "b", "c"], 10)
    shift = np.repeat([0.0, 1.0, 2.0], 10)
    passed = 0
    for draw in range(150):
        values = (shift + rng.standard_normal(30))[None]
        accuracy = shift + rng.standard_normal(30)
        table = relate(scores(values), tasks(qa=accuracy, family=family), given=["family"], draws=199, seed=draw)
        passed += float(table["p"].iloc[0]) <= 0.05
    assert passed <= 15  # 7.5 expected; more with a probability of .005


def test_few_languages_are_permuted_in_every_way() -> None:
    codes = CODES[:5]
    table = relate(scores(np.arange(5.0)[None], codes), tasks(qa=np.arange(30.0)).loc[codes])
    assert table["rho"].iloc[0] == pytest.approx(1)
    assert table["p"].iloc[0] == pytest.approx(2 / 120)  # the order itself and its reverse


def test_pairs_count_for_both_languages() -> None:
    table = scores(np.array([[1.0, 3.0]]), ["en", "fr"], "language_similarity_text")
    table["language_b"] = ["fr", "it"]
    by = similarity_by_language(table).set_index("language")["similarity"]
    assert by.to_dict() == {"en": 1.0, "fr": 2.0, "it": 3.0}


def test_what_cannot_be_related_is_one_line(tmp_path: Path) -> None:
    values = scores(np.random.default_rng(4).random((2, 30)))
    accuracy = tasks(qa=np.arange(30.0), family=["a"] * 30)
    with pytest.raises(UsageError, match=r"no column 'famly'; did you mean 'family'"):
        relate(values, accuracy, given=["famly"])
    with pytest.raises(DataError, match=rf"4 languages .* at least {FEWEST_LANGUAGES}"):
        relate(values, accuracy.iloc[:4])
    with pytest.raises(UsageError, match="no column of numbers"):
        relate(values, accuracy[["family"]])
    bad = tmp_path / "tasks.csv"
    with pytest.raises(DataError, match="there is no file"):
        read_tasks(bad)
    bad.write_text("code,qa\nen,1\n")
    with pytest.raises(DataError, match=r"no column 'language' \(it has code, qa\)"):
        read_tasks(bad)
    bad.write_text("language,qa\nen,1\nen,2\n")
    with pytest.raises(DataError, match="'en' twice"):
        read_tasks(bad)
    bad.write_text("language,qa\nen,.8\nno,.7\n")
    assert read_tasks(bad)["qa"].to_dict() == {"en": 0.8, "no": 0.7}


def test_the_command_prints_the_best_point_and_writes_them_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = ["en", "fr", "de", "es", "it", "ru", "pl", "pt"]
    lost = {code: 0.05 * number for number, code in enumerate(codes)}
    store = planted_activations(
        tmp_path / "activations.zarr",
        {"p0": Planted(), "p1": Planted(meaning=0.9, lost=lost)},
        n=60,
        languages=codes,
        width=8,
        seed=5,
    )
    save(compare(store, ["linear_cka"], interval=False, kinds=["modality_similarity"]), tmp_path, store.path)
    tasks = tmp_path / "accuracies.csv"
    tasks.write_text("language,qa\n" + "".join(f"{code},{0.9 - lost[code]}\n" for code in codes), encoding="utf-8")
    table = tmp_path / "relations.csv"
    assert main(["relate", str(tmp_path), str(tasks), "--output", str(table)]) == 0
    printed = capsys.readouterr().out
    assert "qa, 8 languages" in printed and "p1" in printed and "corrected for everything" in " ".join(printed.split())
    relations = pd.read_csv(table)
    assert relations["point"].iloc[0] == "p1" and relations["rho"].iloc[0] > 0.8
    assert main(["relate", str(tmp_path), str(tmp_path / "none.csv")]) == 1
    assert "there is no file" in capsys.readouterr().err
