"""A stand-in for the module ``ray``, as far as a pool uses it: actors are objects, calls are done when waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    """Base, as in Ray."""


class RayActorError(RayError):
    """An actor is gone."""

    def __init__(self, told: str = "", *, actor_init_failed: bool = False) -> None:
        super().__init__(told)
        self.actor_init_failed = actor_init_failed


class RayTaskError(RayError):
    """An actor's method raised something."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"a long trace of where it went\n{type(cause).__name__}: {cause}")
        self.cause = cause


class _OtherError(RayError):
    """What else may be lost."""


class Reference:
    """What stands for a call that was made."""

    def __init__(self, actor: Actor, call: Callable[[], Any]) -> None:
        self.actor, self.call = actor, call


class Actor:
    """An actor that does what it is told, until it is dead.

    Parameters
    ----------
    behave : callable
        Given the actor and an item: returns the item's result, raises what the method raises, or raises
        :class:`RayActorError` to die of it.
    """

    def __init__(self, behave: Callable[[Actor, Any], Any]) -> None:
        self.behave, self.dead, self.killed, self.placed, self.at_hand, self.most = behave, False, False, True, 0, 0

    def do(self, item: Any) -> Reference:
        """Be handed an item."""
        self.at_hand += 1
        self.most = max(self.most, self.at_hand)
        return Reference(self, lambda: self.behave(self, item))


class FakeRay:
    """The module.

    Attributes
    ----------
    calls : list of Reference
        All that was waited for until it was done.
    """

    exceptions = SimpleNamespace(
        RayError=RayError,
        RayActorError=RayActorError,
        RayTaskError=RayTaskError,
        ActorUnavailableError=_OtherError,
        WorkerCrashedError=_OtherError,
        NodeDiedError=_OtherError,
        OutOfMemoryError=_OtherError,
        ObjectLostError=_OtherError,
    )

    def __init__(self) -> None:
        self.calls: list[Reference] = []

    def wait(
        self, references: list[Reference], num_returns: int, timeout: float
    ) -> tuple[list[Reference], list[Reference]]:
        """Give a call of the placed actor that did the least yet; nobody if all are still waiting for room."""
        placed = [one for one in references if one.actor.placed]
        done = sorted(placed, key=lambda one: sum(call.actor is one.actor for call in self.calls))[:num_returns]
        return done, [one for one in references if one not in done]

    def get(self, reference: Reference) -> Any:
        """Do the call."""
        self.calls.append(reference)
        if reference.actor.dead:
            raise RayActorError("dead before")
        reference.actor.at_hand -= 1
        try:
            return reference.call()
        except RayActorError:
            reference.actor.dead = True
            raise
        except RayError:
            raise
        except Exception as error:
            raise RayTaskError(error) from error

    def kill(self, actor: Actor) -> None:
        """End an actor."""
        actor.dead = actor.killed = True


def nodes(resources: Iterable[dict[str, float]]) -> Callable[[], list[dict[str, Any]]]:
    """Return what ``ray.nodes`` is for living machines of these resources."""
    return lambda: [{"Alive": True, "Resources": each} for each in resources]
