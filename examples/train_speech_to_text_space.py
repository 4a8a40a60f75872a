"""Train a small map from Whisper's speech to e5's text space with transformers' Trainer, and watch the gap fall.

Both models stay as they are; what is learnt is an adapter of two layers between them, from human recordings of
telephone prompts in three languages. 48 prompts are held out of the training, in all languages, and are the monitor's
probe.

    babelscope fetch asterisk whisper-base e5-small
    pip install accelerate tensorboard
    python examples/train_speech_to_text_space.py

The activations are encoded once (some minutes); the training takes about a minute on two cores.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

import babelscope
from babelscope.monitor import FunctionProbe, GapCallback, GapMonitor, read_log

LANGUAGES = ("en", "es", "fr")
HELD_OUT = 48
FOLDER = Path("results/training-example")


class Adapter(nn.Module):
    """From pooled speech vectors to unit vectors of the text space."""

    def __init__(self, width: int, out: int, mean: Tensor, sd: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("sd", sd)
        self.layers = nn.Sequential(nn.Linear(width, 1024), nn.GELU(), nn.Dropout(0.2), nn.Linear(1024, out))

    def encode(self, speech: Tensor) -> Tensor:
        """Map speech vectors, (batch, width), to unit vectors, (batch, out)."""
        return nn.functional.normalize(self.layers((speech - self.mean) / self.sd), dim=-1)

    def forward(self, speech: Tensor, text: Tensor) -> dict[str, Tensor]:
        """Return the loss of a batch, as the Trainer wants it."""
        out = self.encode(speech)
        mine = out @ text.T / 0.05
        own = torch.arange(len(out))
        contrast = nn.functional.cross_entropy(mine, own) + nn.functional.cross_entropy(mine.T, own)
        return {"loss": contrast / 2 + (1 - (out * text).sum(-1)).mean(), "out": out}


def main() -> None:
    """Encode, train, tell."""
    corpus = babelscope.corpora.load("asterisk").select(languages=LANGUAGES, min_words=2, max_seconds=6, distinct=True)
    model = babelscope.models.load("whisper-base+e5-small", window_seconds=6)
    model = model.select_points(["speech.layer.5", "text.pooled"])
    activations = babelscope.encode(model, corpus, FOLDER / "activations.zarr")
    speech = {one: torch.from_numpy(activations.matrix("speech.layer.5", "speech", one)) for one in LANGUAGES}
    text = {one: torch.from_numpy(activations.matrix("text.pooled", "text", one)) for one in LANGUAGES}

    order = torch.randperm(len(corpus.sentences), generator=torch.Generator().manual_seed(0))
    probed, learnt = order[:HELD_OUT], order[HELD_OUT:]
    heard = torch.cat([speech[one][learnt] for one in LANGUAGES])
    read = nn.functional.normalize(torch.cat([text[one][learnt] for one in LANGUAGES]), dim=-1)
    rows = [{"speech": s, "text": t} for s, t in zip(heard, read, strict=True)]

    torch.manual_seed(0)
    adapter = Adapter(heard.shape[1], read.shape[1], heard.mean(0), heard.std(0))
    arguments = TrainingArguments(
        output_dir=str(FOLDER / "trainer"),
        max_steps=1500,
        per_device_train_batch_size=64,
        learning_rate=5e-5,
        logging_steps=500,
        save_strategy="no",
        report_to=["tensorboard"],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(adapter, arguments, train_dataset=rows)
    probe = FunctionProbe(
        speech=lambda: {one: {"output": adapter.encode(speech[one][probed])} for one in LANGUAGES},
        text={one: {"output": text[one][probed]} for one in LANGUAGES},
        modules=[adapter],
    )
    monitor = GapMonitor(probe, FOLDER / "gaps.jsonl", every=100)
    trainer.add_callback(GapCallback(monitor, trainer))
    trainer.train()

    log = read_log(monitor.log)
    means = log.pivot_table(index="step", columns="measure", values=["value", "chance_corrected"], aggfunc="mean")
    print(f"{len(rows)} pairs learnt from, {HELD_OUT} prompts in {len(LANGUAGES)} languages held out")
    print(means.round(3).to_string())
    print(f"probing took {monitor.share:.1%} of the training time")


if __name__ == "__main__":
    main()
