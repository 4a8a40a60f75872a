"""What is wrong with a study is said before a model is loaded, by the dry run as by the run, in one line."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from babelscope import models
from babelscope.capture import Activations
from babelscope.cli import main
from babelscope.errors import DataError, FetchError, UsageError
from babelscope.study import Study, check_start, run


@pytest.fixture
def study(manifest: Path, whisper_folder: Path, e5_folder: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "output": "out",
        "permutations": 19,
        "intervals": False,
        "measures": ["svcca"],
        "corpus": {"source": "manifest", "path": str(manifest), "languages": ["xa", "xb"]},
        "model": {
            "name": "whisper-base+e5-small",
            "window_seconds": 2,
            "weights": {"whisper-base": str(whisper_folder), "e5-small": str(e5_folder)},
        },
    }


def _toml(study: dict[str, Any]) -> str:
    def value(of: Any) -> str:
        if isinstance(of, dict):
            return "{ " + ", ".join(f'"{key}" = {value(each)}' for key, each in of.items()) + " }"
        return str(of).lower() if isinstance(of, bool) else repr(of)

    top = "".join(f"{key} = {value(each)}\n" for key, each in study.items() if not isinstance(each, dict))
    return top + "".join(
        f"[{name}]\n" + "".join(f"{key} = {value(each)}\n" for key, each in table.items())
        for name, table in study.items()
        if isinstance(table, dict)
    )


def _fewer(manifest: Path, target: Path, sentences: int, column: str = "audio") -> str:
    with manifest.open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    kept = [row for row in rows if int(row["sentence"][1:]) < sentences]
    for row in kept:
        row["audio"] = str(manifest.parent / row["audio"])
    with target.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow([column if name == "audio" else name for name in kept[0]])
        writer.writerows(row.values() for row in kept)
    return str(target)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "three sentences": ({}, r"svcca\S* needs at least 5 sentences, got 3"),
    "n of three": ({"corpus": {"n": 3}}, r"svcca\S* needs at least 5 sentences, got 3 \(corpus.n\)"),
    "too few for a measure": ({"measures": ["linear_cka", "cv_cca"]}, "cv_cca needs at least 30 sentences, got 12"),
    "a column wav": ({}, r"no column 'audio', and its column 'wav' is not read: rename it to 'audio'"),
    "no folder of weights": (
        {"model": {"weights": {"whisper-base": "./nowhere"}}},
        r"there is no folder .*nowhere: name the folder of whisper-base's weights, or a hub id",
    ),
    "another model's weights": ({}, "model_type 'bert', not of 'whisper': load it as e5-small"),
    "a point that is not there": ({"points": ["speech.layer.7"]}, "has no point 'speech.layer.7'; did you mean"),
    "an output below a file": ({"output": "a-file/out"}, "a-file is not a folder: choose another output"),
    "a manifest that is not there": ({"corpus": {"path": "nowhere.csv"}}, "nowhere.csv"),
    "nothing to compare": (
        {"corpus": {"languages": ["xa"]}, "kinds": ["language_similarity_text"]},
        "one language .* none of language_similarity_text can be compared",
    ),
    "no such device": ({"model": {"device": "toaster"}}, "'toaster' cannot be used"),
}


#: Cases of comparing: activations of any number of sentences and languages can be encoded.
OF_COMPARING = ("three sentences", "n of three", "too few for a measure", "nothing to compare")


@pytest.mark.parametrize(
    ("case", "command"),
    [
        (case, command)
        for case in WRONG
        for command in (["run"], ["run", "--dry-run"], ["encode"])
        if command != ["encode"] or case not in OF_COMPARING
    ],
)
def test_it_is_known_before_a_model_is_loaded(
    study: dict[str, Any],
    manifest: Path,
    e5_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: str,
    command: list[str],
) -> None:
    changed, words = WRONG[case]
    if case == "three sentences":
        changed = {"corpus": {"path": _fewer(manifest, tmp_path / "three.csv", 3)}}
    elif case == "a column wav":
        changed = {"corpus": {"path": _fewer(manifest, tmp_path / "own.csv", 12, "wav")}}
    elif case == "another model's weights":
        changed = {"model": {"weights": {"whisper-base": str(e5_folder)}}}
    for key, value in changed.items():
        study[key] = {**study[key], **value} if isinstance(value, dict) else value
    (tmp_path / "a-file").write_text("")
    (tmp_path / "study.toml").write_text(_toml(study), encoding="utf-8")

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(models, "load", refuse)
    assert main([*command, str(tmp_path / "study.toml")]) in (1, 2)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("babelscope: ") and re.search(words, line), line
    assert not (tmp_path / "out").exists()


def test_all_that_must_be_fetched_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path))
    study = Study.parse({"corpus": {"source": "asterisk"}, "model": {"name": "whisper-base+e5-small"}})
    with pytest.raises(FetchError, match="run 'babelscope fetch asterisk whisper-base e5-small'"):
        check_start(study)
    with pytest.raises(FetchError, match="asterisk, e5-small are not here"):
        check_start(study.changed(weights=None).model_copy(update={"model": _with_whisper(study, tmp_path)}))


def _with_whisper(study: Study, folder: Path) -> Any:
    return study.model.model_copy(update={"weights": {"whisper-base": str(folder)}})


def test_options_that_name_files_are_not_mistaken(tmp_path: Path) -> None:
    from babelscope.testing import tiny

    tiny("sonar-speech", tmp_path / "encoders")
    tiny("sonar-text-original", tmp_path / "text")
    corpus = {"source": "manifest", "path": "x.csv"}
    options = {"speech_weights": str(tmp_path / "encoders")}
    model = {"name": "sonar", "weights": str(tmp_path / "text"), "options": options}
    check_start(Study.parse({"corpus": corpus, "model": model, "output": str(tmp_path / "out")}))


@pytest.fixture
def failed(study: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Study]:
    """Run a study whose model fails in a method; return the study."""

    def run_to(method: str) -> Study:
        def fail(*arguments: Any) -> None:
            raise DataError("sentence s03: no")

        first = Study.parse({**study, "output": str(tmp_path / "out"), "measures": ["linear_cka"]})
        with monkeypatch.context() as patched:
            patched.setattr(f"babelscope.models.{method}", fail)
            with pytest.raises(DataError, match="s03"):
                run(first)
        return first

    return run_to


def _fewer_sentences(study: Study) -> Study:
    return study.model_copy(update={"corpus": study.corpus.model_copy(update={"n": 8})})


def test_a_first_run_that_failed_with_nothing_finished_needs_no_overwrite(failed: Callable[[str], Study]) -> None:
    first = failed("adapters.text.TextSide.forward")
    assert not Activations(first.output / "activations.zarr").done.any()
    run(_fewer_sentences(first))
    store = Activations(first.output / "activations.zarr")
    assert len(store.sentences) == 8 and store.complete


def test_what_was_finished_is_not_replaced_unasked(failed: Callable[[str], Study]) -> None:
    first = failed("adapters.speech.SpeechSide.forward")
    done = Activations(first.output / "activations.zarr").done
    assert done.any() and not done.all()
    with pytest.raises(UsageError, match="--overwrite"):
        run(_fewer_sentences(first))
    assert (Activations(first.output / "activations.zarr").done == done).all()
    assert run(first).report.exists()
