"""What a study takes, said before it is run, held against what it took."""

from __future__ import annotations

from pathlib import Path

import pytest

from babelscope import languages
from babelscope.cli import main
from babelscope.errors import UsageError
from babelscope.gaps import plan
from babelscope.study import Study, presets, run
from babelscope.study.forecast import forecast


@pytest.fixture
def study(manifest: Path, whisper_folder: Path, e5_folder: Path, tmp_path: Path) -> Study:
    return Study.parse(
        {
            "output": str(tmp_path / "out"),
            "permutations": 19,
            "intervals": False,
            "measures": ["linear_cka"],
            "corpus": {"source": "manifest", "path": str(manifest), "languages": ["xa", "xb"]},
            "model": {
                "name": "whisper-base+e5-small",
                "window_seconds": 2,
                "weights": {"whisper-base": str(whisper_folder), "e5-small": str(e5_folder)},
            },
        }
    )


def test_the_forecast_is_what_the_study_then_takes(study: Study) -> None:
    said = forecast(study)
    assert said.sentences == 12 and said.languages == ("xa", "xb")
    speech = next(side for side in said.sides if side.modality == "speech")
    assert speech.utterances == 24 and speech.points == 6 and speech.seconds > 0
    # The first convolution alone: 16 outputs x 80 inputs x 3 taps at 200 frames, twice, for 24 utterances.
    assert speech.flops > 2 * 16 * 80 * 3 * 200 * 24
    weights = 4 * sum(side.parameters for side in said.sides)
    assert weights <= said.memory < 2 * weights
    outcome = run(study)
    assert not (study.output / "nothing").exists() and outcome.report.exists()
    from babelscope.capture import Activations

    store = Activations(study.output / "activations.zarr")
    assert said.comparisons == len(plan(store))
    stored = sum(
        store.matrix(point, modality, language).nbytes
        for modality in store.modalities
        for point in store.points(modality)
        for language in store.languages
    )
    assert said.disk == stored


def test_a_dry_run_prints_it_and_writes_nothing(
    study: Study,
    tmp_path: Path,
    manifest: Path,
    whisper_folder: Path,
    e5_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "study.toml"
    file.write_text(
        f"""
output = "out"
corpus = {{ source = "manifest", path = "{manifest}" }}
[model]
name = "whisper-base"
weights = "{whisper_folder}"
window_seconds = 2
""",
        encoding="utf-8",
    )
    assert main(["run", str(file), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "36 utterances at 6 points" in " ".join(out.split()) and "GB" in out
    assert not (tmp_path / "out").exists()
    assert main(["run", str(file), "--model", "e5-small", "--weights", str(e5_folder), "--dry-run"]) == 0
    assert "36 utterances at 5 points" in " ".join(capsys.readouterr().out.split())


def test_the_study_that_comes_along_names_thirty_languages_in_three_classes() -> None:
    assert presets() == ["demo", "demo-nine", "paper", "towers"]
    paper = Study.preset("paper")
    codes = paper.corpus.languages
    assert codes is not None and len(set(codes)) == 30
    classes = [languages.language(code).resource for code in codes]
    assert [classes.count(name) for name in ("high", "medium", "low")] == [10, 10, 10]
    for code in codes:
        assert languages.seamless(code) and languages.seamless(code, "speech") and languages.sonar_speech(code)
    with pytest.raises(UsageError, match="did you mean 'paper'"):
        Study.preset("papr")
    with pytest.raises(UsageError, match="is unknown"):
        paper.changed(model="seamles")
    assert paper.changed(model="sonar", output=Path("there")).output == Path("there")
