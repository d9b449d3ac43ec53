"""Every format and mode that Pillow writes, under every kind of name: a row each, with Pillow's own pixels."""

import csv
import io

import numpy as np
import pytest
from PIL import Image, ImageOps

import clsbench
from clsbench.errors import ImageError
from clsbench.images.entries import FileEntry
from clsbench.images.loader import ImageLoader
from clsbench.transform import ImageTransform

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, on deprecated formats

MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F",
         "I;16", "I;16L", "I;16B")  # fmt: skip
THROUGH = {"La": "LA", "PA": "LA", "RGBa": "RGBA"}

#: What Pillow writes and does not read, or only by starting a program.
DOCUMENTS = {"EPS", "PDF", "PALM"}

#: Formats of floating-point numbers, and integers without a range.
NO_RANGE = {("SPIDER", "F"), ("TIFF", "I"), ("TIFF", "F"), ("IM", "I"), ("IM", "F"), ("PPM", "F")}


def in_mode(mode):
    colours = np.random.default_rng(len(mode)).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    if mode.startswith("I;16"):
        return Image.frombytes(mode, (32, 32), colours[:, :, :2].tobytes())
    image = Image.fromarray(colours)
    return image.convert(THROUGH.get(mode, mode)).convert(mode)


def collection():
    """(format, mode) -> bytes."""
    Image.init()
    made = {}
    for form in Image.SAVE:
        for mode in MODES:
            file = io.BytesIO()
            try:
                in_mode(mode).save(file, form)
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue  # not written
            made[form, mode] = file.getvalue()
    return made


@pytest.fixture(scope="module")
def wild():
    return collection()


def reference(data):
    """What Pillow shows; more than 8 bits scaled by numpy."""
    image = Image.open(io.BytesIO(data))
    image.load()  # which tells the mode of an icon only now
    form, image = image.format, ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or (form == "PPM" and image.mode == "I"):
        grey = np.round(np.asarray(image).astype(np.float64) / 65535 * 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def expected(form, data):
    """The mode it is read in, or the reason why it is not."""
    if form in DOCUMENTS:
        return "not_an_image"
    image = Image.open(io.BytesIO(data))
    image.load()
    nearly_black = image.mode.startswith("I") and 0 < np.asarray(image).max() < 4096  # 8 bits that were put into 16
    return "unsupported" if nearly_black or (form, image.mode) in NO_RANGE else None


def test_the_collection_is_wild(wild):
    assert len({form for form, _ in wild}) >= 22
    assert len(wild) >= 150


@pytest.mark.parametrize("suffix", ["right", "none", "wrong"])
def test_every_one_has_pillows_pixels_whatever_its_name(wild, suffix, tmp_path):
    loader = ImageLoader(ImageTransform(size=(8, 8)))
    for (form, mode), data in wild.items():
        name = {"right": f"a.{form.lower()}", "none": "a", "wrong": "a.jpg" if form != "JPEG" else "a.png"}[suffix]
        (tmp_path / name).write_bytes(data)
        entry, reason = FileEntry(name, str(tmp_path / name)), expected(form, data)
        if reason is None:
            np.testing.assert_array_equal(loader.pixels(entry), reference(data), err_msg=f"{form} {mode}")
            continue
        with pytest.raises(ImageError) as caught:
            loader.pixels(entry)
        assert caught.value.reason == reason, f"{form} {mode}"


def test_infer_gives_each_of_them_one_row(wild, tiny_onnx, tmp_path):
    files = {f"{form}-{mode.replace(';', '_')}": (form, data) for (form, mode), data in wild.items()}
    rows = {name: expected(form, data) for name, (form, data) in files.items()}
    whole = wild["PNG", "RGB"]
    damaged = {
        "cut.png": (whole[:900], "truncated"),
        "empty.png": (b"", "empty"),
        "text.jpg": (b"hi" * 99, "not_an_image"),
    }
    rows |= {name: reason for name, (_, reason) in damaged.items()} | {"gone.png": "missing", ".": "unreadable"}
    for name, data in {**{n: d for n, (_, d) in files.items()}, **{n: d for n, (d, _) in damaged.items()}}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "list.txt").write_text("\n".join(rows))
    clsbench.infer(
        tmp_path / "list.txt",
        model=tiny_onnx,
        out=tmp_path / "preds.csv",
        device="cpu",
        labels="none",
        probabilities=True,
    )
    with (tmp_path / "preds.csv").open(newline="") as file:
        table = {row["path"]: row for row in csv.DictReader(file)}
    assert list(table) == list(rows)
    assert {name: row["reason"] or None for name, row in table.items()} == rows
    for name, (_, data) in files.items():
        if rows[name] is None:
            means = np.asarray(Image.fromarray(reference(data)).resize((8, 8), Image.Resampling.BILINEAR)).mean((0, 1))
            logits = np.array([float(table[name][f"p:{colour}"]) for colour in ("red", "green", "blue")])
            np.testing.assert_allclose(np.log(logits[0] / logits[1:]), means[0] - means[1:], atol=4, err_msg=name)
