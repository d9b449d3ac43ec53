import io

import pytest
from PIL import Image

from clsbench.images.formats import FORMATS, sniff

SAVED = {
    "JPEG": "jpeg",
    "MPO": "jpeg",
    "PNG": "png",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tiff",
    "WEBP": "webp",
    "AVIF": "avif",
    "PPM": "ppm",
    "JPEG2000": "jpeg2000",
    "ICO": "ico",
    "QOI": "qoi",
    "TGA": "unknown",
}


@pytest.mark.parametrize(("pillow_name", "name"), SAVED.items())
def test_files_that_pillow_writes_are_told_by_their_first_bytes(pillow_name, name):
    file = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(file, pillow_name)
    assert sniff(file.getvalue()) == name


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "unknown"),
        (b"\xff\xd8", "unknown"),
        (b"hello world", "unknown"),
        (b"RIFF\x00\x00\x00\x00WAVE", "unknown"),
        (b"\x00\x00\x00\x18ftypheic", "heic"),
        (b"\x00\x00\x00\x18ftypmif1", "heic"),
        (b"MM\x00*", "tiff"),
    ],
)
def test_short_and_foreign_data(data, name):
    assert sniff(data) == name
    assert name in FORMATS
