"""A study's corpus is checked before its model is loaded: by ``run``, ``encode``, the dry run and ``corpora check``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babelscope.cli import main
from babelscope.gaps import Result
from conftest import tone, write_manifest


def _study(folder: Path, whisper_folder: Path, e5_folder: Path, corpus: str = "", top: str = "") -> Path:
    path = folder / "study.toml"
    path.write_text(
        f"""
output = "out"
permutations = 19
intervals = false
measures = ["linear_cka"]
{top}
[corpus]
source = "manifest"
path = "manifest.csv"
languages = ["xa", "xb"]
{corpus}
[model]
name = "whisper-base+e5-small"
window_seconds = 2
weights = {{ whisper-base = "{whisper_folder}", e5-small = "{e5_folder}" }}
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_manifest(tmp_path)
    return tmp_path


def _told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(arguments)
    captured = capsys.readouterr()
    return code, " ".join(captured.out.split()), " ".join(captured.err.split())


@pytest.mark.parametrize("command", [["run"], ["run", "--dry-run"], ["encode"]])
def test_a_recording_beyond_the_window_stops_before_the_model_is_loaded(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    whisper_folder: Path,
    e5_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    soundfile.write(folder / "xb-4.wav", tone(5, 300), 16_000)
    study = _study(folder, whisper_folder, e5_folder)

    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("babelscope.models.load", load)
    code, _, err = _told(capsys, command[0], str(study), *command[1:])
    assert code == 1
    line = err[err.index("babelscope: ") :]
    assert line.startswith(
        "babelscope: corpus 'manifest': 1 recording is longer than the 2 s that whisper-base+e5-small"
    )
    assert "sentence 's04', language 'xb': 5.0 s" in line
    assert line.endswith("set max_seconds = 2 in [corpus], which excludes 1 of 12 sentences")
    assert "overwrite" not in err and not (folder / "out" / "activations.zarr").exists()


def test_with_the_remedy_it_runs_and_with_skip_bad_it_warns(
    capsys: pytest.CaptureFixture[str], folder: Path, whisper_folder: Path, e5_folder: Path
) -> None:
    soundfile.write(folder / "xb-4.wav", tone(5, 300), 16_000)
    code, _, err = _told(capsys, "run", str(_study(folder, whisper_folder, e5_folder, "max_seconds = 2")))
    assert code == 0 and "longer than" not in err
    study = _study(folder, whisper_folder, e5_folder)
    code, _, err = _told(capsys, "run", str(study), "--skip-bad", "--output", str(folder / "other"))
    assert code == 0
    assert "Corpus: 1 recording is longer than the 2 s that whisper-base+e5-small takes" in err


def test_warnings_are_printed_kept_and_among_the_reports_caveats(
    capsys: pytest.CaptureFixture[str], folder: Path, whisper_folder: Path, e5_folder: Path
) -> None:
    soundfile.write(folder / "xa-3.wav", np.clip(20 * tone(1, 300), -1, 1), 16_000)
    code, _, err = _told(capsys, "run", str(_study(folder, whisper_folder, e5_folder)))
    warning = "1 recording is clipped: more than 0.1% of the samples are at full scale"
    assert code == 0 and f"Corpus: {warning}" in err
    result = Result.load(folder / "out")
    problems = {problem["kind"]: problem for problem in result.meta["corpus_check"]["problems"]}
    assert problems["audio-clipped"]["message"] == warning
    caveats = [caveat for caveat in result.meta["caveats"] if caveat["id"] == "corpus-check"]
    assert len(caveats) == 1 and f"{warning}." in caveats[0]["text"]
    assert warning in " ".join((folder / "out" / "report.html").read_text(encoding="utf-8").split())
    code, _, _ = _told(capsys, "run", str(folder / "study.toml"))  # again: the result is there already
    again = Result.load(folder / "out").meta["caveats"]
    assert code == 0 and sum(caveat["id"] == "corpus-check" for caveat in again) == 1


def test_corpora_check_takes_a_study_with_its_filters_model_and_measures(
    capsys: pytest.CaptureFixture[str], folder: Path, whisper_folder: Path, e5_folder: Path
) -> None:
    soundfile.write(folder / "xb-4.wav", tone(5, 300), 16_000)
    study = _study(folder, whisper_folder, e5_folder)
    code, out, _ = _told(capsys, "corpora", "check", str(study))
    assert code == 1 and "too-long-for-model" in out
    study = _study(folder, whisper_folder, e5_folder, "max_seconds = 2")
    code, out, _ = _told(capsys, "corpora", "check", str(study), "--json", "-")
    check = json.loads(out)
    assert code == 0 and check["can_run"] and [row["language"] for row in check["languages"]] == ["xa", "xb"]
    assert {"filter": "max_seconds=2", "sentences": 1} in check["filters"] and check["sentences"] == 12
    study.write_text(study.read_text(encoding="utf-8").replace("linear_cka", "svcca"), encoding="utf-8")
    study.write_text(study.read_text(encoding="utf-8").replace("max_seconds = 2", "n = 3"), encoding="utf-8")
    code, out, _ = _told(capsys, "corpora", "check", str(study))
    assert code == 1 and "too-few-sentences" in out and "svcca" in out


def test_filters_that_leave_nothing_are_an_error_beside_the_others(
    capsys: pytest.CaptureFixture[str], folder: Path, whisper_folder: Path, e5_folder: Path
) -> None:
    soundfile.write(folder / "xa-3.wav", np.zeros(16_000), 16_000)
    study = _study(folder, whisper_folder, e5_folder, "min_words = 50")
    code, out, _ = _told(capsys, "corpora", "check", str(study), "--json", "-")
    problems = {problem["kind"]: problem for problem in json.loads(out)["problems"]}
    assert code == 1 and {"filters", "audio-silent"} <= problems.keys()
    assert "min_words=50" in problems["filters"]["message"] + problems["filters"]["remedy"]


def test_texts_beyond_the_models_tokens_are_counted_by_its_tokenizer(
    capsys: pytest.CaptureFixture[str], folder: Path, whisper_folder: Path, e5_folder: Path
) -> None:
    manifest = folder / "manifest.csv"
    lines = manifest.read_text(encoding="utf-8").splitlines()
    first = lines[1].split(",")
    lines[1] = ",".join([*first[:2], " ".join(["abcdefghij"] * 9), *first[3:]])
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, _, err = _told(capsys, "run", str(_study(folder, whisper_folder, e5_folder)))
    assert code == 1 and "1 text has more than the 80 tokens that whisper-base+e5-small takes" in err
    assert f"sentence '{first[0]}', language '{first[1]}': " in err


def test_the_first_of_several_errors_is_said_with_how_many_more(
    capsys: pytest.CaptureFixture[str], folder: Path, whisper_folder: Path, e5_folder: Path
) -> None:
    soundfile.write(folder / "xb-4.wav", tone(5, 300), 16_000)
    soundfile.write(folder / "xa-3.wav", np.zeros(16_000), 16_000)
    code, _, err = _told(capsys, "run", str(_study(folder, whisper_folder, e5_folder)))
    assert code == 1 and err.endswith("(1 more: babelscope corpora check)")
