"""What several parts of the first screen read of a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from babelscope.gaps.at_output import RETRIEVAL
from babelscope.gaps.findings import CORRECTED
from babelscope.gaps.naming import measure_head
from babelscope.gaps.result import Result
from babelscope.gaps.traced import Number
from babelscope.report.queries import get, items
from babelscope.report.sentences import percent, tell
from babelscope.report.wording import listed

#: Languages that a sentence names before it counts the rest.
MOST_NAMED = 5


def writer(measure: str) -> Callable[[str, pd.Series[Any], str], Number]:
    """Return how a measure's numbers are written: as percentages for retrieval, as they are for the others."""
    return percent if measure_head(measure) == RETRIEVAL else tell


def finding(result: Result, id: str) -> pd.Series[Any] | None:
    """Return a finding over all languages, chance-corrected; None where it was not tested."""
    table = result.tables.get("findings")
    if table is None:
        return None
    rows = table[(table["id"] == id) & (table["group"] == "all") & (table["basis"] == CORRECTED)]
    return rows.iloc[0] if len(rows) else None


def sentences_of(result: Result) -> int:
    """Return how many sentences were compared, at most."""
    plain = result.scores[result.scores["control"] == "none"]
    rows = plain if len(plain) else result.scores
    return int(rows["n"].max()) if len(rows) else 0


def caveat_ids(result: Result) -> set[str]:
    """Return the names of the caveats that apply."""
    return {str(get(caveat, "id")) for caveat in items(result.meta.get("caveats"))}


def one_reader(result: Result) -> bool:
    """Whether languages are read by one person each, or nothing is known of who reads them."""
    return bool({"unknown-readers", "one-reader"} & caveat_ids(result))


def some_of(names: Sequence[str]) -> str:
    """Return names as a sentence lists them; of many the first, and how many more."""
    if len(names) <= MOST_NAMED:
        return listed(list(names))
    return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
