"""What comes along and only some need. Each comes in as any other package's plug-in does: by entry points alone.

The core imports nothing from here:

- ``pocket`` and ``salmonn`` offer models (group ``babelscope.models``);
- ``offline`` fetches the weights that package registries have (group ``babelscope.assets``) and reads them, in formats
  of their own (group ``babelscope.weights``);
- ``ray`` encodes and compares on the machines of a cluster (group ``babelscope.engines``).
"""
