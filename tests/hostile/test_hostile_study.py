"""A study of a manifest full of hostile texts and broken recordings: the rest is measured, and the report says why."""

from __future__ import annotations

import contextlib
import html
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from babelscope.capture import Activations
from babelscope.cli import main
from babelscope.gaps import Result
from babelscope.report import write_markdown
from conftest import tone

#: A language, ids and texts that mean something to whatever shows them.
LANGUAGES = ("xa", "<svg/onload=alert(1)>")
IDS = {"s01": "<script>alert(1)</script>", "s02": "](javascript:alert(1))", "s03": "שלום", "s04": "=1+1"}
TEXTS = {
    "s01": "<script>alert(2)</script>",
    "s02": "abc \u202egnp.exe\u202c \u2067def",
    "s03": "שלום לעולם \u200bכולו",
    "s04": '=HYPERLINK("http://example.org")',
    "s05": "{{ 7 * 7 }} ${jndi:x} %s <!-- --> &amp;",
}

#: What is wrong with a sentence, and what is said of it. Those of the first kind are rows that cannot be read, those of
#: the second lack something, those of the third cannot be encoded.
ROWS = {
    "nul": "holds a NUL character",
    "escape": "holds a control character (U+001B)",
    "surrogate": "holds half a character",
    "spaces": "is empty (spaces only)",
    "gone": "gone.wav, which does not exist",
    "broken": "broken.wav cannot be decoded",
}
LACKING = {"untold": "has no text in 'xa'"}
ENCODING = {
    "long": "tokens are more than the 80 positions",
    "silent": "is silent",
    "infinite": "holds NaN or infinite samples",
    "lasting": "do not fit the model's window of 2 s",
}
HOSTILE_TEXTS: dict[str, Any] = {
    "nul": "a\0b", "escape": "a\x1b[2Jb", "surrogate": "a\ud800b", "spaces": "  \n ", "untold": None,
    "long": "a" * 100_000,
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str


def told(*arguments: str) -> Told:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return Told(code, out.getvalue(), err.getvalue())


def write_hostile(folder: Path) -> None:
    rows: list[dict[str, Any]] = []
    for number in range(12):
        for place, language in enumerate(LANGUAGES):
            sentence = f"s{number:02}"
            audio = f"{number}-{place}.wav"
            soundfile.write(folder / audio, tone(0.4 + 0.1 * number, 150 + 60 * number + 9 * place, number), 16_000)
            rows.append(
                {
                    "sentence": IDS.get(sentence, sentence),
                    "language": language,
                    "text": TEXTS.get(sentence, "some words " + "abcdefghijkl"[number] * (number + place + 1)),
                    "audio": audio,
                    "reader": "<b>Ann</b>",
                }
            )
    sounds = {
        "silent": np.zeros(16_000, dtype=np.float32),
        "infinite": np.full(16_000, np.nan, dtype=np.float32),
        "lasting": tone(4, 300),
    }
    for name, samples in sounds.items():
        soundfile.write(folder / f"{name}.wav", samples, 16_000, subtype="FLOAT")
    (folder / "broken.wav").write_bytes((folder / "0-0.wav").read_bytes()[:30])
    for sentence in (*ROWS, *LACKING, *ENCODING):
        for place, language in enumerate(LANGUAGES):
            own = sentence in (*sounds, "gone", "broken") and not place
            rows.append(
                {
                    "sentence": sentence,
                    "language": language,
                    "text": HOSTILE_TEXTS.get(sentence, "some words") if not place else "some words",
                    "audio": f"{sentence}.wav" if own else f"0-{place}.wav",
                }
            )
    lines = [json.dumps(row) for row in rows]
    (folder / "hostile.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, whisper_folder: Path, e5_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write_hostile(folder)
    (folder / "study.toml").write_text(
        f"""
name = "<script>alert(3)</script> \\u001b[2J\\u202ex"
output = "out"
store = "elsewhere/kept.zarr"
permutations = 19
intervals = false
measures = ["linear_cka", "retrieval"]
controls = ["none"]
points = ["*.norm", "*.pooled"]
corpus = {{ source = "manifest", path = "hostile.jsonl", options = {{ licence = "<i>none</i>" }} }}
[model]
name = "whisper-base+e5-small"
window_seconds = 2
weights = {{ whisper-base = "{whisper_folder}", e5-small = "{e5_folder}" }}
""",
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def ran(folder: Path, whole_pages: None) -> Told:
    refused = told("run", str(folder / "study.toml"))
    assert refused.code == 1 and not (folder / "out").exists()
    last = refused.err.splitlines()[-1]
    assert last.startswith(f"babelscope: manifest {folder}/hostile.jsonl, line 25, column 'text' holds a NUL character")
    assert last.endswith("(--skip-bad leaves such rows out)")
    ended = told("run", str(folder / "study.toml"), "--skip-bad")
    assert ended.code == 0, ended.err
    return ended


def test_what_is_good_is_measured_and_what_is_bad_is_listed_everywhere(folder: Path, ran: Told) -> None:
    result = Result.load(folder / "out")
    held = Activations(folder / "elsewhere" / "kept.zarr")
    assert set(held.sentences) == {IDS.get(one, one) for one in (f"s{number:02}" for number in range(12))}
    assert result.meta["corpus"]["n"] == 12 and result.scores["value"].notna().all()
    write_markdown(result, folder / "out", figures=False)
    page = html.unescape((folder / "out" / "report.html").read_text(encoding="utf-8"))
    markdown = html.unescape((folder / "out" / "report.md").read_text(encoding="utf-8"))
    corpus = json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))["corpus"]
    skipped = {one["sentence"]: one["reason"] for one in corpus["skipped"]}
    assert skipped.keys() == ENCODING.keys()
    for sentence, reason in ENCODING.items():
        assert reason in skipped[sentence]
    for sentence, reason in (ROWS | LACKING).items():
        assert any(reason in line for line in corpus["left_out"]), sentence
        assert any(repr(sentence) in line and "'xa'" in line for line in corpus["left_out"]), sentence
    for sentence, reason in (ROWS | LACKING | ENCODING).items():
        for where in (page, markdown, ran.err):
            assert reason in " ".join(where.split()), sentence


class Tags(HTMLParser):
    """Counts the tags of a page, and collects what could run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts, self.running = 0, list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.running += [
            f"{tag} {name}={value}"
            for name, value in attributes
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:")
        ]


def test_text_stays_text_wherever_it_is_shown(folder: Path, ran: Told, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(folder / "out", out)
    (tmp_path / "elsewhere").symlink_to(folder / "elsewhere")
    plain = Tags((out / "report.html").read_text(encoding="utf-8"))
    heard = told("report", str(out), "--embed-audio", "--corpus-path", str(folder / "hostile.jsonl"))
    assert heard.code == 0, heard.err
    page = (out / "report.html").read_text(encoding="utf-8")
    tags = Tags(page)
    assert tags.scripts == plain.scripts and not tags.running
    shown = html.unescape(page)
    for text in TEXTS.values():
        assert text in shown
    assert page.count("data:audio/mpeg") == 12 * len(LANGUAGES)
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in page and "<b>Ann" not in page and "<i>none" not in page
    markdown = write_markdown(Result.load(out), out, figures=False).read_text(encoding="utf-8")
    assert "<script" not in markdown and "<svg" not in markdown and "](javascript" not in markdown
    for text in (markdown, ran.out, ran.err):
        assert not set(text) & {"\x1b", "\0", "\u202e", "\ud800"}
    scores = pd.read_csv(out / "scores.csv")
    assert set(scores["language_a"]) | set(scores["language_b"]) == set(LANGUAGES)


def test_recordings_of_another_corpus_are_not_put_beside_its_texts(folder: Path, ran: Told, tmp_path: Path) -> None:
    lines = (folder / "hostile.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines[:24]]
    for row in rows:
        row["audio"] = str(folder / row["audio"])
    rows[0]["text"] = "other words"
    (tmp_path / "hostile.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    refused = told("report", str(folder / "out"), "--embed-audio", "--corpus-path", str(tmp_path / "hostile.jsonl"))
    assert refused.code == 1 and "is not the one of the study" in refused.err


def test_a_result_that_somebody_wrote_moves_no_cursor(folder: Path, ran: Told, tmp_path: Path) -> None:
    """Names in a store or result that came from elsewhere reach the terminal as escapes."""
    from babelscope import cli

    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        cli.out.print("a\x1b[31mb\x9b2J\u202ec", markup=False)
    assert shown.getvalue() == "a\\x1b[31mb\\x9b2J\\u202ec\n"
