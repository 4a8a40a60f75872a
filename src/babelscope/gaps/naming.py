"""What a reader calls the measures: one name each, in sentences, tables and pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable

from babelscope.similarity import MEASURES


def measure_head(measure: str) -> str:
    """Return the name of a measure without its parameters: ``svcca`` of ``svcca(variance=0.99)``."""
    return measure.split("(", 1)[0].strip()


def measure_title(measure: str) -> str:
    """Return a measure as a reader calls it: ``SVCCA, variance 0.99`` of ``svcca(variance=0.99)``.

    A measure that is not known here is shown as it is written in the scores.
    """
    known = MEASURES.get(measure_head(measure))
    title = known.title if known is not None else ""
    match = re.fullmatch(r"[^()]*(?:\((.*)\))?", measure.strip(), flags=re.DOTALL)
    if not title or match is None:
        return measure
    parameters = []
    for parameter in (match.group(1) or "").split(","):
        name, _, value = (piece.strip() for piece in parameter.partition("="))
        if value == "True":
            parameters.append(name)
        elif value == "False":
            parameters.append(f"not {name}")
        elif name:
            parameters.append(f"{name} {value}".strip())
    return ", ".join([title, *parameters]).replace("_", " ")


def references_of(measure: str) -> tuple[str, ...]:
    """Return the keys of the works behind a measure, as its class names them; none for one that is not known."""
    known = MEASURES.get(measure_head(measure))
    return () if known is None else known.references


def by_preference(names: Iterable[str]) -> list[str]:
    """Return measures, as written, in the order in which they are to carry findings and headlines.

    Those whose class says nothing of it, or is not installed here, come last, in their own order.
    """

    def rank(name: str) -> float:
        known = MEASURES.get(measure_head(name))
        return float("inf") if known is None or known.lead is None else known.lead

    return sorted(names, key=rank)
