"""On the command line, in a process of its own: one line, an exit code, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def told(folder: Path, *arguments: str) -> str:
    environment = os.environ | {"BABELSCOPE_CACHE": str(folder / "cache"), "NO_COLOR": "1", "COLUMNS": "200"}
    ended = subprocess.run(
        [sys.executable, "-m", "babelscope", *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stderr + ended.stdout and "\x1b" not in ended.stderr
    last = [line for line in ended.stderr.splitlines() if line.strip()][-1]
    assert last.strip()
    return last


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"sentence,language,text\ns\x1b[2J,en,hello\n", "line 2, column 'sentence' holds a control character"),
        (b"sentence,language,audio\ns,en,list.m4a\n", "list.m4a"),
    ],
)
def test_a_hostile_manifest(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "list.m4a").write_text("ffconcat version 1.0\nfile 'm.csv'\n")
    (tmp_path / "m.csv").write_bytes(content)
    assert said in told(tmp_path, "corpora", "show", "manifest", "--path", str(tmp_path / "m.csv"))
