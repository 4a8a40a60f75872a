"""Measures of other packages: known by their entry point, and never in the way of the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PLUGIN = '''
from dataclasses import dataclass
import numpy as np
from babelscope.similarity.measure import Measure, register


@register
@dataclass(frozen=True)
class Firsts(Measure):
    """Correlation of the first features."""

    name = "firsts"
    source = "a test"
    convention_text = "correlation of the first feature of either side"

    def prepare(self, x):
        return x.centred[:, 0]

    def value(self, x, y):
        return abs(float(np.corrcoef(x, y)[0, 1]))

    def permuted(self, x, y, orders):
        return np.array([self.value(x, y[order]) for order in orders])
'''

PROGRAM = """
import warnings
import numpy as np
from babelscope.similarity import MEASURES, parse_measure, score
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    assert parse_measure("linear_cka").name == "linear_cka"
    x = np.random.default_rng(0).normal(size=(30, 4))
    found = score(x, 2 * x + 1, "firsts", null="permutation", permutations=99)
    assert found.value > 0.999 and found.p == 0.01, found
    assert {"firsts", "svcca"} <= set(MEASURES)
assert len(told) == 1 and "'broken'" in str(told[0].message), told
"""


def test_an_installed_measure_is_found_and_a_broken_one_is_left_out_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "firsts_plugin.py").write_text(PLUGIN, encoding="utf-8")
    info = tmp_path / "firsts_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: firsts-plugin\nVersion: 1.0\n", encoding="utf-8")
    entries = "[babelscope.measures]\nbroken = no_such_module:Nothing\nfirsts = firsts_plugin:Firsts\n"
    (info / "entry_points.txt").write_text(entries, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{PROGRAM}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
