"""What a few checkpoints need that no rule gives: parts that want a library that is not installed.

transformers computes Granite's features with torchaudio, which a CPU build of torch need not have. The same numbers
come from torch alone: a power spectrum in Hann windows, triangular filters on the mel scale (HTK's), not normalised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from babelscope.models.weights.settings import read_json

#: One model is built at a time while a class of the library is replaced.
_BUILDING = RLock()

#: Kinds of models whose features are computed here.
_GRANITE = ("granite_speech", "granite_speech_plus")


def feature_extractor(folder: Path) -> Any | None:
    """Return an extractor of this module's for a checkpoint whose own cannot be made.

    Parameters
    ----------
    folder : Path
        With ``config.json``, and ``preprocessor_config.json`` if the checkpoint has one.

    Returns
    -------
    GraniteFeatures or None
        None if the model is of another kind.
    """
    config = read_json(folder / "config.json")
    if config.get("model_type") not in _GRANITE:
        return None
    said: dict[str, Any] = {"projector_window_size": config.get("window_size", 15)}
    said["projector_downsample_rate"] = config.get("downsample_rate", 5)
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (folder / name).is_file():
            settings = read_json(folder / name)
            said |= settings.get("audio_processor", settings)
    # older files keep the spectrum's settings in a group of their own
    said |= said.get("melspec_kwargs", {})
    names = ("n_fft", "win_length", "hop_length", "n_mels", "projector_window_size", "projector_downsample_rate")
    return GraniteFeatures(**{name: int(said[name]) for name in names if name in said})


@contextmanager
def building(config: Any) -> Iterator[None]:
    """Let a class be made although a part that this library never uses wants one that is not installed.

    Gemma 3n builds what sees from `timm`. Where that is not installed its place is taken by a module without weights;
    whatever the checkpoint holds for it is then unexpected and is not read.

    Parameters
    ----------
    config : PreTrainedConfig
        Of the model that is made inside the context.
    """
    if not unread(config):
        yield
        return
    from transformers.models.gemma3n import modeling_gemma3n as modeling

    with _BUILDING:
        real = modeling.AutoModel

        class Blind:
            @staticmethod
            def from_config(config: Any, **settings: Any) -> Any:
                return nn.Identity() if config.model_type == "gemma3n_vision" else real.from_config(config, **settings)

        modeling.AutoModel = Blind
        try:
            yield
        finally:
            modeling.AutoModel = real


def unread(config: Any) -> tuple[str, ...]:
    """Return starts of names of weights that find no place in what is made inside :func:`building`."""
    if getattr(config, "model_type", "") != "gemma3n" or find_spec("timm") is not None:
        return ()
    return ("vision_tower.", "model.vision_tower.")


def runs_beside(config: Any) -> bool:
    """Return whether a model may run in several threads at once.

    Granite's encoder chooses the kernel of its attention for the whole process, while it runs.
    """
    return getattr(config, "model_type", "") not in _GRANITE


class GraniteFeatures:
    """Granite's features, as ``GraniteSpeechFeatureExtractor`` of transformers 5.23 computes them.

    Log-mel spectra, none more than eight powers of ten below the loudest, two frames side by side. The number of
    positions is that after the projector: blocks of `projector_window_size`, each of which gives
    `projector_window_size` // `projector_downsample_rate`.

    Parameters
    ----------
    n_fft, win_length, hop_length : int
        In samples.
    n_mels : int
        Filters.
    projector_window_size : int
        Positions of the encoder that the projector reads at once.
    projector_downsample_rate : int
        By how much it shortens them.
    """

    sampling_rate = 16_000
    model_input_names = ("input_features", "input_features_mask")

    def __init__(
        self,
        n_fft: int = 512,
        win_length: int = 400,
        hop_length: int = 160,
        n_mels: int = 80,
        projector_window_size: int = 15,
        projector_downsample_rate: int = 5,
    ) -> None:
        self.n_fft, self.win_length, self.hop_length = n_fft, win_length, hop_length
        self.feature_size = n_mels
        self.projector_window_size, self.projector_downsample_rate = projector_window_size, projector_downsample_rate
        self.filters = mel_filters(n_fft // 2 + 1, n_mels, self.sampling_rate)

    def fetch_audio(self, audio: Any, **_: Any) -> Any:
        """Return what is given: recordings are read elsewhere. A processor asks its extractor for this."""
        return audio

    def __call__(
        self, audios: NDArray[np.float32] | Sequence[NDArray[np.float32]], device: str | None = None, **_: Any
    ) -> dict[str, Any]:
        """Compute the features of one recording.

        Parameters
        ----------
        audios : array of float32, or a sequence with one such array
            Samples at 16 kHz.
        device : str, optional
            Not used: features are computed on the CPU.

        Returns
        -------
        dict
            ``input_features`` (1, frames // 2, 2 * `n_mels`), ``audio_embed_sizes`` (list of one number) and
            ``input_features_mask`` (1, that number), of the class's names.

        Raises
        ------
        ValueError
            If there are several recordings: a batch of them would be padded.
        """
        recordings = [audios] if isinstance(audios, np.ndarray | Tensor) and audios.ndim == 1 else list(audios)
        if len(recordings) != 1:
            raise ValueError(f"features are computed of one recording at a time, not of {len(recordings)}")
        samples = torch.as_tensor(np.asarray(recordings[0], dtype=np.float32)).reshape(1, -1)
        frames = log_mel(samples, self.filters, self.n_fft, self.win_length, self.hop_length)
        frames = frames[:, : frames.shape[1] // 2 * 2].reshape(1, -1, 2 * self.feature_size)
        positions = (samples.shape[1] // self.hop_length + 1) // 2
        blocks = -(-positions // self.projector_window_size)
        size = blocks * (self.projector_window_size // self.projector_downsample_rate)
        mask = torch.ones(1, size, dtype=torch.bool)
        return {"input_features": frames, "audio_embed_sizes": [size], "input_features_mask": mask}


def log_mel(samples: Tensor, filters: Tensor, n_fft: int, win_length: int, hop_length: int) -> Tensor:
    """Return log-mel spectra, at most 8 (in powers of ten) below the largest, divided by 4, plus 1.

    Parameters
    ----------
    samples : Tensor of shape (batch, samples)
    filters : Tensor of shape (n_fft // 2 + 1, filters)
    n_fft, win_length, hop_length : int
        In samples; frames are centred and the ends mirrored.

    Returns
    -------
    Tensor of shape (batch, samples // hop_length + 1, filters)
    """
    window = torch.hann_window(win_length)
    spectrum = torch.stft(
        samples, n_fft, hop_length, win_length, window, center=True, pad_mode="reflect", return_complex=True
    )
    powers = spectrum.abs().pow(2).transpose(-1, -2) @ filters
    logarithms = powers.clip(min=1e-10).log10()
    loudest = logarithms.amax(dim=(-2, -1), keepdim=True)
    return torch.maximum(logarithms, loudest - 8.0) / 4 + 1


def mel_filters(bins: int, count: int, rate: int) -> Tensor:
    """Return triangular filters, equally spaced on HTK's mel scale from 0 to half the rate, with peaks of 1.

    Parameters
    ----------
    bins : int
        Frequencies of the spectrum.
    count : int
        Filters.
    rate : int
        Samples in a second.

    Returns
    -------
    Tensor of shape (bins, count)
    """
    frequencies = torch.linspace(0, rate // 2, bins)
    highest = 2595.0 * np.log10(1.0 + rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, float(highest), count + 2) / 2595.0) - 1.0)
    widths = edges[1:] - edges[:-1]
    slopes = edges[None] - frequencies[:, None]
    down = -slopes[:, :-2] / widths[:-1]
    up = slopes[:, 2:] / widths[1:]
    return torch.minimum(down, up).clamp(min=0.0)
