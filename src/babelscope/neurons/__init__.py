"""Single features: which are selective for a modality or a language, and whether they are the same ones elsewhere."""

from babelscope.lazy_imports import public_names
from babelscope.neurons.overlap import MATCH_COLUMNS, OVERLAP_COLUMNS, match_table, overlap_table
from babelscope.neurons.selective import (
    SELECTIVITY_COLUMNS,
    TOP_COLUMNS,
    NeuronOptions,
    Selectivity,
    selectivity,
)
from babelscope.neurons.tables import neuron_tables

__all__ = [
    "MATCH_COLUMNS",
    "OVERLAP_COLUMNS",
    "SELECTIVITY_COLUMNS",
    "TOP_COLUMNS",
    "NeuronOptions",
    "Selectivity",
    "match_table",
    "neuron_tables",
    "overlap_table",
    "selectivity",
]

__dir__ = public_names(__name__)
