"""What was measured of a model before: kept in the cache folder, under a hash of all that the outcome depends on.

The code that measures is part of that hash: after a change to any file of :data:`CODE` everything is measured
again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from babelscope.cache import cache_folder, sha256_of, write_atomically
from babelscope.errors import DataError

#: Bytes that a file in the cache has at most.
_LARGEST = 2**20
#: Bytes that a file of settings has at most; what is larger next to them are weights.
_LARGEST_SETTINGS = 2**26


def versions() -> dict[str, str]:
    """Return the versions that figures depend on."""
    names = ("babelscope", "torch", "transformers")
    return {name: version(name) for name in names} | {"python": platform.python_version()}


#: The code that describes and measures models, in the package.
CODE = ("sides.py", "models/**/*.py", "verification/**/*.py")


@functools.cache
def code_version(folder: Path = Path(__file__).parents[1]) -> str:
    """Return a hash of the source files that describe and measure models."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in CODE for path in folder.glob(pattern)):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\0".encode())
    return digest.hexdigest()


def key_of(identity: Mapping[str, Any]) -> str:
    """Return a hash of what an outcome depends on, given as plain data; versions and code are added."""
    whole = {**identity, "versions": versions(), "code": code_version()}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _digest(key: str, measured: str) -> str:
    return hashlib.sha256(f"{key} {measured}".encode()).hexdigest()


def _place(kind: str, key: str) -> Path:
    return cache_folder() / kind / f"{key}.json"


def keep(kind: str, key: str, outcome: Any) -> None:
    """Keep an outcome, as plain data; a cache that cannot be written costs a few passes at the next load."""
    measured = json.dumps(outcome, sort_keys=True, allow_nan=False)
    kept = json.dumps({"key": key, "digest": _digest(key, measured), "outcome": measured}, indent=1)
    with contextlib.suppress(DataError, OSError):
        write_atomically(_place(kind, key), lambda file: file.write_text(kept, encoding="utf-8"))


def kept(kind: str, key: str) -> Any:
    """Return what the cache holds; None if there is nothing, or what is there is damaged or of something else."""
    path = _place(kind, key)
    try:
        if path.stat().st_size > _LARGEST:
            return None
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["key"] != key or said["digest"] != _digest(key, said["outcome"]):
            return None
        return json.loads(said["outcome"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


class Lengths:
    """How positions follow from a recording's length, by module: measured once for the settings next to the weights.

    A context: what was measured inside it is kept when it ends.

    Parameters
    ----------
    folder : Path
        With the model's configuration and processor.
    **identity : str or bool
        What else lengths depend on.
    """

    def __init__(self, folder: Path, **identity: str | bool) -> None:
        settings = {
            path.name: sha256_of(path)
            for path in sorted(folder.iterdir())
            if path.is_file() and path.suffix != ".safetensors" and path.stat().st_size <= _LARGEST_SETTINGS
        }
        self.key = key_of({"settings": settings, **identity})
        measured = kept("lengths", self.key)
        self.known: dict[str, Any] = measured if isinstance(measured, dict) else {}
        self.new = False

    def __enter__(self) -> Lengths:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.new and error is None:
            keep("lengths", self.key, self.known)

    def of(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return what was measured under a name, plain data, measuring it if it was not."""
        if name not in self.known:
            self.known[name], self.new = measure(), True
        return self.known[name]
