"""Datasets, sources and decoders that keep every rule, and for each rule one that breaks it alone."""

import io
import itertools
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from clsbench import BytesEntry, Component, DataError, Dataset, Sample
from clsbench.images.sources.source import Skipped
from clsbench.testing.samples import encoded, noise

NUMBERS = itertools.count()


@dataclass(frozen=True)
class Unpicklable:
    name: str
    data: bytes
    hook: object = field(default_factory=lambda: lambda: None)

    def read(self):
        return self.data


@dataclass(frozen=True)
class OfOneThread:
    name: str
    data: bytes
    owner: int = field(default_factory=threading.get_ident)

    def read(self):
        return self.data if threading.get_ident() == self.owner else self.data + b"!"


def entries(kind=BytesEntry, *, names=("a", "b", "c", "d"), data=None):
    return [kind(name, data or encoded(noise(1, (5, 6), seed=k)[0])) for k, name in enumerate(names)]


# Datasets


def dataset(change=None, *, kind=BytesEntry, data=None):
    def build(root, *, small: bool = False):
        if not Path(root).is_dir():
            raise DataError("there is no such folder", where=root)
        samples = [Sample(entry, label=k % 2) for k, entry in enumerate(entries(kind, data=data))]
        made = Dataset(classes=("cat", "dog"), splits={"train": samples[:3], "val": samples[3:]})
        return change(made) or made if change else made

    return Component("pets", build, "cats and dogs", gives=("val",))


def rebuilt(**fields):
    def change(made):
        for name, value in fields.items():
            object.__setattr__(made, name, value)

    return change


def split_added(name):
    return lambda made: made.splits.update({name: [Sample(BytesEntry("z", b""), label=0)]})


def turned(made):
    if next(NUMBERS) % 2:
        made.splits["train"].reverse()


def anywhere(root):
    return dataset().build(Path(__file__).parent)


DATASET = dataset()
DATASET_INPUTS = {"root": Path(__file__).parent}

DATASETS = [
    ("builds", dataset(lambda made: list(made.splits["train"]))),
    ("splits-are-known", dataset(lambda made: made.splits.update(dev=[made.splits["val"].pop()]))),
    ("splits-are-known", dataset(lambda made: made.splits.pop("val") and None)),
    ("names-are-unique", dataset(lambda made: made.splits["train"].append(made.splits["train"][0]))),
    ("splits-are-disjoint", dataset(lambda made: made.splits["val"].append(made.splits["train"][0]))),
    ("labels-are-in-range", dataset(lambda made: made.splits["val"].append(Sample(entries(names="z")[0], label=None)))),
    ("classes-are-unique", dataset(rebuilt(classes=("cat", "cat")))),
    ("entries-are-stable", dataset(turned)),
    ("images-can-be-read", dataset(data=b"not an image")),
    ("entries-can-be-pickled", dataset(kind=Unpicklable)),
    ("entries-can-be-read-by-threads", dataset(kind=OfOneThread)),
    ("a-missing-root-is-explained", Component("pets", anywhere, "cats and dogs", gives=("val",))),
]


# Sources


class Shelf:
    def __init__(self, location, **parts):
        parts = {"location": location, "entries": entries(), "skipped": (Skipped("x", "odd"),), **parts}
        self.location, self.entries, self.skipped = parts["location"], parts["entries"], parts["skipped"]


class Bag:
    """Can be gone through and has a length, but no positions."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        return iter(self.items)

    def __getitem__(self, index):
        return self.items[index] if isinstance(index, int) else self.items


def source(**parts):
    def build(location, *, deep: bool = True):
        return Shelf(location, **{name: part() for name, part in parts.items()})

    return Component("shelf", build, "a shelf", opens=("shelf://",))


def unsteady():
    found = entries()
    return found[::-1] if next(NUMBERS) % 2 else found


SOURCE = source()
SOURCE_INPUTS = {"location": "shelf://top"}

SOURCES = [
    ("builds", source(location=lambda: 7)),
    ("opens-the-location", Component("shelf", Shelf, "a shelf", opens=("rack://",))),
    ("entries-are-a-sequence", source(entries=lambda: Bag(entries()))),
    ("names-are-unique", source(entries=lambda: entries(names="aab"))),
    ("entries-are-stable", source(entries=unsteady)),
    ("images-can-be-read", source(entries=lambda: entries(data=b"not an image"))),
    ("entries-can-be-pickled", source(entries=lambda: entries(Unpicklable))),
    ("entries-can-be-read-by-threads", source(entries=lambda: entries(OfOneThread))),
    ("what-is-skipped-has-a-reason", source(skipped=lambda: ("a.txt",))),
]


# Decoders


class Png:
    """PNG by Pillow."""

    formats = frozenset({"png"})

    def __init__(self):
        self.owner = threading.get_ident()

    def __call__(self, data):
        try:
            return np.array(Image.open(io.BytesIO(data)).convert("RGB"))
        except OSError as error:
            raise DataError(f"not a PNG image: {error}") from error


class Nothing(Png):
    formats = frozenset()


class Grey(Png):
    def __call__(self, data):
        return super().__call__(data)[:, :, 0]


class Brighter(Png):
    def __call__(self, data):
        return super().__call__(data) + 1


class Reusing(Png):
    """Decodes into the same memory again and again."""

    def __init__(self):
        super().__init__()
        self.memory = np.zeros(1 << 16, np.uint8)

    def __call__(self, data):
        pixels = super().__call__(data)
        place = self.memory[: pixels.size].reshape(pixels.shape)
        place[:] = pixels
        return place


class Untyped(Png):
    def __call__(self, data):
        return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


class OneThread(Png):
    def __call__(self, data):
        return super().__call__(data) + (threading.get_ident() != self.owner)


class Forgetful(Png):
    """Leaves out what fails."""

    def decode_batch(self, data, geometries, out, *, interpolation):
        return [self(one) for one in data[::2]]


DECODER = Component("png", Png, "PNG by Pillow")
DECODER_INPUTS = {}

DECODERS = [
    ("build-can-be-sent", Component("png", lambda: Png(), "PNG")),
    ("builds", Component("png", Nothing, "PNG")),
    ("pixels-are-pixels", Component("png", Grey, "PNG")),
    ("pixels-are-pillows", Component("png", Brighter, "PNG")),
    ("pixels-stay", Component("png", Reusing, "PNG")),
    ("errors-are-explained", Component("png", Untyped, "PNG")),
    ("threads-share-it", Component("png", OneThread, "PNG")),
    ("batches-are-kept-apart", Component("png", Forgetful, "PNG")),
]
