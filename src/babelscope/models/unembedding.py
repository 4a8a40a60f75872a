"""From a hidden state to the vocabulary: a language model's own final norm and output layer, where they are known.

Speech LLMs are loaded without the head over the vocabulary, which no point needs. It is taken, in this order, from the
model itself; from the release's own safetensors, of which that one tensor is read; or from the input embeddings, where
the configuration ties both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from babelscope.sides import Model, Point, Side

#: How the output layer is called in released files.
_HEADS = ("lm_head.weight", "output.weight", "embed_out.weight")


@dataclass(frozen=True)
class Unembedding:
    """What reads a hidden state as tokens.

    Attributes
    ----------
    norm : torch.nn.Module or None
        The final norm, applied to every layer's positions but its own.
    normed : str
        Name of the point whose values have been normed already; empty if there is none.
    weight : Tensor, shape (vocabulary, width)
    bias : Tensor, shape (vocabulary,), or None
    scale : float
        By which logits are divided.
    cap : float or None
        Logits are cap * tanh(logits / cap).
    source : str
        Where the weights came from, for people.
    """

    norm: nn.Module | None
    normed: str
    weight: Tensor
    bias: Tensor | None
    scale: float
    cap: float | None
    source: str

    def logits(self, hidden: Tensor, point: str) -> Tensor:
        """Return the logits of hidden states at a point.

        Parameters
        ----------
        hidden : Tensor, shape (..., width)
        point : str
            Its name: the final norm's own output is not normed again.

        Returns
        -------
        Tensor, shape (..., vocabulary)
            In float32, on the weights' device.
        """
        weight = self.weight
        states = hidden.to(weight.device)
        if self.norm is not None and point != self.normed:
            parameter = next(self.norm.parameters(), None)
            # Its forward pass alone: whoever hooks the norm waits for the model's own call of it.
            states = self.norm.forward(states.to(weight.dtype if parameter is None else parameter.dtype))
        logits = nn.functional.linear(states.to(weight.dtype), weight, self.bias).float() / self.scale
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)


def unembedding(model: Model) -> Unembedding | None:
    """Return a model's unembedding; None if it is no language model, or its output layer is not here.

    Parameters
    ----------
    model : Model
        With at least one shared point.
    """
    side = model.sides.get("text")
    shared = [point for point in side.points if point.name in model.shared_points] if side is not None else []
    if side is None or not shared:
        return None
    config = _text_config(side.root)
    if config is None or not _generates(side.root, config):
        return None
    normed = next((point for point in reversed(shared) if _is_norm(side, point)), None)
    norm = side.root.get_submodule(normed.module) if normed is not None else _norm_behind(side, shared[-1])
    head = _head(side.root, config, shared[-1].width)
    if head is None:
        return None
    weight, bias, source = head
    scale = getattr(config, "logits_scaling", None) or getattr(side.root.config, "logits_scaling", None) or 1.0
    cap = getattr(config, "final_logit_softcapping", None)
    return Unembedding(norm, normed.name if normed is not None else "", weight, bias, float(scale), cap, source)


def input_embeddings(model: Model) -> Tensor | None:
    """Return the vectors that a model's text side begins with, shape (vocabulary, width); None if there are none."""
    side = model.sides.get("text")
    if side is None:
        return None
    for point in side.points:
        module = side.root.get_submodule(point.module) if point.module else None
        if isinstance(module, nn.Embedding):
            return module.weight
    shared = [point.width for point in side.points if point.name in model.shared_points]
    return _read_by(side.root, shared[0]) if shared else None


def _text_config(root: nn.Module) -> Any:
    for module in root.modules():
        config = getattr(module, "config", None)
        if config is not None and hasattr(config, "get_text_config"):
            return config.get_text_config(decoder=True)
    return None


def _generates(root: nn.Module, config: Any) -> bool:
    """Whether it is a decoder that says one token after the other, not an encoder."""
    if any(_output_layer(module) is not None for module in root.modules()):
        return True
    names = [type(module).__name__ for module in root.modules()]
    return not getattr(config, "is_encoder_decoder", False) and any(name.endswith("DecoderLayer") for name in names)


def _is_norm(side: Side, point: Point) -> bool:
    module = side.root.get_submodule(point.module) if point.module else None
    return module is not None and point.take == "output" and "norm" in type(module).__name__.lower()


def _norm_behind(side: Side, last: Point) -> nn.Module | None:
    """Return the final norm: the one that has the same parent module as the layers of the last point."""
    parent = side.root.get_submodule(last.module.rpartition(".layers")[0] if ".layers" in last.module else "")
    return next((getattr(parent, name) for name in ("norm", "final_layernorm", "ln_f") if hasattr(parent, name)), None)


def _output_layer(module: nn.Module) -> nn.Module | None:
    getter = getattr(module, "get_output_embeddings", None)
    try:
        layer = getter() if getter is not None else None
    except (AttributeError, NotImplementedError):
        return None
    return layer if isinstance(layer, nn.Module) and isinstance(getattr(layer, "weight", None), Tensor) else None


def _head(root: nn.Module, config: Any, width: int) -> tuple[Tensor, Tensor | None, str] | None:
    for module in root.modules():
        layer = _output_layer(module)
        if layer is not None and isinstance(layer.weight, Tensor) and layer.weight.shape[1] == width:
            bias = getattr(layer, "bias", None)
            return layer.weight, bias if isinstance(bias, Tensor) else None, "the model's output layer"
    embeddings = _read_by(root, width)
    vocabulary = embeddings.shape[0] if embeddings is not None else None
    for file in _files(root):
        stored = _in_file(file, width, vocabulary)
        if stored is not None:
            like = next(root.parameters())
            return stored.to(device=like.device, dtype=like.dtype), None, f"{file.name} of the release"
    configs = (getattr(root, "config", config), config)
    if embeddings is not None and any(getattr(each, "tie_word_embeddings", False) for each in configs):
        return embeddings, None, "the input embeddings, which the configuration ties to the output layer"
    return None


def _read_by(root: nn.Module, width: int) -> Tensor | None:
    layers = [
        module.weight for module in root.modules() if isinstance(module, nn.Embedding) and module.embedding_dim == width
    ]
    return max(layers, key=len, default=None)


def _files(root: nn.Module) -> Iterator[Path]:
    """Yield the safetensors files that the weights were read from, as far as the model remembers its folder."""
    said = getattr(root, "name_or_path", "") or getattr(getattr(root, "config", None), "_name_or_path", "")
    folder = Path(str(said)) if said else None
    if folder is not None and folder.is_dir():
        yield from sorted(folder.glob("*.safetensors"))


def _in_file(file: Path, width: int, vocabulary: int | None) -> Tensor | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                if name.endswith(_HEADS):
                    shape = tensors.get_slice(name).get_shape()
                    if len(shape) == 2 and shape[1] == width and (vocabulary is None or shape[0] >= vocabulary // 2):
                        weight: Tensor = tensors.get_tensor(name)
                        return weight
    except (OSError, SafetensorError):
        return None
    return None
