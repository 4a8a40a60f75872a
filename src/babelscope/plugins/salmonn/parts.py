"""The modules that SALMONN is made of (Tang et al. 2024, arXiv 2310.13289), and how they are built without weights.

Whisper's encoder and BEATs hear the same recording; their states, normed, stand side by side (50 a second). A Q-Former
takes them in windows of 17 (0.34 s) and leaves one token a window, which is projected to the width of a language model:
Vicuna, with LoRA on its queries and values.

Whisper, the Q-Former's layers and Vicuna are those of transformers. LoRA is added to each product and not merged into
the weights, so that it can be off for one side and on for the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import Blip2QFormerConfig, LlamaConfig, LlamaModel, WhisperConfig
from transformers.initialization import no_init_weights
from transformers.modeling_utils import local_torch_dtype
from transformers.models.blip_2.modeling_blip_2 import Blip2QFormerLayer
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from babelscope.plugins.salmonn.beats import Beats, BeatsSizes
from babelscope.plugins.salmonn.checkpoint import TrainedCheckpoint

#: Positions of Whisper that the Q-Former makes one token of: 0.333333 s, rounded.
WINDOW = 17

#: Attention heads of the Q-Former, those of bert-base: no array's shape tells them.
QFORMER_HEADS = 12


@dataclass(frozen=True)
class Sizes:
    """What SALMONN's parts are: configurations, and what its own checkpoint's shapes tell.

    Attributes
    ----------
    rank : int
        Of LoRA.
    alpha : float
        LoRA's products are scaled by alpha / rank.
    """

    whisper: WhisperConfig
    beats: BeatsSizes
    vicuna: LlamaConfig
    qformer_width: int = 768
    qformer_layers: int = 2
    qformer_feed_forward: int = 3072
    rank: int = 8
    alpha: float = 32.0

    @property
    def heard(self) -> int:
        """Width of Whisper's and BEATs's states side by side."""
        return int(self.whisper.d_model) + self.beats.width

    @property
    def positions(self) -> int:
        """How many positions Whisper's window has."""
        return int(self.whisper.max_source_positions)

    def with_trained(self, trained: TrainedCheckpoint) -> Sizes:
        """Return the sizes that a checkpoint of SALMONN tells."""
        return Sizes(
            self.whisper,
            self.beats,
            self.vicuna,
            trained.width,
            trained.layers,
            trained.feed_forward,
            trained.rank,
            self.alpha,
        )


class Fusion(nn.Module):
    """Whisper's and BEATs's states, each normed, side by side; after its patches BEATs's half is zero."""

    def __init__(self, speech: int, audio: int) -> None:
        super().__init__()
        self.ln_speech = nn.LayerNorm(speech)
        self.ln_audio = nn.LayerNorm(audio)

    def forward(self, speech: Tensor, audio: Tensor, counts: Sequence[int]) -> Tensor:
        """Return the states that the Q-Former takes.

        Parameters
        ----------
        speech : Tensor, shape (batch, positions, width)
        audio : Tensor, shape (batch, patches, width)
        counts : sequence of int
            How many patches of each are its own.
        """
        own = torch.arange(audio.shape[1])[None] < torch.tensor(list(counts))[:, None]
        audio = self.ln_audio(audio).masked_fill(~own[..., None].to(audio.device), 0.0)
        audio = nn.functional.pad(audio, (0, 0, 0, speech.shape[1] - audio.shape[1]))
        return torch.cat([self.ln_speech(speech), audio], dim=-1)


class _WindowLayer(nn.Module):
    """A layer of the Q-Former on all windows of an utterance: (batch, windows, width)."""

    def __init__(self, config: Blip2QFormerConfig, index: int) -> None:
        super().__init__()
        self.layer = Blip2QFormerLayer(config, index)

    def forward(self, queries: Tensor, windows: Tensor) -> Tensor:
        attended = self.layer(queries.flatten(0, 1)[:, None], None, windows.flatten(0, 1), query_length=1)
        return cast(Tensor, attended).reshape(queries.shape)


class WindowQFormer(nn.Module):
    """One query for every window of 17 positions; positions that fill no window are dropped."""

    def __init__(self, heard: int, width: int, layers: int, feed_forward: int) -> None:
        super().__init__()
        config = Blip2QFormerConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=QFORMER_HEADS,
            intermediate_size=feed_forward,
            encoder_hidden_size=heard,
            cross_attention_frequency=1,
            layer_norm_eps=1e-12,
        )
        config._attn_implementation = "sdpa"
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.layernorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.layers = nn.ModuleList([_WindowLayer(config, index) for index in range(layers)])

    def forward(self, heard: Tensor) -> Tensor:
        """Return one token a window: shape (batch, positions // 17, width)."""
        batch, positions, width = heard.shape
        count = positions // WINDOW
        windows = heard[:, : count * WINDOW].reshape(batch, count, WINDOW, width)
        tokens: Tensor = self.layernorm(self.query.expand(batch, count, -1))
        for layer in self.layers:
            tokens = layer(tokens, windows)
        return tokens


class LoraLinear(nn.Linear):
    """A linear map W x to which (alpha / rank) B A x is added while :attr:`active` (Hu et al. 2021)."""

    def __init__(self, plain: nn.Linear, rank: int, scale: float) -> None:
        super().__init__(plain.in_features, plain.out_features, bias=plain.bias is not None, device="meta")
        self.weight, self.bias = plain.weight, plain.bias
        self.lora_A = nn.Linear(plain.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, plain.out_features, bias=False)
        self.scale = scale
        self.active = True

    def forward(self, input: Tensor) -> Tensor:
        """Return W x, with LoRA's share if it is active."""
        output = super().forward(input)
        return output + self.lora_B(self.lora_A(input)) * self.scale if self.active else output


@contextlib.contextmanager
def lora(language: nn.Module, active: bool) -> Iterator[None]:
    """Have LoRA on or off in a language model, for as long as the ``with`` block lasts."""
    maps = [module for module in language.modules() if isinstance(module, LoraLinear)]
    before = [module.active for module in maps]
    try:
        for module in maps:
            module.active = active
        yield
    finally:
        for module, was in zip(maps, before, strict=True):
            module.active = was


def build(sizes: Sizes, dtype: torch.dtype) -> dict[str, nn.Module]:
    """Build all parts, their weights not set.

    Parameters
    ----------
    dtype : torch.dtype
        In which the weights take their place at once, so that none is ever there in another.

    Returns
    -------
    dict of str to torch.nn.Module
        ``whisper``, ``beats``, ``fusion``, ``qformer``, ``projection``, ``language``.
    """
    sizes.whisper._attn_implementation = sizes.vicuna._attn_implementation = "sdpa"
    with local_torch_dtype(dtype), no_init_weights():
        parts: dict[str, nn.Module] = {
            "whisper": WhisperEncoder(sizes.whisper),
            "beats": Beats(sizes.beats),
            "fusion": Fusion(int(sizes.whisper.d_model), sizes.beats.width),
            "qformer": WindowQFormer(
                sizes.heard, sizes.qformer_width, sizes.qformer_layers, sizes.qformer_feed_forward
            ),
            "projection": nn.Linear(sizes.qformer_width, int(sizes.vicuna.hidden_size)),
            "language": LlamaModel(sizes.vicuna),
        }
        for layer in cast(Any, parts["language"]).layers:
            for name in ("q_proj", "v_proj"):
                plain = getattr(layer.self_attn, name)
                setattr(layer.self_attn, name, LoraLinear(plain, sizes.rank, sizes.alpha / sizes.rank))
    for module in parts.values():
        module.eval().requires_grad_(False)
    return parts


def trained_arrays(parts: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return what SALMONN's own checkpoint must fill, by name: norms, Q-Former, projection, LoRA."""
    expected = {
        f"{name}.{key}": tensor
        for name in ("fusion", "qformer", "projection")
        for key, tensor in parts[name].state_dict().items()
    }
    return expected | {
        f"language.{key}": tensor for key, tensor in parts["language"].state_dict().items() if ".lora_" in key
    }
