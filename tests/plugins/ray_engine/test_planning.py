"""The planning page shows what its program prints, and the simulation holds against the arithmetic."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="module")
def planning() -> Any:
    found = importlib.util.spec_from_file_location("plan_scaling", ROOT / "benchmarks" / "plan_scaling.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    sys.modules["plan_scaling"] = module
    found.loader.exec_module(module)
    return module


def test_the_page_shows_the_tables(planning: Any) -> None:
    page = (ROOT / "docs" / "planning.md").read_text(encoding="utf-8").splitlines()
    missing = [line for line in planning.tables(planning.Costs(), [8, 64], [350, 2009], 0) if line not in page]
    assert not missing


def test_the_models_are_as_wide_as_they_are(planning: Any) -> None:
    from babelscope.models.planning import plan

    for system in planning.SYSTEMS:
        sides = plan(system.name).model.sides
        widths = [sum(point.width for point in sides[modality].points) for modality in ("speech", "text")]
        assert widths == [system.speech_width, system.text_width]
        assert system.points[:2] == (len(sides["speech"].points), len(sides["text"].points))


@pytest.mark.parametrize("gpus", [1, 8, 24])
def test_the_simulation_is_never_quicker_than_a_resource_and_nears_it_where_one_binds(planning: Any, gpus: int) -> None:
    costs = dataclasses.replace(planning.Costs(), gpu_tflops=5.0)
    jobs = planning.jobs_of(planning.SYSTEMS[2], 350, costs, np.random.default_rng(0))
    least = max(planning.arithmetic(jobs, gpus, costs, 30.0).values())
    took, again = planning.encode(jobs, gpus, costs, 30.0, np.random.default_rng(0))
    assert least * (1 - 1e-9) <= took < 1.15 * least and again == 0


def test_a_full_store_binds_however_many_gpus_there_are(planning: Any) -> None:
    costs = dataclasses.replace(planning.Costs(), store_gb_s=0.2)
    jobs = planning.jobs_of(planning.SYSTEMS[0], 350, costs, np.random.default_rng(0))
    took = [planning.encode(jobs, gpus, costs, 0.0, np.random.default_rng(0))[0] for gpus in (32, 128)]
    assert took[1] > 0.9 * took[0]


def test_machines_that_die_cost_time_and_every_job_is_done(planning: Any) -> None:
    costs = dataclasses.replace(planning.Costs(), gpu_tflops=5.0)
    spot = dataclasses.replace(costs, life_hours=0.2, again_s=60.0)
    jobs = planning.jobs_of(planning.SYSTEMS[2], 350, costs, np.random.default_rng(0))
    calm, _ = planning.encode(jobs, 16, costs, 30.0, np.random.default_rng(0))
    took, again = planning.encode(jobs, 16, spot, 30.0, np.random.default_rng(0))
    assert took > calm and again > 0
