"""Prompts of speech LLMs: a text with ``{}`` where a sentence stands, as text or as speech.

Without a prompt of the user's, the chat template that comes with the model is rendered with one user turn that holds
the sentence. Templates put marks around audio (``<|audio_bos|>``) and none around text: the two renderings are kept
apart then, and both are recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from babelscope.errors import DataError, UsageError

#: Where a sentence stands in a prompt.
PLACE = "{}"

#: Rendered as the user's sentence, to find it again.
_SENTENCE = "BABELSCOPESENTENCE"

#: How audio is marked in a user turn: templates look for one of these types, or for one of these keys.
_AUDIO = tuple(
    [{"type": kind, "audio": "", "audio_url": "", "input_audio": "", "url": "", "path": ""}]
    for kind in ("audio", "audio_url", "input_audio")
)


@dataclass(frozen=True)
class Prompt:
    """What stands around a sentence.

    Attributes
    ----------
    text, speech : str
        With one ``{}``: for a sentence as text, and for the placeholder of a recording.
    notes : tuple of str
        What a reader of the numbers must know of it.
    """

    text: str
    speech: str
    notes: tuple[str, ...] = ()

    def around(self, modality: str) -> tuple[str, str]:
        """Return what stands before and after a sentence."""
        before, _, behind = (self.text if modality == "text" else self.speech).partition(PLACE)
        return before, behind

    def shown(self) -> list[str]:
        """Return a note that says what stands around a sentence; none if nothing does."""
        if self.text == self.speech == PLACE:
            return []
        if self.text == self.speech:
            return [f"Sentences are put into the prompt {self.text!r}, as text and as speech."]
        return [f"Sentences are put into the prompt {self.text!r} as text, and into {self.speech!r} as speech."]

    def recorded(self) -> dict[str, str]:
        """Return what is recorded of it among a model's options."""
        return {"prompt": self.text} | ({"prompt_speech": self.speech} if self.speech != self.text else {})


def given(prompt: str) -> Prompt:
    """Return a prompt as a user wrote it: text and speech stand in the same place of the same words.

    Raises
    ------
    UsageError
        If it has not exactly one ``{}``.
    """
    if prompt.count(PLACE) != 1:
        raise UsageError(
            f"prompt {prompt!r} has {prompt.count(PLACE)} places for a sentence: write {PLACE} once, where it stands"
        )
    return Prompt(prompt, prompt)


def from_template(tokenizer: Any, template: str | Mapping[str, str] | None, audio: str) -> Prompt:
    """Return the prompt that a chat template makes of one user turn.

    Parameters
    ----------
    template : str, mapping of str to str, or None
        The chat template; of several the one called "default".
    audio : str
        The placeholder of a recording.

    Returns
    -------
    Prompt
        ``{}`` alone, with a note, if there is no template, or it cannot hold a sentence or a recording.
    """
    if isinstance(template, Mapping):
        template = template.get("default") or next(iter(template.values()), None)
    if not template:
        return Prompt(PLACE, PLACE, ("The model has no chat template: sentences stand alone, without a prompt.",))
    text = _first(tokenizer, template, (_SENTENCE, [{"type": "text", "text": _SENTENCE}]), _SENTENCE)
    speech = _first(tokenizer, template, (*_AUDIO, audio, [{"type": "text", "text": audio}]), audio)
    if text is None or speech is None:
        what = "a text" if text is None else "a recording"
        note = f"The model's chat template does not render {what}: sentences stand alone, without a prompt."
        return Prompt(PLACE, PLACE, (note,))
    notes = []
    if "strftime_now" in template:
        notes.append(
            "The model's chat template writes today's date: give the recorded prompt as the option 'prompt' to repeat "
            "these numbers on another day."
        )
    return Prompt(text, speech, tuple(notes))


def _first(tokenizer: Any, template: str, contents: Sequence[Any], wanted: str) -> str | None:
    """Render a user turn with each content in turn; return the first rendering that holds what is wanted just once."""
    for content in contents:
        try:
            rendered = tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=template,
                tokenize=False,
                add_generation_prompt=True,
            )
        except Exception:  # noqa: S112 (a template raises whatever it likes; the next content is tried)
            continue
        # a template that knows plain contents alone writes the list itself
        whole = isinstance(rendered, str) and "{'type'" not in rendered and PLACE not in rendered
        if whole and rendered.count(wanted) == 1:
            return str(rendered).replace(wanted, PLACE)
    return None


@dataclass(frozen=True)
class Placed:
    """A prompt's tokens with a sentence in it.

    Attributes
    ----------
    start : int
        Tokens before the sentence's own.
    count : int
        The sentence's own tokens.
    """

    ids: tuple[int, ...]
    start: int
    count: int


def adds_special_tokens(tokenizer: Any, prompt: str) -> bool:
    """Whether the tokenizer is to add its special tokens: not if the prompt begins with the first of them."""
    begin = getattr(tokenizer, "bos_token", None)
    return not (begin and prompt.startswith(begin))


def place(tokenizer: Any, around: tuple[str, str], sentence: str) -> Placed:
    """Tokenise a sentence in its prompt.

    A token that holds letters of the sentence is the sentence's own, also where it begins with the prompt's last space.

    Raises
    ------
    DataError
        If no token is the sentence's own.
    """
    before, behind = around
    whole = before + sentence + behind
    special = adds_special_tokens(tokenizer, whole)
    first, last = len(before), len(before) + len(sentence)
    if getattr(tokenizer, "is_fast", False):
        encoded = tokenizer(whole, add_special_tokens=special, return_offsets_mapping=True)
        ids, offsets = list(encoded["input_ids"]), encoded["offset_mapping"]
        own = [index for index, (start, end) in enumerate(offsets) if start < last and end > first and end > start]
        if own and own != list(range(own[0], own[-1] + 1)):
            own = list(range(own[0], own[-1] + 1))
        if not own:
            raise DataError("the tokenizer finds no token in the text")
        return Placed(tuple(ids), own[0], len(own))
    ids = list(tokenizer(whole, add_special_tokens=special)["input_ids"])
    start = _shared_prefix(ids, list(tokenizer(before, add_special_tokens=special)["input_ids"]))
    tail = list(tokenizer(behind, add_special_tokens=False)["input_ids"]) if behind else []
    end = len(ids) - _shared_prefix(ids[::-1], tail[::-1])
    if end <= start:
        raise DataError("the tokenizer finds no token in the text")
    return Placed(tuple(ids), start, end - start)


def _shared_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    count = 0
    for left_token, right_token in zip(left, right, strict=False):
        if left_token != right_token:
            break
        count += 1
    return count
