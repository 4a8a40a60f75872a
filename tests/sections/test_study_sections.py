"""Sections of a study file: run where they are asked for, kept if nothing changed, one line where they cannot be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from babelscope.errors import UsageError
from babelscope.gaps import Result
from babelscope.study import Study, run
from babelscope.study.forecast import forecast


@pytest.fixture
def study(tmp_path: Path, manifest: Path, pocket_folder: Path) -> dict[str, Any]:
    return {
        "output": str(tmp_path / "out"),
        "measures": ["linear_cka"],
        "controls": ["none"],
        "kinds": ["modality_similarity"],
        "permutations": 49,
        "intervals": False,
        "compute_baselines": False,
        "points": ["text.words", "speech.after_adaptation", "shared.*"],
        "corpus": {"source": "manifest", "path": str(manifest), "languages": ["xa", "xb"]},
        "model": {"name": "pocket", "weights": str(pocket_folder)},
    }


def test_selective_features_are_in_the_result_where_they_are_asked_for(study: dict[str, Any], tmp_path: Path) -> None:
    asked = study | {"neurons": {"permutations": 99, "points": ["shared.*"]}}
    run(Study.parse(asked))
    result = Result.load(tmp_path / "out")
    assert set(result.tables["neurons"]["point"]) == {
        "shared.input",
        *(f"shared.layer.{n}" for n in range(3)),
        "shared.pooled",
    }
    told = result.meta["sections"]["neurons"]
    assert told["options"] == {"permutations": 99, "points": ["shared.*"], "auc": 0.8, "top": 10} and not told["notes"]

    steps: list[str] = []
    run(Study.parse(asked), progress=lambda what, done, total: steps.append(what))
    assert not any(step.startswith(("selective", "comparing", "encoding")) for step in steps)
    run(
        Study.parse(asked | {"neurons": {"permutations": 199, "points": ["shared.*"]}}),
        progress=lambda *told: steps.append(told[0]),
    )
    assert any(step.startswith("selective") for step in steps) and not any(
        step.startswith("comparing") for step in steps
    )
    run(Study.parse(study))
    without = Result.load(tmp_path / "out")
    assert "neurons" not in without.tables and "sections" not in without.meta


def test_what_a_section_cannot_do_is_a_line_and_the_rest_goes_on(study: dict[str, Any], tmp_path: Path) -> None:
    few = study | {"corpus": study["corpus"] | {"n": 6}, "neurons": {}}
    steps: list[str] = []
    outcome = run(Study.parse(few), progress=lambda what, done, total: steps.append(what))
    (note,) = outcome.result.meta["sections"]["neurons"]["notes"]
    assert note == "neurons: 6 sentences are too few to permute labels; at least 8 are needed"
    assert "neurons" not in outcome.result.tables and len(outcome.result.scores)
    assert f"selective features: {note}" in steps


def test_a_wrong_key_is_named(study: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"neurons\.permutation: there is no such key; did you mean 'permutations'"):
        Study.parse(study | {"neurons": {"permutation": 99}})


def test_patching_is_in_the_result_and_its_cost_is_said_before(study: dict[str, Any], tmp_path: Path) -> None:
    asked = Study.parse(study | {"patch": {"n": 8, "kinds": ["centroid"], "points": ["shared.layer.1"]}})
    rows = dict(forecast(asked).rows())
    assert re.fullmatch(
        r"352 forward passes at 1 points, [0-9.]+ h on this machine at most \(what comes before a point runs once\); "
        r"0 MB in memory",
        rows["patch"],
    )
    result = run(asked).result
    assert result.meta["sections"]["patch"]["notes"] == [
        "patch: pocket has no output layer over a vocabulary here: the next token is not compared"
    ]
    assert set(result.tables["patch"]["outcome"]) >= {"retrieval_same", "cosine_across"}
    assert not (tmp_path / "out" / ".sections").exists()
    with pytest.raises(UsageError, match=r"patch\.points: 'shared\.pooled' is no shared point with positions"):
        run(Study.parse(study | {"patch": {"points": ["shared.pooled"]}}))
    with pytest.raises(UsageError, match=r"neurons\.points: model pocket has no point 'shared\.layr'"):
        run(Study.parse(study | {"neurons": {"points": ["shared.layr"]}}))


def test_reading_positions_leaves_a_page_to_listen_to(study: dict[str, Any], tmp_path: Path) -> None:
    asked = Study.parse(study | {"lens": {"n": 8, "permutations": 99, "points": ["shared.layer.1"], "shown": 1}})
    assert dict(forecast(asked).rows())["lens"].startswith("16 forward passes, 1 points compared with the whole")
    result = run(asked).result
    assert set(result.tables) >= {"lens", "lens_languages", "lens_readings"}
    assert set(result.tables["lens"]["by"]) == {"input embeddings"}
    page = (tmp_path / "out" / "lens.html").read_text(encoding="utf-8")
    assert page.count("<audio") == 2 and "What pocket reads at each layer of speech" in page
    run(Study.parse(study))
    assert not (tmp_path / "out" / "lens.html").exists()
