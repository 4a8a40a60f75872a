from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from babelscope.audio import MIN_SECONDS, SAMPLE_RATE, Recording, decode, load_audio
from babelscope.errors import DataError
from sound_files import FORMATS


def sine(
    rate: int, seconds: float = 0.5, hertz: float = 440.0, channels: int = 1
) -> np.ndarray[Any, np.dtype[np.float64]]:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)
    return np.repeat(wave[:, None], channels, axis=1)


def sounds(
    kind: str, rate: int = 48_000, samples: np.ndarray[Any, Any] | None = None, subtype: str | None = None
) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, sine(rate) if samples is None else samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


def pitch(samples: np.ndarray[Any, Any]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 16 * SAMPLE_RATE))
    return float(np.argmax(spectrum)) / 16


CLEAN = {
    suffix: FORMATS[name].encode(sine(rate)[:, 0], rate)
    for suffix, name, rate in (
        (".wav", "WAV, 16 bit", 48_000),
        (".flac", "FLAC", 48_000),
        (".ogg", "Ogg Vorbis", 48_000),
        (".mp3", "MP3 with a Xing header, VBR", 48_000),
        (".m4a", "M4A, AAC", 48_000),
        (".webm", "WebM, Opus", 48_000),
        (".g722", "G.722", 16_000),
    )
}


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]), st.integers(1, 6), st.floats(0.15, 1.0)
)
def test_any_rate_and_channel_count_keep_duration_and_pitch(rate: int, channels: int, seconds: float) -> None:
    samples = decode(sounds("WAV", rate, sine(rate, seconds, 300.0, channels), "FLOAT"), ".wav")
    assert len(samples) / SAMPLE_RATE == pytest.approx(int(rate * seconds) / rate, abs=1 / 8000)
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    assert pitch(samples) == pytest.approx(300, abs=2)
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.01)


def test_channels_are_averaged() -> None:
    left, right = sine(16_000, hertz=300)[:, 0], sine(16_000, hertz=700)[:, 0]
    samples = decode(sounds("WAV", 16_000, np.stack([left, right], axis=1), "FLOAT"), ".wav")
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-6)


def test_resampling_lets_no_alias_through() -> None:
    """A tone above the new Nyquist frequency vanishes; taking every third sample would fold it to 6 kHz."""
    loud = sine(48_000, hertz=1_000) + sine(48_000, hertz=10_000)
    samples = decode(sounds("WAV", 48_000, 0.9 * loud, "FLOAT"), ".wav")
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    assert spectrum[frequency > 2_000].max() < 1e-4 * spectrum.max()


def refusal(data: bytes, suffix: str) -> str:
    with pytest.raises(DataError) as caught:
        decode(data, suffix, name="clip")
    message = str(caught.value)
    assert "clip" in message and "\n" not in message and "0x" not in message
    return message


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros(16_000), "silent"),
        (np.full(16_000, 0.4), "silent"),
        (sine(16_000) * 1e-4, "silent"),
        (sine(16_000, 0.01), "0.010 s"),
        (np.empty((0, 1)), "0.000 s"),
        (np.where(np.arange(16_000) == 5, np.nan, 0.1), "NaN"),
        (np.where(np.arange(16_000) == 5, np.inf, 0.1), "NaN or infinite"),
        (sine(16_000) * 30_000, "full scale"),
    ],
)
def test_sound_that_is_none_is_refused(samples: np.ndarray[Any, Any], said: str) -> None:
    assert said in refusal(sounds("WAV", 16_000, samples, "FLOAT"), ".wav")


def test_the_shortest_and_the_quietest_that_pass() -> None:
    assert len(decode(sounds("WAV", 16_000, sine(16_000, MIN_SECONDS), "FLOAT"), ".wav")) == 1_600
    assert len(decode(sounds("WAV", 16_000, sine(16_000) * 4e-4, "FLOAT"), ".wav")) == 8_000


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".m4a", ".webm", ".txt", ""])
@pytest.mark.parametrize("data", [b"", b"hello, this is no audio at all " * 20, b"RIFF\x04\0\0\0WAVE"])
def test_what_is_no_audio_is_refused(data: bytes, suffix: str) -> None:
    message = refusal(data, suffix)
    assert data or "empty file" in message


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(CLEAN)), st.binary(max_size=300), st.integers(0, 200))
def test_whatever_the_bytes_only_a_data_error_comes_out(suffix: str, noise: bytes, at: int) -> None:
    data = bytearray(CLEAN[suffix])
    data[at : at + len(noise)] = noise
    try:
        samples = decode(bytes(data), suffix)
    except DataError:
        return
    assert np.isfinite(samples).all() and len(samples) >= MIN_SECONDS * SAMPLE_RATE


def test_a_recording_is_read_from_a_file_or_an_archive_alike(tmp_path: Path) -> None:
    data = CLEAN[".ogg"]
    (tmp_path / "a.ogg").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/a.ogg", data)
    plain = load_audio(Recording(tmp_path / "a.ogg", None, 0.5, "", "s1", "en"))
    member = load_audio(Recording(tmp_path / "a.zip", "x/a.ogg", 0.5, "", "s1", "en"))
    np.testing.assert_array_equal(plain, member)


@pytest.mark.parametrize(
    ("path", "member"),
    [("none.wav", None), ("none.zip", "a.wav"), ("a.zip", "none.wav"), ("bad.zip", "a.wav"), ("bad.wav", None)],
)
def test_a_recording_that_is_missing_or_broken_is_told_with_file_sentence_and_language(
    tmp_path: Path, path: str, member: str | None
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.wav", CLEAN[".wav"])
    damaged = bytearray((tmp_path / "a.zip").read_bytes())
    damaged[500:600] = bytes(range(100))
    (tmp_path / "bad.zip").write_bytes(damaged)
    (tmp_path / "bad.wav").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        load_audio(Recording(tmp_path / path, member, 1.0, "", "vm-goodbye", "it"))
    message = str(caught.value)
    assert path in message and "'vm-goodbye'" in message and "'it'" in message and "\n" not in message
