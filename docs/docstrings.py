"""Brings docstrings to Markdown for the API reference: Sphinx's roles, and examples that stand outside a section."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|attr|data|mod|exc):`(~?)([\w.]+)`")
_EXAMPLE = re.compile(r"(?:^(?:>>>|\.\.\.)[^\n]*\n?)+(?:^(?!>>>)\S[^\n]*\n?)*", re.MULTILINE)
_SECTION = re.compile(r"^Examples\n-+$", re.MULTILINE)


def _code(match: re.Match[str]) -> str:
    return f"`{match[2].rsplit('.', 1)[-1] if match[1] else match[2]}`"


def _fenced(match: re.Match[str]) -> str:
    shown = re.sub(r"\s*# doctest:.*", "", match[0]).rstrip()
    return f"```pycon\n{shown}\n```\n"


def to_markdown(docstring: str) -> str:
    """Return a docstring with roles as plain code, and examples before any section fenced."""
    text = _ROLE.sub(_code, docstring)
    section = _SECTION.search(text)
    head, tail = (text[: section.start()], text[section.start() :]) if section else (text, "")
    return _EXAMPLE.sub(_fenced, head) + tail


class Markdown(griffe.Extension):
    """Rewrites docstrings as they are read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite one docstring."""
        _rewrite(obj)

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Rewrite the docstring of the package, which is no object of any module."""
        _rewrite(pkg)


def _rewrite(documented: griffe.Object) -> None:
    if documented.docstring is not None and "```" not in documented.docstring.value:
        documented.docstring.value = to_markdown(documented.docstring.value)
