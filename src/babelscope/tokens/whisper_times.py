"""When each word of a known text is spoken, by Whisper's own cross-attention.

Whisper-base reads the text, not its own transcript, and the heads that its authors name as attending to where a word is
spoken are aligned to the tokens. Words are those between spaces. It is as exact as its positions, 20 ms, at the best;
silence before a word counts as the word's, so that words follow each other without a gap.

References
----------
Radford et al. 2022, arXiv 2212.04356; the word times of its released code: each head's attention standardised over the
tokens, a median filter of seven positions, the heads' mean, dynamic time warping.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from babelscope.audio import SAMPLE_RATE, load_audio
from babelscope.corpora import Corpus
from babelscope.errors import DataError
from babelscope.tokens.transcriber import Transcriber
from babelscope.tokens.warping import Stack, paths
from babelscope.tokens.words import words_of

#: Layers and heads of Whisper-base's decoder that attend to where a word is spoken, as released with it.
HEADS = ((3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6))

#: Seconds of a position of Whisper's encoder, and of the window that it hears.
POSITION, WINDOW = 0.02, 30.0

_MEDIAN = 7


class WordTimes:
    """Whisper-base, from the fetched asset, as it tells when words are spoken."""

    def __init__(self) -> None:
        self.whisper = Transcriber()
        self.whisper.model.set_attn_implementation("eager")  # the others do not say what they attend to

    @torch.inference_mode()
    def of(self, samples: NDArray[np.float32], text: str, language: str) -> list[tuple[float, float]]:
        """Return begin and end of each word in seconds.

        Parameters
        ----------
        samples : ndarray, shape (samples,)
            Mono, 16 kHz; up to 30 s.
        text : str
            What is said, with spaces between words.
        language : str
            A two-letter code that Whisper knows.

        Raises
        ------
        DataError
            If the recording is longer than Whisper hears, the text has no word, or the language is none of Whisper's.
        """
        if len(samples) > WINDOW * SAMPLE_RATE:
            raise DataError(
                f"{len(samples) / SAMPLE_RATE:.1f} s of speech are more than the {WINDOW:g} s Whisper hears"
            )
        if not text.strip():
            raise DataError("the text is empty")
        model, tokenizer = self.whisper.model, self.whisper.tokenizer
        code = model.generation_config.lang_to_id.get(f"<|{language}|>")
        if code is None:
            raise DataError(f"Whisper has no language {language!r}")
        number = tokenizer.convert_tokens_to_ids
        begin = [number("<|startoftranscript|>"), code, number("<|transcribe|>"), number("<|notimestamps|>")]
        own = tokenizer(" " + text.strip(), add_special_tokens=False)["input_ids"]
        features = self.whisper.features(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        ids = torch.tensor([[*begin, *own, number("<|endoftext|>")]])
        attended = model(input_features=features, decoder_input_ids=ids, output_attentions=True, use_cache=False)
        heads = torch.stack([attended.cross_attentions[layer][0, head] for layer, head in HEADS])
        own_positions = -(-len(samples) // round(POSITION * SAMPLE_RATE))
        weights = heads[:, :, :own_positions].double().numpy()
        spread = weights.std(axis=1, keepdims=True)
        weights = np.divide(weights - weights.mean(axis=1, keepdims=True), spread, where=spread > 0, out=0 * weights)
        matrix = median_filter(weights, size=(1, 1, _MEDIAN), mode="mirror").mean(axis=0)
        # A row says where the token is spoken that comes next: from the first of the text to the end.
        (cells,) = paths(Stack.of([matrix[len(begin) - 1 : -1] + 1]))
        starts = POSITION * cells[np.unique(cells[:, 0], return_index=True)[1], 1]
        words = words_of(tokenizer.convert_ids_to_tokens(own), text)
        first = np.flatnonzero(np.diff(words, prepend=-1))
        ends = [*starts[first[1:]], starts[len(own)]]
        return [(float(start), float(max(start, end))) for start, end in zip(starts[first], ends, strict=True)]


def write_word_times(corpus: Corpus, path: Path, sentences: Iterable[str] | None = None) -> Path:
    """Write when words are spoken, as ``tokens.timings`` of a study takes it.

    Parameters
    ----------
    corpus : Corpus
    path : Path
        A CSV file.
    sentences : iterable of str, optional
        All if left out. Cells without a text or recording, or that Whisper cannot take, are left out.
    """
    times, rows = WordTimes(), []
    for language in corpus.languages:
        for sentence in corpus.sentences if sentences is None else sentences:
            text, recordings = corpus.text(sentence, language), corpus.recordings(sentence, language)
            if not text or not recordings:
                continue
            try:
                spans = times.of(load_audio(recordings[0]), text, language)
            except DataError:
                continue
            rows += [(language, sentence, word, *span) for word, span in enumerate(spans)]
    pd.DataFrame(rows, columns=["language", "sentence", "word", "start", "end"]).to_csv(path, index=False)
    return path
