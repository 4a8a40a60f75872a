"""Small releases of Common Voice, and CoVoST 2 over them: MP3 clips and TSV files, of tones or of real recordings.

Run as ``python tests/corpora/common_voice_fixture.py FOLDER`` for both of asterisk's recordings (asterisk must have
been fetched). Columns are those of the program that writes releases, fields are not quoted, readers are client ids.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

RELEASE = "cv-corpus-22.0-2025-06-20"
RATE = 32_000
COLUMNS = (
    "client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender",
    "accents", "variant", "locale", "segment",
)  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """One clip: its number in its language, who reads what, and the samples at 16 kHz."""

    number: int
    text: str
    reader: str
    samples: npt.NDArray[np.float32]

    def file(self, language: str) -> str:
        return f"common_voice_{language}_{17_000_000 + self.number}.mp3"


#: Language to clips.
Clips = Mapping[str, Sequence[Clip]]


def client(reader: str) -> str:
    return hashlib.sha512(reader.encode()).hexdigest()


def mp3(samples: npt.NDArray[np.float32]) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.repeat(samples, RATE // 16_000), RATE, format="MP3")
    return out.getvalue()


def write_release(folder: Path, clips: Clips, *, old: bool = False) -> Path:
    """Write a release; an old one has no ids of sentences. A third of the clips each is in train, dev and test."""
    columns = [name for name in COLUMNS if not old or name not in ("sentence_id", "sentence_domain", "variant")]
    for language, own in clips.items():
        place = folder / RELEASE / language
        (place / "clips").mkdir(parents=True)
        lines: dict[str, list[str]] = {"validated": [], "train": [], "dev": [], "test": []}
        for clip in own:
            (place / "clips" / clip.file(language)).write_bytes(mp3(clip.samples))
            fields = {
                "client_id": client(clip.reader),
                "path": clip.file(language),
                "sentence_id": hashlib.sha256(f"{language} {clip.text}".encode()).hexdigest(),
                "sentence": clip.text,
                "sentence_domain": "general",
                "up_votes": "2",
                "down_votes": "0",
                "gender": "female_feminine" if clip.reader.startswith("A") else "male_masculine",
                "locale": language,
            }
            line = "\t".join(fields.get(name, "") for name in columns)
            lines["validated"].append(line)
            lines[("test", "dev", "train")[clip.number % 3]].append(line)
        for split, rows in lines.items():
            (place / f"{split}.tsv").write_text("\n".join(["\t".join(columns), *rows]) + "\n", encoding="utf-8")
    return folder


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def write_covost(folder: Path, clips: Clips, source: str, texts: Mapping[str, Sequence[str]], *, made: bool) -> Path:
    """Write CoVoST 2 over a release's `source`; `texts` are the translations of its clips, by language.

    `made`: as CoVoST's script makes it; otherwise as it is downloaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    splits = ("test", "dev", "train_covost")
    for target, translations in texts.items():
        rows = []
        for clip, translation in zip(clips[source], translations, strict=True):
            split = splits[clip.number % 3]
            if made:
                fields = [clip.file(source), _escaped(clip.text), _escaped(translation), client(clip.reader)]
            else:
                fields = [clip.file(source), _escaped(translation), split]
            rows.append((split.removesuffix("_covost"), "\t".join(fields)))
        header = "path\tsentence\ttranslation\tclient_id" if made else "path\ttranslation\tsplit"
        for split in ("train", "dev", "test") if made else ("",):
            name = f"covost_v2.{source}_{target}" + (f".{split}.tsv" if split else ".tsv")
            lines = [header, *(row for own, row in rows if split in ("", own))]
            (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def tones(languages: Sequence[str] = ("en", "sv-SE"), sentences: int = 9) -> dict[str, list[Clip]]:
    """Tones; every third sentence is read by two, and the last one has quotes in it."""
    clips: dict[str, list[Clip]] = {}
    for place, language in enumerate(languages):
        own = clips.setdefault(language, [])
        for number in range(sentences):
            text = f"Sentence {number}, in {language}." if number < sentences - 1 else f'He said "{language}".'
            for reader in ("Anna", "Bert") if number % 3 == 0 else ("Bert",):
                time = np.arange(round((0.5 + 0.03 * number) * 16_000)) / 16_000
                wave = 0.3 * np.sin(2 * np.pi * (200 + 20 * number + 50 * place) * time)
                file = number + (0 if reader == "Bert" else 300)
                own.append(Clip(file, text, f"{reader} {language}", wave.astype(np.float32)))
    return clips


def speech(languages: Sequence[str] = ("it", "en"), sentences: int = 12) -> dict[str, list[Clip]]:
    """Asterisk's recordings; some Italian sentences have two readers."""
    from babelscope import corpora
    from babelscope.audio import load_audio

    corpus = corpora.load("asterisk").select(min_words=4, max_seconds=8, distinct=True, n=sentences)
    clips: dict[str, list[Clip]] = {}
    for language in languages:
        own = clips.setdefault(language, [])
        for number, sentence in enumerate(corpus.sentences):
            for rank, recording in enumerate(corpus.recordings(sentence, language)):
                text = corpus.text(sentence, language) or ""
                own.append(Clip(number + 300 * rank, text, recording.reader, load_audio(recording)))
    return clips


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a small release of Common Voice, and CoVoST 2 over it.")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    real = speech()
    print(write_release(given.folder, real))
    english = {clip.number: clip.text for clip in real["en"]}
    translations = [english[clip.number % 300] for clip in real["it"]]
    print(write_covost(given.folder / "covost", real, "it", {"en": translations}, made=False))
