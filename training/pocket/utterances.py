"""The recordings of training and evaluation, each with its text and its part of the split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from babelscope.audio import Recording
from babelscope.corpora import Corpus
from training.pocket.split import HELD_OUT_LANGUAGE, HELD_OUT_READER, SPOKEN, Split

#: Seconds. Longer recordings are left out: Whisper has no more than 30 seconds.
LONGEST = 29.0


@dataclass(frozen=True)
class Utterance:
    """One recording of one sentence.

    Attributes
    ----------
    corpus, sentence, language, reader, text : str
    part : {"train", "validation", "test", "dropped"}
    held_out : {"", "reader", "language"}
        Why it is not learned from, whatever its sentence.
    recording : Recording
    """

    corpus: str
    sentence: str
    language: str
    reader: str
    text: str
    part: str
    held_out: str
    recording: Recording

    @property
    def key(self) -> str:
        """What identifies it: the same in every run."""
        return f"{self.corpus}/{self.language}/{self.sentence}/{self.reader}"

    @property
    def sentence_key(self) -> str:
        """What its translations share."""
        return f"{self.corpus}/{self.sentence}"


def utterances(loaded: dict[str, Corpus], split: Split) -> list[Utterance]:
    """Return every recording that is read, in a fixed order.

    Training takes what is not held out; validation and test keep the reader and the language that are held out too.
    What is dropped is read as well, so that another draw of the split finds the features of most recordings kept.
    """
    return [each for name in loaded for each in _of(loaded[name], name, split) if each.recording.seconds <= LONGEST]


def _of(corpus: Corpus, name: str, split: Split) -> Iterator[Utterance]:
    for language in SPOKEN.get(name, corpus.languages):
        if language not in corpus.languages:
            continue
        for sentence in sorted(corpus.sentences):
            part = split.part_of(name, sentence)
            text = corpus.text(sentence, language)
            if text is None:
                continue
            for recording in corpus.recordings(sentence, language):
                held_out = "reader" if recording.reader == HELD_OUT_READER else ""
                held_out = "language" if language == HELD_OUT_LANGUAGE else held_out
                if part in ("train", "dropped") and held_out:
                    continue
                yield Utterance(name, sentence, language, recording.reader, text, part, held_out, recording)
