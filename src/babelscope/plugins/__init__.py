"""What comes along and only some need. Each comes in as any other package's plug-in does: by entry points alone.

The core imports nothing from here: ``babelscope.plugins.pocket`` and ``babelscope.plugins.salmonn`` offer models
(entry points of the group ``babelscope.models``), ``babelscope.plugins.offline`` reads the weights that the package
registries have, in formats of their own (group ``babelscope.weights``).
"""
