"""Results, studies, rules and logs that were written under earlier names."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from babelscope.check import Rules, apply, check, no_worse, parse_rule
from babelscope.cli import main
from babelscope.errors import RenamedWarning
from babelscope.gaps import GAPS, Result, compare, plan
from babelscope.gaps.findings import CORRECTED
from babelscope.gaps.old_names import DIAGNOSIS
from babelscope.monitor import read_log
from babelscope.study import Study
from babelscope.testing import Planted, planted_activations
from conftest import write_page

#: Present names to earlier ones.
_KINDS = {new: old for old, new in GAPS.items()}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    planted = {
        "encoder": Planted(meaning=0.4, modality=0.3, language=0.1, stage="encoder"),
        "shared": Planted(meaning=0.7, modality=0.1, language=0.1),
    }
    store = planted_activations(
        tmp_path_factory.mktemp("planted") / "planted.zarr", planted, n=40, languages=["en", "fr", "sw"], width=12
    )
    return compare(store, ["linear_cka", "svcca(k=4)", "retrieval"], permutations=49)


def _aged(result: Result) -> Result:
    """Return the result as an earlier version would have written it."""

    def table(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.assign(kind=frame["kind"].replace(_KINDS))
        return frame.drop(columns="chance_corrected", errors="ignore")

    tables = dict(result.tables)
    for name in ("by_class", "draws"):
        tables[name] = table(tables[name])
    for name in ("findings", "diagnosis"):
        evidence = tables[name]["evidence"]
        for new, old in _KINDS.items():
            evidence = evidence.str.replace(f'"{new}"', f'"{old}"', regex=False)
        evidence = evidence.str.replace("chance_corrected", "(value - null_mean) / (best - null_mean)", regex=False)
        tables[name] = tables[name].assign(evidence=evidence)
    tables["diagnosis"] = tables["diagnosis"].rename(columns={new: old for old, new in DIAGNOSIS.items()})
    bases = {"chance_corrected": "calibrated", "chance_corrected_svcca": "calibrated_svcca"}
    tables["findings"] = tables["findings"].assign(basis=tables["findings"]["basis"].replace(bases))
    tables["most_similar"] = tables["most_similar"].rename(columns={"chance_corrected": "corrected"})
    tables["languages"] = tables["languages"].rename(columns={"chance_corrected": "calibrated"})
    options = result.meta["options"] | {"kinds": [_KINDS[kind] for kind in result.meta["options"]["kinds"]]}
    return dataclasses.replace(
        result,
        scores=table(result.scores),
        curves=table(result.curves),
        tables=tables,
        meta=result.meta | {"options": options},
    )


def test_an_old_result_is_read_under_present_names_with_a_line(result: Result, tmp_path: Path) -> None:
    old = _aged(result).save(tmp_path / "old")
    with pytest.warns(RenamedWarning, match="earlier version: its kinds modality_gap") as told:
        read = Result.load(old)
    assert len(told) == 1
    assert read.meta["options"]["kinds"] == result.meta["options"]["kinds"]
    pd.testing.assert_frame_equal(read.scores[list(result.scores)], result.scores, check_dtype=False)
    new = result.save(tmp_path / "new")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        present = Result.load(new)
    pd.testing.assert_frame_equal(read.curves[list(present.curves)], present.curves, check_dtype=False)
    for name in ("findings", "diagnosis", "draws", "most_similar", "languages"):
        pd.testing.assert_frame_equal(read.tables[name][list(present.tables[name])], present.tables[name])
    classes, wanted = (found.tables["by_class"] for found in (read, present))
    known = wanted["chance_corrected"].notna()
    apart = (classes["chance_corrected"] - wanted["chance_corrected"])[known].abs()
    assert known.any() and apart.max() < 0.02  # of averages, where the present one is an average
    assert all(verdict.passed for verdict in no_worse(read, present))
    page = write_page(read, tmp_path / "old")
    assert "Similarity of speech and text" in Path(page).read_text(encoding="utf-8")


def test_old_columns_of_the_diagnosis_are_read_with_a_line(result: Result, tmp_path: Path) -> None:
    aged = result.tables["diagnosis"].rename(columns={new: old for old, new in DIAGNOSIS.items()})
    old = dataclasses.replace(result, tables=result.tables | {"diagnosis": aged}).save(tmp_path / "old")
    with pytest.warns(RenamedWarning, match="behind of its table diagnosis are read as"):
        read = Result.load(old)
    assert list(read.tables["diagnosis"]) == list(result.tables["diagnosis"])


def test_the_command_line_says_in_one_line_what_changed(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = str(_aged(result).save(tmp_path / "old"))
    assert main(["check", old, "--max", "modality_gap=2", "--min", "linear_cka.modality_gap.sw=-1"]) == 0
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 2 and all(line.startswith("note: ") for line in notes)
    assert "now named 'modality_similarity'" in notes[1]


def test_a_gap_is_one_less_the_similarity_and_old_rules_are_read(result: Result) -> None:
    def number(text: str) -> float:
        line = apply(parse_rule("max", text, -99.0, result), result).line
        return float(line.split("=-99: ")[1].split(" ")[0])

    assert number("modality_gap") == pytest.approx(1 - number("modality_similarity"), abs=2e-3)
    for old, new in (
        ("linear_cka.modality_gap.sw", "linear_cka.modality_similarity.sw"),
        ("finding.convergence:calibrated", f"finding.convergence:{CORRECTED}"),
    ):
        with pytest.warns(RenamedWarning, match="is now named"):
            found = number(old)
        assert found == number(new)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check(result, Rules((("max", "modality_gap.worst", 2.0), ("max", "language_gap_text", 2.0))))


def test_old_kinds_of_a_study_and_a_call_are_read() -> None:
    said = {
        "corpus": {"source": "fleurs", "languages": ["en", "fr"]},
        "model": {"name": "tiny"},
        "kinds": ["modality_gap", "cross_gap"],
    }
    with pytest.warns(RenamedWarning, match="kinds: 'cross_gap' is now named 'cross_similarity'"):
        kinds = Study.model_validate(said).kinds
    assert kinds == ["modality_similarity", "cross_similarity"]

    class Places:
        name, languages, modalities, shared_points = "two", ("en", "fr"), ("text", "speech"), ("out",)

        def points(self, modality: str) -> tuple[str, ...]:
            return ("out",)

        def depth(self, point: str, modality: str) -> float:
            return 1.0

    with pytest.warns(RenamedWarning):
        found = plan(Places(), kinds=["language_gap_speech"])
    assert {one.kind for one in found} == {"language_similarity_speech"}


def test_an_old_log_of_a_monitor_is_read(tmp_path: Path) -> None:
    row = {
        "kind": "modality_gap", "point": "out", "against": "out", "language_a": "en", "language_b": "en",
        "measure": "linear_cka", "n": 20, "value": 0.6, "null_mean": 0.2, "null_q95": 0.3,
        "calibrated": 0.43, "p": 0.01,
    }  # fmt: skip
    apart = row | {"measure": "centroid_gap", "null_mean": None, "null_q95": None, "calibrated": None, "p": None}
    probe = {"event": "gaps", "step": 1, "time": "t", "seconds": 1.0, "share": None, "gaps": [row, apart]}
    path = tmp_path / "gaps.jsonl"
    path.write_text(json.dumps(probe) + "\n")
    log = read_log(path)
    assert set(log["kind"]) == {"modality_similarity"}
    np.testing.assert_allclose(log["chance_corrected"], [0.5, np.nan])
