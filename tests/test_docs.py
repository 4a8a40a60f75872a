"""The documentation is true: its code runs, its commands and keys exist, its site builds without a warning."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
from _pytest.mark import ParameterSet

from babelscope.cli import app
from run_apart import run_apart
from study_keys import described_keys

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))

#: What a page takes as the reader's own: one line that makes it up.
RESULTS = (
    "import babelscope, babelscope.testing as made\n"
    "for name, share in (('first', 0.7), ('second', 0.4)):\n"
    "    folder, planted = f'results/{name}', {'p': made.Planted(meaning=share)}\n"
    "    store = made.planted_activations(f'{folder}/activations.zarr', planted)\n"
    "    babelscope.compare(store, ['retrieval']).save(folder)\n"
)
GIVEN = {
    "leaderboard": RESULTS,
    "trackers": RESULTS,
    "notebooks": (
        "import babelscope, matplotlib, babelscope.testing as made\n"
        "matplotlib.use('agg')\n"
        "points = {'shared.0': made.Planted(meaning=0.3), 'shared.1': made.Planted(meaning=0.7)}\n"
        "store = made.planted_activations('results/first/activations.zarr', points)\n"
        "babelscope.compare(store, ['linear_cka', 'retrieval']).save('results/first')\n"
    ),
    "which-number": "import numpy; text, speech = numpy.random.default_rng(0).normal(size=(2, 60, 8))\n",
}

_FENCE = re.compile(r"^```(?P<head>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    A block with a ``title`` is a file that the reader is told to save. A Python block that needs fetched assets is
    written ``{ .python .assets }``.
    """

    language: str
    body: str
    title: str
    assets: bool
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        head = match["head"]
        words = re.findall(r"[\w-]+", head.split("title=")[0])
        title = re.search(r'title="([^"]+)"', head)
        found.append(
            Block(
                words[0] if words else "",
                match["body"],
                title[1] if title else "",
                "assets" in words,
                text[: match.start()].count("\n") + 2,
            )
        )
    return found


#: Pages whose code on real weights takes long, and what runs the like on small ones or in README.
LONG = {
    "first-study": "README has the same with other languages: test_printed_commands.py",
    "stores": "positions of small models: capture/test_positions.py",
    "verifying-models": "small models: models/test_verification.py",
}


def _cases() -> Iterator[ParameterSet]:
    for page in PAGES:
        here = [block for block in blocks(page) if block.language == "python"]
        if any(not block.assets for block in here):
            yield pytest.param(page, False, id=page.stem)
        if any(block.assets for block in here):
            marks = [pytest.mark.assets, pytest.mark.plugins]
            marks += [pytest.mark.slow] if page.stem in LONG else []
            yield pytest.param(page, True, id=f"{page.stem}-assets", marks=marks)


def _install(pyproject: str, folder: Path) -> None:
    """Do what an installer does with entry points, in a folder that is on the path."""
    project = tomllib.loads(pyproject)["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    info.joinpath("entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize(("page", "with_assets"), list(_cases()))
def test_the_code_of_a_page_runs(page: Path, with_assets: bool, tmp_path: Path) -> None:
    """Run in a process of its own: what one page registers or imports must not help another."""
    program = [GIVEN.get(page.stem, "")]
    for block in blocks(page):
        if block.title:
            target = tmp_path / block.title
            assert target.parent.resolve().is_relative_to(tmp_path.resolve())
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body, encoding="utf-8")
            if block.title == "pyproject.toml":
                _install(block.body, tmp_path)
        elif block.language == "python" and (with_assets or not block.assets):
            program.append("\n" * (block.line - sum(part.count("\n") for part in program) - 1) + block.body)
    code, printed = run_apart("".join(program), tmp_path / f"{page.stem}_md.py")
    assert code == 0, f"docs/{page.name} (line numbers are the page's):\n{printed}"


def _commands() -> dict[str, Any]:
    """Every command of the program by what is typed: ``run``, ``models show``."""
    found: dict[str, Any] = {}

    def walk(command: Any, path: str) -> None:
        if path:
            found[path] = command
        for name, child in getattr(command, "commands", {}).items():
            walk(child, f"{path} {name}".strip())

    walk(typer.main.get_command(app), "")
    return found


#: Options of every command, which the reference explains once.
OF_EVERY_COMMAND = {"--help", "-h", "--quiet", "-q", "--verbose", "-v"}


def _options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("-")} | OF_EVERY_COMMAND


def test_every_command_and_option_is_in_the_reference() -> None:
    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### babelscope ([\w ]+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    commands = _commands()
    assert sections.keys() == commands.keys()
    assert all(f"`{option}`" in text.partition("## Commands")[0] for option in OF_EVERY_COMMAND)
    for name, command in commands.items():
        prose = _FENCE.sub("", sections[name])
        told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(re.findall(r"`([^`]+)`", prose))))
        missing = _options(command) - told - OF_EVERY_COMMAND
        assert not missing, f"babelscope {name}: {missing} not in docs/command-line.md"


def test_every_key_of_a_study_is_in_the_reference() -> None:
    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([a-z_.]+)` \|", text.partition("## The study file")[2], re.MULTILINE))
    assert told == described_keys().keys()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_every_command_shown_exists(page: Path) -> None:
    commands = _commands()
    for block in blocks(page):
        if block.language not in ("sh", "console"):
            continue
        for line in block.body.splitlines():
            typed = shlex.split(line.removeprefix("$ "), comments=True)
            if typed[:1] == ["babelscope"]:
                name = next((" ".join(typed[1:end]) for end in (3, 2) if " ".join(typed[1:end]) in commands), "")
                assert name, f"{page.name}: there is no command {line!r}"
                for option in (part for part in typed if part.startswith("-")):
                    assert option in _options(commands[name]), f"{page.name}: {line!r} has no option {option}"
            elif typed[:1] == ["make"]:
                makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
                for target in typed[1:]:
                    assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"{page.name}: {line!r}"


@pytest.mark.slow  # `make docs`, which CI runs, does the same
def test_the_site_builds_without_a_warning_and_loads_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    done = subprocess.run(
        # Not --quiet: it silences warnings before --strict counts them.
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(
            r"<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=\"?((?:https?:)?//[^\s\">]+)", text
        )
        assert not loaded, f"{page.name} loads {loaded}"


def test_the_study_of_the_first_page_is_the_example() -> None:
    shown = next(block for block in blocks(DOCS / "first-study.md") if block.title == "examples/study.toml")
    assert shown.body == (ROOT / "examples" / "study.toml").read_text(encoding="utf-8").split("\n", 3)[3]


def test_pictures_are_small() -> None:
    pictures = [path for path in DOCS.rglob("*") if path.suffix in (".png", ".jpg")]
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < 300_000, picture
