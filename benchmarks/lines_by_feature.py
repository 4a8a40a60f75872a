"""Counts how many lines of ``src`` serve what existed at an earlier commit, and how many serve features added since.

``python benchmarks/lines_by_feature.py`` prints a table by package and one by feature; ``--modules`` lists all modules.
It needs git and the whole history, and nothing else.

Method. Each line of a module is assigned once:

1. Modules in :data:`NEW_MODULES` belong to a feature that did not exist at the base commit.
2. In all others, a line that ``git blame -w -M -C`` finds at the base commit is *old*: it survived, or was moved.
3. A line from a commit in :data:`FEATURE_COMMITS` belongs to that feature; one from a commit in :data:`REWORK_COMMITS`
   is *rework*: what existed before, made exact, faster, safer or easier to read.
4. A line from any other commit (redesign, repair, wording) follows the innermost function or class around it: *old* if
   a line of that definition survived, otherwise the feature or rework that wrote most of it; *old* if none did.

Three totals are printed, from the most favourable to the least:

- *old*: the lines of kind *old*. Code that a feature or a rework replaced is not in it, though something still serves
  its purpose.
- *the figure*: the same, but what was rewritten together with a feature (:data:`REWRITTEN`: audio, manifests, models
  over the generic adapters, the report) counts with its size at the base, or with its present lines if these are fewer.
- *with all rework*: rework elsewhere (nulls, intervals, tests) counts as old as well, though it does more than before.

What is uncertain. A commit's part in a feature is judged by its message, once, by hand. Commits that repair or reword a
feature outside of its own modules count by the definition around each line. Blame may take boilerplate for a line that
moved. So the totals say how much was saved within some hundreds of lines, no better.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

BASE = "84e6dfb"
SOURCE = "src/babelscope"
#: Issue 22: at least 4,000 lines fewer than 39,600 for what the base did.
TARGET = 35_600

OLD, REWORK = "old", "rework"

#: Modules of features that did not exist at the base, by pattern below ``src/babelscope``; the first that fits counts.
NEW_MODULES: dict[str, str] = {
    "tokens/*": "tokens", "capture/position*.py": "tokens", "report/*/tokens.py": "tokens",
    "study/tokens.py": "tokens", "gaps/most_similar.py": "tokens",
    "lens/*": "lens", "report/sections/lens.py": "lens", "report/listening.py": "lens", "models/unembedding.py": "lens",
    "neurons/*": "neurons", "report/sections/neurons.py": "neurons", "testing/selective.py": "neurons",
    "interventions/*": "interventions", "report/sections/patch.py": "interventions",
    "verification/*": "model verification", "models/verification.py": "model verification",
    "models/adapters/*": "generic adapters", "models/catalogue.*": "catalogue of models",
    "models/listing.py": "catalogue of models", "models/naming.py": "catalogue of models",
    "testing/tiny/[!s_]*.py": "tiny folders", "testing/tiny/speech_*.py": "tiny folders",
    "testing/tiny/__init__.py": "tiny folders",
    "corpora/checks/*": "corpus check", "corpus_check.py": "corpus check", "corpora/truncation.py": "corpus check",
    "study/checks.py": "corpus check",
    "corpora/manifest/[!r_t]*.py": "manifest layouts", "corpora/manifest/relations.py": "manifest layouts",
    "corpora/manifest/tatoeba.py": "manifest layouts",
    "corpora/artikulate.py": "further corpora", "corpora/belebele_*.py": "further corpora",
    "corpora/sib_fleurs.py": "further corpora", "corpora/common_voice.py": "further corpora",
    "corpora/covost2.py": "further corpora", "corpora/clips.py": "further corpora",
    "corpora/parquet*.py": "further corpora", "corpora/documents.py": "further corpora",
    "corpora/datasets.py": "data sets in memory",
    "gaps/leaderboard.py": "leaderboard", "report/leaderboard.py": "leaderboard", "gaps/readers.py": "readers",
    "capture/second_readings.py": "readers", "gaps/baselines/*": "baselines", "gaps/own_tasks.py": "tasks",
    "gaps/tasks.py": "tasks", "report/evidence/baselines.py": "baselines",
    "mteb_adapter.py": "mteb", "publishing.py": "publishing", "tracking.py": "trackers", "tracking/*": "trackers",
    "text_table.py": "tables and JSON", "key_values.py": "tables and JSON", "runs.py": "leaderboard",
    "preflight.py": "preflight", "study/preflight.py": "preflight", "capture/inventory.py": "store integrity",
    "fetch/integrity.py": "store integrity", "report/verdict.py": "verdict", "report/verdict/*": "verdict",
    "gaps/clusters.py": "clusters", "testing/joint.py": "planted data", "testing/planted_positions.py": "tokens",
    "audio/*": "audio formats and segments", "report/plots.py": "public API", "report/plot.py": "public API",
}  # fmt: skip

#: What was rewritten together with a feature: its modules at the base, those that serve it now, and whether the
#: feature's own lines serve it too.
REWRITTEN: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]] = {
    "audio": (("audio.py",), ("audio/*",), True),
    "manifests": (("corpora/manifest.py",), ("corpora/manifest/*",), True),
    "models": (("models/*",), ("models/*", "plugins/*", "sides.py", "stages.py"), True),
    "report": (("report/*",), ("report/*",), False),
}

#: Commits that added a feature, by what the tables call it.
FEATURE_COMMITS: dict[str, str] = {
    "clusters": "510bfb2 dc1c4a1 1d12aa7 eedd913 d3739a8 1310ff1 b0b7792 6864e54 fca94d5",
    "corpus check": "0138944 80a2221 bb91754 c947fa9 ad6c206",
    "manifest layouts": "d3ff482 c672cd9 dbc1c0e 6f34b4c 25e4438 ff6bb99 369ffc7 5e4d8c5 a2e469a 0f1e3ef c9f7ebd "
    "eaeb47c e7485c7",
    "further corpora": "02d0bf5 0d57103 7e33a51 d3450bc",
    "data sets in memory": "e6a1767",
    "audio formats and segments": "e5fc073 8d0843f 3f13e90 2d5d45a 460129e",
    "generic adapters": "d5bf7b3 1858ef4 01ce19e 4ac540f d2e8fc3 463a28e 0e2d9d5 87e4c7b e6f2caf 018dcf5 e0abb49 "
    "6fce1a5 9ecfd79 f4be97a 0bf3748 15e3190 795d638 080bc9c d311b6b 8f082e5 5ae608f 7b5f61b 13af2d3 8967a55 1e8f72c "
    "0f3d083 91b6fd5 356504e 8adaf28 de2175f 15130bd 2906fdd c11179e 45b93be",
    "catalogue of models": "08a0224 6757278 1e55183 6c3959e",
    "model verification": "65ebdd0 e575973 17d74cf 2b4bce7 ab0e3b4 a150363 b9cecf5",
    "tokens": "ec679a4 f4347db 24e59b9 69b481a 1edc40c bb804b0",
    "lens": "a51bbfe 5493166 e0602fc 08b035d",
    "neurons": "62b3c8e",
    "interventions": "0d508ce",
    "baselines": "eb7555e bc96984 864d3f4 d183982 163a21f 4187a23",
    "readers": "6d3bf85 7541250 b313f64 b8e71e7 04a9de0",
    "leaderboard": "c9ed61a d6d0557",
    "tasks": "26e7647 4baa52c",
    "trackers": "69a7082",
    "publishing": "8127de1",
    "mteb": "724ed8a",
    "public API": "8454bcd f7fb86c 32d6072",
    "tables and JSON": "76d0c54 410d496 c445d1f",
    "store integrity": "0270f6c e422d2f",
    "verdict": "df88ec3 846eec0 4be7b3d d05d8e0 38677b2 39241cb aeb5712",
    "preflight": "1951ddc",
    "planted data": "d4dd5ce 1528552",
}

#: Commits that reworked what existed: exact nulls and intervals, tests over families, the report's questions.
REWORK_COMMITS: dict[str, str] = {
    "nulls and intervals": "a52bb8d dbe0684 f0fa096 f462b33 e8e0293 879c60f b428e68 49e64ad",
    "tests of what is reported": "28a174d 5d85a33 aa5dd58 1c2a241 19b1f63",
    "report by questions": "9168abd d701387 da1cb67 ae49b74 e0ccec3",
    "robustness": "d850646 f7021ae 06d8f9f",
}


def git(*arguments: str) -> str:
    """Return what git prints."""
    root = Path(__file__).parents[1]
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def modules(commit: str) -> dict[str, int]:
    """Return the lines of every module at a commit, by its path below ``src/babelscope``."""
    paths = [path for path in git("ls-tree", "-r", "--name-only", commit, SOURCE).split() if path.endswith(".py")]
    return {path.removeprefix(f"{SOURCE}/"): git("show", f"{commit}:{path}").count("\n") for path in paths}


def blamed(path: str, commit: str) -> list[str]:
    """Return the commit of every line, short; empty for a line that the base has."""
    output = git("blame", "-w", "-M", "-C", "--porcelain", f"{BASE}..{commit}", "--", f"{SOURCE}/{path}")
    lines, from_base, current = [], set(), ""
    for line in output.split("\n"):
        words = line.split(" ")
        if len(words) >= 3 and len(words[0]) == 40 and words[1].isdigit():
            current = words[0]
        elif line == "boundary":
            from_base.add(current)
        elif line.startswith("\t"):
            lines.append(current)
    return ["" if each in from_base else each for each in lines]


def definitions(source: str) -> list[str]:
    """Return the innermost function or class of every line; empty outside of all."""
    names = [""] * (source.count("\n") + 1)

    def visit(node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            own = name
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                own = f"{name}.{child.name}"
                first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                names[first - 1 : child.end_lineno] = [own] * ((child.end_lineno or first) - first + 1)
            visit(child, own)

    visit(ast.parse(source), "")
    return names


def _by_commit() -> dict[str, str]:
    features = {commit: name for name, commits in FEATURE_COMMITS.items() for commit in commits.split()}
    return {
        commit: f"{REWORK}: {name}" for name, commits in REWORK_COMMITS.items() for commit in commits.split()
    } | features


def assigned(path: str, commit: str) -> Counter[str]:
    """Return how many lines of a module belong to what."""
    source = git("show", f"{commit}:{SOURCE}/{path}")
    feature = next((name for pattern, name in NEW_MODULES.items() if fnmatch(path, pattern)), None)
    if feature is not None:
        return Counter({feature: source.count("\n")})
    known = _by_commit()
    lines = [OLD if not each else known.get(each[:7]) for each in blamed(path, commit)]
    written: dict[str, Counter[str]] = {}
    named = definitions(source)
    for name, line in zip(named, lines, strict=False):
        if line is not None:
            written.setdefault(name, Counter())[line] += 1
    counts: Counter[str] = Counter()
    for name, line in zip(named, lines, strict=False):
        if line is None:
            around = written.get(name, Counter())
            line = OLD if OLD in around or not around else around.most_common(1)[0][0]
        counts[line] += 1
    return counts


def _package(path: str) -> str:
    name = path.partition("/")[0].removesuffix(".py")
    return name if "/" in path or name in ("audio", "check", "cli", "study") else "(top)"


def _matching(patterns: Iterable[str], paths: Iterable[str]) -> list[str]:
    return [path for path in paths if any(fnmatch(path, pattern) for pattern in patterns)]


def rewritten(
    before: dict[str, int], counts: dict[str, Counter[str]]
) -> Iterator[tuple[str, tuple[int, int, int, int, int]]]:
    """Yield the name of each part of :data:`REWRITTEN`, and its lines: at the base, old, reworked, now, and counted."""
    for name, (of_base, successors, by_feature) in REWRITTEN.items():
        total: Counter[str] = Counter()
        for path in _matching(successors, counts):
            total.update(counts[path])
        rework = sum(count for key, count in total.items() if key.startswith(REWORK))
        size = sum(before[path] for path in _matching(of_base, before))
        counted = min(size, total.total() if by_feature else total[OLD] + rework)
        yield name, (size, total[OLD], rework, total.total(), counted)


def _rows(title: str, rows: Iterator[tuple[str, int, int, Counter[str]]]) -> None:
    print(f"\n{title:<34}{'base':>8}{'now':>8}{'old':>8}{'rework':>8}{'features':>10}  which")
    for name, before, now, counts in rows:
        rework = sum(count for key, count in counts.items() if key.startswith(REWORK))
        features = {key: count for key, count in counts.items() if key != OLD and not key.startswith(REWORK)}
        listed = ", ".join(f"{key} {count}" for key, count in sorted(features.items(), key=lambda pair: -pair[1]))
        print(f"{name:<34}{before:>8}{now:>8}{counts[OLD]:>8}{rework:>8}{sum(features.values()):>10}  {listed}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--commit", default="HEAD", help="what is counted (default: HEAD)")
    parser.add_argument("--modules", action="store_true", help="list every module")
    given = parser.parse_args()
    before, now = modules(BASE), modules(given.commit)
    counts = {path: assigned(path, given.commit) for path in now}
    packages: dict[str, Counter[str]] = {}
    sizes: dict[str, list[int]] = {}
    for path, count in counts.items():
        packages.setdefault(_package(path), Counter()).update(count)
    for at, listed in ((0, before), (1, now)):
        for path, size in listed.items():
            sizes.setdefault(_package(path), [0, 0])[at] += size
    total: Counter[str] = Counter()
    for count in packages.values():
        total.update(count)
    if given.modules:
        _rows("module", ((path, before.get(path, 0), now[path], counts[path]) for path in sorted(now)))
    _rows("package", ((name, sizes[name][0], sizes[name][1], packages.get(name, Counter())) for name in sorted(sizes)))
    print("\nfeature or rework                     lines")
    for name, lines in total.most_common():
        print(f"{name:<34}{lines:>9}")
    rework = sum(count for key, count in total.items() if key.startswith(REWORK))
    print(f"\nrewritten together with a feature{'base':>9}{'old':>8}{'rework':>8}{'all now':>9}{'counted':>9}")
    figure, rest = total[OLD], rework
    for name, (size, old, reworked, present, counted) in rewritten(before, counts):
        figure += counted - old
        rest -= reworked
        print(f"{name:<34}{size:>8}{old:>8}{reworked:>8}{present:>9}{counted:>9}")
    print(f"\nbase {sum(before.values())}, now {sum(now.values())}")
    for title, value in (("old", total[OLD]), ("the figure", figure), ("with all rework", figure + rest)):
        print(f"{title:<18}{value:>7}, {value - TARGET:+} to the target of {TARGET}")


if __name__ == "__main__":
    main()
