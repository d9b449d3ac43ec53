"""The built-in plugin: names what the packages below provide, through the public hooks.

Cheap components come first, so that resolving one of them imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from clsbench.component import Component
from clsbench.hookspecs import hookimpl


@hookimpl
def register_models() -> Iterator[Component]:
    """``simple-cnn`` and torchvision's zoo."""
    from clsbench.models import simple_cnn

    yield Component("simple-cnn", simple_cnn.build, "of the CIFAR-10 tutorials", facts=simple_cnn.FACTS)
    if find_spec("torchvision"):
        from clsbench.models import torchvision_zoo

        yield from torchvision_zoo.components()


@hookimpl
def register_datasets() -> Iterator[Component]:
    """``folder``, ``digits``, ``csv``, ``regex`` and torchvision's sets."""
    from clsbench.datasets import csv_table, digits, folder, regex

    yield Component("folder", folder.build, "class folders, with or without train/ and val/ or attributes above")
    yield Component("digits", digits.build, "1,797 scanned digits, embedded")
    yield Component("csv", csv_table.build, "a table with the columns path, label and perhaps split")
    yield Component("regex", regex.build, "labels in file names, such as beagle_12.jpg")
    if find_spec("torchvision"):
        from clsbench.datasets import torchvision_sets

        yield from torchvision_sets.components()


@hookimpl
def register_sources() -> Iterator[Component]:
    """``folder``, ``list``, ``archive`` and ``remote``."""
    from clsbench.images.sources import archive, folder, lists, remote

    schemes = ("https://", "http://", "s3://", "gs://", "gcs://", "hf://", "az://", "abfs://", "memory://", "file://")
    yield Component("folder", folder.FolderSource, "a folder with all its subfolders, or a single image")
    yield Component("list", lists.open_list, "paths or URLs, a line or a row each; - for stdin", opens=lists.LISTS)
    yield Component("archive", archive.ArchiveSource, "a tar or ZIP archive, not unpacked", opens=archive.ARCHIVES)
    yield Component("remote", remote.RemoteSource, "any URL that fsspec opens", opens=schemes)


@hookimpl
def register_decoders() -> Iterator[Component]:
    """``simplejpeg`` and ``pillow``."""
    from clsbench.images import decoders

    yield Component("simplejpeg", decoders.SimplejpegDecoder, "JPEG by libjpeg-turbo")
    yield Component("pillow", decoders.PillowDecoder, "the reference: every format that Pillow reads")


@hookimpl
def register_backends() -> Iterator[Component]:
    """``onnxruntime`` and ``onnx-reference``."""
    from clsbench.inference import onnxruntime_backend, reference_backend

    yield Component("onnxruntime", onnxruntime_backend.build, "ONNX Runtime on CPU or CUDA")
    reference = "ONNX's own reference evaluator: slow, an oracle"
    yield Component("onnx-reference", reference_backend.build, reference, variants=())


@hookimpl
def register_executors() -> Iterator[Component]:
    """``threads`` and ``serial``."""
    from clsbench.inference import executors

    yield Component("threads", executors.ThreadsExecutor, "decoding and model side by side in one pool of threads")
    yield Component("serial", executors.SerialExecutor, "one image after another: to debug and to compare with")


@hookimpl
def register_writers() -> Iterator[Component]:
    """``csv``, ``jsonl``, ``parquet`` and ``parquet-parts``."""
    from clsbench.predictions import parquet_writers, writers

    yield Component("csv", writers.CsvWriter, "comma-separated values")
    yield Component("jsonl", writers.JsonlWriter, "one JSON object a line")
    yield Component("parquet", parquet_writers.ParquetWriter, "Apache Parquet")
    yield Component("parquet-parts", parquet_writers.ParquetPartsWriter, "a folder of Apache Parquet files")


@hookimpl
def register_metrics() -> Iterator[Component]:
    """In the order of a report."""
    from clsbench.evaluation.metrics import (
        accuracy,
        averages,
        confusion,
        coverage,
        label_errors,
        per_class,
        probability,
        roc_auc,
        top_losses,
    )

    everywhere, evaluate = ("infer", "evaluate"), ("evaluate",)
    yield Component("accuracy", accuracy.build, "top-1 and top-5 with 95% Wilson intervals", default_in=everywhere)
    yield Component("averages", averages.build, "balanced accuracy; macro and weighted means", default_in=evaluate)
    yield Component("probability", probability.build, "log loss, Brier score and calibration", default_in=evaluate)
    yield Component("roc-auc", roc_auc.build, "area under the ROC curve, class by class", default_in=evaluate)
    yield Component("coverage", coverage.build, "accuracy of the confident part, and its size", default_in=evaluate)
    yield Component("per-class", per_class.build, "precision, recall, F1 of each class", default_in=everywhere)
    yield Component("confusion", confusion.build, "the confusion matrix, most confused pairs", default_in=evaluate)
    yield Component("top-losses", top_losses.build, "the most confident mistakes", default_in=evaluate)
    yield Component("label-errors", label_errors.build, "label errors, by confident learning", default_in=evaluate)
