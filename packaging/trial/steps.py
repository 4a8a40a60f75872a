"""What a user does with the installed package: as README and the documentation print it, and with what goes wrong.

Run by ``packaging/trial/run.sh`` as a user of its own, without a network. Needs the package, ``soundfile`` (which comes
with it) and the pages; nothing of this repository's code.
"""

from __future__ import annotations

import argparse
import contextlib
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^```(?P<head>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)

#: Commands of the pages that are left out here, and why.
LEFT_OUT = {
    r"^make |^pip install |^babelscope run paper |--engine ray": "an environment, released weights, Ray",
    r"^babelscope fetch hf:|e5-small-q4|^babelscope models verify": "another download, or many minutes",
    r"^babelscope (run|encode) examples/study.toml$": "Whisper on its own window: many minutes",
    r"^babelscope (compare|report) results/first-study|^babelscope search evaluate": "what such a command made",
    r"--track tensorboard|--to tensorboard": "an optional package",
}

#: Pages that are followed, after README.
PAGES = ("first-study", "leaderboard", "checking", "search", "corpora-check")

TINY = """
import numpy, soundfile
from babelscope.testing import tiny
tiny("seamless-m4t-v2", "seamless")
rng = numpy.random.default_rng(0)
lines = ["sentence,language,text,audio"]
for number in range(8):
    for language, pitch in (("eng", 1.0), ("fra", 1.3)):
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


@dataclass
class Trial:
    """Steps, and whether each was as it should be."""

    home: Path
    rows: list[tuple[bool, str, str]] = field(default_factory=list)

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
        before, here = dict(os.environ), Path.cwd()
        os.environ.update(environment)
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = program(shlex.split(line)[1:])
        finally:
            os.chdir(here)
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
    for language, _, body in blocks(page):
        if language in ("sh", "console"):
            for line in body.splitlines():
                words = shlex.join(shlex.split(line.removeprefix("$ "), comments=True))
                if words and not any(re.search(pattern, words) for pattern in LEFT_OUT):
                    checks = words.startswith("babelscope check")
                    trial.expect(f"{page.stem}: {words}", trial.run(words, folder), (0, 1) if checks else 0)
    code = "\n".join(body for language, _, body in blocks(page) if language == "python")
    if code:
        done = trial.run(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}", folder)
        trial.expect(f"{page.stem}: its Python", done)


def as_printed(trial: Trial, given: argparse.Namespace) -> None:
    """README in an empty folder, then the pages of the documentation with its results as the reader's own."""
    folder = trial.home / "readme"
    folder.mkdir()
    (folder / "recordings").mkdir()
    _export(trial, folder, "fr", "recordings")
    (folder / "my-sentences.csv").unlink()
    trial.expect("demo", trial.run("babelscope demo", folder), 0, r"Report .*report\.html")
    follow(trial, given.pages / "README.md", folder)
    reader = trial.home / "given"
    shutil.copytree(folder, reader)
    results = reader / "results"
    for name, source in (("first", "small"), ("second", "small"), ("old", "demo"), ("new", "demo")):
        shutil.copytree(results / source, results / name)
    (reader / "own").mkdir()
    _export(trial, reader, "en", "own")
    for name in PAGES:
        page = trial.home / f"page-{name}"
        shutil.copytree(reader, page)
        follow(trial, given.pages / "docs" / f"{name}.md", page)


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


def _tiny(trial: Trial) -> tuple[Path, bytes]:
    """Return a folder with a study of a tiny model, run once undisturbed, and its scores."""
    folder = trial.home / "faults"
    if not (folder / "whole" / "result.json").is_file():
        folder.mkdir(exist_ok=True)
        trial.expect("small weights", trial.run(shlex.join([sys.executable, "-c", TINY]), folder))
        trial.expect("undisturbed", trial.run("babelscope run study.toml -o whole", folder))
    return folder, _scores(folder / "whole")


def signals(trial: Trial, _: argparse.Namespace) -> None:
    """Ctrl-C five times, SIGTERM, kill -9; two runs on one output; a clock that is wrong."""
    folder, expected = _tiny(trial)
    whole = trial.run("babelscope run study.toml -o timed", folder)

    def same(name: str) -> bool:
        return _scores(folder / name) == expected

    for number in range(5):
        output = f"int-{number}"
        code, said = _signalled(trial, folder, output, signal.SIGINT, whole.seconds * (0.35 + 0.13 * number))
        trial.expect(f"SIGINT {number + 1}", Done(code, said, 0.0), (130, 0), "stopped; run|Report")
        done = trial.run(f"babelscope run study.toml -o {output}", folder)
        trial.expect(f"SIGINT {number + 1}, again", done, 0, kept=same(output))
    for name, which in (("SIGTERM", signal.SIGTERM), ("kill -9", signal.SIGKILL)):
        output = name.replace(" ", "")
        _signalled(trial, folder, output, which, whole.seconds * 0.7)
        done = trial.run(f"babelscope run study.toml -o {output}", folder)
        trial.expect(f"{name}, again", done, 0, kept=same(output))
    first = subprocess.Popen(
        ["babelscope", "run", "study.toml", "-o", "two"], cwd=folder, env=_environment({}), stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while first.poll() is None and not list((folder / "two").glob("*")):
        time.sleep(0.05)
    second = trial.run("babelscope run study.toml -o two", folder)
    trial.expect("two runs on one output", second, (0, 1), "(pid|process|[Aa]nother run)|Report")
    first.wait()
    trial.expect("the first of two", trial.run("babelscope report two", folder), 0, kept=same("two"))
    if shutil.which("faketime"):
        done = trial.run("faketime -f -7y babelscope run study.toml -o past", folder)
        trial.expect("clock seven years back", done, 0, kept=same("past"))


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
        kept = _scores(folder / f"after-{place.name}") == expected
        trial.expect(f"{place.name}, with room", done, 0, kept=kept)
    (folder / "locked").mkdir()
    (folder / "locked").chmod(0o555)
    done = trial.call("babelscope run study.toml -o locked/out", folder)
    trial.expect("an output that cannot be written", done, 1, "locked", "permission|written|write")


def _signalled(trial: Trial, folder: Path, output: str, which: signal.Signals, seconds: float) -> tuple[int, str]:
    """Start a run, send it a signal after a time, and return its exit code and what it said."""
    run = subprocess.Popen(
        ["babelscope", "run", "study.toml", "-o", output], cwd=folder, env=_environment({}), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    time.sleep(seconds)
    run.send_signal(which)
    sent = time.monotonic()
    said, _ = run.communicate()
    trial.note(f"{which.name} ends it", time.monotonic() - sent < 10, f"{time.monotonic() - sent:.1f} s")
    return run.returncode, said


def _scores(folder: Path) -> bytes:
    return (folder / "scores.parquet").read_bytes() if (folder / "scores.parquet").is_file() else b""


def damage(trial: Trial, _: argparse.Namespace) -> None:
    """Damage one file of a whole study after the other; verify names it, compare does not use it, run mends it."""
    folder, expected = _tiny(trial)

    def copy(name: str) -> Path:
        shutil.copytree(folder / "whole", folder / name)
        return folder / name

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(bytes(content))

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    store = "activations.zarr"
    chunk = sorted(path for path in (folder / "whole" / store / "activation").rglob("*") if path.is_file())
    chunk = [path for path in chunk if path.name != "zarr.json"]
    for name, change in (("corrupt", flip), ("gone", Path.unlink)):
        place = copy(f"chunk-{name}")
        change(place / chunk[0].relative_to(folder / "whole"))
        trial.expect(f"chunk {name}: verify", trial.call(f"babelscope verify {place}/{store}", folder), 1)
        trial.expect(f"chunk {name}: compare", trial.call(f"babelscope compare {place}/{store}", folder), 1)
        done = trial.call(f"babelscope verify {place}/{store} --repair", folder)
        trial.expect(f"chunk {name}: verify --repair", done)
        done = trial.call(f"babelscope run study.toml -o {place.name}", folder)
        trial.expect(f"chunk {name}: run", done, kept=_scores(place) == expected)
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
        trial.expect(f"{name} cut: run", done, kept=_scores(place) == expected)


def caches(trial: Trial, given: argparse.Namespace) -> None:
    """An empty cache without a network, a dead proxy, another user's cache, and what is damaged in a cache."""
    folder, other = trial.home / "caches", given.other_cache
    folder.mkdir()
    empty = {"BABELSCOPE_CACHE": str(trial.home / "empty-cache")}
    done = trial.run("babelscope fetch asterisk", folder, **empty)
    trial.expect("offline, empty cache", done, 1)
    trial.note("offline is known soon", done.seconds < 30, f"{done.seconds:.0f} s")
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
    "own": own_recordings,
    "caches": caches,
    "damage": damage,
    "disks": disks,
    "signals": signals,
    "pages": as_printed,
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
    given.home.mkdir(parents=True, exist_ok=True)
    trial = Trial(given.home)
    for part in given.parts:
        PARTS[part](trial, given)
    failed = [row for row in trial.rows if not row[0]]
    (given.home / "trial.json").write_text(json.dumps(trial.rows, indent=2), encoding="utf-8")
    print(f"{len(trial.rows)} steps, {len(failed)} not as they should be")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
