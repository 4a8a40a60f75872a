"""Whatever file of a store is gone, cut or changed: verify names it, and comparing says one line or is unaffected."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numcodecs import Zstd  # type: ignore[import-untyped]

from babelscope import cli, compare, encode
from babelscope.capture import Activations
from babelscope.capture.position_encoding import encode_positions
from babelscope.capture.second_readings import place_of_language
from babelscope.capture.verify import stores_beside, verify
from babelscope.corpora import Corpus
from babelscope.errors import BabelscopeError, DataError
from babelscope.models import Model
from babelscope.testing.planted import Planted, planted_activations


def _gone(path: Path, place: float) -> None:
    path.unlink()


def _cut(path: Path, place: float) -> None:
    path.write_bytes(path.read_bytes()[: int(place * path.stat().st_size)])


def _flipped(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x11
    path.write_bytes(content)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "activations.zarr"
    points = {name: Planted(meaning=share, language=0.2) for name, share in (("a", 0.2), ("b", 0.5))}
    clusters = [f"document {number // 2}" for number in range(8)]
    planted_activations(path, points, n=8, languages=("xa", "xb"), width=4, clusters=clusters, texts=list("abcdefgh"))
    return path


def _scores(path: Path) -> pd.DataFrame:
    options: dict[str, Any] = {"permutations": 5, "interval": False, "controls": ["none"]}
    return compare(Activations(path), ["linear_cka"], **options).scores


@pytest.fixture(scope="module")
def expected(whole: Path) -> pd.DataFrame:
    return _scores(whole)


def _is_told(path: Path, expected: pd.DataFrame) -> None:
    """Comparing ends in one line with what to do, or does not depend on what is damaged."""
    try:
        found = _scores(path)
    except BabelscopeError as error:
        assert "\n" not in str(error) and ("babelscope verify" in str(error) or "encode" in str(error))
    else:
        pd.testing.assert_frame_equal(found, expected)


@pytest.mark.slow
def test_every_file_that_is_gone_is_noticed(whole: Path, expected: pd.DataFrame, tmp_path: Path) -> None:
    for file in sorted(file.relative_to(whole) for file in whole.rglob("*") if file.is_file()):
        path = tmp_path / "activations.zarr"
        shutil.copytree(whole, path)
        (path / file).unlink()
        assert verify(path).damages, file
        if str(file) != "cluster/c.0":  # of clusters that are gone nothing but the inventory knows
            _is_told(path, expected)
        shutil.rmtree(path)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from([_cut, _flipped]), st.floats(0, 1, exclude_max=True))
def test_every_file_that_is_cut_or_changed_is_noticed(
    whole: Path,
    expected: pd.DataFrame,
    tmp_path: Path,
    data: st.DataObject,
    damage: Callable[[Path, float], None],
    place: float,
) -> None:
    names = sorted(file.relative_to(whole).as_posix() for file in whole.rglob("*") if file.is_file())
    file = data.draw(st.sampled_from(names))
    path = tmp_path / "activations.zarr"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(whole, path)
    damage(path / file, place)
    assert verify(path).damages
    _is_told(path, expected)


@pytest.mark.parametrize("name", ["depth", "language", "width", "sentence", "point", "stage", "modality"])
@pytest.mark.parametrize("how", [_gone, _cut, _flipped])
def test_a_coordinate_is_named_by_all_commands(
    whole: Path, tmp_path: Path, name: str, how: Callable[[Path, float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "activations.zarr"))
    how(path / name / "c" / "0", 0.5)
    assert cli.main(["verify", str(path)]) == 1
    assert f"damaged: coordinate {name}" in capsys.readouterr().out
    assert cli.main(["compare", str(path), "--measure", "linear_cka", "-o", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert f"at its coordinate {name}: run 'babelscope verify" in told[-1] and "defect" not in told[-1]


def test_texts_that_claim_to_be_many_take_no_memory(whole: Path, tmp_path: Path) -> None:
    """One changed bit says that there are 2 ** 31 of them, for which 16 GB would be taken."""
    for name, codec in (("language/c/0", Zstd()), ("text/c.0.0", None)):
        path = Path(shutil.copytree(whole, tmp_path / name.partition("/")[0] / "activations.zarr"))
        stored = (path / name).read_bytes()
        content = bytearray(codec.decode(stored) if codec else stored)
        content[3] ^= 0x40
        (path / name).write_bytes(codec.encode(bytes(content)) if codec else content)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(DataError, match="is damaged"):
            Activations(path).column("text", "xa")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000, name  # kB


ANYTHING = [
    *("zarr.json", "inventory.json", "width/c/0", "depth/zarr.json", "activation/zarr.json", "cluster/c.0"),
    *("activation/c.0.0.1.0.0", "token_ids/c.1.0", "recording/c.0.0"),
]


@pytest.mark.parametrize("how", [_gone, _flipped])
def test_repair_and_then_encode_make_a_store_whole_whatever_was_damaged(
    tmp_path: Path, how: Callable[[Path, float], None], tiny_model: Model, tones: Corpus
) -> None:
    path = tmp_path / "activations.zarr"
    corpus = tones.select(languages=["xa", "xb"], n=4)
    encode(tiny_model, corpus, path, block=12)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    activations = Activations(path)
    values = {
        (point, modality, language): activations.matrix(point, modality, language)
        for modality in activations.modalities
        for language in activations.languages
        for point in activations.points(modality)
    }
    for file in ANYTHING:
        if not (path / file).exists():
            continue
        how(path / file, 0.5)
        assert cli.main(["verify", str(path)]) == 1, file
        assert cli.main(["verify", str(path), "--repair"]) == 0, file
        again = encode(tiny_model, corpus, path, block=12)
        assert verify(path).sound, file
        for (point, modality, language), expected in values.items():
            assert (again.matrix(point, modality, language) == expected).all(), file
    assert {file for file in path.rglob("*") if file.is_file()} == before.keys()


def test_second_readings_are_verified_with_their_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "activations.zarr"
    planted_activations(path, {"a": Planted(meaning=0.5)}, n=8, languages=("xa", "xb"), width=4, second=True)
    assert [store.name for store in stores_beside(path)] == ["xa.zarr", "xb.zarr"]
    assert cli.main(["verify", str(path)]) == 0
    assert capsys.readouterr().out.count("blocks are there") == 3
    (Path(place_of_language(path, "xb")) / "sentence" / "c" / "0").unlink()
    assert cli.main(["verify", str(path)]) == 1
    assert "damaged: coordinate sentence" in capsys.readouterr().out


@pytest.mark.parametrize("how", [_cut, _flipped])
def test_positions_are_verified_with_their_store_and_made_anew(
    tmp_path: Path,
    how: Callable[[Path, float], None],
    tiny_model: Model,
    tones: Corpus,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, positions = tmp_path / "activations.zarr", tmp_path / "activations.tokens"
    encode(tiny_model, tones, path)
    before = encode_positions(tiny_model, tones, positions, n=2)
    expected = before.values("speech", "xb", before.sentences[1], "speech.norm")
    assert cli.main(["verify", str(path)]) == 0
    assert "activations.tokens: 12 of 12 utterances are there" in capsys.readouterr().out
    how(positions / "speech" / "xb" / "00001.safetensors", 0.9)
    assert cli.main(["verify", str(path)]) == 1
    assert f"damaged: positions of speech xb, sentence {before.sentences[1]!r}" in capsys.readouterr().out
    assert cli.main(["verify", str(path), "--repair"]) == 0
    again = encode_positions(tiny_model, tones, positions, n=2)
    assert (again.values("speech", "xb", before.sentences[1], "speech.norm") == expected).all()
    assert cli.main(["verify", str(path)]) == 0
