"""The command line as a user meets it: what it prints, which code it ends with, and never a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from babelscope.cli import main
from babelscope.errors import FetchError

COMMANDS = ("demo", "run", "fetch", "corpora", "models", "encode", "compare", "report")


@pytest.fixture
def study_file(tmp_path: Path, manifest: Path, whisper_folder: Path, e5_folder: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(
        f"""
output = "out"
permutations = 19
measures = ["linear_cka"]
corpus = {{ source = "manifest", path = "{manifest}", languages = ["xa", "xb"] }}
[model]
name = "whisper-base+e5-small"
window_seconds = 2
weights = {{ whisper-base = "{whisper_folder}", e5-small = "{e5_folder}" }}
""",
        encoding="utf-8",
    )
    return path


def _told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, " ".join(captured.out.split()), " ".join(captured.err.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = _told(capsys, command, "--help")
    assert code == 0 and f"Example: babelscope {command}" in out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert _told(capsys, "--version") == (0, f"babelscope {version('babelscope')}", "")


def test_a_study_by_hand_in_three_steps(capsys: pytest.CaptureFixture[str], study_file: Path) -> None:
    out_folder = study_file.parent / "out"
    code, out, err = _told(capsys, "encode", str(study_file))
    assert code == 0 and "12 sentences x 2 languages" in out and "speech xb" in err
    code, out, _ = _told(
        capsys,
        "compare",
        str(out_folder / "activations.zarr"),
        "-m",
        "svcca(variance=0.9)",
        "-m",
        "retrieval",
        "--permutations",
        "19",
    )
    assert code == 0 and "Similarity of speech and text" in out and (out_folder / "scores.csv").exists()
    code, out, _ = _told(capsys, "report", str(out_folder))
    assert code == 0 and "report.html" in out.replace(" ", "")
    assert (out_folder / "report.html").exists()


def test_a_study_in_one_command(capsys: pytest.CaptureFixture[str], study_file: Path) -> None:
    code, out, err = _told(capsys, "run", str(study_file))
    assert code == 0, err
    assert "Speech" in out and "unrelated sentences" in out and "report.html" in out.replace(" ", "")


def test_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _told(capsys, "corpora")
    assert code == 0 and all(name in out for name in ("asterisk", "tuxpaint", "manifest"))
    code, out, err = _told(capsys, "models")
    assert code == 0 and all(name in out for name in ("whisper-base", "e5-small")) and "whisper-base+e5-small" in err
    code, out, _ = _told(capsys, "fetch")
    assert code == 0 and "CC-BY" in out


@pytest.mark.assets
def test_shows_of_what_was_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _told(capsys, "models", "show", "whisper-base+e5-small")
    assert code == 0 and "speech.layer.5" in out and "sha256" in out and "M parameters" in out
    code, out, _ = _told(capsys, "corpora", "show", "asterisk")
    assert code == 0 and "CC-BY-SA-3.0" in out


def test_the_names_of_points_are_whole_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = _told(capsys, "models", "show", "pocket")
    assert code == 0 and all(f"shared.layer.{layer} " in out for layer in range(12))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["search", "index", "nowhere", "--index", "i"], 2, "there is no folder, manifest"),
        (["search", "index", "nowhere.csv", "--index", "i"], 2, "there is no folder, manifest"),
        (["run", "nowhere.toml"], 2, "there is no study nowhere.toml"),
        (["fetch", "astersk"], 2, "did you mean 'asterisk'"),
        (["models", "show", "whisper-bse"], 2, "did you mean 'whisper-base'"),
        (["corpora", "show", "astrisk"], 2, "did you mean 'asterisk'"),
        (["compare", "nowhere.zarr"], 1, "not a store of activations"),
        (["report", "nowhere"], 1, "holds no result"),
        (["rnu"], 2, "rnu"),
        (["compare"], 2, "Missing argument"),
        (["compare", "x", "--permutations", "many"], 2, "permutations"),
        (["demo", "--sentences", "2"], 2, "sentences"),
    ],
)
def test_a_mistake_is_one_line_and_its_code(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    ended, out, err = _told(capsys, *arguments)
    assert ended == code
    assert words in err and err.startswith("babelscope: ") and "Traceback" not in err + out


def test_weights_that_are_not_fetched_name_the_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "empty"))
    for name in ("whisper-base", "e5-small", "whisper-base+e5-small"):
        code, out, _ = _told(capsys, "models", "show", name)
        assert code == 0 and all(f"babelscope fetch {part}" in out for part in name.split("+"))
        assert "in float32" in out and "in bfloat16" in out and "M parameters" in out and "licence: MIT" in out
    from babelscope.study import Study, summon

    with pytest.raises(FetchError, match="babelscope fetch whisper-base"):
        summon(Study.parse({"corpus": {"source": "asterisk"}, "model": {"name": "whisper-base"}}))


def test_an_internal_error_is_a_line_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babelscope.models.known", lambda: 1 / 0)
    code, _, err = _told(capsys, "models")
    assert (
        code == 1 and "internal error, a bug or a damaged store (ZeroDivisionError" in err and "BABELSCOPE_DEBUG" in err
    )
    monkeypatch.setenv("BABELSCOPE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["models"])


def test_an_interrupt_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("babelscope.study.run", stop)
    code, _, err = _told(capsys, "run", str(study_file))
    assert code == 130 and "run the same command again" in err


def test_the_installed_command_starts() -> None:
    done = subprocess.run([sys.executable, "-m", "babelscope", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "layer by layer" in done.stdout
