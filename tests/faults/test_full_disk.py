"""A disk that is full while results, a report or activations are written; files that changed since: one line each."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babelscope import compare
from babelscope.capture import Activations, encode
from babelscope.cli import main
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.gaps import Result
from babelscope.gaps.folder import save
from babelscope.models import Model
from babelscope.report import write_report
from babelscope.study import Study, run
from babelscope.testing.planted import Planted, planted_activations
from conftest import write_manifest


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    points = {name: Planted(meaning=share, language=0.2) for name, share in (("a", 0.2), ("b", 0.5))}
    held = planted_activations(tmp_path_factory.mktemp("planted") / "a.zarr", points, n=40, languages=("xa", "xb"))
    return compare(held, ["linear_cka"], permutations=19, interval=False, controls=["none"])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_wherever_saving_finds_the_disk_full_nothing_is_torn(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = contents(result.save(tmp_path / "whole"))
    real, writes = os.fsync, 0

    def full(at: int) -> Any:
        count = 0

        def fsync(descriptor: int) -> None:
            nonlocal count, writes
            count, writes = count + 1, writes + 1
            if count == at:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(descriptor)

        return fsync

    folder = tmp_path / "out"
    for at in range(1, 100):
        writes = 0
        shutil.rmtree(folder, ignore_errors=True)
        monkeypatch.setattr(os, "fsync", full(at))
        with contextlib.suppress(DataError):
            result.save(folder)
        if writes < at:
            break
        monkeypatch.setattr(os, "fsync", real)
        assert not [path for path in folder.rglob(".*") if path.is_file()]
        if (folder / "result.json").exists():
            Result.load(folder)
        else:
            with pytest.raises(DataError, match="holds no result"):
                Result.load(folder)
        assert contents(result.save(folder)) == expected
    assert len(expected) < at < 99


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes: a report has two, and the earlier stays until the new one is whole."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextlib.contextmanager
def leaving(disk: Path, room: int) -> Iterator[None]:
    """Fill a file system up to so many bytes."""
    filler = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler.write_bytes(bytes(max(free - room, 0)))
    try:
        yield
    finally:
        filler.unlink()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a file system")
def test_a_report_that_does_not_fit_leaves_the_earlier_one(
    result: Result, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = disk / "out"
    with leaving(disk, 8_192), pytest.raises(DataError, match=r"the disk is full: writing .*finished parts are kept"):
        result.save(folder)
    save(result, folder, disk / "a.zarr")
    write_report(result, folder, figures=False)
    before = contents(folder)
    with leaving(disk, 20_000):
        assert main(["report", str(folder)]) == 1
        told = capsys.readouterr().err
        assert told.startswith("babelscope: the disk is full: writing ") and len(told.splitlines()) == 1
        assert contents(folder).items() >= before.items()
    assert main(["report", str(folder)]) == 0
    assert contents(folder)["report.html"].rstrip().endswith(b"</html>")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a file system")
def test_encoding_goes_on_when_there_is_room_again(
    tiny_model: Model, tones: Corpus, disk: Path, tmp_path: Path
) -> None:
    whole = encode(tiny_model, tones, tmp_path / "whole.zarr", block=5)
    with leaving(disk, 400_000), pytest.raises(DataError, match="the disk is full"):
        encode(tiny_model, tones, disk / "a.zarr", block=5)
    begun = {path for path in (disk / "a.zarr" / "activation").rglob("*") if path.is_file()}
    done: list[int] = []
    stored = encode(
        tiny_model, tones, disk / "a.zarr", block=5, progress=lambda what, finished, total: done.append(finished)
    )
    assert begun and done[0] > 0, "what was written stays written"
    for modality in stored.modalities:
        for language in stored.languages:
            for point in stored.points(modality):
                np.testing.assert_array_equal(
                    stored.matrix(point, modality, language), whole.matrix(point, modality, language)
                )


def test_what_changed_since_is_made_again_or_told(
    tmp_path: Path, whisper_folder: Path, e5_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_manifest(tmp_path, sentences=8, languages=("xa", "xb"))
    shutil.copytree(e5_folder, tmp_path / "e5")
    said: dict[str, Any] = {
        "output": str(tmp_path / "out"),
        "permutations": 19,
        "intervals": False,
        "measures": ["linear_cka"],
        "controls": ["none"],
        "points": ["*.norm", "*.pooled"],
        "corpus": {"source": "manifest", "path": str(path)},
        "model": {
            "name": "whisper-base+e5-small",
            "window_seconds": 2,
            "weights": {"whisper-base": str(whisper_folder), "e5-small": str(tmp_path / "e5")},
        },
    }
    first = run(Study.parse(said))
    damaged = tmp_path / "out" / "scores.parquet"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    assert main(["report", str(tmp_path / "out")]) == 1
    assert "is damaged (scores.parquet is not as it was written)" in capsys.readouterr().err
    steps: list[str] = []
    again = run(Study.parse(said), progress=lambda what, done, total: steps.append(what.split()[0]))
    assert "comparing" in steps and "encoding" not in steps
    assert Result.load(tmp_path / "out").scores.equals(again.result.scores)
    assert again.result.scores.equals(first.result.scores)

    steps.clear()
    run(Study.parse(said | {"permutations": 29}), progress=lambda what, done, total: steps.append(what.split()[0]))
    assert "comparing" in steps and "encoding" not in steps, "another option of comparing keeps the activations"

    other = said | {"model": said["model"] | {"pooling": "max"}}
    with pytest.raises(
        UsageError, match=r"activations made with another pooling: choose another output, or .*--overwrite"
    ):
        run(Study.parse(other))
    from safetensors.torch import load_file, save_file

    weights = load_file(tmp_path / "e5" / "model.safetensors")
    name = next(name for name in weights if weights[name].is_floating_point())
    weights[name] = weights[name] + 1e-3
    save_file(weights, tmp_path / "e5" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"activations made with another weights: choose another output, or"):
        run(Study.parse(said))
    assert Activations(tmp_path / "out" / "activations.zarr").complete, "what was there is untouched"
