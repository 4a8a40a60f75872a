"""The length adapter of ``pocket``: from Whisper's last encoder layer to the word embeddings of multilingual E5.

Three convolutions of stride 2 make one position of eight (0.16 s of 0.02 s). Between them everything after an
utterance's own end is set to zero, which is what a convolution sees beyond the end of an utterance that stands alone:
what comes out does not depend on what an utterance is padded with.

The frozen encoder is not told where a recording ends, so what it says depends on the silence after it.
:func:`window_samples` fixes that silence by the recording's own length: training and use hear the same.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from babelscope.cache import write_atomically
from babelscope.errors import DataError, UsageError

SAMPLE_RATE = 16_000
#: Seconds. Whisper has no more positions than this.
LONGEST_WINDOW = 30
#: Seconds. Shorter recordings are heard in a window of this length.
SHORTEST_WINDOW = 2

FORMAT = "babelscope pocket adapter 1"

#: The trained adapter, the sentences that were held out of its training, and its model card.
FOLDER = Path(__file__).parent / "assets"
WEIGHTS = FOLDER / "adapter.safetensors"
SPLIT = FOLDER / "split.json"
CARD = FOLDER / "card.md"


def window_samples(samples: int) -> int:
    """Return the window, in samples, that Whisper hears a recording of so many samples in, with silence after it.

    The next whole second, at least :data:`SHORTEST_WINDOW`; a recording of whole seconds gets one more.

    Raises
    ------
    DataError
        If that is beyond :data:`LONGEST_WINDOW`.
    """
    seconds = max(SHORTEST_WINDOW, samples // SAMPLE_RATE + 1)
    if seconds > LONGEST_WINDOW:
        raise DataError(
            f"{samples / SAMPLE_RATE:.1f} s of speech do not fit the longest window of {LONGEST_WINDOW} s: cut the "
            f"recording, or choose max_seconds below {LONGEST_WINDOW}"
        )
    return seconds * SAMPLE_RATE


@dataclass(frozen=True)
class AdapterShape:
    """What the adapter is made of; stored with its weights.

    Attributes
    ----------
    input_width : int
        Features of the speech encoder.
    width : int
        Features of the text model.
    convolutions : int
        Each halves the number of positions.
    kernel : int
        Positions that a convolution sees; odd.
    hidden : int
        Width of the residual network after them.
    """

    input_width: int = 512
    width: int = 384
    convolutions: int = 3
    kernel: int = 3
    hidden: int = 384


def halved(length: int) -> int:
    """Return how many positions one convolution makes of `length`: ceil(length / 2)."""
    return (length + 1) // 2


class Halving(nn.Module):
    """A convolution of stride 2, GELU, and a norm: (batch, positions, features) to ceil(positions / 2).

    As an unfolded linear map: the backward pass of a one-dimensional convolution is three times as slow on a processor.
    """

    def __init__(self, input_width: int, width: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.linear = nn.Linear(kernel * input_width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor) -> Tensor:
        """Halve; what comes after an utterance's own end must be zero."""
        reach = self.kernel // 2
        padded = nn.functional.pad(values, (0, 0, reach, reach + values.shape[1] % 2))
        # (batch, ceil(positions / 2), kernel * features): the features of one position after those of the other
        windows = padded.unfold(1, self.kernel, 2)[:, : halved(values.shape[1])].transpose(2, 3).flatten(2)
        normed: Tensor = self.norm(nn.functional.gelu(self.linear(windows)))
        return normed


class PocketAdapter(nn.Module):
    """Speech features at 50 a second to what looks like word embeddings at 6.25 a second.

    Modules that are worth a look, each giving (batch, positions, features): ``norm_in`` (before length adaptation),
    ``halvings.0`` to ``halvings.2``, ``norm_out`` (after it).

    Parameters
    ----------
    shape : AdapterShape
    dropout : float
        While training only.

    Examples
    --------
    >>> adapter = PocketAdapter(AdapterShape(input_width=6, width=4, hidden=4))
    >>> adapter.output_length(50)
    7
    >>> adapter(torch.zeros(2, 50, 6), torch.tensor([50, 17])).shape
    torch.Size([2, 7, 4])
    """

    def __init__(self, shape: AdapterShape | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape = shape or AdapterShape()
        if min(dataclasses.astuple(shape)) < 1 or shape.kernel % 2 == 0:
            raise UsageError(f"an adapter cannot have the shape {shape}: all numbers are above 0 and the kernel is odd")
        self.norm_in = nn.LayerNorm(shape.input_width)
        self.halvings = nn.ModuleList(
            Halving(shape.width if index else shape.input_width, shape.width, shape.kernel)
            for index in range(shape.convolutions)
        )
        self.wide = nn.Linear(shape.width, shape.hidden)
        self.narrow = nn.Linear(shape.hidden, shape.width)
        self.norm_out = nn.LayerNorm(shape.width)
        self.drop = nn.Dropout(dropout)

    @classmethod
    def untrained(
        cls, seed: int, words: Tensor, shape: AdapterShape | None = None, dropout: float = 0.0
    ) -> PocketAdapter:
        """Return an adapter as training begins with it: random, but for the mean and spread of what comes out.

        Parameters
        ----------
        seed : int
            The same seed gives the same adapter; the global generator is left as it was.
        words : Tensor, shape (words, width)
            The text model's word embeddings: the last norm starts with their mean and standard deviation, so that an
            untrained adapter already has the right scale.
        shape : AdapterShape, optional

        Raises
        ------
        UsageError
            If the words have another width.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            adapter = cls(shape, dropout)
        if words.shape[1] != adapter.shape.width:
            raise UsageError(
                f"the word embeddings have {words.shape[1]} features, the adapter {adapter.shape.width}: "
                "take the text model that it was made for"
            )
        with torch.no_grad():
            words = words.double()
            adapter.norm_out.weight.copy_(words.std(dim=0))
            adapter.norm_out.bias.copy_(words.mean(dim=0))
        return adapter.eval()

    def output_length(self, length: int) -> int:
        """Return how many positions come out for an utterance of `length` encoder positions: ceil(length / 8)."""
        for _ in self.halvings:
            length = halved(length)
        return length

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Adapt a padded batch.

        Parameters
        ----------
        features : Tensor, shape (batch, positions, input_width)
            The encoder's last layer, after its norm. What comes after an utterance's own end does not matter.
        lengths : Tensor of int, shape (batch,)
            Positions of each utterance.

        Returns
        -------
        Tensor, shape (batch, ceil(positions / 8), width)
            Zero after an utterance's own ceil(length / 8) positions.
        """
        values = self.norm_in(features.masked_fill(_behind(features, lengths), 0.0))
        for halving in self.halvings:
            values = values.masked_fill(_behind(values, lengths), 0.0)
            values = self.drop(halving(values))
            lengths = (lengths + 1) // 2
        values = values + self.narrow(self.drop(nn.functional.gelu(self.wide(values))))
        adapted: Tensor = self.norm_out(values)
        return adapted.masked_fill(_behind(adapted, lengths), 0.0)


def _behind(values: Tensor, lengths: Tensor) -> Tensor:
    """Return (batch, positions, 1): where a position is after the utterance's own end."""
    positions = torch.arange(values.shape[1], device=values.device)
    return (positions[None] >= lengths[:, None]).unsqueeze(2)


def embed_between(before: Tensor, adapted: Tensor, lengths: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shared input of speech: ``before``, an utterance's adapted positions, ``after``, then padding.

    Parameters
    ----------
    before : Tensor, shape (b, width)
        Word embeddings of ``<s> query :``.
    adapted : Tensor, shape (batch, positions, width)
    lengths : Tensor of int, shape (batch,)
        Adapted positions of each utterance.
    after : Tensor, shape (a, width)
        Word embedding of ``</s>``.

    Returns
    -------
    embeddings : Tensor, shape (batch, b + positions + a, width)
        For ``inputs_embeds``, which adds positions and token types as it does to words; zero where there is padding.
    mask : Tensor of int, shape (batch, b + positions + a)
        1 where an utterance is; its sum along a row is b + length + a.
    """
    batch, positions, width = adapted.shape
    total = len(before) + positions + len(after)
    place = torch.arange(total, device=adapted.device)
    ends = (len(before) + lengths)[:, None]
    body = torch.cat(
        (before.expand(batch, -1, -1), adapted, adapted.new_zeros(batch, len(after), width)), dim=1
    ).masked_fill((place[None] >= ends).unsqueeze(2), 0.0)
    tail = adapted.new_zeros(batch, total, width)
    if len(after):
        offset = (place[None] - ends).clamp(0, len(after) - 1)
        tail = after[offset]
    last = (place[None] >= ends) & (place[None] < ends + len(after))
    return torch.where(last.unsqueeze(2), tail, body), (place[None] < ends + len(after)).long()


def save_adapter(adapter: PocketAdapter, path: Path, about: Mapping[str, str]) -> Path:
    """Write an adapter in half precision, its shape and `about` (seed, recipe, split) in the file's metadata."""
    state = {name: tensor.detach().half().contiguous() for name, tensor in adapter.state_dict().items()}
    said = {"format": FORMAT, "shape": json.dumps(dataclasses.asdict(adapter.shape)), **about}
    # In one entry: the format writes several in an order of its own, and the file would not be the same twice.
    metadata = {"about": json.dumps(said, sort_keys=True)}
    return write_atomically(path, lambda temporary: save_file(state, temporary, metadata))


def load_adapter(path: Path = WEIGHTS) -> tuple[PocketAdapter, dict[str, str]]:
    """Read an adapter that :func:`save_adapter` wrote.

    Returns
    -------
    adapter : PocketAdapter
        In float32, in evaluation mode.
    about : dict
        The file's metadata.

    Raises
    ------
    DataError
        If the file is missing, damaged, or no such adapter.
    """
    remedy = "install babelscope again, or train it again (training/README.md)"
    try:
        with safe_open(path, framework="pt") as opened:
            about: dict[str, str] = json.loads((opened.metadata() or {}).get("about", "{}"))
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(f"the adapter {path} cannot be read ({error}): {remedy}") from error
    if about.get("format") != FORMAT:
        raise DataError(f"{path} is not an adapter of this version (format {about.get('format')!r}): {remedy}")
    try:
        adapter = PocketAdapter(AdapterShape(**json.loads(about["shape"])))
        adapter.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"the adapter {path} is damaged ({error}): {remedy}") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in adapter.state_dict().values()):
        raise DataError(f"the adapter {path} holds numbers that are not finite: {remedy}")
    return adapter.eval(), about
