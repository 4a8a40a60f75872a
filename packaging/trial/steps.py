"""What a user does with the installed package: as README and the documentation print it, and with what goes wrong.

Run by ``packaging/trial/run.sh`` as a user of its own, without a network. Needs the package, ``soundfile`` (which comes
with it) and the pages; nothing of this repository's code. Writes ``trial.md`` and ``trial.json``: a row a step.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import getpass
import hashlib
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^```(?P<head>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)

#: Commands of the pages that are left out here, and why.
LEFT_OUT = {
    r"^make |^pip install ": "makes or fills another environment",
    r"^babelscope run paper ": "needs released weights and FLEURS",
    r" --engine ray": "needs Ray",
    r"^babelscope fetch (hf:|.*e5-small-q4)": "another download",
    r"^babelscope (run|encode) examples/study\.toml$": "Whisper on its own window: many minutes",
    r"^babelscope (compare|report) results/first-study": "the results of the line before",
    r"^babelscope demo --languages 9": "another download",
    r"^babelscope demo$": "is run before README",
    r"^babelscope models verify (whisper|pocket)|^babelscope search (index asterisk|evaluate --index prompts)": (
        "many minutes: pytest -m slow tests/test_printed_commands.py runs it"
    ),
    r"--track tensorboard|--to tensorboard": "an optional package",
    r"--point speech.layer.0=speech.layer.5": "small weights have two layers: pytest tests/test_printed_commands.py",
}

#: Pages whose Python needs a package that does not come with babelscope.
NEEDS = {"notebooks": "matplotlib", "trackers": "tensorboard", "training": "accelerate"}

#: What the Python of a page takes as the reader's own.
GIVEN = {
    "which-number": "import numpy; text, speech = numpy.random.default_rng(0).normal(size=(2, 60, 8))\n",
    "notebooks": "import matplotlib; matplotlib.use('agg')\n",
}

#: What a run says of when it was and how long it took: all that may differ between two runs of one study.
TIMES = re.compile(
    rb'\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?|"seconds": [\d.]+|Time taken</th><td data-sort="[^"]*">[^<]*<'
)

TINY = """
import sys, numpy, soundfile
from babelscope.testing import tiny
tiny("seamless-m4t-v2", "seamless")
rng = numpy.random.default_rng(0)
lines = ["sentence,language,text,audio"]
for number in range(8):
    for language, pitch in zip(sys.argv[1:], (1.0, 1.3, 1.6, 1.9, 2.2)):
        name = f"{language}-{number}.wav"
        times = numpy.arange(int(16000 * (0.6 + 0.1 * number))) / 16000
        wave = 0.3 * numpy.sin(2 * numpy.pi * (150 + 60 * number) * pitch * times) + 0.01 * rng.normal(size=times.size)
        soundfile.write(name, wave, 16000)
        lines.append(f"s{number},{language},{'abcdefgh'[number] * (number + 2)} {language},{name}")
open("mine.csv", "w").write("\\n".join(lines) + "\\n")
open("study.toml", "w").write('''output = "out"
permutations = 99
measures = ["linear_cka", "retrieval"]
[corpus]
source = "manifest"
path = "mine.csv"
[model]
name = "seamless-m4t-v2-large"
weights = "seamless"
''')
"""

EXPORT = """
import sys, soundfile, babelscope
from babelscope.audio import load_audio
language, folder = sys.argv[1:]
corpus = babelscope.load_corpus("asterisk").select(languages=[language], n=6, min_words=4, max_seconds=6, distinct=True)
lines = ["sentence,language,text,audio,reader"]
for number, (sentence, suffix) in enumerate(zip(corpus.sentences, ("wav", "flac", "mp3", "ogg", "wav", "flac"))):
    name = f"{folder}/{number}.{suffix}"
    soundfile.write(name, load_audio(corpus.recordings(sentence, language)[0]), 16000)
    text = corpus.text(sentence, language).replace('"', "'")
    lines.append(f's{number},{language},"{text}",{name},me')
open("my-sentences.csv", "w").write("\\n".join(lines) + "\\n")
open(f"{folder}/texts.txt", "w").write("\\n".join(corpus.text(s, language) for s in corpus.sentences) + "\\n")
"""


@dataclass
class Done:
    """A command that ended: its exit code, what it said, and how long it took."""

    code: int
    said: str
    seconds: float


@dataclass(eq=False)
class Trial:
    """Steps, and whether each was as it should be."""

    home: Path
    rows: list[tuple[bool | None, str, str]] = field(default_factory=list)

    def run(self, line: str, folder: Path, **environment: str) -> Done:
        """Run a line in a shell."""
        started = time.monotonic()
        ran = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=_environment(environment), capture_output=True, text=True, check=False
        )
        return Done(ran.returncode, ran.stdout + ran.stderr, time.monotonic() - started)

    def call(self, line: str, folder: Path, **environment: str) -> Done:
        """Run a line of babelscope in this process: the same program, without the seconds that starting it takes."""
        from babelscope.cli import main as program

        started, said = time.monotonic(), io.StringIO()
        before, here, arguments = dict(os.environ), Path.cwd(), sys.argv
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = shlex.split(line)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = program(sys.argv[1:])
        finally:
            os.chdir(here)
            sys.argv = arguments
            os.environ.clear()
            os.environ.update(before)
        return Done(code, said.getvalue(), time.monotonic() - started)

    def expect(self, name: str, done: Done, code: int | Sequence[int] = 0, *texts: str, kept: bool = True) -> Done:
        """Note whether a command ended with a code and said all of some texts, without a traceback."""
        codes = (code,) if isinstance(code, int) else code
        problems = [] if done.code in codes else [f"exit code {done.code}, not {' or '.join(map(str, codes))}"]
        problems += [f"does not say {text!r}" for text in texts if not re.search(text, done.said)]
        problems += ["a traceback"] if "Traceback" in done.said else []
        problems += ["an internal error"] if "Internal error" in done.said else []
        problems += [] if kept else ["what is kept is wrong"]
        last = done.said.strip().splitlines()[-1:] or [""]
        self.rows.append((not problems, name, "; ".join(problems) or f"{done.code}, {done.seconds:.0f} s: {last[0]}"))
        print(("ok    " if not problems else "FAIL  ") + f"{name}: {self.rows[-1][2]}"[:300], flush=True)
        if problems:
            print("      " + done.said.strip()[-1500:].replace("\n", "\n      "), flush=True)
        return done

    def leave_out(self, name: str, reason: str) -> None:
        """Note what is not done here, and why."""
        self.rows.append((None, name, reason))

    def note(self, name: str, good: bool, what: str) -> None:
        """Note something that is no command."""
        self.expect(name, Done(0 if good else 1, what, 0.0))


def _environment(more: dict[str, str]) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "2", **more}


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """Yield language, title and body of each fenced block of a page."""
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        words = re.findall(r"[\w-]+", match["head"].split("title=")[0])
        title = re.search(r'title="([^"]+)"', match["head"])
        yield words[0] if words else "", title[1] if title else "", match["body"]


def follow(trial: Trial, page: Path, folder: Path) -> None:
    """Run the commands and the Python of a page as printed, in a folder."""
    for _, title, body in blocks(page):
        if title and not title.startswith("."):
            (folder / title).parent.mkdir(parents=True, exist_ok=True)
            (folder / title).write_text(body, encoding="utf-8")
            if title == "pyproject.toml":
                _install(body, folder)
    for language, _, body in blocks(page):
        if language in ("sh", "console"):
            for line in body.splitlines():
                words = shlex.join(shlex.split(line.removeprefix("$ "), comments=True))
                reason = next((why for pattern, why in LEFT_OUT.items() if re.search(pattern, words)), "")
                if reason:
                    trial.leave_out(f"{page.stem}: {words}", reason)
                elif words:
                    trial.expect(f"{page.stem}: {words}", *_printed(trial, words, folder))
    code = "\n".join(body for language, title, body in blocks(page) if language == "python" and not title)
    needed = NEEDS.get(page.stem)
    if code and needed and importlib.util.find_spec(needed) is None:
        trial.leave_out(f"{page.stem}: its Python", f"needs {needed}, which is not installed with babelscope")
    elif code:
        (folder / "as_printed.py").write_text(GIVEN.get(page.stem, "") + code, encoding="utf-8")
        done = trial.run(f"{shlex.quote(sys.executable)} as_printed.py", folder)
        trial.expect(f"{page.stem}: its Python", done)


def _printed(trial: Trial, line: str, folder: Path) -> tuple[Done, tuple[int, ...]]:
    """Run a line of a page; return it with the exit codes that are an answer: a check of a random model may fail."""
    if not line.startswith("babelscope check"):
        return trial.run(line, folder), (0,)
    done = trial.run(line, folder)
    return done, (0, 1) if re.search("^FAIL", done.said, re.MULTILINE) else (0,)


def _install(pyproject: str, folder: Path) -> None:
    """Make the entry points of a page's package known to what runs in a folder, as an installer does."""
    project = tomllib.loads(pyproject)["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    heading = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(heading, encoding="utf-8")
    groups = (
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")


def readme(trial: Trial, given: argparse.Namespace) -> None:
    """The demonstration and README, in an empty folder."""
    folder = trial.home / "readme"
    (folder / "recordings").mkdir(parents=True)
    _export(trial, folder, "fr", "recordings")
    (folder / "my-sentences.csv").unlink()
    trial.expect("demo", trial.run("babelscope demo", folder), 0, r"Report .*report\.html")
    follow(trial, given.pages / "README.md", folder)
    scores = ("results/demo", "results/first-study", "results/small")
    missing = [name for name in scores if not (folder / name / "report.html").is_file()]
    trial.note("README: every report is there", not missing, ", ".join(missing) or ", ".join(scores))


def pages(trial: Trial, given: argparse.Namespace) -> None:
    """Every page of the documentation, each with the same results, recordings and small weights as the reader's own."""
    reader = _reader(trial)
    for page in sorted((given.pages / "docs").glob("*.md")):
        if any(language in ("sh", "console", "python") for language, _, _ in blocks(page)):
            folder = trial.home / f"page-{page.stem}"
            shutil.copytree(reader, folder)
            follow(trial, page, folder)


def _reader(trial: Trial) -> Path:
    """Return a folder with what the pages take as the reader's own."""
    folder = trial.home / "reader"
    (folder / "recordings").mkdir(parents=True)
    _small(trial, folder, "eng", "fra", "rus", "swh", "spa")
    text = (folder / "mine.csv").read_text(encoding="utf-8")
    (folder / "my-sentences.csv").write_text(text, encoding="utf-8")
    for three, two in (("eng", "en"), ("fra", "fr"), ("rus", "ru"), ("swh", "sw"), ("spa", "es")):
        text = text.replace(f",{three},", f",{two},")
    (folder / "sentences.csv").write_text(text, encoding="utf-8")
    for number in range(3):
        shutil.copy(folder / f"fra-{number}.wav", folder / "recordings")
    (folder / "recordings" / "texts.txt").write_text("Please enter your password.\nGood bye.\n", encoding="utf-8")
    shutil.copy(folder / "fra-0.wav", folder / "question.wav")
    rows = ["language,accuracy,hours", "eng,0.9,100", "fra,0.8,80", "rus,0.7,60", "swh,0.3,5", "spa,0.8,90"]
    (folder / "accuracies.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "results").mkdir()
    trial.expect("the reader's study", trial.run("babelscope run study.toml -o results/first", folder))
    for name in ("second", "old", "new"):
        shutil.copytree(folder / "results" / "first", folder / "results" / name)
    return folder


def own_recordings(trial: Trial, _: argparse.Namespace) -> None:
    """A manifest of six own recordings of four formats, and what stands on the result."""
    folder = trial.home / "six"
    (folder / "own").mkdir(parents=True)
    _export(trial, folder, "en", "own")
    table = '[corpus]\nsource = "manifest"\npath = "my-sentences.csv"\n[model]\nname = "pocket"\n'
    (folder / "mine.toml").write_text(f'name = "mine"\noutput = "results/mine"\n{table}', encoding="utf-8")
    lines = (folder / "my-sentences.csv").read_text(encoding="utf-8").splitlines()
    (folder / "three.csv").write_text("\n".join(lines[:4]) + "\n", encoding="utf-8")
    three = table.replace("my-sentences", "three")
    (folder / "three.toml").write_text(f'output = "results/three"\n{three}', encoding="utf-8")
    for command in ("corpora check mine.toml", "run mine.toml --dry-run", "run mine.toml"):
        trial.expect(f"six: {command}", trial.run(f"babelscope {command}", folder))
    for command in ("run three.toml --dry-run", "run three.toml"):
        trial.expect(f"three: {command}", trial.run(f"babelscope {command}", folder), (1, 2), "at least 5")
    trial.expect("a wrong column", _wrong_column(trial, folder), (1, 2), "wav")
    for command in (
        "run mine.toml",
        "verify results/mine/activations.zarr",
        "check results/mine --max modality_gap=2",
        "check results/mine --no-worse-than results/mine",
        "diff results/mine/activations.zarr results/mine/activations.zarr",
        "leaderboard results",
        "view results",
        "report results/mine --format md",
        "search index own --index index",
        "search query 'please enter your password' --index index --html found.html",
        "relate --help",
    ):
        trial.expect(f"six: {command}", trial.run(f"babelscope {command}", folder))


def _wrong_column(trial: Trial, folder: Path) -> Done:
    text = (folder / "my-sentences.csv").read_text(encoding="utf-8").replace("text,audio", "text,wav", 1)
    (folder / "wrong.csv").write_text(text, encoding="utf-8")
    return trial.run("sed s/my-sentences/wrong/ mine.toml > wrong.toml; babelscope run wrong.toml --dry-run", folder)


def _export(trial: Trial, folder: Path, language: str, below: str) -> None:
    line = shlex.join([sys.executable, "-c", EXPORT, language, below])
    trial.expect(f"six {language} recordings", trial.run(line, folder))


def _small(trial: Trial, folder: Path, *languages: str) -> None:
    """Write a study of small random weights on tones in some languages."""
    trial.expect(
        f"small weights: {folder.name}", trial.run(shlex.join([sys.executable, "-c", TINY, *languages]), folder)
    )


def _tiny(trial: Trial) -> tuple[Path, dict[str, str]]:
    """Return a folder with a study of a tiny model, run once undisturbed, and what that left."""
    folder = trial.home / "faults"
    if not (folder / "undisturbed" / "result.json").is_file():
        folder.mkdir(exist_ok=True)
        _small(trial, folder, "eng", "fra")
        trial.expect("undisturbed", trial.run("babelscope run study.toml -o undisturbed", folder))
    return folder, _contents(folder / "undisturbed")


#: A study that is soon done, for what is run many times.
SHORT = "babelscope run study.toml --set 'kinds=[modality_similarity]' --set 'controls=[none]' -o"


@functools.cache
def _short(trial: Trial) -> tuple[Path, dict[str, str], float]:
    """Return a folder with a short study, what it leaves when nothing disturbs it, and how long that takes."""
    folder = trial.home / "short"
    folder.mkdir()
    _small(trial, folder, "eng", "fra")
    done = trial.expect("short: undisturbed", trial.run(f"{SHORT} undisturbed", folder))
    return folder, _contents(folder / "undisturbed"), done.seconds


def interrupts(trial: Trial, _: argparse.Namespace) -> None:
    """Ctrl-C five times."""
    # Python leaves with the signal itself, which a shell reports as 130, once the report is there and it is ending.
    _stopped(trial, "SIGINT", signal.SIGINT, (130, 0, -signal.SIGINT), [0.35, 0.48, 0.61, 0.74, 0.87])


def signals(trial: Trial, _: argparse.Namespace) -> None:
    """SIGTERM and kill -9; two runs on one output; a clock that is wrong."""
    _stopped(trial, "SIGTERM", signal.SIGTERM, (-signal.SIGTERM, 0), [0.55, 0.75])
    _stopped(trial, "kill -9", signal.SIGKILL, (-signal.SIGKILL, 0), [0.55, 0.75])
    folder, expected, _seconds = _short(trial)
    command, nothing = [*shlex.split(SHORT), "run-two"], subprocess.DEVNULL
    first = subprocess.Popen(command, cwd=folder, env=_environment({}), stderr=nothing, stdout=nothing)
    while first.poll() is None and not list((folder / "run-two").glob("*")):
        time.sleep(0.05)
    second = trial.run(f"{SHORT} run-two", folder)
    trial.expect("two runs on one output", second, 1, rf"\b{first.pid}\b", getpass.getuser())
    first.wait()
    kept = _contents(folder / "run-two") == expected
    trial.expect("the first of two", Done(first.returncode, "the same bytes", 0.0), 0, kept=kept)
    if shutil.which("faketime"):
        done = trial.run(f"faketime -f -7y {SHORT} run-past", folder)
        trial.expect("clock seven years back", done, 0, kept=_contents(folder / "run-past") == expected)
    else:
        trial.leave_out("clock seven years back", "needs faketime")


def _stopped(trial: Trial, name: str, which: signal.Signals, codes: tuple[int, ...], shares: Sequence[float]) -> None:
    """Stop a run by a signal at some shares of its time, and run it again: it ends in the same bytes."""
    folder, expected, seconds = _short(trial)
    for number, share in enumerate(shares, 1):
        output = f"{which.name}-{number}"
        code, said = _signalled(folder, output, which, seconds * share)
        texts = ("stopped; run|Report",) if which == signal.SIGINT else ()
        trial.expect(f"{name} {number}", Done(code, said, 0.0), codes, *texts)
        done = trial.run(f"{SHORT} {output}", folder)
        trial.expect(f"{name} {number}, again: the same bytes", done, kept=_contents(folder / output) == expected)


def disks(trial: Trial, given: argparse.Namespace) -> None:
    """File systems that are full, and a folder that cannot be written."""
    folder, expected = _tiny(trial)
    for place in given.small:
        done = trial.call(f"babelscope run study.toml -o {place}/out", folder)
        trial.expect(f"disk full at {place.name}", done, 1, str(place))
        verified = trial.call(f"babelscope verify {place}/out/activations.zarr", folder)
        trial.expect(f"verify after {place.name}", verified, (0, 1, 2))
        shutil.copytree(place / "out", folder / f"after-{place.name}")
        done = trial.call(f"babelscope run study.toml -o after-{place.name}", folder)
        kept = _contents(folder / f"after-{place.name}") == expected
        trial.expect(f"{place.name}, with room", done, 0, kept=kept)
    (folder / "locked").mkdir()
    (folder / "locked").chmod(0o555)
    done = trial.call("babelscope run study.toml -o locked/out", folder)
    trial.expect("an output that cannot be written", done, 1, "locked", "permission|written|write")


def _signalled(folder: Path, output: str, which: signal.Signals, seconds: float) -> tuple[int, str]:
    """Start a run, send it a signal after a time, and return its exit code and what it said."""
    run = subprocess.Popen(
        [*shlex.split(SHORT), output], cwd=folder, env=_environment({}), text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    time.sleep(seconds)
    run.send_signal(which)
    said, _ = run.communicate()
    return run.returncode, said


def _contents(folder: Path) -> dict[str, str]:
    """Return the digest of every file that a run leaves, but for times, its folder's name, and the objects of a PDF."""
    digests = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix not in (".lock", ".pdf"):
            content = path.read_bytes()
            if path.name in ("report.html", "result.json", "zarr.json", "index.json"):
                content = TIMES.sub(b"", content).replace(folder.name.encode(), b"")
            digests[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return digests


def damage(trial: Trial, _: argparse.Namespace) -> None:
    """Damage one file of a whole study after the other; verify names it, compare does not use it, run mends it."""
    folder, expected = _tiny(trial)

    def copy(name: str) -> Path:
        shutil.copytree(folder / "undisturbed", folder / name)
        return folder / name

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(bytes(content))

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    store = "activations.zarr"
    chunk = sorted(path for path in (folder / "undisturbed" / store / "activation").rglob("*") if path.is_file())
    chunk = [path for path in chunk if path.name != "zarr.json"]
    for name, change in (("corrupt", flip), ("gone", Path.unlink)):
        place = copy(f"chunk-{name}")
        change(place / chunk[0].relative_to(folder / "undisturbed"))
        trial.expect(f"chunk {name}: verify", trial.call(f"babelscope verify {place}/{store}", folder), 1)
        trial.expect(f"chunk {name}: compare", trial.call(f"babelscope compare {place}/{store}", folder), 1)
        done = trial.call(f"babelscope verify {place}/{store} --repair", folder)
        trial.expect(f"chunk {name}: verify --repair", done)
        before = {path: path.stat().st_mtime_ns for path in place.glob(f"{store}/activation/**/*") if path.is_file()}
        done = trial.call(f"babelscope run study.toml -o {place.name}", folder)
        again = [path for path, at in before.items() if path.stat().st_mtime_ns != at and path.name != "zarr.json"]
        trial.expect(f"chunk {name}: run", done, kept=_contents(place) == expected)
        trial.note(
            f"chunk {name}: no other block is made anew", not again, f"{len(again)} of {len(before)} files written"
        )
        trial.expect(f"chunk {name}: verify again", trial.call(f"babelscope verify {place}/{store}", folder))
    for coordinate in ("depth", "language", "width", "sentence", "point"):
        place = copy(f"no-{coordinate}")
        files = [path for path in (place / store / coordinate / "c").rglob("*") if path.is_file()]
        for path in files or [place / store / coordinate / "c"]:
            path.unlink(missing_ok=True)
        trial.expect(
            f"{coordinate} gone: verify", trial.call(f"babelscope verify {place}/{store}", folder), 1, coordinate
        )
        trial.expect(f"{coordinate} gone: compare", trial.call(f"babelscope compare {place}/{store}", folder), 1)
    place = copy("no-root")
    (place / store / "zarr.json").unlink()
    trial.expect("root gone: verify", trial.call(f"babelscope verify {place}/{store}", folder), 1)
    trial.expect("root gone: compare", trial.call(f"babelscope compare {place}/{store}", folder), (1, 2))
    for name in ("result.json", "scores.parquet"):
        place = copy(f"cut-{name}")
        cut(place / name)
        trial.expect(f"{name} cut: report", trial.call(f"babelscope report {place}", folder), 1, name)
        done = trial.call(f"babelscope run study.toml -o {place.name}", folder)
        trial.expect(f"{name} cut: run", done, kept=_contents(place) == expected)


def caches(trial: Trial, given: argparse.Namespace) -> None:
    """An empty cache without a network, a dead proxy, another user's cache, and what is damaged in a cache."""
    folder, other = trial.home / "caches", given.other_cache
    folder.mkdir()
    empty = {"BABELSCOPE_CACHE": str(trial.home / "empty-cache")}
    done = trial.run("babelscope fetch asterisk", folder, **empty)
    trial.expect("offline, empty cache", done, 1)
    trial.note("offline is known soon", done.seconds < 60, f"{done.seconds:.0f} s")
    dead = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    trial.expect("a dead proxy", trial.run("babelscope fetch asterisk", folder, **empty, **dead), 1)
    if other is not None:
        theirs = {"BABELSCOPE_CACHE": str(other)}
        done = trial.run("babelscope corpora show asterisk", folder, **theirs)
        trial.expect("another user's cache is read", done)
        done = trial.run("babelscope fetch tuxpaint", folder, **theirs)
        trial.expect("nothing is fetched into it", done, 1, "BABELSCOPE_CACHE")
    own = Path(os.environ.get("BABELSCOPE_CACHE", Path.home() / ".cache" / "babelscope"))
    copy = trial.home / "damaged-cache"
    subprocess.run(["cp", "-r", str(own), str(copy)], check=True)
    weights = max((copy / "assets").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    archive = next((path for path in sorted((copy / "assets").rglob("en.zip"))), None)
    damaged = {"BABELSCOPE_CACHE": str(copy)}
    study = "[corpus]\nsource = 'asterisk'\nlanguages = ['en']\nn = 6\nmax_seconds = 4\n[model]\nname = 'pocket'\n"
    (folder / "real.toml").write_text(f"output = 'real'\n{study}", encoding="utf-8")
    with weights.open("r+b") as file:
        file.seek(weights.stat().st_size // 2)
        file.write(bytes(20_000))
    done = trial.run("babelscope run real.toml", folder, **damaged)
    trial.expect("20,000 bytes of weights zeroed: run", done, 1, "fetch")
    done = trial.run("babelscope fetch whisper-base e5-small", folder, **damaged)
    trial.expect("zeroed: fetch offline notices", done, 1)
    if archive is not None:
        archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
        done = trial.run("babelscope corpora show asterisk", folder, **damaged)
        trial.expect("en.zip cut: named", done, 1, "fetch")
        done = trial.run("babelscope fetch asterisk", folder, **damaged)
        trial.expect("en.zip cut: fetch offline does not say that it is here", done, 1)


PARTS: dict[str, Callable[[Trial, argparse.Namespace], None]] = {
    "readme": readme,
    "own": own_recordings,
    "caches": caches,
    "damage": damage,
    "disks": disks,
    "interrupts": interrupts,
    "signals": signals,
    "pages": pages,
}


def main() -> int:
    """Run the chosen parts; 1 if any step was not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=Path, help="folder with README.md and docs")
    parser.add_argument("home", type=Path, help="an empty folder of the user's")
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--small", type=Path, nargs="*", default=[], help="file systems of little room")
    parser.add_argument("--other-cache", type=Path, help="a cache of another user, readable")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so do theirs
    given.home.mkdir(parents=True, exist_ok=True)
    trial = Trial(given.home)
    for part in given.parts:
        PARTS[part](trial, given)
    failed = [row for row in trial.rows if row[0] is False]
    (given.home / "trial.json").write_text(json.dumps(trial.rows, indent=2), encoding="utf-8")
    marks = {True: "ok", False: "**FAIL**", None: "left out"}
    cells = ((marks[good], name.replace("|", "\\|"), what.replace("|", "\\|")) for good, name, what in trial.rows)
    table = ["| | step | exit code, time, last line |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in cells)]
    (given.home / "trial.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    left = sum(row[0] is None for row in trial.rows)
    print(f"{len(trial.rows) - left} steps, {len(failed)} not as they should be; {left} left out")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
