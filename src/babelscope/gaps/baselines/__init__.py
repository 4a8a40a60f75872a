"""Baselines: what is reached without the model, or by less of it, on the same sentences.

:mod:`~babelscope.gaps.baselines.sides` says what they are, :mod:`~babelscope.gaps.baselines.against` sets the model's
scores against them, and :mod:`~babelscope.gaps.baselines.models` gathers other models that serve as baselines.
"""
