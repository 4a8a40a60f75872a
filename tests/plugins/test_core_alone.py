"""The core knows nothing of the plug-ins that come along: with their folder gone it does what it does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import babelscope
from babelscope.cache import cache_folder

SOURCE = Path(babelscope.__file__).parent
PROGRAM = """
import warnings
from pathlib import Path

import numpy as np
import soundfile

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    import babelscope
    from babelscope import cli, engines, models, study
    from babelscope.fetch import ASSETS
    from babelscope.errors import BabelscopeError
    from babelscope.models.catalogue import CATALOGUE
    from babelscope.testing import tiny

    assert not list((Path(babelscope.__file__).parent / "plugins").glob("*.py"))
    known, assets = models.known(), dict(ASSETS)
assert {"asterisk", "whisper-base"} <= set(assets) and "e5-small-q4" not in assets
assert [recipe.origin for recipe in assets["whisper-base"].recipes] == ["hub"]
assert {"sonar", "seamless-m4t-v2-large"} <= set(known) and "whisper-base" in CATALOGUE
assert not {"pocket", "salmonn-7b"} & set(known)
left_out = [str(each.message) for each in said if "is left out" in str(each.message)]
assert sum("'pocket'" in line for line in left_out) == 1, left_out
for name in ("pocket", "whisper-base"):
    try:
        models.load(name)
    except BabelscopeError as error:
        assert "\\n" not in str(error), error
        print(name, "|", error)
    else:
        raise AssertionError(f"{name} was loaded without its plug-in")

try:
    with engines.open_engine("ray"):
        pass
except BabelscopeError as error:
    assert "\\n" not in str(error), error
    print("ray", "|", error)
else:
    raise AssertionError("the engine ray was opened without its plug-in")

lines = ["sentence\\tlanguage\\ttext\\taudio"]
for number, text in enumerate(("a red house", "the sea is calm today", "birds", "he reads the old book", "rain falls")):
    for language in ("en", "fr"):
        soundfile.write(f"{number}{language}.wav", 0.1 * np.random.default_rng(number).normal(size=16_000), 16_000)
        lines.append(f"{number}\\t{language}\\t{text} {language}\\t{number}{language}.wav")
Path("manifest.tsv").write_text("\\n".join(lines), encoding="utf-8")
folder = tiny("seamless-m4t-v2", Path("tiny"))
settings = {
    "corpus": {"source": "manifest", "path": "manifest.tsv"},
    "model": {"name": "seamless-m4t-v2-large", "weights": str(folder)},
    "output": "result",
    "measures": ["linear_cka"],
    "permutations": 19,
    "intervals": False,
}
import pytest
from conftest import let_reports_be_written_by, write_page

let_reports_be_written_by(write_page, pytest.MonkeyPatch())
outcome = study.run(study.Study.model_validate(settings))
assert len(outcome.result.scores) and outcome.report.is_file()
assert cli.main(["models", "list"]) == 0
"""


@pytest.fixture
def core(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which the package lies without its plug-ins."""
    shutil.copytree(SOURCE, tmp_path / "core" / "babelscope", ignore=shutil.ignore_patterns("plugins"))
    path = os.pathsep.join(
        [str(tmp_path / "core"), str(Path(__file__).parents[1]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    )
    return os.environ | {"PYTHONPATH": path.rstrip(os.pathsep), "BABELSCOPE_CACHE": str(tmp_path / "cache")}


def test_a_study_runs_and_models_are_listed_without_the_plugins(core: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=core, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"^pocket \| .*unknown", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^ray \| engine 'ray' .* cannot be loaded: ", done.stdout, re.MULTILINE), done.stdout
    assert "sonar-text" in done.stdout


@pytest.mark.slow
def test_the_cores_own_tests_pass_without_the_plugins(core: dict[str, str]) -> None:
    """All quick tests outside of this folder; those that need a plug-in say so, and are left out."""
    tests = Path(__file__).parents[1]
    environment = core | {"BABELSCOPE_CACHE": str(cache_folder()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "-q"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(tests)],
        cwd=tests.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]


def test_nothing_in_the_core_names_a_module_of_the_plugins() -> None:
    """Not even in a string, which an import by name would need."""
    naming = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if "plugins" not in path.relative_to(SOURCE).parts and "babelscope.plugins" in path.read_text(encoding="utf-8")
    ]
    assert not naming
