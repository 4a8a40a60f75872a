"""What CONTRIBUTING says that a contribution takes is what the examples of docs/extending.md take, and they work."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import babelscope
from test_docs import DOCS, ROOT, blocks

SOURCE = Path(babelscope.__file__).parent

MODEL = """
[models."our-hubert"]
kind = "speech-encoder"
source = "our-group/hubert"
licence = "MIT"
summary = "HuBERT, trained on our own recordings"
notes = ["Trained on telephone speech."]
"""

#: Run where the five were added: each is known, and does what it is for.
PROGRAM = """
import numpy as np
import pandas as pd

from babelscope import compare, corpora, models, similarity
from babelscope.gaps.result import TABLE_COLUMNS
from babelscope.testing import Planted, planted_activations, tiny
from conftest import write_page

hubert = models.load("our-hubert", weights=str(tiny("hubert", "hubert")))
assert hubert.licence == "MIT" and "Trained on telephone speech." in hubert.notes
assert corpora.load("numerals").text("03", "it") == "tre"
x, y = np.random.default_rng(0).normal(size=(2, 50, 8))
assert similarity.score(x, x + y, "paired_cosine").p < 0.01
languages = ("en", "fr", "it", "es")
store = planted_activations("a.zarr", {"p": Planted(meaning=0.6)}, n=40, languages=languages)
result = compare(store, ["linear_cka"], baselines=False, controls=["none"])
assert "around_english" in set(result.tables["findings"]["id"])
seconds = pd.DataFrame({"language": ["en", "fr"], "seconds_median": [3.25, 4.5]})
result.tables["languages"] = seconds.reindex(columns=list(TABLE_COLUMNS["languages"]))
page = write_page(result, "out").read_text(encoding="utf-8")
assert "English is more similar to other languages" in page and "How long are the recordings?" in page
"""


def example(title: str) -> str:
    return next(block.body for block in blocks(DOCS / "extending.md") if block.title == title)


def after(path: str, line: str, added: str) -> dict[str, str]:
    """Return a file with something added after a line of it."""
    text = (SOURCE / path).read_text(encoding="utf-8")
    assert text.count(f"{line}\n") == 1, f"{path}: {line}"
    return {path: text.replace(f"{line}\n", f"{line}\n{added}")}


def before(path: str, line: str, added: str) -> dict[str, str]:
    return {path: after(path, line, added)[path].replace(f"{line}\n{added}", f"{added}{line}\n")}


def contributions() -> dict[str, dict[str, str]]:
    """Return the files that each contribution adds or changes, with their new text."""
    findings = "gaps/findings.py"
    finding = before(
        findings,
        "def _bases(scored: Mapping[str, Scored]) -> dict[str, Scored]:",
        f"{example('around_english.py')}\n\n",
    )
    call = "        *_modality_over_language(later, plain),\n"
    return {
        "a model of transformers": {
            "models/catalogue.toml": (SOURCE / "models" / "catalogue.toml").read_text(encoding="utf-8") + MODEL
        },
        "a corpus": {
            "corpora/numerals.py": example("numerals.py"),
            **after(
                "corpora/sources.py",
                "SOURCES: dict[str, str] = {",
                '    "numerals": "babelscope.corpora.numerals:load",\n',
            ),
        },
        "a measure": {
            "similarity/agreement.py": example("agreement.py"),
            **before(
                "similarity/__init__.py",
                "from babelscope.similarity.aggregate import Average, over_languages",
                "from babelscope.similarity.agreement import PairedCosine  # noqa: F401\n",
            ),
        },
        "a finding": {findings: finding[findings].replace(call, f"{call}        *_around_english(plain),\n")},
        "a section of the report": {"report/sections/seconds.py": example("seconds.py")},
    }


def lines_added(path: str, text: str) -> int:
    old = (SOURCE / path).read_text(encoding="utf-8") if (SOURCE / path).exists() else ""
    return sum(line.startswith("+ ") for line in difflib.ndiff(old.splitlines(), text.splitlines()))


def test_the_files_and_lines_of_each_contribution_are_those_that_are_stated() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("| you add |")[2].partition("\n\n")[0]
    stated = {
        name: (files, int(lines)) for name, files, lines in re.findall(r"^\| (.+?) \| (.+?) \| (\d+) \|$", page, re.M)
    }
    measured = {}
    for name, changed in contributions().items():
        files = [
            f"`{path}`" if (SOURCE / path).exists() else f"a new one in `{Path(path).parent.as_posix()}/`"
            for path in changed
        ]
        measured[name] = ", ".join(files), sum(lines_added(path, text) for path, text in changed.items())
    assert stated == measured


def test_each_contribution_works_where_it_is_said_to_go(tmp_path: Path) -> None:
    tree = tmp_path / "tree" / "babelscope"
    shutil.copytree(SOURCE, tree)  # with what is compiled
    for changed in contributions().values():
        for path, text in changed.items():
            (tree / path).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tree.parent), str(Path(__file__).parent)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
