from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from babelscope import corpora
from babelscope.audio import load_audio
from babelscope.corpora import COLUMNS, OPTIONAL_COLUMNS, Corpus, Recording, count_words
from babelscope.errors import DataError, UsageError

Row = tuple[str, str, str | None, str | None, str | None, str | None, float]


def row(
    sentence: str, language: str, text: str | None = "some words here", audio: str | None = "a.wav", **more: Any
) -> Row:
    seconds = more.get("seconds", 1.0) if audio else float("nan")
    return (sentence, language, text, audio, more.get("member"), more.get("reader"), seconds)


def corpus_of(*rows: Row, **more: Any) -> Corpus:
    return Corpus(pd.DataFrame(rows, columns=list(COLUMNS)), name="small", **more)


@pytest.fixture
def small() -> Corpus:
    """Five sentences in three languages; 'de' has texts only, s4 no recording in 'it', s5 no text there."""
    rows = []
    for number in range(1, 6):
        sentence = f"s{number}"
        rows.append(row(sentence, "en", "word " * number, f"en{number}.wav", seconds=float(number), reader="Ann"))
        rows.append(row(sentence, "de", f"Wort {number}", None))
        audio = None if number == 4 else f"it{number}.wav"
        rows.append(row(sentence, "it", None if number == 5 else f"parola {number}", audio, seconds=2.0, reader="Bo"))
    rows.append(row("s1", "it", "parola 1", "second.wav", reader="Cy"))
    return corpus_of(*rows)


def test_cells(small: Corpus) -> None:
    assert len(small) == 5 and small.sentences == ("s1", "s2", "s3", "s4", "s5")
    assert small.languages == ("en", "de", "it")
    assert small.text("s1", "de") == "Wort 1" and small.text("s5", "it") is None
    assert [recording.reader for recording in small.recordings("s1", "it")] == ["Bo", "Cy"]
    assert small.recordings("s1", "de") == ()
    assert small.readers == {"en": ("Ann",), "de": (), "it": ("Bo", "Cy")}
    assert "5 sentences x 3 languages (en de it)" in repr(small)


def test_describe(small: Corpus) -> None:
    table = small.describe()
    assert table.loc["it"].to_dict() == {"texts": 4, "recordings": 5, "pairs": 3, "minutes": 9 / 60, "readers": 2}
    assert table.loc["de", "pairs"] == 0


def test_a_view_cannot_be_changed_through_its_table(small: Corpus) -> None:
    table = small.table
    table.loc[:, "text"] = "changed"
    assert small.text("s1", "de") == "Wort 1"
    assert small.table.loc[0, "text"] != "changed"


def test_complete_keeps_what_every_language_has_and_says_what_it_cost(small: Corpus) -> None:
    both = small.select(languages=["it", "en"])
    assert both.languages == ("it", "en") and both.sentences == ("s1", "s2", "s3")
    lost = both.lost.set_index(["filter", "language"])["sentences"]
    assert lost.to_dict() == {("complete", "it"): 2, ("complete", "en"): 0, ("complete", "any"): 2}
    assert small.select(languages=["it", "en"], complete=False).sentences == small.sentences
    assert small.select(languages=["it"], complete=False).sentences == ("s1", "s2", "s3")


def test_text_alone_and_speech_alone(small: Corpus) -> None:
    assert small.select(modalities=["text"]).sentences == ("s1", "s2", "s3", "s4")
    assert small.select(languages=["en", "it"], modalities=["speech"]).sentences == ("s1", "s2", "s3", "s5")


def test_a_language_without_a_pair_is_told_with_those_that_have(small: Corpus) -> None:
    with pytest.raises(DataError, match=r"'de' has no pair.*5 texts, 0 recordings.*languages that have it: en, it"):
        small.select()
    with pytest.raises(DataError, match="'de' has no speech"):
        small.select(languages=["de"], modalities=["speech"])


def test_filters_say_in_turn_what_they_dropped(small: Corpus) -> None:
    picked = small.select(languages=["en"], ids=["s1", "s2", "s3", "s4"], min_words=2, max_seconds=3)
    assert picked.sentences == ("s2", "s3")
    whole = picked.lost[picked.lost["language"] == "any"].set_index("filter")["sentences"]
    assert whole.to_dict() == {"ids": 1, "complete": 0, "min_words=2": 1, "max_seconds=3": 1}
    again = picked.select(n=1)
    assert list(again.lost["filter"])[-1] == "n=1" and len(again.lost) > len(picked.lost)


def test_max_seconds_looks_at_the_primary_recording(small: Corpus) -> None:
    longer = corpus_of(row("s", "en", audio="a", seconds=1.0), row("s", "en", audio="b", seconds=9.0))
    assert len(longer.select(max_seconds=2)) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"languages": ["en", "itt"]}, "did you mean 'it'"),
        ({"languages": "en"}, "is a list"),
        ({"languages": ["en", "en"]}, "twice"),
        ({"languages": []}, "none"),
        ({"ids": ["s1", "s9x"]}, "no sentence 's9x'"),
        ({"ids": ["s1", "s1"]}, "'s1' twice"),
        ({"modalities": ["texts"]}, "did you mean 'text'"),
        ({"modalities": []}, "list"),
        ({"n": 0}, "n is 0"),
        ({"min_words": -1}, "min_words is -1"),
        ({"max_seconds": 0}, "max_seconds is 0"),
        ({"max_seconds": float("nan")}, "max_seconds is nan"),
    ],
)
def test_a_wrong_filter_is_a_usage_error(small: Corpus, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        small.select(**({"languages": ["en"]} | wrong))


def test_asking_for_more_than_there_is_names_the_filter_that_cost_most(small: Corpus) -> None:
    with pytest.raises(
        UsageError, match=r"has 2 sentences after the filters, 4 were asked for.*min_words=4 \(3 sentences"
    ):
        small.select(languages=["en"], min_words=4, n=4)
    with pytest.raises(DataError, match=r"no sentence passes.*min_words=40"):
        small.select(languages=["en"], min_words=40)


@pytest.mark.parametrize("call", ["text", "recordings"])
def test_an_unknown_cell_is_a_usage_error(small: Corpus, call: str) -> None:
    with pytest.raises(UsageError, match="no language 'xx'"):
        getattr(small, call)("s1", "xx")
    with pytest.raises(UsageError, match="no sentence 'zz'"):
        getattr(small, call)("zz", "en")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("s", "en"), row("s", "en")], "a recording twice for sentence 's', language 'en'"),
        ([row("s", "en", audio=None), row("s", "en", audio=None)], "a text-only row twice"),
        ([row("s", "en", "one", "a"), row("s", "en", "two", "b")], "two texts for sentence 's'"),
        ([row("s", "en", None, None)], "neither text nor recording"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(rows: list[Row], said: str) -> None:
    with pytest.raises(DataError, match=said):
        corpus_of(*rows)


@settings(max_examples=50, deadline=None)
@given(
    st.sets(st.text(min_size=1, max_size=5), min_size=3, max_size=20),
    st.integers(0, 9),
    st.randoms(use_true_random=False),
)
def test_a_draw_depends_on_ids_and_seed_but_not_on_order(ids: set[str], seed: int, shuffle: Any) -> None:
    rows = [row(sentence, "en") for sentence in sorted(ids)]
    drawn = corpus_of(*rows).select(n=2, seed=seed)
    shuffle.shuffle(rows)
    again = corpus_of(*rows).select(n=2, seed=seed)
    assert set(drawn.sentences) == set(again.sentences) and len(drawn) == 2
    grown = corpus_of(*rows).select(n=3, seed=seed)
    assert set(drawn.sentences) < set(grown.sentences)


def test_other_seeds_draw_others() -> None:
    many = corpus_of(*[row(f"s{number}", "en") for number in range(50)])
    draws = {many.select(n=5, seed=seed).sentences for seed in range(10)}
    assert len(draws) == 10


def test_distinct_keeps_the_first_of_those_worded_alike_in_any_language() -> None:
    rows = [
        ("a", "Thank you.", "grazie"),
        ("b", "thank  you", "ti ringrazio"),
        ("c", "Bye", "Grazie!"),
        ("d", "Hello", "ciao"),
    ]
    cells = [row(s, "en", en, f"{s}e") for s, en, _ in rows] + [row(s, "it", it, f"{s}i") for s, _, it in rows]
    picked = corpus_of(*cells).select(distinct=True)
    assert picked.sentences == ("a", "d")
    assert picked.lost.set_index(["filter", "language"])["sentences"]["distinct"].to_dict() == {
        "en": 1,
        "it": 1,
        "any": 2,
    }
    assert corpus_of(*cells).select(distinct=True, languages=["en"]).sentences == ("a", "c", "d")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("— …!", 0),
        ("one", 1),
        ("Press 1, then 2 - please.", 5),
        ("l'operatore è già loggato", 4),
        ("请输入您的号码。", 4),
        ("てんとうむし", 3),
        ("แมลงเต่าทอง", 3),
        ("무당벌레 두 마리", 3),
        ("Божья коровка", 2),
        ("用 Python 写", 3),
    ],
)
def test_words(text: str, words: int) -> None:
    assert count_words(text) == words


# --- fingerprint


def wav(seed: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.random.default_rng(seed).normal(0, 0.1, 3200), 16_000, format="WAV")
    return out.getvalue()


def spoken(folder: Path, change: str = "") -> Corpus:
    folder.mkdir()
    (folder / "a.wav").write_bytes(wav(9 if change == "file" else 0))
    with zipfile.ZipFile(folder / "b.zip", "w") as archive:
        archive.writestr("b.wav", wav(9 if change == "member" else 1))
        archive.writestr("c.wav", wav(2))
    text = "changed" if change == "text" else "text a"
    rows = [
        row("s1", "en", text, str(folder / "a.wav"), reader="Al" if change == "reader" else "Ann"),
        row("s1", "it", "testo", str(folder / "b.zip"), member="b.wav"),
        row("s1", "it", "testo", str(folder / "b.zip"), member="c.wav"),
        row("s2", "en", "" if change == "gone" else "more", None),
    ]
    if change == "primary":
        rows[1], rows[2] = rows[2], rows[1]
    if change == "order":
        rows = [rows[3], rows[1], rows[0], rows[2]]
    return corpus_of(*rows)


def test_a_fingerprint_is_the_same_in_another_place_and_order(tmp_path: Path) -> None:
    first = spoken(tmp_path / "first").fingerprint()
    assert len(first) == 64
    assert spoken(tmp_path / "second").fingerprint() == first
    assert spoken(tmp_path / "third", "order").fingerprint() == first


@pytest.mark.parametrize("change", ["file", "member", "text", "reader", "gone", "primary"])
def test_a_fingerprint_sees_every_change(tmp_path: Path, change: str) -> None:
    assert spoken(tmp_path / "other", change).fingerprint() != spoken(tmp_path / "first").fingerprint()


def test_a_fingerprint_needs_the_recordings(tmp_path: Path) -> None:
    corpus = spoken(tmp_path / "first")
    (tmp_path / "first" / "a.wav").unlink()
    with pytest.raises(DataError, match=r"a\.wav \(sentence 's1', language 'en'\) is missing"):
        corpus.fingerprint()


def test_a_fingerprint_without_some_recordings_is_another(tmp_path: Path) -> None:
    corpus = spoken(tmp_path / "first")
    whole = corpus.fingerprint(skip_bad=True)
    assert whole == corpus.fingerprint()
    found = {whole}
    for gone in ("a.wav", "b.zip"):
        (tmp_path / gone).mkdir()
        lacking = spoken(tmp_path / gone / "corpus")
        (tmp_path / gone / "corpus" / gone).unlink()
        found.add(lacking.fingerprint(skip_bad=True))
        with pytest.raises(DataError, match="missing"):
            lacking.fingerprint()
    assert len(found) == 3


def test_cells_that_are_missed_are_named_where_bad_data_are_skipped() -> None:
    rows = [row(f"s{number:03}", language, "text a") for number in range(150) for language in ("en", "it")]
    corpus = corpus_of(*(one for one in rows if one[1] == "en" or one[0] < "s020"))
    assert corpus.select(modalities=("text",)).left_out == ()
    told = corpus.select(modalities=("text",), skip_bad=True).left_out
    assert told[0] == "sentence 's020' has no text in 'it'"
    assert len(told) == 101 and told[-1] == "30 more lack a text or recording"


# --- sources


def test_an_unknown_corpus_or_option_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="did you mean 'asterisk'"):
        corpora.load("asterix")
    with pytest.raises(UsageError, match="'asterisk' takes no 'path'"):
        corpora.load("asterisk", "somewhere.csv")
    with pytest.raises(UsageError, match="did you mean 'second_reader'"):
        corpora.load("asterisk", second_readers=True)
    with pytest.raises(UsageError, match="'manifest' needs 'path'"):
        corpora.load("manifest")


def test_an_installed_package_can_offer_a_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "other_corpora-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-corpora\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[babelscope.corpora]\nproverbs = other_corpora:load\n"
        "asterisk = other_corpora:stolen\nbroken = other_corpora:none\n"
    )
    (tmp_path / "other_corpora.py").write_text(
        "import pandas as pd\nfrom babelscope.corpora import COLUMNS, Corpus\n"
        "def load(n=1):\n"
        "    rows = [(f's{i}', 'en', 'text', None, None, None, None) for i in range(n)]\n"
        "    return Corpus(pd.DataFrame(rows, columns=list(COLUMNS)), name='proverbs')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(corpora.load("proverbs", n=3)) == 3
    assert corpora.sources()["asterisk"] == "babelscope.corpora.asterisk:load"
    with pytest.raises(UsageError, match=r"'broken'.*cannot be loaded"):
        corpora.load("broken")


def test_a_segment_of_a_file_is_cut_and_counts_by_its_start(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "talk.wav", rng.normal(0, 0.1, 32_000).astype(np.float32), 16_000, subtype="FLOAT")
    rows = [("s1", "en", "One", 0.5), ("s2", "en", "Two", 1.25)]
    table = pd.DataFrame(
        [(s, lang, text, str(tmp_path / "talk.wav"), None, "a", 0.5, start, "talk") for s, lang, text, start in rows],
        columns=[*COLUMNS, *OPTIONAL_COLUMNS],
    )
    corpus = Corpus(table, name="segments")
    whole, _ = soundfile.read(tmp_path / "talk.wav", dtype="float32")
    np.testing.assert_array_equal(load_audio(corpus.recordings("s2", "en")[0]), whole[20_000:28_000])
    assert corpus.clusters == {"s1": "talk", "s2": "talk"}
    assert corpus.fingerprint() != Corpus(table.drop(columns="start").iloc[[0, 1]].assign(
        audio=table["audio"]), name="segments").fingerprint()  # fmt: skip


def test_a_segment_beyond_the_end_of_its_file_is_refused_by_name(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    segment = Recording(tmp_path / "talk.wav", None, 0.5, "a", "s1", "en", start=0.8)
    with pytest.raises(DataError, match=r"talk.wav from 0.8 s .* ends at 1.30 s, but its file lasts 1.00 s"):
        load_audio(segment)


def test_labels_follow_the_sentences_of_a_selection_and_two_clusters_are_refused() -> None:
    rows = [(s, "en", f"Text {s}", None, None, None, float("nan"), pd.NA, "d1") for s in ("s1", "s2")]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *OPTIONAL_COLUMNS])
    labels = pd.DataFrame({"topic": ["travel", "health"]}, index=["s1", "s2"])
    corpus = Corpus(table, name="labelled", labels=labels).select(ids=["s2"], modalities=["text"])
    assert corpus.labels["topic"].to_dict() == {"s2": "health"}
    table = pd.concat([table, table.iloc[[0]].assign(language="fr", cluster="d2")])
    with pytest.raises(DataError, match="two clusters for sentence 's1': 'd1' and 'd2'"):
        Corpus(table, name="labelled")
