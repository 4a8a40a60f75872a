"""The activations of a study: of its corpus, and of second recordings of its sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from babelscope.capture.encoding import BLOCK, encode
from babelscope.capture.reuse import SharedSide
from babelscope.capture.second_readings import encode_second
from babelscope.capture.store import Activations
from babelscope.corpora import Corpus
from babelscope.engines import Engine
from babelscope.models.base import Model
from babelscope.progress import Progress
from babelscope.study.settings import Study


@dataclass(frozen=True)
class StudyEncoder:
    """Encodes one corpus for a study and for its baselines; `overwrite` replaces stores of other contents."""

    corpus: Corpus
    engine: Engine
    overwrite: bool
    progress: Progress

    def encode(self, model: Model, study: Study, *, label: str = "", earlier: SharedSide | None = None) -> Activations:
        """Encode the corpus into the study's store; `label` is that of a baseline, for progress."""
        named = f" ({label})" if label else ""
        return encode(model, self.corpus, study.activations, earlier=earlier, **self._options(study, named))

    def encode_second(self, model: Model, study: Study) -> dict[str, Activations]:
        """Encode the second recordings of the sentences, by language; nothing if the study has no noise ceilings."""
        if study.corpus.ceilings == "none":
            return {}
        longest = study.corpus.max_seconds
        return encode_second(model, self.corpus, study.activations, max_seconds=longest, **self._options(study))

    def _options(self, study: Study, named: str = "") -> dict[str, Any]:
        return study.model.encode_options() | {
            "store_dtype": study.model.store_dtype,
            "skip_bad": study.skip_bad,
            "block": BLOCK,
            "overwrite": self.overwrite,
            "progress": lambda what, done, total: self.progress(f"encoding {what}{named}", done, total),
            "engine": self.engine,
        }
