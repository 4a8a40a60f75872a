"""Reading a result's ``meta``, which a file may hold in any shape."""

from __future__ import annotations

from typing import Any


def get(meta: Any, *keys: str) -> Any:
    """Return what stands under nested keys, or None."""
    for key in keys:
        meta = meta.get(key) if isinstance(meta, dict) else None
    return meta


def mapping(meta: Any, *keys: str) -> dict[str, Any]:
    """Return the dictionary under nested keys; empty where there is none."""
    value = get(meta, *keys)
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """Return a value as a list: a text is one item, whatever is no list is none."""
    if isinstance(value, str):
        return [value] if value else []
    return list(value) if isinstance(value, (list, tuple)) else []
