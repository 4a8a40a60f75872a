"""The walk of one recording from its row to its numbers does not grow longer, nor turn back up."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_recording_goes_through_28_files_and_two_calls_run_against_the_imports(
    tmp_path: Path,
) -> None:
    walk = runpy.run_path(str(Path(__file__).parent.parent / "benchmarks" / "walk.py"))
    steps = walk["walked"](tmp_path)
    files = set(walk["files_of"](steps))
    assert files >= {"corpora/manifest/rows.py", "capture/hooks.py", "capture/store.py", "gaps/scoring.py"}
    assert len(files) <= 28, "docs/architecture.md says which these are"
    assert walk["climbs_of"](steps) == [
        ("models/adapters/speech.py", "capture/hooks.py"),
        ("similarity/blocks.py", "gaps/scoring.py"),
    ]
