from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from babelscope import corpora
from babelscope.audio import load_audio
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from fleurs_fixture import RATE, Reading, speech, spoil_sound, tar_gz, tones, write, write_parquet


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return write(tmp_path / "fleurs", tones())


def _load(path: Path, **options: object) -> Corpus:
    return corpora.load("fleurs", path=path, **options)


def test_a_local_copy(copy: Path) -> None:
    corpus = _load(copy)
    assert corpus.languages == ("en_us", "it_it", "zu_za")
    assert corpus.sentences == ("0", "1", "2", "3", "4", "5")
    assert corpus.text("3", "it_it") == "Sentence 3, in it_it."
    assert [len(corpus.recordings(sentence, "zu_za")) for sentence in corpus.sentences] == [2, 1, 1, 2, 1, 1]
    assert corpus.readers["en_us"] == ("en_us female", "en_us male")
    assert corpus.licence == "CC-BY-4.0" and "Conneau" in corpus.attribution
    assert len(corpus.select()) == 6
    for language, splits in tones().items():
        for reading in splits["test"]:
            samples = [load_audio(each) for each in corpus.recordings(str(reading.sentence), language)]
            assert any(np.array_equal(reading.samples, each) for each in samples)
    assert _load(copy / "data").fingerprint() == corpus.fingerprint()


def test_languages_in_any_code_and_their_order(copy: Path) -> None:
    assert _load(copy, languages=["zul_Latn", "en"]).languages == ("zu_za", "en_us")
    with pytest.raises(UsageError, match="names one twice"):
        _load(copy, languages=["en", "eng"])
    with pytest.raises(UsageError, match="no language 'english'"):
        _load(copy, languages=["english"])
    with pytest.raises(DataError, match=r"'fr_fr' has no split 'test': .*fr_fr/test.tsv is missing"):
        _load(copy, languages=["fr"])


def test_splits_and_unions(copy: Path) -> None:
    assert len(_load(copy, splits="dev")) == len(_load(copy, splits="validation")) == 6
    assert _load(copy, splits="dev").sentences[0] == "100"
    union = _load(copy, splits="train+dev")
    assert union.sentences == (*(str(100 + k) for k in range(6)), *(str(200 + k) for k in range(6)))
    assert union.fingerprint() == _load(copy, splits=["dev", "train"]).fingerprint()
    assert len(_load(copy, splits="train+dev+test")) == 18
    assert len(list(copy.rglob("*"))) == len(list(copy.rglob("data/**/*"))) + 1  # nothing was written beside the data
    for given, message in (("tests", "did you mean 'test'"), ("test+test", "names one twice"), ([], "or none")):
        with pytest.raises(UsageError, match=message):
            _load(copy, splits=given)


def test_which_recording(copy: Path) -> None:
    def primary(**options: object) -> tuple[str, float, int]:
        cell = _load(copy, **options).recordings("3", "en_us")
        return cell[0].reader, round(cell[0].seconds, 2), len(cell)

    assert primary() == ("en_us female", 0.36, 2)
    assert primary(recording="longest") == ("en_us male", 0.41, 2)
    assert primary(recording="shortest") == ("en_us female", 0.36, 2)
    assert primary(recording="male") == ("en_us male", 0.41, 2)
    assert primary(recording="male", others=False) == ("en_us male", 0.41, 1)
    assert primary(others=False) == ("en_us female", 0.36, 1)
    assert primary(recording="all", others=False) == ("en_us female", 0.36, 2)
    for rule, words in (("longest", "the longest"), ("female", "the first one by a woman")):
        assert words in " ".join(_load(copy, recording=rule).notes)
    with pytest.raises(UsageError, match="did you mean 'longest'"):
        _load(copy, recording="longes")


def test_a_rule_that_a_sentence_cannot_meet_costs_its_recording(copy: Path) -> None:
    corpus = _load(copy, recording="female")
    assert corpus.recordings("1", "en_us") == () and corpus.text("1", "en_us")
    assert corpus.select().sentences == ("0", "3")
    lost = corpus.lost.set_index("language")["sentences"].to_dict()
    assert lost == {"en_us": 4, "it_it": 4, "zu_za": 4}


def test_a_copy_of_a_recording_is_no_other_reader(tmp_path: Path) -> None:
    dataset = tones(["en_us"])
    own = dataset["en_us"]["test"]
    own.append(Reading(own[0].sentence, own[0].raw, own[0].samples, "MALE"))  # another file name, the same sound
    corpus = _load(write(tmp_path / "fleurs", dataset))
    assert len(corpus.recordings("0", "en_us")) == 2
    assert any(note.startswith("1 recordings are byte for byte") for note in corpus.notes)


def test_raw_and_normalised_text(copy: Path) -> None:
    assert _load(copy, text="normalised").text("3", "it_it") == "sentence 3 in it it"
    assert any("normalised" in note for note in _load(copy, text="normalised").notes)
    assert _load(copy, text="normalised").fingerprint() != _load(copy).fingerprint()
    with pytest.raises(UsageError, match="did you mean 'normalised'"):
        _load(copy, text="normalized")


def test_ids_are_intersected_and_the_losses_told(tmp_path: Path) -> None:
    dataset = tones()
    dataset["it_it"]["test"] = [reading for reading in dataset["it_it"]["test"] if reading.sentence not in (1, 4)]
    dataset["zu_za"]["test"] = [reading for reading in dataset["zu_za"]["test"] if reading.sentence != 4]
    common = _load(write(tmp_path / "fleurs", dataset)).select()
    assert common.sentences == ("0", "2", "3", "5")
    assert common.lost.set_index("language")["sentences"].to_dict() == {"en_us": 0, "it_it": 2, "zu_za": 1, "any": 2}


@pytest.mark.parametrize("spoiled", ["gone", "damaged"])
def test_texts_alone_open_no_recording(copy: Path, cache: Path, spoiled: str) -> None:
    for language in ("en_us", "it_it"):
        whole = _load(copy, languages=[language], modalities=["text"])
        archive = copy / "data" / language / "audio" / "test.tar.gz"
        archive.unlink() if spoiled == "gone" else archive.write_bytes(b"not an archive")
        corpus = _load(copy, languages=[language], modalities=["text"], recording="female")
        assert corpus.fingerprint() == whole.fingerprint() and len(corpus) == 6
        assert not any(corpus.recordings(sentence, language) for sentence in corpus.sentences)
        assert any(note.startswith("Only texts") for note in corpus.notes) and corpus.lost.empty
        assert corpus.select(modalities=["text"]).text("3", language) == f"Sentence 3, in {language}."
    assert not cache.exists()
    with pytest.raises(DataError, match=r"test.tar.gz"):
        _load(copy)
    with pytest.raises(UsageError, match="did you mean 'speech'"):
        _load(copy, modalities=["speach"])
    with pytest.raises(UsageError, match="is a list"):
        _load(copy, modalities="text")


def test_texts_alone_of_parquet_leave_its_recordings_unread(copy: Path, tmp_path: Path, cache: Path) -> None:
    files = write_parquet(tmp_path / "parquet", tones())
    for path in files.rglob("*.parquet"):
        spoil_sound(path)
    texts = _load(files, modalities=["text"])
    assert texts.fingerprint() == _load(copy, modalities=["text"]).fingerprint() and not cache.exists()
    with pytest.raises(DataError, match=r"fleurs-test.parquet cannot be read"):
        _load(files)


def test_a_language_that_is_not_chosen_is_not_read(copy: Path) -> None:
    for name in ("it_it/test.tsv", "zu_za/test.tsv", "it_it/audio/test.tar.gz", "zu_za/audio/test.tar.gz"):
        (copy / "data" / name).write_bytes(b"\xff")
    assert _load(copy, languages=["en"]).languages == ("en_us",)
    with pytest.raises(DataError, match="it_it"):
        _load(copy)


def test_archives_are_packed_once(copy: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = _load(copy)
    zips = sorted((cache / "corpora" / "fleurs").glob("*.zip"))
    assert len(zips) == 3 and {each.stat().st_size for each in zips}
    with zipfile.ZipFile(zips[0]) as archive:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    before = {each: each.stat().st_mtime_ns for each in zips}
    from babelscope.corpora import packing

    monkeypatch.setattr(packing, "sha256_of", lambda path: pytest.fail(f"{path} was hashed again"))
    assert _load(copy).fingerprint() == corpus.fingerprint()
    assert {each: each.stat().st_mtime_ns for each in zips} == before
    monkeypatch.undo()
    monkeypatch.setenv("BABELSCOPE_CACHE", str(cache))
    zips[0].write_bytes(zips[0].read_bytes()[:1000])  # what a full disk or a curious hand leaves
    assert _load(copy).fingerprint() == corpus.fingerprint()


def test_a_changed_archive_is_packed_anew(copy: Path, cache: Path) -> None:
    first = _load(copy)
    dataset = tones()
    louder = [Reading(r.sentence, r.raw, r.samples * np.float32(1.5), r.gender) for r in dataset["en_us"]["test"]]
    dataset["en_us"]["test"] = louder
    write(copy, dataset)
    again = _load(copy)
    assert again.fingerprint() != first.fingerprint()
    assert np.array_equal(load_audio(again.recordings("1", "en_us")[0]), louder[2].samples)
    assert len(list((cache / "corpora" / "fleurs").glob("en_us-*.zip"))) == 2


def test_a_folder_that_was_unpacked_before(copy: Path, cache: Path) -> None:
    packed = _load(copy)
    for language, splits in tones().items():
        folder = copy / "data" / language / "audio" / "test"
        folder.mkdir()
        folder.with_name("test.tar.gz").unlink()
        for reading in splits["test"]:
            (folder / reading.file).write_bytes(reading.wav)
    unpacked = _load(copy)
    assert unpacked.table.drop(columns=["audio", "member"]).equals(packed.table.drop(columns=["audio", "member"]))
    one = unpacked.recordings("0", "en_us")[0]
    assert one.member is None and len(load_audio(one)) == round(one.seconds * RATE)


@pytest.mark.parametrize("rows", [1000, 3])
def test_parquet(copy: Path, tmp_path: Path, rows: int) -> None:
    files = write_parquet(tmp_path / "parquet", tones(), rows=rows)
    for options in ({}, {"splits": "dev+train", "recording": "longest", "text": "normalised"}):
        assert _load(files, **options).fingerprint() == _load(copy, **options).fingerprint()
    assert _load(files).languages == ("en_us", "it_it", "zu_za")


def test_parquet_that_is_damaged(tmp_path: Path) -> None:
    files = write_parquet(tmp_path / "parquet", tones(["en_us"]))
    whole = files / "en_us" / "fleurs-test.parquet"
    whole.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"fleurs-test.parquet cannot be read as Parquet"):
        _load(files)


def _tsv(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def apply(copy: Path) -> None:
        path = copy / "data" / "en_us" / "test.tsv"
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")

    return apply


def _field(line: int, place: int, value: str) -> Callable[[Path], None]:
    def change(lines: list[str]) -> list[str]:
        fields = lines[line - 1].split("\t")
        fields[place] = value
        return [*lines[: line - 1], "\t".join(fields), *lines[line:]]

    return _tsv(change)


def _silent(reading: Reading) -> bytes:
    return Reading(reading.sentence, reading.raw, np.zeros_like(reading.samples)).wav


def _archive(change: Callable[[Reading], bytes | None]) -> Callable[[Path], None]:
    def apply(copy: Path) -> None:
        members = ((reading.file, change(reading)) for reading in tones()["en_us"]["test"])
        kept = ((f"test/{name}", data) for name, data in members if data is not None)
        (copy / "data" / "en_us" / "audio" / "test.tar.gz").write_bytes(tar_gz(kept))

    return apply


BROKEN = {
    "fields": (_tsv(lambda lines: [lines[0], "1\ttwo", *lines[2:]]), r"test.tsv, line 2 has 2 fields instead of 7"),
    "id": (_field(3, 0, "x1"), r"test.tsv, line 3 has the id 'x1'"),
    "path": (_field(3, 1, "../../x.wav"), r"test.tsv, line 3 names the file '../../x.wav': it must be a plain name"),
    "text": (_field(3, 2, "  "), r"test.tsv, line 3 has no text for id 1"),
    "samples": (_field(3, 5, "-4"), r"test.tsv, line 3 has '-4' samples"),
    "gender": (_field(3, 6, "FEMAL"), r"test.tsv, line 3 has the gender 'FEMAL': did you mean 'female'"),
    "file twice": (
        _tsv(lambda lines: [*lines[:3], lines[2], *lines[3:]]),
        r"line 4 names the file '\d+.wav', and so does .*line 3",
    ),
    "two texts": (_field(2, 2, "Another."), r"test.tsv, line 2 has another text for id 0 than .*test.tsv, line 1"),
    "shorter": (_field(3, 5, "160000"), r"test.tsv, line 3, id 1: recording \d+.wav lasts 0.32 s, 10.00 s are claimed"),
    "missing member": (
        _archive(lambda reading: None if reading.sentence == 1 else reading.wav),
        r"test.tsv, line 3, id 1: recording \d+.wav is not in .*test.tar.gz",
    ),
    "no audio": (
        _archive(lambda reading: b"no audio at all" if reading.sentence == 1 else reading.wav),
        r"test.tsv, line 3, id 1: recording .*test.tar.gz:\d+.wav cannot be decoded",
    ),
    "cut member": (
        _archive(lambda reading: reading.wav[:9000] if reading.sentence == 1 else reading.wav),
        r"test.tsv, line 3, id 1: recording .*test.tar.gz:\d+.wav is cut short",
    ),
    "silent member": (
        _archive(lambda reading: _silent(reading) if reading.sentence == 1 else reading.wav),
        r"test.tsv, line 3, id 1: recording .*test.tar.gz:\d+.wav is silent",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_named_or_dropped(copy: Path, case: str) -> None:
    spoil, message = BROKEN[case]
    spoil(copy)
    with pytest.raises(DataError, match=message) as caught:
        _load(copy)
    assert "broken='drop'" in str(caught.value) and "\n" not in str(caught.value)
    corpus = _load(copy, broken="drop")
    kept = sum(len(corpus.recordings(sentence, "en_us")) for sentence in corpus.sentences)
    assert kept == (8 if case == "file twice" else 7)
    assert any(note.startswith("1 broken rows") and "test.tsv, line" in note for note in corpus.notes)
    assert len(corpus.select()) == (6 if case in ("fields", "two texts", "file twice") else 5)  # 0 has another reader


def test_an_id_in_two_splits(copy: Path) -> None:
    path = copy / "data" / "en_us" / "dev.tsv"
    path.write_text(path.read_text().replace("101\t", "1\t").replace("Sentence 101", "Sentence 1"))
    assert len(_load(copy, splits="dev")) == 7  # 101 stands in the other languages
    with pytest.raises(DataError, match=r"test.tsv, line 3 has id 1, and so has .*dev.tsv, line 2: an id is in one"):
        _load(copy, splits="dev+test")
    assert len(_load(copy, splits="dev+test", broken="drop").recordings("1", "en_us")) == 1


@pytest.mark.parametrize("spoiled", ["cut", "crc", "none", "no tar", "twice"])
def test_an_archive_that_is_damaged(copy: Path, cache: Path, spoiled: str) -> None:
    path = copy / "data" / "en_us" / "audio" / "test.tar.gz"
    whole = path.read_bytes()
    if spoiled == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif spoiled == "crc":
        path.write_bytes(whole[:-8] + b"\0\0\0\0" + whole[-4:])
    elif spoiled == "none":
        path.unlink()
    elif spoiled == "no tar":
        path.write_bytes(b"not an archive")
    else:
        members = [(f"{folder}/1.wav", tones()["en_us"]["test"][0].wav) for folder in ("a", "b")]
        path.write_bytes(tar_gz(members))
    with pytest.raises(DataError, match=r"en_us/audio/test.tar.gz") as caught:
        _load(copy)
    assert "\n" not in str(caught.value)
    assert not list((cache / "corpora" / "fleurs").glob("en_us*"))


def test_a_folder_without_the_data_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no language with test"):
        _load(tmp_path)
    with pytest.raises(UsageError, match="is no folder"):
        _load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="needs languages"):
        corpora.load("fleurs")


@pytest.mark.assets
def test_real_speech_in_the_true_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as real:
        real.delenv("BABELSCOPE_CACHE")
        dataset = speech(16, flaws=True)
    path = write(tmp_path / "fleurs", dataset)
    with pytest.raises(DataError, match=r"ru_ru/test.tsv, line 1, id 0: recording .*test.tar.gz:\d+.wav is cut short"):
        _load(path)
    corpus = _load(path, broken="drop")
    assert corpus.languages == ("en_us", "es_419", "fr_fr", "it_it", "ru_ru") and len(corpus) == 8
    common = corpus.select()
    assert common.sentences == ("4", "6", "8", "10", "12", "14")  # 0 is broken in Russian, 2 missing in French
    lost = common.lost[common.lost["filter"] == "complete"].set_index("language")["sentences"].to_dict()
    assert lost == {"en_us": 0, "es_419": 0, "fr_fr": 1, "it_it": 0, "ru_ru": 1, "any": 2}
    assert any(len(common.recordings(sentence, "it_it")) == 2 for sentence in common.sentences)
    for reading in dataset["it_it"]["test"]:
        if str(reading.sentence) in common.sentences:
            cell = common.recordings(str(reading.sentence), "it_it")
            assert any(np.array_equal(load_audio(each), reading.samples) for each in cell)
    assert len(_load(path, splits="train+dev").select()) == 8


def _shortened(sentence: int, seconds: float) -> dict[str, dict[str, list[Reading]]]:
    """Tones, with the first recording of a sentence cut to so many seconds, in the archive and in its row."""
    dataset = tones(["en_us"], sentences=12)
    own = dataset["en_us"]["test"]
    place = next(number for number, reading in enumerate(own) if reading.sentence == sentence)
    own[place] = Reading(sentence, own[place].raw, own[place].samples[: round(seconds * RATE)], own[place].gender)
    return dataset


@pytest.mark.parametrize(("sentence", "kept"), [(3, 1), (4, 0)])  # two people read 3, one reads 4
def test_recordings_that_are_cut_off_are_listed_and_may_be_dropped(tmp_path: Path, sentence: int, kept: int) -> None:
    path = write(tmp_path / "fleurs", _shortened(sentence, 0.12))
    corpus = _load(path)
    (problem,) = corpus.problems
    assert (problem.kind, problem.severity, problem.count) == ("clip-too-short", "warning", 1)
    assert (
        problem.where == (f"language 'en_us', sentence '{sentence}', 0.12 s",) and "truncated='drop'" in problem.remedy
    )
    assert len(corpus.recordings(str(sentence), "en_us")) == kept + 1
    dropped = _load(path, truncated="drop")
    assert dropped.problems[0].severity == "note" and dropped.text(str(sentence), "en_us")
    assert len(dropped.recordings(str(sentence), "en_us")) == kept
    with pytest.raises(UsageError, match=r"no truncated='keeps': did you mean 'keep'"):
        _load(path, truncated="keeps")


def test_whole_recordings_are_not_called_cut_off(copy: Path) -> None:
    assert _load(copy).problems == ()


def test_the_first_release_names_speakers(copy: Path) -> None:
    def add_speakers(lines: list[str]) -> list[str]:
        fields = [line.split("\t") for line in lines]
        return ["\t".join([*each[:6], str(number % 2), each[6]]) for number, each in enumerate(fields)]

    _tsv(add_speakers)(copy)
    corpus = _load(copy)
    assert corpus.readers["en_us"] == ("en_us female 0", "en_us male 0", "en_us male 1")
    assert corpus.readers["it_it"] == ("it_it female", "it_it male")


def test_documents_come_from_flores(copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "flores200_dataset"
    for split, numbers in (("dev", range(3)), ("devtest", range(3, 6))):
        (folder / split).mkdir(parents=True)
        lines = [f"Sentence {number}, in it_it." for number in numbers]
        (folder / split / f"ita_Latn.{split}").write_text("\n".join(lines) + "\n")
        urls = [f"https://example.org/{number // 3}\tnews\tcrime\t0\t0" for number in numbers]
        (folder / f"metadata_{split}.tsv").write_text("\n".join(["URL\tdomain\ttopic\timage\tlink", *urls]) + "\n")
    corpus = _load(copy, documents=folder)
    assert corpus.clusters == {str(number): f"https://example.org/{number // 3}" for number in range(6)}
    assert corpus.fingerprint() == _load(copy).fingerprint() and _load(copy).clusters == {}
    (folder / "dev" / "ita_Latn.dev").write_text("Sentence 0, in it_it.\n")
    with pytest.raises(DataError, match=r"ita_Latn.dev has 1 lines, but .*metadata_dev.tsv lists 3"):
        _load(copy, documents=folder)
    with pytest.raises(DataError, match=r"gives no document of any sentence"):
        _load(copy, documents=copy)


def test_restored_recordings_have_the_same_layout(tmp_path: Path) -> None:
    def restored(reading: Reading) -> Reading:
        out = io.BytesIO()
        soundfile.write(out, soxr.resample(reading.samples, RATE, 24_000), 24_000, format="WAV", subtype="PCM_16")
        return dataclasses.replace(reading, data=out.getvalue())

    dataset = {
        language: {split: [restored(reading) for reading in readings] for split, readings in splits.items()}
        for language, splits in tones().items()
    }
    corpus = corpora.load("fleurs-r", path=write(tmp_path / "restored", dataset))
    assert corpus.name == "fleurs-r" and "fleurs-r" in corpus.attribution and corpus.licence == "CC-BY-4.0"
    assert corpus.sentences == ("0", "1", "2", "3", "4", "5") and len(corpus.select()) == 6
    reading = tones()["it_it"]["test"][0]
    samples = load_audio(corpus.recordings("0", "it_it")[0])
    assert np.corrcoef(samples[: len(reading.samples)], reading.samples[: len(samples)])[0, 1] > 0.99
