"""Every key of a study file, with what it means."""

from __future__ import annotations

from pydantic import BaseModel

from babelscope.study.settings import SECTION_TABLES, CorpusTable, ModelTable, Study
from babelscope.tracking import TrackingOptions

TABLES: dict[str, type[BaseModel]] = {
    "corpus": CorpusTable,
    "model": ModelTable,
    **SECTION_TABLES,
    "tracking": TrackingOptions,
}


def described_keys() -> dict[str, str]:
    """Return every key with its description."""
    keys = {name: field.description or "" for name, field in Study.model_fields.items() if name not in TABLES}
    for prefix, table in TABLES.items():
        keys |= {f"{prefix}.{name}": field.description or "" for name, field in table.model_fields.items()}
    return keys
