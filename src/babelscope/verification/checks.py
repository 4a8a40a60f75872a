"""The checks of one side: a row for every point, or one for the side."""

from __future__ import annotations

import dataclasses
import warnings
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from babelscope.errors import BabelscopeError, DataError
from babelscope.sides import Point, Prepared, Side, with_points
from babelscope.verification.items import (
    SAMPLE_RATE,
    leaves_positions,
    make_text,
    maker,
    prepare,
    shortest,
)
from babelscope.verification.ranges import LARGEST, Reach, first_above, watching_range
from babelscope.verification.result import Row
from babelscope.verification.watching import (
    deviations,
    difference,
    from_starts,
    has_positions,
    observe_batch,
    survey,
    watch,
)

#: Largest deviation that holds, as a share of the largest activation: rounding that another order of sums makes.
TOLERANCES = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 6e-2}
#: Longest recording that a side without a limit is given, in seconds.
LONGEST_SECONDS = 30
#: Longest text that is tried, in characters: quick, and in full.
LONGEST_TEXT = (400, 4_000)
#: Samples between two of the finest positions of most front ends.
HOP = 160
#: Most items of a padded batch.
BATCH = 8

_GONE = "leave the point out, or correct its module"


@dataclasses.dataclass(frozen=True)
class Alone:
    """One item that ran alone, with everything that is kept of it.

    Attributes
    ----------
    values : mapping of str to Tensor
        As of :func:`watch`.
    shapes : mapping of str to tuple of int
        Of every point's activations, its start included.
    calls : mapping of str to int
        How often each point's module ran.
    errors : mapping of str to str
        Points that give no such tensor, and why.
    """

    item: Prepared
    values: Mapping[str, torch.Tensor]
    shapes: Mapping[str, tuple[int, ...]]
    order: list[str]
    calls: Mapping[str, int]
    errors: Mapping[str, str]
    reaches: list[Reach]


def run_alone(side: Side, item: Prepared) -> Alone:
    """Run one item alone, and keep everything of it."""
    shapes: dict[str, tuple[int, ...]] = {}
    errors: dict[str, str] = {}
    calls: dict[str, int] = {}

    def keep(point: Point, values: torch.Tensor) -> torch.Tensor:
        shapes[point.name] = tuple(values.shape)
        return from_starts(point, values, [item]).float().cpu().clone()

    with watching_range(side) as reaches:
        values, order, returned = observe_batch(side, side.collate([item]), keep, errors, calls)
    shapes |= {name: tuple(vector.shape) for name, vector in returned.items()}
    values |= {name: vector.detach().float().cpu().clone() for name, vector in returned.items()}
    return Alone(item, values, shapes, order, calls, errors, reaches)


class Examination:
    """One side of a model, with the sizes of items that it is given.

    Parameters
    ----------
    side : Side
        For one language.
    full : bool
        Whether every residue modulo the strides is tried.
    bounds : tuple of (int, int), optional
        Sizes of the shortest and the longest item, where they are known: they are looked for if left out.
    """

    def __init__(self, side: Side, language: str, full: bool = False, bounds: tuple[int, int] | None = None) -> None:
        self.side, self.language, self.full = side, language, full
        if bounds is not None:
            self.bounds = bounds
        self.dtype = next(side.root.parameters()).dtype
        self.tolerance = TOLERANCES.get(self.dtype, 1e-5)
        self._alone: dict[int, Alone] = {}

    def checks(self) -> dict[str, Callable[[], Iterator[Row]]]:
        """Return what is to be run, by the check's name, in this order."""
        checks = {
            "description": self.description,
            "fires": self.fires,
            "widths": self.widths,
            "shortest": self.shortest,
            "refusal": self.refusal,
            "lengths": self.lengths,
            "batches": self.batches,
            "rerun": self.rerun,
            "own forward": self.own_forward,
            "range": self.range,
        }
        if self.side.modality == "speech":
            checks |= {
                "silence": self.silence,
                "full scale": self.full_scale,
                "pooled silence": self.pooled_silence,
            }
        return checks

    def row(self, check: str, point: Point | None, holds: bool, measured: float | str, **more: Any) -> Row:
        """Return a row that holds or fails; a remedy is said only if it fails."""
        if holds:
            more.pop("remedy", None)
        name = "" if point is None else point.name
        return Row(check, self.side.modality, name, "holds" if holds else "fails", measured, **more)

    def note(self, check: str, point: Point | None, measured: float | str) -> Row:
        """Return a row that only says something."""
        return Row(check, self.side.modality, "" if point is None else point.name, "note", measured)

    # ------------------------------------------------------------------ sizes

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """Sizes of the shortest and the longest item, in samples or characters."""
        try:
            low = shortest(self.side, self.language)
        except DataError:  # nothing is finite, which the checks report
            low = shortest(self.side, self.language, finite=False)
        if self.side.modality == "text":
            return low, self._longest_text(low)
        limit = LONGEST_SECONDS * SAMPLE_RATE
        return low, max(low, min(self.side.longest or limit, limit))

    def _longest_text(self, low: int) -> int:
        high = LONGEST_TEXT[self.full]
        if self._is_taken(high):
            return high
        return low + bisect_left(range(low + 1, high), True, key=lambda size: not self._is_taken(size))

    def _is_taken(self, size: int) -> bool:
        try:
            self.side.prepare(maker(self.side)(size, 0), self.language)
        except DataError:
            return False
        return True

    @property
    def typical(self) -> int:
        """A size of everyday: about two seconds, or thirty characters."""
        low, high = self.bounds
        return min(max(30 if self.side.modality == "text" else 2 * SAMPLE_RATE + 345, low), high)

    @property
    def formulas(self) -> dict[str, Callable[[int], int]]:
        """How positions are counted, each way once, by what people read of it."""
        return {point.formula: point.length for point in self.side.points if has_positions(point)}

    @cached_property
    def coarsest(self) -> int:
        """Samples from one position to the next where they are fewest, as far as the formulas say."""
        low, high = self.bounds
        strides = [2 * HOP]
        for length in self.formulas.values():
            first = _edge(length, low, high)
            second = first and _edge(length, first, high)
            if first and second:
                strides.append(second - first)
        return max(strides)

    @cached_property
    def sizes(self) -> list[int]:
        """Sizes from the shortest to the longest: densely for short ones, and where a claim grows by one."""
        low, high = self.bounds
        if self.side.modality == "text":
            dense = list(range(low, min(high, 64 if self.full else 12) + 1, 1 if self.full else 2))
            return sorted({*dense, (low + high) // 2, high})
        spread = [SAMPLE_RATE, 5 * SAMPLE_RATE + 1] if self.full or not self.side.fixed_batch_length else []
        spread += [self.typical, high]
        if self.side.fixed_batch_length:
            return sorted({size for size in (low, *spread) if low <= size <= high})
        steps = range(min(max(2 * -(-self.coarsest // HOP), 22), 512)) if self.full else (0, 1, 2, 3, 5, 8, 13, 21)
        dense = [low + HOP * step + 7 * step % HOP for step in steps]
        starts = (low, high - 2 * self.coarsest) if self.full else (low,)
        edges = [size for start in starts for size in self._edges(start)]
        return sorted({size for size in (*dense, *edges, *spread) if low <= size <= high})

    def _edges(self, start: int) -> list[int]:
        """Return the sizes after `start` at which a claim grows, and those one below."""
        edges = [_edge(length, max(start, self.bounds[0]), self.bounds[1]) for length in self.formulas.values()]
        return [size for edge in edges if edge for size in (edge - 1, edge)]

    def item(self, size: int, seed: int = 0) -> Prepared:
        """Return a prepared item of a size."""
        return prepare(self.side, size, self.language, seed)

    def alone(self, size: int) -> Alone:
        """Return what an item of a size gives alone; that of the shortest and the typical size is kept."""
        if size not in self._alone:
            ran = run_alone(self.side, self.item(size))
            if size not in (self.bounds[0], self.typical):
                return ran
            self._alone[size] = ran
        return self._alone[size]

    @cached_property
    def loud(self) -> Alone:
        """What a recording at full scale gives."""
        return run_alone(self.side, self.side.prepare(_full_scale(self.typical), self.language))

    # ------------------------------------------------------------------ what is described

    def description(self) -> Iterator[Row]:
        """Names are unique, depths rise, everything is in evaluation mode."""
        names = [point.name for point in self.side.points]
        twice = sorted({name for name in names if names.count(name) > 1})
        depths = [point.depth for point in self.side.points]
        training = [path or "the root" for path, module in self.side.root.named_modules() if module.training]
        gradients = [name for name, parameter in self.side.root.named_parameters() if parameter.requires_grad]
        problems = [
            (twice, f"{len(twice)} names are given twice, such as {twice[:1]}", "name each point once"),
            (depths != sorted(depths), f"depths fall: {depths}", "use spread_depths"),
            (training, f"{training[:1]} is in training mode", "call eval() on the module"),
            (gradients, f"{gradients[:1]} requires gradients", "call requires_grad_(False) on the module"),
        ]
        wrong = [(measured, remedy) for is_wrong, measured, remedy in problems if is_wrong]
        for measured, remedy in wrong:
            yield self.row("description", None, False, measured, remedy=remedy)
        if not wrong:
            yield self.row("description", None, True, f"{len(names)} points")

    def fires(self) -> Iterator[Row]:
        """Every module runs as often as its point says, and in the order of the points."""
        side, ran = self.side, self.alone(self.typical)
        expected = [point for point in side.points if point.module]
        running = []
        for point in side.points:
            often = ran.calls.get(point.name, 0) if point.module else int(point.name in ran.values)
            fires = often == 1 if point.call is None else often > point.call
            measured = {0: "does not run", 1: "runs once"}.get(often, f"runs {often} times")
            wanted = "" if fires else ", not once" if point.call is None else f", not {point.call + 1} times or more"
            remedy = f"say by Point.call which of the {often} calls is meant, or leave it out" if often else _GONE
            running += [point] if fires else []
            yield self.row("fires", point, fires, measured + wanted, remedy=remedy)
        self.side = with_points(side, running)
        ordered = [name for name in ran.order if name in {point.name for point in running}]
        listed = [point.name for point in expected if point in running]
        if ordered != listed:
            at = next(index for index, (ran, wanted) in enumerate(zip(ordered, listed, strict=True)) if ran != wanted)
            point = next(point for point in expected if point.name == listed[at])
            yield self.row(
                "fires", point, False, f"{ordered[at]} runs before it", remedy="list the points in the order they run"
            )

    def widths(self) -> Iterator[Row]:
        """Axes and widths are as described."""
        ran = self.alone(self.typical)
        right_points = []
        for point in self.side.points:
            if point.name in ran.errors:
                yield self.row("widths", point, False, ran.errors[point.name], remedy="correct Point.layout")
                continue
            shape, positions = ran.shapes[point.name], "n, " if has_positions(point) else ""
            right = len(shape) == (3 if positions else 2) and shape[0] == 1 and shape[-1] == point.width
            measured = f"{shape[-1]} wide" if right else f"shape {shape}, not (1, {positions}{point.width})"
            right_points += [point] if right else []
            yield self.row("widths", point, right, measured, remedy="correct Point.width, Point.layout or Point.stream")
        self.side = with_points(self.side, right_points)

    # ------------------------------------------------------------------ the shortest and the longest

    def shortest(self) -> Iterator[Row]:
        """What is prepared and has positions is finite, however short."""
        side, low = self.side, self.bounds[0]
        claimed = _least_prepared(side, self.language, low)
        for size in {claimed, low}:
            try:
                bad = self._not_finite(self.alone(size))
                measured = self.amount(size) + (" give activations that are not finite" if bad else "")
            except Exception as error:  # a model may raise anything for an input that is too short
                bad, measured = [""], f"{self.amount(size)}: {_one_line(error)}"
            point = next((point for point in side.points if bad and point.name == bad[0]), None)
            yield self.row(
                "shortest",
                point,
                not bad,
                measured,
                remedy=_remedy_of_range(
                    self.dtype, f"refuse what is shorter than {self.amount(low)} by a DataError in prepare()"
                ),
            )

    def _not_finite(self, ran: Alone) -> list[str]:
        """Return the points where an item has valid positions that are not finite."""
        bad = []
        for point in self.side.points:
            values = ran.values[point.name][0]
            if not torch.isfinite(values[: ran.item.positions_at(point)] if has_positions(point) else values).all():
                bad.append(point.name)
        return bad

    def amount(self, size: int) -> str:
        """Return a size for people."""
        unit = "character" if self.side.modality == "text" else "sample"
        return f"{size} {unit}" + ("" if size == 1 else "s")

    def refusal(self) -> Iterator[Row]:
        """What has no position anywhere is refused by a DataError of one line, or claims no position."""
        side, low = self.side, self.bounds[0]
        if side.modality == "text":
            tried: dict[str, str | NDArray[np.float32]] = {"an empty text": "", "a text of spaces": "   "}
        else:
            sizes = sorted({0, 1, low // 2, low - 1} - {low})
            tried = {f"{size} samples": maker(side)(size, 0) for size in sizes if 0 <= size < low}
        for what, made in tried.items():
            fine, measured = self._refuses(made)
            if side.modality == "text" and measured == "is taken":
                yield self.note("refusal", None, f"{what}: {measured}")
                continue
            yield self.row("refusal", None, fine, f"{what}: {measured}", remedy="raise a DataError in prepare()")

    def _refuses(self, made: str | NDArray[np.float32]) -> tuple[bool, str]:
        try:
            with warnings.catch_warnings(action="ignore"):  # of means of nothing
                item = self.side.prepare(made, self.language)
            if not leaves_positions(self.side, item):
                return True, "leaves no position"
            finite = all(seen.finite for seen in survey(self.side, item).values())
            return finite, "is taken" if finite else "is taken, and not finite"
        except DataError:
            return True, "is refused"
        except Exception as error:  # that is what is looked for
            return False, _one_line(error)

    def lengths(self, sizes: Sequence[int] | None = None) -> Iterator[Row]:
        """Claimed positions are the actual ones, of items of the sizes given, or of :attr:`sizes`."""
        side, sizes = self.side, sizes or self.sizes
        wrong: dict[str, str] = {}
        at_longest = self._counts(self.bounds[1])[1] if side.fixed_batch_length else {}
        for size in sizes:
            is_longest = bool(at_longest) and size == self.bounds[1]
            item, counts = (self.item(size), at_longest) if is_longest else self._counts(size)
            for point in self.side.points:
                whole = at_longest.get(point.name) if side.fixed_batch_length else None
                problem = self._wrong_length(point, item, counts[point.name], whole)
                if problem:
                    wrong.setdefault(point.name, problem)
        tested = f"{len(sizes)} lengths from {sizes[0]} to {self.amount(sizes[-1])}"
        for point in self.side.points:
            yield self.row(
                "lengths",
                point,
                point.name not in wrong,
                wrong.get(point.name, tested),
                remedy="correct Point.length and formula, or count in prepare() (Prepared.positions)",
            )

    def _counts(self, size: int) -> tuple[Prepared, dict[str, int]]:
        """Return an item of a size, and how many positions every point has of it alone."""
        if size in (self.bounds[0], self.typical):
            ran = self.alone(size)
            return ran.item, {name: values.shape[1] for name, values in ran.values.items() if values.ndim > 1}
        item = self.item(size)
        return item, {name: seen.positions or 0 for name, seen in survey(self.side, item).items()}

    def _wrong_length(self, point: Point, item: Prepared, there: int, window: int | None) -> str:
        """Return how a claim differs from the positions there are; empty if it does not."""
        side, claimed, total = self.side, item.positions_at(point), item.total_at(point)
        if not has_positions(point):
            return "" if claimed == 1 else f"one vector, but {claimed} positions claimed ({point.formula})"
        measured = f"{item.length} {side.unit} have {there} positions, not {total} as claimed ({point.formula})"
        if window is None or total != claimed:
            return "" if there == total and claimed <= there else measured
        longest = self.bounds[1]
        if claimed > there or (item.length == longest and claimed < there - 1):
            return measured
        if there == window and side.window and point.stage != "shared":
            # The end of a window that fills no position has none: a part of one more may be claimed.
            share = there * item.length / side.window
            if not share - 1 <= claimed <= min(there, share + item.length / side.window + 1):
                return f"{measured}: their share of the window is {share:.1f}"
        return ""

    def silence(self) -> Iterator[Row]:
        """Digital silence gives finite activations, or is refused in one line."""
        made = np.zeros(self.typical, dtype=np.float32)
        yield from self._finite("silence", lambda: run_alone(self.side, self.side.prepare(made, self.language)))

    def full_scale(self) -> Iterator[Row]:
        """A recording at full scale gives finite activations, or is refused in one line."""
        yield from self._finite("full scale", lambda: self.loud)

    def _finite(self, check: str, run: Callable[[], Alone]) -> Iterator[Row]:
        try:
            bad = self._not_finite(run())
        except DataError as error:
            yield self.row(check, None, True, f"is refused: {error}")
            return
        remedy = _remedy_of_range(self.dtype, "refuse it by a DataError in prepare(), or find where it overflows")
        for point in self.side.points:
            finite = point.name not in bad
            yield self.row(check, point, finite, "finite" if finite else "not finite", remedy=remedy)

    # ------------------------------------------------------------------ numbers

    def batches(self) -> Iterator[Row]:
        """A padded batch gives what its items give alone."""
        side = self.side
        low, high = self.bounds
        packed = [point for point in side.points if point.layout == "td"]
        if packed:
            yield self.note("batches", packed[0], "runs one utterance at a time: its positions are packed")
            return
        if side.modality == "text":
            sizes = self.sizes if self.full else [low, 7, self.typical, 13]
        elif self.full:
            sizes = self.sizes
        elif side.fixed_batch_length:
            sizes = [low, self.typical]
        else:
            sizes = [low, self.typical // 2, self.typical, low + 3 * HOP + 7]
        sizes = [min(max(size, low), high) for size in sizes]
        worst = dict.fromkeys((point.name for point in side.points), 0.0)
        longer = self.typical
        for start in range(0, len(sizes), BATCH - 1):
            group = [*sizes[start : start + BATCH - 1], *([longer] if start else [])]
            items = [self.item(size) for size in group]
            try:
                measured = deviations(side, items, [self.alone(size).values for size in group])
            except Exception as error:
                if side.exact_in_batches:
                    raise
                yield self.note("batches", None, f"runs one utterance at a time; a batch: {_one_line(error)}")
                return
            worst = {name: max(worst[name], measured[name]) for name in worst}
        leaking = max(worst.values()) > self.tolerance
        for point in self.side.points:
            value = worst[point.name]
            if side.exact_in_batches:
                yield self.row(
                    "batches",
                    point,
                    value <= self.tolerance,
                    value,
                    allowed=self.tolerance,
                    remedy="mask what reads padding, or set exact_in_batches = False, to run one at a time",
                )
            elif leaking:
                yield self.row("batches", point, True, f"runs one utterance at a time; a batch differs by {value:.1e}")
            else:
                yield self.note("batches", point, f"runs one at a time, although a batch differs by {value:.1e} only")

    def rerun(self) -> Iterator[Row]:
        """The same item gives the same bits, also after others."""
        side = self.side
        first, again = self.alone(self.typical), run_alone(self.side, self.item(self.typical))
        before, after = ({**ran.item.inputs, **ran.values} for ran in (first, again))
        for name, tensor in before.items():
            point = next((point for point in side.points if point.name == name), None)
            same = torch.equal(tensor.nan_to_num(), after[name].nan_to_num())
            measured = "same bits" if same else f"differs by {difference(after[name].float(), tensor.float()):.1e}"
            yield self.row(
                "rerun",
                point,
                same,
                measured if point or same else f"input {name}: {measured}",
                remedy="seed or remove what is drawn at random, and keep nothing between two passes",
            )

    def own_forward(self) -> Iterator[Row]:
        """What is computed is what the whole model computes through its own processor."""
        side, made = self.side, maker(self.side)(self.typical, 0)
        reference = side.reference(made, self.language)
        if reference is None:
            yield Row("own forward", side.modality, "", "untested", "this side offers no comparison (Side.reference)")
            return
        ran = self.alone(self.typical)
        item, values = ran.item, ran.values
        for point in self.side.points:
            if point.name not in reference:
                continue
            ours, theirs = values[point.name][0], reference[point.name].float().cpu()
            if has_positions(point):
                valid = item.positions_at(point)
                ours, theirs = ours[:valid], theirs[:valid]
            apart = difference(ours, theirs) if ours.shape == theirs.shape else float("inf")
            yield self.row(
                "own forward",
                point,
                apart <= self.tolerance,
                apart,
                allowed=self.tolerance,
                remedy="compare prepare(), collate() and forward() with the model's own processor and forward pass",
            )

    def range(self) -> Iterator[Row]:
        """Activations are within the range of the number format, and of 16 bits."""
        side = self.side
        passes = [self.alone(self.typical).reaches]
        if side.modality == "speech":
            passes.append(self.loud.reaches)
        own = first_above(passes, LARGEST[self.dtype])
        name = str(self.dtype).removeprefix("torch.")
        if own is not None:
            point = next((point for point in side.points if point.module == own), None)
            yield self.row(
                "range",
                point,
                False,
                f"overflows in {name}, first in module {own}",
                remedy=_remedy_of_range(self.dtype, "check the weights"),
            )
            return
        largest = max((reach for each in passes for reach in each), key=lambda reach: reach.largest)
        half = first_above(passes, LARGEST[torch.float16])
        measured = f"largest activation {largest.largest:.1e} in module {largest.module}"
        if half is not None:
            yield self.note("range", None, f"{measured}; float16 would overflow first in {half}: use bfloat16")
        else:
            yield self.row("range", None, True, measured)

    def overflow(self) -> str:
        """Return in which module a typical item is first not finite, and what to do; empty if it is nowhere."""
        module = first_above([self.alone(self.typical).reaches], LARGEST[self.dtype])
        if module is None:
            return ""
        name = str(self.dtype).removeprefix("torch.")
        remedy = _remedy_of_range(self.dtype, "check the weights")
        return f"activations overflow in {name}, first in module {module}: {remedy}"

    def pooled_silence(self) -> Iterator[Row]:
        """Whether silence after a recording is counted, and by how much it changes the recording's own positions."""
        side = self.side
        low, high = self.bounds
        count = min(self.typical, high - SAMPLE_RATE)
        if count < low:
            yield Row("pooled silence", "speech", "", "untested", "the longest recording is too short for it")
            return
        recording = maker(side)(count, 0)
        longer = np.concatenate([np.asarray(recording), np.zeros(SAMPLE_RATE, dtype=np.float32)])
        padded = side.prepare(longer, self.language)
        ran = self.alone(count)
        short, alone = ran.item, ran.values
        behind, _ = watch(side, side.collate([padded]))
        points_by_count: dict[str, list[Point]] = {}
        for point in self.side.points:
            if not has_positions(point):
                continue
            own, grown, there = short.positions_at(point), padded.positions_at(point), alone[point.name].shape[1]
            text = f"{own}" + (f" of {there}" if there > own else "")
            text += f" positions of {count / SAMPLE_RATE:.2f} s are pooled, {grown - own} more for a second of silence"
            points_by_count.setdefault(text, []).append(point)
            change = difference(behind[point.name][0][:own], alone[point.name][0][:own])
            yield self.note("added silence", point, change)
        for text, points in points_by_count.items():
            yield self.note("pooled silence", points[0], text)


def _remedy_of_range(dtype: torch.dtype, otherwise: str) -> str:
    if dtype == torch.float16:
        return "load it in bfloat16, whose range is that of float32, or in float32"
    return "load it in float32" if dtype == torch.bfloat16 else otherwise


def _full_scale(samples: int) -> NDArray[np.float32]:
    """Return a recording at full scale: every sample 1 or -1."""
    drawn = np.random.default_rng(samples).integers(0, 2, samples)
    return np.asarray(2.0 * drawn - 1.0, dtype=np.float32)


def _least_prepared(side: Side, language: str, finite: int) -> int:
    """Return the shortest size up to `finite` that is prepared and leaves a position at every point."""

    def is_taken(size: int) -> bool:
        try:
            return leaves_positions(side, prepare(side, size, language))
        except Exception:  # reported by the check of refusals
            return False

    return 1 + bisect_left(range(1, finite), True, key=is_taken)


def _edge(length: Callable[[int], int], low: int, high: int) -> int | None:
    """Return the least size above `low` at which a count that never falls grows; None if it does not up to `high`."""
    count = length(low)
    if length(high) <= count:
        return None
    return low + 1 + bisect_left(range(low + 1, high), True, key=lambda size: length(size) > count)


def _one_line(error: Exception) -> str:
    measured = " ".join(str(error).split())[:200]
    return measured if isinstance(error, BabelscopeError) else f"{type(error).__name__}: {measured}"


__all__ = ["LONGEST_SECONDS", "TOLERANCES", "Examination", "make_text"]
