"""A study that is killed at random moments of encoding, comparing and reporting ends as if it never had been."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import write_manifest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def _killed(folder: Path, whisper_folder: Path, e5_folder: Path, kills: int) -> dict[str, Any]:
    write_manifest(folder, sentences=8, languages=("xa", "xb"))
    shutil.copytree(whisper_folder, folder / "whisper")
    shutil.copytree(e5_folder, folder / "e5")
    program = Path(__file__).with_name("killing.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    ran = subprocess.run(
        [sys.executable, str(program), str(folder), str(kills), "0"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    print(ran.stderr, ran.stdout)
    return dict(json.loads(ran.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_ten_kills_leave_no_trace(tmp_path: Path, whisper_folder: Path, e5_folder: Path) -> None:
    told = _killed(tmp_path, whisper_folder, e5_folder, 10)
    assert told["kills"] == 10 and told["studies"] >= 1


@pytest.mark.slow
def test_two_hundred_kills_leave_no_trace(tmp_path: Path, whisper_folder: Path, e5_folder: Path) -> None:
    told = _killed(tmp_path, whisper_folder, e5_folder, 200)
    assert told["kills"] == 200
    assert {"encoding", "comparing", "writing"} <= told["at"].keys()


@pytest.mark.slow
def test_thirty_kills_of_a_study_that_aligns_positions_leave_no_trace(tmp_path: Path, pocket_folder: Path) -> None:
    shutil.copytree(pocket_folder, tmp_path / "pocket")
    told = _killed(tmp_path, pocket_folder / "whisper", pocket_folder / "e5", 30)
    assert told["kills"] == 30 and told["at"]["aligning"] >= 3
