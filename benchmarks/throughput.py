"""End-to-end throughput on ImageNet-size photos: clsbench, its peers, and the machine's limit.

    python benchmarks/throughput.py --json throughput.json
    python benchmarks/throughput.py --model resnet50          # clsbench and the ceilings only
    python benchmarks/throughput.py --peer-python /tmp/peers/bin/python
    python benchmarks/throughput.py --also int8,openvino-bf16 --no-agreement

The images are hymenoptera's photos, copied in turn to 2,000 files; the network is the
pretrained EfficientNet-Lite0, exported by the command line (ResNet-50: random weights). A
round runs, each in a process of its own and one after the other: the two ceilings
(ceilings.py), ``clsbench infer … --out preds.csv``, and each peer (peers.py) on the first
--peer-files of the same files. One uncounted run lets clsbench choose its plan. Rates are
medians over the rounds; ratios and fractions are medians of those of each round.

``--also`` names other ways to run the network, see ways.py. Each runs once a round, on the same files, after float32 in
ONNX Runtime.

Prints: images/s and × of every peer; both accounts of the limit (ceilings taken apart, and
the run's own busy times); and whether top-1 on every distinct photo is that of the reference
path (Pillow, resize_pillow, onnxruntime with one thread, image by image) for several
batch sizes, streams and threads.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import models
import pictures
import ways
from reporting import HERE, call, infer, median, note, print_table, write_json

PEERS = ("loop", "loader-1", "loader-2", "loader-4", "timm", "ultralytics-1", "ultralytics-32")

#: What has to be reached, by family of peers, × its best member.
WANTED = {"loop": None, "loader": 2.0, "timm": 5.0, "ultralytics": 1.6}

#: Batch size, streams and threads to compare with the reference path.
COMBINATIONS = ((1, 1, 1), (1, 2, 1), (3, 2, 1), (4, 2, 1), (8, 1, 2), (32, 1, 2), (32, 2, 1))


class Bench:
    """Files, model and options of one comparison."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.environment = {"XDG_CACHE_HOME": str(folder / "cache")}
        note(f"unpacking, and copying to {given.files} files")
        distinct = pictures.photos(given.data, folder / "distinct")
        files = pictures.round_robin(distinct, folder / "photos", given.files)
        self.few = folder / "files.txt"
        self.few.write_text("\n".join(str(file) for file in files[: given.peer_files]), encoding="utf-8")
        note(f"exporting {given.model}")
        pretrained = given.model == models.LITE0
        self.model = models.export_lite0(folder) if pretrained else models.export_random(given.model, folder)
        self.peers = [name for name in (given.peers.split(",") if pretrained and given.peers else []) if name]
        self.yolo = models.export_ultralytics(folder) if any("ultralytics" in p for p in self.peers) else None
        self.also = {name: ways.make(name, self.model, distinct, folder) for name in given.also.split(",") if name}

    def clsbench(self, name: str | None = None) -> dict[str, Any]:
        """A run of ``infer``: its facts, and the classes it found."""
        model, options = self.also[name] if name else (self.model, ())
        out = self.folder / "preds.csv"
        facts = infer(self.folder / "photos", model, out, *options, environment=self.environment)
        with out.open(newline="", encoding="utf-8") as stream:
            return {**facts, "labels": [row["predicted"] for row in csv.DictReader(stream)]}

    def ceilings(self, plan: dict[str, Any]) -> dict[str, Any]:
        options = [word for key in ("batch_size", "streams", "threads") for word in (_option(key), plan[key])]
        command = [sys.executable, HERE / "ceilings.py", "--model", self.model, "--images", self.folder / "photos"]
        command += [*options, "--seconds", self.given.window]
        rates: dict[str, Any] = json.loads(call(command, self.environment))
        return rates

    def peer(self, name: str) -> dict[str, Any] | None:
        """What a peer reached, or None where it is not installed (said once)."""
        out, model = self.folder / "peer.json", self.yolo if "ultralytics" in name else self.model
        command = [self.given.peer_python, HERE / "peers.py", "--peer", name, "--model", model, "--files", self.few]
        words = [str(word) for word in (*command, "--json", out)]
        environment = {**os.environ, "YOLO_CONFIG_DIR": str(self.folder)}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        if done.returncode == 3:
            print(f"skipped: {done.stderr.strip()}")
            return None
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stdout}{done.stderr}")
        reached: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return reached

    def rounds(self) -> list[dict[str, Any]]:
        """Every round: facts of clsbench, ceilings, peers by name."""
        plan = self.clsbench()["options"]
        for name in self.also:
            self.clsbench(name)
        note("plan: {streams} streams × {threads} threads, batches of {batch_size} ({plan})".format(**plan))
        rounds = []
        for number in range(self.given.rounds):
            note(f"round {number + 1} of {self.given.rounds}: ceilings, clsbench")
            ceilings, facts, peers = self.ceilings(plan), self.clsbench(), {}
            also = {name: self.clsbench(name) for name in self.also}
            for each in (facts, *also.values()):
                _check_complete(each, self.given.files)
            for name in list(self.peers):
                note(f"round {number + 1} of {self.given.rounds}: {name}")
                found = self.peer(name)
                if found is None:
                    self.peers.remove(name)
                    continue
                peers[name] = found
            others = {name: ways.reached(one, facts) for name, one in also.items()}
            rounds.append(
                {"clsbench": facts["throughput"], "plan": plan, "ceilings": ceilings, "also": others, "peers": peers}
            )
        return rounds


def _option(key: str) -> str:
    return "--" + key.replace("_", "-")


def _check_complete(facts: dict[str, Any], files: int) -> None:
    """A run that lost images is no measurement."""
    if facts["counts"]["ok"] != files:
        sys.exit(f"clsbench classified {facts['counts']} of {files} files")


def peer_rows(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each peer's medians, and how many times faster clsbench was in the same round."""
    rows = []
    for name in rounds[0]["peers"]:
        pairs = [(r["clsbench"], r["peers"][name]) for r in rounds]
        rows.append(
            {
                "peer": name,
                "images_per_second": median(peer["images_per_second"] for _, peer in pairs),
                "steady_images_per_second": median(peer["steady_images_per_second"] for _, peer in pairs),
                "ratio": median(_ratio(*pair, "images_per_second") for pair in pairs),
                "steady_ratio": median(_ratio(*pair, "steady_images_per_second") for pair in pairs),
                "labels_as_loop": _agreement(rounds[0]["peers"], name),
            }
        )
    return rows


def _ratio(ours: dict[str, Any], theirs: dict[str, Any], key: str) -> float:
    return float(ours[key]) / float(theirs[key])


def _agreement(peers: dict[str, Any], name: str) -> float | None:
    if "loop" not in peers:
        return None
    pairs = list(zip(peers["loop"]["labels"], peers[name]["labels"], strict=True))
    return sum(bool(a == b) for a, b in pairs) / len(pairs)


def accounts(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Both accounts of the limit, and the fraction of each that was reached."""
    steady = [r["clsbench"]["steady_images_per_second"] for r in rounds]
    apart = [r["ceilings"]["limit"] for r in rounds]
    own = [r["clsbench"]["limit"] for r in rounds]
    return {
        "images_per_second": median(r["clsbench"]["images_per_second"] for r in rounds),
        "steady_images_per_second": median(steady),
        "model_only": median(r["ceilings"]["model_only"] for r in rounds),
        "decode_only": median(r["ceilings"]["decode_only"] for r in rounds),
        "limit_apart": median(apart),
        "limit_own": median(own),
        "fraction_apart": median(s / limit for s, limit in zip(steady, apart, strict=True)),
        "fraction_own": median(s / limit for s, limit in zip(steady, own, strict=True)),
        "own_over_apart": median(o / a for o, a in zip(own, apart, strict=True)),
    }


def reference_labels(model: Path, files: list[Path]) -> dict[Path, str]:
    """File -> class by the reference path: Pillow, its resize, one thread, one image at a time."""
    import numpy as np
    import onnxruntime as ort
    from PIL import Image, ImageOps

    from clsbench.images.resize import resize_pillow
    from clsbench.model_file import read_card

    card, options = read_card(model), ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    labels = {}
    for file in files:
        with Image.open(file) as image:
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        geometry = card.transform.geometry(pixels.shape[1], pixels.shape[0])
        resized = resize_pillow(pixels, geometry, card.transform.interpolation)
        labels[file] = card.classes[int(session.run(None, {"images": resized[None]})[0].argmax())]
    return labels


def agreement(bench: Bench) -> list[dict[str, Any]]:
    """Top-1 against the reference path on every distinct image, the placeholder included."""
    folder = bench.folder / "distinct"
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".gif"))
    labels = reference_labels(bench.model, files)
    reference = {file.relative_to(folder).as_posix(): label for file, label in labels.items()}
    rows = []
    for batch, streams, threads in COMBINATIONS:
        note(f"top-1 with batches of {batch}, {streams} streams × {threads} threads")
        out = bench.folder / "agreement.csv"
        plan = ("--batch-size", batch, "--streams", streams, "--threads", threads)
        infer(folder, bench.model, out, *plan, environment=bench.environment)
        with out.open(newline="", encoding="utf-8") as stream:
            found = {row["path"]: row["predicted"] for row in csv.DictReader(stream)}
        differing = [name for name, label in reference.items() if found.get(name) != label]
        rows.append(
            {"batch_size": batch, "streams": streams, "threads": threads, "photos": len(reference),
             "same": len(reference) - len(differing), "differing": differing}
        )  # fmt: skip
    return rows


def print_report(rounds: list[dict[str, Any]], sums: dict[str, float], peers: list[dict[str, Any]]) -> None:
    rows: list[list[object]] = [
        ["clsbench", f"{sums['images_per_second']:.1f}", f"{sums['steady_images_per_second']:.1f}", "", "", "", ""]
    ]
    best = {family: max((p for p in peers if p["peer"].startswith(family)), default=None,
                        key=lambda p: p["steady_images_per_second"]) for family in WANTED}  # fmt: skip
    for peer in peers:
        family = peer["peer"].partition("-")[0]
        wanted = f"{WANTED[family]}" if WANTED[family] and peer is best[family] else ""
        alike = "" if peer["labels_as_loop"] is None else f"{peer['labels_as_loop']:.1%}"
        rates = f"{peer['images_per_second']:.1f}", f"{peer['steady_images_per_second']:.1f}"
        ratios = f"{peer['ratio']:.2f}", f"{peer['steady_ratio']:.2f}"
        rows.append([peer["peer"], *rates, *ratios, wanted, alike])
    columns = ("", "images/s", "steady", "× overall", "× steady", "wanted", "top-1 as loop")
    print_table(f"End to end, medians of {len(rounds)} rounds", columns, rows)
    plan = "{streams} streams × {threads} threads, batches of {batch_size} ({plan})".format(**rounds[0]["plan"])
    print(f"\nclsbench's plan: {plan}")
    print_table(
        "The limit, by two accounts (images/s)",
        ("account", "limit", "reached (steady)"),
        [
            ["ceilings taken apart: 1 / (1/model + 1/decode)", f"{sums['limit_apart']:.1f}",
             f"{sums['fraction_apart']:.1%}"],
            ["the run's own busy times: throughput.limit", f"{sums['limit_own']:.1f}", f"{sums['fraction_own']:.1%}"],
        ],
    )  # fmt: skip
    print(f"\nmodel only {sums['model_only']:.1f}, decoding only {sums['decode_only']:.1f} images/s; ", end="")
    print(f"own account / ceilings apart = {sums['own_over_apart']:.3f}")


def print_agreement(rows: list[dict[str, Any]]) -> None:
    cells = [
        [f"{row['batch_size']} × {row['streams']} × {row['threads']}", f"{row['same']} of {row['photos']}"]
        for row in rows
    ]
    print_table("Top-1 as the reference path's", ("batch × streams × threads", "same"), cells)
    for name in sorted({name for row in rows for name in row["differing"]}):
        print(f"  differs: {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=pictures.HYMENOPTERA, help="a tar of photos")
    parser.add_argument("--files", type=int, default=2000, help="images for clsbench")
    parser.add_argument("--peer-files", type=int, default=400, help="the first of them, for each peer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=float, default=2.0, help="seconds of one window of the ceilings (six a round)")
    parser.add_argument("--model", default=models.LITE0, help="any other: random weights, no peers")
    parser.add_argument("--peers", default=",".join(PEERS), help="names with commas between them; empty for none")
    parser.add_argument("--also", default="", help=f"other ways to run it, with commas: {', '.join(ways.WAYS)}")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has the peers and clsbench")
    parser.add_argument("--no-agreement", action="store_true", help="leave the comparison of labels out")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clsbench-") as folder:
        bench = Bench(given, Path(folder))
        rounds = bench.rounds()
        sums, peers, also = accounts(rounds), peer_rows(rounds), ways.rows(rounds, list(WANTED))
        print_report(rounds, sums, peers)
        if also:
            ways.print_rows(also)
        same = [] if given.no_agreement or given.model != models.LITE0 else agreement(bench)
        if same:
            print_agreement(same)
    for one in rounds:
        for peer in one["peers"].values():
            peer.pop("labels")
    options = {"model": given.model, "files": given.files, "peer_files": given.peer_files, "rounds": given.rounds}
    write_json(
        given.json, {"options": options, **sums, "peers": peers, "also": also, "agreement": same, "rounds": rounds}
    )


if __name__ == "__main__":
    main()
