"""What tests of the gate share: a small network, photos as encoded files, and a backend of any function."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from clsbench.exporting.gate_images import GateImages, embedded_photos
from clsbench.exporting.gate_paths import InferencePath, training_path
from clsbench.images.entries import BytesEntry
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, DeviceInfo
from clsbench.models.simple_cnn import build


class Answers(Backend):
    """A backend that answers by a function of uint8 (n, h, w, 3)."""

    device, streams, batch_size = DeviceInfo(device="cpu", provider="test"), 1, 4

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, images):
        return np.asarray(self.answer(images), np.float32)

    def close(self):
        pass


def encoded(pixels, form, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture(scope="session")
def network():
    """Its head is scaled so that the probabilities of these photos are not all alike."""
    torch.manual_seed(0)
    network = build(5, size=16).eval()
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter *= 30
    return network


@pytest.fixture(scope="session")
def photos():
    """Twenty crops, every other one a JPEG."""
    crops = embedded_photos(count=20)
    names = ["jpeg" if k % 2 else "png" for k in range(len(crops))]
    return GateImages(
        [
            BytesEntry(f"{k}.{form}", encoded(crop.pixels, form))
            for k, (crop, form) in enumerate(zip(crops, names, strict=True))
        ]
    )


@pytest.fixture(scope="session")
def reference(network):
    return training_path(network, network.transform)


@pytest.fixture(scope="session")
def answer(network):
    """The trained network itself, as a model file would answer."""

    def run(pixels):
        with torch.inference_mode():
            return network(torch.from_numpy(np.ascontiguousarray(pixels))).numpy()

    return run


@pytest.fixture(scope="session")
def path(network, answer):
    """path(answer, …): inference with a file that answers so."""

    def make(answer=answer, *, transform=network.transform, decoders=(), **fields):
        loader = ImageLoader(transform, decoders)
        return InferencePath(loader=loader, backend=Answers(answer), **{"classes": 5, **fields})

    return make
