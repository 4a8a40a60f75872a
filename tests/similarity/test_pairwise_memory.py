"""The memory that a table of pairs is given bounds what it holds, however wide each representation is."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelscope import similarity as sim
from babelscope.similarity.measure import parse_measure
from babelscope.similarity.representation import Representation

N = 100
#: Bytes of a wide side of Procrustes: its factor is sentences x rank.
WIDE = N * (N - 1) * 8


def drawn(seed: int, width: int, n: int = N) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def mixed() -> dict[Any, Callable[[], Any]]:
    """Four narrow representations, and then thirty-six of twelve times their size."""
    return {number: partial(drawn, number, 8 if number < 4 else 250) for number in range(40)}


def peak(memory: float, **options: Any) -> tuple[float, Any]:
    sides = mixed()
    pairs = [(0, 1), *((number, number + 1) for number in range(1, 39)), *((4, number) for number in range(10, 40, 7))]
    tracemalloc.start()
    try:
        found = sim.pairwise(sides, "procrustes", pairs=pairs, null=None, memory=memory, workers=1, **options)
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


def test_narrow_representations_that_come_first_do_not_let_wide_ones_in(tmp_path: Path) -> None:
    whole, expected = peak(1e9)
    assert whole > 36 * WIDE
    budget = 8 * WIDE
    most, found = peak(budget)
    work = whole - 36 * WIDE  # one representation while it is prepared, and what is there whatever the memory
    assert most < budget + 1.5 * work < 0.75 * whole
    np.testing.assert_allclose(found["value"].values, expected["value"].values, atol=1e-12)
    _, kept = peak(budget, checkpoint=tmp_path)
    _, again = peak(budget, checkpoint=tmp_path)
    for other in (kept, again):
        np.testing.assert_array_equal(found["value"].values, other["value"].values)


@settings(max_examples=12, deadline=None)
@given(
    widths=st.lists(st.integers(1, 40), min_size=2, max_size=9),
    memory=st.floats(1, 20_000),
    chosen=st.data(),
    workers=st.integers(1, 3),
)
def test_whatever_the_widths_and_the_memory_the_numbers_are_the_same(
    widths: list[int], memory: float, chosen: st.DataObject, workers: int
) -> None:
    sides = {number: drawn(number, width, 12) for number, width in enumerate(widths)}
    label = st.integers(0, len(widths) - 1)
    pairs = chosen.draw(st.lists(st.tuples(label, label), min_size=1, max_size=20))
    for measure, interval in (("procrustes", True), ("svcca(variance=0.5)", False)):
        options: dict[str, Any] = {"pairs": pairs, "null": None, "interval": interval}
        whole = sim.pairwise(sides, measure, **options)
        small = sim.pairwise(sides, measure, memory=memory, workers=workers, **options)
        for name in ("value", "low", "high"):
            np.testing.assert_allclose(small[name].values, whole[name].values, atol=1e-10)


@pytest.mark.parametrize("name", ["svcca", "linear_cka", "procrustes", "retrieval", "mutual_knn", "rsa"])
def test_a_prepared_side_keeps_no_more_than_it_needs(name: str) -> None:
    measure, x = parse_measure(name), drawn(0, 200).astype(np.float64)
    measure.prepare(Representation(x, "first"))  # whatever is imported on the way
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    state = measure.prepare(Representation(x, "x"))
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    arrays = [value for value in vars(state).values() if isinstance(value, np.ndarray)]
    assert held < 1.3 * sum(array.nbytes for array in arrays) + 20_000
