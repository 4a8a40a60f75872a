"""The audio of recordings: damaged, silent, truncated or clipped, or recorded differently in one language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.audio import MIN_SECONDS, SAMPLE_RATE, AudioFacts, Recording, Samples, inspect, load_audio
from babelscope.corpora.checks.cells import MOST_PLACES, Cells, counted, listed
from babelscope.corpora.problems import Problem, Severity
from babelscope.errors import DataError
from babelscope.progress import Progress

#: A share of samples at full scale that can be heard.
CLIPPED = 1e-3
#: Seconds, and share, by which a stated duration may differ from the recording.
DURATION_SECONDS, DURATION_SHARE = 0.1, 0.02
#: Recordings of a language whose spectrum is looked at.
MOST_SPECTRA = 20
#: dB. How much weaker than telephones' band (300 to 3400 Hz) what lies above 4 kHz is, where only a telephone's was
#: recorded.
TELEPHONE_BAND = -55.0

_WINDOW = 1024
_AT_ONCE = 2  # recordings that are decoded at the same time


def check_sound(
    cells: Cells, most: int | None, sampled: list[str], *, skip_bad: bool, progress: Progress
) -> tuple[list[Problem], dict[str, str]]:
    """Decode recordings and report what is wrong with them.

    Parameters
    ----------
    most : int or None
        How many recordings are decoded, evenly over the languages; all if None.
    sampled : list of str
        Gets a line if not all are.
    skip_bad : bool
        Whether a study skips what cannot be decoded: then that is a warning.

    Returns
    -------
    problems : list of Problem
    rates : dict
        Language to its recordings' sample rates in Hz, the most frequent first, as text.
    """
    rows, total = _chosen_rows(cells, most)
    if len(rows) < total:
        sampled.append(
            f"recordings: {len(rows)} of {total} were decoded, evenly over the languages"
            if len(rows)
            else f"recordings: none of {total} was decoded"
        )
    heard, failed = _inspected(cells, rows, progress)
    problems = [*_refused(cells, heard, failed, skip_bad), *_doubtful(cells, heard)]
    rates: dict[str, Counter[int]] = {}
    for row, facts in heard.items():
        rates.setdefault(cells.languages[cells.language[row]], Counter())[facts.rate] += 1
    problems += [*_sample_rates(rates), *_telephone(cells, [row for row in heard if row not in failed], heard)]
    return problems, {
        language: ", ".join(str(rate) for rate, _ in counts.most_common()) for language, counts in rates.items()
    }


def _chosen_rows(cells: Cells, most: int | None) -> tuple[NDArray[np.int64], int]:
    """Return the rows of distinct primary recordings to be decoded, and how many distinct ones there are."""
    names = cells.table[["audio", "member", "start"]].iloc[cells.primary_rows]
    rows = cells.primary_rows[~names.duplicated().to_numpy()]
    if most is None or len(rows) <= most:
        return rows, len(rows)
    by_language = [cells.rows_of(rows, number) for number in range(len(cells.languages))]
    left, chosen = most, []
    for number, own in enumerate(sorted(by_language, key=len)):
        count = min(len(own), left // (len(by_language) - number))
        chosen.append(own[np.linspace(0, len(own) - 1, count).round().astype(np.int64)] if count else own[:0])
        left -= count
    return np.sort(np.concatenate(chosen)), len(rows)


def _recordings(cells: Cells, rows: NDArray[np.int64]) -> Iterator[tuple[int, Recording]]:
    table = cells.table.iloc[rows]
    columns = (table[name].tolist() for name in ("audio", "member", "seconds", "start"))
    for row, audio, member, seconds, start in zip(rows.tolist(), *columns, strict=True):
        yield (
            row,
            Recording(
                Path(audio),
                None if pd.isna(member) else member,
                float(seconds),
                "",
                str(cells.sentences[cells.sentence[row]]),
                cells.languages[cells.language[row]],
                None if pd.isna(start) else float(start),
            ),
        )


def _inspected(
    cells: Cells, rows: NDArray[np.int64], progress: Progress
) -> tuple[dict[int, AudioFacts], dict[int, str]]:
    heard: dict[int, AudioFacts] = {}
    failed: dict[int, str] = {}

    def look(recording: Recording) -> AudioFacts | DataError:
        try:
            return inspect(recording)
        except DataError as error:
            return error

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for first in range(0, len(rows), 256):
            block = dict(_recordings(cells, rows[first : first + 256]))
            for row, facts in zip(block, pool.map(look, block.values()), strict=True):
                if isinstance(facts, DataError):
                    failed[row] = str(facts)
                else:
                    heard[row] = facts
                progress("decoding recordings", len(heard) + len(failed), len(rows))
    return heard, failed


def _refused(cells: Cells, heard: dict[int, AudioFacts], failed: dict[int, str], skip_bad: bool) -> Iterable[Problem]:
    """Yield recordings that no model is given: they cannot be decoded, are silent, truncated or too short."""
    severity: Severity = "warning" if skip_bad else "error"
    remedy = "skip_bad leaves these sentences out" if skip_bad else "replace these files, or run with --skip-bad"
    silent = {row: "" for row, facts in heard.items() if facts.silent}
    truncated = {
        row: f": {facts.seconds:.2f} s" + (f" of {facts.stated:.2f} s" if facts.stated else "")
        for row, facts in heard.items()
        if facts.truncated
    }
    short = {
        row: f": {facts.seconds:.3f} s"
        for row, facts in heard.items()
        if facts.seconds < MIN_SECONDS and row not in silent and row not in truncated
    }
    for kind, what, rows in (
        ("audio-truncated", "cut short: less is there than the file states", truncated),
        ("audio-silent", "silent", silent),
        ("audio-too-short", f"shorter than {MIN_SECONDS} s", short),
    ):
        if rows:
            message = f"{counted(len(rows), 'recording is', 'recordings are')} {what}"
            yield cells.problem(kind, severity, rows, message, remedy, details=rows)
    if failed:
        yield Problem(
            "audio-broken",
            severity,
            f"{counted(len(failed), 'recording', 'recordings')} cannot be decoded",
            remedy,
            len(failed),
            tuple(failed.values())[:MOST_PLACES],
        )


def _doubtful(cells: Cells, heard: dict[int, AudioFacts]) -> Iterable[Problem]:
    clipped = {row: f": {facts.clipped:.1%}" for row, facts in heard.items() if facts.clipped > CLIPPED}
    if clipped:
        yield cells.problem(
            "audio-clipped",
            "warning",
            clipped,
            f"{counted(len(clipped), 'recording is', 'recordings are')} clipped: more than {CLIPPED:.1%} of the "
            "samples are at full scale",
            "record or export these again at a lower level",
            details=clipped,
        )
    other = {
        row: f": {facts.seconds:.2f} s, stated {cells.seconds[row]:.2f} s"
        for row, facts in heard.items()
        if not facts.truncated
        and abs(facts.seconds - cells.seconds[row]) > max(DURATION_SECONDS, DURATION_SHARE * facts.seconds)
    }
    if other:
        yield cells.problem(
            "seconds-disagree",
            "warning",
            other,
            f"{counted(len(other), 'recording lasts', 'recordings last')} longer or shorter than the corpus states",
            "correct the durations that the corpus gives, or leave the column out: then files are measured",
            details=other,
        )


def _sample_rates(rates: dict[str, Counter[int]]) -> Iterable[Problem]:
    every = sorted({rate for counts in rates.values() for rate in counts})
    if len(every) < 2:
        return
    usual = {language: counts.most_common(1)[0][0] for language, counts in rates.items()}
    by_rate = [
        f"{rate} Hz in {listed([language for language, own in usual.items() if own == rate])}"
        for rate in every
        if rate in usual.values()
    ]
    confounded = len(by_rate) > 1
    yield Problem(
        "sample-rates",
        "warning" if confounded else "note",
        f"recordings have {len(every)} sample rates ({', '.join(map(str, every))} Hz)"
        + (f", most have {'; '.join(by_rate)}: language and recording are confounded" if confounded else ""),
        "export all languages from sources of one rate" if confounded else "",
        sum(sum(counts.values()) for counts in rates.values()),
        tuple(by_rate) if confounded else (),
    )


def _telephone(cells: Cells, rows: list[int], heard: dict[int, AudioFacts]) -> Iterable[Problem]:
    """Yield which languages were recorded in telephones' band, whatever their files' rate."""
    narrow: list[str] = []
    wide: list[str] = []
    for number, language in enumerate(cells.languages):
        own = [row for row in rows if cells.language[row] == number and not heard[row].silent][:MOST_SPECTRA]
        levels = []
        for _, recording in _recordings(cells, np.array(own, dtype=np.int64)):
            try:
                levels.append(above_telephone(load_audio(recording)))
            except DataError:
                continue
        if levels:
            (narrow if float(np.median(levels)) < TELEPHONE_BAND else wide).append(language)
    if narrow:
        yield Problem(
            "telephone-band",
            "warning" if wide else "note",
            f"recordings in {listed(narrow)} hold nothing above 4 kHz, as over a telephone"
            + (f"; those in {listed(wide)} do" if wide else ""),
            "compare these languages with care, or limit all of them to that band" if wide else "",
            len(narrow),
            tuple(f"language {language!r}" for language in narrow[:MOST_PLACES]),
        )


def above_telephone(samples: Samples) -> float:
    """Return the level of what lies above 4.2 kHz relative to telephones' band (300 to 3400 Hz), in dB per Hz."""
    padded = np.pad(samples, (0, max(0, _WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[:: _WINDOW // 2]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1))).mean(axis=0)
    hertz = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    low = power[(hertz >= 300) & (hertz <= 3400)].mean()
    high = power[(hertz >= 4200) & (hertz <= 7500)].mean()
    return float(10 * np.log10(max(high, 1e-20) / max(low, 1e-20)))
