"""Batches on the processor: several at once, each on one thread, to the same bits however many run at once.

Threads that share an operation wait for each other behind each, and most operations of a forward pass are too small for
that; batches have nothing to wait for. One thread alone also computes the same bits on any number of cores.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from contextlib import ExitStack

import torch
from torch import Tensor

from babelscope.capture.hooks import Capture
from babelscope.capture.memory import give_back_memory
from babelscope.capture.replicate import replicate
from babelscope.capture.threads import SingleThreads
from babelscope.models.base import Prepared, Side

#: Seconds after which batches that ran on a GPU are brought to the host to be kept: it waits for nothing before.
KEEP_SECONDS = 10.0

#: How much speech runs at once, in square seconds: utterances x the square of the longest's seconds. Attention's tables
#: grow so, and with them the memory that a run takes.
MOST_SQUARE_SECONDS = 600.0

#: From how many on a batch's memory is given back when it has run.
HEAVY_SQUARE_SECONDS = 60.0

#: Most batches that run at once: each holds activations of its own, and all of them read the same weights.
MOST_STREAMS = 8


def run_batches(
    side: Side,
    batches: Sequence[Sequence[Prepared]],
    pooling: str,
    streams: int | None = None,
    keep: Callable[[int, Tensor], None] | None = None,
    weights: Sequence[float] | None = None,
) -> list[Tensor]:
    """Run batches with every point captured.

    Parameters
    ----------
    side : Side
        On the processor several batches run at once, torch having one thread for each. Elsewhere they run one after the
        other in the thread that calls, and nothing is waited for.
    batches : sequence of sequence of Prepared
    pooling : {"mean", "max", "first", "last"}
    streams : int, optional
        How many run at once on the processor: as many as torch has threads if left out, at most :data:`MOST_STREAMS`.
        It does not change the numbers.
    keep : callable, optional
        Given each batch's number and what it gave, on the host, as soon as it has run; on a GPU every
        :data:`KEEP_SECONDS` those that ran meanwhile. It may be called in several threads at once.
    weights : sequence of float, optional
        One a batch, in square seconds. On the processor those that run at once weigh :data:`MOST_SQUARE_SECONDS`
        together at most; one that weighs more runs alone. The heaviest begin first, with lighter ones at the same time.

    Returns
    -------
    list of Tensor, shape (utterances, widths of all points)
        One a batch, in their order; float32.

    Raises
    ------
    Exception
        What the first batch raised that failed. Those that had been begun were waited for, and no other was begun.
    """
    if not (on_the_processor(side) and side.runs_beside):
        with Capture(side, pooling) as capture:
            return _one_after_another(capture, batches, keep)
    count = min(torch.get_num_threads() if streams is None else streams, MOST_STREAMS, len(batches))
    turns = _Turns(weights or [0.0] * len(batches))
    computed: dict[int, Tensor] = {}
    failed: dict[int, BaseException] = {}

    def work(capture: Capture) -> None:
        while (number := turns.take()) is not None:
            try:
                computed[number] = _run(capture, batches[number])
                if keep:
                    keep(number, computed[number])
            except BaseException as error:
                failed[number] = error
                turns.close()
            finally:
                turns.give_back(number)
            if weights and weights[number] >= HEAVY_SQUARE_SECONDS:
                give_back_memory()

    # All replicas are made before any of the side's modules has a hook of ours, which they would have, too.
    with ExitStack() as stack:
        captures = [stack.enter_context(Capture(copied, pooling)) for copied in sides_beside(side, count)]
        pool = stack.enter_context(SingleThreads(len(captures), "babelscope-stream"))
        stack.callback(turns.close)  # before the threads are waited for: nothing is begun after Ctrl-C
        ended = [pool.submit(work, capture) for capture in captures]
        wait(ended)
    if failed:
        raise failed[min(failed)]
    for copied in ended:
        copied.result()
    return [computed[number] for number in range(len(batches))]


class _Turns:
    """Which batch comes next, for several threads that ask.

    Parameters
    ----------
    weights : sequence of float
        One a batch.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = weights
        self._left = sorted(range(len(weights)), key=lambda number: -weights[number])
        self._running: list[int] = []
        self._changed = threading.Condition()

    def take(self) -> int | None:
        """Return the next batch that may run while others do, waiting for one; None if none is left."""
        with self._changed:
            while self._left:
                room = MOST_SQUARE_SECONDS - sum(self._weights[number] for number in self._running)
                for number in self._left:
                    if not self._running or self._weights[number] <= room:
                        self._left.remove(number)
                        self._running.append(number)
                        return number
                self._changed.wait()
            return None

    def give_back(self, number: int) -> None:
        """Say that a batch has run."""
        with self._changed:
            self._running.remove(number)
            self._changed.notify_all()

    def close(self) -> None:
        """Begin none that was not begun."""
        with self._changed:
            self._left.clear()
            self._changed.notify_all()


def _one_after_another(
    capture: Capture, batches: Sequence[Sequence[Prepared]], keep: Callable[[int, Tensor], None] | None
) -> list[Tensor]:
    computed: list[Tensor] = []
    first, last = 0, time.monotonic()  # of those that are not kept yet; when some were kept
    for batch in batches:
        computed.append(_run(capture, batch))
        if keep and time.monotonic() - last >= KEEP_SECONDS:
            for number in range(first, len(computed)):
                keep(number, computed[number].cpu())
            first, last = len(computed), time.monotonic()
    return computed


def on_the_processor(side: Side) -> bool:
    """Whether all weights of a side are in the host's memory."""
    return all(parameter.device.type == "cpu" for parameter in side.root.parameters())


def sides_beside(side: Side, count: int) -> list[Side]:
    """Return so many sides that can run at once; fewer if the side cannot be copied."""
    replicas = (replicate(side) for _ in range(count - 1))
    return [side, *(replica for replica in replicas if replica is not None)]


def _run(capture: Capture, batch: Sequence[Prepared]) -> Tensor:
    caught = capture.run(capture.side.collate(batch))
    if len({tensor.device for tensor in caught.values()}) == 1:
        return torch.cat(list(caught.values()), dim=1)
    # a model that is spread over several devices
    return torch.cat([tensor.cpu() for tensor in caught.values()], dim=1)
