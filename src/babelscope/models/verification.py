"""What :mod:`babelscope.verification` holds, under its former name."""

from babelscope.verification import CHECKS as CHECKS
from babelscope.verification import Probe as Probe
from babelscope.verification import Row as Row
from babelscope.verification import Verification as Verification
from babelscope.verification import apply as apply
from babelscope.verification import deviations as deviations
from babelscope.verification import difference as difference
from babelscope.verification import observe as observe
from babelscope.verification import own_forward as own_forward
from babelscope.verification import probe as probe
from babelscope.verification import shortest as shortest
from babelscope.verification import survey as survey
from babelscope.verification import verify as verify
from babelscope.verification import watch as watch
