"""Model files for the benchmarks, each made in a process of its own, so that torch stays out of the caller.

    python benchmarks/models.py random resnet50 resnet50.onnx        # random weights, 1000 classes
    python benchmarks/models.py random simple-cnn cnn.onnx --classes cat,dog
    python benchmarks/models.py ultralytics lite0.float.onnx         # the pretrained Lite0 as YOLO's predict reads it
    python benchmarks/models.py plain efficientnet-lite0 lite0.onnx  # pretrained, as torch.onnx.export writes it

Prints nothing. Random weights do for speed: no kernel used here is faster for some values.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reporting import call, clsbench_command

if TYPE_CHECKING:
    from clsbench import Classifier

LITE0 = "efficientnet-lite0"


def export_lite0(folder: Path) -> Path:
    """The pretrained EfficientNet-Lite0 as it is, by the command line."""
    file = folder / f"{LITE0}.onnx"
    call([*clsbench_command(), "export", "--onnx", "--model", LITE0, "--pretrained", "--out", file, "--quiet"])
    return file


def export_random(name: str, folder: Path, classes: list[str] | None = None) -> Path:
    """A network with random weights; 1000 classes by default."""
    file = folder / f"{name}.onnx"
    call([sys.executable, __file__, "random", name, file, *(["--classes", ",".join(classes)] if classes else [])])
    return file


def export_ultralytics(folder: Path) -> Path:
    """The pretrained Lite0 in the form that ultralytics' predict reads."""
    file = folder / f"{LITE0}.ultralytics.onnx"
    call([sys.executable, __file__, "ultralytics", LITE0, file])
    return file


def export_plain(name: str, folder: Path) -> Path:
    """A pretrained network as most people export it: normalised float32 (N, 3, h, w) -> logits (N, K), no metadata."""
    file = folder / f"{name}.plain.onnx"
    call([sys.executable, __file__, "plain", name, file])
    return file


def pretrained(name: str) -> Classifier:
    """A network as it is, with its published weights, for evaluation."""
    from clsbench.testing import installed

    classifier: Classifier = installed("model", name).build(None, pretrained=True)
    return classifier.eval()


def write_random(name: str, file: Path, classes: list[str]) -> None:
    from clsbench.card import ModelCard, ModelSource
    from clsbench.exporting.onnx_export import to_onnx, write_model
    from clsbench.testing import installed

    classifier = installed("model", name).build(len(classes))
    card = ModelCard(
        classes=tuple(classes),
        transform=classifier.transform,
        feature_dim=classifier.feature_dim,
        model=ModelSource(name),
    )
    write_model(to_onnx(classifier), card, file)


def write_ultralytics(name: str, file: Path) -> None:
    """float32 (N, 3, h, w) in 0…1 -> probabilities (N, K), with the metadata of ultralytics' exporter.

    Source of the keys: ultralytics/nn/backends/base.py, ``apply_metadata``.
    """
    import onnx
    import torch
    from torch import nn

    classifier = pretrained(name)

    class Float(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classifier = classifier

        def forward(self, images: Any) -> Any:
            mean, std = (torch.tensor(v).view(3, 1, 1) for v in (classifier.transform.mean, classifier.transform.std))
            return classifier.head(classifier.backbone((images - mean) / std)).softmax(1)

    size = classifier.transform.size
    program = torch.onnx.export(
        Float().eval(), (torch.zeros(2, 3, *size),), dynamo=True, external_data=False, verbose=False,
        input_names=["images"], output_names=["output0"], dynamic_shapes=({0: torch.export.Dim("batch")},),
    )  # fmt: skip
    assert program is not None, "the dynamo exporter returns its program"
    model = program.model_proto
    metadata = {
        "task": "classify",
        "stride": 1,
        "batch": 1,
        "channels": 3,
        "imgsz": list(size),
        "names": dict(enumerate(classifier.classes or ())),
        "args": {"dynamic": True, "nms": False},
    }
    onnx.helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.save(model, file)


def write_plain(name: str, file: Path) -> None:
    import torch
    from torch import nn

    classifier = pretrained(name)
    network = nn.Sequential(classifier.backbone, classifier.head).eval()
    torch.onnx.export(
        network, (torch.zeros(2, 3, *classifier.transform.size),), file, dynamo=True, external_data=False,
        verbose=False, input_names=["input"], output_names=["output"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("random", "ultralytics", "plain"))
    parser.add_argument("name")
    parser.add_argument("file", type=Path)
    parser.add_argument("--classes", help="names with commas between them; 1000 made-up ones by default")
    given = parser.parse_args()
    if given.kind == "ultralytics":
        write_ultralytics(given.name, given.file)
    elif given.kind == "plain":
        write_plain(given.name, given.file)
    else:
        classes = given.classes.split(",") if given.classes else [f"class{k:03d}" for k in range(1000)]
        write_random(given.name, given.file, classes)


if __name__ == "__main__":
    main()
