"""Parses keys and values of the command line: ``corpus.n=20``, with values in TOML, or plain words."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from babelscope.errors import UsageError


def parse_pairs(given: Iterable[str], option: str, example: str) -> dict[str, Any]:
    """Parse texts of the form KEY=VALUE.

    Parameters
    ----------
    given : iterable of str
    option, example : str
        For the message.

    Raises
    ------
    UsageError
        If one has no key or no equals sign, or a key is given twice.
    """
    pairs: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not key or not equals:
            raise UsageError(f"{option} {text}: write KEY=VALUE, such as {example}")
        if key in pairs:
            raise UsageError(f"{option} {key}: given twice; give it once")
        pairs[key] = parse_value(value)
    return pairs


def parse_value(text: str) -> Any:
    """Return a value: TOML's notation, a list of words such as ``[en, fr]``, or else the text itself."""
    text = text.strip()
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        if text.startswith("[") and text.endswith("]") and not set(text[1:-1]) & set("[]{}'\""):
            return [parse_value(item) for item in text[1:-1].split(",") if item.strip()]
        return text
    return table["value"] if len(table) == 1 else text


def merged(tables: Mapping[str, Any], pairs: Mapping[str, Any], option: str) -> dict[str, Any]:
    """Return nested tables with further values, each by its dotted path.

    Raises
    ------
    UsageError
        If a path leads through what is no table.
    """
    whole = dict(tables)
    for path, value in pairs.items():
        *above, last = path.split(".")
        table = whole
        for place, name in enumerate(above):
            if not isinstance(table.setdefault(name, {}), dict):
                raise UsageError(f"{option} {path}: {'.'.join(above[: place + 1])} is no table")
            table[name] = table = dict(table[name])
        table[last] = value
    return whole
