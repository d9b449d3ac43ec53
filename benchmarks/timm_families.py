"""Export a network of each of several families of timm, with random weights, and print what the gate found.

    python benchmarks/timm_families.py                      # twelve families
    python benchmarks/timm_families.py timm/volo_d1_224 …   # others

A row's `difference` is the largest between a probability of the network in torch and one of the exported file in ONNX
Runtime, over the embedded photos at several batch sizes; `flips` are images with another top-1. `logits` is their
standard deviation: where it is 0, nothing was compared. Batch statistics are first taken from noise, since without any
a deep network with random weights is a constant. Needs clsbench-timm.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from clsbench import Classifier, ModelCard
from clsbench.exporting.exporter import export_model
from clsbench.exporting.gate_images import GateImages, embedded_photos
from clsbench.gate_report import GateReport
from clsbench.inference import onnxruntime_backend
from clsbench.testing import installed

#: One small network of each family: convolutions, transformers of several kinds, hybrids, MLPs, two heads.
FAMILIES = (
    "resnet18d",
    "regnety_004",
    "efficientnet_lite0",
    "mobilenetv4_conv_small",
    "convnextv2_atto",
    "vit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "swin_tiny_patch4_window7_224",
    "levit_128s",
    "mobilevitv2_050",
    "mixer_s32_224",
    "repvit_m0_9",
)

CLASSES, PHOTOS = 10, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=FAMILIES)
    sys.exit(judge({name: partial(build, name) for name in parser.parse_args().models}))


def judge(families: Mapping[str, Callable[[], Classifier]]) -> int:
    """Build and export each network, and print a row of it; the exit code, 3 if one did not pass."""
    width, failed = max(map(len, families)), 0
    columns = f"{'parameters':>11} {'features':>8} {'logits':>7} {'difference':>10} {'flips':>5} {'s':>5} gate"
    print(f"{'model':{width}} {columns}")
    for name, opened in families.items():
        started = time.perf_counter()
        try:
            network = opened()
            report, spread = export(network)
        except Exception as error:  # noqa: BLE001  the other families are still of interest
            print(f"{name:{width}} {type(error).__name__}: {' '.join(str(error).split())[:200]}", flush=True)
            failed += 1
            continue
        failed += not report.passed
        count = sum(parameter.numel() for parameter in network.parameters())
        worst = max(batch.max_probability_difference for batch in report.batches)
        gate = "passed" if report.passed else f"failed: {report.blamed}"
        took = time.perf_counter() - started
        facts = f"{count:>11,} {network.feature_dim:>8} {spread:>7.2g} {worst:>10.1e} {report.flips:>5} {took:>5.1f}"
        print(f"{name:{width}} {facts} {gate}", flush=True)
    return 3 if failed else 0


def build(name: str) -> Classifier:
    """The network, with batch statistics of noise."""
    torch.manual_seed(0)
    network: Classifier = installed("model", f"timm/{name.removeprefix('timm/')}").build(CLASSES)
    noise = torch.randint(0, 256, (8, *network.transform.size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        network.train()(noise)
    return network.eval()


def export(network: Classifier) -> tuple[GateReport, float]:
    """(the gate's report, the standard deviation of the logits)."""
    card = ModelCard(classes=tuple(f"class {k}" for k in range(CLASSES)), transform=network.transform)
    with tempfile.TemporaryDirectory() as folder:
        images = GateImages(embedded_photos(count=PHOTOS))
        file = Path(folder) / "model.onnx"
        result = export_model(network, card, images, file, lambda path: onnxruntime_backend.build(path, "cpu"))
    noise = torch.randint(0, 256, (4, *network.transform.size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        return result.report, network(noise).std().item()


if __name__ == "__main__":
    main()
