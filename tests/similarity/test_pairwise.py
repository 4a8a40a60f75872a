"""Tables of pairs: the same numbers as pair by pair, in any order, block size, precision, and after an interruption."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babelscope import similarity as sim
from babelscope.errors import DataError, UsageError
from clouds import cloud, related

RNG = np.random.default_rng
#: The module; the package has a function of the same name.
table_module = sys.modules["babelscope.similarity.pair_table"]
MEASURES = ["svcca(variance=0.90)", "linear_cka", "retrieval", "xsim", "procrustes", "centroid_gap"]


@pytest.fixture
def sides() -> dict[Any, Any]:
    rng = RNG(0)
    out: dict[Any, Any] = {}
    for layer in range(4):
        x, y = related(rng, 50, 16, 16, 4, 0.3 * layer)
        out[f"layer{layer}", "text"], out[f"layer{layer}", "speech"] = x.astype(np.float32), y.astype(np.float32)
    return out


def same(a: Any, b: Any, slack: float = 0.0) -> None:
    for name in a.data_vars:
        np.testing.assert_allclose(a[name].values.astype(float), b[name].values.astype(float), atol=slack, err_msg=name)


def test_every_number_is_that_of_score(sides: dict[Any, Any]) -> None:
    found = sim.pairwise(sides, MEASURES, permutations=50, seed=3)
    assert found.sizes == {"pair": 28, "measure": 6}
    assert list(found.measure.values) == MEASURES, "as they were written"
    for row in (0, 7, 27):
        a, b = (tuple(str(found[side].values[row]).split("/")) for side in "ab")
        for name in MEASURES:
            one = sim.score(sides[a], sides[b], name, permutations=50, seed=3)
            cell = found.isel(pair=row).sel(measure=name)
            for field in (
                "value",
                "null_mean",
                "null_sd",
                "null_q95",
                "chance_corrected",
                "calibrated",
                "p",
                "n",
                "kx",
                "ky",
            ):
                assert float(cell[field]) == pytest.approx(getattr(one, field), abs=1e-12, nan_ok=True), (name, field)
    assert found.attrs["null"]["procrustes"] == "permutation"
    assert found.attrs["null"]["svcca(variance=0.90)"] == "exact"
    assert found.attrs["conventions"]["xsim"].startswith("share of sentences")
    assert found.attrs["higher_is_better"]["xsim"] is False


def test_pairs_come_in_the_order_given_and_are_read_when_needed(sides: dict[Any, Any]) -> None:
    reads: list[Any] = []

    def lazy(key: Any) -> Any:
        def read() -> Any:
            reads.append(key)
            return sides[key]

        return read

    keys = list(sides)
    pairs = [(keys[3], keys[2]), (keys[0], keys[1]), (keys[3], keys[0])]
    found = sim.pairwise({key: lazy(key) for key in keys}, "linear_cka", pairs=pairs)
    assert list(found.a.values) == ["/".join(a) for a, _ in pairs]
    assert list(found.b.values) == ["/".join(b) for _, b in pairs]
    same(found, sim.pairwise(sides, "linear_cka", pairs=pairs))
    assert sorted(reads) == sorted(keys[:4]), "each once, and none that is in no pair"


@pytest.mark.parametrize("null", ["auto", "permutation"])
def test_blocks_workers_and_precision_change_nothing(sides: dict[Any, Any], null: str, monkeypatch: Any) -> None:
    whole = sim.pairwise(sides, MEASURES, null=null, permutations=30)
    monkeypatch.setattr(table_module, "TILE", 2)
    same(whole, sim.pairwise(sides, MEASURES, null=null, permutations=30, workers=1), 1e-12)
    small = sim.pairwise(sides, MEASURES, null=null, permutations=30, memory=1.0)
    same(whole, small, 1e-12)
    single = sim.pairwise(sides, MEASURES, null=null, permutations=30, precision="single")
    np.testing.assert_allclose(single.value, whole.value, atol=1e-6)


def test_many_kernels_in_one_product_are_those_of_single_pairs() -> None:
    rng = RNG(1)
    sides = {i: cloud(rng, 40, 12) for i in range(9)}
    found = sim.pairwise(sides, ["linear_cka", "rsa"], null=None)
    for row in range(36):
        a, b = int(found.a.values[row]), int(found.b.values[row])
        assert float(found.value[row, 0]) == pytest.approx(sim.linear_cka(sides[a], sides[b]), abs=1e-12)
        assert float(found.value[row, 1]) == pytest.approx(sim.rsa(sides[a], sides[b]), abs=1e-12)


def test_intervals_are_those_of_score_and_hold_the_value(sides: dict[Any, Any]) -> None:
    keys = list(sides)[-2:]
    found = sim.pairwise(sides, ["svcca", "linear_cka"], pairs=[(keys[0], keys[1])], interval=True, seed=4)
    for name in ("svcca", "linear_cka"):
        one = sim.score(sides[keys[0]], sides[keys[1]], name, interval=True, seed=4)
        cell = found.isel(pair=0).sel(measure=name)
        assert (float(cell.low), float(cell.high)) == pytest.approx((one.low, one.high), abs=1e-12)
        assert one.low < one.value < one.high


def test_pairs_may_differ_in_their_sentences_but_not_within(sides: dict[Any, Any]) -> None:
    rng = RNG(2)
    mixed = {
        "a": rng.normal(size=(30, 5)),
        "b": rng.normal(size=(30, 5)),
        "c": rng.normal(size=(45, 5)),
        "d": rng.normal(size=(45, 5)),
    }
    found = sim.pairwise(mixed, "linear_cka", pairs=[("a", "b"), ("c", "d")], null="permutation", permutations=20)
    assert found.n.values[:, 0].tolist() == [30, 45]
    with pytest.raises(DataError, match="b has 30 sentences and c has 45"):
        sim.pairwise(mixed, "linear_cka", pairs=[("b", "c")])
    with pytest.raises(DataError, match="c has 45 sentences, others 30: intervals take the same sentences"):
        sim.pairwise(mixed, "linear_cka", pairs=[("a", "b"), ("c", "d")], interval=True)


def test_a_bad_representation_is_named_by_its_label(sides: dict[Any, Any]) -> None:
    sides["layer2", "speech"] = sides["layer2", "speech"].copy()
    sides["layer2", "speech"][5, 0] = np.nan
    with pytest.raises(DataError, match="layer2/speech holds NaN in row 5"):
        sim.pairwise(sides, "svcca")
    few = {key: side[:8] for key, side in sides.items() if key[0] != "layer2"}
    with pytest.raises(DataError, match=r"mutual_knn\(k=10\) needs at least 12 sentences, got 8 \(layer0/text\)"):
        sim.pairwise(few, "mutual_knn")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairs": [("layer0/txt", "x")]}, "there is no representation 'layer0/txt'"),
        ({"measures": []}, "no measure"),
        ({"measures": ["svcca", "svcca"]}, "named twice"),
        ({"keep_null": True}, "needs null='permutation'"),
        ({"workers": 0}, "at least 1"),
        ({"precision": "half"}, "'double' or 'single'"),
    ],
)
def test_wrong_use_is_told(sides: dict[Any, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sim.pairwise(sides, **options)


def test_progress_counts_pairs(sides: dict[Any, Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(table_module, "TILE", 2)
    told: list[tuple[int, int]] = []
    sim.pairwise(sides, "svcca", interval=True, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (28 * 41, 28 * 41)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) > 10


def test_a_stopped_run_goes_on_where_it_was(sides: dict[Any, Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(table_module, "TILE", 2)
    options: dict[str, Any] = {"interval": True, "permutations": 20}
    whole = sim.pairwise(sides, ["svcca", "procrustes"], **options)

    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done > 12:
            raise StopError

    folder = tmp_path / "blocks"
    with pytest.raises(StopError):
        sim.pairwise(sides, ["svcca", "procrustes"], checkpoint=folder, progress=stop, **options)
    kept = sorted(folder.glob("block-*.npz"))
    assert kept
    prepared: list[Any] = []
    first = sim.SVCCA.prepare

    def counting(self: Any, x: Any) -> Any:
        prepared.append(x.name)
        return first(self, x)

    monkeypatch.setattr(sim.SVCCA, "prepare", counting)
    again = sim.pairwise(sides, ["svcca", "procrustes"], checkpoint=folder, **options)
    same(whole, again)
    prepared.clear()
    kept[0].write_bytes(b"damaged")
    same(whole, sim.pairwise(sides, ["svcca", "procrustes"], checkpoint=folder, **options))
    assert 0 < len(prepared) <= 5, "only the damaged block, and the one that tells the size"


def test_a_checkpoint_of_another_run_or_of_other_data_is_refused(sides: dict[Any, Any], tmp_path: Path) -> None:
    sim.pairwise(sides, "linear_cka", checkpoint=tmp_path)
    with pytest.raises(UsageError, match="blocks of another run"):
        sim.pairwise(sides, "linear_cka", checkpoint=tmp_path, seed=1)
    changed = dict(sides)
    changed["layer1", "text"] = sides["layer1", "text"] + sides["layer0", "text"]
    with pytest.raises(DataError, match="layer1/text has changed"):
        sim.pairwise(changed, "linear_cka", checkpoint=tmp_path)


def test_cross_layer_is_a_table_of_layers(sides: dict[Any, Any]) -> None:
    text = {layer: sides[f"layer{layer}", "text"] for layer in range(4)}
    speech = {layer: sides[f"layer{layer}", "speech"] for layer in range(3)}
    found = sim.cross_layer(text, speech, ["linear_cka"])
    assert found.value.shape == (4, 3, 1)
    cell = found.sel(layer_a="3", layer_b="2", measure="linear_cka")
    assert float(cell.value) == pytest.approx(sim.linear_cka(text[3], speech[2]), abs=1e-12)
    with pytest.raises(UsageError, match="pairwise"):
        sim.cross_layer(text, speech, pairs=[])


def test_no_pairs_is_an_empty_table(sides: dict[Any, Any]) -> None:
    assert sim.pairwise(sides, "svcca", pairs=[]).sizes["pair"] == 0
