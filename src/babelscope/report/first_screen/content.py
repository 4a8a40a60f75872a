"""What the first screen of a report says, as data: page, Markdown, notebook and terminal show the same."""

from __future__ import annotations

from dataclasses import dataclass

from babelscope.gaps.traced import Number
from babelscope.report.sentences import Sentence
from babelscope.report.wording import p_value, plural

#: Kinds of comparison that have a tile, in order, and their titles.
TILES: dict[str, str] = {
    "modality_similarity": "Speech to its own text",
    "language_similarity_speech": "Across languages, in speech",
    "language_similarity_text": "Across languages, in text",
}

#: The tile of where inside the model speech and text are most similar.
INSIDE, INSIDE_TITLE = "inside", "Speech and text inside the model"


@dataclass(frozen=True)
class Baseline:
    """What a tile's value has to exceed: the strongest baseline that it is not known to exceed, else the strongest.

    It is exceeded if the interval of the chance-corrected difference (`difference`, `low`, `high`) lies above 0; None
    where that was not tested.
    """

    name: str
    value: Number
    exceeded: bool | None
    difference: Number | None = None
    low: Number | None = None
    high: Number | None = None

    @property
    def better(self) -> bool:
        """Whether the baseline is known to be higher."""
        return self.high is not None and self.high.value < 0

    @property
    def verdict(self) -> str:
        """The comparison in two words."""
        if self.better:
            return "does better"
        return {True: "exceeded", False: "not exceeded", None: "not tested"}[self.exceeded]


@dataclass(frozen=True)
class Tile:
    """One number of the first screen, with what it has to be compared with.

    `id` is a kind of comparison, or :data:`INSIDE`; `against` the text point of `point`; `value` the mean over
    languages or pairs, with its 95 % interval, what unrelated sentences give (`chance`), and what two readers of a
    sentence give (`ceiling`). Of so many languages or pairs (`of`) some are above chance (`above`): `p` is the largest
    adjusted p-value of these, NaN where there is none, and `correction` what it is corrected for. `said` is the tile as
    a sentence, `note` a finding that belongs to it.
    """

    id: str
    title: str
    measure: str
    point: str
    against: str
    value: Number
    low: Number | None
    high: Number | None
    chance: Number | None
    ceiling: Number | None
    baseline: Baseline | None
    above: int
    of: int
    p: float
    correction: str
    said: Sentence
    note: Sentence | None = None

    @property
    def place(self) -> str:
        """The point, and the text point that it is compared with where that is another."""
        return self.point if self.against == self.point else f"{self.point} (text: {self.against})"

    @property
    def groups(self) -> str:
        """What is counted: languages or pairs of languages."""
        return plural("language" if self.id in ("modality_similarity", INSIDE) else "pair", self.of)

    @property
    def interval(self) -> str:
        """The interval as it is written, without a unit that the value has; empty without one."""
        if self.low is None or self.high is None:
            return ""
        return f"{self.low.text.removesuffix(' %')} to {self.high.text}"

    @property
    def tested(self) -> str:
        """The test against chance in words."""
        if not self.above:
            return f"above chance in 0 of {self.of} {self.groups}"
        p = p_value(self.p)
        return f"above chance in {self.above} of {self.of} {self.groups} (p {p if p[0] == '<' else f'≤ {p}'})"


@dataclass(frozen=True)
class LanguageRow:
    """One language on the first screen.

    `value` is how often its speech and text recognise one another (or, without retrieval, how similar they are), with
    the 95 % interval; `cost` how much lower that is than the mean of the other languages, with an interval that holds
    for all languages together with 98 % probability. `flag` is ``lower`` (less similar than the other languages),
    ``costly`` (less often recognised), ``chance`` or empty, and `said` the same in words.
    """

    code: str
    name: str
    resource: str
    value: Number | None
    low: Number | None
    high: Number | None
    cost: Number | None
    cost_low: Number | None
    cost_high: Number | None
    flag: str
    said: Sentence


@dataclass(frozen=True)
class Fact:
    """Something that trust depends on; ``limits`` says whether it limits what can be said."""

    label: str
    text: str
    limits: bool = False


@dataclass(frozen=True)
class FirstScreen:
    """The content of a report's first screen.

    One or two sentences are the verdict; of the languages the costliest come first, without a known cost they are in
    the order of the study.
    """

    verdict: tuple[Sentence, ...]
    tiles: tuple[Tile, ...]
    languages: tuple[LanguageRow, ...]
    next_steps: tuple[Sentence, ...]
    trust: tuple[Fact, ...]
