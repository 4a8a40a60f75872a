"""Facts about a recording, and segments of files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babelscope.audio import SAMPLE_RATE, SUFFIXES, Recording, decode, inspect, load_audio
from babelscope.errors import DataError
from sound_files import FORMATS, sweep


def recording(path: Path, start: float | None = None, seconds: float = 0.0, member: str | None = None) -> Recording:
    return Recording(path, member, seconds, "", "s1", "en", start)


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    """Two seconds at 44.1 kHz: loud on the left, clipped for a tenth of it; half as loud on the right; then silence."""
    left = sweep(44_100, 2.0) * 1.5
    left[:8_820] = np.where(np.arange(8_820) % 2, 1.0, -1.0)
    both = np.stack([left, left / 2], axis=1)
    both[44_100:] = 0
    soundfile.write(tmp_path / "a.wav", np.clip(both, -1, 1), 44_100, subtype="PCM_24")
    return tmp_path / "a.wav"


def test_facts_of_a_recording(stereo: Path) -> None:
    facts = inspect(recording(stereo))
    values = soundfile.read(stereo)[0]
    assert (facts.seconds, facts.stated, facts.rate, facts.channels) == (2.0, 2.0, 44_100, 2)
    assert facts.peak == pytest.approx(1.0, abs=1e-4)
    assert facts.rms == pytest.approx(float(np.sqrt((values**2).mean())), rel=1e-5)
    assert facts.clipped == pytest.approx(float((np.abs(values) > 0.9995).mean()), abs=1e-6) and facts.clipped >= 0.05
    assert not facts.silent and not facts.truncated
    assert (facts.decoder, facts.format) == ("libsndfile", "WAV, PCM_24")


def test_facts_of_a_segment_are_those_of_the_segment(stereo: Path) -> None:
    silent = inspect(recording(stereo, 1.25, 0.5))
    assert silent.silent and silent.peak == 0 and silent.seconds == 0.5
    loud = inspect(recording(stereo, 0.0, 0.2))
    assert loud.clipped == pytest.approx(0.5, abs=0.01)
    early = inspect(recording(stereo, 1.5, 3.0))
    assert early.seconds == 0.5 and not early.truncated


@pytest.mark.parametrize("name", ["WAV, 16 bit", "AIFF", "MP3 with a Xing header, CBR", "TTA", "Matroska, AAC"])
def test_a_cut_file_is_described(name: str, tmp_path: Path) -> None:
    entry = FORMATS[name]
    encoded = entry.encode(sweep(16_000, 4.0), 16_000)
    path = tmp_path / f"a{entry.suffix}"
    path.write_bytes(encoded[: 3 * len(encoded) // 5])
    facts = inspect(recording(path))
    assert facts.truncated and 1 < facts.seconds < 3.5
    assert facts.stated == pytest.approx(4.0, abs=0.2)


def test_a_recording_that_cannot_be_described_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound" * 100)
    with pytest.raises(DataError, match=r"a\.wav \(sentence 's1', language 'en'\) cannot be decoded"):
        inspect(recording(tmp_path / "a.wav"))
    with pytest.raises(DataError, match="missing"):
        inspect(recording(tmp_path / "b.wav"))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("rate", [11_025, 16_000, 22_051, 44_100])
def test_a_segment_is_the_same_samples_as_those_of_the_whole(suffix: str, rate: int, tmp_path: Path) -> None:
    if suffix == ".mp3" and rate == 22_051:
        rate = 22_050  # MP3 has a few rates alone
    soundfile.write(tmp_path / f"a{suffix}", sweep(rate, 5.0), rate)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / f"a{suffix}", f"x/a{suffix}")
    whole = decode(tmp_path / f"a{suffix}")
    for start, seconds in ((0.0, 1.0), (1.23456, 0.789), (2.5, 2.5), (4.7, 0.3)):
        first, last = round(start * SAMPLE_RATE), round((start + seconds) * SAMPLE_RATE)
        for cut in (
            load_audio(recording(tmp_path / f"a{suffix}", start, seconds)),
            load_audio(recording(tmp_path / "a.zip", start, seconds, f"x/a{suffix}")),
        ):
            assert len(cut) == min(last, len(whole)) - first
            np.testing.assert_allclose(cut, whole[first:last], atol=2e-5)


@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
@pytest.mark.parametrize(("start", "seconds"), [(1.5, 1.0), (2.0, 0.5), (50.0, 1.0), (0.0, 2.2)])
def test_a_segment_beyond_the_end_is_refused(suffix: str, start: float, seconds: float, tmp_path: Path) -> None:
    soundfile.write(tmp_path / f"a{suffix}", sweep(16_000, 2.0), 16_000)
    with pytest.raises(DataError, match=rf"ends at {start + seconds:.2f} s, but its file lasts 2\.0\d s"):
        load_audio(recording(tmp_path / f"a{suffix}", start, seconds))
    assert len(load_audio(recording(tmp_path / f"a{suffix}", 1.0, 1.005))) >= 16_000  # times are rounded


@pytest.mark.parametrize(
    ("start", "seconds"), [(-1.0, 1.0), (0.5, -0.2), (0.5, 0.0), (float("nan"), 1.0), (0.0, np.inf)]
)
def test_a_segment_that_is_none_is_refused(start: float, seconds: float, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(16_000, 2.0), 16_000)
    with pytest.raises(DataError, match="times above 0"):
        load_audio(recording(tmp_path / "a.wav", start, seconds))


def test_a_silent_segment_is_refused_whatever_is_around_it(tmp_path: Path) -> None:
    sound = sweep(44_100, 3.0)
    sound[44_100:88_200] = 0
    soundfile.write(tmp_path / "a.wav", sound, 44_100)
    with pytest.raises(DataError, match="silent"):
        load_audio(recording(tmp_path / "a.wav", 1.1, 0.8))
    with pytest.raises(DataError, match=r"0\.050 s"):
        load_audio(recording(tmp_path / "a.wav", 0.1, 0.05))


def test_a_segment_of_a_file_that_is_too_long_to_be_read_at_once_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 16_000, 1, format="FLAC") as out:
        for _ in range(15):
            out.write(np.zeros(600 * 16_000, dtype=np.int16))
        out.write(sweep(16_000, 2.0))
    with pytest.raises(DataError, match="max_seconds"):
        load_audio(recording(path))
    cut = load_audio(recording(path, 9_000.5, 1.0))
    np.testing.assert_allclose(cut, sweep(16_000, 2.0)[8_000:24_000], atol=1e-4)


def test_every_format_that_is_read_has_its_name_among_those_of_recordings() -> None:
    assert {entry.suffix for entry in FORMATS.values()} <= SUFFIXES
