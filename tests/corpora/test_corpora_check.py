"""``babelscope corpora check``: every kind of problem is found where it is planted, and nowhere in a sound corpus."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from babelscope.cli import main
from babelscope.corpora import Corpus
from babelscope.corpora.checks import check_corpus

RATE = 16_000
WORDS = {
    "en": "river stone window garden morning letter winter bridge candle market silver forest travel paper",
    "fr": "rivière pierre fenêtre jardin matin lettre hiver pont bougie marché argent forêt voyage papier table",
    "ru": "река камень окно сад утро письмо зима мост свеча рынок серебро лес поездка бумага стол",
}
LANGUAGES = tuple(WORDS)
SENTENCES = 24


def speech(seconds: float, seed: int, rate: int = RATE) -> np.ndarray:
    """Noise at all frequencies, at a moderate level."""
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate)).clip(-4, 4)


def sound_rows(folder: Path) -> list[dict[str, str]]:
    """The rows of a corpus with nothing to complain about; readers read all languages, each in equal parts."""
    generator = np.random.default_rng(7)
    rows = []
    for number in range(SENTENCES):
        for place, language in enumerate(LANGUAGES):
            text = " ".join(generator.choice(WORDS[language].split(), 6, replace=False)) + f" {number}{number * 7}"
            audio = f"{language}-{number}.wav"
            soundfile.write(folder / audio, speech(len(text) / 15, 100 * number + place), RATE)
            rows.append(
                {
                    "sentence": f"s{number:02}",
                    "language": language,
                    "text": text,
                    "audio": audio,
                    "reader": f"{language}-{number % 3}",
                }
            )
    return rows


@pytest.fixture(scope="module")
def sound_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]]]:
    folder = tmp_path_factory.mktemp("sound")
    return folder, sound_rows(folder)


@pytest.fixture
def corpus(sound_folder: tuple[Path, list[dict[str, str]]], tmp_path: Path) -> tuple[Path, list[dict[str, str]]]:
    """A folder with the recordings, and rows to spoil."""
    folder = tmp_path / "corpus"
    shutil.copytree(sound_folder[0], folder)
    return folder, [dict(row) for row in sound_folder[1]]


def write(folder: Path, rows: list[dict[str, str]]) -> Path:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "m.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(rows)
    return folder / "m.csv"


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["corpora", "check", *arguments, "--json", "-"])
    captured = capsys.readouterr()
    assert captured.out, captured.err
    return code, json.loads(captured.out)


def kinds(check: dict[str, Any]) -> dict[str, str]:
    return {problem["kind"]: problem["severity"] for problem in check["problems"]}


def of_kind(check: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(problem for problem in check["problems"] if problem["kind"] == kind)


def find(rows: list[dict[str, str]], number: int, language: str) -> dict[str, str]:
    return next(row for row in rows if (row["sentence"], row["language"]) == (f"s{number:02}", language))


def test_a_sound_corpus_has_no_problem_but_that_voices_differ(
    capsys: pytest.CaptureFixture[str], corpus: tuple[Path, list[dict[str, str]]]
) -> None:
    code, check = checked(capsys, str(write(*corpus)), "--model", "whisper-base+e5-small")
    assert code == 0 and check["can_run"] is True
    assert kinds(check) == {"readers-disjoint": "note"}
    assert (check["sentences"], check["complete"]) == (SENTENCES, SENTENCES)
    assert check["modalities"] == ["text", "speech"] and check["sampled"] == []


Spoil = Callable[[Path, list[dict[str, str]]], object]


def _drop(number: int, language: str) -> Spoil:
    def spoil(folder: Path, rows: list[dict[str, str]]) -> None:
        rows.remove(find(rows, number, language))

    return spoil


def _text(number: int, language: str, text: str) -> Spoil:
    return lambda folder, rows: find(rows, number, language).update(text=text)


def _audio(number: int, language: str, samples: Callable[[np.ndarray], np.ndarray], rate: int = RATE) -> Spoil:
    def spoil(folder: Path, rows: list[dict[str, str]]) -> None:
        file = folder / find(rows, number, language)["audio"]
        soundfile.write(file, samples(soundfile.read(file)[0]), rate)

    return spoil


def _language(language: str, spoil: Callable[[Path, list[dict[str, str]], int], object]) -> Spoil:
    return lambda folder, rows: [spoil(folder, rows, number) for number in range(SENTENCES)]


def _cut_file(folder: Path, rows: list[dict[str, str]]) -> None:
    file = folder / find(rows, 3, "en")["audio"]
    file.write_bytes(file.read_bytes()[:-8000])


def _copy(folder: Path, rows: list[dict[str, str]]) -> None:
    shutil.copy(folder / find(rows, 3, "en")["audio"], folder / find(rows, 4, "fr")["audio"])


def _resampled(folder: Path, rows: list[dict[str, str]], number: int) -> None:
    file = folder / find(rows, number, "fr")["audio"]
    soundfile.write(file, speech(soundfile.info(file).duration, number, 22_050), 22_050)


def _through_a_telephone(folder: Path, rows: list[dict[str, str]], number: int) -> None:
    import soxr

    file = folder / find(rows, number, "fr")["audio"]
    soundfile.write(file, soxr.resample(soxr.resample(soundfile.read(file)[0], RATE, 8000), 8000, RATE), RATE, "FLOAT")


def _segments(folder: Path, rows: list[dict[str, str]]) -> None:
    whole = speech(100, 1)
    soundfile.write(folder / "whole.wav", whole, RATE)
    for number in range(SENTENCES):
        row = find(rows, number, "en")
        row.update(audio="whole.wav", start=str(4 * number), seconds="3")


PLANTED: dict[str, tuple[str, Spoil]] = {
    "language-without-pairs": (
        "error",
        _language("fr", lambda folder, rows, number: find(rows, number, "fr").update(audio="")),
    ),
    "no-complete-sentence": (
        "error",
        _language("", lambda folder, rows, number: rows.remove(find(rows, number, ("en", "fr", "ru")[number % 3]))),
    ),
    "incomplete-sentences": ("note", _drop(3, "en")),
    "language-costs-most": (
        "warning",
        lambda folder, rows: [_drop(number, "fr")(folder, rows) for number in range(9, SENTENCES)],
    ),
    "one-reader": (
        "warning",
        _language("fr", lambda folder, rows, number: find(rows, number, "fr").update(reader="x")),
    ),
    "readers-unknown": (
        "note",
        _language("fr", lambda folder, rows, number: find(rows, number, "fr").update(reader="")),
    ),
    "readers-shared": ("note", lambda folder, rows: find(rows, 3, "fr").update(reader="en-0")),
    "text-without-letters": ("warning", _text(3, "en", "?!")),
    "one-character-text": ("note", _text(3, "en", "a")),
    "wrong-script": ("warning", _text(3, "ru", "reka kamen okno sad utro pismo")),
    "duplicate-text": (
        "warning",
        lambda folder, rows: find(rows, 3, "en").update(text=find(rows, 4, "en")["text"].upper() + "."),
    ),
    "near-duplicate": (
        "warning",
        lambda folder, rows: find(rows, 3, "en").update(text=find(rows, 4, "en")["text"] + "1"),
    ),
    "untranslated": ("warning", lambda folder, rows: find(rows, 3, "fr").update(text=find(rows, 3, "en")["text"])),
    "clip-too-short": ("warning", _audio(3, "en", lambda samples: samples[: int(0.2 * RATE)])),
    "clip-too-long": ("warning", _audio(3, "en", lambda samples: np.tile(samples, 6))),
    "recording-shared": (
        "warning",
        lambda folder, rows: find(rows, 3, "en").update(audio=find(rows, 4, "fr")["audio"]),
    ),
    "recording-copied": ("warning", _copy),
    "shared-file": ("note", _segments),
    "too-long-for-model": ("error", _audio(3, "en", lambda samples: np.tile(samples, 60)[: 41 * RATE])),
    "audio-broken": (
        "error",
        lambda folder, rows: (
            (folder / find(rows, 3, "en")["audio"]).write_bytes(b"no audio" * 100),
            [row.update(seconds="2.9") for row in rows],
        ),
    ),
    "audio-silent": ("error", _audio(3, "en", np.zeros_like)),
    "audio-truncated": ("error", _cut_file),
    "audio-too-short": ("error", _audio(3, "en", lambda samples: samples[:800])),
    "audio-clipped": ("warning", _audio(3, "en", lambda samples: (20 * samples).clip(-1, 1))),
    "seconds-disagree": (
        "warning",
        lambda folder, rows: [row.update(seconds="2.0" if row["audio"] == "en-3.wav" else "") for row in rows],
    ),
    "sample-rates": ("warning", _language("fr", _resampled)),
    "telephone-band": ("warning", _language("fr", _through_a_telephone)),
    "clusters": (
        "note",
        lambda folder, rows: [row.update(cluster=f"d{int(row['sentence'][1:]) // 4}") for row in rows],
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_is_found(
    capsys: pytest.CaptureFixture[str], corpus: tuple[Path, list[dict[str, str]]], kind: str
) -> None:
    severity, spoil = PLANTED[kind]
    spoil(*corpus)
    code, check = checked(capsys, str(write(*corpus)), "--model", "whisper-base+e5-small")
    assert kinds(check).get(kind) == severity, check["problems"]
    assert code == (1 if severity == "error" else 0)
    assert check["can_run"] is (code == 0)
    problem = of_kind(check, kind)
    assert set(problem) == {"kind", "severity", "message", "remedy", "count", "where"}
    assert "\n" not in problem["message"] + problem["remedy"] and problem["count"] >= 1
    if severity != "note":
        assert problem["remedy"] and problem["where"]
    severities = [each["severity"] for each in check["problems"]]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)


def test_places_and_remedies_say_what_to_do(
    capsys: pytest.CaptureFixture[str], corpus: tuple[Path, list[dict[str, str]]]
) -> None:
    for kind in ("too-long-for-model", "clip-too-short"):
        _audio(5 if kind == "clip-too-short" else 3, "en", lambda samples: samples)(*corpus)
    PLANTED["too-long-for-model"][1](*corpus)
    _audio(5, "ru", lambda samples: samples[: int(0.84 * RATE)])(*corpus)
    _, check = checked(capsys, str(write(*corpus)), "--model", "whisper-base+e5-small")
    long = of_kind(check, "too-long-for-model")
    assert long["where"] == ["sentence 's03', language 'en': 41.0 s"] and long["count"] == 1
    assert f"max_seconds = 30 in [corpus], which excludes 1 of {SENTENCES} sentences" in long["remedy"]
    short = of_kind(check, "clip-too-short")
    assert short["where"][0].startswith("sentence 's05', language 'ru': 0.84 s")


def test_what_each_language_costs(
    capsys: pytest.CaptureFixture[str], corpus: tuple[Path, list[dict[str, str]]]
) -> None:
    folder, rows = corpus
    for number in range(10):
        rows.remove(find(rows, number, "fr"))
    rows.remove(find(rows, 20, "en"))
    _, check = checked(capsys, str(write(folder, rows)))
    languages = {row["language"]: row for row in check["languages"]}
    assert check["complete"] == SENTENCES - 11
    assert {name: row["costs"] for name, row in languages.items()} == {"en": 1, "fr": 10, "ru": 0}
    assert languages["fr"]["pairs"] == languages["fr"]["texts"] == SENTENCES - 10 and languages["ru"]["readers"] == 3
    assert languages["en"]["sample_rates"] == "16000" and languages["en"]["letters_per_second"] > 5
    _, check = checked(capsys, str(folder / "m.csv"), "-l", "en", "-l", "ru")
    assert [row["language"] for row in check["languages"]] == ["en", "ru"] and check["complete"] == SENTENCES - 1


def test_broken_rows_are_all_there_beside_the_rest(
    capsys: pytest.CaptureFixture[str], corpus: tuple[Path, list[dict[str, str]]]
) -> None:
    folder, rows = corpus
    find(rows, 3, "en")["audio"] = "gone.wav"
    find(rows, 4, "fr")["language"] = ""
    PLANTED["wrong-script"][1](folder, rows)
    code, check = checked(capsys, str(write(folder, rows)))
    assert code == 1 and {"audio-missing", "empty-name", "wrong-script"} <= set(kinds(check))
    assert of_kind(check, "audio-missing")["where"] == ["line 11"]


def test_other_layouts_and_columns_are_checked_by_their_options(
    capsys: pytest.CaptureFixture[str], corpus: tuple[Path, list[dict[str, str]]]
) -> None:
    folder, rows = corpus
    kaldi = folder / "kaldi"
    kaldi.mkdir()
    own = [row for row in rows if row["language"] == "en"]
    for name, column in (("wav.scp", "audio"), ("text", "text"), ("utt2spk", "reader")):
        lines = (f"{row['sentence']} {'../' * (column == 'audio')}{row[column]}\n" for row in own)
        (kaldi / name).write_text("".join(lines), encoding="utf-8")
    code, check = checked(capsys, str(kaldi))
    assert code == 1 and "language" in check["problems"][0]["message"] + check["problems"][0]["remedy"]
    code, check = checked(capsys, str(kaldi), "--option", "language=en")
    assert code == 0 and check["complete"] == SENTENCES and check["languages"][0]["readers"] == 3
    path = write(folder, [{"satz" if name == "text" else name: each for name, each in row.items()} for row in own])
    code, check = checked(capsys, str(path), "--option", 'columns={text = "satz"}')
    assert code == 0 and check["modalities"] == ["text", "speech"]


def test_a_table_for_people_and_a_file_for_programs(
    capsys: pytest.CaptureFixture[str], corpus: tuple[Path, list[dict[str, str]]], tmp_path: Path
) -> None:
    PLANTED["audio-silent"][1](*corpus)
    code = main(["corpora", "check", str(write(*corpus)), "--json", str(tmp_path / "check.json")])
    out = " ".join(capsys.readouterr().out.split())
    assert code == 1 and "24 of 24 sentences have text and recording in every language" in out
    assert "error 1 recording is silent [audio-silent] sentence 's03', language 'en' remedy:" in out
    assert "A study cannot run: 1 error, 1 note" in out
    check = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))
    assert check["format"] == 1 and set(check) == {
        "format",
        "corpus",
        "can_run",
        "sentences",
        "complete",
        "modalities",
        "filters",
        "languages",
        "problems",
        "sampled",
        "clusters",
    }
    assert set(check["languages"][0]) == {
        "language",
        "texts",
        "recordings",
        "pairs",
        "costs",
        "minutes",
        "median_seconds",
        "longest_seconds",
        "readers",
        "letters_per_second",
        "sample_rates",
    }


def test_what_a_manifests_reading_notices_is_found_in_any_corpus(
    corpus: tuple[Path, list[dict[str, str]]],
) -> None:
    folder, rows = corpus
    PLANTED["recording-shared"][1](folder, rows)
    table = pd.DataFrame(rows).assign(member=None)
    table["audio"] = [str(folder / name) for name in table["audio"]]
    seconds = [soundfile.info(name).duration for name in table["audio"]]
    table["seconds"] = [stated + 0.5 * (number == 12) for number, stated in enumerate(seconds)]
    Path(table["audio"][30]).write_bytes(b"no audio" * 100)
    found = {problem.kind: problem for problem in check_corpus(Corpus(table, name="own")).problems}
    assert found["recording-shared"].count == 2 and found["seconds-disagree"].count == 1
    assert (found["audio-broken"].severity, found["audio-broken"].count) == ("error", 1)
    assert "en-10.wav" in found["audio-broken"].where[0]
    assert found["seconds-disagree"].where[0].startswith("sentence 's04', language 'en'")


def test_segments_of_one_file_are_shared_only_at_the_same_time(
    corpus: tuple[Path, list[dict[str, str]]],
) -> None:
    """Segments of one file at different times are different recordings; at the same time they are one."""
    folder, rows = corpus
    _segments(folder, rows)
    find(rows, 5, "en")["start"] = find(rows, 6, "en")["start"]
    table = pd.DataFrame(rows).assign(member=None)
    table["audio"] = [str(folder / name) for name in table["audio"]]
    table["seconds"] = [3.0 if "whole" in name else soundfile.info(name).duration for name in table["audio"]]
    table["start"] = pd.to_numeric(table["start"])
    found = {problem.kind: problem for problem in check_corpus(Corpus(table, name="own")).problems}
    assert found["recording-shared"].count == 2 and "recording-copied" not in found


def test_quick_decodes_nothing_and_says_so(
    capsys: pytest.CaptureFixture[str], corpus: tuple[Path, list[dict[str, str]]]
) -> None:
    PLANTED["audio-silent"][1](*corpus)
    code, check = checked(capsys, str(write(*corpus)), "--quick")
    assert code == 0 and check["sampled"] == ["recordings: none of 72 was decoded"]
    assert main(["corpora", "check", "m.csv", "--quick", "--all"]) == 2


def test_a_large_corpus_is_sampled_evenly_unless_all_is_asked_for(
    capsys: pytest.CaptureFixture[str], corpus: tuple[Path, list[dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babelscope.corpora.checks.DECODED", 30)
    for number in range(SENTENCES):
        _audio(number, "ru", np.zeros_like)(*corpus)
    path = str(write(*corpus))
    _, check = checked(capsys, path)
    assert check["sampled"] == ["recordings: 30 of 72 were decoded, evenly over the languages"]
    assert of_kind(check, "audio-silent")["count"] == 10
    _, check = checked(capsys, path, "--all")
    assert check["sampled"] == [] and of_kind(check, "audio-silent")["count"] == SENTENCES


def test_clusters_are_suggested_from_near_duplicates_and_shared_files(
    capsys: pytest.CaptureFixture[str], corpus: tuple[Path, list[dict[str, str]]], tmp_path: Path
) -> None:
    folder, rows = corpus
    find(rows, 4, "en")["text"] = find(rows, 3, "en")["text"] + " x"
    find(rows, 9, "ru")["text"] = find(rows, 4, "ru")["text"] + " и"
    file = tmp_path / "clusters.csv"
    assert main(["corpora", "check", str(write(folder, rows)), "--suggest-clusters", str(file)]) == 0
    with file.open(encoding="utf-8", newline="") as handle:
        clusters = {row["sentence"]: row["cluster"] for row in csv.DictReader(handle)}
    assert list(clusters) == [f"s{number:02}" for number in range(SENTENCES)]
    assert {name for name, cluster in clusters.items() if cluster == "s03"} == {"s03", "s04", "s09"}
    assert all(cluster == name for name, cluster in clusters.items() if cluster != "s03")
    for row in rows:
        row["cluster"] = {"s03": "news", "s07": "news"}.get(row["sentence"], "")
    assert main(["corpora", "check", str(write(folder, rows)), "--suggest-clusters", str(file)]) == 0
    with file.open(encoding="utf-8", newline="") as handle:
        clusters = {row["sentence"]: row["cluster"] for row in csv.DictReader(handle)}
    assert {name for name, cluster in clusters.items() if cluster == "news"} == {"s03", "s04", "s07", "s09"}
    assert all(not cluster for cluster in clusters.values() if cluster != "news")  # not known, rather than alone
    for row in rows:
        del row["cluster"]
    _segments(folder, rows)
    write(folder, rows)
    assert main(["corpora", "check", str(folder / "m.csv"), "--suggest-clusters", str(file)]) == 0
    assert len({line.split(",")[1] for line in file.read_text(encoding="utf-8").splitlines()[1:]}) == 1


def test_a_hostile_manifest_is_printed_escaped(
    capsys: pytest.CaptureFixture[str], corpus: tuple[Path, list[dict[str, str]]]
) -> None:
    folder, rows = corpus
    for row in rows:
        row["reader"] = "[red]x[/red]"
    find(rows, 3, "en").update(sentence="s\x1b[2J", audio="gone\x1b]0;x\x07.wav")
    rows[0]["text"] = "\u202ereversed" + rows[0]["text"]
    code = main(["corpora", "check", str(write(folder, rows))])
    captured = capsys.readouterr()
    assert code == 1 and "[red]x[/red]" in captured.out
    assert not any(mark in captured.out + captured.err for mark in ("\x1b", "\x07", "\u202e"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.csv"], 2, "nowhere.csv"),
        (["nowhere.toml"], 2, "there is no study nowhere.toml"),
        (["asterisk", "--model", "whisper-bse"], 2, "did you mean 'whisper-base'"),
        (["manifest"], 2, "name the manifest"),
        (["m.csv", "--option", "language"], 2, "write KEY=VALUE"),
        (["m.csv", "--option", "langage=en"], 2, "takes no such option"),
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str) -> None:
    assert main(["corpora", "check", *arguments]) == code
    captured = capsys.readouterr()
    assert words in captured.err and "Traceback" not in captured.err
