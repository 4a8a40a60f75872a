"""Manifests as other tools and data sets lay them out, each recognised by its columns or files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from babelscope import corpora
from babelscope.audio import load_audio
from babelscope.corpora import Corpus, manifest
from babelscope.errors import DataError, UsageError

RATE = 16_000
TEXTS = {
    ("s1", "fr"): '"Un danger ?" dit-il.',
    ("s1", "en"): '"Danger?" he said.',
    ("s2", "fr"): "Une voix claire",
    ("s2", "en"): "A clear voice",
}


def sound(hertz: float = 300.0, seconds: float = 0.5) -> np.ndarray:
    samples: np.ndarray = (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)
    return samples


def write(path: Path, hertz: float = 300.0, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound(hertz, seconds), RATE)
    return path


def encoded(hertz: float, kind: str = "WAV") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, sound(hertz), RATE, format=kind)
    return out.getvalue()


def pitch(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples))


def heard(corpus: Corpus, sentence: str, language: str) -> float:
    """The pitch of a cell's first recording, to the nearest 10 Hz."""
    return round(pitch(load_audio(corpus.recordings(sentence, language)[0])), -1)


def layout(corpus: Corpus) -> str:
    (problem,) = (problem for problem in corpus.problems if problem.kind == "layout")
    assert problem.severity == "note" and problem.remedy
    return problem.message


def tsv(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as Common Voice does: nothing is quoted."""
    lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


# Common Voice ---------------------------------------------------------------------------------------------------------


def common_voice(folder: Path, *, ids: bool = True) -> Path:
    rows = []
    for place, ((sentence, language), text) in enumerate(TEXTS.items()):
        write(folder / "clips" / f"common_voice_{language}_{place}.mp3", 300 + 100 * place)
        row = {"client_id": f"{place:08x}", "path": f"common_voice_{language}_{place}.mp3"}
        row |= {"sentence_id": f"{sentence}-{language}"} if ids else {}
        rows.append(row | {"sentence": text, "up_votes": 2, "down_votes": 0, "age": "", "locale": language})
    return tsv(folder / "validated.tsv", rows)


def test_common_voice(tmp_path: Path) -> None:
    corpus = corpora.load("manifest", common_voice(tmp_path))
    assert corpus.sentences == ("s1-fr", "s1-en", "s2-fr", "s2-en")
    assert corpus.text("s1-en", "en") == '"Danger?" he said.'
    (recording,) = corpus.recordings("s1-en", "en")
    assert recording.path == tmp_path / "clips" / "common_voice_en_1.mp3" and recording.reader == "00000001"
    assert heard(corpus, "s2-en", "en") == 600
    assert "Common Voice" in layout(corpus)
    assert corpora.load("manifest", tmp_path).fingerprint() == corpus.fingerprint()


def test_common_voice_of_old_has_no_ids_and_one_text_may_be_read_by_several(tmp_path: Path) -> None:
    path = common_voice(tmp_path, ids=False)
    write(tmp_path / "clips" / "again.mp3", 900)
    with path.open("a", encoding="utf-8") as handle:
        handle.write("ffff\tagain\tA clear voice\t2\t0\t\ten\n")  # the oldest leave the ending out
    corpus = corpora.load("manifest", path)
    assert len(corpus) == 4
    (sentence,) = (name for name in corpus.sentences if corpus.text(name, "en") == "A clear voice")
    assert [recording.reader for recording in corpus.recordings(sentence, "en")] == ["00000003", "ffff"]


def test_a_release_of_common_voice_has_a_folder_for_each_language(tmp_path: Path) -> None:
    for language in ("fr", "en"):
        folder = tmp_path / "cv-corpus" / language
        write(folder / "clips" / "a.mp3", {"fr": 400, "en": 600}[language])
        row = {"client_id": "a", "path": "a.mp3", "sentence_id": f"{language}1", "sentence": "Bon", "locale": language}
        tsv(folder / "validated.tsv", [row])
    corpus = corpora.load("manifest", tmp_path / "cv-corpus")
    assert corpus.languages == ("en", "fr") and heard(corpus, "fr1", "fr") == 400


def test_common_voice_that_was_saved_as_csv_is_quoted(tmp_path: Path) -> None:
    table = pd.DataFrame({"path": [None], "sentence": ['"Yes", he said'], "locale": ["en"], "sentence_id": ["s1"]})
    table.to_csv(tmp_path / "m.csv", index=False)
    for chosen in (None, "common-voice"):
        assert corpora.load("manifest", tmp_path / "m.csv", format=chosen).text("s1", "en") == '"Yes", he said'


def test_common_voice_tells_its_durations(tmp_path: Path) -> None:
    path = common_voice(tmp_path)
    (tmp_path / "clip_durations.tsv").write_text("clip\tduration[ms]\ncommon_voice_fr_0.mp3\t512\n")
    corpus = corpora.load("manifest", path)
    assert corpus.recordings("s1-fr", "fr")[0].seconds == 0.512


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Co", "Cn")), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXT | st.text('"a, ', min_size=1, max_size=5), min_size=1, max_size=5))
def test_any_text_of_common_voice_comes_back(tmp_path: Path, texts: list[str]) -> None:
    texts = [" ".join(text.split()) or "x" for text in texts]
    rows = [
        {"client_id": "a", "path": "", "sentence_id": f"s{place}", "sentence": text, "locale": "en"}
        for place, text in enumerate(texts)
    ]
    corpus = corpora.load("manifest", tsv(tmp_path / "cv.tsv", rows))
    assert [corpus.text(sentence, "en") for sentence in corpus.sentences] == texts


# CoVoST ---------------------------------------------------------------------------------------------------------------


def covost(folder: Path, name: str = "covost_v2.fr_en.train.tsv") -> Path:
    rows = []
    for place, sentence in enumerate(("s1", "s2")):
        write(folder / "clips" / f"common_voice_fr_{place}.mp3", 300 + 100 * place)
        row = {"path": f"common_voice_fr_{place}.mp3", "sentence": TEXTS[sentence, "fr"]}
        rows.append(row | {"translation": TEXTS[sentence, "en"], "client_id": f"{place:08x}"})
    return tsv(folder / name, rows)


def test_covost(tmp_path: Path) -> None:
    corpus = corpora.load("manifest", covost(tmp_path))
    assert corpus.sentences == ("common_voice_fr_0", "common_voice_fr_1") and corpus.languages == ("fr", "en")
    assert corpus.text("common_voice_fr_0", "fr") == '"Un danger ?" dit-il.'
    assert corpus.text("common_voice_fr_0", "en") == '"Danger?" he said.'
    assert heard(corpus, "common_voice_fr_1", "fr") == 400 and corpus.recordings("common_voice_fr_1", "en") == ()
    assert "CoVoST" in layout(corpus)


def test_covost_as_its_own_program_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "covost_v2.fr_en.train.tsv"
    table = pd.DataFrame({"path": ["a.mp3"], "sentence": [TEXTS["s1", "fr"]], "translation": [TEXTS["s1", "en"]]})
    table.assign(client_id="a").to_csv(path, sep="\t", index=False, escapechar="\\", quoting=csv.QUOTE_NONE)
    write(tmp_path / "clips" / "a.mp3")
    corpus = corpora.load("manifest", path)
    assert [corpus.text("a", language) for language in ("fr", "en")] == [TEXTS["s1", "fr"], TEXTS["s1", "en"]]


def test_covost_as_it_is_downloaded_has_no_sentences(tmp_path: Path) -> None:
    path = tsv(tmp_path / "covost_v2.zh-CN_en.tsv", [{"path": "a.mp3", "translation": "A voice", "split": "train"}])
    write(tmp_path / "clips" / "a.mp3", 500)
    corpus = corpora.load("manifest", path)
    assert (
        corpus.text("a", "en") == "A voice" and corpus.text("a", "zh-CN") is None and heard(corpus, "a", "zh-CN") == 500
    )


def test_covost_under_another_name_needs_its_languages(tmp_path: Path) -> None:
    path = covost(tmp_path, "train.tsv")
    with pytest.raises(DataError, match=r"train\.tsv does not say its two languages: name it .* or give language"):
        corpora.load("manifest", path)
    assert corpora.load("manifest", path, language="fr", translation="en").languages == ("fr", "en")


# NeMo -----------------------------------------------------------------------------------------------------------------


def nemo(folder: Path, name: str = "manifest.json", **more: Any) -> Path:
    rows = []
    for place, ((sentence, language), text) in enumerate(TEXTS.items()):
        write(folder / language / f"{sentence}.wav", 300 + 100 * place)
        rows.append(
            {"audio_filepath": f"{language}/{sentence}.wav", "text": text, "duration": 0.5, "lang": language} | more
        )
    return lines(folder / name, rows)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.jsonl"])
def test_nemo(tmp_path: Path, name: str) -> None:
    corpus = corpora.load("manifest", nemo(tmp_path, name))
    assert corpus.sentences == ("s1", "s2") and corpus.languages == ("fr", "en")
    assert {key: corpus.text(*key) for key in TEXTS} == TEXTS
    assert heard(corpus, "s2", "en") == 600 and corpus.recordings("s2", "en")[0].start is None
    assert "NeMo" in layout(corpus) and "names of the files" in layout(corpus)


def test_nemo_cuts_long_files_by_offset_and_duration(tmp_path: Path) -> None:
    samples = np.concatenate([sound(300, 1.0), sound(500, 1.0), sound(700, 1.0)])
    soundfile.write(tmp_path / "long.wav", samples, RATE)
    rows = [
        {"audio_filepath": "long.wav", "text": f"part {place}", "duration": 1.0, "offset": float(place), "lang": "en"}
        for place in range(3)
    ]
    corpus = corpora.load("manifest", lines(tmp_path / "m.json", rows))
    assert corpus.sentences == ("long", "long@1.0", "long@2.0")
    assert [heard(corpus, sentence, "en") for sentence in corpus.sentences] == [300, 500, 700]
    assert [len(load_audio(corpus.recordings(sentence, "en")[0])) for sentence in corpus.sentences] == [RATE] * 3
    assert [problem.kind for problem in corpus.problems] == ["layout"]


def test_nemo_with_source_and_target_has_the_text_in_the_target(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    row = {"audio_filepath": "a.wav", "duration": 0.5, "text": "A voice", "source_lang": "fr", "target_lang": "en"}
    corpus = corpora.load("manifest", lines(tmp_path / "m.json", [row]))
    assert corpus.text("a", "en") == "A voice" and corpus.text("a", "fr") is None
    assert len(corpus.recordings("a", "fr")) == 1 and not corpus.recordings("a", "en")


def test_nemo_paths_may_be_meant_from_the_projects_folder_and_speakers_are_numbers(tmp_path: Path) -> None:
    write(tmp_path / "data" / "audio" / "a.wav", 700)
    row = {"audio_filepath": "data/audio/a.wav", "text": "A voice", "duration": 0.5, "lang": "en", "speaker": 5}
    (tmp_path / "data" / "lists").mkdir()
    corpus = corpora.load("manifest", lines(tmp_path / "data" / "lists" / "m.json", [row]))
    assert heard(corpus, "a", "en") == 700 and corpus.readers == {"en": ("5",)}


def test_nemo_without_a_language_says_what_to_give(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    path = lines(tmp_path / "m.json", [{"audio_filepath": "a.wav", "text": "A voice", "duration": 0.5}])
    with pytest.raises(DataError, match=r"line 1, column 'language' is empty.*language = 'en'"):
        corpora.load("manifest", path)
    assert corpora.load("manifest", path, language="en").text("a", "en") == "A voice"


def test_a_json_list_is_read_as_well(tmp_path: Path) -> None:
    rows = [{"sentence": sentence, "language": language, "text": text} for (sentence, language), text in TEXTS.items()]
    (tmp_path / "m.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    corpus = corpora.load("manifest", tmp_path / "m.json")
    assert {key: corpus.text(*key) for key in TEXTS} == TEXTS


# Kaldi and ESPnet -----------------------------------------------------------------------------------------------------


def kaldi(folder: Path, language: str) -> Path:
    folder.mkdir(parents=True)
    write(folder / "long.wav", 300, 1.0)
    soundfile.write(folder / "long.wav", np.concatenate([sound(300, 1.0), sound(500, 1.0)]), RATE)
    (folder / "wav.scp").write_text(f"rec1 {folder / 'long.wav'}\n")
    (folder / "segments").write_text("s1 rec1 0.00 1.00\ns2 rec1 1.00 -1\n")
    (folder / "text").write_text("".join(f"{key[0]} {text}\n" for key, text in TEXTS.items() if key[1] == language))
    (folder / "utt2spk").write_text("s1 ann\ns2 ann\n")
    return folder


def test_kaldi(tmp_path: Path) -> None:
    folder = kaldi(tmp_path / "train", "en")
    with pytest.raises(DataError, match=r"without utt2lang: give language = 'en'"):
        corpora.load("manifest", folder)
    corpus = corpora.load("manifest", folder, language="en")
    assert corpus.name == "train" and corpus.sentences == ("s1", "s2")
    assert corpus.text("s1", "en") == '"Danger?" he said.' and corpus.readers == {"en": ("ann",)}
    assert [heard(corpus, sentence, "en") for sentence in corpus.sentences] == [300, 500]
    (folder / "utt2lang").write_text("s1 en\ns2 fr\n")
    assert corpora.load("manifest", folder).languages == ("en", "fr")


def test_a_folder_of_folders_by_language(tmp_path: Path) -> None:
    for language in ("en", "fr"):
        kaldi(tmp_path / "data" / language, language)
    corpus = corpora.load("manifest", tmp_path / "data")
    assert corpus.languages == ("en", "fr") and corpus.sentences == ("s1", "s2")
    assert {key: corpus.text(*key) for key in TEXTS} == TEXTS
    kaldi(tmp_path / "data" / "dev", "fr")
    assert corpora.load("manifest", tmp_path / "data").fingerprint() == corpus.fingerprint()
    (tmp_path / "data" / "fr" / "segments").write_text("s1 rec1 0.00 9.00\n")
    with pytest.raises(DataError, match=r"fr/segments, line 1, column 'start' and 'seconds' say 0 s to 9 s"):
        corpora.load("manifest", tmp_path / "data")


def test_kaldi_paths_may_be_meant_from_where_the_recipe_is_run(tmp_path: Path) -> None:
    folder = kaldi(tmp_path / "data" / "train", "en")
    write(tmp_path / "downloads" / "a.wav", 800, 2.0)
    (folder / "wav.scp").write_text("rec1 downloads/a.wav\n")
    assert heard(corpora.load("manifest", folder, language="en"), "s2", "en") == 800


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("touch {}/ran |", "is a command, which is never executed: run it once"),
        ("sox {}/long.wav -t wav - |", "is a command, which is never executed"),
        ("{}/raw.ark:1234", "points into an archive of Kaldi"),
        ("{}/none.wav", "which does not exist"),
    ],
)
def test_kaldi_never_runs_a_command(tmp_path: Path, entry: str, said: str) -> None:
    folder = kaldi(tmp_path / "train", "en")
    (folder / "segments").unlink()
    (folder / "wav.scp").write_text(f"s1 {folder / 'long.wav'}\ns2 {entry.format(folder)}\n")
    with pytest.raises(DataError, match="line 2") as caught:
        corpora.load("manifest", folder, language="en")
    assert said in str(caught.value) and "wav.scp" in str(caught.value) and not (folder / "ran").exists()
    assert corpora.load("manifest", folder, language="en", skip_bad=True).recordings("s1", "en")


# LJSpeech -------------------------------------------------------------------------------------------------------------


def test_ljspeech(tmp_path: Path) -> None:
    for place in (1, 2):
        write(tmp_path / "wavs" / f"LJ001-000{place}.wav", 300 + 100 * place)
    (tmp_path / "metadata.csv").write_text(
        'LJ001-0001|"Printing," in 1440|"Printing," in fourteen forty\nLJ001-0002|in being|in being\n'
    )
    with pytest.raises(DataError, match=r"LJSpeech's layout, which does not name its language: give language = 'en'"):
        corpora.load("manifest", tmp_path / "metadata.csv")
    corpus = corpora.load("manifest", tmp_path, language="en")
    assert corpus.sentences == ("LJ001-0001", "LJ001-0002")
    assert corpus.text("LJ001-0001", "en") == '"Printing," in fourteen forty'
    assert heard(corpus, "LJ001-0002", "en") == 500 and "LJSpeech" in layout(corpus)


# Lhotse ---------------------------------------------------------------------------------------------------------------


def cut(sentence: str, start: float, duration: float, audio: str) -> dict[str, Any]:
    supervision = {
        "id": sentence,
        "recording_id": "rec",
        "start": 0,
        "duration": duration,
        "channel": 0,
        "text": f"text of {sentence}",
        "language": "en",
        "speaker": "ann",
    }
    recording = {
        "id": "rec",
        "sources": [{"type": "file", "channels": [0], "source": audio}],
        "sampling_rate": RATE,
        "num_samples": 2 * RATE,
        "duration": 2.0,
        "channel_ids": [0],
    }
    cut = {
        "id": f"d9145a74-{sentence}",
        "start": start,
        "duration": duration,
        "channel": 0,
        "supervisions": [supervision],
    }
    return cut | {"recording": recording, "type": "MonoCut"}


@pytest.mark.parametrize("name", ["cuts.jsonl", "cuts.jsonl.gz"])
def test_lhotse(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "long.wav", np.concatenate([sound(300, 1.0), sound(500, 1.0)]), RATE)
    rows = [cut("c1", 0.0, 1.0, "long.wav"), cut("c2", 1.0, 1.0, str(tmp_path / "long.wav"))]
    path = lines(tmp_path / "cuts.jsonl", rows)
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
    corpus = corpora.load("manifest", tmp_path / name)
    assert corpus.name == "cuts" and corpus.sentences == ("c1", "c2")
    assert [heard(corpus, sentence, "en") for sentence in corpus.sentences] == [300, 500]
    assert corpus.text("c2", "en") == "text of c2" and corpus.readers == {"en": ("ann",)}
    assert "Lhotse" in layout(corpus)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"type": "MixedCut"}, "is a 'MixedCut', which no single file holds"),
        ({"recording": None}, "has no recording"),
        (
            {"recording": {"sources": [{"type": "command", "source": "touch ran"}]}},
            "a command, which is never executed",
        ),
        ({"recording": {"sources": [{"type": "url", "source": "http://localhost/a.wav"}]}}, "which is no file"),
        ({"recording": {"sources": []}}, "several files, or none"),
        ({"start": "0"}, "has start '0': it must be a number"),
        ({"supervisions": [5]}, "has supervisions [5]"),
    ],
)
def test_lhotse_cuts_that_are_no_file_are_refused(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    write(tmp_path / "a.wav", 300, 2.0)
    path = lines(tmp_path / "cuts.jsonl", [cut("c1", 0, 1, "a.wav"), cut("c2", 0, 1, "a.wav") | more])
    with pytest.raises(DataError, match="line 2") as caught:
        corpora.load("manifest", path)
    assert said in str(caught.value)


# Hugging Face datasets ------------------------------------------------------------------------------------------------

FEATURES = {
    "lang_id": {"names": ["en_us", "fr_fr"], "_type": "ClassLabel"},
    "audio": {"sampling_rate": RATE, "_type": "Audio"},
}


def hub_table(names: bool = True, kind: str = "WAV") -> pa.Table:
    rows = [
        {
            "id": int(sentence[1:]),
            "transcription": text,
            "lang_id": {"en": 0, "fr": 1}[language],
            "audio": {"bytes": encoded(300 + 100 * place, kind), "path": f"{place}.{kind.lower()}" if names else None},
        }
        for place, ((sentence, language), text) in enumerate(TEXTS.items())
    ]
    table = pa.Table.from_pylist(rows)
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": FEATURES}})})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BABELSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def as_file(folder: Path) -> Path:
    pq.write_table(hub_table(), folder / "train.parquet")
    return folder / "train.parquet"


def as_shards(folder: Path) -> Path:
    (folder / "set" / "data").mkdir(parents=True)
    table = hub_table(names=False, kind="FLAC")
    for shard in range(2):
        name = f"train-{shard:05d}-of-00002.parquet"
        pq.write_table(table.slice(2 * shard, 2), folder / "set" / "data" / name, row_group_size=1)
    return folder / "set"


def as_saved_to_disk(folder: Path) -> Path:
    (folder / "saved").mkdir()
    table = hub_table().replace_schema_metadata(None)
    path = str(folder / "saved" / "data-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as handle, pa.ipc.new_stream(handle, table.schema) as writer:
        writer.write_table(table)
    (folder / "saved" / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    (folder / "saved" / "state.json").write_text("{}")
    return folder / "saved"


@pytest.mark.parametrize("lay", [as_file, as_shards, as_saved_to_disk])
def test_datasets_with_recordings_inside(tmp_path: Path, cache: Path, lay: Callable[[Path], Path]) -> None:
    path = lay(tmp_path)
    corpus = corpora.load("manifest", path)
    assert corpus.sentences == ("1", "2") and corpus.languages == ("fr_fr", "en_us")
    assert corpus.text("1", "en_us") == '"Danger?" he said.'
    assert [heard(corpus, name, language) for name in ("1", "2") for language in corpus.languages] == [
        300,
        400,
        500,
        600,
    ]
    assert corpus.recordings("2", "en_us")[0].seconds == 0.5
    assert "'transcription' is the text" in layout(corpus) and "'lang_id' is the language" in layout(corpus)
    packed = list(cache.rglob("*.zip"))
    assert corpora.load("manifest", path).fingerprint() == corpus.fingerprint() and list(cache.rglob("*.zip")) == packed


def test_labels_of_a_table_of_texts_get_their_names(tmp_path: Path) -> None:
    features = {"language": {"names": ["en", "fr"], "_type": "ClassLabel"}}
    table = pa.table({"sentence": [1, 1], "language": [0, 1], "text": ["A voice", "Une voix"]})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "m.parquet")
    assert corpora.load("manifest", tmp_path / "m.parquet").languages == ("en", "fr")


def test_a_broken_recording_inside_is_named_by_its_row(tmp_path: Path, cache: Path) -> None:
    rows = hub_table().to_pylist()
    rows[2]["audio"]["bytes"] = b"junk" * 20
    pq.write_table(pa.Table.from_pylist(rows, hub_table().schema), tmp_path / "m.parquet")
    with pytest.raises(DataError, match=r"m\.parquet, row 3, column 'audio' cannot be used"):
        corpora.load("manifest", tmp_path / "m.parquet")
    examined = manifest.examine(tmp_path / "m.parquet")
    assert examined.corpus is not None and len(examined.corpus) == 2 and examined.rows == 4


def test_data_sets_without_ids_and_with_a_folder_for_each_language(tmp_path: Path, cache: Path) -> None:
    for place, language in enumerate(("fr", "en")):
        rows = [{"sentence": TEXTS["s2", language], "audio": {"bytes": encoded(300 + 100 * place), "path": None}}]
        (tmp_path / "set" / language).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set" / language / "test-00000-of-00001.parquet")
    corpus = corpora.load("manifest", tmp_path / "set")
    assert corpus.languages == ("en", "fr") and len(corpus) == 2
    assert (
        corpus.text(corpus.sentences[1], "fr") == TEXTS["s2", "fr"] and heard(corpus, corpus.sentences[1], "fr") == 300
    )
    assert "languages are not parallel" in layout(corpus)


def test_an_audio_folder(tmp_path: Path) -> None:
    rows = ["file_name,id,language,transcription"]
    for place, ((sentence, language), text) in enumerate(TEXTS.items()):
        write(tmp_path / "train" / f"{place}.wav", 300 + 100 * place)
        quoted = text.replace('"', '""')
        rows.append(f'train/{place}.wav,{sentence},{language},"{quoted}"')
    (tmp_path / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    corpus = corpora.load("manifest", tmp_path)
    assert {key: corpus.text(*key) for key in TEXTS} == TEXTS and heard(corpus, "s2", "fr") == 500
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "train" / "metadata.csv").write_text("\n".join(rows).replace("train/", ""), encoding="utf-8")
    assert corpora.load("manifest", tmp_path).fingerprint() == corpus.fingerprint()


# Tatoeba --------------------------------------------------------------------------------------------------------------


def test_tatoeba(tmp_path: Path) -> None:
    (tmp_path / "sentences.csv").write_text(
        '1\teng\t"Danger?" he said.\n2\tfra\tUn danger ?\n3\tdeu\tGefahr?\n'
        "4\tfra\tDu danger ?\n5\t\\N\t???\n6\teng\tBye\n",
        encoding="utf-8",
    )
    alone = corpora.load("manifest", tmp_path / "sentences.csv")
    assert len(alone) == 5 and alone.text("1", "eng") == '"Danger?" he said.'
    assert {problem.kind for problem in alone.problems} == {"layout", "language-unknown"}
    (tmp_path / "links.csv").write_text("1\t2\n2\t1\n2\t3\n3\t2\n1\t4\n4\t1\n5\t1\n")
    corpus = corpora.load("manifest", tmp_path)
    assert corpus.sentences == ("1", "4", "6")  # a second French sentence is no translation of the first
    assert [corpus.text("1", language) for language in corpus.languages] == [
        '"Danger?" he said.',
        "Un danger ?",
        "Gefahr?",
    ]


# Any other ------------------------------------------------------------------------------------------------------------


def test_columns_may_be_mapped(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    (tmp_path / "m.csv").write_text("number,tongue,sentence,sound\n1,en,A clear voice,a.wav\n")
    columns = {"sentence": "number", "language": "tongue", "text": "sentence", "audio": "sound"}
    corpus = corpora.load("manifest", tmp_path / "m.csv", columns=columns)
    assert corpus.text("1", "en") == "A clear voice" and len(corpus.recordings("1", "en")) == 1
    with pytest.raises(DataError, match=r"no column 'sond', named by columns.audio: did you mean 'sound'"):
        corpora.load("manifest", tmp_path / "m.csv", columns=columns | {"audio": "sond"})
    with pytest.raises(UsageError, match=r"columns names 'txt', which a corpus does not have: did you mean 'text'"):
        corpora.load("manifest", tmp_path / "m.csv", columns={"txt": "sentence"})
    with pytest.raises(UsageError, match=r"no format 'commonvoice': did you mean 'common-voice'"):
        corpora.load("manifest", tmp_path / "m.csv", format="commonvoice")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            "sentence,lang,text",
            "no column 'language': did you mean 'lang'? Rename it, or give columns = {language = 'lang'}",
        ),
        ("sentence,locale,text", "no column 'language': did you mean 'locale'"),
        ("id,language,text", "no column 'sentence': did you mean 'id'"),
        ("sentence,language,wav", "neither a column 'text' nor 'audio': did you mean 'wav'"),
        ("sentence,language,path", "neither a column 'text' nor 'audio': did you mean 'path'"),
        ("sentence,language,transcript", "neither a column 'text' nor 'audio': did you mean 'transcript'"),
        ("sentence,text", "no column 'language': known: sentence, text; if all rows are in one, give language = 'en'"),
        ("sentence;Language;text", "no column 'language': did you mean 'Language'"),
    ],
)
def test_the_hint_names_the_column_that_is_meant(tmp_path: Path, header: str, said: str) -> None:
    (tmp_path / "m.csv").write_text(header + "\n")
    with pytest.raises(DataError) as caught:
        corpora.load("manifest", tmp_path / "m.csv")
    assert said in str(caught.value)


def test_a_table_of_ones_own_is_never_taken_for_another_layout(tmp_path: Path) -> None:
    path = tsv(tmp_path / "m.tsv", [{"sentence": "s1", "language": "en", "text": "hello", "path": "x", "locale": "de"}])
    corpus = corpora.load("manifest", path)
    assert corpus.problems == () and corpus.languages == ("en",)


def test_a_layout_that_is_asked_for_but_not_there_is_refused(tmp_path: Path) -> None:
    path = tsv(tmp_path / "m.tsv", [{"sentence": "s1", "language": "en", "text": "hello"}])
    with pytest.raises(DataError, match=r"is not Common Voice: it has no column 'path'"):
        corpora.load("manifest", path, format="common-voice")
