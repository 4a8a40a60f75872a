"""The names of a package that completion shows, some of which are imported when they are first used."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any


def lazy_names(
    package: str, offered: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__``.

    Parameters
    ----------
    package : str
        Its ``__name__``; its ``__all__`` is what completion shows.
    offered : mapping of str to sequence of str
        What is taken from each module, ``load as load_corpus`` where the package calls it otherwise. Where
        the module is the package's own of that name, the name stands for the module.
    """
    homes: dict[str, tuple[str, str]] = {}
    for home, names in offered.items():
        for name in names:
            attribute, _, called = name.partition(" as ")
            homes[called or attribute] = home, attribute

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, attribute = homes[name]
        module = importlib.import_module(home)
        return module if home == f"{package}.{attribute}" else getattr(module, attribute)

    return get, public_names(package)


def load_entries(group: str, what: str, *, skip: Container[str] = ()) -> list[tuple[str, Any]]:
    """Return what installed packages offer in an entry-point group, with its names.

    What cannot be loaded is warned of and left out; entries named in `skip` are not loaded.
    """
    offered = []
    for entry in entry_points(group=group):
        if entry.name in skip:
            continue
        try:
            offered.append((entry.name, entry.load()))
        except Exception as error:  # a plug-in raises whatever its parts do
            warnings.warn(
                f"{what} {entry.name!r} ({entry.value}) cannot be loaded and is left out: {error}", stacklevel=3
            )
    return offered


def public_names(package: str) -> Callable[[], list[str]]:
    """Return a package's ``__dir__``: its ``__all__``, without its modules and what it imports for itself."""

    def names() -> list[str]:
        here = vars(sys.modules[package])
        return sorted({*here["__all__"], *(name for name in here if name.startswith("__"))})

    return names
