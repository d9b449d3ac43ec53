"""Noisy images of three colours, tiny networks, and a probe of them that keeps features in a folder of its own."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.splits import SplitSpec
from clsbench.images.entries import PixelsEntry
from clsbench.models import simple_cnn
from clsbench.probing import probe, speed
from clsbench.probing.candidate import Candidate
from clsbench.probing.pool import pool
from clsbench.probing.probe import Settings, probe_all
from clsbench.run_record import RunModel


class Hearing:
    def __init__(self):
        self.warnings, self.stages, self.advanced = [], [], 0

    def warn(self, text):
        self.warnings.append(text)

    def stage(self, name, total=None):
        self.stages.append((name, total))

    def advance(self, count, errors=0):
        self.advanced += count


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Short measurements, one thread, and an empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(speed, "WINDOW", 0.01)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture
def samples():
    """samples(30): whose class is their colour."""

    def samples(count, *, seed=0):
        pixels = np.random.default_rng(seed).integers(0, 90, (count, 8, 8, 3), dtype=np.uint8)
        for k in range(count):
            pixels[k, :, :, k % 3] += 120
        return [Sample(PixelsEntry(f"{k}.png", pixels[k]), k % 3) for k in range(count)]

    return samples


@pytest.fixture
def pooled(samples):
    """pooled(some_samples): in three folds."""

    def pooled(given=None, folds=3):
        dataset = Dataset(classes=("red", "green", "blue"), splits={"train": given or samples(30)})
        return pool(dataset, SplitSpec(), folds)

    return pooled


@pytest.fixture
def candidate():
    """candidate("a", width=4): a network of its own random weights, or what `build` makes."""

    def candidate(name, *, build=None, **options):
        options = {"size": 8, "channels": 2, "width": 8, **options}
        return Candidate(
            name=name, build=build or (lambda classes: simple_cnn.build(classes, **options)),
            model=RunModel(name=name, options=options), pretrained=False, words=("--model", name), guard=nullcontext,
        )  # fmt: skip

    return candidate


@pytest.fixture
def probed(pooled, monkeypatch):
    """probed(candidates): the result, what was heard, and how many images each backbone was evaluated on."""

    def probed(candidates, given=None, **settings):
        seen, build = {}, probe._built

        def counting(one, classes, seed, hearing):
            made = build(one, classes, seed, hearing)
            counts = seen.setdefault(one.name, [])
            features = type(made).features

            class Counting(type(made)):
                def features(self, images):
                    counts.append(len(images))
                    return features(self, images)

            made.__class__ = Counting
            return made

        monkeypatch.setattr(probe, "_built", counting)
        hearing = Hearing()
        images = given if hasattr(given, "folds") else pooled(given)
        with monkeypatch.context() as patch:
            patch.setattr(probe, "measure_speed", lambda *_, **__: speed.Speed(100.0, "torch", "cpu", 1, 4))
            result = probe_all(candidates, images, Settings(folds=3, **settings), hearing)
        monkeypatch.setattr(probe, "_built", build)
        # Two empty images first ask how much work the network is, twice.
        counts = {name: sum(counts[2:]) for name, counts in seen.items()}
        return SimpleNamespace(result=result, heard=hearing, evaluated=counts)

    return probed
