"""Runs a program in a process of its own, forked from one that has imported what most programs import."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import warnings
from pathlib import Path

import pytest

# What is imported here, and by what this imports, would be imported again in each process if it were not listed.
_READY = multiprocessing.get_context("forkserver")
_READY.set_forkserver_preload([
    "babelscope.study.running", "babelscope.report", "babelscope.testing", "babelscope.models.adapters", "pytest",
    "soundfile", "transformers.models.bert.modeling_bert", "transformers.models.whisper.modeling_whisper",
])  # fmt: skip


def run_apart(program: str, script: Path) -> tuple[int | None, str]:
    """Run a program in a process of its own, in its folder; return its code and the end of what it prints."""
    script.write_text(program, encoding="utf-8")
    printed = script.parent.with_name(f"{script.parent.name}.printed")
    process = _READY.Process(target=_run, args=(script, printed))
    process.start()
    process.join()
    return process.exitcode, printed.read_text(encoding="utf-8")[-3000:]


def _run(script: Path, printed: Path) -> None:
    with printed.open("w", encoding="utf-8") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(script.parent)
    os.environ |= {"PYTHONPATH": str(script.parent), "TOKENIZERS_PARALLELISM": "false"}
    sys.path.insert(0, str(script.parent))
    from conftest import let_reports_be_written_by, write_page

    let_reports_be_written_by(write_page, pytest.MonkeyPatch())
    warnings.simplefilter("error", SyntaxWarning)
    runpy.run_path(str(script), run_name="__main__")
