"""Writes the distribution of a new plugin from templates: see :mod:`clsbench.scaffolding.distribution`."""
