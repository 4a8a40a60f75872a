"""The split into training, validation and held-out sentences: one file.

Drawn anew, the test takes only sentences that no earlier draw tested or chose by: nobody has looked at them. A sentence
is held out in every language and from every reader. What else is worded like a held-out sentence, in any language and
in any of the corpora, is dropped from training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from babelscope import corpora
from babelscope.cache import write_atomically
from babelscope.corpora import Corpus
from babelscope.errors import DataError

FORMAT = 1

#: Languages that are spoken in each corpus, in training or held out.
SPOKEN: dict[str, tuple[str, ...]] = {
    "asterisk": ("en", "es", "fr", "it", "ru"),
    "tuxpaint": ("be", "bg", "ca", "da", "el", "es", "fr", "ro", "ru"),
    "fillets": ("cs", "nl"),
}
#: The six languages of Tux Paint in which held-out names are complete.
TUXPAINT_SIX = ("fr", "ru", "ro", "ca", "bg", "es")
#: Languages that are read, to find what is worded alike.
READ: dict[str, tuple[str, ...]] = {
    "asterisk": SPOKEN["asterisk"],
    "tuxpaint": ("en", *SPOKEN["tuxpaint"]),
    "fillets": ("en", *SPOKEN["fillets"]),
}

HELD_OUT_READER = "Menardi"
HELD_OUT_LANGUAGE = "cs"

#: Sentences of (test, validation).
SIZES = {"asterisk": (60, 30), "tuxpaint": (97, 60), "fillets": (120, 60)}
#: Of Tux Paint's test sentences, those that are spoken in all nine languages.
TUXPAINT_NINE = 48


@dataclass(frozen=True)
class Split:
    """Sentence ids by corpus; what is in none of the first three is learned from.

    Attributes
    ----------
    test, validation, dropped : dict of corpus to tuple of str
    fingerprint : str
    seed : int
        Of the draw.
    judged : dict of corpus to tuple of str
        What earlier draws held out for the test or for choosing.
    """

    test: dict[str, tuple[str, ...]]
    validation: dict[str, tuple[str, ...]]
    dropped: dict[str, tuple[str, ...]]
    fingerprint: str
    seed: int = 0
    judged: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def part_of(self, corpus: str, sentence: str) -> str:
        """Return ``test``, ``validation``, ``dropped`` or ``train``; of a corpus that was not drawn from, ``train``."""
        for part in ("test", "validation", "dropped"):
            if sentence in getattr(self, part).get(corpus, ()):
                return part
        return "train"


def load_corpora() -> dict[str, Corpus]:
    """Load the three corpora, in the languages that are read."""
    return {name: corpora.load(name, languages=list(READ[name])) for name in SPOKEN}


def candidates(loaded: dict[str, Corpus]) -> dict[str, Corpus]:
    """Return what may be held out of each corpus."""
    return {
        "asterisk": loaded["asterisk"].select(min_words=4, distinct=True),
        "tuxpaint": loaded["tuxpaint"].select(languages=TUXPAINT_SIX, distinct=True),
        "fillets": loaded["fillets"].select(languages=SPOKEN["fillets"], distinct=True, min_words=4, max_seconds=12.0),
    }


def in_nine_languages(loaded: dict[str, Corpus]) -> Corpus:
    """Return the Tux Paint names that may be held out and are spoken in all nine languages."""
    nine = loaded["tuxpaint"].select(languages=SPOKEN["tuxpaint"], distinct=True)
    six = set(candidates(loaded)["tuxpaint"].sentences)
    return nine.select(ids=[sentence for sentence in nine.sentences if sentence in six])


def draw(loaded: dict[str, Corpus], before: Split | None = None) -> dict[str, Any]:
    """Draw the held-out sentences, and find what must be dropped because of them.

    Parameters
    ----------
    loaded : dict
        By :func:`load_corpora`.
    before : Split, optional
        The draw that this one takes the place of: what it or one before it held out is not tested again. The seed is
        the next.

    Returns
    -------
    dict
        The content of the split's file.

    Raises
    ------
    DataError
        If too few sentences are left that were never held out.
    """
    seed = before.seed + 1 if before else 0
    judged = _judged(before) if before else {}
    nine = _without(in_nine_languages(loaded), judged.get("tuxpaint", set()))
    drawn_from = candidates(loaded)
    test: dict[str, list[str]] = {}
    for name, corpus in drawn_from.items():
        fresh = _without(corpus, judged.get(name, set()))
        if len(fresh.sentences) < SIZES[name][0]:
            raise DataError(
                f"{name} has {len(fresh.sentences)} sentences that were never held out; a test takes {SIZES[name][0]}"
            )
        first = nine.select(n=TUXPAINT_NINE, seed=seed).sentences if name == "tuxpaint" else ()
        rest = _without(fresh, set(first))
        test[name] = sorted({*first, *rest.select(n=SIZES[name][0] - len(first), seed=seed).sentences})
    tested = all_wordings(loaded, test)
    validation: dict[str, list[str]] = {}
    for name, corpus in drawn_from.items():
        alike = {sentence for sentence in corpus.sentences if not tested.isdisjoint(wordings(loaded[name], sentence))}
        validation[name] = sorted(_without(corpus, alike).select(n=SIZES[name][1], seed=seed + 1).sentences)
    held_out = tested | all_wordings(loaded, validation)
    dropped = {
        name: [
            sentence
            for sentence in sorted(corpus.sentences)
            if sentence not in test[name]
            and sentence not in validation[name]
            and not held_out.isdisjoint(wordings(corpus, sentence))
        ]
        for name, corpus in loaded.items()
    }
    content = {
        "format": FORMAT,
        "seed": seed,
        "corpora": {name: corpus.fingerprint() for name, corpus in loaded.items()},
        "held_out_reader": HELD_OUT_READER,
        "held_out_language": HELD_OUT_LANGUAGE,
        "test": test,
        "validation": validation,
        "dropped": dropped,
        "judged": {name: sorted(ids) for name, ids in judged.items()},
    }
    return content | {"fingerprint": fingerprint_of(content)}


def _judged(before: Split) -> dict[str, set[str]]:
    """Return what a draw, or one before it, held out for the test or for choosing."""
    return {
        name: {*before.test[name], *before.validation.get(name, ()), *before.judged.get(name, ())}
        for name in before.test
    }


def _without(corpus: Corpus, gone: Set[str]) -> Corpus:
    return corpus.select(ids=[sentence for sentence in corpus.sentences if sentence not in gone])


def all_wordings(loaded: dict[str, Corpus], ids: dict[str, list[str]]) -> set[tuple[str, str]]:
    """Return the wordings of some sentences of several corpora."""
    return {wording for name in ids for sentence in ids[name] for wording in wordings(loaded[name], sentence)}


def held_out_wordings(loaded: dict[str, Corpus], drawn: Split) -> set[tuple[str, str]]:
    """Return the wordings of all sentences for the test and for choosing."""
    wording: set[tuple[str, str]] = set()
    for ids_of in (drawn.test, drawn.validation):
        wording |= all_wordings(loaded, {name: list(ids) for name, ids in ids_of.items() if name in loaded})
    return wording


def wordings(corpus: Corpus, sentence: str) -> Iterable[tuple[str, str]]:
    """Yield (language, letters) for every language that the sentence is written in."""
    for language in corpus.languages:
        text = corpus.text(sentence, language)
        if text:
            yield language, "".join(letter for letter in text.casefold() if letter.isalnum()) or text


def fingerprint_of(content: dict[str, Any]) -> str:
    """Return a sha256 over a split's content, its own fingerprint left out."""
    hashed = {key: value for key, value in content.items() if key != "fingerprint"}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def write(content: dict[str, Any], path: Path) -> None:
    """Write a split's file."""
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read(path: Path) -> Split:
    """Read a split's file.

    Raises
    ------
    DataError
        If it is missing, of another format, or was edited by hand.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"the split {path} cannot be read ({error}): draw it again") from error
    if content.get("format") != FORMAT or content.get("fingerprint") != fingerprint_of(content):
        raise DataError(f"the split {path} is not what was drawn (format or fingerprint differ): draw it again")
    test, validation, dropped, judged = (
        {name: tuple(ids) for name, ids in content.get(part, {}).items()}
        for part in ("test", "validation", "dropped", "judged")
    )
    return Split(test, validation, dropped, content["fingerprint"], content["seed"], judged)
