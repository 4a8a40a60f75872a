"""Tiny models with random weights, written in the released files' own formats, so that loaders are tested on the truth.

>>> from babelscope import models
>>> from babelscope.testing import tiny
>>> weights = tiny("seamless-m4t-v2", folder)  # doctest: +SKIP
>>> model = models.load("seamless-m4t-v2-large", weights=str(weights))  # doctest: +SKIP

Their weights are drawn wide (norms and biases too), so that what leaks between utterances shows; they mean nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

from babelscope.errors import UsageError, did_you_mean

#: Where each tiny model is written: ``module:function``, imported when asked for. The function takes a folder (which
#: exists) and returns what to pass as ``weights``: the folder, or a file in it.
MAKERS: dict[str, str] = {
    "salmonn": "babelscope.testing.tiny.salmonn:folder",
    "seamless-m4t": "babelscope.testing.tiny.seamless:version_1",
    "seamless-m4t-fairseq": "babelscope.testing.tiny.seamless:version_1_fairseq",
    "seamless-m4t-v2": "babelscope.testing.tiny.seamless:version_2",
    "seamless-m4t-v2-fairseq": "babelscope.testing.tiny.seamless:version_2_fairseq",
    "seamless-m4t-v2-fairseq2": "babelscope.testing.tiny.seamless:version_2_fairseq2",
    "sonar": "babelscope.testing.tiny.sonar:both",
    "sonar-speech": "babelscope.testing.tiny.sonar:speech",
    "sonar-speech-fairseq2": "babelscope.testing.tiny.sonar:speech_fairseq2",
    "sonar-text": "babelscope.testing.tiny.sonar:text",
    "sonar-text-original": "babelscope.testing.tiny.sonar:text_original",
}


def tiny(name: str, folder: Path | str) -> Path:
    """Write a tiny model with random weights in its released format.

    Parameters
    ----------
    name : str
        One of :data:`MAKERS`.
    folder : Path or str
        Is made if it is not there.

    Returns
    -------
    Path
        What to pass as ``weights`` to :func:`babelscope.models.load`. The same name gives the same bits.

    Raises
    ------
    UsageError
        If there is no tiny model of that name.
    """
    if name not in MAKERS:
        raise UsageError(f"there is no tiny model {name!r}; {did_you_mean(name, MAKERS)}")
    module, _, function = MAKERS[name].partition(":")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    make = cast(Callable[[Path], Path], getattr(importlib.import_module(module), function))
    return make(folder)
