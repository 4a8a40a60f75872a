"""The store: what xarray alone sees, what a killed run leaves, and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import errno
import json
import shutil
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
import zarr

from babelscope import corpora, models
from babelscope.capture import Activations, Capture, encode, open_activations
from babelscope.capture import encoding as encoding_module
from babelscope.capture.store import Writer
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.models import Model
from babelscope.testing import tiny
from babelscope.testing.planted import Planted, planted_activations
from conftest import write_manifest


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_model: Model, tones: Corpus) -> Activations:
    return encode(tiny_model, tones, tmp_path_factory.mktemp("store") / "activations.zarr", block=5)


def test_xarray_alone_makes_sense_of_it(whole: Activations, tones: Corpus, tiny_model: Model) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = xr.open_zarr(whole.path)
    assert dataset["activation"].dims == ("modality", "point", "language", "sentence", "feature")
    assert [str(name) for name in dataset["sentence"].values] == list(tones.sentences)
    assert [str(name) for name in dataset["language"].values] == list(tones.languages)
    assert [str(name) for name in dataset["modality"].values] == ["text", "speech"]
    layer = dataset["activation"].sel(modality="speech", language="xb", sentence="s03")
    layer = layer.isel(point=int(np.flatnonzero(dataset["point"].values == "speech.layer.1")[0]))
    assert np.isfinite(layer.values).all()
    provenance = json.loads(dataset.attrs["provenance"])
    assert provenance["model"]["name"] == "whisper-base+e5-small"
    assert provenance["model"]["options"]["speech"]["window_seconds"] == 2
    assert provenance["corpus"]["fingerprint"] == tones.fingerprint()
    assert {"torch", "transformers", "babelscope"} <= provenance["versions"].keys()
    assert provenance["pooling"] == "mean"
    assert str(dataset["text"].sel(language="xa", sentence="s00").values) == tones.text("s00", "xa")
    assert zarr.open_group(whole.path, mode="r").metadata.zarr_format == 3


def test_a_matrix_holds_what_capture_gives(whole: Activations, tones: Corpus, tiny_model: Model) -> None:
    side = tiny_model.sides["text"]
    with Capture(side) as capture:
        for row, sentence in enumerate(whole.sentences):
            text = tones.text(sentence, "xc")
            assert text is not None
            caught = capture.run(side.collate([side.prepare(text, "xc")]))
            for point in side.points:
                stored = whole.matrix(point.name, "text", "xc")[row]
                np.testing.assert_allclose(stored, caught[point.name][0].numpy(), atol=1e-5)
    assert whole.matrix("speech.norm", "speech", "xa").shape == (12, 16)
    assert whole.matrix("text.pooled", "text", "xa").dtype == np.float32


def test_lengths_and_positions_are_told(whole: Activations, tones: Corpus) -> None:
    seconds = whole.lengths("speech", "xa")
    said = [tones.recordings(sentence, "xa")[0].seconds for sentence in whole.sentences]
    np.testing.assert_allclose(seconds, np.array(said, dtype=float), atol=1e-3)
    positions = whole.dataset["positions"].sel(modality="speech", language="xa")
    at = list(whole.dataset["point"].values).index("speech.norm")
    frames = -(-(seconds * 16_000).round().astype(int) // 160)
    np.testing.assert_array_equal(positions.isel(point=at).values, (frames - 1) // 2 + 1)
    assert (whole.lengths("text", "xa") > 3).all()


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (("speech.layr.1", "speech", "xa"), "did you mean 'speech.layer.1'"),
        (("speech.norm", "speach", "xa"), "did you mean 'speech'"),
        (("speech.norm", "speech", "xaa"), "did you mean 'xa'"),
        (("text.pooled", "speech", "xa"), "no speech point"),
    ],
)
def test_an_unknown_name_says_what_was_meant(whole: Activations, ask: tuple[str, str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        whole.matrix(*ask)


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1, 7, 13])
def test_a_run_that_is_stopped_goes_on_and_ends_with_the_same_bits(
    whole: Activations, tiny_model: Model, tones: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    path = tmp_path / "activations.zarr"
    original, written = Writer.write_block, 0

    def dying(self: Writer, *args: Any) -> None:
        nonlocal written
        if written == after:
            raise _KilledError
        written += 1
        original(self, *args)

    monkeypatch.setattr(Writer, "write_block", dying)
    with pytest.raises(_KilledError):
        encode(tiny_model, tones, path, block=5)
    monkeypatch.setattr(Writer, "write_block", original)
    half = Activations(path)
    assert not half.complete
    with pytest.raises(DataError, match="not wholly encoded"):
        half.matrix("speech.norm", "speech", "xc")

    blocks: list[str] = []
    real: Any = vars(encoding_module)["encode_job"]

    def counting(*args: Any, **more: Any) -> Any:
        blocks.append(str(args[2]))
        return real(*args, **more)

    monkeypatch.setattr(encoding_module, "encode_job", counting)
    again = encode(tiny_model, tones, path, block=5)
    assert len(blocks) == 3 * 2 * 3 - after  # three languages, two modalities, three blocks of at most five sentences
    for modality in ("text", "speech"):
        for point in whole.points(modality):
            for language in whole.languages:
                np.testing.assert_array_equal(
                    again.matrix(point, modality, language), whole.matrix(point, modality, language)
                )
    blocks.clear()
    encode(tiny_model, tones, path, block=5)
    assert blocks == []


def test_a_process_that_is_killed_leaves_a_store_that_goes_on(
    whole: Activations,
    whisper_folder: Path,
    e5_folder: Path,
    manifest: Path,
    tmp_path: Path,
    tiny_model: Model,
    tones: Corpus,
) -> None:
    """A real kill -9 when a block's activations are written but not yet in place."""
    path = tmp_path / "activations.zarr"
    program = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from babelscope import corpora, encode, models
        replace, count = Path.replace, 0
        def dying(self, target):
            global count
            count += target.name.startswith("c.") and target.parent.name == "activation"
            if count == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(self, target)
        Path.replace = dying
        weights = {{"whisper-base": {str(whisper_folder)!r}, "e5-small": {str(e5_folder)!r}}}
        model = models.load("whisper-base+e5-small", weights=weights, window_seconds=2)
        encode(model, corpora.load("manifest", path={str(manifest)!r}), {str(path)!r}, block=5)
    """)
    died = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert died.returncode == -9, died.stderr.decode()
    assert Activations(path).done.sum() == 4
    assert [file.suffix for file in path.rglob(".*")] == [".partial"]
    again = encode(tiny_model, tones, path, block=5)
    for language in whole.languages:
        np.testing.assert_array_equal(
            again.matrix("speech.norm", "speech", language), whole.matrix("speech.norm", "speech", language)
        )


def test_a_store_of_something_else_is_refused_by_what_differs(
    whole: Activations, tiny_model: Model, tones: Corpus, tmp_path: Path
) -> None:
    path = tmp_path / "activations.zarr"
    shutil.copytree(whole.path, path)
    with pytest.raises(UsageError, match=r"another pooling: .*--overwrite"):
        encode(tiny_model, tones, path, block=5, pooling="max")
    fewer = tones.select(languages=["xa", "xb"])
    with pytest.raises(UsageError, match="another corpus, languages"):
        encode(tiny_model, fewer, path, block=5)
    replaced = encode(tiny_model, fewer, path, block=5, overwrite=True)
    assert replaced.languages == ("xa", "xb")
    with pytest.raises(DataError, match="not a store"):
        encode(tiny_model, tones, _some_folder(tmp_path))
    assert (tmp_path / "mine" / "precious.txt").read_text() == "keep"


def _some_folder(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("keep")
    return tmp_path / "mine"


def _copy(whole: Activations, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole.path, tmp_path / "activations.zarr"))


SHARD = "activation/c.0.0.0.1.0"  # text in xa, s05 to s09


@pytest.mark.parametrize("how", ["cut", "flipped", "index"])
def test_a_damaged_shard_is_one_line_with_the_remedy(whole: Activations, tmp_path: Path, how: str) -> None:
    path = _copy(whole, tmp_path)
    content = bytearray((path / SHARD).read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    else:
        content[30 if how == "flipped" else -10] ^= 1
    (path / SHARD).write_bytes(content)
    held = open_activations(path)
    words = r"damaged at text.embeddings of text in 'xa' .*babelscope verify .*--repair.*only what was damaged"
    with pytest.raises(DataError, match=words):
        held.matrix("text.embeddings", "text", "xa")
    np.testing.assert_array_equal(
        held.matrix("speech.norm", "speech", "xa"), whole.matrix("speech.norm", "speech", "xa")
    )


def test_a_damaged_text_is_one_line(whole: Activations, tmp_path: Path) -> None:
    path = _copy(whole, tmp_path)
    content = bytearray((path / "text" / "c.1.0").read_bytes())
    content[-1] ^= 1
    (path / "text" / "c.1.0").write_bytes(content)
    with pytest.raises(DataError, match="damaged at text of 'xb'"):
        open_activations(path).texts("xb")


def test_what_is_no_store_is_said_to_be_none(whole: Activations, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a store of activations"):
        open_activations(tmp_path)
    (_copy(whole, tmp_path) / "zarr.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        open_activations(tmp_path / "activations.zarr")


def test_a_missing_shard_is_a_block_that_is_not_done(
    whole: Activations, tiny_model: Model, tones: Corpus, tmp_path: Path
) -> None:
    path = _copy(whole, tmp_path)
    (path / SHARD).unlink()
    with pytest.raises(DataError, match=r"text in 'xa' is not wholly encoded .*resumes from there"):
        open_activations(path).matrix("text.embeddings", "text", "xa")
    again = encode(tiny_model, tones, path, block=5)
    assert (path / SHARD).read_bytes() == (Path(whole.path) / SHARD).read_bytes() and again.complete


def test_a_store_is_a_few_files_a_block(whole: Activations) -> None:
    """One for all points of a block, one for positions, one for lengths, one for the tokens of texts."""
    blocks = 3 * 3
    files = [
        file.parent.name for file in Path(whole.path).glob("*/c.*") if file.parent.name in ("activation", "positions")
    ]
    assert files.count("activation") == files.count("positions") == 2 * blocks
    arrays = [json.loads(file.read_text()) for file in Path(whole.path).glob("*/zarr.json")]
    for array in arrays:
        codecs = array["codecs"]
        if codecs[0]["name"] == "sharding_indexed":
            assert codecs[0]["configuration"]["index_codecs"][-1]["name"] == "crc32c"
            codecs = codecs[0]["configuration"]["codecs"]
        assert codecs[-1]["name"] == "crc32c" or "c." not in array or array["dimension_names"][0] == "point", array


def test_a_full_disk_is_one_line_and_keeps_what_was_done(
    tiny_model: Model, tones: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "activations.zarr"
    original, written = Path.replace, 0

    def full(self: Path, target: Path) -> Path:
        nonlocal written
        written += target.parent.name == "activation" and target.name.startswith("c.")
        if written > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, target)

    with monkeypatch.context() as filling:
        filling.setattr(Path, "replace", full)
        with pytest.raises(DataError, match=r"the disk is full: .*free some space and run again"):
            encode(tiny_model, tones, path, block=5)
    assert Activations(path).done.sum() == 3 and not list(path.rglob(".*"))
    assert encode(tiny_model, tones, path, block=5).complete


def test_blocks_of_another_size_are_gone_on_with(
    tiny_model: Model, tones: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "activations.zarr"

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as earlier:
        earlier.setattr(Writer, "write_block", killed)
        with pytest.raises(KeyboardInterrupt):
            encode(tiny_model, tones, path, block=5)
    held = encode(tiny_model, tones, path, block=4)
    assert held.complete and held.block == 5 and held.done.shape == (2, 3, 3)


def _of_schema_1(whole: Activations, path: Path, *, done: bool) -> Path:
    """The store as earlier versions wrote it: a chunk a point, and marks of what is done."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = whole.dataset.load().drop_vars(["skipped"], errors="ignore")
        for name in dataset.variables:
            dataset[name].encoding.clear()
        dims = ("modality", "language", "sentence")
        marks = np.full([dataset.sizes[dim] for dim in dims], 1, dtype=np.int8)
        marks[0, 0, 5:10] = done
        dataset["done"] = (dims, marks)
        dataset.attrs = {**dataset.attrs, "schema": 1}
        width = dataset.sizes["feature"]
        encoding = {"activation": {"chunks": (1, 1, 1, 5, width)}, "done": {"chunks": (1, 1, 5)}}
        dataset.to_zarr(path, zarr_format=3, consolidated=True, encoding=encoding)
    return path


def test_a_store_of_an_earlier_version_is_read_if_it_is_whole(
    whole: Activations, tiny_model: Model, tones: Corpus, tmp_path: Path
) -> None:
    old = encode(tiny_model, tones, _of_schema_1(open_activations(whole.path), tmp_path / "old.zarr", done=True))
    assert old.schema == 1
    np.testing.assert_array_equal(old.matrix("text.pooled", "text", "xb"), whole.matrix("text.pooled", "text", "xb"))
    half = _of_schema_1(open_activations(whole.path), tmp_path / "half.zarr", done=False)
    with pytest.raises(DataError, match="'xa' is not wholly encoded"):
        Activations(half).matrix("text.pooled", "text", "xa")
    with pytest.raises(UsageError, match=r"begun by an earlier version .*--overwrite"):
        encode(tiny_model, tones, half)


@pytest.mark.parametrize(("dtype", "bound"), [("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_rounded_numbers_take_half_the_space_and_tell_their_error(
    whole: Activations, tiny_model: Model, tones: Corpus, tmp_path: Path, dtype: str, bound: float
) -> None:
    held = encode(tiny_model, tones, tmp_path / "a.zarr", block=5, store_dtype=dtype)
    exact, kept = (one.matrix("speech.norm", "speech", "xa").astype(np.float64) for one in (whole, held))
    told = held.rounding("speech", "xa")
    assert told is not None and whole.rounding("speech", "xa") is None
    row = list(held.dataset["point"].values).index("speech.norm")
    error = np.linalg.norm(exact - kept, axis=1) / np.linalg.norm(exact, axis=1)
    np.testing.assert_allclose(told[row], error, rtol=1e-5)
    assert 0 < error.max() < bound
    assert held.meta["store_dtype"] == held.store_dtype == dtype
    sizes = [sum(file.stat().st_size for file in Path(one.path).glob("activation/c.*")) for one in (whole, held)]
    assert sizes[1] < 0.7 * sizes[0]
    with pytest.raises(UsageError, match="another store dtype"):
        encode(tiny_model, tones, tmp_path / "a.zarr", block=5)
    with pytest.raises(UsageError, match="did you mean 'bfloat16'"):
        encode(tiny_model, tones, tmp_path / "b.zarr", store_dtype="bfloat61")


def test_what_float16_cannot_hold_is_refused(tiny_model: Model, tones: Corpus, tmp_path: Path) -> None:
    side = copy.copy(tiny_model.sides["text"])
    side.root = copy.deepcopy(side.root)
    torch.nn.init.constant_(side.root.get_parameter("encoder.layer.1.output.LayerNorm.bias"), 7e4)
    loud = dataclasses.replace(tiny_model, sides={"text": side})
    words = r"sentence 's\d\d', text.*: the activation at text.layer.\d reaches .*beyond float16 .*'float32'"
    with pytest.raises(DataError, match=words):
        encode(loud, tones, tmp_path / "a.zarr", store_dtype="float16")
    assert encode(loud, tones, tmp_path / "b.zarr", store_dtype="bfloat16").complete


def test_bad_cells_are_named(whisper_folder: Path, tiny_model: Model, tones: Corpus, tmp_path: Path) -> None:
    short = models.load("whisper-base", weights=str(whisper_folder), window_seconds=1)
    with pytest.raises(
        DataError, match=r"sentence 's\d\d', recording in 'x[abc]': .* do not fit the model's window of 1 s"
    ):
        encode(short, tones, tmp_path / "a.zarr")
    side = tiny_model.sides["text"]
    broken = copy.deepcopy(side.root)
    torch.nn.init.constant_(broken.get_parameter("encoder.layer.1.output.dense.weight"), float("nan"))
    narrowed = copy.copy(side)
    narrowed.root = broken
    bad = dataclasses.replace(tiny_model, sides={"text": narrowed})
    with pytest.raises(DataError, match=r"sentence 's00', text in 'xa': the activation at text.layer.1 is not finite"):
        encode(bad, tones, tmp_path / "b.zarr")


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model whose sides share their last points."""
    folder = tiny("seamless-m4t-v2", tmp_path_factory.mktemp("seamless"))
    return models.load("seamless-m4t-v2-large", weights=str(folder)).select_points(["*.layer.*", "*norm"])


def _in_their_languages(path: Path) -> Corpus:
    return corpora.load("manifest", path=write_manifest(path, sentences=4, languages=("en", "fr")))


def test_points_stand_by_depth_and_each_side_in_its_own_order(sharing: Model, tmp_path: Path) -> None:
    stored = encode(sharing, _in_their_languages(tmp_path), tmp_path / "activations.zarr")
    assert list(stored.dataset["depth"].values) == sorted(stored.dataset["depth"].values)
    kinds = [str(kind) for kind in stored.dataset["point_modality"].values]
    assert kinds.index("both") > max(place for place, kind in enumerate(kinds) if kind != "both")
    for modality, side in sharing.sides.items():
        assert stored.points(modality) == tuple(point.name for point in side.points)


def test_a_store_that_was_begun_in_another_order_is_gone_on_with(
    sharing: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = _in_their_languages(tmp_path)
    new = encode(sharing, corpus, tmp_path / "new.zarr")

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    in_order = encoding_module._in_order
    with monkeypatch.context() as earlier:
        earlier.setattr(encoding_module, "_in_order", lambda model: tuple(reversed(in_order(model))))
        earlier.setattr(Writer, "write_block", killed)
        with pytest.raises(KeyboardInterrupt):
            encode(sharing, corpus, tmp_path / "old.zarr")
    old = encode(sharing, corpus, tmp_path / "old.zarr")
    assert list(old.dataset["point"].values) != list(new.dataset["point"].values)
    for modality in new.modalities:
        assert old.points(modality) == new.points(modality)
        for point in new.points(modality):
            np.testing.assert_array_equal(old.matrix(point, modality, "fr"), new.matrix(point, modality, "fr"))


def test_xarray_opens_a_store_without_a_warning_and_every_variable_says_what_it_is(tmp_path: Path) -> None:
    planted_activations(tmp_path / "a.zarr", {"a": Planted(meaning=0.5)}, n=8, languages=("xa", "xb"), width=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = xr.open_zarr(tmp_path / "a.zarr", chunks=None)
        copied = opened.load().copy()
    assert opened.attrs["Conventions"].startswith("CF-")
    for name, variable in copied.variables.items():
        assert variable.attrs["long_name"], name
        if variable.dtype.kind in "if":
            assert variable.attrs["units"], name
