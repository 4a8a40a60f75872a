"""The monitor itself: called at every step, it probes when a probe is due, and leaves the training as it was."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from babelscope.errors import UsageError
from babelscope.gaps.comparisons import check_kinds
from babelscope.monitor.loggers import logger_of
from babelscope.monitor.measuring import DEFAULT_MEASURES, finite, gaps, means
from babelscope.monitor.pace import Pace
from babelscope.monitor.probe import Probe
from babelscope.monitor.record import Record
from babelscope.monitor.state import unchanged
from babelscope.similarity import parse_measure

#: Largest share of the training time that probing may cost.
BUDGET = 0.05
EVERY = 500


class GapMonitor:
    """Logs a probe's gaps while a model is trained.

    Parameters
    ----------
    probe : Probe
        A :class:`FunctionProbe` or a :class:`ModelProbe`.
    log : Path or str
        JSON Lines, appended to; :func:`read_log` reads it. An existing log is continued.
    every : int
        Steps between probes.
    budget : float
        Largest share of the training time that probing may cost. Where `every` steps would cost more, a probe waits,
        and the log says so. Only the first probe of a run does not wait; ``math.inf`` never waits.
    measures : sequence of str
        As in a study. Measures that need one space are computed where speech and text have a point of the same name.
    kinds : sequence of str
        Of :data:`~babelscope.gaps.KINDS`; only the modality similarity if not given.
    to : iterable
        TensorBoard writers, W&B runs, or functions of (scalars by name, step): they get the means over languages.
    permutations, seed : int
        Of the null, for measures without a closed form.

    Raises
    ------
    UsageError
        If an option is wrong, or the log is another monitor's.

    Examples
    --------
    >>> with GapMonitor(probe, "run/gaps.jsonl") as monitor:  # doctest: +SKIP
    ...     for step, batch in enumerate(batches, 1):
    ...         train(batch)
    ...         monitor.step(step)
    """

    def __init__(
        self,
        probe: Probe,
        log: Path | str,
        *,
        every: int = EVERY,
        budget: float = BUDGET,
        measures: Sequence[str] = DEFAULT_MEASURES,
        kinds: Sequence[str] = ("modality_similarity",),
        to: Iterable[Any] = (),
        permutations: int = 200,
        seed: int = 0,
    ) -> None:
        if every < 1:
            raise UsageError(f"every: {every} is not a positive number of steps")
        if not budget > 0:
            raise UsageError(f"budget: {budget} is not a positive share of the training time (0.05 is usual)")
        self.probe = probe
        self.measures = [str(parse_measure(measure)) for measure in measures]
        self.kinds = check_kinds(kinds)
        self.permutations, self.seed = permutations, seed
        self.loggers = [logger_of(given) for given in to]
        asked = {"measures": self.measures, "kinds": self.kinds, "permutations": permutations, "seed": seed}
        self._record = Record(Path(log), {**asked, "probe": probe.describe()})
        self._pace = Pace(every, budget)
        if last := self._record.last:
            pace = self._pace
            pace.spent, pace.trained, pace.cost = last["spent"], last["trained"], last["seconds"]
        self._begun = self._failed = self._probed = self._waits = False

    def __enter__(self) -> GapMonitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()

    @property
    def log(self) -> Path:
        """Where the log is."""
        return self._record.path

    @property
    def share(self) -> float:
        """The cost of probing so far, as a share of the training time."""
        return self._pace.share

    def step(self, step: int) -> bool:
        """Report that a step is done; probe if one is due.

        Parameters
        ----------
        step : int
            The number of the step, not below that of the last call; 0 before the first for a probe of the model as it
            starts.

        Returns
        -------
        bool
            Whether a probe was taken.

        Raises
        ------
        UsageError
            If steps go back, or the probe wrote to the model.
        BabelscopeError
            If the first probe fails. Later failures do not stop the training: they are logged, and warned of once.
        """
        self._arrive(step)
        pace = self._pace
        if not pace.due(step):
            return False
        if not pace.affordable():
            if not self._waits:
                self._waits = True
                why = f"a probe takes {pace.cost:.3g} s; probing may cost {pace.budget:.1%} of the training time"
                self._record.write("waits", step=step, every=pace.every, interval=pace.interval, because=why)
            return False
        self._take(step)
        return True

    def measure(self, step: int) -> list[dict[str, Any]]:
        """Probe now, regardless of the budget, log it, and return the gaps as rows."""
        self._arrive(step)
        return self._take(step, careful=True)

    def close(self, step: int | None = None) -> None:
        """Take a last probe if the last step has none yet and the budget allows it; log the end.

        Parameters
        ----------
        step : int, optional
            The last step; that of the last call if left out.
        """
        pace = self._pace
        last = pace.step_now if step is None else step
        if last is None or not self._begun:
            return
        self._arrive(last)
        if pace.last != last and pace.affordable():
            self._take(last)
        cost = {"spent": pace.spent, "trained": pace.trained, "share": finite(pace.share)}
        self._record.write("end", step=last, **cost, last_probe=pace.last)
        self._begun = False
        pace.stop()

    def _arrive(self, step: int) -> None:
        pace = self._pace
        if pace.step_now is not None and step < pace.step_now:
            raise UsageError(f"step {step} comes after step {pace.step_now}: steps must not go back within one run")
        pace.arrive(step)
        if self._begun:
            return
        self._begun = True
        if self._record.resumes:
            self._record.write("resume", step=step, time=_now())
            pace.last = max((done for done in self._record.steps if done < step), default=None)
        else:
            options = {"every": pace.every, "budget": finite(pace.budget)}
            self._record.write("start", time=_now(), monitor=self._record.identity, **options)

    def _take(self, step: int, *, careful: bool = False) -> list[dict[str, Any]]:
        pace = self._pace
        self._synchronise()
        began = pace.clock()
        failure = ""
        rows: list[dict[str, Any]] = []
        vectors = None
        with unchanged(self.probe.modules):
            try:
                vectors = self.probe.read()
                rows = gaps(vectors, self.measures, self.kinds, permutations=self.permutations, seed=self.seed)
            except Exception as error:
                if careful or not self._probed:
                    raise
                failure = " ".join(f"{type(error).__name__}: {error}".split())
        del vectors
        seconds = pace.leave(began)
        steps = None if pace.last is None else step - pace.last
        pace.last, self._waits = step, False
        cost = {"seconds": seconds, "spent": pace.spent, "trained": pace.trained, "share": finite(pace.share)}
        if failure:
            self._record.write("failed", step=step, time=_now(), because=failure, **cost)
            if not self._failed:
                warnings.warn(f"the gaps at step {step} could not be measured: {failure}", stacklevel=3)
            self._failed = True
            return rows
        self._probed = True
        self._record.write("gaps", step=step, time=_now(), steps=steps, every=pace.every, gaps=rows, **cost)
        scalars = means(rows)
        for logger in self.loggers:
            logger(scalars, step)
        pace.leave_again()
        return rows

    def _synchronise(self) -> None:
        """Wait for the training's own work, so that it is not counted as the probe's."""
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            for device in {p.device for module in self.probe.modules for p in module.parameters() if p.is_cuda}:
                torch.cuda.synchronize(device)


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
