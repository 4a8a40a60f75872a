"""Weights that are made to run code, to take memory, or to give numbers that are none: one line that names what."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from babelscope import models
from babelscope.errors import BabelscopeError, DataError
from babelscope.models.weights.accounting import (
    arrays_in,
    fill,
    pickled_arrays,
    weights_files,
)
from babelscope.models.weights.folder import read_tokenizer
from babelscope.models.weights.settings import read_settings


class Payload:
    """What pickle would run on loading: it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def refusal(read: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(DataError) as caught:
        found = read(*arguments)
        list(found or ())
    message = str(caught.value)
    assert message.isprintable() and "weights_only" not in message and len(message) < 2_500
    return message


@pytest.mark.parametrize("zipped", [True, False, None], ids=["zip", "legacy", "bare"])
def test_a_pickle_with_code_is_refused_and_never_run(tmp_path: Path, zipped: bool | None) -> None:
    mark, path = tmp_path / "ran", tmp_path / "model.pt"
    held = {"model": {"weight": torch.zeros(2), "more": Payload(mark)}}
    if zipped is None:
        path.write_bytes(pickle.dumps(held["model"]["more"], protocol=2))
    else:
        torch.save(held, path, _use_new_zipfile_serialization=zipped)
    message = refusal(pickled_arrays, path)
    assert "more than tensors" in message and str(path) in message
    assert not mark.exists()
    with pytest.raises(FileNotFoundError):  # the payload is one: what it names can be made
        Payload(mark / "a").__reduce__()[0](*Payload(mark / "a").__reduce__()[1])


def test_a_torchscript_program_and_an_old_tar_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/constants.pkl", b"\x80\x02).")
        archive.writestr("a/data.pkl", b"\x80\x02).")
    assert "TorchScript" in refusal(pickled_arrays, tmp_path / "a.pt")
    with tarfile.open(tmp_path / "b.pt", "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors", "../../outside"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"\x80\x02}."))
    refusal(pickled_arrays, tmp_path / "b.pt")
    assert not (tmp_path.parent.parent / "outside").exists()


@pytest.mark.parametrize("what", ["data.pkl", "data/0"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, what: str) -> None:
    """Mapped from the disk, compressed numbers would be taken as they are: wrong weights without a word."""
    torch.save({"model": {"weight": torch.zeros(4)}}, tmp_path / "fine.pt")
    assert pickled_arrays(tmp_path / "fine.pt")["weight"].shape == (4,)
    with zipfile.ZipFile(tmp_path / "fine.pt") as fine, zipfile.ZipFile(tmp_path / "bomb.pt", "w") as bomb:
        for info in fine.infolist():
            if info.filename.endswith(what):
                bomb.writestr(info.filename, bytes(2**24), zipfile.ZIP_DEFLATED)
            else:
                bomb.writestr(info.filename, fine.read(info))
    assert (tmp_path / "bomb.pt").stat().st_size < 2**16
    assert "is compressed" in refusal(pickled_arrays, tmp_path / "bomb.pt")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (torch.zeros(1).expand(2**40), "does not hold every number"),
        (torch.empty(2**40, device="meta"), "does not hold every number"),
        (torch.zeros(3).to_sparse(), "sparse_coo, not a plain array"),
        (torch.zeros(3, dtype=torch.complex64), "complex64, not a plain array"),
    ],
    ids=["expanded", "meta", "sparse", "complex"],
)
def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path, array: Any, said: str) -> None:
    torch.save({"model": {"weight": array}}, tmp_path / "a.pt")
    message = refusal(pickled_arrays, tmp_path / "a.pt")
    assert said in message and "'weight'" in message


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R.",
        b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
        b"\x80\x02}q\x00.",
        b"",
        b"PK\x05\x06" + bytes(18),
    ],
    ids=["17 TB", "deep", "empty table", "nothing", "empty zip"],
)
def test_a_pickle_that_is_none_of_torchs_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(data)
    refusal(pickled_arrays, tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ([[float("nan"), 0.0], [0.0, 0.0]], "'weight' holds NaN or infinite"),
        ([[0.0, 0.0], [0.0, float("inf")]], "'weight' holds NaN or infinite"),
        ([[0.0, 0.0], [0.0, -float("inf")]], "'weight' holds NaN or infinite"),
    ],
)
def test_weights_that_are_no_numbers_are_refused_by_name(weight: list[list[float]], said: str) -> None:
    arrays = {"weight": torch.tensor(weight), "bias": torch.zeros(2)}
    for device in ("cpu", "meta"):
        target = torch.nn.Linear(2, 2, device=device).state_dict()
        assert said in refusal(fill, target, arrays.items(), "a.pt")


@pytest.mark.parametrize(
    ("dtype", "value", "said"),
    [
        (torch.int8, 1, "holds int8 where float32 belongs"),
        (torch.bool, 1, "holds bool where float32 belongs"),
        (torch.complex64, 1, "holds complex64 where float32 belongs"),
        (torch.float8_e4m3fn, 1, "holds float8_e4m3fn where float32 belongs"),
        (torch.float64, 1e300, "too large for float32: choose another dtype"),
    ],
)
def test_weights_of_another_kind_are_refused_by_name(dtype: torch.dtype, value: float, said: str) -> None:
    target = torch.nn.Linear(2, 2).state_dict()
    arrays = {"weight": torch.full((2, 2), value).to(dtype) if dtype != torch.float64 else
              torch.full((2, 2), value, dtype=dtype), "bias": torch.zeros(2)}  # fmt: skip
    assert said in refusal(lambda: [fill(target, arrays.items(), "a.pt")])


def test_weights_of_halves_and_doubles_are_taken() -> None:
    target = torch.nn.Linear(2, 2).state_dict()
    fill(target, {"weight": torch.ones(2, 2).half(), "bias": torch.zeros(2).bfloat16()}.items(), "a.pt")
    assert torch.equal(target["weight"], torch.ones(2, 2))


def safetensors_of(path: Path, header: dict[str, Any] | bytes, body: bytes = b"", size: int | None = None) -> Path:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head) if size is None else size) + head + body)
    return path


def two(first: list[int], second: list[int]) -> dict[str, Any]:
    spans = {"a": first, "b": second}
    return {name: {"dtype": "F32", "shape": [2], "data_offsets": span} for name, span in spans.items()}


@pytest.mark.parametrize(
    ("header", "body", "size"),
    [
        (b"{}", b"", 2**63),
        (b"{}", b"", 99_000_000),
        (two([0, 8], [4, 12]), bytes(12), None),
        (two([0, 8], [16, 24]), bytes(24), None),
        (two([0, 8], [8, 2**40]), bytes(16), None),
        ({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}, bytes(8), None),
        ({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, bytes(8), None),
        ({"a": {"dtype": "OBJECT", "shape": [2], "data_offsets": [0, 8]}}, bytes(8), None),
        (b"[" * 100_000, b"", None),
        (b"\xff" * 100, b"", None),
        ({}, b"behind the end", None),
    ],
)
def test_a_safetensors_header_that_lies_is_refused(
    tmp_path: Path, header: dict[str, Any] | bytes, body: bytes, size: int | None
) -> None:
    path = safetensors_of(tmp_path / "a.safetensors", header, body, size)
    assert str(path) in refusal(arrays_in, [path])


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ('{"weight_map": ' + "[" * 100_000, "cannot be read"),
        ('{"weight_map": {"a": "../outside.safetensors"}}', "no plain file name"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "no plain file name"),
        ('{"weight_map": {"a": "x\\u0000.safetensors"}}', "no plain file name"),
        ('{"weight_map": {"a": 5}}', "is damaged"),
        ('{"weight_map": {}}', "is damaged"),
        ('{"weight_map": {"a": ["b"]}}', "is damaged"),
        ("[]", "not a table"),
    ],
)
def test_an_index_that_names_no_plain_files_is_refused(tmp_path: Path, index: str, said: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index)
    assert said in refusal(weights_files, tmp_path)


def copied(folder: Path, target: Path, **changed: Any) -> Path:
    shutil.copytree(folder, target)
    said = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(said | changed))
    return target


def test_code_beside_a_model_is_never_imported(e5_folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    named = {"AutoModel": "modeling.Model", "AutoConfig": "modeling.Config", "AutoTokenizer": "modeling.Tokens"}
    folder = copied(e5_folder, tmp_path / "model", auto_map=named, trust_remote_code=True, architectures=["Model"])
    for name in ("modeling.py", "__init__.py", "setup.py", "conftest.py"):
        (folder / name).write_text(f"import os; os.mkdir({str(mark)!r})\n")
    assert models.load("e5-small", weights=str(folder)).modalities == ("text",)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hidden_size": 10**9}, "hidden_size is 1000000000, beyond the 262144"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, beyond the 1000"),
        ({"vocab_size": 10**12}, "vocab_size is 1000000000000, beyond"),
        ({"hidden_size": 10**400}, "hidden_size is"),
        ({"hidden_size": 200_000, "intermediate_size": 200_000}, "but the weights next to it have"),
        ({"vocab_size": 2**24}, "but the weights next to it have"),
        ({"num_hidden_layers": 900, "hidden_size": 24}, "but the weights next to it have"),
        ({"hidden_size": float("nan")}, "hidden_size is nan, beyond"),
        ({"hidden_size": 24}, "weights in"),
        ({"hidden_size": "wide"}, "expected int, got str"),
        ({"num_attention_heads": 0}, "is no configuration"),
        ({"hidden_act": "os.system"}, "is no configuration"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "quantised"),
    ],
)
def test_absurd_sizes_are_refused_before_they_take_memory(
    e5_folder: Path, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    folder = copied(e5_folder, tmp_path / "model", **changed)
    assert said in refusal(lambda: [models.load("e5-small", weights=str(folder))])


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "", "{", '{"a": ' + "9" * 5_000 + "}", "\ud800"])
def test_settings_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    assert "config.json" in refusal(read_settings, tmp_path / "config.json")


def test_a_folder_with_a_weight_that_is_no_number_is_refused_by_the_name(e5_folder: Path, tmp_path: Path) -> None:
    folder = copied(e5_folder, tmp_path / "model")
    state = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.attention.self.query.weight"
    state[name][0, 0] = float("nan")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    assert repr(name) in refusal(lambda: [models.load("e5-small", weights=str(folder))])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=12), st.integers(0, 4_000), st.sampled_from(["pt", "legacy", "safetensors"]))
def test_whatever_the_bytes_of_weights(tmp_path: Path, noise: bytes, at: int, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    state = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.zeros(3)}
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({"model": state}, path, _use_new_zipfile_serialization=kind == "pt")
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at : at + len(noise)] = noise
    path.write_bytes(data)
    try:
        found = dict(arrays_in([path])) if kind == "safetensors" else pickled_arrays(path)
    except BabelscopeError as error:
        assert path.name in str(error)
        return
    assert all(isinstance(array, torch.Tensor) for array in found.values())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=12), st.integers(0, 3_000))
def test_whatever_the_bytes_of_a_tokenizer(e5_folder: Path, tmp_path: Path, noise: bytes, at: int) -> None:
    data = bytearray((e5_folder / "tokenizer.json").read_bytes())
    at %= len(data)
    data[at : at + len(noise)] = noise
    (tmp_path / "tokenizer.json").write_bytes(data)
    try:
        read_tokenizer(tmp_path / "tokenizer.json").encode("some words, and more")
    except DataError as error:
        assert "tokenizer.json" in str(error)
