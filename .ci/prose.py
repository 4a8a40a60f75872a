"""Check prose with proselint and this project's word list, and local names: in documentation, docstrings and messages.

Run by ``make lint``. ``words.toml`` has the words, and which of proselint's own checks run.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from proselint.checks import __register__ as own_checks
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, CheckFlags, types
from proselint.tools import LintFile

ROOT = Path(__file__).parent.parent
WORDS = Path(__file__).parent / "words.toml"


class Hit(NamedTuple):
    """A word, or a name, that is to be another."""

    file: str
    line: int
    message: str


def _blank(match: re.Match[str]) -> str:
    """Return as many spaces as a text has characters; its line breaks stay."""
    return re.sub(r"[^\n]", " ", match.group())


#: What is no prose in Markdown: fenced and inline code, directives and comments, targets of links, markup.
_CODE = re.compile(r"^(```|~~~).*?^\1|^ *:::.*?$|<!--.*?-->|`+[^`]+`+|\]\([^)]*\)|<[^>\n]+>", re.MULTILINE | re.DOTALL)

#: The same in docstrings and messages: code, roles, one word in quotes (a key), what is filled in, addresses.
_IN_STRINGS = re.compile(
    r":[a-z]+:`[^`]*`|``[^`]*``|`[^`\n]*`|\B'[\w-]+'\B|\{[^{}\n]*\}|https?://\S+|^ *>>>.*$", re.MULTILINE
)

#: What opens and closes a string.
_QUOTE = r"(?:\"{3}|'{3}|['\"])"

#: The same in templates of pages.
_IN_TEMPLATES = re.compile(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}|<[^>]*>", re.DOTALL)


def markdown(text: str) -> str:
    """Return the prose of Markdown, in place."""
    return _CODE.sub(_blank, text)


def template(text: str) -> str:
    """Return the prose of a Jinja template, in place."""
    return _IN_TEMPLATES.sub(_blank, text)


def python(text: str) -> str:
    """Return docstrings, messages and comments of a Python file, in place; strings of one word are keys."""
    lines = [re.sub(r"[^\n]", " ", line) for line in text.splitlines(keepends=True)]
    prose = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        prefix = re.match("[a-zA-Z]*", token.string)
        raw = token.type == tokenize.STRING and prefix is not None and set(prefix.group().lower()) & {"r", "b"}
        if token.type not in prose or raw or " " not in token.string.strip():
            continue
        # The prefix and quotes of a string are no part of it.
        bare = re.sub(rf"^[a-zA-Z]*{_QUOTE}|{_QUOTE}$|^#[:!]? ?|\\n|\\t", _blank, token.string)
        for number, line in enumerate(_IN_STRINGS.sub(_blank, bare).split("\n"), token.start[0] - 1):
            start = token.start[1] if number == token.start[0] - 1 else 0
            blank = lines[number]
            lines[number] = blank[:start] + line + blank[start + len(line) :]
    return "".join(lines)


#: Ends the line of a parameter that callers may name, which stays.
PUBLIC = "# public name"

READERS = {".md": markdown, ".py": python, ".j2": template}


def prose_hits(paths: Iterable[Path], enabled: dict[str, bool]) -> Iterator[Hit]:
    """Yield what proselint says of files. They are read as one text: it prepares its checks again for each."""
    texts: list[str] = []
    starts: list[int] = []
    names: list[str] = []
    lines = 1
    for path in paths:
        prose = READERS[path.suffix](path.read_text(encoding="utf-8"))
        text = re.sub(" +", " ", prose).rstrip() + "\n\n"
        texts.append(text)
        starts.append(lines)
        names.append(path.relative_to(ROOT).as_posix())
        lines += text.count("\n")
    if texts:
        for hit in LintFile("", "".join(texts)).lint({"max_errors": 100_000, "checks": enabled}):
            at = bisect_right(starts, hit.pos[0]) - 1
            yield Hit(names[at], hit.pos[0] - starts[at] + 1, " ".join(hit.check_result.message.split()))


def name_hits(path: Path, forbidden: dict[str, str]) -> Iterator[Hit]:
    """Yield local names and parameters that say nothing of what they hold, but for those in a line that is marked."""
    name = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound = node.id
        elif isinstance(node, ast.arg):
            bound = node.arg
        else:
            continue
        if bound in forbidden and not lines[node.lineno - 1].endswith(PUBLIC):
            yield Hit(name, node.lineno, f"a name says what it holds: {forbidden[bound]} in place of '{bound}'")


def register(words: dict[str, str]) -> None:
    """Make proselint's checks known, and the word list as one more."""
    pairs = {re.escape(old).replace(r"\ ", r"\s+"): new for old, new in words.items()}
    ours = Check(
        check_type=types.PreferredForms(items=pairs),
        path="babelscope.words",
        message="write '{}' in place of '{}'.",
        flags=CheckFlags(allow_quotes=True),
    )
    registry = CheckRegistry()  # one for the process
    registry.checks.clear()
    registry.register_many((*own_checks, ours))


def main() -> int:
    """Print what is to be another word or name; return 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, help="files to look at (all)")
    asked = parser.parse_args()
    settings = tomllib.loads(WORDS.read_text(encoding="utf-8"))
    register(settings["words"])
    documents = [path for pattern in settings["documents"] for path in sorted(ROOT.glob(pattern))]
    sources = [path for suffix in ("py", "j2") for path in sorted((ROOT / "src").rglob(f"*.{suffix}"))]
    if asked.paths:
        chosen = {path.resolve() for path in asked.paths}
        documents, sources = ([path for path in paths if path in chosen] for paths in (documents, sources))
    hits = list(prose_hits((*documents, *sources), settings["checks"] | {"babelscope": True}))
    hits += [hit for path in sources if path.suffix == ".py" for hit in name_hits(path, settings["names"])]
    for hit in hits:
        print(f"{hit.file}:{hit.line}: {hit.message}")
    return int(bool(hits))


if __name__ == "__main__":
    sys.exit(main())
