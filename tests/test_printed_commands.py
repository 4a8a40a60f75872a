"""The commands and studies that README and the documentation print do what they say, as printed, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import soundfile
from _pytest.mark import ParameterSet
from transformers import WhisperConfig, WhisperForConditionalGeneration

from babelscope import corpora
from babelscope.cli import main
from babelscope.report.pdf import find_browser
from babelscope.study import Study
from babelscope.testing import tiny
from conftest import SAMPLE_RATE, tone, write_manifest
from run_apart import run_apart
from test_docs import PAGES, ROOT, blocks

README = ROOT / "README.md"
PRINTED = [README, ROOT / "CONTRIBUTING.md", *PAGES]

#: Commands that are not run here, and why.
NOT_HERE = {
    r"^make ": "makes an environment of its own and fetches; CI runs both",
    r"^pip install ": "installs",
    r"^\.venv/bin/": "is what CI itself runs",
    r"^babelscope run paper ": "needs released weights and FLEURS; tests/test_paper_study.py runs it on small ones",
    r"^babelscope relate ": "needs accuracies of five languages; tests/gaps/test_tasks.py runs it",
    r"^babelscope fetch hf:": "needs the hub; tests/fetch run it on a server of their own",
    r" --engine ray": "needs Ray; tests/plugins/ray_engine run it",
}

#: Commands that take minutes, or that need what such a command made.
LONG = {
    r"^babelscope demo": "two studies of three models on real recordings",
    r"^babelscope run study\.toml( --dry-run)?$@README": "Whisper on its own window",
    r"^babelscope (run|encode) examples/study\.toml$": "Whisper on its own window",
    r"^babelscope run examples/study\.toml --dry-run": "Whisper on its own window",
    r"^babelscope (compare|report) results/first-study": "the results of the line before",
    r"^babelscope models verify (whisper-base|pocket)": "three real models, run some ten times each",
    r"^babelscope corpora check asterisk": "all recordings of two languages are decoded",
    r"^babelscope search (index recordings|query)@search": "the same real model as the same lines of README",
    r"^babelscope search index asterisk": "300 recordings",
    r"^babelscope search evaluate --index prompts": "the index of the line before",
}

#: Exit codes other than 0 that are an answer: a check of numbers that fails.
MAY_FAIL = r"^babelscope check "


def _why(line: str, page: Path, table: dict[str, str]) -> str:
    for pattern, reason in table.items():
        regex, _, only = pattern.partition("@")
        if (not only or only == page.stem) and re.search(regex, line):
            return reason
    return ""


def lines(page: Path) -> Iterator[str]:
    """Every command that a page prints, without its comment."""
    for block in blocks(page):
        if block.language in ("sh", "console"):
            for line in block.body.splitlines():
                if typed := shlex.split(line.removeprefix("$ "), comments=True):
                    yield shlex.join(typed)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory, e5_folder: Path) -> Path:
    """What pages take as the reader's own: recordings, a manifest, a study, and results of three studies."""
    folder = tmp_path_factory.mktemp("given")
    languages = ("eng", "fra", "rus", "swh")
    own = folder / "own"
    own.mkdir()
    manifest = write_manifest(own, 10, languages)
    text = re.sub(r",(\w+-\d+\.wav),", r",own/\1,", manifest.read_text(encoding="utf-8"))
    (folder / "my-sentences.csv").write_text(text, encoding="utf-8")
    for three, two in zip(languages, ("en", "fr", "ru", "sw"), strict=True):
        text = text.replace(f",{three},", f",{two},")
    (folder / "sentences.csv").write_text(text, encoding="utf-8")
    (folder / "recordings").mkdir()
    for number in range(3):
        soundfile.write(folder / "recordings" / f"{number}.wav", tone(1.5, 200 + 90 * number, number), SAMPLE_RATE)
    (folder / "recordings" / "texts.txt").write_text("Please enter your password.\nGood bye.\n", encoding="utf-8")
    shutil.copy(folder / "recordings" / "0.wav", folder / "question.wav")
    tiny("seamless-m4t-v2", folder / "seamless")
    shared = "permutations = 19\nmeasures = ['linear_cka', 'retrieval']\ncontrols = ['none', 'length_regressed']\n"
    shared += "kinds = ['modality_similarity', 'language_similarity_text', 'language_similarity_speech']\n"
    shared += "[corpus]\nsource = 'manifest'\n"
    shared += "path = 'my-sentences.csv'\n"
    model = "[model]\nname = 'seamless-m4t-v2-large'\nweights = 'seamless'\n"
    for name in ("old", "new"):
        (folder / f"{name}.toml").write_text(f"output = 'results/{name}'\n{shared}n = 8\n{model}", encoding="utf-8")
    config = WhisperConfig(
        vocab_size=60, num_mel_bins=80, d_model=16, encoder_layers=6, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_source_positions=1500,
        max_target_positions=20, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3,
    )  # fmt: skip
    WhisperForConditionalGeneration(config).save_pretrained(folder / "whisper")
    weights = f"{{ whisper-base = 'whisper', e5-small = '{e5_folder}' }}"
    pair = f"[model]\nname = 'whisper-base+e5-small'\nwindow_seconds = 2\nweights = {weights}\n"
    (folder / "study.toml").write_text(f"output = 'results/first'\nintervals = false\n{shared}{pair}", encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for name in ("old", "study"):
            assert main(["run", f"{name}.toml"]) == 0
    finally:
        os.chdir(before)
    shutil.copytree(folder / "results" / "old", folder / "results" / "new")
    return folder


def _prepare(page: Path, given: Path, folder: Path) -> None:
    """Lay what a page tells the reader to save, and what it takes as theirs, into an empty folder."""
    if page != README:
        shutil.copytree(given, folder, dirs_exist_ok=True)
    else:
        shutil.copytree(given / "recordings", folder / "recordings")
    for block in blocks(page):
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.body, encoding="utf-8")


def _needs_assets(page: Path) -> bool:
    return any(re.search(r"fetch|search|asterisk|demo|models verify (whisper|pocket)", line) for line in lines(page))


def _pages(slow: bool) -> Iterator[ParameterSet]:
    for page in PRINTED:
        runnable = [line for line in lines(page) if not _why(line, page, NOT_HERE)]
        if any(bool(_why(line, page, LONG)) == slow for line in runnable):
            marks = [pytest.mark.assets, pytest.mark.plugins] if _needs_assets(page) else []
            marks += [pytest.mark.plugins] if any("salmonn" in line for line in runnable) else []
            # A line for every command, each of which has quick tests of its own.
            marks += [pytest.mark.slow] if page.stem == "command-line" else []
            yield pytest.param(page, id=page.stem, marks=marks)


def _run(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    code = main(shlex.split(line)[1:])
    told = capsys.readouterr()
    if "--format pdf" in line and find_browser() is None:
        assert code == 1 and "in any browser and print it" in told.err
        return
    assert _passes(line, code, told.out), f"{line}\n{told.err}"


def _passes(line: str, code: int, out: str) -> bool:
    """Return whether a command ended well, or as a check of random weights may."""
    return code == 0 or (code == 1 and re.search(MAY_FAIL, line) is not None and "FAIL" in out)


@pytest.mark.parametrize("page", list(_pages(slow=False)))
def test_the_commands_of_a_page_run_as_printed(
    page: Path, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _prepare(page, given, tmp_path)
    monkeypatch.chdir(tmp_path)
    for line in lines(page):
        if not _why(line, page, NOT_HERE) and not _why(line, page, LONG):
            _run(line, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("page", list(_pages(slow=True)))
def test_the_long_commands_of_a_page_run_as_printed(page: Path, given: Path, tmp_path: Path) -> None:
    """By a shell, as a reader does."""
    _prepare(page, given, tmp_path / "here")
    program = tmp_path / "bin" / "babelscope"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m babelscope "$@"\n')
    program.chmod(0o755)
    for line in lines(page):
        if not _why(line, page, NOT_HERE):
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=tmp_path / "here",
                env=os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert _passes(line, done.returncode, done.stdout), f"{line}\n{done.stderr[-3000:]}"


def test_every_command_that_is_printed_is_run_or_has_a_reason() -> None:
    for page in PRINTED:
        for line in lines(page):
            assert line.startswith("babelscope ") or _why(line, page, NOT_HERE), f"{page.name}: {line}"
    every = [(line, page) for page in PRINTED for line in lines(page)]
    for table in (NOT_HERE, LONG):
        for pattern, reason in table.items():
            assert any(_why(line, page, {pattern: reason}) for line, page in every), f"nothing is {pattern}"


#: Blocks of other kinds than Python, commands, studies and manifests, and why they are not run here.
OTHER_BLOCKS = {
    "checking:yaml": "a workflow of GitHub: its action is run in test_packaging.py",
    "mteb:py": "needs the weights of pocket and data sets of the hub: the same calls are in search/test_mteb.py",
    "manifests:py": "loads from the hub; corpora/test_dataset_objects.py reads such data sets",
    "training:py": "a fragment of the reader's training; tests/test_monitor_trainer.py trains so",
    "many-machines:bash": "needs Slurm; tests/plugins/ray_engine/test_slurm.py runs it where there is one",
    "many-machines:yaml": "needs Kubernetes; tests/plugins/ray_engine/test_examples.py reads it",
    "corpora-check:text": "what is printed",
    "corpora-check:json": "what is written; tests/corpora/test_corpora_check.py has its keys",
    "checking:text": "what is printed, and a grammar",
    "verifying-models:text": "what is printed",
    "stores:": "what is printed",
    "CONTRIBUTING:": "a drawing",
    "architecture:": "a drawing",
}


def test_every_block_that_is_printed_is_run_or_has_a_reason() -> None:
    others = {
        f"{page.stem}:{block.language}"
        for page in PRINTED
        for block in blocks(page)
        if block.language not in ("python", "sh", "console", "toml", "csv")
    }
    assert others == OTHER_BLOCKS.keys()


#: Manifests that are no plain tables on purpose: the Python of their page, which test_docs runs, says how each is read.
READ_BY_THEIR_PAGE = {"mine.csv": "through a mapping of columns", "broken.csv": "with all that is wrong in it"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(block.body, id=f"{page.stem}-{block.line}")
        for page in PRINTED
        for block in blocks(page)
        if block.language == "csv" and block.title not in READ_BY_THEIR_PAGE
    ],
)
def test_every_manifest_that_is_printed_is_one(body: str, tmp_path: Path) -> None:
    (tmp_path / "printed.csv").write_text(body, encoding="utf-8")
    for number, name in enumerate(re.findall(r",([\w/-]+\.(?:wav|flac|mp3)),", body)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, tone(1.0, 200 + 50 * number, number), SAMPLE_RATE)
    corpus = corpora.load("manifest", path=tmp_path / "printed.csv")
    assert sum(len(corpus.recordings(*cell)) for cell in product(corpus.sentences, corpus.languages)) == body.count("/")
    assert not [problem for problem in corpus.problems if problem.severity == "error"]


@pytest.mark.assets
@pytest.mark.plugins
def test_the_python_of_readme_runs_as_printed(tmp_path: Path) -> None:
    code = "\n".join(block.body for block in blocks(README) if block.language == "python")
    ended, printed = run_apart(code, tmp_path / "readme.py")
    assert ended == 0, printed
    assert {"report.html", "result.json", "scores.parquet", "activations.zarr"} <= {
        path.name for path in (tmp_path / "results" / "small").iterdir()
    }


def _toml_blocks() -> Iterator[ParameterSet]:
    for page in PRINTED:
        for block in blocks(page):
            of_another_file = block.title in ("pyproject.toml", "rules.toml") or "entry-points" in block.body
            if block.language == "toml" and not of_another_file:
                marks = [pytest.mark.plugins] if 'name = "pocket' in block.body else []
                yield pytest.param(block.body, id=f"{page.stem}-{block.line}", marks=marks)


@pytest.mark.parametrize("body", list(_toml_blocks()))
def test_every_study_that_is_printed_is_one_or_a_part_of_one(body: str) -> None:
    printed = tomllib.loads(body)
    whole = {"corpus": {"source": "asterisk"}, "model": {"name": "whisper-base+e5-small"}}
    for name, table in whole.items():
        printed[name] = {**table, **printed.get(name, {})}
    Study.parse(printed)
