"""Which corpora there are, and how one is loaded by name."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelscope.errors import BabelscopeError, UsageError, did_you_mean

if TYPE_CHECKING:
    from babelscope.corpora.corpus import Corpus

#: Name to ``module:function``. The function takes keyword options, ``path`` among them if it reads the user's own data.
SOURCES: dict[str, str] = {
    "asterisk": "babelscope.corpora.asterisk:load",
    "tuxpaint": "babelscope.corpora.tuxpaint:load",
    "fillets": "babelscope.corpora.fillets:load",
    "fleurs": "babelscope.corpora.fleurs:load",
    "fleurs-r": "babelscope.corpora.fleurs_r:load",
    "sib-fleurs": "babelscope.corpora.sib_fleurs:load",
    "belebele-fleurs": "babelscope.corpora.belebele_fleurs:load",
    "2m-belebele": "babelscope.corpora.belebele_2m:load",
    "common-voice": "babelscope.corpora.common_voice:load",
    "covost2": "babelscope.corpora.covost2:load",
    "artikulate": "babelscope.corpora.artikulate:load",
    "manifest": "babelscope.corpora.manifest:load",
}

#: Entry-point group in which other packages offer corpora.
GROUP = "babelscope.corpora"


def sources() -> dict[str, str]:
    """Return every known corpus: :data:`SOURCES` and what installed packages offer under other names."""
    return {point.name: point.value for point in entry_points(group=GROUP)} | SOURCES


def described() -> dict[str, str]:
    """Return the first docstring line of each known corpus; its code is read, not run."""
    lines = {}
    for name, reference in sources().items():
        spec = importlib.util.find_spec(reference.partition(":")[0])
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        lines[name] = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    return lines


def takes(name: str, option: str) -> bool:
    """Return whether a corpus is loaded with an option of that name; a UsageError says that there is no such corpus."""
    return option in inspect.signature(_function_of(name)).parameters


def load(name: Any, /, path: Path | str | None = None, **options: Any) -> Corpus:
    """Load a corpus.

    Parameters
    ----------
    name : str, or Dataset, DatasetDict or mapping of language to one
        One of :func:`sources`; or a data set of the package ``datasets`` that the caller holds, with the options of
        :func:`babelscope.corpora.dataset_objects.load`: ``text="transcription"`` for example.
    path : path, optional
        The user's file or folder for ``manifest``, or a local copy of a data set.
    **options
        Of the source; see its own ``load``.

    Returns
    -------
    Corpus

    Raises
    ------
    UsageError
        For an unknown name or option, or a path where none is taken.
    DataError, FetchError
        If the data are broken, or were not fetched yet.
    """
    if isinstance(name, str):
        function = _function_of(name)
    else:
        options = {"dataset": name, **options}
        function, name = _resolve("of a data set", "babelscope.corpora.dataset_objects:load"), "of a data set"
    given = dict(options) if path is None else {"path": path, **options}
    takes = inspect.signature(function).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        for option in given:
            if option not in takes:
                raise UsageError(f"corpus {name!r} takes no {option!r}: {did_you_mean(option, takes)}")
    for parameter in takes.values():
        optional = parameter.default is not parameter.empty or parameter.kind is parameter.VAR_KEYWORD
        if not optional and parameter.name not in given:
            what = ": the file or folder that it is read from" if parameter.name == "path" else ""
            raise UsageError(f"corpus {name!r} needs {parameter.name!r}{what}")
    return function(**given)


def _function_of(name: str) -> Callable[..., Corpus]:
    known = SOURCES if name in SOURCES else sources()  # what is installed is searched only where it has to be
    if name not in known:
        raise UsageError(f"there is no corpus {name!r}: {did_you_mean(name, known)}")
    return _resolve(name, known[name])


def _resolve(name: str, reference: str) -> Callable[..., Corpus]:
    module, _, attribute = reference.partition(":")
    try:
        function: Callable[..., Corpus] = getattr(importlib.import_module(module), attribute)
    except BabelscopeError:
        raise
    except Exception as error:
        raise UsageError(f"corpus {name!r} ({reference}) cannot be loaded: {type(error).__name__}: {error}") from error
    return function
