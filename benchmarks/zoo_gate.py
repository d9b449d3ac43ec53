"""Twenty-one families of torchvision, each exported through the gate: from photos as files to probabilities.

    python benchmarks/zoo_gate.py --json zoo_gate.json
    python benchmarks/zoo_gate.py resnet18 vit_b_32 --images 16

The smallest member of each family, with random weights and ten classes. Random weights alone would prove little: their
probabilities are nearly the same for every class and every photo. So the statistics of batch normalisation are those of
the photos, and the last layer is scaled until each logit has a standard deviation of SPREAD over the photos: the
probabilities then go from nearly 0 to nearly 1. ``spread before`` is that deviation as the weights were drawn; where it
is tiny, the scaling enlarges the rounding of float32 as well.

``strided`` counts the nodes by which ONNX spells a strided view: Range, and Gather by indices that the graph computes.
Pooling a channels-last image gave dozens; ``--export-only`` counts them without photos and gate.

A network fails where its file is not written; the stage that is to blame is then in the table, or the error.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pictures
from reporting import note, print_table, write_json

from clsbench.machine import wait_passively

if TYPE_CHECKING:
    from clsbench import Classifier, Entry

#: Family -> its smallest member.
FAMILIES = {
    "AlexNet": "alexnet",
    "ConvNeXt": "convnext_tiny",
    "DenseNet": "densenet121",
    "EfficientNet": "efficientnet_b0",
    "EfficientNetV2": "efficientnet_v2_s",
    "GoogLeNet": "googlenet",
    "Inception": "inception_v3",
    "MaxViT": "maxvit_t",
    "MNASNet": "mnasnet0_5",
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3": "mobilenet_v3_small",
    "RegNet": "regnet_y_400mf",
    "ResNet": "resnet18",
    "ResNeXt": "resnext50_32x4d",
    "ShuffleNet": "shufflenet_v2_x0_5",
    "SqueezeNet": "squeezenet1_1",
    "Swin": "swin_t",
    "SwinV2": "swin_v2_t",
    "VGG": "vgg11",
    "ViT": "vit_b_32",
    "Wide ResNet": "wide_resnet50_2",
}

#: Standard deviation of each logit over the photos.
SPREAD = 3.0

CLASSES = tuple(f"class{k}" for k in range(10))


def spread_out(classifier: Classifier, entries: Sequence[Entry]) -> float:
    """Give a random network answers that differ between photos; the mean deviation of its logits before."""
    import numpy as np
    import torch

    from clsbench.images.loader import ImageLoader

    loader = ImageLoader(classifier.transform)
    pixels = np.stack([loader(entry) for entry in entries])
    batches = [torch.from_numpy(pixels[start : start + 8]) for start in range(0, len(pixels), 8)]
    for module in classifier.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches
    with torch.inference_mode():
        classifier.train()
        for batch in batches:
            classifier(batch)
        classifier.eval()
        logits = torch.cat([classifier(batch) for batch in batches])
    deviation, mean = logits.std(dim=0), logits.mean(dim=0)
    head: Any = classifier.head
    with torch.no_grad():
        head.weight *= (SPREAD / deviation)[:, None]
        head.bias.copy_((head.bias - mean) * SPREAD / deviation)
    return float(deviation.mean())


def strided_nodes(file: Path) -> int:
    """Ranges, and gathers by computed indices; those of a constant choose a token or a row of a table."""
    import onnx

    graph = onnx.load(file).graph
    constant = {tensor.name for tensor in graph.initializer}
    constant |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    strided = [
        node
        for node in graph.node
        if node.op_type == "Range" or (node.op_type.startswith("Gather") and node.input[1] not in constant)
    ]
    return len(strided)


def exported(name: str, folder: Path) -> dict[str, Any]:
    """One network exported without a look at what it answers."""
    from clsbench.card import ModelCard, ModelSource
    from clsbench.exporting.onnx_export import to_onnx, write_model
    from clsbench.testing import installed

    started, file = time.perf_counter(), folder / f"{name}.onnx"
    classifier = installed("model", name).build(len(CLASSES))
    write_model(
        to_onnx(classifier), ModelCard(classes=CLASSES, transform=classifier.transform, model=ModelSource(name)), file
    )
    strided = strided_nodes(file)
    file.unlink()
    return {"model": name, "strided": strided, "seconds_export": time.perf_counter() - started}


def gated(name: str, entries: Sequence[Entry], folder: Path, precision: str) -> dict[str, Any]:
    """One network exported through the gate: what it took, and what came out."""
    import torch

    from clsbench.api.gate import open_like_infer
    from clsbench.card import ModelCard, ModelSource
    from clsbench.exporting.exporter import export_model
    from clsbench.exporting.gate_images import GateImages
    from clsbench.testing import installed

    torch.manual_seed(0)
    classifier = installed("model", name).build(len(CLASSES))
    before = spread_out(classifier, entries[:32])
    card = ModelCard(classes=CLASSES, transform=classifier.transform, precision=precision, model=ModelSource(name))
    exported: list[float] = []

    def opened(file: Path) -> Any:
        exported.append(time.perf_counter())
        return open_like_infer(file)

    started = time.perf_counter()
    result = export_model(classifier, card, GateImages(entries), folder / f"{name}.onnx", opened)
    ended = time.perf_counter()
    strided = strided_nodes(result.file) if result.file else None
    (folder / f"{name}.onnx").unlink(missing_ok=True)
    report = result.report
    return {
        "model": name, "strided": strided, "passed": report.passed, "seconds_export": exported[0] - started,
        "seconds_gate": ended - exported[0], "spread_before": before,
        "max_probability_difference": report.max_probability_difference, "flips": report.flips,
        "near_ties": report.near_ties, "tolerance": report.tolerance, "blamed": report.blamed,
        "stages": {stage.stage: stage.difference for stage in report.stages},
    }  # fmt: skip


def print_report(found: Sequence[dict[str, Any]], images: int) -> None:
    families = {model: family for family, model in FAMILIES.items()}
    rows = []
    for one in found:
        start = [families.get(one["model"], "-"), one["model"]]
        if "error" in one:
            rows.append([*start, *"------", one["error"]])
            continue
        verdict = "passed" if one["passed"] else f"FAILED: {one['blamed']}"
        rows.append(
            [*start, f"{one['seconds_export']:.1f}", f"{one['seconds_gate']:.1f}", f"{one['spread_before']:.1e}",
             f"{one['max_probability_difference']:.1e}", one["flips"], one["strided"], verdict]
        )  # fmt: skip
    columns = (
        "family",
        "model",
        "export s",
        "gate s",
        "spread before",
        "largest difference",
        "flips",
        "strided",
        "verdict",
    )
    print_table(f"torchvision through the gate, {images} photos, random weights", columns, rows)
    passed = sum(one.get("passed", False) for one in found)
    print(f"\n{passed} of {len(found)} passed")


def print_exports(found: Sequence[dict[str, Any]]) -> None:
    families = {model: family for family, model in FAMILIES.items()}
    rows = [
        [families.get(one["model"], "-"), one["model"], one.get("strided", "-"), one.get("error", "")] for one in found
    ]
    print_table("torchvision exported: nodes of strided views", ("family", "model", "strided", "error"), rows)
    print(f"\n{sum(one.get('strided') == 0 for one in found)} of {len(found)} have none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(FAMILIES.values()), help="networks by name; one a family")
    parser.add_argument("--photos", type=Path, default=pictures.HYMENOPTERA, help="a tar of photos")
    parser.add_argument("--images", type=int, default=32, help="photos that each file is compared on")
    parser.add_argument("--precision", choices=("float32", "float16"), default="float32", help="of the files")
    parser.add_argument("--export-only", action="store_true", help="count nodes; no photos, no gate")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    wait_passively()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        from clsbench.exporting.gate_images import choose_evenly
        from clsbench.images.entries import FileEntry

        folder = Path(name)
        entries: Sequence[Entry] = ()
        if not given.export_only:
            photos = [FileEntry(file.name, str(file)) for file in pictures.photos(given.photos, folder / "photos")]
            entries = choose_evenly(photos, count=given.images).entries
        for model in given.models:
            note(model)
            try:
                one = exported(model, folder) if given.export_only else gated(model, entries, folder, given.precision)
                found.append(one)
            except Exception as error:  # noqa: BLE001  the next family is to be tried too
                note(traceback.format_exc())
                found.append({"model": model, "error": f"{type(error).__name__}: {str(error).splitlines()[0]}"})
    if given.export_only:
        print_exports(found)
    else:
        print_report(found, len(entries))
    write_json(given.json, {"images": len(entries), "precision": given.precision, "models": found})


if __name__ == "__main__":
    main()
