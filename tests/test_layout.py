"""Imports run one way: corpora -> models + capture -> similarity -> gaps -> report -> study -> cli."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "babelscope"

#: What each part may import from the package, besides itself.
BELOW = {
    "errors",
    "cache",
    "fetch",
    "audio",
    "languages",
    "scratch",
    "stages",
    "text_table",
    "numbers",
    "key_values",
    "lazy_imports",
    "progress",
}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "stages": set(),
    "lazy_imports": set(),
    "progress": set(),
    "text_table": set(),
    "numbers": set(),
    "key_values": {"errors"},
    "cache": {"errors"},
    "scratch": {"errors", "cache"},
    "fetch": {"errors", "cache", "lazy_imports"},
    "languages": {"errors"},
    "audio": {"errors", "cache"},
    "corpora": BELOW,
    "sides": BELOW,
    "verification": BELOW | {"sides"},
    "models": BELOW | {"sides", "verification"},
    "plugins": BELOW | {"models", "sides", "verification"},
    "plugins/ray": BELOW | {"corpora", "models", "capture", "similarity"},
    "capture": BELOW | {"corpora", "models"},
    "similarity": {"errors", "cache", "lazy_imports"},
    "engines": BELOW | {"models", "capture", "similarity"},
    "gaps": BELOW | {"corpora", "models", "capture", "similarity"},
    "neurons": {"errors", "cache", "lazy_imports", "stages", "similarity"},
    "tokens": BELOW | {"corpora", "models", "capture", "similarity", "gaps"},
    "lens": BELOW | {"corpora", "models", "capture", "similarity", "gaps"},
    "interventions": BELOW | {"corpora", "models", "capture", "similarity"},
    "report": BELOW | {"gaps"},
    "monitor": BELOW | {"corpora", "models", "capture", "similarity", "gaps"},
    "check": BELOW | {"similarity", "gaps"},
    "search": BELOW | {"corpora", "models", "capture", "similarity"},
    "mteb_adapter": BELOW | {"corpora", "models", "search"},
    "publishing": BELOW | {"gaps"},
    "tracking": BELOW | {"gaps", "report", "monitor", "publishing"},
    "study": BELOW
    | {"corpora", "models", "capture", "similarity", "engines", "gaps", "report"}
    | {"neurons", "tokens", "interventions", "lens", "tracking"},
    "cli": BELOW
    | {"verification"}
    | {"corpora", "models", "capture", "similarity", "engines", "gaps", "report"}
    | {"study", "search", "check", "publishing", "tracking"},
    "testing": BELOW
    | {"sides", "verification"}
    | {"corpora", "models", "capture", "similarity", "gaps", "report", "study"},
    "__main__": {"cli"},
}


def _part(module: str) -> str:
    return module.split(".")[1]


def imports_of(path: Path, modules: Collection[str] = ()) -> Iterator[tuple[str, int]]:
    """Yield every module of the package that a file imports, wherever in it, by its full name and line.

    A name that is imported from a package is taken for a module of it if it is one of `modules`.
    """
    here = ["babelscope", *path.relative_to(PACKAGE).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name.startswith("babelscope."))
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: -node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            if module == "babelscope":
                yield from ((f"babelscope.{alias.name}", node.lineno) for alias in node.names)
            elif module.startswith("babelscope."):
                names = [f"{module}.{alias.name}" for alias in node.names]
                yield from ((name if name in modules else module, node.lineno) for name in names)


def against(path: Path) -> list[str]:
    """Return the imports of a file that run against the flow."""
    relative = path.relative_to(PACKAGE)
    part = relative.parts[0].removesuffix(".py")
    allowed = MAY_IMPORT.get("/".join(relative.parts[:2]), MAY_IMPORT[part])
    return [
        f"{relative}:{line} imports {module}: {part} may import {', '.join(sorted(allowed)) or 'nothing'}"
        for module, line in imports_of(path)
        if _part(module) != part and _part(module) not in allowed
    ]


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def test_every_part_has_its_place() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert parts <= MAY_IMPORT.keys(), f"say in {Path(__file__).name} what {parts - MAY_IMPORT.keys()} may import"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_one_way(path: Path) -> None:
    assert not against(path)


@pytest.mark.parametrize("part", ["capture", "gaps"])
def test_no_model_is_known_where_activations_are(part: str) -> None:
    known = {
        module
        for path in MODULES
        if path.relative_to(PACKAGE).parts[0] == part
        for module, _ in imports_of(path)
        if _part(module) == "models"
    }
    assert known <= {"babelscope.models.base"}


def test_the_flow_has_no_cycle() -> None:
    def reaches(part: str, seen: frozenset[str] = frozenset()) -> None:
        assert part not in seen, f"{part} imports itself by way of {sorted(seen)}"
        for other in MAY_IMPORT[part]:
            reaches(other, seen | {part})

    for part in MAY_IMPORT:
        reaches(part)


def test_no_file_takes_part_in_a_circle_of_imports() -> None:
    """Imports for type checkers, and those inside functions, count as well."""
    named = {".".join(["babelscope", *path.relative_to(PACKAGE).with_suffix("").parts]): path for path in MODULES}
    named = {name.removesuffix(".__init__"): path for name, path in named.items()}
    graph = {
        name: {module for module, _ in imports_of(path, named.keys()) if module in named and module != name}
        for name, path in named.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"these import each other: {' <- '.join(error.args[1])}") from None


def test_what_reads_results_does_not_import_torch() -> None:
    """The commands check, report, diff and leaderboard start in a second less."""
    modules = "babelscope.check, babelscope.report.page, babelscope.gaps.leaderboard"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
