"""A pool hands items to replicas, and those of a dead one to another, without Ray: its module is stood in for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from fake_ray import Actor, FakeRay, RayActorError, RayError, Reference
from hypothesis import given, settings
from hypothesis import strategies as st

from babelscope.errors import DataError, UsageError
from babelscope.plugins.ray.pool import DEATHS, ActorPool


class Made:
    """A pool on a stand-in, and all actors that were ever made for it."""

    def __init__(
        self,
        behave: Callable[[Actor, Any], Any],
        size: int = 2,
        depth: int = 3,
        steps: tuple[Callable[[Actor], Any], ...] = (),
    ) -> None:
        self.ray, self.actors = FakeRay(), list[Actor]()
        self.heard: list[tuple[int, Any]] = []
        self.waited = 0
        self.pool = ActorPool(
            self.ray, lambda: self._make(behave), size, depth, [self._step(step) for step in steps],
            lambda number, result: self.heard.append((number, result)), self._wait,
        )  # fmt: skip

    def _make(self, behave: Callable[[Actor, Any], Any]) -> Actor:
        self.actors.append(Actor(behave))
        return self.actors[-1]

    def _wait(self) -> None:
        self.waited += 1

    @staticmethod
    def _step(does: Callable[[Actor], Any]) -> Callable[[Actor], Reference]:
        def step(actor: Actor) -> Reference:
            actor.at_hand += 1
            return Reference(actor, lambda: does(actor))

        return step

    def run(self, items: range | list[int]) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for item, result in self.pool.run(list(items), lambda actor, item: actor.do(item), lambda item: f"job {item}"):
            assert item not in found, "told twice"
            found[item] = result
        return found


def squared(actor: Actor, item: int) -> int:
    return item * item


def dies(actor: Actor, item: int) -> int:
    raise RayActorError("the process is gone")


def test_every_item_is_done_once_and_all_replicas_work_with_no_more_than_the_depth() -> None:
    made = Made(squared, size=3, depth=2)
    assert made.run(range(20)) == {item: item * item for item in range(20)}
    assert len(made.actors) == 3
    assert [actor.most for actor in made.actors] == [2, 2, 2]
    assert len(made.ray.calls) == 20


def test_the_items_of_a_dead_replica_go_to_others_and_it_is_replaced() -> None:
    handed: dict[int, list[int]] = {}

    def first_dies_of_its_second(actor: Actor, item: int) -> int:
        mine = handed.setdefault(id(actor), [])
        mine.append(item)
        if actor is made.actors[0] and len(mine) == 2:
            raise RayActorError("the machine is gone")
        return item * item

    made = Made(first_dies_of_its_second)
    assert made.run(range(12)) == {item: item * item for item in range(12)}
    assert len(made.actors) == 3
    assert made.actors[0].killed, "a replica that is only out of reach must not go on"
    done_twice = [
        item for item, count in Counter(item for mine in handed.values() for item in mine).items() if count > 1
    ]
    assert len(done_twice) == 1, "only what it was computing is computed again"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.booleans(), max_size=30).map(lambda drawn: [*drawn, *[False] * 200]),
    st.integers(1, 4), st.integers(1, 3), st.integers(0, 25),
)  # fmt: skip
def test_whoever_dies_whenever_all_is_done_once_or_refused(
    deaths: list[bool], size: int, depth: int, count: int
) -> None:
    left = iter(deaths)

    def behave(actor: Actor, item: int) -> int:
        if next(left):
            raise RayActorError("the process is gone")
        return -item

    made = Made(behave, size, depth)
    try:
        assert made.run(range(count)) == {item: -item for item in range(count)}
    except DataError as error:  # one item was there at too many deaths: nobody waits for ever
        assert f"{DEATHS} processes died" in str(error)
        assert sum(actor.dead for actor in made.actors) >= DEATHS
    else:
        assert not any(actor.at_hand for actor in made.actors if not actor.dead)


def test_an_item_that_kills_whoever_has_it_is_named_and_not_tried_for_ever() -> None:
    def behave(actor: Actor, item: int) -> int:
        if item == 5:
            raise RayActorError("out of memory")
        return item

    made = Made(behave, size=2, depth=1)
    with pytest.raises(DataError, match=rf"^job 5: {DEATHS} processes died while they had it .* run again") as raised:
        made.run(range(10))
    assert "\n" not in str(raised.value)
    assert len(made.actors) <= 2 + DEATHS


def test_replicas_that_die_before_they_are_ready_are_not_replaced_for_ever() -> None:
    made = Made(squared, size=2, steps=(lambda actor: dies(actor, 0),))
    with pytest.raises(DataError, match=r"processes died before one of them had done anything .* fewer replicas"):
        made.pool.until(lambda: False)
    assert DEATHS * 2 <= len(made.actors) <= DEATHS * 2 + 2


def test_a_model_that_cannot_be_loaded_is_told_as_it_was_raised() -> None:
    def load(actor: Actor) -> None:
        raise UsageError("there is no folder weights (on node-7, where a replica was to run)")

    made = Made(squared, size=2, steps=(lambda actor: "placed", load))
    with pytest.raises(UsageError) as raised:
        made.pool.until(lambda: False)
    assert str(raised.value) == "there is no folder weights (on node-7, where a replica was to run)"
    assert raised.value.__suppress_context__
    assert len(made.actors) == 2, "another replica would fail as this one did"
    made.pool.stop()
    assert all(actor.killed for actor in made.actors)


def test_steps_are_taken_in_order_and_heard_and_only_a_ready_replica_is_handed_items() -> None:
    taken: list[str] = []

    def step(name: str) -> Callable[[Actor], str]:
        def take(actor: Actor) -> str:
            taken.append(name)
            return name

        return take

    def behave(actor: Actor, item: int) -> int:
        assert taken == ["place", "load", "begin"]
        return item

    made = Made(behave, size=1, steps=(step("place"), step("load"), step("begin")))
    assert made.run(range(3)) == {0: 0, 1: 1, 2: 2}
    assert made.heard == [(0, "place"), (1, "load"), (2, "begin")]


def test_an_error_of_the_data_ends_the_run_at_once_and_lets_nobody_work_on() -> None:
    begun: list[int] = []

    def behave(actor: Actor, item: int) -> int:
        begun.append(item)
        if item == 3:
            raise DataError("sentence 's03', speech in 'xa': there is no recording")
        return item

    made = Made(behave, size=2, depth=2)
    with pytest.raises(DataError, match=r"^sentence 's03', speech in 'xa': there is no recording$"):
        made.run(range(10))
    assert begun.count(3) == 1, "it is no better elsewhere"
    assert all(actor.killed or not actor.at_hand for actor in made.actors), "nobody waits for what they have"
    assert any(actor.killed for actor in made.actors)


def test_what_else_a_replica_raises_is_raised_as_it_is() -> None:
    def behave(actor: Actor, item: int) -> int:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(ZeroDivisionError, match=r"^division by zero$"):
        Made(behave).run(range(2))


def test_a_machine_without_the_package_is_told_and_not_taken_for_short_of_memory() -> None:
    def fail(actor: Actor) -> None:
        raise RayActorError("it died\nModuleNotFoundError: No module named 'babelscope'", actor_init_failed=True)

    made = Made(squared, size=2, steps=(fail,))
    with pytest.raises(
        DataError, match=r"No module named 'babelscope'.*the same babelscope installed on every machine"
    ):
        made.pool.until(lambda: False)
    assert len(made.actors) == 2


def test_a_cluster_that_is_gone_is_one_line() -> None:
    def behave(actor: Actor, item: int) -> int:
        raise RayError("Trace\nFailed to connect to GCS")

    with pytest.raises(
        DataError, match=r"^the Ray cluster does not work any more .Failed to connect to GCS."
    ) as raised:
        Made(behave).run(range(3))
    assert "\n" not in str(raised.value) and "run again" in str(raised.value)


def test_nobody_to_work_is_waited_for_and_then_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def monotonic() -> float:
        nonlocal now
        now += 30.0
        return now

    monkeypatch.setattr("time.monotonic", monotonic)
    made = Made(squared, steps=(lambda actor: "placed",))
    make = made.pool.make

    def unplaced() -> Actor:
        actor: Actor = make()
        actor.placed = False
        return actor

    made.pool.make = unplaced
    with pytest.raises(DataError, match=r"no machine of the cluster has had room .* since 10 minutes: add machines"):
        made.run(range(3))
    assert made.waited > 10, "whoever asked is told that it is waited"


def test_leaving_in_the_middle_ends_those_that_have_items() -> None:
    made = Made(squared, size=2, depth=2)
    results = made.pool.run(list(range(10)), lambda actor, item: actor.do(item), str)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert all(actor.killed for actor in made.actors)
    assert not made.pool.members


def test_a_crew_goes_on_with_the_same_replicas_to_the_next_items() -> None:
    made = Made(squared, size=2)
    made.run(range(5))
    assert made.run(range(5, 9)) == {item: item * item for item in range(5, 9)}
    assert len(made.actors) == 2
