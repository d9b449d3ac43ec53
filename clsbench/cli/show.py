"""``clsbench show``: images as a labelled grid, before and after augmentation, and counts as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from clsbench.cli.evaluation_inputs import Images
from clsbench.cli.parameters import Data, DatasetName, Fold, Folds, Json, Quiet, Seed, TestFraction, ValFraction, With

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clsbench.datasets.dataset import Dataset, Sample
    from clsbench.images.grid import Tile
    from clsbench.training.config import Policy
    from clsbench.transform import ImageTransform

#: How many augmented versions of each image are drawn.
VERSIONS = 4


def show(
    data: Data = None,
    dataset: DatasetName = None,
    run: Annotated[
        str | None, typer.Option(metavar="NAME", help="The images, split and augmentation of this run.")
    ] = None,
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="Whose images to draw.")] = "train",
    n: Annotated[
        int | None, typer.Option("-n", min=1, max=400, help="Images to draw: 8 of a dataset, 25 predictions.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="The grid.")] = Path("images.png"),
    pick: Annotated[
        str | None, typer.Option(metavar="HOW", help="Of predictions: wrong, random, top-loss or class:NAME.")
    ] = None,
    images: Images = None,
    augment: Annotated[Literal["none", "basic", "rand", "trivial"], typer.Option(help="As in train.")] = "basic",
    size: Annotated[int, typer.Option(min=1, help="Side of the network's input; a run has its own.")] = 224,
    val_fraction: ValFraction = None,
    test_fraction: TestFraction = None,
    folds: Folds = None,
    fold: Fold = None,
    seed: Seed = 0,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Draw images: of a dataset as the network gets to see them, or of a predictions file."""
    from clsbench.cli.composition import build_dataset, rebuild_dataset, settled
    from clsbench.cli.datasets import count_classes, counts_table
    from clsbench.cli.show_predictions import is_predictions, show_predictions
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import DataError, OptionError
    from clsbench.images.grid import check_png, save_grid
    from clsbench.options import parse_with
    from clsbench.runs import find
    from clsbench.transform import ImageTransform

    terminal = Terminal(json=json, quiet=quiet)
    check_png(out)
    if data is not None and (pick or images) and not data.exists():
        raise DataError("there is no such file", where=data)
    if data is not None and is_predictions(data):
        settled(
            str(data), "predictions", None, run=run, dataset=dataset, val_fraction=val_fraction,
            test_fraction=test_fraction, folds=folds, fold=fold, **{"with": options},
        )  # fmt: skip
        show_predictions(terminal, data, images, pick or "wrong", n or 25, out, seed=seed)
        return
    if pick or images:
        raise OptionError("--pick and --images are for predictions", got=data, expected="PREDS.csv, as infer writes it")
    policy: Policy = augment
    if run:
        settled(
            run, "DATA", data or dataset, val_fraction=val_fraction, test_fraction=test_fraction, folds=folds,
            fold=fold, **{"with": options},
        )  # fmt: skip
        pictures, record = rebuild_dataset(find(run))
        transform, policy = record.transform, cast("Policy", record.training.get("augment", "none"))
        name = run
    else:
        given = parse_with(options or (), ("data",))
        pictures, found, _ = build_dataset(
            dataset, data, given, seed=seed,
            val_fraction=val_fraction, test_fraction=test_fraction, folds=folds, fold=fold,
        )  # fmt: skip
        transform, name = ImageTransform(size=(size, size), crop_fraction=0.875), found.component.name
    for note in pictures.notes:
        terminal.note(note)
    counts = count_classes(pictures)
    terminal.print(counts_table(name, pictures, counts))
    chosen = _spread(pictures.samples(split), n or 8, seed)
    tiles, columns = _tiles(pictures, chosen, transform, policy, seed)
    save_grid(tiles, out, columns=columns, title=f"{name}, {split}")
    terminal.print(f"drawn: {len(chosen)} images of {split} in {out}")
    terminal.facts(
        {
            "schema": 1,
            "name": name,
            "classes": list(pictures.classes),
            "counts": counts,
            "drawn": [sample.name for sample in chosen],
            "file": str(out),
        }
    )


def _spread(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """Some samples at random, of as many classes as possible."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(samples))
    seen: dict[int | None, int] = {}
    ranked = []
    for position in order:
        label = samples[position].label
        ranked.append((seen.setdefault(label, 0), position))
        seen[label] += 1
    return [samples[position] for _, position in sorted(ranked)[:count]]


def _tiles(
    pictures: Dataset, chosen: list[Sample], transform: ImageTransform, policy: Policy, seed: int
) -> tuple[list[Tile], int]:
    """A row an image: as it is, as validation sees it, and as training does."""
    from importlib.util import find_spec

    from clsbench.errors import ClsbenchError
    from clsbench.images.grid import Tile
    from clsbench.images.loader import ImageLoader

    loader = ImageLoader(transform)
    versions = VERSIONS if policy != "none" and find_spec("torch") else 0
    tiles = []
    for position, sample in enumerate(chosen):
        label = "no label" if sample.label is None else pictures.classes[sample.label]
        try:
            row = [
                Tile(loader.pixels(sample.image), f"{label}\n{sample.name}"),
                Tile(loader(sample.image), "validation"),
            ]
            row += [Tile(p, policy) for p in _augmented(loader, sample, policy, pictures, seed + position, versions)]
        except ClsbenchError as error:
            row = [Tile(None, f"{label}\n{sample.name}\n{error.what}", "red")]
            row += [Tile(None, "")] * (1 + versions)
        tiles += row
    return tiles, 2 + versions


def _augmented(loader: Any, sample: Sample, policy: Policy, pictures: Dataset, seed: int, versions: int) -> list[Any]:
    if not versions:
        return []
    import numpy as np
    import torch

    from clsbench.training.augmentation import Augmentation

    augmentation = Augmentation(policy, loader.transform, 1, mirrored=pictures.mirrored, seed=seed)
    stored, shape = augmentation.load(loader, sample.image)
    images, shapes = torch.from_numpy(stored[None].copy()), np.array([shape], np.float32)
    one = np.zeros(1, np.int64)
    made = [augmentation.apply(images, shapes, one, epoch)[0] for epoch in range(1, versions + 1)]
    return [picture.round().clamp(0, 255).to(torch.uint8).numpy() for picture in made]
