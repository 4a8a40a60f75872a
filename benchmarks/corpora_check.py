"""How long ``babelscope corpora check`` takes on a large manifest, and how much memory.

Usage: python benchmarks/corpora_check.py [--rows 1000000] [--languages 10] [--model NAME]

The manifest has a text and a recording in every row, several readers, some exact and near duplicates; its recordings
are a few files, with their durations given. The command runs in a process of its own, as a user starts it.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

FILES = 5
LANGUAGES = "eng deu fra spa ita por nld swe pol ces ron hun fin dan tur".split()  # noqa: SIM905 - easier to read


def write_manifest(folder: Path, rows: int, languages: int) -> Path:
    """Write the manifest and its recordings."""
    generator = np.random.default_rng(0)
    for number in range(FILES):
        samples = 0.1 * generator.standard_normal(16_000 * (3 + number))
        soundfile.write(folder / f"{number}.wav", samples, 16_000)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = {
        language: ["".join(generator.choice(letters, size)) for size in generator.integers(2, 10, 20_000)]
        for language in LANGUAGES[:languages]
    }
    path = folder / "manifest.csv"
    repeated: dict[str, list[str]] = {}
    with path.open("w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(["sentence", "language", "text", "audio", "reader", "seconds"])
        for sentence in range(rows // languages):
            for language, vocabulary in words.items():
                file = sentence % FILES
                chosen = [vocabulary[number] for number in generator.integers(0, len(vocabulary), 5 + 2 * file)]
                if sentence % 100 == 0:
                    repeated[language] = chosen
                elif sentence % 100 == 1:
                    chosen = repeated[language]
                elif sentence % 100 == 2:
                    chosen = [*repeated[language][:-1], chosen[0]]  # nearly the same
                reader = f"{language}-{sentence % 50}"
                table.writerow([f"s{sentence}", language, " ".join(chosen), f"{file}.wav", reader, 3 + file])
    return path


def measure(arguments: list[str]) -> tuple[float, float, int]:
    """Run the command line, and return its seconds, its peak of memory in megabytes, and its exit code."""
    started = time.perf_counter()
    child = os.posix_spawn(sys.executable, [sys.executable, "-m", "babelscope", *arguments], os.environ)
    _, status, usage = os.wait4(child, 0)
    return time.perf_counter() - started, usage.ru_maxrss / 1000, os.waitstatus_to_exitcode(status)


def main() -> None:
    """Write a manifest, check it, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--languages", type=int, default=10, choices=range(1, len(LANGUAGES) + 1))
    parser.add_argument("--model")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = write_manifest(Path(folder), chosen.rows, chosen.languages)
        seconds, megabytes, code = measure(
            ["corpora", "check", str(path), *(["--model", chosen.model] if chosen.model else [])]
        )
    print(f"{chosen.rows} rows, {chosen.languages} languages: {seconds:.1f} s, {megabytes:.0f} MB, exit code {code}")


if __name__ == "__main__":
    main()
