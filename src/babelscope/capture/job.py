"""What is encoded and stored at once: a block of sentences in one modality of one language."""

from __future__ import annotations

from dataclasses import dataclass

from babelscope.models.base import Modality


@dataclass(frozen=True)
class Job:
    """A block of sentences in one modality of one language.

    Attributes
    ----------
    modality : {"text", "speech"}
    column : int
        Index of the language in the store.
    start, stop : int
        Which sentences of the corpus.
    """

    modality: Modality
    language: str
    column: int
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """The sentences as a slice."""
        return slice(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start

    def __str__(self) -> str:
        return f"{self.modality} {self.language}"
