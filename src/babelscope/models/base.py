"""What :mod:`babelscope.sides` holds, under its former name."""

from babelscope.sides import DTYPES as DTYPES
from babelscope.sides import MODALITIES as MODALITIES
from babelscope.sides import Batch as Batch
from babelscope.sides import Layout as Layout
from babelscope.sides import Modality as Modality
from babelscope.sides import Model as Model
from babelscope.sides import Point as Point
from babelscope.sides import Prepared as Prepared
from babelscope.sides import Side as Side
from babelscope.sides import Stage as Stage
from babelscope.sides import WeightsFile as WeightsFile
from babelscope.sides import check_device as check_device
from babelscope.sides import dtype_named as dtype_named
from babelscope.sides import first_tensor as first_tensor
from babelscope.sides import layer_points as layer_points
from babelscope.sides import ready as ready
from babelscope.sides import spread_depths as spread_depths
from babelscope.sides import spread_depths_before as spread_depths_before
from babelscope.sides import to_device as to_device
