"""The engine of a Ray cluster: one replica of the model a GPU, or as many on processors as there is room for.

This process drives: it holds the store's lock, says which job is whose, and hears when it is done. Replicas prepare,
compute and write (:mod:`babelscope.plugins.ray.replica`). Ray's own restarts are not used: they would wait for room for
a new process where another that lives is idle.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from babelscope.capture.jobs import Job, Work
from babelscope.capture.storage import tidy
from babelscope.errors import UsageError
from babelscope.models.base import Model
from babelscope.plugins.ray.comparing import Comparing
from babelscope.plugins.ray.environment import Environment
from babelscope.plugins.ray.pool import ActorPool
from babelscope.plugins.ray.replica import DEPTH, Replica, Session
from babelscope.progress import Progress, silent
from babelscope.similarity.blocks import Block, BlockExecutor, Filled, Settings


@dataclass(frozen=True)
class RemoteModel(Model):
    """A model whose weights are in replicas; its description is here."""

    pool: ActorPool | None = dataclasses.field(default=None, repr=False, compare=False)


_START = "start one by 'ray start --head', or leave the address out for this machine alone"

#: Blocks of pairs that a process has at most, so that it never waits for the next.
AHEAD = 2


class Ray:
    """A Ray cluster, for as long as the ``with`` block lasts.

    Parameters
    ----------
    address, replicas
        As :func:`babelscope.engines.open_engine`.
    progress : callable
        Called with what is waited for.

    Raises
    ------
    UsageError
        If Ray is not installed, `replicas` is below 1, or nobody answers at the address.
    """

    has_weights = False

    def __init__(
        self,
        address: str | None = None,
        replicas: int | None = None,
        progress: Progress = silent,
    ) -> None:
        if replicas is not None and replicas < 1:
            raise UsageError(f"replicas: {replicas} is below 1")
        self.ray, self.address, self.replicas = _imported(), address, replicas
        self.tell = progress
        self.environment = Environment.current()
        self.pools: list[ActorPool] = []
        self._ours = False
        self._comparers: ActorPool | None = None
        self._tables = 0

    @property
    def encoder(self) -> Ray:
        """Itself: jobs run in the replicas."""
        return self

    @property
    def executor(self) -> BlockExecutor:
        """Itself: blocks of pairs are computed on all machines."""
        return self

    def __enter__(self) -> Ray:
        if self.ray.is_initialized():
            return self
        asked = self.address or os.environ.get("RAY_ADDRESS")
        _check_answers(asked)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here tells nobody of it
        try:
            self.ray.init(
                address=asked, log_to_driver=False, logging_level="CRITICAL", **({} if asked else _this_machine())
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"address {asked!r}: no Ray cluster answers there ({reason}): {_START}") from error
        self._ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if self._ours:
            self.ray.shutdown()

    def _stop(self) -> None:
        for pool in self.pools:
            pool.stop()
        self.pools.clear()
        self._comparers = None

    # -- encoding
    # ----------------------------------------------------------------------------------------------------------------
    def load_model(self, load: Callable[[], Model], device: str = "cpu") -> Model:
        """Load the model in every replica; return it without its weights when the first has it.

        Parameters
        ----------
        load : callable
            Is sent to the replicas; what it reads must be there.
        device : {"cpu", "cuda"}
            Where it puts the model. On "cuda" each replica has a GPU of its own.

        Raises
        ------
        BabelscopeError
            What `load` raised somewhere, or if a replica would compute other bits than this process.
        UsageError
            If the model is for a GPU and the cluster has none.
        """
        self._stop()
        size, room = self._room(device)
        described: list[Model] = []

        def heard(step: int, result: Any) -> None:
            if step == 0:
                self.environment.check(result, device)
            elif step == 1:
                described.append(result)

        kept = self.ray.put(load)
        pool = ActorPool(
            self.ray,
            partial(self._actor, Replica, DEPTH, **room),
            size,
            DEPTH,
            [lambda actor: actor.adopt.remote(), lambda actor: actor.load.remote(kept)],
            heard,
            lambda: self.tell("waiting for a machine", 0, 0),
        )
        self.pools.append(pool)
        pool.until(lambda: bool(described))
        fields = {each.name: getattr(described[0], each.name) for each in dataclasses.fields(Model)}
        return RemoteModel(**fields, pool=pool)

    def encode(self, work: Work) -> None:
        """Run all jobs in the replicas, which write their blocks themselves.

        Raises
        ------
        UsageError
            If the model is not one that :meth:`load_model` gave, or the store is in this process's memory.
        BabelscopeError
            What a job raised; what was written before is kept.
        """
        model = work.model
        if not isinstance(model, RemoteModel) or model.pool is None:
            raise UsageError(
                "the ray engine runs models that it loaded: encode(engine.load_model(load), ..., engine=engine)"
            )
        store: Any = work.writer.path
        if str(store).startswith("memory:"):
            raise UsageError(f"{store} is in the memory of one process: choose a folder or another URL")
        points = tuple(dict.fromkeys(point.name for side in model.sides.values() for point in side.points))
        session = Session(
            work.corpus,
            store.resolve() if isinstance(store, Path) else store,
            work.writer.layout,
            work.config,
            points,
        )
        pool, sent = model.pool, self.ray.put(session)
        pool.steps = [*pool.steps[:2], lambda actor: actor.begin.remote(sent)]

        def hand(actor: Any, job: Job) -> Any:
            if write := work.describe(job.column):
                write()
            work.report(job, False)
            return actor.run.remote(job)

        try:
            for job, _ in pool.run(work.jobs, hand, lambda job: f"{job}, sentences {job.start} to {job.stop}"):
                work.report(job, True)
        finally:
            pool.stop()
        tidy(store)  # a replica that died in a write leaves what it had written of it

    # -- comparing
    # ----------------------------------------------------------------------------------------------------------------
    def compute(self, settings: Settings, blocks: Sequence[Block]) -> Iterator[tuple[int, Filled]]:
        """Compute blocks of pairs on all machines: one process a machine, with a thread a processor.

        Raises
        ------
        BabelscopeError
            What a block raised.
        """
        if self._comparers is None:
            self._stop()  # replicas would hold on to the processors
            size, threads = self._machines()
            room = {"num_cpus": threads}
            self._comparers = ActorPool(
                self.ray,
                lambda: self.ray.remote(Comparing).options(max_restarts=0, **room).remote(self.environment, threads),
                size,
                AHEAD,
                [lambda actor: actor.adopt.remote()],
                lambda step, environment: self.environment.check(environment, "any"),
                lambda: self.tell("waiting for a machine", 0, 0),
            )
            self.pools.append(self._comparers)
        self._tables += 1
        table, sent = self._tables, self.ray.put(settings)

        def hand(actor: Any, block: Block) -> Any:
            return actor.fill.remote(table, sent, block)

        for block, filled in self._comparers.run(blocks, hand, lambda block: f"block {block.number} of pairs"):
            yield block.number, filled

    def _machines(self) -> tuple[int, int]:
        """Return how many processes compare, and how many threads each has."""
        cpus = [int(node["Resources"].get("CPU", 0)) for node in self.ray.nodes() if node["Alive"]]
        least = min((count for count in cpus if count), default=1)
        return max(sum(count // least for count in cpus), 1), least

    # -- room
    # ----------------------------------------------------------------------------------------------------------------
    def _actor(self, made: type, at_once: int, **room: float) -> Any:
        return self.ray.remote(made).options(max_concurrency=at_once, max_restarts=0, **room).remote(self.environment)

    def _room(self, device: str) -> tuple[int, dict[str, float]]:
        """Return how many replicas there shall be, and what each is to be given of a machine."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if device != "cpu":
            if device != "cuda":
                raise UsageError(f"device {device!r}: each replica has a GPU of its own, write 'cuda'")
            gpus = int(sum(node.get("GPU", 0) for node in nodes))
            if not gpus and self.replicas is None:
                raise UsageError(
                    "the model is for a GPU (device = 'cuda') and no machine of the cluster has one: add one, set "
                    "--replicas to how many to wait for, or set device = 'cpu'"
                )
            return self.replicas or gpus, {"num_gpus": 1, "num_cpus": 1}
        cpus = [float(node["CPU"]) for node in nodes if node.get("CPU")]
        if not cpus:
            return self.replicas or 1, {"num_cpus": self.environment.torch_threads}
        most = min(self.environment.torch_threads, int(min(cpus)) or 1)
        for share in (*range(most, 0, -1), 0.5, 0.25, 0.1):
            fit = int(sum(count // share for count in cpus))
            if self.replicas is None or fit >= self.replicas:
                return self.replicas or max(fit, 1), {"num_cpus": share}
        return self.replicas or 1, {"num_cpus": 0.01}


def _check_answers(address: str | None) -> None:
    """Refuse a ``host:port`` where nothing listens at once: Ray would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdecimal() or "/" in host:  # auto, local, or a URL
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"address {address!r}: no Ray cluster answers there ({error}): {_START}") from error


def _this_machine() -> dict[str, Any]:
    """Return how a cluster of this machine alone is started: what it must hold is a corpus's list, and scores."""
    return {"include_dashboard": False, "object_store_memory": 2**28}


def _imported() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        if error.name != "ray":
            raise UsageError(f"engine 'ray': Ray is installed, and cannot be imported: {error}") from error
        raise UsageError(
            'engine "ray": Ray is not installed: pip install "babelscope[ray]", or choose engine = "local"'
        ) from error
