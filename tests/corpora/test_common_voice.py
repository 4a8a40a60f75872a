"""Common Voice as its releases are unpacked, and CoVoST 2 over it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from babelscope import corpora
from babelscope.audio import load_audio
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from common_voice_fixture import RELEASE, client, speech, tones, write_covost, write_release


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "common-voice", tones())


def _load(path: Path, **options: object) -> Corpus:
    return corpora.load("common-voice", path=path, **options)


def test_a_release(release: Path) -> None:
    corpus = _load(release)
    assert corpus.languages == ("en", "sv-SE")
    texts = {corpus.text(sentence, "en") for sentence in corpus.sentences} - {None}
    assert texts == {"Sentence 0, in en.", "Sentence 3, in en.", "Sentence 6, in en."}
    assert set(corpus.readers["sv-SE"]) == {client("Anna sv-SE"), client("Bert sv-SE")}
    assert set(corpus.labels["sentence_domain"]) == {"general"} and corpus.clusters == {}
    assert corpus.licence == "CC0-1.0" and any("not parallel" in note for note in corpus.notes)
    with pytest.raises(DataError, match="no sentence passes"):
        corpus.select()
    own = corpus.select(languages=["en"])
    assert len(own) == 3 and all(len(own.recordings(sentence, "en")) == 2 for sentence in own.sentences)
    (recording, _) = own.recordings(own.sentences[0], "en")
    samples = load_audio(recording)
    assert abs(len(samples) / 16_000 - recording.seconds) < 0.06 and np.abs(samples).max() > 0.2


def test_splits_and_quotes(release: Path) -> None:
    whole = _load(release / RELEASE, languages=["sv"], splits="validated")
    assert whole.languages == ("sv-SE",) and len(whole) == 9
    assert 'He said "sv-SE".' in {whole.text(sentence, "sv-SE") for sentence in whole.sentences}
    assert _load(release, languages=["sv"], splits="train+dev+test").fingerprint() == whole.fingerprint()
    assert _load(release, languages=["sv"], splits="test+validated").describe()["recordings"].tolist() == [12]
    one = _load(release / RELEASE / "sv-SE", splits="dev", recording="female")
    assert one.languages == ("sv-SE",) and not one.describe()["recordings"].sum()  # Anna reads every third only


def test_an_old_release_knows_a_sentence_by_its_text(tmp_path: Path) -> None:
    corpus = _load(write_release(tmp_path, tones(), old=True), languages=["en"])
    assert len(corpus) == 3 and all(len(corpus.recordings(sentence, "en")) == 2 for sentence in corpus.sentences)
    assert all(len(sentence) == 16 for sentence in corpus.sentences)


def test_what_is_broken_is_named_or_dropped(release: Path) -> None:
    folder = release / RELEASE / "en"
    (folder / "clips" / "common_voice_en_17000003.mp3").unlink()
    with pytest.raises(DataError, match=r"en/test.tsv, line \d+, id \w+: .*17000003.mp3.*missing") as caught:
        _load(release)
    assert "broken='drop'" in str(caught.value) and "\n" not in str(caught.value)
    assert len(_load(release, modalities=["text"])) == 6
    dropped = _load(release, languages=["en"], broken="drop")
    assert dropped.describe()["recordings"].tolist() == [5] and any("1 broken rows" in note for note in dropped.notes)
    whole = (folder / "dev.tsv").read_text()
    (folder / "dev.tsv").write_text(whole.replace("\tcommon_voice_en_17000004.mp3", "\t../x.mp3/../../y .mp3\x01", 1))
    with pytest.raises(DataError, match=r"dev.tsv, line \d+ names the clip .* it must be a plain name"):
        _load(release, languages=["en"], splits="dev")
    (folder / "dev.tsv").write_text(whole + "three\tfields\tonly\n")
    with pytest.raises(DataError, match=r"en/dev.tsv, line 5 has 3 fields for 13 columns"):
        _load(release, languages=["en"], splits="dev")
    (folder / "dev.tsv").write_text(whole.replace("\tsentence\t", "\tsentences\t"))
    with pytest.raises(DataError, match=r"en/dev.tsv has no column 'sentence': did you mean 'sentences'"):
        _load(release, languages=["en"], splits="dev")


def test_a_folder_that_is_no_release(release: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no language 'de'"):
        _load(release, languages=["de"])
    with pytest.raises(UsageError, match=r"has no language with other \(looked for .*en/other.tsv\)"):
        _load(release, splits="other")
    with pytest.raises(UsageError, match=r"no split 'tets': did you mean 'test'"):
        _load(release, splits="tets")
    shutil.copytree(release / RELEASE, release / "cv-corpus-21.0-2025-03-14")
    with pytest.raises(UsageError, match=r"has 2 releases: name the folder of one"):
        _load(release)
    assert _load(release / RELEASE).languages == ("en", "sv-SE")


def _covost(release: Path, folder: Path, *, made: bool) -> Path:
    clips = tones()
    texts = {
        "de": [f"Satz {clip.number % 300} auf Deutsch." for clip in clips["en"]],
        "tr": [f'Tümce "{clip.number % 300}".' for clip in clips["en"]],
    }
    return write_covost(folder, clips, "en", texts, made=made)


@pytest.mark.parametrize("made", [True, False])
def test_covost_as_it_is_made_and_as_it_is_downloaded(release: Path, tmp_path: Path, made: bool) -> None:
    copy = _covost(release, tmp_path / "covost", made=made)
    corpus = corpora.load("covost2", path=copy, clips=release / RELEASE / "en")
    assert corpus.languages == ("en", "de", "tr") and len(corpus) == 6
    sentence = "common_voice_en_17000003"
    assert corpus.text(sentence, "en") == "Sentence 3, in en." and corpus.text(sentence, "tr") == 'Tümce "3".'
    assert [len(corpus.recordings(sentence, language)) for language in corpus.languages] == [1, 0, 0]
    assert corpus.recordings(sentence, "en")[0].reader == client("Bert en")
    assert len(corpus.select(modalities=["text"], distinct=True)) == 3  # two people read each
    assert len(corpus.select(languages=["en"])) == 6
    alone = corpora.load("covost2", path=copy, clips=release / RELEASE / "en", languages=["eng_Latn"], splits="train")
    assert alone.languages == ("en",) and alone.text("common_voice_en_17000008", "en") == 'He said "en".'
    texts = corpora.load(
        "covost2", path=copy, languages=["en", "tur"], modalities=["text"], clips=release / RELEASE / "en"
    )
    assert texts.languages == ("en", "tr") and not texts.describe()["recordings"].sum()


def test_covost_beside_its_clips(release: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(release / RELEASE / "en", root / "en")
    _covost(release, root / "en", made=False)
    assert len(corpora.load("covost2", path=root)) == 6


def test_what_is_broken_in_covost_is_named(release: Path, tmp_path: Path) -> None:
    copy = _covost(release, tmp_path / "covost", made=False)
    with pytest.raises(DataError, match=r"validated.tsv is missing, .*: give Common Voice's folder as clips"):
        corpora.load("covost2", path=copy)
    clips = release / RELEASE / "en"
    with pytest.raises(UsageError, match=r"has no language 'fr'"):
        corpora.load("covost2", path=copy, clips=clips, languages=["en", "fr"])
    with pytest.raises(UsageError, match=r"has no language 'de'"):
        corpora.load("covost2", path=copy, clips=clips, languages=["de", "en"])
    with pytest.raises(UsageError, match=r"has no file such as covost_v2.fr_en.tsv"):
        corpora.load("covost2", path=release / RELEASE)
    (clips / "clips" / "common_voice_en_17000000.mp3").unlink()
    with pytest.raises(DataError, match=r"covost_v2.en_de.tsv, line \d+, id common_voice_en_17000000: .*missing"):
        corpora.load("covost2", path=copy, clips=clips)
    path = copy / "covost_v2.en_de.tsv"
    path.write_text(path.read_text().replace("translation", "translated", 1))
    with pytest.raises(DataError, match=r"covost_v2.en_de.tsv has no column 'translation': did you mean 'translated'"):
        corpora.load("covost2", path=copy, clips=clips)
    path.unlink()
    write_covost(copy, tones(), "en", {"de": [clip.text for clip in tones()["en"]]}, made=True)
    (copy / "covost_v2.en_de.test.tsv").unlink()
    with pytest.raises(DataError, match=r"has no split 'test': .*covost_v2.en_de.test.tsv is missing"):
        corpora.load("covost2", path=copy, clips=clips, languages=["en", "de"])


@pytest.mark.assets
def test_real_speech_in_the_true_layout(tmp_path: Path) -> None:
    clips = speech()
    release = write_release(tmp_path / "common-voice", clips)
    corpus = _load(release, splits="validated", languages=["it"])
    assert len(corpus) == 12 and corpus.problems == ()
    assert set(corpus.readers["it"]) == {client("Carlo"), client("Menardi")}
    for clip in clips["it"][:6]:
        sentence = next(each for each in corpus.sentences if corpus.text(each, "it") == clip.text)
        heard = next(each for each in corpus.recordings(sentence, "it") if each.reader == client(clip.reader))
        samples = load_audio(heard)
        assert abs(len(samples) - len(clip.samples)) < 0.1 * 16_000
        assert signal.correlate(samples, clip.samples, method="fft").max() > 0.9 * np.sqrt(
            (samples**2).sum() * (clip.samples**2).sum()
        )
    english = {clip.number: clip.text for clip in clips["en"]}
    translations = [english[clip.number % 300] for clip in clips["it"]]
    copy = write_covost(tmp_path / "covost", clips, "it", {"en": translations}, made=True)
    parallel = corpora.load("covost2", path=copy, clips=release / RELEASE / "it")
    assert parallel.languages == ("it", "en") and len(parallel.select(modalities=["text"])) == len(parallel)
