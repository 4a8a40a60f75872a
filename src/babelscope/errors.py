"""What goes wrong, in one clear line each.

Every error that a user can cause, or that their data can cause, is a :class:`BabelscopeError`. Its message is one line
that names what is wrong (file, sentence, language, layer, key) and says what to do. The command line prints that line
and exits with :attr:`BabelscopeError.exit_code`. A wrong request and wrong data are a :class:`ValueError` as
well, and what cannot be downloaded is an :class:`OSError`, for callers that do not know this module.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_LONGEST = 2_000

#: What a terminal acts on, and the marks that would reorder a line.
_ACTED_ON = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class RenamedWarning(UserWarning):
    """A name of an earlier version was read as its present one."""


class BabelscopeError(Exception):
    """Base of all errors that are reported to the user in one line.

    Parameters
    ----------
    message : str
        One line: what is wrong, where, and the remedy. Line breaks (from a quoted message of another library) are
        folded, and characters that a terminal would act on (from a hostile file's names) are written as escapes.
    """

    exit_code: int = 1

    def __init__(self, message: str) -> None:
        line = "".join(map(_harmless, " ".join(message.split())))
        if len(line) > _LONGEST:  # what is quoted is; the remedy stands at the end
            line = f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
        super().__init__(line)


def _harmless(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def harmless(text: str) -> str:
    """Return a text with what a terminal acts on, or what reorders a line, written as escapes; line breaks stay."""
    return _ACTED_ON.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


class UsageError(BabelscopeError, ValueError):
    """The request itself is wrong (an unknown name, a broken option, a broken study file): exit code 2."""

    exit_code = 2


class DataError(BabelscopeError, ValueError):
    """Data, weights or a store are missing, damaged or insufficient: exit code 1."""


class FetchError(BabelscopeError, OSError):
    """Something could not be downloaded, or is not what was pinned: exit code 1."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint such as ``did you mean 'asterisk'?`` or the list of what there is.

    Parameters
    ----------
    name : str
        What the user wrote.
    known : iterable of str
        What would have been right.

    Returns
    -------
    str
        A clause without a capital or a trailing period apart from the question mark.
    """
    choices = list(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    lowered = {choice.lower(): choice for choice in choices}
    if not close and (close := difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)):
        close = [lowered[close[0]]]
    if close:
        return f"did you mean {close[0]!r}?"
    if not choices:
        return "there is none"
    shown = ", ".join(choices[:12])
    return f"known: {shown}" + (f", … ({len(choices)} in all)" if len(choices) > 12 else "")
