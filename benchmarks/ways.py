"""Other ways than float32 in ONNX Runtime to run a network, for throughput.py: int8, and OpenVINO.

``int8`` is made for ONNX Runtime by ``export --precision int8``, from a fifth of the photos, and judged on the others;
what the export says is printed. With the plugin clsbench-openvino there are ``openvino``, ``openvino-bf16`` and
``openvino-int8``, made for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reporting import call, clsbench_command, median, note, print_table

#: Name -> engine, precision.
WAYS = {
    "int8": ("onnxruntime", "int8"),
    "openvino": ("openvino", "f32"),
    "openvino-bf16": ("openvino", "bf16"),
    "openvino-int8": ("openvino", "int8"),
}

RATE = "steady_images_per_second"


def make(name: str, model: Path, photos: Sequence[Path], folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The file and the options of ``infer`` for one way.

    Args:
        name: One of ``WAYS``.
        model: The float32 file.
        photos: In class folders whose names are those of the model's classes with an s.
        folder: For the files.
    """
    engine, precision = WAYS[name]
    options = ("--backend", engine, *(("--with", "backend.precision=bf16") if precision == "bf16" else ()))
    if precision != "int8":
        return model, options
    note(f"quantizing for {engine}")
    for number, photo in enumerate(photos):
        place = folder / ("judge" if number % 5 else "calibrate") / photo.parent.name.removesuffix("s")
        place.mkdir(parents=True, exist_ok=True)
        if not (place / photo.name).exists():
            (place / photo.name).hardlink_to(photo)
    file = folder / f"{name}.onnx"
    words = [*clsbench_command(), "export", model, "--precision", "int8", "--for", engine, "--force", "--out", file]
    print(call([*words, "--calibrate-images", folder / "calibrate", "--gate-images", folder / "judge"]))
    return file, options


def reached(facts: Mapping[str, Any], float32: Mapping[str, Any]) -> dict[str, Any]:
    """How fast a run of ``infer`` was, and the share of its labels that are those of float32."""
    pairs = list(zip(facts["labels"], float32["labels"], strict=True))
    return {**facts["throughput"], "same": sum(bool(a == b) for a, b in pairs) / len(pairs)}


def rows(rounds: Sequence[Mapping[str, Any]], families: Sequence[str]) -> list[dict[str, Any]]:
    """Medians of each way, and how many times as fast it was as float32 and as the best of each family of peers."""
    made = []
    for name in rounds[0]["also"]:
        ratios: dict[str, list[float]] = {}
        for each in rounds:
            rate = each["also"][name][RATE]
            ratios.setdefault("float32", []).append(rate / each["clsbench"][RATE])
            for family in families:
                peers = [peer[RATE] for key, peer in each["peers"].items() if key.startswith(family)]
                if peers:
                    ratios.setdefault(family, []).append(rate / max(peers))
        ways = [each["also"][name] for each in rounds]
        made.append(
            {
                "way": name,
                RATE: median(way[RATE] for way in ways),
                "ratios": {key: median(values) for key, values in ratios.items()},
                "fraction_of_limit": median(way["fraction_of_limit"] or 0.0 for way in ways),
                "labels_as_float32": ways[0]["same"],
            }
        )
    return made


def print_rows(made: Sequence[Mapping[str, Any]]) -> None:
    """The ways, against float32 and against the best peers."""
    keys = list(made[0]["ratios"])
    cells = [
        [way["way"], f"{way[RATE]:.1f}", *(f"{way['ratios'][key]:.2f}" for key in keys),
         f"{way['fraction_of_limit']:.1%}", f"{way['labels_as_float32']:.1%}"]
        for way in made
    ]  # fmt: skip
    columns = ("", "steady", *(f"× {key}" for key in keys), "of its limit", "labels as float32")
    print_table("Other ways to run the network", columns, cells)
