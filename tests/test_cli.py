"""The command line as a user meets it: what it prints, which code it ends with, and never a traceback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from babelscope.cli import console, interrupt_again, main
from babelscope.errors import FetchError
from babelscope.gaps import Result
from babelscope.similarity import MEASURES
from babelscope.study.settings import Study
from study_keys import described_keys

COMMANDS = ("demo", "run", "fetch", "corpora", "models", "measures", "schema", "encode", "compare", "report", "search")


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


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _told(capsys)
    assert code == 0 and all(command in out for command in COMMANDS)


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
    code, out, err = _told(capsys, "encode", str(study_file), "--json")
    assert code == 0, err
    encoded = json.loads(out)
    assert encoded["languages"] == ["xa", "xb"] and len(encoded["sentences"]) == 12
    code, out, _ = _told(capsys, "compare", encoded["path"], "-m", "linear_cka", "--intervals", "none", "--json")
    compared, scores = json.loads(out), Result.load(out_folder).curves
    assert code == 0 and compared["scores"] == str(out_folder / "scores.parquet") and compared["verdict"]
    row = next(row for row in compared["summary"] if row["kind"] == "modality_similarity")
    means = scores.query("kind == 'modality_similarity' and group == 'mean' and control == 'none'")["value"]
    assert (row["first"], row["best"], row["last"]) == (means.iloc[0], means.max(), means.iloc[-1])
    code, out, _ = _told(capsys, "report", str(out_folder))
    assert code == 0 and "report.html" in out.replace(" ", "")
    assert (out_folder / "report.html").exists()
    # A folder of results stands for its activations.
    first, *_, last = dict.fromkeys(scores.query("kind == 'modality_similarity'")["point"])
    for command in (["verify"], ["diff", "--point", f"{first}={last}"]):
        of_store, of_results = (_told(capsys, *command, place) for place in (encoded["path"], str(out_folder)))
        assert of_store[0] == 0 and of_store == of_results


def test_keys_of_a_study_are_set_on_the_command_line(
    capsys: pytest.CaptureFixture[str], study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if they stood in the file, but that relative paths are the working folder's."""
    here = study_file.parent / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    settings = [
        "--set",
        "output=mine",
        "--set",
        "corpus.n=8",
        "--set",
        "measures=[linear_cka]",
        "--set",
        "intervals=false",
    ]
    assert main(["run", str(study_file), "--languages", "xb,xa", *settings, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["folder"]) == here / "mine"
    result = Result.load(here / "mine")
    keys = result.meta["study"]["keys"]
    assert keys["corpus"]["languages"] == ["xb", "xa"] and keys["corpus"]["n"] == result.meta["corpus"]["n"] == 8
    assert keys["measures"] == result.meta["options"]["measures"] == ["linear_cka"]
    assert Study.parse(keys).keys() == keys
    # One of its languages, compared alone, has the same scores.
    store = str(here / "mine" / "activations.zarr")
    choices = ["--languages", "xa", "--set", "measures=[linear_cka]", "--set", "intervals=false"]
    assert main(["compare", store, "-o", "alone", *choices, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    alone = Result.load("alone")
    assert alone.meta["corpus"]["languages"] == ["xa"] and set(alone.scores["language_a"]) == {"xa"}
    columns = ["point_a", "measure", "control", "value"]
    of_both = result.scores[(result.scores["language_a"] == "xa") & (result.scores["language_b"] == "xa")]
    pd.testing.assert_frame_equal(
        alone.scores[columns].sort_values(columns).reset_index(drop=True),
        of_both[columns].sort_values(columns).reset_index(drop=True),
    )


def test_quiet_is_a_path_and_verbose_says_what_each_step_takes(
    capsys: pytest.CaptureFixture[str], study_file: Path
) -> None:
    settings = ["--set", "intervals=false", "--set", "compute_baselines=false"]
    assert main(["--quiet", "run", str(study_file), *settings]) == 0
    assert capsys.readouterr() == (f"{study_file.parent / 'out' / 'report.html'}\n", "")
    assert main(["run", str(study_file), *settings, "-v"]) == 0
    told = capsys.readouterr()
    assert (
        "babelscope" in told.err and "cache folder" in told.err and re.search(r"loading the model: \d+\.\d s", told.err)
    )
    assert "Report (" in told.out


def test_time_left_is_told_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter((0.0, 11.0, 12.0, 25.0))
    monkeypatch.setattr("babelscope.cli.console.time", SimpleNamespace(monotonic=lambda: next(moments)))
    console.volume.set()
    with console.showing() as tell:
        for done in (0, 11, 12, 25):
            tell("encoding", done, 100)
    assert capsys.readouterr().err.splitlines() == [
        "encoding …",
        "encoding: 11 of 100, 1/s, 0:01:29 left",
        "encoding: 25 of 100, 1/s, 0:01:15 left",
    ]


def test_the_schema_knows_every_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["schema", "--output", str(tmp_path / "study.schema.json")]) == 0
    schema = json.loads((tmp_path / "study.schema.json").read_text(encoding="utf-8"))
    keys = set(schema["properties"])
    for name, described in schema["properties"].items():
        for table in re.findall(r"#/\$defs/(\w+)", json.dumps(described)):
            keys |= {f"{name}.{key}" for key in schema["$defs"][table]["properties"]}
    assert described_keys().keys() <= keys
    assert schema["additionalProperties"] is False and "asterisk" in str(schema["$defs"]["CorpusTable"])


def test_a_study_in_one_command(capsys: pytest.CaptureFixture[str], study_file: Path) -> None:
    code, out, err = _told(capsys, "run", str(study_file))
    assert code == 0, err
    assert "do speech and text of a sentence stand out from unrelated" in out and "report.html" in out


def test_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _told(capsys, "corpora")
    assert code == 0 and all(name in out for name in ("asterisk", "tuxpaint", "manifest"))
    code, out, err = _told(capsys, "models")
    assert code == 0 and all(name in out for name in ("whisper-base", "e5-small")) and "whisper-base+e5-small" in err
    code, out, _ = _told(capsys, "fetch")
    assert code == 0 and "CC-BY" in out


LISTINGS = (
    ["fetch"],
    ["corpora"],
    ["models"],
    ["models", "list"],
    ["models", "show", "whisper-base"],
    ["measures"],
)


@pytest.mark.parametrize("arguments", LISTINGS, ids=" ".join)
def test_every_listing_is_json_too(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_a_check_is_json_on_the_standard_output_without_a_file(
    capsys: pytest.CaptureFixture[str], manifest: Path
) -> None:
    for more in (["--json"], ["--json", "-"], ["--json", "--quick"]):
        assert main(["corpora", "check", str(manifest), *more]) == 0
        assert json.loads(capsys.readouterr().out)["can_run"]
    file = manifest.with_name("check.json")
    assert main(["corpora", "check", str(manifest), "--json", str(file)]) == 0
    assert json.loads(file.read_text(encoding="utf-8"))["can_run"] and "A study can run" in capsys.readouterr().out


def test_in_a_pipe_a_model_is_a_line_with_all_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert main(["models"]) == 0
    heads, *lines = capsys.readouterr().out.splitlines()
    columns = ["kind", "name", "size", "licence", "languages", "revision", "seen", "summary"]
    assert re.split("  +", heads) == columns
    assert [re.split("  +", line)[1] for line in lines] == [row["name"] for row in known]
    assert all(row["summary"] in line for row, line in zip(known, lines, strict=True))


def test_measures_say_what_they_are_invariant_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measures", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in told["measures"]}
    assert rows.keys() == set(MEASURES)
    assert rows["svcca"]["invariant_to"] == ["rotation", "scale", "shift"] and rows["svcca"]["range"] == [0, 1]
    assert "modality_similarity" in {row["name"] for row in told["kinds"]}


def test_what_lists_names_imports_no_torch() -> None:
    program = (
        "import sys; from babelscope.cli import interrupt_again, main; "
        "codes = [main(command.split()) for command in ('models', 'corpora', 'fetch')]; "
        "sys.exit(any(codes) or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("models show whisper-b", "whisper-base"),
        ("models show whisper-base+e5-s", "whisper-base+e5-small"),
        ("corpora show tux", "tuxpaint"),
        ("fetch aster", "asterisk"),
        ("run pap", "paper"),
        ("run paper --languages sw", "sw_ke"),
        ("compare x -m linear", "linear_cka"),
        ("meas", "measures"),
    ],
)
def test_a_shell_completes_names(typed: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"_BABELSCOPE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": f"babelscope {typed}"}
    program = "import sys; sys.argv = ['babelscope']; from babelscope.cli import entry; entry()"
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert name in done.stdout, done.stderr[-2000:]


def test_a_corpus_that_states_no_licence_says_so(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _told(capsys, "corpora", "show", "manifest", "--path", str(manifest))
    assert code == 0 and out.endswith("Licence: not stated.")


@pytest.mark.assets
def test_shows_of_what_was_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _told(capsys, "models", "show", "whisper-base+e5-small")
    assert code == 0 and "speech.layer.5" in out and "sha256" in out and "M parameters" in out
    code, out, _ = _told(capsys, "corpora", "show", "asterisk")
    assert code == 0 and "CC-BY-SA-3.0" in out


@pytest.mark.plugins
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
        (
            ["run", "paper", "--set", "corpus.langauges=[en_us]"],
            2,
            "corpus.langauges: there is no such key; did you mean",
        ),
        (["run", "paper", "--set", "corpus.n"], 2, "--set corpus.n: write KEY=VALUE"),
        (["run", "paper", "--set", "corpus.n=few"], 2, "corpus.n: Input should be a valid integer"),
        (["run", "paper", "--set", "seed=1", "--set", "seed=2"], 2, "given twice"),
        (["run", "paper", "--quiet", "--verbose"], 2, "choose one of them"),
        (["compare", "x.zarr", "--set", "corpus.n=3"], 2, "the activations are encoded already"),
        (["compare", "x.zarr", "--set", "measurs=[svcca]"], 2, "did you mean 'measures'"),
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
    from babelscope.study import Study, build_model

    with pytest.raises(FetchError, match="babelscope fetch whisper-base"):
        build_model(Study.parse({"corpus": {"source": "asterisk"}, "model": {"name": "whisper-base"}}))


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


def test_a_ctrl_c_is_not_lost_where_python_drops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised while an object is deleted goes nowhere: a study went on to its end."""

    class Interrupted:
        def __del__(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "unraisablehook", interrupt_again)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            Interrupted()
            threading.Event().wait(10)
    finally:
        signal.signal(signal.SIGINT, before)
