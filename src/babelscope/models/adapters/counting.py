"""How many positions a recording has at a module: a formula found by measuring, of the steps of its features.

Any chain of strided convolutions and poolings gives ``(steps + offset) // stride``. Towers that cut a recording into
chunks give that for each chunk. A formula is taken only if it is the one that explains every length that was measured,
lengths that it was not found with among them; whoever captures compares it with the actual length again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

#: Shares, of 997, between the shortest and the longest length, at which a formula that was found is tried once more.
_HELD_OUT = (11, 59, 113, 211, 283, 397, 499, 613, 701, 797, 887, 971)

#: The same for formulas with chunks, of which there are many, besides.
_HELD_OUT_OF_CHUNKS = (29, 83, 151, 181, 241, 313, 353, 431, 467, 541, 577, 653, 743, 829, 929, 953)

#: Shares, of 17, of the shortest length at which a formula is tried if there are such recordings.
_SHORTER = (4, 6, 7, 9, 12, 15)


@dataclass(frozen=True)
class Chain:
    """Positions after strided convolutions: ``(steps + offset) // stride``, for each chunk of `chunk` steps."""

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


def chain_through(
    steps_of: Callable[[int], int],
    measure: Callable[[int], int | None],
    low: int,
    high: int,
    hop: int = 1,
    chunks: Iterable[int] = (),
) -> Chain | None:
    """Find the formula that explains how positions follow from steps; None if none does, or more than one.

    Parameters
    ----------
    steps_of : callable
        From a number of samples to the steps of its features (``int`` where samples are the steps); not every number of
        steps need be among them.
    measure : callable
        From a number of samples to the positions at a module; None where it cannot be measured. Called some thirty
        times.
    low, high : int
        Samples between which is measured.
    hop : int
        Samples of a step, about.
    chunks : iterable of int
        Lengths of chunks, in steps, to try where no chain without them explains it.
    """
    asked: dict[int, tuple[int, int] | None] = {}

    def ask(samples: int) -> tuple[int, int] | None:
        if samples not in asked:
            positions = measure(samples)
            asked[samples] = None if positions is None else (steps_of(samples), positions)
        return asked[samples]

    def pairs() -> dict[int, int]:
        return {pair[0]: pair[1] for pair in asked.values() if pair is not None}

    def with_steps(wanted: int) -> int | None:
        """Measure at a number of steps, and return the positions; None if no recording has so many."""
        samples = wanted * hop
        for _ in range(4):
            apart = wanted - steps_of(samples)
            if not apart:
                pair = ask(samples)
                return None if pair is None else pair[1]
            samples += apart * hop
        return None

    lengths = [low + share * (high - low) // 997 for share in _HELD_OUT]
    if any(ask(samples) is None for samples in (low, high)):
        return None
    plain = _unchunked(pairs, with_steps)
    shorter = [share * low // 17 for share in _SHORTER] if hop > 1 else []
    if plain is not None and _holds(plain, ask, lengths) and _holds_if_there(plain, ask, shorter):
        return plain
    if not (lengths_of_chunks := sorted(set(chunks))):
        return None
    lengths += [low + share * (high - low) // 997 for share in _HELD_OUT_OF_CHUNKS]
    for samples in (*lengths, *shorter):
        ask(samples)
    for chunk in lengths_of_chunks:
        chain = _chunked(chunk, pairs, with_steps)
        if chain is not None and _holds(chain, ask, lengths) and _holds_if_there(chain, ask, shorter):
            return chain
    return None


def _unchunked(pairs: Callable[[], dict[int, int]], with_steps: Callable[[int], int | None]) -> Chain | None:
    seen = pairs()
    (low, first), (high, last) = min(seen.items()), max(seen.items())
    if last - first <= 1:
        return None
    good: list[Chain] = []
    for stride in range(max(1, (high - low) // (last - first + 1)), (high - low) // (last - first - 1) + 2):
        least = max(stride * positions - steps for steps, positions in seen.items())
        most = min(stride * positions + stride - 1 - steps for steps, positions in seen.items())
        while least < most:  # a number of steps that tells half of the offsets from the rest
            middle = (least + most + 1) // 2
            start = low + (-low - middle) % stride
            measured = None
            for steps in range(start, high, stride):
                if (measured := with_steps(steps)) is not None:
                    break
            if measured is None:
                break
            least, most = (middle, most) if measured == (steps + middle) // stride else (least, middle - 1)
        # offsets that are left give the same for every number of steps that there is
        offset = next((each for each in (stride - 1, 0) if least <= each <= most), least)
        if least <= most and all((steps + offset) // stride == positions for steps, positions in pairs().items()):
            good.append(Chain(stride, offset))
    good = [chain for chain in good if all(chain(steps) == positions for steps, positions in pairs().items())]
    return good[0] if len(good) == 1 else None


def _chunked(chunk: int, pairs: Callable[[], dict[int, int]], with_steps: Callable[[int], int | None]) -> Chain | None:
    def fitting(chains: Iterable[Chain]) -> list[Chain]:
        return [chain for chain in chains if all(chain(steps) == count for steps, count in pairs().items())]

    low, high = min(pairs()), max(pairs())
    rise = pairs()[high] - pairs()[low]
    if rise < 1:
        return None
    about = (high - low) / rise  # a stride, but for what is rounded up in each chunk
    chains = fitting(
        Chain(stride, offset, chunk)
        for stride in range(max(1, int(0.7 * about)), int(1.4 * about) + 2)
        for offset in range(-stride, 2 * stride)
    )
    while len(chains) > 1:
        apart = (steps for steps in range(low, high + 1) if len({chain(steps) for chain in chains}) > 1)
        if all(with_steps(steps) is None for steps, _ in zip(apart, range(4), strict=False)):
            break
        chains = fitting(chains)
    return chains[0] if chains else None


def _holds(chain: Chain, ask: Callable[[int], tuple[int, int] | None], lengths: Iterable[int]) -> bool:
    return all((pair := ask(samples)) is not None and chain(pair[0]) == pair[1] for samples in lengths)


def _holds_if_there(chain: Chain, ask: Callable[[int], tuple[int, int] | None], lengths: Iterable[int]) -> bool:
    return all((pair := ask(samples)) is None or chain(pair[0]) == pair[1] for samples in lengths)
