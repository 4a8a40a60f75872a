from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from babelscope import corpora
from babelscope.audio import load_audio
from babelscope.errors import BabelscopeError, DataError, UsageError

HEAD = "sentence,language,text,audio,reader\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sounds").mkdir()
    for name, seconds in (("en1", 0.5), ("it1", 0.25), ("it1b", 1.0)):
        soundfile.write(
            tmp_path / "sounds" / f"{name}.wav", 0.2 * np.sin(np.arange(int(16_000 * seconds)) * 0.1), 16_000
        )
    out = io.BytesIO()
    soundfile.write(out, 0.2 * np.sin(np.arange(8_000) * 0.1), 16_000, format="FLAC")
    with zipfile.ZipFile(tmp_path / "sounds.zip", "w") as archive:
        archive.writestr("x/ru1.flac", out.getvalue())
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "junk.wav").write_bytes(b"junk" * 100)
    return tmp_path


ROWS: list[dict[str, Any]] = [
    {"sentence": "s1", "language": "en", "text": 'He said: "well, yes"', "audio": "sounds/en1.wav", "reader": "Ann"},
    {"sentence": "s1", "language": "it", "text": "Ha detto di sì", "audio": "sounds/it1.wav", "reader": "Bo"},
    {"sentence": "s1", "language": "it", "text": None, "audio": "sounds/it1b.wav", "reader": "Cy"},
    {"sentence": "s2", "language": "en", "text": "Second", "audio": None, "reader": None},
    {"sentence": "s1", "language": "ru", "text": "Да", "audio": "sounds.zip", "member": "x/ru1.flac"},
]


def as_csv(path: Path) -> Path:
    pd.DataFrame(ROWS).to_csv(path, index=False)
    return path


def as_csv_with_bom(path: Path) -> Path:
    as_csv(path).write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    return path


def as_tsv(path: Path) -> Path:
    path = path.with_suffix(".tsv")
    pd.DataFrame(ROWS).to_csv(path, index=False, sep="\t")
    return path


def as_json_lines(path: Path) -> Path:
    path = path.with_suffix(".jsonl")
    path.write_text("\n\n".join(json.dumps(fields, ensure_ascii=False) for fields in ROWS) + "\n", encoding="utf-8")
    return path


def as_parquet(path: Path) -> Path:
    path = path.with_suffix(".parquet")
    pd.DataFrame(ROWS).to_parquet(path)
    return path


@pytest.mark.parametrize("write", [as_csv, as_csv_with_bom, as_tsv, as_json_lines, as_parquet])
def test_every_format_gives_the_same_corpus(folder: Path, write: Callable[[Path], Path]) -> None:
    corpus = corpora.load("manifest", write(folder / "mine.csv"))
    assert corpus.name == "mine"
    assert corpus.sentences == ("s1", "s2") and corpus.languages == ("en", "it", "ru")
    assert corpus.text("s1", "en") == 'He said: "well, yes"'
    assert [(recording.reader, recording.seconds) for recording in corpus.recordings("s1", "it")] == [
        ("Bo", 0.25),
        ("Cy", 1.0),
    ]
    assert corpus.recordings("s2", "en") == ()
    (member,) = corpus.recordings("s1", "ru")
    assert member.seconds == 0.5 and load_audio(member).shape == (8_000,)
    assert load_audio(corpus.recordings("s1", "en")[0]).shape == (8_000,)
    assert corpus.fingerprint() == corpora.load("manifest", as_csv(folder / "again.csv")).fingerprint()


def test_seconds_may_be_given(folder: Path) -> None:
    (folder / "m.csv").write_text("sentence,language,audio,seconds\ns,en,sounds/en1.wav,7.5\nt,en,sounds/it1.wav,\n")
    corpus = corpora.load("manifest", folder / "m.csv")
    assert [corpus.recordings(sentence, "en")[0].seconds for sentence in ("s", "t")] == [7.5, 0.25]


def test_absolute_paths_and_paths_outside_are_fine(folder: Path) -> None:
    (folder / "deep").mkdir()
    path = folder / "deep" / "m.csv"
    path.write_text(f"{HEAD}s,en,hello there,../sounds/en1.wav,\ns,it,ciao a tutti,{folder}/sounds/it1.wav,\n")
    corpus = corpora.load("manifest", path)
    assert corpus.recordings("s", "en")[0].path == folder / "sounds" / "en1.wav"
    assert corpus.recordings("s", "it")[0].path == folder / "sounds" / "it1.wav"


GOOD = "s1,en,hello there,sounds/en1.wav,Ann\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no column 'sentence'"),
        ("sentense,language,text\n", "no column 'sentence': did you mean 'sentense'"),
        ("sentence,language\na,b\n", "neither a column 'text' nor 'audio'"),
        ("sentence,language,text,text\na,b,c,d\n", "column 'text' twice"),
        (HEAD, "no rows"),
        (HEAD + GOOD + ",en,hello there,,\n", "line 3, column 'sentence' is empty"),
        (HEAD + GOOD + "s2, ,hello there,,\n", "line 3, column 'language' is empty"),
        (HEAD + "s2,en us,hello there,,\n", "line 2, column 'language' is 'en us'"),
        (HEAD + GOOD + "s2,en,,,\n", "line 3, column 'text' is empty, and so is 'audio'"),
        (HEAD + "s2,en,   ,sounds/en1.wav,\n", "line 2, column 'text' is empty (spaces only)"),
        (HEAD + "s2,en,hello there,sounds/none.wav,\n", "line 2, column 'audio' names"),
        (HEAD + "s2,en,hello there,empty.wav,\n", "which is empty"),
        (HEAD + "s2,en,hello there,junk.wav,\n", "column 'audio' cannot be used"),
        (HEAD + "s2,en,hello there,sounds,\n", "which does not exist"),
        (HEAD + GOOD + GOOD, "line 3, column 'sentence' 's1' in language 'en' has the same recording as line 2"),
        (HEAD + "s,en,same text,,\ns,en,same text,,\n", "has a second row without a recording as line 2"),
        (HEAD + GOOD + "s1,en,another text,sounds/it1.wav,\n", "line 3, column 'text' differs from line 2"),
        (HEAD + "s1,en,hello, there,,\n", "line 2 has 6 fields for 5 columns"),
        (HEAD + 's1,en,"hello\nthere",,\ns2,en,x\a,,\n', "line 4, column 'text' holds a control character"),
        (HEAD + 's1,en,"hello" there,,\n', "is no CSV"),
        (HEAD + "s1,en,hel\0lo,,\n", "NUL"),
        ("sentence,language,audio,member\ns,en,sounds.zip,none.flac\n", "has no member 'none.flac'"),
        ("sentence,language,audio,member\ns,en,junk.wav,a.flac\n", "no zip archive"),
        ("sentence,language,text,audio,member\ns,en,hello there,,a.flac\n", "without an archive"),
        ("sentence,language,audio,seconds\ns,en,sounds/en1.wav,long\n", "column 'seconds' is 'long'"),
        ("sentence,language,audio,seconds\ns,en,sounds/en1.wav,-1\n", "column 'seconds' is '-1'"),
    ],
)
def test_a_broken_csv_is_one_line_with_file_line_and_column(folder: Path, content: str, said: str) -> None:
    path = folder / "broken.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        corpora.load("manifest", path)
    assert said in str(caught.value) and "broken.csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"sentence": "s", "language": "en", "text": "hello there"}\n{"sentence": ', "line 2 is no JSON"),
        (b'["s", "en"]', "line 1 is no JSON object"),
        (b'{"sentence": "s", "language": "en", "text": 5}', "column 'text' is 5: it must be text"),
        (b'{"sentence": "s", "language": "en", "text": ""}', "column 'text' is empty: write null"),
        (b'{"sentence": "s", "lang": "en", "text": "hello"}', "line 1 has no column 'language': did you mean 'lang'"),
        (b'{"sentence": "s", "language": "en", "text": "hello \\ud800"}', "lone surrogate"),
        (b'\n{"sentence": "s", "language": "en", "text": "\xff"}', "line 2 is not UTF-8"),
    ],
)
def test_a_broken_json_lines_is_one_line(folder: Path, content: bytes, said: str) -> None:
    path = folder / "broken.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        corpora.load("manifest", path)
    assert said in str(caught.value) and "broken.jsonl" in str(caught.value) and "\n" not in str(caught.value)


def test_a_broken_parquet_is_one_line(folder: Path) -> None:
    path = as_parquet(folder / "broken.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"broken\.parquet cannot be read as Parquet"):
        corpora.load("manifest", path)
    pd.DataFrame([{"sentence": 1, "language": "en", "text": 2}]).to_parquet(path)
    with pytest.raises(DataError, match=r"row 1, column 'text' is 2: it must be text"):
        corpora.load("manifest", path)


def test_a_text_of_one_character_is_a_text_and_is_noted(folder: Path) -> None:
    (folder / "m.csv").write_text("sentence,language,text\none,zh,一\none,bn,১\n1,en,one\n", encoding="utf-8")
    corpus = corpora.load("manifest", folder / "m.csv")
    assert corpus.text("one", "zh") == "一"
    assert corpus.notes == ("2 texts have a single character (first: 'one' in 'zh').",)
    assert corpus.problems == ()
    assert corpora.load("manifest", folder / "m.csv", allow_short=True).fingerprint() == corpus.fingerprint()


@pytest.mark.parametrize(
    ("name", "said"), [("none.csv", "does not exist"), ("m.xlsx", "convert it"), ("sounds", "name its table")]
)
def test_a_file_that_is_none_is_a_usage_error(folder: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        corpora.load("manifest", folder / name)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(alphabet=st.sampled_from('ab,"\n\r\t éя\0;sounds/en1.wav'), max_size=80),
    st.sampled_from([".csv", ".jsonl", ".tsv"]),
)
def test_whatever_a_manifest_holds_only_our_errors_come_out(folder: Path, noise: str, suffix: str) -> None:
    path = folder / f"noise{suffix}"
    path.write_bytes((HEAD + noise).encode())
    try:
        corpus = corpora.load("manifest", path)
    except BabelscopeError as error:
        assert "noise" in str(error)
        return
    assert len(corpus) > 0
