import io

import numpy as np
import pytest
from PIL import Image

from clsbench.errors import DataError
from clsbench.images.entries import BytesEntry, FileEntry, PixelsEntry
from clsbench.images.shapes import ImageShape, read_shape


def encoded(mode, form, **options):
    stream = io.BytesIO()
    Image.new(mode, (30, 20)).save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("mode", "form"), [("RGB", "JPEG"), ("L", "PNG"), ("RGBA", "PNG"), ("P", "GIF"), ("CMYK", "JPEG")]
)
def test_the_header_of_a_file_and_of_bytes(tmp_path, mode, form):
    data = encoded(mode, form)
    (tmp_path / "image").write_bytes(data)
    for entry in (BytesEntry("a", data), FileEntry("a", str(tmp_path / "image"))):
        assert read_shape(entry) == ImageShape(30, 20, mode, form)


@pytest.mark.parametrize(("orientation", "size"), [(1, (30, 20)), (3, (30, 20)), (6, (20, 30)), (8, (20, 30))])
def test_a_photo_is_measured_upright_as_the_loader_turns_it(orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    shape = read_shape(BytesEntry("a.jpg", encoded("RGB", "JPEG", exif=exif)))
    assert (shape.width, shape.height) == size


def test_pixels_in_memory():
    assert read_shape(PixelsEntry("a", np.zeros((20, 30, 3), np.uint8))) == ImageShape(30, 20, "RGB", "pixels")


@pytest.mark.parametrize("data", [b"", b"no image", encoded("RGB", "PNG")[:20]])
def test_what_has_no_header_is_an_error(tmp_path, data):
    (tmp_path / "bad.png").write_bytes(data)
    for entry in (BytesEntry("bad.png", data), FileEntry("bad.png", str(tmp_path / "bad.png"))):
        with pytest.raises(DataError):
            read_shape(entry)
