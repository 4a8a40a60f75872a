"""What is read off a result again and again while a report is made, read once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from babelscope.gaps.result import Result

Asked = ParamSpec("Asked")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Settled(Result):
    """A result that nobody changes any more, so that what :func:`remembered` functions read off it holds."""

    remembered: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)


def remembered(
    function: Callable[Concatenate[Result, Asked], Found],
) -> Callable[Concatenate[Result, Asked], Found]:
    """Read once what a function of a :class:`Settled` result returns; its callers must not change it.

    For any other result, and for arguments that cannot be keys, the function is simply called.
    """

    @functools.wraps(function)
    def once(result: Result, *args: Asked.args, **kwargs: Asked.kwargs) -> Found:
        if not isinstance(result, Settled):
            return function(result, *args, **kwargs)
        key = (function.__qualname__, args, tuple(sorted(kwargs.items())))
        try:
            there = key in result.remembered
        except TypeError:  # an argument is a list
            return function(result, *args, **kwargs)
        if not there:
            result.remembered[key] = function(result, *args, **kwargs)
        value: Found = result.remembered[key]
        return value

    return cast("Callable[Concatenate[Result, Asked], Found]", once)
