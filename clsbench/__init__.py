"""clsbench: image classifiers from labelled images to trusted predictions.

The names below are for plugin authors. Nothing heavy is imported until one is used;
``Classifier`` imports torch, so use it inside ``build`` functions only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.datasets.dataset import Dataset, Sample
    from clsbench.errors import ClsbenchError, DataError, DeviceError, ModelError, OptionError, PluginError
    from clsbench.hookspecs import Component, hookimpl
    from clsbench.inference.backend import Backend
    from clsbench.models.classifier import Classifier
    from clsbench.models.imagenet import imagenet_classes
    from clsbench.models.weights import load_state, read_state
    from clsbench.predictions.block import Outcomes, Predictions
    from clsbench.predictions.metric import Column, Shown, ShownMetric
    from clsbench.predictions.values import Absent, Proportion
    from clsbench.transform import ImageTransform

_HOMES = {
    "ModelCard": "clsbench.card",
    "Dataset": "clsbench.datasets.dataset",
    "Sample": "clsbench.datasets.dataset",
    "ClsbenchError": "clsbench.errors",
    "DataError": "clsbench.errors",
    "DeviceError": "clsbench.errors",
    "ModelError": "clsbench.errors",
    "OptionError": "clsbench.errors",
    "PluginError": "clsbench.errors",
    "Component": "clsbench.hookspecs",
    "hookimpl": "clsbench.hookspecs",
    "Backend": "clsbench.inference.backend",
    "Classifier": "clsbench.models.classifier",
    "imagenet_classes": "clsbench.models.imagenet",
    "load_state": "clsbench.models.weights",
    "read_state": "clsbench.models.weights",
    "Outcomes": "clsbench.predictions.block",
    "Predictions": "clsbench.predictions.block",
    "Column": "clsbench.predictions.metric",
    "Shown": "clsbench.predictions.metric",
    "ShownMetric": "clsbench.predictions.metric",
    "Absent": "clsbench.predictions.values",
    "Proportion": "clsbench.predictions.values",
    "ImageTransform": "clsbench.transform",
}

__all__ = [
    "Absent",
    "Backend",
    "Classifier",
    "ClsbenchError",
    "Column",
    "Component",
    "DataError",
    "Dataset",
    "DeviceError",
    "ImageTransform",
    "ModelCard",
    "ModelError",
    "OptionError",
    "Outcomes",
    "PluginError",
    "Predictions",
    "Proportion",
    "Sample",
    "Shown",
    "ShownMetric",
    "__version__",
    "hookimpl",
    "imagenet_classes",
    "load_state",
    "read_state",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'clsbench' has no attribute {name!r}")
