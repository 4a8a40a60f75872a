"""BEATs (Chen et al. 2022, arXiv 2212.09058): a transformer over patches of a spectrogram, here as the ear of SALMONN.

T = (n - 400) // 160 + 1 frames of 128 log-mel energies, as Kaldi computes them, are cut into patches of 16 frames by 16
bands: P = 8 * (T // 16), eight of each time step side by side. A patch is projected, normed, given its place by a
convolution over its neighbours, and goes through layers of attention whose bias depends on how far two patches are
apart (buckets as in T5) and on a gate that the query computes (as in WavLM). Residuals are scaled up (DeepNorm), norms
come after.

Written from the paper and from what released checkpoints hold, in eager PyTorch; only what BEATs_iter3+ has is here.

The original cannot be batched exactly: its padding mask is cut from the samples' by whole shares, and tells too many
patches. Here each utterance's own patches come first, no more and no fewer than alone, and what follows is neither
attended to nor seen by the convolution, so that an utterance gives the same in any batch.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank, window_function

from babelscope.models import filterbank

SAMPLE_RATE = 16_000
WINDOW, HOP = 400, 160
MELS = 128
PATCH = 16
#: Patches side by side at one time step.
BANDS = MELS // PATCH

#: Mean of the log-mel energies in the data that BEATs was trained on, and twice their standard deviation.
FBANK_MEAN, FBANK_SCALE = 15.41663, 2 * 6.55582


def frames(samples: int) -> int:
    """Return how many frames of filterbank `samples` samples give: T = (n - 400) // 160 + 1, at least 0."""
    return max((samples - WINDOW) // HOP + 1, 0)


def patches(samples: int) -> int:
    """Return how many patches `samples` samples fill: P = 8 * (T // 16)."""
    return BANDS * (frames(samples) // PATCH)


@functools.cache
def _filters() -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the lowest bands hold no frequency: so they do in Kaldi
        bank: NDArray[np.float64] = mel_filter_bank(
            num_frequency_bins=257,
            num_mel_filters=MELS,
            min_frequency=20,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
    return bank


def fbank(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the log-mel energies that BEATs takes: Kaldi's, of 25 ms every 10 ms, shifted and scaled.

    Parameters
    ----------
    samples : ndarray, shape (n,)
        Mono, 16 kHz, from -1 to 1; 400 or more.

    Returns
    -------
    ndarray, shape (T, 128)
    """
    energies = filterbank.fbank(
        np.asarray(samples, dtype=np.float64) * 2**15,  # Kaldi counts in 16-bit integers
        window_function(WINDOW, "povey", periodic=False),
        _filters(),
        float(np.finfo(np.float32).eps),
    )
    scaled: NDArray[np.float32] = ((energies - FBANK_MEAN) / FBANK_SCALE).astype(np.float32)
    return scaled


@dataclass(frozen=True)
class BeatsSizes:
    """The sizes of a BEATs encoder; by default those of BEATs_iter3+.

    Attributes
    ----------
    embed : int
        Width of a patch's embedding.
    width, layers, heads, feed_forward : int
        Of the transformer.
    conv_kernel, conv_groups : int
        Of the convolution that tells places.
    buckets, farthest : int
        How many distances have a bias of their own, and from which on all share one.
    deep_norm : bool
        Whether residuals are scaled up, by (2 layers) ** (1/4).
    """

    embed: int = 512
    width: int = 768
    layers: int = 12
    heads: int = 12
    feed_forward: int = 3072
    conv_kernel: int = 128
    conv_groups: int = 16
    buckets: int = 320
    farthest: int = 800
    deep_norm: bool = True

    @property
    def residual(self) -> float:
        """By how much a residual is scaled up."""
        return float((2 * self.layers) ** 0.25) if self.deep_norm else 1.0


class Beats(nn.Module):
    """The encoder, without the classifier that a fine-tuned checkpoint has."""

    def __init__(self, sizes: BeatsSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.patch_embedding = nn.Conv2d(1, sizes.embed, PATCH, PATCH, bias=False)
        self.layer_norm = nn.LayerNorm(sizes.embed)
        self.post_extract_proj = nn.Identity() if sizes.embed == sizes.width else nn.Linear(sizes.embed, sizes.width)
        self.encoder = _Encoder(sizes)

    def forward(self, energies: Tensor, counts: Sequence[int]) -> Tensor:
        """Encode a padded batch.

        Parameters
        ----------
        energies : Tensor, shape (batch, T, 128)
            From :func:`fbank`, in whole patches: T is a multiple of 16.
        counts : sequence of int
            How many patches of each are its own.

        Returns
        -------
        Tensor, shape (batch, P, width)
        """
        embedded = self.patch_embedding(energies[:, None]).flatten(2).transpose(1, 2)
        states = self.post_extract_proj(self.layer_norm(embedded))
        own = torch.arange(states.shape[1])[None] < torch.tensor(list(counts))[:, None]
        encoded: Tensor = self.encoder(states, own.to(states.device))
        return encoded


class _Encoder(nn.Module):
    def __init__(self, sizes: BeatsSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.pos_conv = nn.Conv1d(
            sizes.width, sizes.width, sizes.conv_kernel, padding=sizes.conv_kernel // 2, groups=sizes.conv_groups
        )
        self.layer_norm = nn.LayerNorm(sizes.width)
        self.relative_attention_bias = nn.Embedding(sizes.buckets, sizes.heads)
        self.layers = nn.ModuleList([_Layer(sizes) for _ in range(sizes.layers)])

    def forward(self, states: Tensor, own: Tensor) -> Tensor:
        states = states.masked_fill(~own[..., None], 0.0)
        # an even kernel gives one position too many
        around = self.pos_conv(states.transpose(1, 2))[..., : states.shape[1]]
        states = self.layer_norm(states + nn.functional.gelu(around).transpose(1, 2))
        bias = self.relative_attention_bias(self._buckets(states.shape[1]).to(states.device)).permute(2, 0, 1)
        others = None if bool(own.all()) else ~own[:, None, None]
        for layer in self.layers:
            states = layer(states, bias, others)
        return states

    def _buckets(self, size: int) -> Tensor:
        """Return the bucket of every pair of positions: shape (size, size); near distances have one each.

        Counted on the CPU in float32 as the original does, lest a distance on a border fall into another bucket.
        """
        half = self.sizes.buckets // 2
        exact = half // 2
        apart = torch.arange(size)
        far = torch.log(apart.clamp(min=1).float() / exact) / math.log(self.sizes.farthest / exact) * (half - exact)
        bucket = torch.where(apart < exact, apart, (exact + far.long()).clamp(max=half - 1))
        offset = apart[None] - apart[:, None]
        return bucket[offset.abs()] + half * (offset > 0)


class _Layer(nn.Module):
    def __init__(self, sizes: BeatsSizes) -> None:
        super().__init__()
        self.residual = sizes.residual
        self.self_attn = _Attention(sizes)
        self.self_attn_layer_norm = nn.LayerNorm(sizes.width)
        self.fc1 = nn.Linear(sizes.width, sizes.feed_forward)
        self.fc2 = nn.Linear(sizes.feed_forward, sizes.width)
        self.final_layer_norm = nn.LayerNorm(sizes.width)

    def forward(self, states: Tensor, bias: Tensor, others: Tensor | None) -> Tensor:
        states = self.self_attn_layer_norm(states * self.residual + self.self_attn(states, bias, others))
        inner = self.fc2(nn.functional.gelu(self.fc1(states)))
        normed: Tensor = self.final_layer_norm(states * self.residual + inner)
        return normed


class _Attention(nn.Module):
    """Attention with a bias for how far apart two patches are, which each query scales by a gate of its own."""

    def __init__(self, sizes: BeatsSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(sizes.width, sizes.width) for _ in range(4))
        self.grep_linear = nn.Linear(sizes.width // sizes.heads, 8)
        self.grep_a = nn.Parameter(torch.ones(1, sizes.heads, 1, 1))

    def forward(self, states: Tensor, bias: Tensor, others: Tensor | None) -> Tensor:
        query, key, value = (
            projected(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projected in (self.q_proj, self.k_proj, self.v_proj)
        )
        update, reset = torch.sigmoid(self.grep_linear(query).unflatten(-1, (2, 4)).sum(-1)).chunk(2, dim=-1)
        gated = (update * (reset * self.grep_a - 1) + 2) * bias
        if others is not None:
            gated = gated.masked_fill(others, -torch.inf)
        attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=gated)
        projected: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return projected
