"""``--decoder`` with one that takes several images at once: infer says who decoded, verify what it changes."""

import json
from pathlib import Path

import pytest

PLUGIN = """
    import io
    import numpy as np
    from PIL import Image
    from clsbench import Component, hookimpl

    class Gpu:
        formats = frozenset({"jpeg"})
        def __init__(self, *, roll: int = 0, lost: bool = False):
            self.roll, self.lost = roll, lost
        def __call__(self, data):
            if len(data) % 2:
                raise ValueError("an odd file")
            return np.roll(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), self.roll, axis=2)
        def decode_batch(self, data, geometries, out, *, interpolation):
            if self.lost:
                raise RuntimeError("CUDA error 719")
            return [self(one) if len(one) % 2 == 0 else ValueError("an odd file") for one in data]

    @hookimpl
    def register_decoders():
        yield Component("gpu", Gpu, "for the test")
"""


@pytest.fixture
def plugin(fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN)


def counts(folder):
    """How many images there are, how many JPEGs of an even and of an odd length."""
    files = [file.read_bytes() for file in folder.rglob("*.*")]
    jpegs = [len(data) % 2 for data in files if data.startswith(b"\xff\xd8")]
    return len(files), jpegs.count(0), jpegs.count(1)


@pytest.fixture
def photos(photos):
    """With a byte more in one of the JPEGs."""
    file = next(file for file in sorted(photos.rglob("*.jpg")) if file.read_bytes().startswith(b"\xff\xd8"))
    file.write_bytes(file.read_bytes() + bytes(1 + file.stat().st_size % 2))
    return photos


def test_infer_says_who_decoded(cli, plugin, photos, tiny_onnx):
    done = cli("infer", photos, "--model", tiny_onnx, "--decoder", "gpu", "--out", "p.csv", "--batch-size", 100)
    assert done.code == 0, done.stderr
    total, even, odd = counts(photos)
    told = json.loads(Path("p.csv.json").read_text())["decoded"]
    assert told == {
        "decoder": "acme/gpu", "images": even, "on_cpu": total - even, "failed": odd,
        "reason": "ValueError: an odd file",
    }  # fmt: skip
    said = f"acme/gpu decoded {even} of {total} images, the CPU decoders the others"
    assert f"{said}; it failed at {odd}, first with: ValueError: an odd file" in done.stderr


def test_a_lost_device_costs_no_image_and_is_told(cli, plugin, photos, tiny_onnx):
    plain = cli("infer", photos, "--model", tiny_onnx, "--out", "a.csv")
    lost = cli("infer", photos, "--model", tiny_onnx, "--decoder", "gpu", "--with", "gpu.lost=true", "--out", "b.csv")
    assert (plain.code, lost.code) == (0, 0)
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert "RuntimeError: CUDA error 719" in lost.stderr
    assert "decoded" not in json.loads(Path("a.csv.json").read_text())


def test_verify_tells_what_its_pixels_change(cli, plugin, photos, tiny_onnx):
    same = ("verify", tiny_onnx, tiny_onnx, "--images", photos, "--decoder", "gpu", "--json", "v.json")
    assert cli(*same).code == 0
    done = cli(*same, "--with", "gpu.roll=1")
    facts = json.loads(Path("v.json").read_text())
    assert done.code == 3
    assert facts["parity"]["blamed"] == "decode"
    assert facts["parity"]["pixel_difference"] > facts["parity"]["pixel_tolerance"] == 0.02
    assert facts["parity"]["network_difference"] < 1e-5
    assert facts["parity"]["flips"] >= facts["decoded"]["images"] > 0
    assert facts["decoded"]["images"] == counts(photos)[1]
