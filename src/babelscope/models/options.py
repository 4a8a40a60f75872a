"""What can be chosen when a model is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from babelscope.errors import UsageError, did_you_mean
from babelscope.models.catalogue import Declaration


@dataclass(frozen=True)
class LoadOptions:
    """Choices for one model.

    Attributes
    ----------
    name : str
        The model's name, as results bear it.
    weights : str or None
        A local folder or a hub id (with ``@revision`` or without) in transformers' format, in place of the fetched
        asset.
    device : str
        ``cpu``, ``cuda``, ``cuda:1``.
    dtype : str
        ``float32``, ``bfloat16`` or ``float16``; pooling is in float32 whatever it is.
    window_seconds : float or None
        For models that hear a fixed window (Whisper): its length; None is the model's own.
    extra : mapping
        Choices that only this family knows, such as the target language of a translation model.
    declaration : Declaration or None
        What is declared of a model of the catalogue or of the hub; None for a model with a loader of its own.
    """

    name: str
    weights: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    window_seconds: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    declaration: Declaration | None = None

    def check_extra(self, known: Iterable[str] = ()) -> None:
        """Refuse choices that the family does not know.

        Raises
        ------
        UsageError
            If :attr:`extra` has a key that is not in `known`.
        """
        choices = list(known)
        for key in self.extra:
            if key not in choices:
                raise UsageError(f"options: {self.name} has no option {key!r}; {did_you_mean(key, choices)}")
