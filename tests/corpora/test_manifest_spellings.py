"""Ids, languages, file names and durations that do not say what they seem to."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babelscope import corpora
from babelscope.corpora import Corpus, manifest
from babelscope.errors import UsageError
from babelscope.languages import is_code, standard

COMPOSED, DECOMPOSED = unicodedata.normalize("NFC", "épée"), unicodedata.normalize("NFD", "épée")


def loaded(folder: Path, *rows: str, header: str = "sentence,language,text") -> Corpus:
    (folder / "m.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return corpora.load("manifest", folder / "m.csv")


def write(path: Path, seconds: float = 0.5) -> Path:
    soundfile.write(path, 0.2 * np.sin(np.arange(round(16_000 * seconds)) * 0.1), 16_000)
    return path


@pytest.mark.parametrize(
    ("one", "other"),
    [("zh-CN", "zh_CN"), ("zh-CN", "cmn"), ("en", "EN"), ("en_us", "eng_Latn"), ("eu", "eus"), ("eus_Latn", "EU")],
)
def test_languages_that_are_the_same_count_as_the_same(tmp_path: Path, one: str, other: str) -> None:
    corpus = loaded(tmp_path, f"s1,{one},hello", f"s2,{other},bye", "s1,it,ciao", "s2,it,addio")
    assert corpus.languages == (one, "it") and corpus.text("s2", one) == "bye"
    (problem,) = corpus.problems
    assert (problem.kind, problem.severity) == ("same-language", "note") and repr(other) in problem.message


@pytest.mark.parametrize(
    ("one", "other"), [("zh-CN", "zh-TW"), ("pt-BR", "pt-PT"), ("sr-Latn", "sr-Cyrl"), ("arb", "arz"), ("nb", "nn")]
)
def test_languages_that_are_not_the_same_stay_apart(tmp_path: Path, one: str, other: str) -> None:
    corpus = loaded(tmp_path, f"s1,{one},hello", f"s2,{other},bye")
    assert corpus.languages == (one, other) and corpus.problems == ()


@pytest.mark.parametrize(
    ("one", "other"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), ("s1", "s1\u200b"), ("s1\u2060", "s1")]
)
def test_ids_that_look_the_same_count_as_the_same(tmp_path: Path, one: str, other: str) -> None:
    corpus = loaded(tmp_path, f"{one},en,hello", f"{other},fr,salut")
    assert corpus.sentences == (one,) and corpus.text(one, "fr") == "salut"
    (problem,) = corpus.problems
    assert problem.kind == "same-sentence" and problem.message.isprintable() and ascii(other) in problem.message


def test_a_language_by_another_code_is_hinted_at(tmp_path: Path) -> None:
    corpus = loaded(tmp_path, "s1,zh-CN,hello", "s1,pt_br,bye")
    with pytest.raises(UsageError, match="no language 'cmn': did you mean 'zh-CN'"):
        corpus.select(languages=["cmn", "pt_br"])


def test_what_looks_the_same_but_would_share_a_cell_stays_apart_and_is_reported(tmp_path: Path) -> None:
    corpus = loaded(tmp_path, "s1,en,hello", "s1\u200b,en,bye", "s2,en,one two", "s2,en_us,three four")
    assert corpus.sentences == ("s1", "s1\u200b", "s2") and corpus.languages == ("en", "en_us")
    assert {problem.kind: problem.severity for problem in corpus.problems} == {
        "alike-language": "warning",
        "alike-sentence": "warning",
    }


def test_ids_that_differ_in_case_are_reported_where_they_may_be_the_same(tmp_path: Path) -> None:
    corpus = loaded(tmp_path, "S1,en,hello", "s1,fr,salut", "aB,en,one two", "ab,en,three four")
    assert len(corpus) == 4
    (problem,) = corpus.problems
    assert (problem.kind, problem.severity, problem.count) == ("ids-differ-in-case", "warning", 1)
    assert "'S1' and 's1'" in problem.message


def test_what_is_spelled_in_one_way_keeps_its_spelling(tmp_path: Path) -> None:
    corpus = loaded(tmp_path, f"{DECOMPOSED},ZH_cn,{DECOMPOSED}", f"{DECOMPOSED},EN,sword")
    assert corpus.languages == ("ZH_cn", "EN") and corpus.sentences == (DECOMPOSED,)
    assert corpus.text(DECOMPOSED, "ZH_cn") == DECOMPOSED and corpus.problems == ()


def test_one_text_composed_in_two_ways_is_one_text(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    write(tmp_path / "b.wav")
    header = "sentence,language,text,audio"
    corpus = loaded(tmp_path, f"s1,fr,{COMPOSED},a.wav", f"s1,fr,{DECOMPOSED},b.wav", header=header)
    assert corpus.text("s1", "fr") == COMPOSED and len(corpus.recordings("s1", "fr")) == 2


@pytest.mark.parametrize(("named", "written"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_a_file_is_the_same_under_either_form_of_its_name(tmp_path: Path, named: str, written: str) -> None:
    write(tmp_path / f"{written}.wav")
    corpus = loaded(tmp_path, f"s1,fr,{named}.wav", header="sentence,language,audio")
    assert corpus.recordings("s1", "fr")[0].path.is_file()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [("500", "milliseconds?"), ("8000", "samples?"), ("0.8", "lasts 0.50 s"), ("0.3", "lasts 0.50 s"), ("0.55", None)],
)
def test_seconds_that_disagree_with_the_file_are_reported(tmp_path: Path, seconds: str, said: str | None) -> None:
    write(tmp_path / "a.wav")
    corpus = loaded(tmp_path, f"s1,fr,a.wav,{seconds}", header="sentence,language,audio,seconds")
    assert corpus.recordings("s1", "fr")[0].seconds == float(seconds)
    if said is None:
        assert corpus.problems == ()
        return
    (problem,) = corpus.problems
    assert (problem.kind, problem.severity, problem.where) == ("seconds-disagree", "warning", ("line 2",))
    assert said in problem.message


def test_seconds_of_many_files_are_compared_in_a_sample_or_all(tmp_path: Path) -> None:
    for place in range(300):
        write(tmp_path / f"{place}.wav", 0.11)
    rows = [f"s{place},en,{place}.wav,9" for place in range(300)]
    corpus = loaded(tmp_path, *rows, header="sentence,language,audio,seconds")
    assert [problem.count for problem in corpus.problems] == [200]
    examined = manifest.examine(tmp_path / "m.csv", most_headers=None)
    assert [problem.count for problem in examined.problems] == [300]


def test_standard_has_one_form_for_all_codes_of_a_language() -> None:
    assert {standard(code) for code in ("zh", "zh-CN", "zh_CN", "cmn", "cmn_Hans", "zho_Hans")} == {"cmn_hans_cn"}
    assert {standard(code) for code in ("iw", "he", "HE", "heb", "he_il", "he-IL", "heb_Hebr")} == {"he_il"}
    assert {standard(code) for code in ("eu", "eus", "EUS", "eu-Latn", "eus_Latn")} == {"eu"}
    assert standard("Klingon") == "klingon" and standard("x-mine") == "x-mine"
    assert is_code("eu") and is_code("cmn_hans_cn") and not is_code("clips") and not is_code("train")
