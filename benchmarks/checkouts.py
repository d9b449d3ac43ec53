"""``clsbench infer`` and ``clsbench train`` of this checkout against another one, such as the commit before a change.

    git worktree add /tmp/before COMMIT
    python benchmarks/checkouts.py /tmp/before --json checkouts.json

Inference has two jobs: 10,000 CIFAR-10 files with simple-cnn, where every microsecond an image shows, and photos with
the pretrained EfficientNet-Lite0. So has training: simple-cnn on CIFAR-10 files, with the defaults and with
RandAugment, and EfficientNet-Lite0 on photos; what counts there is the epochs after the first. Both checkouts run the
same model files and images in this environment (PYTHONPATH chooses the code), with the same plan, one after the
other; the order changes from round to round. Prints images/s of both and the median of the ratios of each round; the
same of the core-seconds of the whole processes, which other programs on the machine move less; and whether both wrote
the same predictions, or the same losses.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import models
import pictures
from reporting import HERE, call, clsbench_command, infer, median, note, print_table, write_json

#: Streams, threads and images a call: fixed, so that no checkout measures a plan of its own.
PLAN = ("--tune", "off", "--streams", 2, "--threads", 1, "--batch-size")


#: What a checkout did: images/s, and what it found, to be compared.
Done = tuple[float, object]


def compare(job: str, run: Callable[[str, dict[str, str]], Done], checkouts: dict[str, Path], rounds: int) -> Any:
    """images/s of each checkout, round by round, and whether they found the same.

    Args:
        job: For the progress.
        run: A checkout's name and its environment -> what it did.
        checkouts: Name -> root.
        rounds: That count; one more is run before them.
    """
    rates: dict[str, list[float]] = {name: [] for name in checkouts}
    busy: dict[str, list[float]] = {name: [] for name in checkouts}
    found: dict[str, object] = {}
    for number in range(rounds + 1):
        note(f"{job}: round {number} of {rounds}" + ("" if number else " (not counted)"))
        for name in list(checkouts)[:: 1 if number % 2 else -1]:
            before = core_seconds()
            rate, found[name] = run(name, {"PYTHONPATH": str(checkouts[name])})
            if number:
                rates[name].append(rate)
                busy[name].append(core_seconds() - before)
    ratio = median(new / old for new, old in zip(rates["this"], rates["other"], strict=True))
    cores = median(old / new for new, old in zip(busy["this"], busy["other"], strict=True))
    return {
        "rates": rates,
        "ratio": ratio,
        "core_seconds": busy,
        "core_seconds_ratio": cores,
        "same": found["this"] == found["other"],
    }


def core_seconds() -> float:
    """What the processes that have ended took, of all cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def inference(images: Path, model: Path, batch_size: int) -> Callable[[str, dict[str, str]], Done]:
    """Runs ``clsbench infer``; what it finds is the predictions file."""

    def run(name: str, environment: dict[str, str]) -> Done:
        out = model.with_name(f"{name}.csv")
        cache = {"XDG_CACHE_HOME": str(model.parent / "cache")}
        facts = infer(images, model, out, *PLAN, batch_size, environment={**environment, **cache})
        return facts["throughput"]["images_per_second"], out.read_bytes()

    return run


def training(data: Path, folder: Path, *options: object) -> Callable[[str, dict[str, str]], Done]:
    """Runs ``clsbench train``; what it finds is the losses of its epochs."""

    def run(name: str, environment: dict[str, str]) -> Done:
        with tempfile.TemporaryDirectory(dir=folder) as work:
            facts = Path(work, "facts.json")
            command = [*clsbench_command(), "train", data, "--device", "cpu", "--quiet"]
            call([*command, "--json", facts, *options], {**environment, "XDG_CACHE_HOME": work}, work)
            found = json.loads(facts.read_text(encoding="utf-8"))
        epochs = found["history"]
        seconds = median(after["elapsed"] - before["elapsed"] for before, after in pairwise(epochs))
        return found["counts"]["train"] / seconds, [epoch["train_loss"] for epoch in epochs]

    return run


def jobs(given: argparse.Namespace, folder: Path) -> dict[str, Callable[[str, dict[str, str]], Done]]:
    """Name -> what to run, of the jobs that are wanted."""
    note("unpacking")
    root = pictures.unpack(pictures.CIFAR10, folder / "data", below="cifar10/test/")
    tiny = sorted((root / "cifar10" / "test").rglob("*.jp*g"))
    photos = pictures.photos(pictures.HYMENOPTERA, folder / "distinct")
    cnn = ("--model", "simple-cnn", "--epochs", 4, "--seed", 0)
    lite0 = ("--model", "efficientnet-lite0", "--recipe", "scratch", "--epochs", 3, "--seed", 0)

    def tiny_files() -> Path:
        return pictures.hard_links(tiny[:: max(1, len(tiny) // given.small)], folder / "small", given.small)

    def photo_files() -> Path:
        return pictures.round_robin(photos, folder / "photos", given.photos)[0].parent

    def simple_cnn() -> Path:
        return models.export_random("simple-cnn", folder, [str(k) for k in range(10)])

    tiny_classes, photo_classes = folder / "tiny-classes", folder / "photo-classes"
    made: dict[str, Callable[[], Callable[[str, dict[str, str]], Done]]] = {
        "infer: 32×32, simple-cnn": lambda: inference(tiny_files(), simple_cnn(), 32),
        "infer: photos, Lite0": lambda: inference(photo_files(), models.export_lite0(folder), 4),
        "train: 32×32, simple-cnn": lambda: training(by_class(tiny, tiny_classes, given.train), folder, *cnn),
        "train: the same, RandAugment": lambda: training(
            by_class(tiny, tiny_classes, given.train), folder, *cnn, "--augment", "rand"
        ),
        "train: photos, Lite0": lambda: training(by_class(photos, photo_classes, 96), folder, *lite0),
    }
    return {name: make() for name, make in made.items() if any(word in name for word in given.only or [""])}


def by_class(files: list[Path], folder: Path, count: int) -> Path:
    """``count`` of the files, evenly chosen, in folders of the names of those they lie in."""
    if folder.is_dir():
        return folder
    for number, file in enumerate(files[:: max(1, len(files) // count)][:count]):
        link = folder / file.parent.name / f"{number}{file.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.hardlink_to(file)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the root of the other checkout")
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help="jobs with one of these in their names, such as train"
    )
    parser.add_argument("--photos", type=int, default=800, help="that inference reads")
    parser.add_argument("--small", type=int, default=10_000, help="CIFAR-10 files that inference reads")
    parser.add_argument("--train", type=int, default=5_000, help="CIFAR-10 files that training has, a tenth held out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    checkouts = {"this": HERE.parent, "other": given.other.resolve()}
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        ready = jobs(given, Path(name))
        found = {job: compare(job, run, checkouts, given.rounds) for job, run in ready.items()}
    rows = [
        [
            job,
            *(f"{median(f['rates'][side]):.1f}" for side in checkouts),
            f"{f['ratio']:.3f}",
            f"{f['core_seconds_ratio']:.3f}",
            "yes" if f["same"] else "no",
        ]
        for job, f in found.items()
    ]
    print_table(
        f"images/s, medians of {given.rounds} rounds",
        ("", *checkouts, "ratio", "of core-seconds", "the same found"),
        rows,
    )
    write_json(given.json, found)


if __name__ == "__main__":
    main()
