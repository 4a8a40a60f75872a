"""Every format of the table in docs/audio.md, read as the table says: written, read again, and compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from babelscope.audio import SAMPLE_RATE, Recording, decode, inspect, seconds_of
from babelscope.errors import DataError
from sound_files import FORMATS, Sound, sweep

_TABLE = (Path(__file__).parents[2] / "docs" / "audio.md").read_text(encoding="utf-8")
_FINER = 6  # shifts are measured at 96 kHz


class Row(NamedTuple):
    """A row of the table; lengths and shifts in milliseconds, a correlation of 1 for the same samples."""

    suffix: str
    decoder: str
    length: tuple[int, int]
    shift: tuple[int, int]
    correlation: float
    cut: str


def _range(cell: str) -> tuple[int, int]:
    first, *last = (int(number) for number in re.findall(r"[+-]?\d+", cell))
    return first, (last or [first])[0]


def _rows() -> dict[str, Row]:
    rows = {}
    for line in _TABLE.splitlines():
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if len(cells) == 6 and cells[0].startswith("`."):
            sound = 1.0 if cells[4] == "same samples" else float(cells[4])
            rows[name] = Row(cells[0].strip("`"), cells[1], _range(cells[2]), _range(cells[3]), sound, cells[5])
    return rows


ROWS = _rows()


def test_the_table_names_every_format_that_can_be_written_here() -> None:
    assert list(ROWS) == list(FORMATS)
    for name, row in ROWS.items():
        assert row.suffix == FORMATS[name].suffix
        assert row.cut == ("refused" if FORMATS[name].counts else "read")


def _compare(samples: Sound, wanted: Sound) -> tuple[float, float]:
    """Return by how many milliseconds the samples come later than they should, and their correlation at that shift."""
    samples, wanted = (soxr.resample(values, SAMPLE_RATE, _FINER * SAMPLE_RATE) for values in (samples, wanted))
    reach = min(len(wanted) - 1, _FINER * SAMPLE_RATE // 5)
    middle = len(wanted) - 1
    shift = int(correlate(samples, wanted)[middle - reach : middle + reach + 1].argmax()) - reach
    samples, wanted = samples[max(0, shift) :], wanted[max(0, -shift) :]
    shared = min(len(samples), len(wanted))
    return shift / _FINER / SAMPLE_RATE * 1000, float(np.corrcoef(samples[:shared], wanted[:shared])[0, 1])


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seconds=st.floats(0.5, 2.5), seed=st.integers(0, 1000))
def test_a_sound_that_changes_comes_back_as_the_table_says(
    name: str, data: st.DataObject, seconds: float, seed: int, tmp_path: Path
) -> None:
    row = ROWS[name]
    rate = data.draw(st.sampled_from(FORMATS[name].rates))
    sound = sweep(rate, seconds, seed)
    path = tmp_path / f"a{row.suffix}"
    path.write_bytes(FORMATS[name].encode(sound, rate))
    samples = decode(path)
    wanted = sound if rate == SAMPLE_RATE else soxr.resample(sound, rate, SAMPLE_RATE, "VHQ")
    longer = (len(samples) - len(wanted)) / SAMPLE_RATE * 1000
    assert row.length[0] - 0.1 <= longer <= row.length[1] + 0.1
    shift, correlation = _compare(samples.astype(np.float64), wanted)
    assert row.shift[0] - 0.1 <= shift <= row.shift[1] + 0.1
    if row.correlation == 1:
        np.testing.assert_allclose(samples, wanted, atol=1e-4)
    assert correlation >= min(row.correlation, 0.9999)

    assert seconds_of(path) == pytest.approx(len(samples) / SAMPLE_RATE, abs=1 / SAMPLE_RATE)
    facts = inspect(Recording(path, None, 0.0, "", "s", "en"))
    assert facts.seconds == pytest.approx(len(samples) / SAMPLE_RATE, abs=1 / SAMPLE_RATE)
    assert facts.decoder == row.decoder and facts.rate in (rate, 48_000) and not facts.truncated

    start, last = 0.3 * seconds, 0.8 * seconds
    cut = decode(path, start=start, seconds=last - start)
    np.testing.assert_allclose(cut, samples[round(start * SAMPLE_RATE) : round(last * SAMPLE_RATE)], atol=1e-4)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_is_cut_in_half_is_refused_where_its_header_tells(name: str) -> None:
    entry, rate = FORMATS[name], FORMATS[name].rates[-1]
    encoded = entry.encode(sweep(rate, 2.0), rate)
    half = encoded[: len(encoded) // 2]
    if entry.counts:
        with pytest.raises(DataError, match=r"cut short|damaged"):
            decode(half, entry.suffix)
        return
    samples = decode(half, entry.suffix)
    assert 0.5 < len(samples) / SAMPLE_RATE < 1.6
    assert seconds_of(half, entry.suffix) == pytest.approx(len(samples) / SAMPLE_RATE, abs=1 / SAMPLE_RATE)
