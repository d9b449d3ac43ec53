"""The machine's two ceilings, taken apart: the model with nothing else, decoding with nothing else.

    python benchmarks/ceilings.py --model lite0.onnx --images photos/ --batch-size 4 --streams 2 --threads 1

Model: ``clsbench.inference.tuning.throughput`` on the backend and plan that a run used, on a
batch of the images. Decoding: ``clsbench.inference.bench_rounds.decode_rate``, every core reading,
decoding and resizing. The windows of both take turns; medians. Both share the cores of a
CPU, so no run can beat ``1 / (1/model + 1/decode)``. Prints one line of JSON, images/s.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from reporting import median


def measure(model: Path, images: Path, plan: dict[str, Any], seconds: float, windows: int) -> dict[str, Any]:
    """Both rates and the limit they set; ``plan`` holds batch_size, streams and threads."""
    import numpy as np

    from clsbench.images.loader import ImageLoader
    from clsbench.images.sources.folder import FolderSource
    from clsbench.inference.bench_rounds import decode_rate
    from clsbench.inference.onnxruntime_backend import build
    from clsbench.inference.tuning import throughput
    from clsbench.machine import available_cores
    from clsbench.model_file import read_card

    loader, backend = ImageLoader(read_card(model).transform), build(model, "cpu", **plan)
    entries = FolderSource(images).entries
    batch = np.stack([loader(entries[k % len(entries)]) for k in range(backend.batch_size)])
    models, decodes = [], []
    decode_rate(loader, entries, available_cores(), min(0.3, seconds))
    for _ in range(windows):
        models.append(throughput(backend, batch, backend.streams, seconds))
        decodes.append(decode_rate(loader, entries, available_cores(), seconds))
    model_only, decode_only = median(models), median(decodes)
    return {
        "model_only": model_only,
        "decode_only": decode_only,
        "limit": 1 / (1 / model_only + 1 / decode_only),
        "model_windows": models,
        "decode_windows": decodes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one window")
    parser.add_argument("--windows", type=int, default=3, help="of each rate")
    given = parser.parse_args()
    plan = {"batch_size": given.batch_size, "streams": given.streams, "threads": given.threads}
    print(json.dumps(measure(given.model, given.images, plan, given.seconds, given.windows)))


if __name__ == "__main__":
    main()
