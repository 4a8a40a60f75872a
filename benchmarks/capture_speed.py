"""What capture costs: against the bare forward pass, against the usual loop, and in memory; ratios of one run.

Run::

    python benchmarks/capture_speed.py                 # real Whisper-base, and a mid-size SeamlessM4T v2 at random
    python benchmarks/capture_speed.py --only whisper
    python benchmarks/capture_speed.py --batches       # which batch budget is quickest

- *All points against the bare pass*: the same batches through ``side.forward`` alone, and through ``Capture.run`` with
  every point of the side; on one thread, as ``encode`` runs each batch.
- *The usual loop*: one utterance at a time, ``output_hidden_states=True``, the states stacked, their mean over the
  positions; with as many threads as torch has, and with one. It runs the modules that ours runs; it pools the padding
  of Whisper's window too. Against it: ``encode`` as a whole, from files to a store, its decoding and writing included;
  the loop decodes too, but writes nothing.
- *Memory*: the most that the process held over what it held with the model loaded, for two sizes of corpus.

What is compared is interleaved: the ratio of the least of several repeats is told, and the median of the ratios.
Whisper hears windows of 30 s whatever is said. Both sides of each ratio have the same window.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import SeamlessM4TFeatureExtractor, SeamlessM4Tv2Config

from babelscope import corpora, models
from babelscope.audio import load_audio
from babelscope.capture import Capture, encode
from babelscope.capture.jobs import EncodeConfig
from babelscope.capture.running import run_batches
from babelscope.capture.threads import one_thread
from babelscope.corpora import Corpus
from babelscope.models import Model, Side
from babelscope.models.seamless import SeamlessSpeech, SeamlessText, build


def clock() -> float:
    """Return seconds of the wall; of the processor, all threads together, with ``--processor-time``."""
    return time.process_time() if "--processor-time" in sys.argv else time.perf_counter()


def whisper(window: float | None) -> Model:
    """Return the released Whisper-base, and E5 beside it."""
    return models.load("whisper-base", window_seconds=window)


def seamless() -> Model:
    """Return a SeamlessM4T v2 of middle size with random weights: 256 wide, 6 layers of each kind."""
    torch.manual_seed(0)
    config = SeamlessM4Tv2Config(
        hidden_size=256, encoder_layers=6, decoder_layers=6, speech_encoder_layers=6, encoder_attention_heads=8,
        decoder_attention_heads=8, speech_encoder_attention_heads=8, encoder_ffn_dim=1024, decoder_ffn_dim=1024,
        speech_encoder_intermediate_size=1024, vocab_size=1000,
    )  # fmt: skip
    parts = build(config, torch.float32)
    with torch.no_grad():
        for part in parts.values():
            for parameter in part.parameters():
                parameter.normal_(0, 0.02)
    prefix = torch.tensor([[3, 5]])

    def root(*names: str) -> torch.nn.Module:
        return torch.nn.ModuleDict({name: parts[name] for name in names}).eval().requires_grad_(False)

    codes = {code: 5 + row for row, code in enumerate(("eng", "ita", "rus", "spa", "fra"))}
    text = SeamlessText(
        root("text_encoder", "text_decoder"), config, prefix,
        lambda said: [10 + len(word) % 900 for word in said.split()], codes,
    )  # fmt: skip
    speech = SeamlessSpeech(root("speech_encoder", "text_decoder"), config, prefix, SeamlessM4TFeatureExtractor())
    return Model("a middle-size SeamlessM4T v2, random", {"text": text, "speech": speech}, ())


def repeated(works: dict[str, Callable[[], Any]], repeats: int) -> dict[str, NDArray[np.float64]]:
    """Return the seconds that each takes in each repeat, one after the other and again."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            begun = clock()
            work()
            found[name].append(clock() - begun)
    return {name: np.array(seconds) for name, seconds in found.items()}


def prepared(side: Side, corpus: Corpus) -> list[Any]:
    """Return every utterance of a corpus as the side takes it."""
    items: list[Any] = []
    for language in corpus.languages:
        for sentence in corpus.sentences:
            text = corpus.text(sentence, language)
            spoken = side.modality == "speech"
            item = load_audio(corpus.recordings(sentence, language)[0]) if spoken else text or ""
            items.append(side.prepare(item, language))
    return items


def against_the_bare_pass(side: Side, corpus: Corpus, how: EncodeConfig, repeats: int) -> None:
    """Print what all points cost."""
    items = prepared(side, corpus)
    lengths = [item.length for item in items]
    batches = [side.collate([items[row] for row in batch]) for batch in how.batches(side, lengths)]
    with Capture(side) as capture:

        def bare() -> None:
            with torch.inference_mode():
                for batch in batches:
                    side.forward(batch)

        def captured() -> None:
            for batch in batches:
                capture.run(batch)

        # The hooks hang there during the bare pass too, and return at once.
        with one_thread():
            captured()
            took = repeated({"bare": bare, "captured": captured}, repeats)
    bare_s, captured_s = took["bare"], took["captured"]
    more, middle = captured_s.min() / bare_s.min() - 1, np.median(captured_s / bare_s) - 1
    print(
        f"{side.family}, {side.modality}: {len(items)} utterances in {len(batches)} batches, {len(side.points)} points"
        f": bare {bare_s.min():.2f} s, with all points {captured_s.min():.2f} s: "
        f"{100 * more:+.1f} %, median {100 * middle:+.1f} % of {repeats}; load {os.getloadavg()[0]:.1f}"
    )  # fmt: skip


def usual_loop(side: Side, corpus: Corpus) -> list[NDArray[np.float32]]:
    """Return what the usual loop gives: one utterance at a time, all hidden states stacked, their mean.

    It runs the modules that ours runs: SeamlessM4T's decoder on its prefix too.
    """
    found = []
    with torch.inference_mode():
        for language in corpus.languages:
            for sentence in corpus.sentences:
                if side.modality == "text":
                    item: Any = side.prepare(corpus.text(sentence, language) or "", language)
                    encoder = dict(side.root.named_children()).get("text_encoder", side.root)
                    out = encoder(input_ids=item.inputs["input_ids"][None], output_hidden_states=True)
                else:
                    item = side.prepare(load_audio(corpus.recordings(sentence, language)[0]), language)
                    encoder = dict(side.root.named_children()).get("speech_encoder", side.root)
                    out = encoder(item.inputs["input_features"][None], output_hidden_states=True)
                states = [out.hidden_states]
                if isinstance(side, SeamlessText | SeamlessSpeech):
                    decoder = side.root.get_submodule("text_decoder")
                    decoded = decoder(
                        input_ids=side.forced, encoder_hidden_states=out.last_hidden_state, use_cache=False,
                        output_hidden_states=True,
                    )  # fmt: skip
                    states.append(decoded.hidden_states)
                found += [torch.stack([state.mean(dim=1)[0] for state in some]).numpy() for some in states]
    return found


def against_the_usual_loop(model: Model, corpus: Corpus, repeats: int) -> None:
    """Print how many times as quick ``encode`` is, files to store."""
    for modality, side in model.sides.items():
        alone = Model(model.name, {modality: side}, ())
        folder = Path(tempfile.mkdtemp())

        def ours(alone: Model = alone, folder: Path = folder) -> None:
            encode(alone, corpus, folder / "activations.zarr", overwrite=True)
            shutil.rmtree(folder / "activations.zarr")

        def usual(side: Side = side) -> None:
            usual_loop(side, corpus)

        def usual_on_one_thread(side: Side = side) -> None:
            with one_thread():
                usual_loop(side, corpus)

        corpus.fingerprint()
        took = repeated({"usual": usual, "on one thread": usual_on_one_thread, "ours": ours}, repeats)
        count = len(corpus.sentences) * len(corpus.languages)
        for name in ("usual", "on one thread"):
            threads = torch.get_num_threads() if name == "usual" else 1
            theirs, mine = took[name], took["ours"]
            print(
                f"{side.family}, {modality}: {count} utterances: the usual loop on {threads} thread(s) "
                f"{theirs.min():.1f} s, encode {mine.min():.1f} s: {theirs.min() / mine.min():.2f} times the "
                f"throughput, median {np.median(theirs / mine):.2f} of {repeats}; load {os.getloadavg()[0]:.1f}"
            )
        shutil.rmtree(folder)


def resident() -> int:
    """Return the bytes of memory that the process holds."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory_of(name: str, sentences: int) -> None:
    """Print the most memory beyond the model (run in a process of its own)."""
    model, corpus = chosen(name, sentences)
    gc.collect()
    before = resident()
    with tempfile.TemporaryDirectory() as folder:
        encode(model, corpus, Path(folder) / "activations.zarr")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{model.name}: {len(corpus.sentences)} sentences x {len(corpus.languages)} languages: the most memory beyond "
        f"the model {(most - before) / 1e6:.0f} MB"
    )


def chosen(name: str, sentences: int, window: float | None = None) -> tuple[Model, Corpus]:
    """Return a model and a ragged corpus for it."""
    model = whisper(window) if name == "whisper" else seamless()
    corpus = corpora.load("asterisk").select(
        languages=["en", "it", "ru"], min_words=2, max_seconds=window or 29, n=sentences, modalities=("text", "speech")
    )
    return model, corpus


def which_batches(name: str, window: float | None) -> None:
    """Print the seconds that budgets take."""
    model, corpus = chosen(name, 16, window)
    for modality, side in model.sides.items():
        items = prepared(side, corpus)
        lengths = [item.length for item in items]
        works: dict[str, Callable[[], Any]] = {}
        budgets = (64, 128, 256, 512, 1024, 2048) if modality == "text" else (7.5, 15, 30, 60, 120)
        for budget in budgets:
            how = EncodeConfig(batch_size=64, **{"batch_tokens" if modality == "text" else "batch_seconds": budget})  # type: ignore[arg-type]
            batches = [[items[row] for row in batch] for batch in how.batches(side, lengths)]

            def work(side: Side = side, batches: list[Any] = batches) -> None:
                run_batches(side, batches, "mean")

            works[str(budget)] = work
        for name_of_budget, seconds in repeated(works, 3).items():
            rate = len(items) / seconds.min()
            print(f"{side.family}, {modality}, budget {name_of_budget}: {rate:.1f} utterances a second")


def main() -> None:
    """Measure and tell."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", choices=["whisper", "seamless"])
    arguments.add_argument("--sentences", type=int, default=32)
    arguments.add_argument("--threads", type=int, default=2, help="1 where other work has the cores too")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--processor-time", action="store_true", help="count that, where other work has the cores")
    arguments.add_argument("--ratios", action="store_true", help="without the measurement of memory")
    arguments.add_argument("--window", type=float, help="Whisper's window in seconds, for both sides of each ratio")
    arguments.add_argument("--batches", action="store_true", help="only compare batch budgets")
    arguments.add_argument("--memory", choices=["whisper", "seamless"], help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(asked.threads)
    if asked.memory:
        memory_of(asked.memory, asked.sentences)
        return
    for name in [asked.only] if asked.only else ["whisper", "seamless"]:
        if asked.batches:
            which_batches(name, asked.window)
            continue
        model, corpus = chosen(name, asked.sentences, asked.window)
        print(f"{model.name}: {corpus}; load of the machine {os.getloadavg()[0]:.1f}")
        for side in model.sides.values():
            against_the_bare_pass(side, corpus, EncodeConfig(), asked.repeats)
        against_the_usual_loop(model, corpus, asked.repeats)
        for sentences in () if asked.ratios else (asked.sentences, 4 * asked.sentences):
            subprocess.run(
                [
                    sys.executable,
                    __file__,
                    "--memory",
                    name,
                    "--sentences",
                    str(sentences),
                    "--threads",
                    str(asked.threads),
                ],
                check=True,
                timeout=3600,
            )


if __name__ == "__main__":
    main()
