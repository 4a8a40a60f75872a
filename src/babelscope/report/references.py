"""What a report cites: the papers behind its measures, models, corpora and statistics, by key.

They are data, ``references.toml`` next to this module. A work is cited where the result used it, never otherwise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from babelscope.gaps.naming import measure_head, references_of


@dataclass(frozen=True)
class Reference:
    """One published work: its key for BibTeX, and `short`, as it is cited in a sentence (``Raghu et al., 2017``)."""

    key: str
    short: str
    authors: str
    title: str
    venue: str
    year: int
    arxiv: str = ""

    @property
    def line(self) -> str:
        """The entry of a list of references."""
        identifier = f" arXiv:{self.arxiv}." if self.arxiv else ""
        return f"{self.authors} ({self.year}). {self.title}. {self.venue}.{identifier}"

    @property
    def bibtex(self) -> str:
        """The entry for BibTeX."""
        fields = {"author": " and ".join(_names(self.authors)), "title": f"{{{self.title}}}", "year": str(self.year)}
        fields |= {"howpublished": self.venue}
        fields |= {"eprint": self.arxiv, "archivePrefix": "arXiv"} if self.arxiv else {}
        inner = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@misc{{{self.key},\n{inner}\n}}"


def _names(authors: str) -> list[str]:
    return ["others" if name == "et al." else name for name in authors.replace(", and ", "; ").split("; ")]


_TABLES: dict[str, dict[str, Any]] = tomllib.loads((files(__package__) / "references.toml").read_text(encoding="utf-8"))
REFERENCES: dict[str, Reference] = {key: Reference(key, **work) for key, work in _TABLES["works"].items()}


def of_measure(measure: str) -> list[Reference]:
    """Return the works behind a measure, as written in the scores; none for one that is not known here."""
    keys = tuple(key for key in references_of(measure) if key in REFERENCES)
    if measure_head(measure).endswith("_cka") and "debiased=False" not in measure.replace(" ", ""):
        keys = (*keys, "song2012feature", "murphy2024correcting")
    return [REFERENCES[key] for key in keys]


def of_model(*names: str) -> list[Reference]:
    """Return the works behind a model, by its name and the families of its sides."""
    works: dict[str, Reference] = {}
    for name in names:
        for side in name.lower().split("+"):
            keys = next((keys for word, keys in _TABLES["models"].items() if word in side), ())
            works |= {key: REFERENCES[key] for key in keys}
    return list(works.values())


def of_corpus(name: str) -> list[Reference]:
    """Return the works behind a corpus."""
    return [REFERENCES[key] for key in _TABLES["corpora"].get(name.lower(), ())]


def cite(references: Iterable[Reference]) -> str:
    """Return a citation in brackets: ``(Raghu et al., 2017; Morcos et al., 2018)``; empty for none."""
    named = dict.fromkeys(one.short for one in references)
    return f" ({'; '.join(named)})" if named else ""
