"""What two processes must have in common to compute the same bits: read from one, adopted by the other."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
from dataclasses import dataclass
from pathlib import Path

import torch
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from babelscope.cache import CACHE_VARIABLE
from babelscope.capture.store import versions
from babelscope.errors import UsageError


@dataclass(frozen=True)
class Environment:
    """Process environment needed for bitwise reproducibility.

    Attributes
    ----------
    host : str
    folder : str
        The working folder, which relative paths begin from.
    cache : str or None
        The cache folder that was asked for, if one was.
    torch_threads, blas_threads : int
        How many threads share one operation of torch, or of NumPy's BLAS. A product that is split among another number
        of threads may be summed in another order.
    versions : dict
        Of the packages that numbers depend on.
    capability : str
        The vector instructions that torch's kernels were chosen for.
    """

    host: str
    folder: str
    cache: str | None
    torch_threads: int
    blas_threads: int
    versions: dict[str, str]
    capability: str

    @classmethod
    def current(cls) -> Environment:
        """Return this process's."""
        blas = [int(library["num_threads"]) for library in threadpool_info() if library["user_api"] == "blas"]
        return cls(
            socket.gethostname(),
            str(Path.cwd()),
            os.environ.get(CACHE_VARIABLE),
            torch.get_num_threads(),
            max(blas, default=1),
            {"python": platform.python_version(), **versions()},
            str(torch.backends.cpu.get_cpu_capability()),
        )

    def adopt(self) -> Environment:
        """Adopt another process's folder, cache and numbers of threads; return what this one's environment is then."""
        with contextlib.suppress(OSError):  # on a machine that has no such folder absolute paths will do
            os.chdir(self.folder)
        if self.cache is not None:
            os.environ[CACHE_VARIABLE] = self.cache
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        torch.set_num_threads(self.torch_threads)
        threadpool_limits(self.blas_threads, user_api="blas")
        return Environment.current()

    def check(self, other: Environment, device: str) -> None:
        """Check that another process computes the bits that this one would.

        Parameters
        ----------
        other : Environment
        device : str
            Where the numbers are computed; processors must be alike only if it is "cpu".

        Raises
        ------
        UsageError
            Naming the machine and what it has otherwise.
        """
        for package, version in self.versions.items():
            if (theirs := other.versions.get(package)) != version:
                raise UsageError(
                    f"{other.host} has {package} {theirs}, and {self.host} has {version}: install the same on both, or "
                    f"their numbers differ"
                )
        if device == "cpu" and other.capability != self.capability:
            raise UsageError(
                f"the processor of {other.host} computes with {other.capability}, and that of {self.host} with "
                f"{self.capability}: their numbers differ; use machines of one kind, or set ATEN_CPU_CAPABILITY alike"
            )
        if (other.torch_threads, other.blas_threads) != (self.torch_threads, self.blas_threads):
            raise UsageError(
                f"{other.host} computes with {other.torch_threads} threads where {self.host} has {self.torch_threads}: "
                f"their numbers may differ; set OMP_NUM_THREADS to what both can"
            )
