"""Headers that say little, too much or something else: lengths from pipes, other formats' names, tags, reasons."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from babelscope.audio import SAMPLE_RATE, Recording, decode, inspect, seconds_of
from babelscope.errors import DataError
from sound_files import FORMATS, by_soundfile, sweep

_SOUND = sweep(SAMPLE_RATE, 2.0)
_WAV = by_soundfile("WAV", "PCM_16")(_SOUND, SAMPLE_RATE)


def _wav(length: int, whole: int | None = None, body: bytes = _WAV[44:]) -> bytes:
    """Return a WAV that states this length of its sound, and of the file."""
    whole = min(length + 36, 2**32 - 1) if whole is None else whole
    return b"RIFF" + struct.pack("<I", whole) + _WAV[8:40] + struct.pack("<I", length) + body


@pytest.mark.parametrize(
    "length",
    [
        0,
        0x7FFFF000,
        0x7FFFFFFF,
        0x7FFFFFFF - 36,
        0x80000000,
        0xFFFFFF9B,
        0xFFFFFFD3,
        0xFFFFFFDB,
        0xFFFFF000,
        0xFFFFFFFF,
    ],
    ids=hex,
)
def test_a_wav_from_a_pipe_goes_on_until_its_end(length: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(_wav(length))
    np.testing.assert_array_equal(decode(path), decode(_WAV, ".wav"))
    assert seconds_of(path) == 2
    assert not inspect(Recording(path, None, 2.0, "", "s", "en")).truncated
    np.testing.assert_array_equal(decode(path, start=0.5, seconds=1), decode(_WAV, ".wav")[8_000:24_000])


@pytest.mark.parametrize("length", [0, 0x7F000008, 0x7FFFFFFF, 0xFFFFFFFF], ids=hex)
def test_an_aiff_from_a_pipe_goes_on_until_its_end(length: int) -> None:
    data = bytearray(by_soundfile("AIFF", "PCM_16")(_SOUND, SAMPLE_RATE))
    at = data.index(b"SSND") + 4
    data[at : at + 4] = struct.pack(">I", length)
    np.testing.assert_array_equal(decode(bytes(data), ".aiff"), decode(_WAV, ".wav"))
    assert seconds_of(bytes(data), ".aiff") == 2


def test_an_au_from_a_pipe_goes_on_until_its_end() -> None:
    data = bytearray(by_soundfile("AU", "PCM_16")(_SOUND, SAMPLE_RATE))
    data[8:12] = b"\xff" * 4
    np.testing.assert_array_equal(decode(bytes(data), ".au"), decode(_WAV, ".wav"))


def test_a_wav_from_a_pipe_may_hold_other_chunks_before_its_sound() -> None:
    data = _wav(0xFFFFFFFF - 44)
    data = data[:36] + b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + bytes(18) + data[36:]
    np.testing.assert_array_equal(decode(data, ".wav"), decode(_WAV, ".wav"))


@pytest.mark.parametrize("length", [len(_WAV) - 44 + 2, 10**6, 10**9, 2**30, 3 * 2**30])
def test_a_wav_with_less_than_it_states_is_cut_short(length: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(_wav(length))
    with pytest.raises(DataError, match="cut short"):
        decode(path)
    facts = inspect(Recording(path, None, 2.0, "", "s", "en"))
    assert facts.truncated and facts.seconds == 2 and facts.stated == pytest.approx(length / 32_000)


def test_a_wav_without_sound_is_not_read_into_what_follows() -> None:
    tags = b"LIST" + struct.pack("<I", 20_000) + b"INFO" + bytes(range(1, 255)) * 80
    with pytest.raises(DataError, match=r"no sound|less than"):
        decode(_wav(0, 36 + len(tags), tags), ".wav")


def test_rf64_states_its_length_elsewhere() -> None:
    data = by_soundfile("RF64", "PCM_16")(_SOUND, SAMPLE_RATE)
    assert len(decode(data, ".wav")) == 32_000
    with pytest.raises(DataError, match="cut short"):
        decode(data[:-1000], ".wav")


@pytest.mark.parametrize(
    "name", ["M4A, AAC", "WebM, Opus", "MP3 without a header, VBR", "FLAC in Ogg", "FLAC", "AMR-NB"]
)
@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".ogg", ".flac", ".m4a", ".dat", ""])
def test_content_counts_not_the_name(name: str, suffix: str) -> None:
    entry = FORMATS[name]
    encoded = entry.encode(sweep(entry.rates[0], 1.0), entry.rates[0])
    np.testing.assert_array_equal(decode(encoded, suffix), decode(encoded, entry.suffix))
    assert seconds_of(encoded, suffix) == seconds_of(encoded, entry.suffix)


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".m4a", ""])
def test_what_neither_decoder_reads_is_refused_with_the_reasons_of_both(suffix: str) -> None:
    for use in (decode, seconds_of):
        with pytest.raises(DataError, match=r"libsndfile: .+FFmpeg: |FFmpeg: .+libsndfile: "):
            use(b"This is a letter, not a sound. " * 100, suffix, name="clip")


def test_tags_that_are_not_utf8_do_no_harm() -> None:
    out = io.BytesIO()
    entry = FORMATS["M4A, AAC"]
    with av.open(io.BytesIO(entry.encode(_SOUND, 16_000)), "r") as source, av.open(out, "w", format="ipod") as target:
        target.metadata["title"] = "title!"
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    clean = out.getvalue()
    assert b"title!" in clean
    np.testing.assert_array_equal(decode(clean.replace(b"title!", b"t\xed\xe8\xf2e!"), ".m4a"), decode(clean, ".m4a"))


def test_an_mp3_header_that_counts_too_few_frames_does_not_cut_the_rest() -> None:
    """As of two files that were joined."""
    data = FORMATS["MP3 with a Xing header, CBR"].encode(_SOUND, 16_000)
    whole = len(decode(data, ".mp3"))
    joined = decode(data + data, ".mp3")
    assert len(joined) > 1.9 * whole
    assert seconds_of(data + data, ".mp3") == len(joined) / SAMPLE_RATE


def test_an_mp3_may_begin_and_end_with_tags() -> None:
    data = FORMATS["MP3 without a header, VBR"].encode(_SOUND, 16_000)
    first = b"ID3\x04\0\0" + bytes([0, 0, 16, 0]) + bytes(2048)
    last = b"TAG" + b"a title".ljust(125)
    np.testing.assert_array_equal(decode(first + data + last, ".mp3"), decode(data, ".mp3"))


def test_half_a_frame_at_the_end_of_a_stream_is_no_damage_but_a_hole_in_it_is() -> None:
    data = FORMATS["AAC (ADTS)"].encode(_SOUND, 16_000)
    assert len(decode(data[:-10], ".aac")) in (len(decode(data, ".aac")), len(decode(data, ".aac")) - 1024)
    broken = bytearray(data)
    at = data.index(data[:2], len(data) // 2) + 7
    broken[at : at + 300] = bytes(255 - byte for byte in broken[at : at + 300])
    try:
        samples = decode(bytes(broken), ".aac")
    except DataError as error:
        assert "damaged" in str(error)
    else:  # a frame of noise is not seen
        assert len(samples) >= len(decode(data, ".aac")) - 2 * 1024


def test_gsm_in_wav_has_no_block_that_its_filling_byte_would_make() -> None:
    """Of one block (65 bytes), the chunk is filled to 66: libsndfile counts two blocks, 40 ms too many."""
    data = by_soundfile("WAV", "GSM610")(sweep(8_000, 0.2), 8_000)
    count = 3
    sound = data[data.index(b"data") + 8 :][: 65 * count]
    header = data[: data.index(b"data")]
    odd = header + b"data" + struct.pack("<I", 65 * count) + sound + b"\0"
    odd = odd[:4] + struct.pack("<I", len(odd) - 8) + odd[8:]
    with soundfile.SoundFile(io.BytesIO(odd)) as opened:
        assert opened.frames == 320 * (count + 1)
    assert len(decode(odd, ".wav")) == 2 * 320 * count
    assert seconds_of(odd, ".wav") == pytest.approx(0.04 * count)


def test_the_last_block_of_ms_adpcm_counts_though_it_is_not_full() -> None:
    data = by_soundfile("WAV", "MS_ADPCM")(sweep(16_000, 1.0), 16_000)
    at = data.index(b"data")
    (block,) = struct.unpack("<H", data[32:34])
    sound = data[at + 8 :][: 10 * block - block // 2]
    short = data[:at] + b"data" + struct.pack("<I", len(sound)) + sound
    short = short[:4] + struct.pack("<I", len(short) - 8) + short[8:]
    with soundfile.SoundFile(io.BytesIO(short)) as opened:
        whole = opened.frames
    samples = decode(short, ".wav")
    assert whole < len(samples) < whole / 9 * 10
    (stated,) = struct.unpack("<H", data[38:40])  # samples in a full block
    assert len(samples) == 9 * stated + (block // 2 - 7) * 2 + 2


def test_vorbis_keeps_its_last_block() -> None:
    """FFmpeg, here as elsewhere, ends some files up to a block early; up to there both give the same."""
    data = by_soundfile("OGG", "VORBIS")(sweep(16_000, 1.0), 16_000)
    with av.open(io.BytesIO(data), "r") as opened:
        other = np.concatenate([frame.to_ndarray()[0] for frame in opened.decode(audio=0)])
    samples = decode(data, ".ogg")
    assert len(samples) == 16_000 and 16_000 - 2048 <= len(other) <= 16_000
    np.testing.assert_allclose(samples[: len(other)], other, atol=1e-5)


@pytest.mark.parametrize("layout", ["5.1", "7.1", "hexadecagonal"])
def test_many_channels_are_averaged_by_ffmpeg_as_by_libsndfile(layout: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    values = np.round(_SOUND * np.linspace(0.1, 1, channels)[:, None] * 32767).astype(np.int16)
    out = io.BytesIO()
    with av.open(out, "w", format="wv") as target:
        stream = target.add_stream("wavpack", rate=SAMPLE_RATE)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        stream.codec_context.format = "s16p"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.T.reshape(1, -1)), format="s16", layout=layout)
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        size = 4096
        for piece in av.AudioResampler(format="s16p", layout=layout, rate=SAMPLE_RATE, frame_size=size).resample(frame):
            target.mux(stream.encode(piece))
        target.mux(stream.encode(None))
    samples = decode(out.getvalue(), ".wv")
    np.testing.assert_allclose(samples, values.mean(axis=0)[: len(samples)] / 32768, atol=1e-6)
    assert len(samples) > 28_000


def test_a_chunk_of_any_length_is_one_line() -> None:
    data = bytearray(by_soundfile("W64", "PCM_16")(_SOUND, SAMPLE_RATE))
    at = data.index(b"fmt ") + 16
    data[at : at + 8] = b"\xff" * 7 + b"\x7f"
    with pytest.raises(DataError):
        decode(bytes(data), ".w64")
