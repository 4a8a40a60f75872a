"""The study that comes along, at small size: models in their released formats, FLEURS in its own layout, one report."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from babelscope.cli import main
from babelscope.report import write_report
from babelscope.study import Study, run
from babelscope.testing import tiny
from conftest import let_reports_be_written_by
from fleurs_fixture import tones, write

LANGUAGES = ("en_us", "fr_fr", "ru_ru")


@pytest.fixture(scope="module")
def fleurs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("fleurs"), tones(LANGUAGES, sentences=8))


def _small(study: Study) -> Study:
    corpus = study.corpus.model_copy(update={"languages": list(LANGUAGES)})
    return study.model_copy(update={"corpus": corpus, "permutations": 19, "intervals": False})


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        ("seamless-m4t-v2-large", "seamless-m4t-v2"),
        ("sonar", "sonar"),
        pytest.param("salmonn-7b", "salmonn", marks=pytest.mark.plugins),
    ],
)
def test_a_study_like_the_papers_runs_from_released_formats_to_a_report(
    model: str, weights: str, fleurs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tiny(weights, tmp_path / "weights")
    if model == "seamless-m4t-v2-large":
        let_reports_be_written_by(partial(write_report, figures=False), monkeypatch)
    study = Study.preset("paper").changed(model=model, weights=str(made), corpus_path=fleurs, output=tmp_path / "out")
    outcome = run(_small(study))
    scores = outcome.result.scores
    assert set(scores["measure"]) == {"svcca(variance=0.9)", "svcca(variance=0.99)", "linear_cka", "retrieval"}
    assert set(scores["language_a"]) | set(scores["language_b"]) == set(LANGUAGES)
    shared = scores[(scores["kind"] == "modality_similarity") & (scores["point_a"] == scores["point_b"])]
    assert len(shared) and shared["point_a"].str.startswith("shared.").all()
    assert "retrieval" in set(shared["measure"])  # speech and text lie in one space there
    stages = set(scores["stage_a"])
    assert {"front end", "encoder"} <= stages
    if model == "sonar":
        assert {"shared.embedding"} == set(shared["point_a"])
        assert "weights-by-language" in {one["id"] for one in outcome.result.meta["caveats"]}
    else:
        adapted = {"speech.before_adaptation", "speech.after_adaptation"}
        assert adapted <= set(scores["point_a"]) and "length adaptation" in stages
    page = outcome.report.read_text(encoding="utf-8")
    assert "CC-BY-4.0" in page and "ru_ru" in page


def test_its_dry_run_by_hand(fleurs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tiny("seamless-m4t-v2", tmp_path / "weights")
    arguments = ["run", "paper", "--weights", str(made), "--corpus-path", str(fleurs), "--dry-run"]
    assert main(arguments) == 1  # thirty languages are asked for, three are there: told in one line
    told = capsys.readouterr().err
    assert told.startswith("babelscope: ") and "es_419" in told and "Traceback" not in told
