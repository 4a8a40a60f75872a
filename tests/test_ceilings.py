"""A study of a corpus in which several people read a sentence: both recordings are encoded, and said to cost."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import soundfile

from babelscope import corpora
from babelscope.capture.second_readings import place_of_language
from babelscope.corpora import Corpus
from babelscope.study import Study, run
from babelscope.study.forecast import forecast
from conftest import tone

SENTENCES = 24


@pytest.fixture
def study_file(tmp_path: Path, whisper_folder: Path, e5_folder: Path) -> Path:
    """Two languages: every sentence of xa and the first ten of xb are read by two people; xb's first by one twice."""
    rows = []
    for language, other in (("xa", SENTENCES), ("xb", 10)):
        for number in range(SENTENCES):
            seconds = 0.3 + 0.03 * number
            for reader in ("anna", "ben")[: 2 if number < other else 1]:
                name = f"{language}-{number}-{reader}.wav"
                samples = tone(seconds, 200 + 40 * number + (5 if reader == "ben" else 0), number)
                soundfile.write(tmp_path / name, samples, 16_000)
                rows.append((f"s{number}", language, f"{language} word {number} " * (1 + number % 3), name, reader))
    columns = ["sentence", "language", "text", "audio", "reader"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "manifest.csv", index=False)
    path = tmp_path / "study.toml"
    path.write_text(
        f"""
output = "out"
permutations = 49
measures = ["linear_cka"]

[corpus]
source = "manifest"
path = "manifest.csv"

[model]
name = "whisper-base+e5-small"
window_seconds = 2
weights = {{ whisper-base = "{whisper_folder}", e5-small = "{e5_folder}" }}
"""
    )
    return path


def test_second_recordings_are_encoded_where_a_language_has_enough(study_file: Path) -> None:
    study = Study.load(study_file)
    expected = forecast(study)
    assert expected.second == (("xa", SENTENCES),) and expected.second_seconds > 0
    assert any(
        label == "ceilings" and f"{SENTENCES} second recordings in xa" in text for label, text in expected.rows()
    )
    steps: list[str] = []
    outcome = run(study, progress=lambda what, done, total: steps.append(what))
    assert any("second recordings, speech xa" in step for step in steps)
    assert not any("second recordings" in step and "xb" in step for step in steps)
    rows = outcome.result.scores.query("kind == 'reader_similarity'")
    assert set(rows["language_a"]) == {"xa"} and set(rows["n"]) == {SENTENCES}
    assert outcome.result.meta["options"]["ceilings"] == {"xa": SENTENCES}
    assert (study_file.parent / "out" / "activations.readers" / "xa.zarr").is_dir()
    again: list[str] = []
    run(study, progress=lambda what, done, total: again.append(what))
    assert not any(step.startswith(("encoding", "comparing")) for step in again)


def test_ceilings_can_be_left_out(study_file: Path) -> None:
    study_file.write_text(study_file.read_text().replace("[corpus]", '[corpus]\nceilings = "none"'))
    study = Study.load(study_file)
    assert forecast(study).second == ()
    outcome = run(study)
    assert "reader_similarity" not in set(outcome.result.scores["kind"])
    assert not (study_file.parent / "out" / "activations.readers").exists()


def test_a_second_recording_is_by_another_reader(study_file: Path) -> None:
    corpus = corpora.load("manifest", path=study_file.parent / "manifest.csv")
    own = corpus.second_readings("xb")
    assert own is not None and len(own) == 10 and own.recordings("s3", "xb")[0].reader == "ben"
    seconds = sorted(own.recordings(sentence, "xb")[0].seconds for sentence in own.sentences)
    shorter = corpus.second_readings("xb", max_seconds=seconds[4])
    assert shorter is not None and len(shorter) == sum(each <= seconds[4] for each in seconds)
    assert corpus.second_readings("xb", max_seconds=seconds[0] / 2) is None
    table = corpus.table.assign(reader="anna")
    assert Corpus(table, name="one").second_readings("xa") is None  # the same person again is no other voice
    grouped = Corpus(table, name="many", readers_are_groups=True)
    assert grouped.second_readings("xa") is not None  # a name that stands for several people
    assert grouped.select(languages=["xa"]).readers_are_groups
    unknown = Corpus(table.assign(reader=None), name="unknown")
    assert unknown.second_readings("xa") is None


def test_places_of_second_recordings() -> None:
    assert place_of_language("out/activations.zarr", "en") == Path("out/activations.readers/en.zarr")
    assert place_of_language("s3://bucket/a.zarr", "en") == "s3://bucket/a.readers/en.zarr"
