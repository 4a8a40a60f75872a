"""Manifests with every broken field there is: a corpus, or one line that names the file and the row."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from babelscope import corpora
from babelscope.corpora import manifest
from babelscope.errors import BabelscopeError, DataError, UsageError

HEAD = "sentence,language,text\n"


def gz(data: bytes) -> bytes:
    """Compressed without the time, which would stand in the tests' names."""
    return gzip.compress(data, mtime=0)


def refusal(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        corpora.load("manifest", path)
    message = str(caught.value)
    assert path.name in message and message.isprintable() and len(message) < 2_500
    return message


def loaded(path: Path, content: str | bytes) -> corpora.Corpus:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return corpora.load("manifest", path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HEAD.encode("utf-16"), "has no rows"),
        (HEAD.encode("utf-16") + b"s", "is not UTF-16"),
        (
            "\ufeff".encode("utf-16-be") + (HEAD + "s,en,\a").encode("utf-16-be"),
            "line 2, column 'text' holds a control",
        ),
        ((HEAD + "s,en,good one\ns,fr,déjà vu\n").encode("latin-1"), "line 3 is not UTF-8"),
        ((HEAD + "s,en,good one\n" * 9_000 + "s,fr,d").encode() + b"\xe9j\xe0", "line 9002 is not UTF-8"),
        (HEAD + 's,en,"never closed\n' + "s,fr,more\n" * 50, "line 2 is no CSV"),
        (HEAD + 's,en,"never closed\n' + "s,fr,and so on and on\n" * 9_000, "line 2 is no CSV"),
        (HEAD + f"s,en,{'x' * (manifest.MAX_LINE + 1)}\n", "line 2 has more than 1048576 characters"),
        (HEAD + "s\x07,en,hello\n", "line 2, column 'sentence' holds a control character (U+0007)"),
        (HEAD + "s,en,\x1b[2Jhello\n", "line 2, column 'text' holds a control character (U+001B)"),
        (HEAD + "s,en,hello\x9bthere\n", "line 2, column 'text' holds a control character (U+009B)"),
        (HEAD + '"s\n1",en,hello\n', "line 2, column 'sentence' holds a control character (U+000A)"),
        (HEAD + "s\u202egnp,en,hello\n", "line 2, column 'sentence' holds U+202E"),
        (HEAD + "s\u20281,en,hello\n", "line 2, column 'sentence' holds U+2028"),
        (HEAD + "s,\u2067en,hello\n", "line 2, column 'language' holds U+2067"),
        (HEAD + "s,=1+1,hello\n", "line 2, column 'language' is '=1+1': a table program would take it for a formula"),
        (HEAD + "\u200b,en,hello\n", "which has no visible character"),
        (HEAD + "s,en,\u200b\u200d\u2060\n", "line 2, column 'text' is '\\u200b\\u200d\\u2060', which has no visible"),
        (HEAD + f"{'s' * 1_001},en,hello\n", "line 2, column 'sentence' has 1001 characters, more than 1000"),
        ("sentence,language,text,reader\ns,en,hello,Ann\x1b[31m\n", "column 'reader' holds a control character"),
        ("sentence,language,audio\ns,en,a\x1bb.wav\n", "column 'audio' holds a control character"),
        ("sentence,language,audio\ns,en,/dev/zero\n", "which does not exist"),
        ("sentence,language,audio\ns,en,~nobody-at-all/a.wav\n", "which does not exist"),
        (f"sentence,language,audio\ns,en,{'a/' * 5_000}b.wav\n", "which does not exist"),
        ("sentence,language,audio,audio\ns,en,a,b\n", "has column 'audio' twice"),
        ("\n" + HEAD + "s,en,hello\n", "has no column 'sentence'"),
        (HEAD + "s,en,hello\ns,en,goodbye\n", "line 3, column 'text' differs from line 2"),
        (HEAD + "s,en,hello\n\n\ns,en,hello\n", "line 5, column 'sentence' 's' in language 'en' has a second row"),
    ],
)
def test_a_hostile_csv_is_one_line_with_file_and_row(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert said in refusal(tmp_path / "m.csv", content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[" * 100_000, "line 1 is no JSON"),
        ('{"sentence": ' + "[" * 100_000, "line 1 is no JSON"),
        ('{"sentence": ' + "9" * 5_000 + "}", "line 1 is no JSON"),
        ('{"sentence": "s", "sentence": "t", "language": "en", "text": "hello"}', "line 1 has 'sentence' twice"),
        ('{"sentence": NaN, "language": "en", "text": "hello"}', "column 'sentence' is empty"),
        ('{"sentence": "s", "language": "en", "text": NaN}', "column 'text' is empty"),
        ('{"sentence": "s", "language": "en", "text": {"a": 1}}', "column 'text' is {'a': 1}: it must be text"),
        ('{"sentence": "s", "language": ["en"], "text": "hello"}', "column 'language' is ['en']: it must be text"),
        ('{"sentence": true, "language": "en", "text": "hello"}', "column 'sentence' is True: it must be text"),
        ('{"sentence": "s", "language": "en", "text": [' + "0," * 9_000 + "0]}", "column 'text' is [0, 0"),
        ('{"sentence": "s\\ud800", "language": "en", "text": "hello"}', "lone surrogate"),
        ('{"sentence": "s", "language": "en", "audio": "a\\u0000.wav"}', "NUL"),
        ('{"sentence": "s", "language": "en", "text": "a\\u001b[2J"}', "control character (U+001B)"),
        (json.dumps({"sentence": "s"}).encode("utf-16"), "line 1 has no column 'language'"),
    ],
)
def test_a_hostile_json_lines_is_one_line_with_file_and_row(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert said in refusal(tmp_path / "m.jsonl", content)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "mixed"])
def test_line_ends_of_every_kind_are_read(tmp_path: Path, end: str) -> None:
    lines = ["sentence,language,text", "s,en,hello", "s,fr,salut", 't,en,"two\nlines"']
    ends = ["\r\n", "\n", "\r", "\n"] if end == "mixed" else [end] * 4
    corpus = loaded(tmp_path / "m.csv", "".join(line + own for line, own in zip(lines, ends, strict=True)))
    assert corpus.sentences == ("s", "t") and corpus.text("t", "en") == "two lines"


def test_scripts_that_need_marks_keep_them(tmp_path: Path) -> None:
    persian, hebrew = "می\u200cخواهم", "\u2067שלום\u2069 \u200fעולם"
    corpus = loaded(tmp_path / "m.csv", f"{HEAD}s,fa,{persian}\ns,he,{hebrew}\n")
    assert corpus.text("s", "fa") == persian and corpus.text("s", "he") == hebrew


def test_a_text_of_a_hundred_kilobytes_is_kept_whole(tmp_path: Path) -> None:
    text = "word " * 20_000
    assert corpora.load("manifest", _written(tmp_path, text)).text("s", "en") == text.strip()


def _written(folder: Path, text: str) -> Path:
    path = folder / "m.jsonl"
    path.write_text(json.dumps({"sentence": "s", "language": "en", "text": text}))
    return path


def test_an_id_may_look_like_a_path_and_opens_none(tmp_path: Path) -> None:
    corpus = loaded(tmp_path / "m.csv", f"{HEAD}../../etc/passwd,en,hello\n/root/x,en,hello there\n")
    assert corpus.sentences == ("../../etc/passwd", "/root/x")
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"sentence": ["s"], "language": ["en"], "text": [b"\xff\xfe"]}, "it must be text"),
        ({"sentence": ["s"], "language": ["en"], "text": [["a"]]}, "it must be text"),
        ({"sentence": [None], "language": ["en"], "text": ["hello"]}, "row 1, column 'sentence' is empty"),
        ({"sentence": ["s", "t"], "language": ["en", "en"], "text": ["hello", "a\x07"]}, "row 2, column 'text'"),
        ({"sentence": ["s"], "text": ["hello"]}, "no column 'language'"),
    ],
)
def test_a_hostile_parquet_is_one_line(tmp_path: Path, columns: dict[str, list[Any]], said: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    assert said in refusal(tmp_path / "m.parquet", (tmp_path / "m.parquet").read_bytes())


def test_a_parquet_with_text_that_is_no_unicode_is_one_line(tmp_path: Path) -> None:
    broken = pa.array([b"\xff\xfe\xfa"], pa.binary()).view(pa.string())
    table = pa.table({"sentence": pa.array(["s"]), "language": pa.array(["en"]), "text": broken})
    pq.write_table(table, tmp_path / "m.parquet")
    assert "cannot be read as Parquet" in refusal(tmp_path / "m.parquet", (tmp_path / "m.parquet").read_bytes())


def test_a_parquet_that_claims_billions_of_rows_is_refused_by_its_footer(tmp_path: Path) -> None:
    rows = manifest.MAX_ROWS + 1
    constant = pa.DictionaryArray.from_arrays(pa.nulls(rows, pa.int8()).fill_null(0), pa.array(["s"]))
    pq.write_table(pa.table({"sentence": constant, "language": constant, "text": constant}), tmp_path / "m.parquet")
    assert (tmp_path / "m.parquet").stat().st_size < 200_000
    assert "more than 20000000 rows" in refusal(tmp_path / "m.parquet", (tmp_path / "m.parquet").read_bytes())


def test_more_rows_than_a_block_are_checked_against_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest.rows, "_BLOCK", 4)
    rows = "".join(f"s{number},en,sentence {number}\n" for number in range(10))
    assert len(loaded(tmp_path / "m.csv", HEAD + rows)) == 10
    assert "line 12, column 'sentence' 's1'" in refusal(tmp_path / "m.csv", HEAD + rows + "s1,en,sentence 1\n")
    assert "line 12, column 'text' differs from line 10" in refusal(tmp_path / "m.csv", HEAD + rows + "s8,en,other\n")


@pytest.mark.skipif(sys.platform == "win32", reason="the peak is asked of getrusage")
def test_memory_for_each_row_is_bounded(tmp_path: Path) -> None:
    """60,000 rows more take less than a kilobyte each: the corpus, and nothing that the reader held on its way."""
    program = (
        "import resource, sys; from babelscope import corpora; corpora.load('manifest', sys.argv[1]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for rows in (10_000, 70_000):
        path = tmp_path / f"{rows}.csv"
        pd.DataFrame(
            {
                "sentence": [f"s{row // 5:06}" for row in range(rows)],
                "language": [("en", "fr", "de", "sw", "yo")[row % 5] for row in range(rows)],
                "text": [f"sentence number {row // 5} of several, in language {row % 5}" for row in range(rows)],
            }
        ).to_csv(path, index=False)
        told = subprocess.run([sys.executable, "-c", program, path], capture_output=True, check=True)
        peaks.append(int(told.stdout) * (1 if sys.platform == "darwin" else 1024))
    assert (peaks[1] - peaks[0]) / 60_000 < 1_024


FIELD = st.one_of(
    st.sampled_from(["", "s", "en", "a.wav", "../a.wav", "/dev/null", "\u202e", "\u200b", "nan", "1e400", "-1"]),
    st.text(max_size=8),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
COLUMN = st.sampled_from([*corpora.COLUMNS, "other", ""])


def accept(path: Path, **options: Any) -> None:
    """Load, and check that what comes out is a corpus or one line; and that all problems can be told."""
    examined = None
    with contextlib.suppress(UsageError):
        examined = manifest.examine(path, **options)
    if examined is not None:
        assert all(problem.message and "\n" not in problem.message for problem in examined.problems)
    try:
        corpus = corpora.load("manifest", path, **options)
    except BabelscopeError as error:
        assert path.name in str(error) and str(error).isprintable()
        assert examined is None or [problem for problem in examined.problems if problem.severity == "error"]
        return
    assert examined is None or examined.corpus is not None
    assert len(corpus) and len(corpus.fingerprint()) == 64
    for sentence in corpus.sentences:
        for language in corpus.languages:
            assert (corpus.text(sentence, language) or "x").strip()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(COLUMN, min_size=1, max_size=5), st.lists(st.lists(FIELD, max_size=5), max_size=4))
def test_whatever_the_fields_of_a_csv(tmp_path: Path, columns: list[str], rows: list[list[str]]) -> None:
    lines = [",".join(["sentence", "language", *columns])]
    lines += [",".join(field.replace('"', '""') for field in ("s", "en", *row)) for row in rows]
    (tmp_path / "m.csv").write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    accept(tmp_path / "m.csv")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(COLUMN, FIELD | JSON, max_size=5), min_size=1, max_size=3))
def test_whatever_the_values_of_json_lines(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps({"sentence": "s", "language": "en"} | row) for row in rows]
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    accept(tmp_path / "m.jsonl")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=16), st.integers(0, 2_000))
def test_whatever_the_bytes_of_a_parquet(tmp_path: Path, noise: bytes, at: int) -> None:
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"sentence": ["s", "t"], "language": ["en", "en"], "text": ["one", "two"]}), path)
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at : at + len(noise)] = noise
    path.write_bytes(data)
    accept(path)


HEADERS = (
    *("path", "sentence", "locale", "client_id", "translation", "sentence_id", "audio_filepath", "duration", "offset"),
    *("file_name", "id", "lang", "language", "text", "audio", "start", "supervisions", "recording"),
)
NOISY = [HealthCheck.function_scoped_fixture]


@settings(max_examples=150, deadline=None, suppress_health_check=NOISY)
@given(
    st.lists(st.sampled_from(HEADERS), min_size=1, max_size=5, unique=True),
    st.lists(st.lists(FIELD | st.sampled_from(['"', '"a', 'a"', '""', ";", "|"]), max_size=5), max_size=4),
    st.sampled_from([".csv", ".tsv", ".csv.gz"]),
    st.sampled_from([",", "\t", ";", "|"]),
)
def test_whatever_the_layout_of_a_text(
    tmp_path: Path, header: list[str], rows: list[list[str]], suffix: str, separator: str
) -> None:
    lines = [separator.join(header), *(separator.join(row) for row in rows)]
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    (tmp_path / f"m{suffix}").write_bytes(gz(data) if suffix.endswith(".gz") else data)
    accept(tmp_path / f"m{suffix}", language="en")


@settings(max_examples=150, deadline=None, suppress_health_check=NOISY)
@given(st.lists(st.dictionaries(st.sampled_from(HEADERS), FIELD | JSON, max_size=6), min_size=1, max_size=3))
def test_whatever_the_layout_of_json(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    (tmp_path / "m.json").write_text("\n".join(map(json.dumps, rows)))
    accept(tmp_path / "m.json", language="en")
    (tmp_path / "m.json").write_text(json.dumps(rows))
    accept(tmp_path / "m.json")


@settings(max_examples=150, deadline=None, suppress_health_check=NOISY)
@given(st.dictionaries(st.sampled_from(["type", "id", "start", "duration", "supervisions", "recording"]), JSON))
def test_whatever_a_cut_of_lhotse_says(tmp_path: Path, said: dict[str, Any]) -> None:
    cut = {"id": "c", "start": 0, "duration": 1, "supervisions": [{"id": "s", "text": "hello", "language": "en"}]}
    cut["recording"] = {"sources": [{"type": "file", "source": "a.wav"}]} | {"more": said}
    (tmp_path / "m.jsonl").write_text(json.dumps(cut | said))
    accept(tmp_path / "m.jsonl")


@settings(max_examples=150, deadline=None, suppress_health_check=NOISY)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.lists(
                st.lists(FIELD | st.sampled_from(["s1", "r1", "0", "1.5", "-1", "|"]), max_size=4), max_size=3
            )
            for name in ("wav.scp", "text", "segments", "utt2spk", "utt2lang")
        },
    )
)
def test_whatever_a_folder_of_kaldi_holds(tmp_path: Path, files: dict[str, list[list[str]]]) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    for name, rows in files.items():
        (tmp_path / name).write_bytes("\n".join(map(" ".join, rows)).encode("utf-8", "surrogatepass"))
    accept(tmp_path, language="en")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.csv.gz", b"sentence,language,text\n", "damaged"),
        (
            "m.csv.gz",
            gz(b"sentence,language,text\ns,en,hello\n" * 1_000)[:-20],
            "damaged after line",
        ),
        ("m.csv.gz", gz(b"sentence\xff\n")[:-8] + b"\0" * 8, "not UTF-8"),
        ("m.csv.gz", gz(b"0" * 2**24), "line 1 has more than 1048576 characters"),
        ("m.json", b"[", "is no JSON"),
        ("m.json", b"[5]", "is no list of JSON objects"),
        ("m.json", b"[" * 100_000, "is no JSON"),
        ("m.json", b"[]", "is no list of JSON objects"),
        ("m.jsonl", b'{"audio_filepath": ["a"], "text": "hello"}', "column 'sentence' is empty"),
        (
            "m.json",
            b'{"id": "c", "start": 0, "duration": 1, "recording": {"sources": "abc"}}',
            "several files, or none",
        ),
    ],
)
def test_hostile_files_of_other_kinds_are_one_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    assert said in refusal(tmp_path / name, content)


def test_a_struct_of_recordings_that_are_none_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "cache"))
    for audio in (
        {"bytes": b"", "path": ""},
        {"bytes": None, "path": "../none.wav"},
        {"bytes": b"RIFF", "path": "/a.b/c"},
    ):
        table = pa.table({"sentence": ["s"], "language": ["en"], "text": ["hello"]})
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = table.append_column("audio", pa.array([audio], kind))
        pq.write_table(table, tmp_path / "m.parquet")
        accept(tmp_path / "m.parquet")


@settings(max_examples=100, deadline=None, suppress_health_check=NOISY)
@given(st.lists(st.lists(st.sampled_from(["1", "2", "²", "9" * 5_000, "eng", "\\N", "", "hello"]), max_size=4)))
def test_whatever_sentences_and_links_of_tatoeba_hold(tmp_path: Path, rows: list[list[str]]) -> None:
    lines = ["1\teng\thello", "2\tfra\tsalut", *("\t".join(row) for row in rows)]
    (tmp_path / "sentences.csv").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "links.csv").write_text("\n".join(lines[2:]), encoding="utf-8")
    accept(tmp_path / "sentences.csv")


@settings(max_examples=50, deadline=None, suppress_health_check=NOISY)
@given(st.lists(st.sampled_from(["a.mp3\t²", "a.mp3\t0", "a.mp3", "a.mp3\t" + "9" * 5_000, "\t", "a.mp3\t-1", ""])))
def test_whatever_the_durations_of_common_voice(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "a.mp3").write_bytes(b"junk")
    (tmp_path / "clip_durations.tsv").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "m.tsv").write_text("path\tsentence\tlocale\na.mp3\thello\ten\n")
    accept(tmp_path / "m.tsv")
