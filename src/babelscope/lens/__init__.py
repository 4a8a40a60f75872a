"""What positions of speech read as: the nearest entries of the model's own vocabulary, layer by layer."""

from babelscope.lazy_imports import public_names
from babelscope.lens.options import LensOptions
from babelscope.lens.tables import LENS_COLUMNS, LensPlan, lens_tables, plan_lens, points_to_read
from babelscope.lens.vocabulary import Readout, readout

__all__ = [
    "LENS_COLUMNS",
    "LensOptions",
    "LensPlan",
    "Readout",
    "lens_tables",
    "plan_lens",
    "points_to_read",
    "readout",
]

__dir__ = public_names(__name__)
