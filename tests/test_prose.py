"""The check of prose that `make lint` runs: what it reads, and what it says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("proselint")
SCRIPT = Path(__file__).parent.parent / ".ci" / "prose.py"

SOURCE = '''"""Numbers are held
against a null."""

KEY = "beside"
RULE = r"\\bbeside the other\\b"


def reported(found):
    # The twin is read.
    part = f"the store {found} is taken " f"over by {found['beside it']}; no column 'beside'"
    return part


def drawn(part):  # public name
    return part
'''


@pytest.fixture
def prose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, in a repository of one page and one module."""
    spec = importlib.util.spec_from_file_location("prose", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("A *crew* of\n`crew`\n\n```sh\ncrew\n```\n", encoding="utf-8")
    (tmp_path / "src" / "babelscope" / "gaps").mkdir(parents=True)
    (tmp_path / "src" / "babelscope" / "gaps" / "one.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def test_documents_docstrings_messages_and_names_are_read_and_code_is_not(
    prose: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prose.py"])
    assert prose.main() == 1
    listed = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] + " " + line.rpartition(" ")[2] for line in listed] == [
        "docs/page.md:1 'crew'.",
        "src/babelscope/gaps/one.py:1 against'.",
        "src/babelscope/gaps/one.py:9 'twin'.",
        "src/babelscope/gaps/one.py:10 over'.",
        "src/babelscope/gaps/one.py:8 'found'",
        "src/babelscope/gaps/one.py:10 'part'",
    ]
