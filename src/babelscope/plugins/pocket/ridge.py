"""The linear control of ``pocket``: a ridge regression from the mean of Whisper's last layer to E5's embedding.

A linear map on pooled Whisper already finds most transcripts among the held-out ones. What a joint model adds is what
it does beyond that, so the map stands next to it wherever it is shown. It is fitted on the recordings that the adapter
is trained on, and on no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from babelscope.cache import write_atomically
from babelscope.errors import DataError
from babelscope.plugins.pocket.adapter import FOLDER

FORMAT = "babelscope pocket ridge 1"
RIDGE = FOLDER / "ridge.safetensors"


class RidgeMap(nn.Module):
    """An affine map: (batch, input width) to (batch, width).

    Parameters
    ----------
    weight : ndarray, shape (input_width, width)
    bias : ndarray, shape (width,)
    """

    def __init__(self, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> None:
        super().__init__()
        self.linear = nn.Linear(*weight.shape)
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight.T)))
            self.linear.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))

    def forward(self, values: Tensor) -> Tensor:
        """Map."""
        mapped: Tensor = self.linear(values)
        return mapped


def save_ridge(ridge: RidgeMap, path: Path, about: Mapping[str, str]) -> Path:
    """Write a map in half precision, `about` (recordings, penalty, split) in the file's metadata."""
    state = {name: tensor.detach().half().contiguous() for name, tensor in ridge.state_dict().items()}
    return write_atomically(path, lambda temporary: save_file(state, temporary, {"format": FORMAT, **about}))


def load_ridge(path: Path = RIDGE) -> tuple[RidgeMap, dict[str, str]]:
    """Read a map that :func:`save_ridge` wrote: in float32, and the file's metadata.

    Raises
    ------
    DataError
        If the file is missing, damaged, or no such map.
    """
    remedy = "install babelscope again, or fit it again (training/README.md)"
    try:
        with safe_open(path, framework="pt") as opened:
            about = dict(opened.metadata() or {})
            state = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise DataError(f"the ridge map {path} cannot be read ({error}): {remedy}") from error
    if about.get("format") != FORMAT or state.keys() != {"linear.weight", "linear.bias"}:
        raise DataError(f"{path} is not a ridge map of this version (format {about.get('format')!r}): {remedy}")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise DataError(f"the ridge map {path} holds numbers that are not finite: {remedy}")
    return RidgeMap(state["linear.weight"].numpy().T, state["linear.bias"].numpy()).eval(), about
