"""Blocks of pairs, computed in a process of its own: it reads what it compares from the store itself."""

from __future__ import annotations

from babelscope.plugins.ray.environment import Environment
from babelscope.similarity.blocks import Block, Filled, Filler, Settings


class Comparing:
    """A process that computes blocks of pairs, and keeps what it prepared for the next ones.

    Parameters
    ----------
    environment : Environment
        Of the process that drives.
    threads : int
        How many pairs are computed at once.
    """

    def __init__(self, environment: Environment, threads: int) -> None:
        self._driver, self._filler = environment, Filler(threads)

    def adopt(self) -> Environment:
        """Adopt the driver's environment, and return that of this process."""
        return self._driver.adopt()

    def fill(self, table: int, settings: Settings, block: Block) -> Filled:
        """Return the numbers of a block.

        Raises
        ------
        BabelscopeError
            As :meth:`babelscope.similarity.blocks.Filler.fill`, or if the store cannot be read from here.
        """
        return self._filler.fill(table, settings, block)
