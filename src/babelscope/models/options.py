"""What can be chosen when a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoadOptions:
    """Choices for one model.

    Attributes
    ----------
    name : str
        The model's registered name.
    weights : str or None
        A local folder or a hub id in transformers' format, in place of the fetched asset.
    device : str
        ``cpu``, ``cuda``, ``cuda:1``.
    dtype : str
        ``float32``, ``bfloat16`` or ``float16``; pooling is in float32 whatever it is.
    window_seconds : float or None
        For models that hear a fixed window (Whisper): its length; None is the model's own.
    """

    name: str
    weights: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    window_seconds: float | None = None
