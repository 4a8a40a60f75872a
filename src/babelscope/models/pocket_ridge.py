"""The linear control of ``pocket``: a ridge regression from the mean of Whisper's last layer to E5's embedding.

A linear map on pooled Whisper already finds most transcripts among the held-out ones. What a joint model adds is what
it does beyond that, so the map stands beside it wherever it is shown. It is fitted on the recordings that the adapter
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
from babelscope.models.pocket_adapter import FOLDER

FORMAT = "babelscope pocket ridge 1"
RIDGE = FOLDER / "ridge.safetensors"


class RidgeMap(nn.Module):
    """An affine map: (batch, input width) to (batch, width).

    Parameters
    ----------
    input_width, width : int
    """

    def __init__(self, input_width: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_width, width)

    def forward(self, values: Tensor) -> Tensor:
        """Map."""
        mapped: Tensor = self.linear(values)
        return mapped

    @classmethod
    def fitted(cls, x: NDArray[np.floating], y: NDArray[np.floating], penalty: float = 1.0) -> RidgeMap:
        """Return the ridge regression of `y` on `x`, in float64.

        Parameters
        ----------
        x : ndarray, shape (recordings, input_width)
            Means of Whisper's last layer over each recording's own positions.
        y : ndarray, shape (recordings, width)
            Embeddings of the transcripts.
        penalty : float
            As a multiple of the mean variance of a feature, times the number of recordings: added to the diagonal of
            the centred products. The intercept is not penalised.

        Raises
        ------
        DataError
            If the rows do not match, a number is not finite, or all of `x` is alike.
        """
        x64, y64 = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        if x64.ndim != 2 or y64.ndim != 2 or len(x64) != len(y64) or len(x64) < 2:
            raise DataError(f"a ridge map needs as many rows of x as of y, two at least: {x64.shape}, {y64.shape}")
        if not (np.isfinite(x64).all() and np.isfinite(y64).all()):
            raise DataError("a ridge map needs finite numbers: leave the broken recordings out")
        mean_x, mean_y = x64.mean(0), y64.mean(0)
        centred = x64 - mean_x
        products = centred.T @ centred
        scale = float(np.trace(products)) / len(products)
        if scale == 0:
            raise DataError("a ridge map needs recordings that differ: all of x is alike")
        weight = np.linalg.solve(products + penalty * scale * np.eye(len(products)), centred.T @ (y64 - mean_y))
        fitted = cls(x64.shape[1], y64.shape[1])
        with torch.no_grad():
            fitted.linear.weight.copy_(torch.from_numpy(weight.T))
            fitted.linear.bias.copy_(torch.from_numpy(mean_y - mean_x @ weight))
        return fitted.eval()


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
    width, input_width = state["linear.weight"].shape
    ridge = RidgeMap(input_width, width)
    ridge.load_state_dict(state)
    return ridge.eval(), about
