"""How many positions a recording has at a module: a formula found by measuring, of the steps of its features.

Any chain of strided convolutions and poolings gives ``(steps + offset) // stride``. Towers that cut a recording into
chunks give that for each chunk. A formula is taken only if it is the one that explains every length that was measured,
lengths that it was not found with among them; whoever captures compares it with the actual length again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

#: Steps at which a formula that was found is tried once more.
_HELD_OUT = (59, 113, 211, 397, 613)


@dataclass(frozen=True)
class Chain:
    """Positions behind strided convolutions: ``(steps + offset) // stride``, for each chunk of `chunk` steps."""

    stride: int
    offset: int
    chunk: int = 0

    def __call__(self, steps: int) -> int:
        """Return the positions of so many steps."""
        if not self.chunk:
            return max(0, (steps + self.offset) // self.stride)
        whole, rest = divmod(steps, self.chunk)
        last = max(0, (rest + self.offset) // self.stride) if rest else 0
        return whole * ((self.chunk + self.offset) // self.stride) + last

    def formula(self, steps: str) -> str:
        """Return it as people write it."""
        plain = f"({steps} {'+' if self.offset >= 0 else '-'} {abs(self.offset)}) // {self.stride}"
        if self.stride == 1:
            plain = steps if not self.offset else f"{steps} {'+' if self.offset > 0 else '-'} {abs(self.offset)}"
        elif not self.offset:
            plain = f"{steps} // {self.stride}"
        return f"{plain} of each {self.chunk} {steps}" if self.chunk else plain


def chain_of(measure: Callable[[int], int | None], low: int, high: int, chunks: Iterable[int] = ()) -> Chain | None:
    """Find the formula that explains what is measured; None if none does, or more than one.

    Parameters
    ----------
    measure : callable
        From a number of steps to a number of positions; None where it cannot be measured. Called some twenty times.
    low, high : int
        Steps between which is measured.
    chunks : iterable of int
        Lengths of chunks to try where no chain without them explains it.
    """
    seen: dict[int, int] = {}

    def at(steps: int) -> int | None:
        if steps not in seen:
            measured = measure(steps)
            if measured is None:
                return None
            seen[steps] = measured
        return seen[steps]

    for steps in (low, low + 1, (low + high) // 3, high):
        if at(steps) is None:
            return None
    plain = _unchunked(at, seen, low, high)
    if plain is not None and _holds(plain, at, low, high):
        return plain
    for steps in range(low, high + 1, max(1, (high - low) // 12)):
        at(steps)
    for chunk in sorted(set(chunks)):
        fitting = [
            chain
            for stride in range(1, 65)
            for offset in range(-stride, 2 * stride)
            if all((chain := Chain(stride, offset, chunk))(steps) == positions for steps, positions in seen.items())
        ]
        while len(fitting) > 1:
            apart = next((s for s in range(low, high + 1) if len({chain(s) for chain in fitting}) > 1), None)
            if apart is None or (measured := at(apart)) is None:
                break
            fitting = [chain for chain in fitting if chain(apart) == measured]
        if fitting and _holds(fitting[0], at, low, high):
            return fitting[0]
    return None


def _unchunked(at: Callable[[int], int | None], seen: dict[int, int], low: int, high: int) -> Chain | None:
    rise = seen[high] - seen[low]
    if rise <= 1:
        return None
    candidates: list[Chain] = []
    for stride in range((high - low) // (rise + 1), (high - low) // (rise - 1) + 2):
        if stride < 1:
            continue
        first = max(stride * positions - steps for steps, positions in seen.items())
        last = min(stride * positions + stride - 1 - steps for steps, positions in seen.items())
        while first < last:  # a number of steps that tells half of the offsets from the rest
            middle = (first + last + 1) // 2
            steps = low + (-low - middle) % stride
            measured = at(steps)
            if measured is None:
                return None
            first, last = (max(first, middle), last) if measured == (steps + middle) // stride else (first, middle - 1)
        if first == last and all((steps + first) // stride == positions for steps, positions in seen.items()):
            candidates.append(Chain(stride, first))
    good = [chain for chain in candidates if all(chain(steps) == positions for steps, positions in seen.items())]
    if len(good) > 1:
        good = [chain for chain in good if _holds(chain, at, low, high)]
    return good[0] if len(good) == 1 else None


def _holds(chain: Chain, at: Callable[[int], int | None], low: int, high: int) -> bool:
    lengths = [low + (share * (high - low)) // 997 for share in _HELD_OUT]
    return all(at(steps) == chain(steps) for steps in lengths)
