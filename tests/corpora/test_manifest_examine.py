"""Everything that is wrong with a manifest, at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babelscope.corpora import manifest
from babelscope.errors import UsageError

HEAD = "sentence,language,text,audio\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", 0.2 * np.sin(np.arange(16_000) * 0.1), 16_000)
    return tmp_path


def test_all_broken_rows_are_told_with_their_lines(folder: Path) -> None:
    path = folder / "m.csv"
    path.write_text(
        HEAD
        + "s1,en,hello,a.wav\n"
        + "s1,fr,salut,none.wav\n"
        + ",en,hello,\n"
        + "s2,en,a,b,c,d\n"
        + "s2,fr,salut,gone.wav\n"
        + "s1,en,another,a.wav\n"
        + "s3,en,,\n"
        + 's4,en,"hello" there,\n'
        + "s5,en,bye,\n"
        + "s5,en,bye,\n",
        encoding="utf-8",
    )
    examined = manifest.examine(path)
    errors = {problem.kind: problem.where for problem in examined.problems if problem.severity == "error"}
    assert errors == {
        "audio-missing": ("line 3", "line 6"),
        "empty-name": ("line 4",),
        "field-count": ("line 5",),
        "empty-row": ("line 8",),
        "broken-quotes": ("line 9",),
        "text-differs": ("line 7",),
        "duplicate-row": ("line 7", "line 11"),
    }
    assert examined.rows == 10
    assert examined.corpus is not None and examined.corpus.sentences == ("s1", "s5")
    assert examined.corpus.text("s1", "en") == "hello" and len(examined.corpus.recordings("s1", "en")) == 1
    assert [problem.severity for problem in examined.problems] == sorted(
        (problem.severity for problem in examined.problems), key=["error", "warning", "note"].index
    )
    assert all("m.csv" in problem.message and "\n" not in problem.message for problem in examined.problems)


def test_broken_json_lines_do_not_hide_each_other(folder: Path) -> None:
    path = folder / "m.jsonl"
    row = {"sentence": "s", "language": "en", "text": "hello"}
    path.write_text("\n".join([json.dumps(row), "{", json.dumps(row | {"sentence": "t", "text": 5}), "[]", "{"]))
    examined = manifest.examine(path)
    assert {problem.kind: problem.where for problem in examined.problems} == {
        "broken-json": ("line 2", "line 4", "line 5"),
        "not-text": ("line 3",),
    }
    assert examined.corpus is not None and examined.corpus.sentences == ("s",)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "unreadable"),
        (b"sentence,text\ns,hello\n", "unreadable"),
        (HEAD.encode(), "no-rows"),
        (HEAD.encode() + b",en,hello,\n", "empty-name"),
        (HEAD.encode() + b"s,fr,d\xe9j\xe0,\n", "unreadable"),
    ],
)
def test_a_manifest_of_which_nothing_remains_has_no_corpus(folder: Path, content: bytes, kind: str) -> None:
    (folder / "m.csv").write_bytes(content)
    examined = manifest.examine(folder / "m.csv")
    assert examined.corpus is None
    assert [(problem.kind, problem.severity) for problem in examined.problems] == [(kind, "error")]


def test_what_precedes_the_end_of_what_can_be_read_is_a_corpus(folder: Path) -> None:
    (folder / "m.csv").write_bytes(HEAD.encode() + b"s,en,hello,\n" * 1 + b"t,en,d\xe9j\xe0,\n" * 5_000)
    examined = manifest.examine(folder / "m.csv")
    assert [problem.kind for problem in examined.problems] == ["unreadable"]


def test_a_file_that_is_not_there_is_a_usage_error(folder: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        manifest.examine(folder / "none.csv")


def test_one_recording_under_several_sentences_is_reported(folder: Path) -> None:
    path = folder / "m.csv"
    path.write_text(HEAD + "s1,en,hello,a.wav\ns2,en,bye,a.wav\n")
    (problem,) = manifest.load(path).problems
    assert (problem.kind, problem.severity, problem.count) == ("recording-shared", "warning", 2)
    assert "one whole recording is given for all 2 sentences" in problem.message and problem.where == (
        "line 2",
        "line 3",
    )
    soundfile.write(folder / "b.wav", 0.2 * np.sin(np.arange(16_000) * 0.2), 16_000)
    path.write_text(HEAD + "s1,en,hello,a.wav\ns2,en,bye,a.wav\ns3,en,other,b.wav\n")
    (problem,) = manifest.load(path).problems
    assert "for several sentences" in problem.message and problem.where == ("line 2", "line 3")
    path.write_text("sentence,language,audio,start,seconds\ns1,en,a.wav,0.2,0.3\ns2,en,a.wav,.5,.4\n")
    corpus = manifest.load(path)
    assert corpus.problems == ()
    assert [(recording.start, recording.seconds) for recording in corpus.recordings("s2", "en")] == [(0.5, 0.4)]


def test_ids_that_are_texts_are_reported(folder: Path) -> None:
    path = folder / "m.csv"
    path.write_text("sentence,language,audio\nThe bread is fresh today,en,a.wav\n")
    (problem,) = manifest.load(path).problems
    assert (problem.kind, problem.severity) == ("ids-look-like-texts", "warning")
    path.write_text("sentence,language,audio\nmy first sentence,en,a.wav\n")
    assert manifest.load(path).problems == ()


@pytest.mark.parametrize(
    ("start", "seconds", "kind"),
    [
        ("-1", ".5", "broken-start"),
        ("x", ".5", "broken-start"),
        (".6", ".5", "segment-outside"),
        ("0.5", ".05", "segment-outside"),
        ("0.2", "0", "broken-seconds"),
        ("1e9", "", "segment-outside"),
    ],
)
def test_segments_outside_their_file_are_refused(folder: Path, start: str, seconds: str, kind: str) -> None:
    path = folder / "m.csv"
    path.write_text(f"sentence,language,audio,start,seconds\ns1,en,a.wav,{start},{seconds}\n")
    (problem,) = manifest.examine(path).problems
    assert (problem.kind, problem.where) == (kind, ("line 2",))


def test_a_segment_from_the_start_that_is_the_whole_file_is_a_whole_file(folder: Path) -> None:
    path = folder / "m.csv"
    path.write_text("sentence,language,audio,start,seconds\ns1,en,a.wav,0,1.02\ns2,en,a.wav,0,.5\ns3,en,a.wav,.25,\n")
    corpus = manifest.load(path)
    extents = [(each.start, each.seconds) for name in corpus.sentences for each in corpus.recordings(name, "en")]
    assert extents == [(None, 1.02), (0.0, 0.5), (0.25, 0.75)]
