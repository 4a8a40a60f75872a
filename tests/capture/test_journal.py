"""What a run leaves that was stopped within a block: its batches are taken, not run again, to the same bits."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babelscope.capture import Activations, encode, running
from babelscope.capture.encoding import _layout
from babelscope.capture.jobs import EncodeConfig
from babelscope.capture.journal import Journal, KeptBatches
from babelscope.capture.verify import verify
from babelscope.corpora import Corpus
from babelscope.errors import DataError
from babelscope.models import Model

#: Of twelve sentences in three languages and two modalities, two utterances a batch, one block a language.
BATCHES = 36


class Counted:
    """Counts batches as they run, and stops the run at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran, self.stop_at = 0, -1
        real: Callable[..., Any] = vars(running)["_run"]

        def run(*given: Any) -> Any:
            if self.ran == self.stop_at:
                raise KeyboardInterrupt
            self.ran += 1
            return real(*given)

        monkeypatch.setattr(running, "_run", run)
        monkeypatch.setattr("torch.get_num_threads", lambda: 1)  # one batch at a time

    def encoded(self, model: Model, corpus: Corpus, path: Path, stop_at: int = -1, **more: Any) -> int:
        """Encode, and return how many batches ran."""
        self.ran, self.stop_at = 0, stop_at
        if stop_at < 0:
            encode(model, corpus, path, batch_size=2, **more)
        else:
            with pytest.raises(KeyboardInterrupt):
                encode(model, corpus, path, batch_size=2, **more)
        return self.ran


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def kept(path: Path) -> list[Path]:
    return sorted(path.with_name(f".{path.name}.batches").glob("*"))


def files(path: Path) -> dict[str, bytes]:
    found = {each.relative_to(path).as_posix(): each for each in path.rglob("*") if each.is_file()}
    return {name: each.read_bytes() for name, each in found.items() if not name.endswith("zarr.json")}


@pytest.mark.parametrize("stop_at", [0, 1, 5, 6, 20, BATCHES - 1])
def test_a_run_goes_on_within_a_block(
    tiny_model: Model, tones: Corpus, tmp_path: Path, counted: Counted, stop_at: int
) -> None:
    whole, path = tmp_path / "whole.zarr", tmp_path / "stopped.zarr"
    assert counted.encoded(tiny_model, tones, whole) == BATCHES
    counted.encoded(tiny_model, tones, path, stop_at)
    assert counted.encoded(tiny_model, tones, path) == BATCHES - stop_at
    assert files(path) == files(whole)
    assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".batches")] == []


@pytest.mark.parametrize("harm", ["a byte of the last record", "its end", "a byte of the first record", "no record"])
def test_a_record_that_is_not_whole_is_not_taken(
    tiny_model: Model, tones: Corpus, tmp_path: Path, counted: Counted, harm: str
) -> None:
    whole, path = tmp_path / "whole.zarr", tmp_path / "stopped.zarr"
    counted.encoded(tiny_model, tones, whole)
    counted.encoded(tiny_model, tones, path, stop_at=4)
    (left,) = kept(path)
    content = bytearray(left.read_bytes())
    if harm == "its end":
        del content[-3:]
    elif harm == "no record":
        content[:] = b"\xff" * 40
    else:
        content[-10 if "last" in harm else 30] ^= 1
    left.write_bytes(content)
    lost = {"a byte of the last record": 1, "its end": 1}.get(harm, 4)
    assert counted.encoded(tiny_model, tones, path) == BATCHES - 4 + lost
    assert files(path) == files(whole)


def test_batches_of_another_store_are_not_taken(
    tiny_model: Model, tones: Corpus, tmp_path: Path, counted: Counted
) -> None:
    path, expected = tmp_path / "a.zarr", tmp_path / "expected.zarr"
    counted.encoded(tiny_model, tones, expected, pooling="max")
    counted.encoded(tiny_model, tones, path, stop_at=4)
    assert len(kept(path)) == 1
    assert counted.encoded(tiny_model, tones, path, pooling="max", overwrite=True) == BATCHES
    assert files(path) == files(expected) and kept(path) == []


def test_what_an_error_stopped_is_kept_too(
    tiny_model: Model, tones: Corpus, tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"

    def full(*given: Any) -> None:
        raise DataError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(DataError, match="full"):
        patch.setattr("babelscope.capture.store.Writer.write_block", full)
        encode(tiny_model, tones, path, batch_size=2)
    ran = counted.ran
    assert counted.encoded(tiny_model, tones, path) == BATCHES - ran
    assert Activations(path).complete


@given(
    records=st.lists(st.tuples(st.lists(st.integers(0, 500), min_size=1, max_size=4, unique=True), st.integers(1, 5))),
    cut=st.floats(0, 1),
)
def test_what_is_taken_is_what_was_put_or_nothing(
    records: list[tuple[list[int], int]], cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    batches = KeptBatches(folder, "job")
    records = list({tuple(rows): (rows, width) for rows, width in records}.values())
    put: dict[tuple[int, ...], np.ndarray] = {}
    for number, (rows, width) in enumerate(records):
        put[tuple(rows)] = np.random.default_rng(number).standard_normal((len(rows), width)).astype(np.float32)
        batches.put(rows, put[tuple(rows)])
    for path in folder.glob("job.*"):
        content = path.read_bytes()
        path.write_bytes(content[: round(cut * len(content))])
    again = KeptBatches(folder, "job")
    for known, values in put.items():
        taken = again.take(known, values.shape[1])
        assert taken is not None or cut < 1
        assert taken is None or np.array_equal(taken, values)
    again.discard()
    assert list(folder.glob("job.*")) == []


def test_where_nothing_can_be_kept_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    batches = KeptBatches(tmp_path / "file", "job")
    batches.put([0], np.zeros((1, 3), dtype=np.float32))
    batches.put([1], np.zeros((1, 3), dtype=np.float32))
    assert not batches.keeps and KeptBatches(tmp_path / "file", "job").take([0], 3) is None
    batches.discard()


def test_a_store_on_a_url_has_no_journal(tiny_model: Model, tones: Corpus, tmp_path: Path) -> None:
    layout = _layout(tiny_model, tones, EncodeConfig(), 5, "float32")
    journal = Journal("s3://bucket/a.zarr", layout)
    assert not journal.of("text", 0, 0, 5).keeps
    journal.open(clear_all=False)
    Journal.clear("s3://bucket/a.zarr")


def test_what_decides_the_numbers_decides_which_batches_are_taken(
    tiny_model: Model, tones: Corpus, tmp_path: Path
) -> None:
    """Each of these changes makes it another store, of which no batch is taken; the size of blocks does not."""

    def named(model: Model = tiny_model, corpus: Corpus = tones, *, block: int = 5, dtype: str = "float32",
              versions: dict[str, str] | None = None, pooling: str = "mean") -> str:  # fmt: skip
        layout = _layout(model, corpus, EncodeConfig(pooling), block, dtype)
        told = {**layout.provenance, "versions": versions or layout.provenance["versions"]}
        journal = Journal(tmp_path / "a.zarr", dataclasses.replace(layout, provenance=told))
        journal.open(clear_all=True)
        kept = journal.of("text", 0, 0, 5)
        kept.put([0], np.zeros((1, 3), dtype=np.float32))
        (file,) = tmp_path.glob(".a.zarr.batches/*")
        return file.name.partition("-")[0]

    weights = tuple(dataclasses.replace(file, sha256="0" * 64) for file in tiny_model.weights)
    others = [
        named(dataclasses.replace(tiny_model, name="another")),
        named(dataclasses.replace(tiny_model, weights=weights)),
        named(dataclasses.replace(tiny_model, options={**tiny_model.options, "dtype": "bfloat16"})),
        named(tiny_model.select_points(["*.pooled"])),
        named(corpus=tones.select(languages=["xb", "xa", "xc"][:2])),
        named(corpus=tones.select(n=11)),
        named(dtype="float16"),
        named(versions={"torch": "0"}),
        named(pooling="max"),
    ]
    assert len({named(), *others}) == 1 + len(others)
    assert named(block=7) == named()


def test_a_store_that_was_deleted_has_no_batches_left(
    tiny_model: Model, tones: Corpus, tmp_path: Path, counted: Counted
) -> None:
    path = tmp_path / "a.zarr"
    counted.encoded(tiny_model, tones, path, stop_at=4)
    shutil.rmtree(path)
    assert counted.encoded(tiny_model, tones, path) == BATCHES


def test_a_number_that_is_not_finite_is_computed_again(
    tiny_model: Model, tones: Corpus, tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"
    real: Callable[..., Any] = vars(running)["_run"]

    def spoilt(*given: Any) -> Any:
        found = real(*given)
        if counted.ran == 3:
            found[0, 0] = float("nan")
        return found

    with monkeypatch.context() as patch, pytest.raises(DataError, match="not finite"):
        patch.setattr(running, "_run", spoilt)
        counted.encoded(tiny_model, tones, path)
    ran = counted.ran
    assert counted.encoded(tiny_model, tones, path) == BATCHES - ran + 1


def test_all_paths_to_a_store_have_its_batches(
    tiny_model: Model, tones: Corpus, tmp_path: Path, counted: Counted
) -> None:
    (tmp_path / "disk").mkdir()
    counted.encoded(tiny_model, tones, tmp_path / "disk" / "a.zarr", stop_at=4)
    (tmp_path / "link.zarr").symlink_to(tmp_path / "disk" / "a.zarr")
    assert counted.encoded(tiny_model, tones, tmp_path / "link.zarr") == BATCHES - 4
    assert [each.name for each in tmp_path.rglob("*.batches")] == []


def test_beside_a_gpu_batches_are_kept_from_time_to_time(
    tiny_model: Model, tones: Corpus, tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a GPU, run on the processor."""
    monkeypatch.setattr(running, "on_the_processor", lambda side: False)
    path = tmp_path / "a.zarr"
    counted.encoded(tiny_model, tones, path, stop_at=4)
    assert counted.encoded(tiny_model, tones, path) == BATCHES, "a quick block has none kept"
    monkeypatch.setattr(running, "KEEP_SECONDS", 0.0)
    whole, path = path, tmp_path / "b.zarr"
    counted.encoded(tiny_model, tones, path, stop_at=4)
    assert counted.encoded(tiny_model, tones, path) == BATCHES - 4
    assert files(path) == files(whole)


def test_several_streams_keep_what_they_gave(
    tiny_model: Model, tones: Corpus, tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    whole, path = tmp_path / "whole.zarr", tmp_path / "a.zarr"
    counted.encoded(tiny_model, tones, whole)
    stopped = counted.encoded(tiny_model, tones, path, stop_at=20)
    again = counted.encoded(tiny_model, tones, path)
    assert BATCHES - stopped <= again <= BATCHES - 20 + 3
    assert files(path) == files(whole)


def test_verify_names_what_was_left_and_removes_it(
    tiny_model: Model, tones: Corpus, tmp_path: Path, counted: Counted
) -> None:
    path = tmp_path / "a.zarr"
    counted.encoded(tiny_model, tones, path, stop_at=10)
    assert [Path(one).name for one in verify(path).leftovers] == [".a.zarr.batches"]
    assert verify(path, repair=True).sound and not path.with_name(".a.zarr.batches").exists()
    assert counted.encoded(tiny_model, tones, path) == BATCHES - 6, "the block that was written"
