"""Parts that are computed when they are first asked for, by many threads at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801 (a decorator, read like property)
    """A property that is computed once an instance and then kept.

    As :class:`functools.cached_property`, without its lock: before Python 3.12 that is one lock for all instances, and
    threads that prepare different representations would wait for one another. Two threads that ask one instance at the
    same moment both compute, and get equal values.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn under which name the value is kept."""
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> lazy[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> lazy[T] | T:
        """Return the value, computed now if it was not before."""
        if instance is None:
            return self
        value = self.make(instance)
        instance.__dict__[self.name] = value
        return value
