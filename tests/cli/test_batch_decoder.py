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
        def __init__(self, *, off: int = 0, lost: bool = False):
            self.off, self.lost = off, lost
        def __call__(self, data):
            return (np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) // 2 + self.off).astype(np.uint8)
        def decode_batch(self, data, geometries, out, *, interpolation):
            if self.lost:
                raise RuntimeError("CUDA error 719")
            return [self(one) if k else ValueError("not this one") for k, one in enumerate(data)]

    @hookimpl
    def register_decoders():
        yield Component("gpu", Gpu, "for the test")
"""


@pytest.fixture
def plugin(fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN)


def jpegs(folder):
    return sum(file.read_bytes().startswith(b"\xff\xd8") for file in folder.rglob("*.*"))


def test_infer_says_who_decoded(cli, plugin, photos, tiny_onnx):
    done = cli("infer", photos, "--model", tiny_onnx, "--decoder", "gpu", "--out", "p.csv", "--batch-size", 100)
    assert done.code == 0, done.stderr
    total, some = len([file for file in photos.rglob("*.*") if file.is_file()]), jpegs(photos)
    told = json.loads(Path("p.csv.json").read_text())["decoded"]
    assert told == {
        "decoder": "acme/gpu", "images": some - 1, "on_cpu": total - some + 1, "failed": 1,
        "reason": "ValueError: not this one",
    }  # fmt: skip
    assert f"acme/gpu decoded {some - 1} of {total} images, the CPU decoders the others; it failed at 1" in done.stderr


def test_a_lost_device_costs_no_image_and_is_told(cli, plugin, photos, tiny_onnx):
    plain = cli("infer", photos, "--model", tiny_onnx, "--out", "a.csv")
    lost = cli("infer", photos, "--model", tiny_onnx, "--decoder", "gpu", "--with", "gpu.lost=true", "--out", "b.csv")
    assert (plain.code, lost.code) == (0, 0)
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert "RuntimeError: CUDA error 719" in lost.stderr
    assert "decoded" not in json.loads(Path("a.csv.json").read_text())


def test_verify_tells_what_its_pixels_change(cli, plugin, photos, tiny_onnx):
    done = cli("verify", tiny_onnx, tiny_onnx, "--images", photos, "--decoder", "gpu", "--json", "v.json")
    facts = json.loads(Path("v.json").read_text())
    assert done.code == 3
    assert facts["parity"]["blamed"] == "decode"
    assert facts["parity"]["pixel_difference"] > facts["parity"]["pixel_tolerance"] == 0.02
    assert facts["parity"]["network_difference"] < 1e-5
    assert facts["decoded"]["images"] == jpegs(photos) - facts["decoded"]["failed"]
    assert cli("verify", tiny_onnx, tiny_onnx, "--images", photos).code == 0
