"""SeamlessM4T v2 at full width, one layer of each kind, with random weights: time and memory against the plan.

Run::

    python benchmarks/seamless_full_size.py            # float32
    python benchmarks/seamless_full_size.py bfloat16

The whole model has 24 layers of each kind; what is told for it is 24 times one layer, plus what there is once.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import SeamlessM4TFeatureExtractor, SeamlessM4Tv2Config

from babelscope.models import Model
from babelscope.models.base import DTYPES
from babelscope.models.planning import Plan, plan
from babelscope.models.seamless import SeamlessSpeech, SeamlessText, build

SECONDS, TOKENS, LAYERS = 10.0, 40, 24


def resident() -> int:
    """Return the bytes of memory that the process holds."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(modules: dict[str, nn.Module], work: Callable[[], Any]) -> dict[str, float]:
    """Return the processor time that each module takes in one pass, the shortest of three."""
    started: dict[str, float] = {}
    found: dict[str, float] = {}

    def before(name: str) -> Callable[..., None]:
        return lambda *_: started.__setitem__(name, time.process_time())

    def after(name: str) -> Callable[..., None]:
        def keep(*_: Any) -> None:
            found[name] = min(found.get(name, np.inf), time.process_time() - started[name])

        return keep

    for name, module in modules.items():
        module.register_forward_pre_hook(before(name))
        module.register_forward_hook(after(name))
    for _ in range(3):
        work()
    return found


def main() -> None:
    """Build, run and tell."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("dtype", nargs="?", choices=list(DTYPES), default="float32")
    dtype = DTYPES[arguments.parse_args().dtype]
    torch.set_num_threads(1)
    config = SeamlessM4Tv2Config(encoder_layers=1, decoder_layers=1, speech_encoder_layers=1, vocab_size=1000)
    before = resident()
    parts = build(config, dtype)
    with torch.no_grad():
        for part in parts.values():
            for parameter in part.parameters():
                parameter.normal_(0, 0.02)
    taken = resident() - before
    prefix = torch.tensor([[3, 5]])
    speech_root = nn.ModuleDict({name: parts[name] for name in ("speech_encoder", "text_decoder")}).eval()
    text_root = nn.ModuleDict({name: parts[name] for name in ("text_encoder", "text_decoder")}).eval()
    speech = SeamlessSpeech(speech_root, config, prefix, SeamlessM4TFeatureExtractor())
    text = SeamlessText(text_root, config, prefix, lambda _: list(range(10, 8 + TOKENS)), {"eng": 5})
    small = Plan(Model("one layer of each kind", {"text": text, "speech": speech}, ()), from_weights=True)
    planned = small.memory[str(dtype).removeprefix("torch.")]
    print(f"one layer of each kind, {dtype}: {small.parameters / 1e6:.1f} M parameters; "
          f"{planned / 1e6:.0f} MB planned, {taken / 1e6:.0f} MB taken")  # fmt: skip
    samples = np.random.default_rng(0).standard_normal(round(16_000 * SECONDS)).astype(np.float32)
    heard, read = (side.collate([side.prepare(item, "eng")]) for side, item in ((speech, samples), (text, "text")))
    before = resident()
    with torch.inference_mode():
        seconds = processor_seconds(
            {
                "conformer layer": speech_root.get_submodule("speech_encoder.encoder.layers.0"),
                "length adapter": speech_root.get_submodule("speech_encoder.adapter"),
                "text layer": text_root.get_submodule("text_encoder.layers.0"),
                "decoder layer, prefix": text_root.get_submodule("text_decoder.layers.0"),
            },
            lambda: (speech.forward(heard), text.forward(read)),
        )
    for name, value in seconds.items():
        print(f"{name}: {value:.3f} s of processor time")
    print(f"activations and scratch: {(resident() - before) / 1e6:.0f} MB")
    whole = plan("seamless-m4t-v2-large")
    print(f"the whole model: {whole.parameters / 1e9:.2f} B parameters, "
          f"{whole.memory[str(dtype).removeprefix('torch.')] / 1e9:.1f} GB; "
          f"{SECONDS:g} s of speech about {LAYERS * seconds['conformer layer'] + seconds['length adapter']:.1f} s, "
          f"{TOKENS} tokens about {LAYERS * seconds['text layer']:.1f} s, "
          f"the decoder {LAYERS * seconds['decoder layer, prefix']:.1f} s")  # fmt: skip


if __name__ == "__main__":
    main()
