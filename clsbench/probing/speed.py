"""How fast a backbone classifies here: alone, in ONNX Runtime on a CPU as ``infer`` runs it, or in torch on a GPU."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clsbench.errors import ModelError
from clsbench.inference.tuning import throughput
from clsbench.inference.tuning_cache import keep, machine_facts, recall
from clsbench.json_fields import read_fields
from clsbench.machine import available_cores
from clsbench.models.classifier import Classifier
from clsbench.probing.feature_store import BackboneKey
from clsbench.training.features import FrozenBackbone, Run, in_torch, onnx_backbone

#: Seconds of a measurement, and how many are made. The fastest counts: what else runs here only slows it.
WINDOW, ROUNDS = 0.3, 3


@dataclass(frozen=True)
class Speed:
    """A measured rate.

    Args:
        images_per_second: Of the network alone, without decoding.
        engine: ``onnxruntime`` or ``torch``.
        device: ``cpu`` or ``cuda``.
        streams: Concurrent calls.
        batch_size: Images a call.
        earlier: Whether it was measured in an earlier call on this machine.
    """

    images_per_second: float
    engine: str
    device: str
    streams: int
    batch_size: int
    earlier: bool = False


def measure_speed(
    classifier: Classifier, backbone: FrozenBackbone, device: torch.device, key: BackboneKey, *, again: bool
) -> Speed:
    """Measure a backbone, or recall what was measured on this machine.

    Args:
        classifier: On ``device``, in evaluation mode.
        backbone: Of it; exported already, perhaps.
        device: ``cpu`` or ``cuda``.
        key: What tells this backbone from others.
        again: Measure although there is an earlier figure.
    """
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    question = f"probe {key.digest} on {gpu or machine_facts()}"
    if not again and (speed := _read(recall(question))):
        return speed
    images = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (backbone.batch_size, *classifier.transform.size, 3), np.uint8)
    ).to(device)
    run, streams = backbone.exported, available_cores()
    if run is None and device.type == "cpu":
        run = onnx_backbone(classifier, images)
    engine = "onnxruntime" if run else "torch"
    if run is None:
        run, streams = in_torch(classifier), 1
    rates = [throughput(_waiting(run), images, streams, WINDOW) for _ in range(ROUNDS)]
    speed = Speed(max(rates), engine, device.type, streams, len(images))
    keep(question, {name: value for name, value in vars(speed).items() if name != "earlier"})
    return speed


def _waiting(run: Run) -> Run:
    """The same, which returns when the features are there."""

    def call(images: Tensor) -> NDArray[np.float32]:
        features = run(images)
        return features.cpu().numpy() if isinstance(features, Tensor) else features

    return call


def _read(kept: Mapping[str, object] | None) -> Speed | None:
    """A speed that was kept; None where it is none."""
    try:
        found = read_fields(Speed, kept or {}, what="a speed")
    except ModelError:
        return None
    return replace(found, earlier=True) if 0 < found.images_per_second < math.inf else None
