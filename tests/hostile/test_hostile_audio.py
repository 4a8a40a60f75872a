"""Recordings that lie, that are too long, or that are none: one line, little memory, no other file is opened."""

from __future__ import annotations

import io
import os
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from babelscope import corpora
from babelscope.audio import MAX_SECONDS, Recording, decode, decoders, load_audio, reading, recording, seconds_of
from babelscope.errors import DataError


def noise(seconds: float, rate: int = 16_000, channels: int = 1) -> NDArray[np.float64]:
    generator = np.random.default_rng(0)
    return 0.1 * generator.standard_normal((round(seconds * rate), channels))


def encoded(kind: str, samples: NDArray[np.float64], rate: int = 16_000) -> bytearray:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind)
    return bytearray(out.getvalue())


@pytest.fixture(scope="module")
def three_hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An honest FLAC of three hours, seven seconds of which are noise: a few hundred kilobytes."""
    path = tmp_path_factory.mktemp("long") / "three-hours.flac"
    silence = np.zeros(600 * 16_000, dtype=np.int16)
    with soundfile.SoundFile(path, "w", 16_000, 1, format="FLAC") as out:
        out.write(noise(7)[:, 0])
        for _ in range(18):
            out.write(silence)
    return path


def refusal(source: bytes | bytearray | Path, suffix: str = "") -> str:
    with pytest.raises(DataError) as caught:
        decode(bytes(source) if isinstance(source, bytearray) else source, suffix or None, name="clip")
    assert "clip" in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def peak() -> Iterator[list[int]]:
    """Afterwards, the most bytes that Python and NumPy held."""
    found: list[int] = []
    tracemalloc.start()
    try:
        yield found
    finally:
        tracemalloc.stop()


def test_three_hours_are_told_from_the_header_and_refused_before_a_sample_is_decoded(
    three_hours: Path, peak: list[int]
) -> None:
    assert seconds_of(three_hours) == pytest.approx(10_807)
    message = refusal(three_hours)
    assert f"{MAX_SECONDS:g} s" in message and "max_seconds" in message and "10807 s" in message
    assert tracemalloc.get_traced_memory()[1] < 2**22


def test_three_hours_whose_header_does_not_tell_are_refused_on_the_way(
    three_hours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_SECONDS", 120.0)
    data = bytearray(three_hours.read_bytes())
    data[21] &= 0xF0  # STREAMINFO's number of samples; 0 is "not known"
    data[22:26] = bytes(4)
    assert "more than the 120 s" in refusal(data, ".flac")


def test_three_hours_are_left_out_by_max_seconds(three_hours: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1), 16_000)
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"sentence,language,text,audio\nlong,en,so much,{three_hours}\nshort,en,so little,a.wav\n")
    corpus = corpora.load("manifest", manifest)
    with pytest.raises(DataError, match="sentence 'long'"):
        load_audio(corpus.recordings("long", "en")[0])
    assert corpus.select(max_seconds=30).sentences == ("short",)


def test_memory_is_that_of_the_result_whatever_the_channels_and_the_rate(peak: list[int]) -> None:
    data = bytes(encoded("FLAC", np.repeat(noise(6, 192_000), 8, axis=1), 192_000))
    whole = 6 * 192_000 * 8 * 4
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    assert len(decode(data, ".flac")) == 6 * 16_000
    assert tracemalloc.get_traced_memory()[1] - before < whole / 1.5


def test_a_flac_that_was_written_to_a_pipe_has_no_length_and_is_read() -> None:
    data = encoded("FLAC", noise(1))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    assert len(decode(bytes(data), ".flac")) == 16_000
    assert seconds_of(bytes(data), ".flac") == 1


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (22, struct.pack("<H", 0)),  # channels
        (22, struct.pack("<H", 65_535)),
        (24, struct.pack("<I", 0)),  # rate
        (24, struct.pack("<I", 2**31)),
        (24, struct.pack("<I", 100)),
        (40, struct.pack("<I", 0)),  # bytes of samples
        (40, struct.pack("<I", 2**30)),
        (16, struct.pack("<I", 2**31)),  # size of the format's chunk
        (20, struct.pack("<H", 0x1234)),  # format
    ],
)
def test_a_wav_whose_header_lies_is_refused(at: int, value: bytes) -> None:
    data = encoded("WAV", noise(1))
    data[at : at + len(value)] = value
    refusal(data, ".wav")


def test_a_flac_that_claims_days_is_refused_without_room_being_made(peak: list[int]) -> None:
    data = encoded("FLAC", noise(1))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    assert "max_seconds" in refusal(data, ".flac")
    assert tracemalloc.get_traced_memory()[1] < 2**22


def test_one_sample_and_none_are_refused() -> None:
    assert "0.000 s" in refusal(encoded("WAV", noise(1)[:1]), ".wav")
    with pytest.raises(DataError, match="holds no sound"):
        seconds_of(bytes(encoded("WAV", noise(1)[:0])), ".wav")


@pytest.mark.parametrize("suffix", [".m4a", ".webm", ".txt", ".m3u8", ""])
@pytest.mark.parametrize(
    "script",
    [
        "ffconcat version 1.0\nfile '{name}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nfile://{path}\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    ],
)
def test_a_list_of_files_that_is_called_a_recording_opens_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, script: str
) -> None:
    """FFmpeg goes by content: without a list of what it may take a file for, ``ffconcat`` reads whatever it names."""
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret.mp3"
    soundfile.write(secret, noise(1), 16_000)
    os.utime(secret, (1, 1))
    (tmp_path / f"clip{suffix}").write_text(script.format(name=secret.name, path=secret))
    message = refusal(tmp_path / f"clip{suffix}")
    assert "cannot be decoded" in message


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.wav")
    assert "is no file" in refusal(tmp_path / "clip.wav")
    assert "is no file" in refusal(tmp_path)


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(encoded("WAV", noise(3)))
    choose = decoders.openers

    def cut(*arguments: object) -> object:
        os.truncate(path, 20_000)
        return choose(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(decoders, "openers", cut)
    refusal(path)


def zipped(path: Path, data: bytes, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a.wav", data)
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_whose_compression_is_damaged_is_one_line(tmp_path: Path, compression: int) -> None:
    whole = zipped(tmp_path / "a.zip", bytes(encoded("WAV", noise(1))), compression).read_bytes()
    manifest = tmp_path / "m.csv"
    manifest.write_text("sentence,language,audio,member\ns,en,a.zip,a.wav\n")
    for at in range(40, 400, 24):
        broken = bytearray(whole)
        broken[at : at + 8] = bytes(255 - byte for byte in broken[at : at + 8])
        (tmp_path / "a.zip").write_bytes(broken)
        with pytest.raises(DataError, match="damaged"):
            load_audio(Recording(tmp_path / "a.zip", "a.wav", 1.0, "", "s", "en"))
        with pytest.raises(DataError, match=r"m\.csv, line 2, column 'audio' cannot be used"):
            corpora.load("manifest", manifest)


def test_a_member_that_unpacks_to_too_much_is_refused_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MAX_MEMBER_BYTES", 1_000)
    path = zipped(tmp_path / "a.zip", bytes(1_001))
    with pytest.raises(DataError, match="1001 bytes, more than the 1000"):
        load_audio(Recording(path, "a.wav", 1.0, "", "s", "en"))
    manifest = tmp_path / "m.csv"
    manifest.write_text("sentence,language,audio,member\ns,en,a.zip,a.wav\n")
    with pytest.raises(DataError, match="1001 bytes, more than the 1000"):
        corpora.load("manifest", manifest)
