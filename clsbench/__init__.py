"""clsbench: image classifiers from labelled images to trusted predictions.

    model = clsbench.load("model.onnx")
    model.predict("cat.jpg").label

The functions do what the commands of the same name do; the classes are for plugin authors.
Nothing is imported until it is used; ``Classifier`` imports torch, so use it inside ``build``
functions only.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# ONNX Runtime sends usage data unless this is set before it is imported, and every process of
# ours passes here first. A user who has set it to something else has chosen.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from clsbench.adopting.description import Description
    from clsbench.adopting.huggingface_config import describe_huggingface
    from clsbench.api.adopt import adopt
    from clsbench.api.bench import bench
    from clsbench.api.check_plugin import check_plugin
    from clsbench.api.compare import compare
    from clsbench.api.datasets import describe_dataset
    from clsbench.api.doctor import doctor
    from clsbench.api.embedding import Embedding
    from clsbench.api.evaluate import evaluate
    from clsbench.api.export import export
    from clsbench.api.find_lr import find_lr
    from clsbench.api.infer import infer
    from clsbench.api.inspect import inspect
    from clsbench.api.listings import list_components, list_plugins
    from clsbench.api.load_classifier import load_classifier
    from clsbench.api.merge import merge
    from clsbench.api.model import Model, Prediction, load
    from clsbench.api.models import describe_model
    from clsbench.api.new_plugin import new_plugin
    from clsbench.api.observer import Observer
    from clsbench.api.probe import probe
    from clsbench.api.rank_transforms import rank_transforms
    from clsbench.api.report import report
    from clsbench.api.run_differences import diff_runs
    from clsbench.api.run_removal import remove_runs
    from clsbench.api.runs import list_runs
    from clsbench.api.show import show
    from clsbench.api.show_images import show_images
    from clsbench.api.show_predictions import show_predictions
    from clsbench.api.train import train
    from clsbench.api.verify import verify
    from clsbench.card import ModelCard
    from clsbench.component import Component, ModelFacts
    from clsbench.datasets.dataset import Dataset, Sample
    from clsbench.datasets.folder import folder_dataset
    from clsbench.datasets.splits import SplitSpec
    from clsbench.errors import (
        ClsbenchError,
        DataError,
        DeviceError,
        ImageError,
        ModelError,
        OptionError,
        PluginError,
    )
    from clsbench.exporting.gate import Gate
    from clsbench.hookspecs import hookimpl
    from clsbench.images.batch_decoders import BatchDecoder
    from clsbench.images.entries import BytesEntry, Entry, FileEntry, PixelsEntry
    from clsbench.images.sources.source import Source
    from clsbench.inference.backend import Backend, DeviceInfo, FeatureBackend
    from clsbench.inference.executors import LocalJob, open_job
    from clsbench.inference.explaining import Explanation
    from clsbench.inference.job import Execution, JobSpec
    from clsbench.machine import available_cores, without_package
    from clsbench.model_file import check_contract, read_card
    from clsbench.models.classifier import Classifier
    from clsbench.models.hub import without_hub_retries
    from clsbench.models.imagenet import imagenet_classes
    from clsbench.models.loading import load_state
    from clsbench.models.weights import read_state
    from clsbench.predictions.block import Predictions
    from clsbench.predictions.metric import Column, Shown, ShownMetric
    from clsbench.predictions.outcomes import Outcomes
    from clsbench.predictions.values import Absent, Proportion
    from clsbench.transform import Geometry, ImageTransform

#: Module -> the public names that live there.
_HOMES = {
    "clsbench.adopting.description": ("Description",),
    "clsbench.adopting.huggingface_config": ("describe_huggingface",),
    "clsbench.api.adopt": ("adopt",),
    "clsbench.api.bench": ("bench",),
    "clsbench.api.check_plugin": ("check_plugin",),
    "clsbench.api.compare": ("compare",),
    "clsbench.api.datasets": ("describe_dataset",),
    "clsbench.api.doctor": ("doctor",),
    "clsbench.api.embedding": ("Embedding",),
    "clsbench.api.evaluate": ("evaluate",),
    "clsbench.api.export": ("export",),
    "clsbench.api.infer": ("infer",),
    "clsbench.api.inspect": ("inspect",),
    "clsbench.api.listings": ("list_components", "list_plugins"),
    "clsbench.api.load_classifier": ("load_classifier",),
    "clsbench.api.merge": ("merge",),
    "clsbench.api.model": ("Model", "Prediction", "load"),
    "clsbench.api.models": ("describe_model",),
    "clsbench.api.new_plugin": ("new_plugin",),
    "clsbench.api.observer": ("Observer",),
    "clsbench.api.probe": ("probe",),
    "clsbench.api.rank_transforms": ("rank_transforms",),
    "clsbench.api.report": ("report",),
    "clsbench.api.run_differences": ("diff_runs",),
    "clsbench.api.run_removal": ("remove_runs",),
    "clsbench.api.runs": ("list_runs",),
    "clsbench.api.show": ("show",),
    "clsbench.api.show_images": ("show_images",),
    "clsbench.api.show_predictions": ("show_predictions",),
    "clsbench.api.find_lr": ("find_lr",),
    "clsbench.api.train": ("train",),
    "clsbench.api.verify": ("verify",),
    "clsbench.card": ("ModelCard",),
    "clsbench.datasets.dataset": ("Dataset", "Sample"),
    "clsbench.datasets.folder": ("folder_dataset",),
    "clsbench.datasets.splits": ("SplitSpec",),
    "clsbench.errors": (
        *("ClsbenchError", "DataError", "DeviceError", "ImageError", "ModelError", "OptionError", "PluginError"),
    ),
    "clsbench.exporting.gate": ("Gate",),
    "clsbench.component": ("Component", "ModelFacts"),
    "clsbench.hookspecs": ("hookimpl",),
    "clsbench.images.batch_decoders": ("BatchDecoder",),
    "clsbench.images.entries": ("BytesEntry", "Entry", "FileEntry", "PixelsEntry"),
    "clsbench.images.sources.source": ("Source",),
    "clsbench.inference.backend": ("Backend", "DeviceInfo", "FeatureBackend"),
    "clsbench.inference.executors": ("LocalJob", "open_job"),
    "clsbench.inference.explaining": ("Explanation",),
    "clsbench.inference.job": ("Execution", "JobSpec"),
    "clsbench.machine": ("available_cores", "without_package"),
    "clsbench.model_file": ("check_contract", "read_card"),
    "clsbench.models.classifier": ("Classifier",),
    "clsbench.models.imagenet": ("imagenet_classes",),
    "clsbench.models.hub": ("without_hub_retries",),
    "clsbench.models.loading": ("load_state",),
    "clsbench.models.weights": ("read_state",),
    "clsbench.predictions.block": ("Predictions",),
    "clsbench.predictions.metric": ("Column", "Shown", "ShownMetric"),
    "clsbench.predictions.outcomes": ("Outcomes",),
    "clsbench.predictions.values": ("Absent", "Proportion"),
    "clsbench.transform": ("Geometry", "ImageTransform"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Absent",
    "Backend",
    "BatchDecoder",
    "BytesEntry",
    "Classifier",
    "ClsbenchError",
    "Column",
    "Component",
    "DataError",
    "Dataset",
    "Description",
    "DeviceError",
    "DeviceInfo",
    "Embedding",
    "Entry",
    "Execution",
    "Explanation",
    "FeatureBackend",
    "FileEntry",
    "Gate",
    "Geometry",
    "ImageError",
    "ImageTransform",
    "JobSpec",
    "LocalJob",
    "Model",
    "ModelCard",
    "ModelError",
    "ModelFacts",
    "Observer",
    "OptionError",
    "Outcomes",
    "PixelsEntry",
    "PluginError",
    "Prediction",
    "Predictions",
    "Proportion",
    "Sample",
    "Shown",
    "ShownMetric",
    "Source",
    "SplitSpec",
    "__version__",
    "adopt",
    "available_cores",
    "bench",
    "check_contract",
    "check_plugin",
    "compare",
    "describe_dataset",
    "describe_huggingface",
    "describe_model",
    "diff_runs",
    "doctor",
    "evaluate",
    "export",
    "find_lr",
    "folder_dataset",
    "hookimpl",
    "imagenet_classes",
    "infer",
    "inspect",
    "list_components",
    "list_plugins",
    "list_runs",
    "load",
    "load_classifier",
    "load_state",
    "merge",
    "new_plugin",
    "open_job",
    "probe",
    "rank_transforms",
    "read_card",
    "read_state",
    "remove_runs",
    "report",
    "show",
    "show_images",
    "show_predictions",
    "train",
    "verify",
    "without_hub_retries",
    "without_package",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        from importlib import import_module

        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module 'clsbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
