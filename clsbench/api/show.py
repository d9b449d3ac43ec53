"""``show``: images of a dataset, before and after augmentation, as a labelled grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from clsbench.api.arguments import check_at_least
from clsbench.api.components import Options
from clsbench.api.data import (
    choose_dataset,
    data_location,
    open_dataset,
    refuse_beside_run,
    refuse_dataset,
    reopen_dataset,
)
from clsbench.api.datasets import count_classes
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import ClsbenchError, OptionError, PluginError
from clsbench.picture_shape import GivenSize, PictureShape
from clsbench.transform import ImageTransform, Interpolation, Resize

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Dataset, Sample
    from clsbench.images.grid import Tile
    from clsbench.json_fields import Scalar
    from clsbench.training.config import Policy

#: How an image is drawn by itself: whole, on white.
AS_IT_IS = ImageTransform(size=(224, 224), resize="letterbox", mean=(1.0, 1.0, 1.0))

#: How many augmented versions of each image are drawn.
VERSIONS = 4


@dataclass(frozen=True, kw_only=True)
class DrawnImages:
    """A grid that was drawn.

    Args:
        name: Of the dataset or run.
        split: Whose images.
        classes: K names.
        counts: Class -> split -> images.
        drawn: Names of the images in the grid.
        file: The PNG.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]
    drawn: tuple[str, ...]
    file: Path

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": 1,
            "name": self.name,
            "classes": list(self.classes),
            "counts": {name: dict(by_split) for name, by_split in self.counts.items()},
            "drawn": list(self.drawn),
            "file": str(self.file),
        }


def show(
    data: str | Path | None = None,
    *,
    dataset: str | None = None,
    run: str | None = None,
    split: Literal["train", "val", "test"] = "train",
    n: int = 8,
    out: str | Path = "images.png",
    augment: Policy = "basic",
    plain: bool = False,
    size: GivenSize | None = None,
    resize: Resize | None = None,
    pad: str | Sequence[int] | None = None,
    interpolation: Interpolation | None = None,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    group: str | None = None,
    seed: int = 0,
    options: Options = (),
    observer: Observer | None = None,
) -> DrawnImages:
    """Draw images of a dataset as they are, as validation sees them, and as training does.

    Args:
        data: A folder of class folders, or a .csv; the digits if left out.
        dataset: The dataset component; chosen by ``data`` if left out.
        run: Show the data of this run instead, with its split, transform and augmentation.
        split: Whose images.
        n: How many.
        out: The PNG.
        augment: The augmentation policy.
        plain: Draw each image once, as it is, with its class as title.
        size: Side of the network's input in pixels, or (height, width); 224 if left out. A run has its own.
        resize, pad, interpolation: As in :func:`clsbench.train`; a run has its own.
        val_fraction, test_fraction, folds, fold, group, seed: How to split.
        options: Options of the dataset.
        observer: Hears notes and progress.

    Raises:
        OptionError: if options contradict each other.
        DataError: if there are no such images.
    """
    from clsbench.images.grid import save_grid
    from clsbench.runs import find

    observer, file = observer or Observer(), Path(out)
    outputs = Outputs(observer)
    outputs.add(file, "--out", "the image", ".png")
    check_at_least("n", n, 1)
    if plain and any(given is not None for given in (size, resize, pad, interpolation)):
        raise OptionError(
            "plain images are drawn as they are, not as a network sees them", where="--plain",
            got="--plain beside --size, --resize, --pad or --interpolation", hint="leave one of them out",
        )  # fmt: skip
    shape = PictureShape.asked(size, resize, pad, interpolation).over({})
    splits: dict[str, Scalar] = {"val_fraction": val_fraction, "test_fraction": test_fraction, "group": group}
    splits |= {"folds": folds, "fold": fold}
    if run:
        refuse_beside_run(run, "DATA", data or dataset, **splits, size=size, **shape.to_json(), **{"with": options})
        found = find(run)
        outputs.refuse(*found.files)
        images, record = reopen_dataset(found)
        transform, name = record.transform, run
        policy = cast("Policy", record.training.get("augment", "none"))
    else:
        root = data_location(data)
        chosen, spec, _ = choose_dataset(dataset, root, options, {}, **splits, seed=seed)
        images = open_dataset(chosen, root, spec)
        transform = shape.apply(ImageTransform(size=shape.size or (224, 224), crop_fraction=0.875))
        policy = augment
        name = chosen.resolved.component.name
    refuse_dataset(outputs, images, data)
    for note in images.notes:
        observer.note(note)
    drawn = _spread(images.samples(split), n, seed)
    if plain:
        tiles, per_row = [_tile(images, sample) for sample in drawn], None
    else:
        tiles, per_row = _rows(images, drawn, transform, policy, seed)
    save_grid(tiles, file, group=per_row, title=f"{name}, {split}")
    return DrawnImages(
        name=name,
        split=split,
        classes=images.classes,
        counts=count_classes(images),
        drawn=tuple(sample.name for sample in drawn),
        file=file,
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


def _tile(images: Dataset, sample: Sample) -> Tile:
    """An image as it is, in a square."""
    from clsbench.images.grid import Tile
    from clsbench.images.loader import ImageLoader

    try:
        return Tile(ImageLoader(AS_IT_IS)(sample.image), _label(images, sample))
    except PluginError:
        raise
    except ClsbenchError as error:
        return Tile(None, f"{_label(images, sample)}\n{error.what}", "red", sample.name)


def _label(images: Dataset, sample: Sample) -> str:
    return "no label" if sample.label is None else images.classes[sample.label]


def _rows(
    images: Dataset, chosen: Sequence[Sample], transform: ImageTransform, policy: Policy, seed: int
) -> tuple[list[Tile], int]:
    """A row an image: as it is, as validation sees it, and as training does."""
    from importlib.util import find_spec

    from clsbench.images.grid import Tile
    from clsbench.images.loader import ImageLoader

    loader = ImageLoader(transform)
    versions = VERSIONS if policy != "none" and find_spec("torch") else 0
    tiles = []
    for position, sample in enumerate(chosen):
        label = _label(images, sample)
        try:
            row = [
                Tile(loader.pixels(sample.image), label, path=sample.name),
                Tile(loader(sample.image), "validation"),
            ]
            if versions:
                from clsbench.training.augmentation import augmented_versions

                made = augmented_versions(
                    loader, sample.image, policy, mirrored=images.mirrored, seed=seed + position, count=versions
                )
                row += [Tile(pixels, policy) for pixels in made]
        except PluginError:
            raise
        except ClsbenchError as error:
            row = [Tile(None, f"{label}\n{error.what}", "red", sample.name)]
            row += [Tile(None, "")] * (1 + versions)
        tiles += row
    return tiles, 2 + versions
