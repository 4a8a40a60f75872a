"""Actors of a Ray cluster that are handed items, one after another; what a dead one had is handed to another."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from babelscope.errors import BabelscopeError, DataError

T = TypeVar("T")

#: Calls a new actor once, and returns what is then waited for; or None, if there is nothing to do.
Step = Callable[[Any], Any]

#: Seconds without a single living actor after which nothing is waited for any more.
PATIENCE = 600.0

#: How many actors may die of one item, or before the first of them has done anything.
DEATHS = 4


@dataclass(eq=False)
class _Member(Generic[T]):
    """An actor, how many of the steps to being ready it has begun, and what it was handed."""

    actor: Any
    begun: int = 0
    waiting: Any = None
    placed: bool = False
    handed: dict[Any, T] = field(default_factory=dict)


class ActorPool:
    """Actors that are alike. One that dies is replaced as soon as the cluster has room for another.

    Parameters
    ----------
    ray : module
    make : callable
        Returns a new actor. It need not be placed yet.
    size : int
        How many there shall be.
    depth : int
        How many items each has at most.
    steps : sequence of callable
        What makes a new actor ready, in order. The first one's result says where it was placed.
    heard : callable
        Given the number of a step and its result.
    waited : callable
        Called while nobody is there to work.
    """

    def __init__(
        self,
        ray: Any,
        make: Callable[[], Any],
        size: int,
        depth: int,
        steps: Sequence[Step],
        heard: Callable[[int, Any], None] = lambda number, result: None,
        waited: Callable[[], None] = lambda: None,
    ) -> None:
        self.ray, self.make, self.size, self.depth = ray, make, size, depth
        self.steps, self.heard, self.waited = list(steps), heard, waited
        self.members: list[_Member[Any]] = []
        self.dead = 0  # since something was last done
        self._alone_since = time.monotonic()

    @property
    def _lost(self) -> tuple[type[BaseException], ...]:
        """What is raised where an actor, its process or its machine is gone."""
        gone = self.ray.exceptions
        return (gone.RayActorError, gone.ActorUnavailableError, gone.WorkerCrashedError, gone.NodeDiedError,
                gone.OutOfMemoryError, gone.ObjectLostError)  # fmt: skip

    def stop(self) -> None:
        """End all actors; what they have at hand is lost."""
        for member in self.members:
            self.ray.kill(member.actor)
        self.members.clear()

    def until(self, reached: Callable[[], bool]) -> None:
        """Bring actors up until a condition holds that :attr:`heard` brings about.

        Raises
        ------
        BabelscopeError
            As :meth:`run`.
        """
        while not reached():
            self._bring_up()
            self._wait(lambda item: None)

    def run(
        self, items: Sequence[T], hand: Callable[[Any, T], Any], name: Callable[[T], str]
    ) -> Iterator[tuple[T, Any]]:
        """Hand out items until all are done; yields each with its result, in the order in which they are done.

        Parameters
        ----------
        items : sequence
        hand : callable
            Given an actor and an item: calls it, and returns what is then waited for.
        name : callable
            What an item is called in a message.

        Raises
        ------
        BabelscopeError
            What an actor raised, or if actors die of an item again and again, or nobody is there to work.
        """
        pending, deaths = deque(items), Counter[str]()

        def again(item: T) -> None:
            deaths[name(item)] += 1
            if deaths[name(item)] >= DEATHS:
                raise DataError(
                    f"{name(item)}: {DEATHS} processes died while they had it (is memory short, or are they killed?): "
                    f"run again, it resumes from here, with fewer replicas on a machine or smaller batches"
                )
            pending.appendleft(item)

        self._alone_since = time.monotonic()
        try:
            while pending or any(member.handed for member in self.members):
                self._bring_up(bool(pending))
                ready = [member for member in self.members if self._is_ready(member)]
                while pending and ready:
                    member = min(ready, key=lambda candidate: len(candidate.handed))
                    if len(member.handed) >= self.depth:
                        break
                    item = pending.popleft()
                    member.handed[hand(member.actor, item)] = item
                yield from self._wait(again)
        finally:
            for member in [busy for busy in self.members if busy.handed]:  # nobody waits for it any more
                self.members.remove(member)
                self.ray.kill(member.actor)

    def _is_ready(self, member: _Member[Any]) -> bool:
        return member.waiting is None and member.begun == len(self.steps)

    def _bring_up(self, needed: bool = True) -> None:
        """Replace whoever is missing, and let everyone begin the next step."""
        while needed and len(self.members) < self.size:
            self.members.append(_Member(self.make()))
        for member in self.members:
            while member.waiting is None and member.begun < len(self.steps):
                member.waiting = self.steps[member.begun](member.actor)
                member.begun += 1

    def _wait(self, again: Callable[[Any], None]) -> Iterator[tuple[Any, Any]]:
        """Wait a moment for anything; return what was done."""
        waited_for = {member.waiting: member for member in self.members if member.waiting is not None}
        waited_for |= {reference: member for member in self.members for reference in member.handed}
        done, _ = self.ray.wait(list(waited_for), num_returns=1, timeout=1.0) if waited_for else ([], [])
        finished: list[tuple[Any, Any]] = []
        for reference in done:
            member = waited_for[reference]
            try:
                result = self.ray.get(reference)
            except self._lost as error:
                if getattr(error, "actor_init_failed", False):  # another would fail as this one did
                    raise DataError(
                        f"a process of the cluster could not be started ({_last_line(error)}): is the same babelscope "
                        f"installed on every machine?"
                    ) from None
                self._drop(member, again)
                continue
            except self.ray.exceptions.RayTaskError as error:
                raise _cause(error) from None
            except self.ray.exceptions.RayError as error:
                raise DataError(
                    f"the Ray cluster does not work any more ({_last_line(error)}): start it again, and run again: it "
                    f"resumes from here"
                ) from None
            if reference is member.waiting:
                member.waiting, member.placed = None, True
                self.heard(member.begun - 1, result)
            else:
                finished.append((member.handed.pop(reference), result))
                self.dead = 0
        self._check_alive()
        return iter(finished)

    def _drop(self, member: _Member[Any], again: Callable[[Any], None]) -> None:
        if member not in self.members:
            return
        self.members.remove(member)
        self.ray.kill(member.actor)  # it may only be out of reach
        self.dead += 1
        for item in reversed(member.handed.values()):
            again(item)
        if self.dead >= DEATHS * self.size and not any(self._is_ready(other) for other in self.members):
            raise DataError(
                f"{self.dead} processes died before one of them had done anything (is memory short, or are they "
                f"killed?): run again with fewer replicas on a machine"
            )

    def _check_alive(self) -> None:
        if any(member.placed for member in self.members):
            self._alone_since = time.monotonic()
            return
        self.waited()
        if time.monotonic() - self._alone_since > PATIENCE:
            raise DataError(
                f"no machine of the cluster has had room for a process since {PATIENCE / 60:.0f} minutes: add "
                f"machines, or ask for fewer GPUs or processors; run again, it resumes from here"
            )


def _cause(error: Any) -> BaseException:
    """Return what an actor raised, without where it went through."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BabelscopeError):
        return type(cause)(str(cause))
    return cause if isinstance(cause, BaseException) else RuntimeError(_last_line(error))


def _last_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
