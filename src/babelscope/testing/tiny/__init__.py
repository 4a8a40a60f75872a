"""Tiny models with random weights, written in the released files' own formats, so that loaders are tested on the truth.

>>> from babelscope import models
>>> from babelscope.testing import tiny
>>> weights = tiny("seamless-m4t-v2", folder)  # doctest: +SKIP
>>> model = models.load("seamless-m4t-v2-large", weights=str(weights))  # doctest: +SKIP

>>> model = models.load(f"hf:{tiny('qwen2-audio', folder)}")  # doctest: +SKIP

Their weights are drawn wide (norms and biases too), so that what leaks between utterances shows; they mean nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from babelscope.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from babelscope.testing.tiny.writing import Released

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

#: Models of transformers, as folders of the hub hold them: ``module:function``. The function says what a folder holds.
ARCHITECTURES: dict[str, str] = {
    name: f"babelscope.testing.tiny.{module}:{name.replace('-', '_').replace('.', '_')}"
    for module, names in {
        "speech_encoders": "whisper wav2vec2 xls-r hubert hubert-large wavlm wavlm-large w2v-bert parakeet",
        "omni": "qwen2.5-omni qwen3-omni",
        "gemma": "gemma-3n gemma-4 gemma-4-unified embedding-gemma-2",
        "speech_llms": "qwen2-audio voxtral voxtral-realtime granite-speech granite-speech-plus phi-4-multimodal "
        "audio-flamingo-3 glm-asr qwen3-asr",
        "text_models": "xlm-r bge-m3 e5 labse nllb mt5 gemma-3 qwen3",
    }.items()
    for name in names.split()
}


def tiny(name: str, folder: Path | str) -> Path:
    """Write a tiny model with random weights in its released format.

    Parameters
    ----------
    name : str
        One of :data:`MAKERS` or :data:`ARCHITECTURES`.
    folder : Path or str
        Is made if it is not there.

    Returns
    -------
    Path
        What to pass as ``weights`` to :func:`babelscope.models.load`; of :data:`ARCHITECTURES`, a folder to be loaded
        as ``hf:FOLDER``. The same name gives the same bits.

    Raises
    ------
    UsageError
        If there is no tiny model of that name.
    """
    if name not in MAKERS and name not in ARCHITECTURES:
        raise UsageError(f"there is no tiny model {name!r}; {did_you_mean(name, [*MAKERS, *ARCHITECTURES])}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if name in ARCHITECTURES:
        from babelscope.testing.tiny.writing import write

        return write(released(name), folder)
    return cast(Path, _function(MAKERS[name])(folder))


def released(name: str) -> Released:
    """Return what the folder of one of :data:`ARCHITECTURES` holds, without writing it."""
    return cast("Released", _function(ARCHITECTURES[name])())


def _function(where: str) -> Callable[..., Any]:
    module, _, function = where.partition(":")
    return cast(Callable[..., Any], getattr(importlib.import_module(module), function))
