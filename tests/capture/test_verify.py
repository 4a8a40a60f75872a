"""``babelscope verify``: what is damaged is named, and only that is made anew."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babelscope import cli
from babelscope.capture import Activations, encode
from babelscope.capture import encoding as encoding_module
from babelscope.capture.layout import shard_key
from babelscope.capture.locking import lock
from babelscope.capture.store import Layout, Writer
from babelscope.capture.verify import verify
from babelscope.corpora import Corpus
from babelscope.errors import DataError
from babelscope.models import Model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_model: Model, tones: Corpus) -> Activations:
    return encode(tiny_model, tones, tmp_path_factory.mktemp("store") / "activations.zarr", block=5)


@pytest.fixture
def path(whole: Activations, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole.path, tmp_path / "activations.zarr"))


def _flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 0x10
    file.write_bytes(content)


def _bytes(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_sound_store_is_said_to_be_sound(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _bytes(path)
    assert cli.main(["verify", str(path)]) == 0
    assert "18 of 18 blocks are there" in capsys.readouterr().out
    assert verify(path, repair=True).sound and _bytes(path) == before


def test_the_inventory_holds_no_time_of_day(
    whole: Activations, tmp_path: Path, tiny_model: Model, tones: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding_module, "now", lambda: "2001-02-03T04:05:06+00:00")
    later = encode(tiny_model, tones, tmp_path / "later.zarr", block=5)
    assert later.meta["created"] != whole.meta["created"]
    one, other = _bytes(Path(whole.path)), _bytes(Path(later.path))
    assert {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)} == {"zarr.json"}


def test_an_inventory_of_an_earlier_version_with_the_time_in_its_checksum_is_read(path: Path) -> None:
    listed = json.loads((path / "inventory.json").read_bytes())
    del listed["crc32"]
    root = (path / "zarr.json").read_bytes()
    listed["files"]["zarr.json"] = f"{len(root)} {zlib.crc32(root)}"
    listed["crc32"] = zlib.crc32(json.dumps(listed, sort_keys=True).encode())
    (path / "inventory.json").write_text(json.dumps(listed), encoding="utf-8")
    assert verify(path).sound
    _flip(path / "zarr.json", root.index(b'attributes"') + 20)
    assert not verify(path).sound


@pytest.mark.parametrize("place", [40, 400, -20])
def test_a_flipped_bit_is_named_repaired_and_made_anew_alone(
    path: Path,
    place: int,
    tiny_model: Model,
    tones: Corpus,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = _bytes(path)
    _flip(path / shard_key(1, 2, 1), place)
    assert cli.main(["verify", str(path)]) == 1
    told = capsys.readouterr().out
    assert told.count("damaged: ") == 1 and "damaged: speech xc, sentences 's05' to 's09': " in told
    assert "--repair" in told and (path / shard_key(1, 2, 1)).exists()
    assert cli.main(["verify", str(path), "--repair"]) == 0
    assert not (path / shard_key(1, 2, 1)).exists()
    assert verify(path).sound and not Activations(path).complete

    jobs: list[str] = []
    real: Any = vars(encoding_module)["encode_job"]

    def counting(*args: object, **more: object) -> object:
        jobs.append(str(args[2]))
        return real(*args, **more)

    monkeypatch.setattr(encoding_module, "encode_job", counting)
    encode(tiny_model, tones, path, block=5)
    assert jobs == ["speech xc"]
    after = _bytes(path)
    assert after == before


@pytest.mark.parametrize("name", ["positions/c.0.0.1.0", "tokens/c.1.0", "token_ids/c.1.0", "seconds/c.1.0"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_small_files_of_a_block_count_too(path: Path, name: str, how: str, tiny_model: Model, tones: Corpus) -> None:
    before = _bytes(path)
    if how == "cut":
        (path / name).write_bytes(before[name][:-3])
    else:
        (path / name).unlink()
    found = verify(path, repair=True)
    assert [damage.where.split(",")[0] for damage in found.damages] == ["speech xb" if "seco" in name else "text xb"]
    assert encode(tiny_model, tones, path, block=5).complete
    assert _bytes(path) == before


def test_texts_are_described_anew(path: Path, tiny_model: Model, tones: Corpus) -> None:
    before = _bytes(path)
    _flip(path / "reader/c.2.0", -2)
    (path / "text/c.0.0").unlink()
    found = verify(path, repair=True)
    assert sorted(damage.where for damage in found.damages) == ["reader of xc", "text of xa"]
    encode(tiny_model, tones, path, block=5)
    assert _bytes(path) == before and verify(path).sound


def test_numbers_that_are_not_finite_are_damage(path: Path, whole: Activations) -> None:
    writer = Writer(path, _layout_of(whole))
    writer._array("activation")[0, 0, 0, 0:5] = np.full((5, 16), np.inf, dtype=np.float32)
    assert "not finite" in str(verify(path).damages[0])


def _layout_of(whole: Activations) -> Layout:
    points = tuple({"name": "", "modality": "both", "width": 16} for _ in range(1))
    return Layout(whole.sentences, whole.languages, whole.modalities, points, 5, whole.identity, {})


def test_unfinished_files_of_killed_runs_are_told_and_removed(path: Path) -> None:
    (path / "activation" / ".c.0.0.0.0.0.0123456789ab.partial").write_bytes(b"half")
    making = path.with_name(f".{path.name}.0123456789ab.making")
    making.mkdir()
    mine = path.with_name(f".{path.name}.notes")
    mine.write_text("not of a run")
    found = verify(path)
    assert found.sound and len(found.leftovers) == 2 and making.exists()
    verify(path, repair=True)
    assert verify(path).leftovers == () and not making.exists() and mine.exists()


def test_nothing_is_repaired_while_a_run_writes(path: Path) -> None:
    with lock(path), pytest.raises(DataError, match="another run"):
        verify(path, repair=True)
    assert cli.main(["verify", str(path / "nowhere")]) == 1
