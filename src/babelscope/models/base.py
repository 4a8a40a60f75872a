"""What :mod:`babelscope.sides` holds, under its former name."""

from babelscope.sides import *  # noqa: F403
