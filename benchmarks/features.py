"""The second output of a model file: what it costs where nobody asks for it, and where somebody does.

    python benchmarks/features.py --json features.json

Each network is exported as `clsbench export` does, and once more without the output `features`; both files are run in
ONNX Runtime on one thread, in turn, and with the features asked for. Prints CPU time an image, medians of the rounds,
and the median of each round's ratio: as the files are interleaved and CPU time is counted, other work on the machine
disturbs both alike. Nothing may be lost where the features are not asked for: the ratio has to be 1 but for noise,
and the operators after the runtime's optimisation the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import models
import numpy as np
from reporting import median, note, print_table, write_json

NETWORKS = (models.LITE0, "resnet18", "mobilenet_v3_small")


def without_features(file: Path) -> Path:
    """The file as it was before there was a second output."""
    import onnx

    model = onnx.load(file)
    del model.graph.output[1:]
    plain = file.with_name(f"plain-{file.name}")
    onnx.save(model, plain)
    return plain


def open_on_one_thread(file: Path) -> tuple[Any, Counter[str]]:
    """A session, and how often each operator is left once it is optimised."""
    import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # that optimised files fit this machine only
    options.optimized_model_filepath = str(file.with_suffix(".optimised"))
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return session, Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def cpu_seconds(session: Any, outputs: list[str], images: Any, calls: int) -> float:
    """CPU seconds an image."""
    start = time.process_time()
    for _ in range(calls):
        session.run(outputs, {"images": images})
    return (time.process_time() - start) / (calls * len(images))


def measure(file: Path, *, rounds: int, seconds: float, batch: int) -> dict[str, Any]:
    plain = without_features(file)
    (session, operators), (old, old_operators) = open_on_one_thread(file), open_on_one_thread(plain)
    size, dim = session.get_inputs()[0].shape[1:3], session.get_outputs()[1].shape[1]
    images = np.random.default_rng(0).integers(0, 256, (batch, *size, 3), np.uint8)
    ways = {"plain": (old, ["logits"]), "unasked": (session, ["logits"]), "asked": (session, ["logits", "features"])}
    for each, outputs in ways.values():
        once = cpu_seconds(each, outputs, images, 2)
    calls = max(1, round(seconds / (once * batch)))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        order = list(ways)[number % 3 :] + list(ways)[: number % 3]
        for name in order:
            times[name].append(cpu_seconds(*ways[name], images, calls))
    sizes = {name: path.stat().st_size for name, path in (("plain", plain), ("features", file))}
    return {"dim": dim, "seconds": times, "bytes": sizes, "same_operators": operators == old_operators}


def ratio(found: dict[str, Any], name: str) -> float:
    """The median over the rounds of the time for one way over that of the plain file."""
    return median(a / b for a, b in zip(found["seconds"][name], found["seconds"]["plain"], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.7, help="of CPU time, one measurement")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        for network in NETWORKS:
            note(f"exporting and running {network}")
            folder = Path(name)
            file = models.export_lite0(folder) if network == models.LITE0 else models.export_random(network, folder)
            found[network] = measure(file, rounds=given.rounds, seconds=given.seconds, batch=given.batch)
    rows = [
        [
            f"{network}, {one['dim']} features", f"{1000 * median(one['seconds']['plain']):.2f}",
            f"{ratio(one, 'unasked'):.3f}", f"{ratio(one, 'asked'):.3f}",
            "yes" if one["same_operators"] else "no", f"{one['bytes']['features'] - one['bytes']['plain']:+,}",
        ]
        for network, one in found.items()
    ]  # fmt: skip
    columns = ("network", "CPU ms an image", "× unasked", "× asked", "same operators", "bytes of the file")
    print_table(f"one thread, batches of {given.batch}, {given.rounds} rounds", columns, rows)
    write_json(given.json, {"rounds": given.rounds, "batch": given.batch, "networks": found})


if __name__ == "__main__":
    main()
