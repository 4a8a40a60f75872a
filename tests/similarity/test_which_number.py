"""The figures of the page "Which number can I trust?" run, and show what the page says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("which_number", ROOT / "benchmarks" / "which_number.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["which_number"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_figures_are_drawn_from_data_at_a_small_size(script: Any, tmp_path: Path) -> None:
    written = script.draw(tmp_path, script.SMALL)
    for path in written:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("<svg") if path.suffix == ".svg" else text.count("\n") > 1
    noise = pd.read_csv(tmp_path / "unrelated-raw.csv")
    assert noise.SVCCA.max() > 0.5
    assert noise.calibrated.max() < 0.2
    signal = pd.read_csv(tmp_path / "planted.csv").set_index(["measure", "pairing"])
    assert signal.p["linear_cka", "shared signal"] < 0.01
    assert signal.calibrated["linear_cka", "shared signal"] > 0.3
    assert (signal.calibrated.xs("shuffled", level="pairing") < 0.2).all()
    outlier = pd.read_csv(tmp_path / "rogue.csv")
    assert outlier.CKA.iloc[-1] < 0.3 * outlier.CKA.iloc[0]
    assert outlier["CKA without rogue"].iloc[-1] > 0.9 * outlier.CKA.iloc[0]


def test_the_page_shows_every_figure_that_is_drawn(script: Any) -> None:
    page = (ROOT / "docs" / "which-number.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs" / "figures" / "which-number").glob("*.svg"):
        assert f"figures/which-number/{path.name}" in page
        assert path.stat().st_size < 200_000


def test_the_numbers_in_the_page_are_those_of_the_tables(script: Any) -> None:
    page = (ROOT / "docs" / "which-number.md").read_text(encoding="utf-8")
    signal = pd.read_csv(ROOT / "docs" / "figures" / "which-number" / "planted.csv")
    for row in signal.itertuples():
        assert f"{row.value:.2f}" in page, row
    outlier = pd.read_csv(ROOT / "docs" / "figures" / "which-number" / "rogue.csv")
    assert f"{outlier.CKA.iloc[0]:.2f}" in page
    assert f"{outlier.CKA.iloc[-1]:.2f}" in page
    assert f"from {outlier.directions.iloc[0]:.0f} to {outlier.directions.iloc[-1]:.0f}" in page
