"""Tables in plain text as people have them: separators, quotes, encodings, each read where it is certain."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from babelscope import corpora
from babelscope.errors import DataError, UsageError

ROWS = [
    ("a1", "en", "The first one."),
    ("a2", "en", '"Open quote starts here'),
    ("a3", "en", "something inside"),
    ("a4", "en", 'and closed there"'),
    ("a5", "en", '"Danger?" he said.'),
    ("a6", "en", '"All of it is quoted."'),
]


def joined(rows: Sequence[tuple[str, str, str]], separator: str = "\t") -> str:
    return "".join(separator.join(row) + "\n" for row in [("sentence", "language", "text"), *rows])


def kinds(corpus: corpora.Corpus) -> dict[str, str]:
    return {problem.kind: problem.severity for problem in corpus.problems}


def test_quotes_in_tsv_belong_to_the_texts(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text(joined(ROWS), encoding="utf-8")
    corpus = corpora.load("manifest", path)
    assert [(sentence, "en", corpus.text(sentence, "en")) for sentence in corpus.sentences] == ROWS
    assert kinds(corpus) == {"quotes-kept": "note"}
    assert corpus.problems[0].where == ("line 7",)


@pytest.mark.parametrize(
    "texts",
    [
        ["plain", 'He said "no".'],
        ["plain", "two\twords"],
        ["plain", "two\nlines"],
        ['"', 'x"'],
    ],
)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_tsv_that_a_program_quoted_is_read_as_such(tmp_path: Path, texts: list[str], quoting: int) -> None:
    path = tmp_path / "m.tsv"
    table = pd.DataFrame({"sentence": [f"s{place}" for place in range(len(texts))], "language": "en", "text": texts})
    table.to_csv(path, sep="\t", index=False, quoting=quoting)  # type: ignore[call-overload]
    corpus = corpora.load("manifest", path)
    assert [corpus.text(sentence, "en") for sentence in corpus.sentences] == [" ".join(text.split()) for text in texts]


def test_tsv_that_may_or_may_not_be_quoted_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text(joined([("s1", "en", '"Well, yes"'), ("s2", "en", "No")]))
    with pytest.raises(DataError, match=r"m\.tsv: line 2 may be quoted, .*: give quoted = true or false"):
        corpora.load("manifest", path)
    assert corpora.load("manifest", path, quoted=True).text("s1", "en") == "Well, yes"
    assert corpora.load("manifest", path, quoted=False).text("s1", "en") == '"Well, yes"'


def test_a_field_of_several_lines_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text('sentence,language,text\ns1,en,"two\nlines"\ns2,en,"three\n\nlines"\n')
    corpus = corpora.load("manifest", path)
    assert corpus.text("s2", "en") == "three lines"
    (problem,) = corpus.problems
    assert (problem.kind, problem.severity, problem.where) == (
        "field-of-lines",
        "note",
        ("lines 2 to 3", "lines 4 to 6"),
    )
    path.write_text(joined(ROWS[:4], ","))
    corpus = corpora.load("manifest", path)
    assert corpus.sentences == ("a1", "a2")  # by the rules of CSV
    assert kinds(corpus) == {"rows-in-a-field": "warning"}


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_the_separator_is_recognised(tmp_path: Path, separator: str, told: bool, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    head = f"sep={separator}\r\n" if told else ""
    path.write_text(head + joined([("s1", "en", "one: two"), ("s1", "fr", "un")], separator), newline="")
    corpus = corpora.load("manifest", path)
    assert corpus.text("s1", "en") == "one: two" and corpus.languages == ("en", "fr")
    with pytest.raises(DataError, match="line 4" if told else "line 3"):
        path.write_text(head + joined([("s1", "en", "one"), ("s1", "fr", "\a")], separator), newline="")
        corpora.load("manifest", path)


def test_unicode_text_of_a_table_program_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text(joined([("s1", "fr", '"Un ""danger"", dit-il"'), ("s2", "fr", "été")]), encoding="utf-16")
    corpus = corpora.load("manifest", path)
    assert corpus.text("s1", "fr") == 'Un "danger", dit-il' and kinds(corpus) == {"encoding": "note"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_encodings_that_are_certain_are_read(tmp_path: Path, encoding: str, suffix: str) -> None:
    content = joined([("s1", "fr", "déjà vu")], ",")
    if suffix == ".jsonl":
        content = '{"sentence": "s1", "language": "fr", "text": "déjà vu"}\n'
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content.encode(encoding))
    assert corpora.load("manifest", path).text("s1", "fr") == "déjà vu"


def test_an_encoding_that_is_not_certain_is_named_by_the_user(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(joined([("s1", "fr", "déjà vu")], ",").encode("cp1252"))
    with pytest.raises(DataError, match=r"line 2 is not UTF-8: save it in that encoding, or name its own.*'cp1252'"):
        corpora.load("manifest", path)
    assert corpora.load("manifest", path, encoding="cp1252").text("s1", "fr") == "déjà vu"
    for wrong in ("latin-99", "hex"):
        with pytest.raises(UsageError, match="there is no encoding"):
            corpora.load("manifest", path, encoding=wrong)


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Co", "Cn")), min_size=1, max_size=12).map(
    lambda text: " ".join(text.split()) or "x"
)
QUOTES = st.text(alphabet='"a,\t|;', min_size=1, max_size=6).map(lambda text: " ".join(text.split(" ")) or "x")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXT | QUOTES, min_size=1, max_size=5), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_csv_that_a_program_wrote_comes_back(tmp_path: Path, texts: list[str], quoting: int) -> None:
    texts = [text for text in (" ".join(text.split()) for text in texts) if text]
    table = pd.DataFrame({"sentence": [f"s{place}" for place in range(len(texts))], "language": "en", "text": texts})
    if not texts:
        return
    table.to_csv(tmp_path / "m.csv", index=False, quoting=quoting)  # type: ignore[call-overload]
    corpus = corpora.load("manifest", tmp_path / "m.csv")
    assert [corpus.text(sentence, "en") for sentence in corpus.sentences] == texts
