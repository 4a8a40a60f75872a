"""Options that many data sets share: languages, splits, recordings, and the handling of broken ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from babelscope import languages as codes
from babelscope.corpora.corpus import MODALITIES, check_languages, check_modalities
from babelscope.errors import DataError, UsageError, did_you_mean

#: Rules for the primary recording of a cell.
RECORDINGS = ("first", "longest", "shortest", "male", "female", "all")
#: How broken rows, and recordings that are far too short, are handled.
BROKEN = ("refuse", "drop")
TRUNCATED = ("keep", "drop")

_NAMED = 3


@dataclass(frozen=True)
class Choice:
    """Which recordings of a sentence are used; see :func:`babelscope.corpora.fleurs.load_release` for the options."""

    corpus: str
    recording: str = "first"
    others: bool = True
    broken: str = "refuse"
    truncated: str = "keep"
    modalities: Sequence[str] = MODALITIES

    def __post_init__(self) -> None:
        one_of(self.corpus, "recording", self.recording, RECORDINGS)
        one_of(self.corpus, "broken", self.broken, BROKEN)
        one_of(self.corpus, "truncated", self.truncated, TRUNCATED)
        check_modalities(self.modalities)

    @property
    def audio(self) -> bool:
        """Whether recordings are requested."""
        return "speech" in self.modalities

    def notes(self) -> list[str]:
        """Return what a corpus's notes say about the choice."""
        if not self.audio:
            return ["Only texts were read: recordings were neither opened nor checked."]
        rules = {
            "first": "the first in the order of rows",
            "longest": "the longest",
            "shortest": "the shortest",
            "male": "the first one by a man",
            "female": "the first one by a woman",
            "all": "the first in the order of rows",
        }
        others = "the others follow it" if self.others or self.recording == "all" else "the others are excluded"
        return [f"Of several recordings of a sentence the primary one is {rules[self.recording]}; {others}."]


@dataclass
class Broken:
    """What is wrong with single rows and recordings: refused, or dropped and counted."""

    policy: str
    messages: dict[str, list[str]] = field(default_factory=dict)
    sentences: dict[str, set[str]] = field(default_factory=dict)

    def add(self, language: str, message: str, sentence: str | None = None) -> None:
        """Record a problem, or raise it as a DataError unless the policy is to drop it."""
        if self.policy == "refuse":
            raise DataError(f"{message}; get the file again, or exclude such rows with broken='drop'")
        self.messages.setdefault(language, []).append(message)
        if sentence is not None:
            self.sentences.setdefault(language, set()).add(sentence)

    def notes(self) -> list[str]:
        """Return a line that counts what was dropped, if anything was."""
        messages = [message for each in self.messages.values() for message in each]
        if not messages:
            return []
        more = f"; and {len(messages) - _NAMED} more" if len(messages) > _NAMED else ""
        return [f"{len(messages)} broken rows or recordings were dropped: {'; '.join(messages[:_NAMED])}{more}."]


def one_of(corpus: str, name: str, value: str, known: Sequence[str]) -> None:
    """Refuse a value that an option does not have."""
    if value not in known:
        raise UsageError(f"corpus {corpus!r} has no {name}={value!r}: {did_you_mean(value, known)}")


def chosen_splits(corpus: str, given: str | Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return splits in the order of `known`; ``"train+dev"`` is a union, and validation is another name of dev."""
    names = given.replace(" ", "").split("+") if isinstance(given, str) else list(given)
    names = ["dev" if name == "validation" else name for name in names]
    for name in names:
        if name not in known:
            raise UsageError(f"corpus {corpus!r} has no split {name!r}: {did_you_mean(name, (*known, 'validation'))}")
    if not names or len(set(names)) < len(names):
        raise UsageError(f"splits {given!r} names one twice, or none")
    return tuple(sorted(names, key=list(known).index))


def chosen_languages(given: Sequence[str] | None) -> list[str]:
    """Return FLEURS codes; none if nothing was given."""
    if given is None:
        return []
    check_languages(given)
    chosen = [codes.fleurs(code) for code in given]
    check_languages(chosen)
    return chosen


def same_language(code: str, other: str) -> bool:
    """Return whether two codes name one language, as ``sv-SE`` and ``sv``."""
    if code == other:
        return True
    try:
        return codes.language(code) is codes.language(other)
    except UsageError:
        return False


def pick_languages(corpus: str, given: Sequence[str] | None, known: Mapping[str, object]) -> list[str]:
    """Return the languages of `known` that are asked for, by any of their codes; all if nothing was given."""
    if given is None:
        return list(known)
    check_languages(given)
    chosen: list[str] = []
    for code in given:
        match = next((own for own in known if same_language(code, own)), None)
        if match is None:
            raise UsageError(f"corpus {corpus!r} has no language {code!r}: {did_you_mean(code, known)}")
        chosen.append(match)
    check_languages(chosen)
    return chosen


def data_folder(corpus: str, path: Path) -> Path:
    """Return the folder of a local copy, or refuse what is no folder."""
    if not path.is_dir():
        raise UsageError(f"corpus {corpus!r}: {path} is no folder")
    return path
