"""What Pillow, pillow-heif and libtiff are made of by the decoder: reasons, HEIC, silence."""

import builtins
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from clsbench.errors import ImageError
from clsbench.images import pillow
from clsbench.images.formats import UNREAD, is_image, sniff
from clsbench.images.loader import ImageLoader
from clsbench.transform import ImageTransform

pytestmark = pytest.mark.filterwarnings("ignore:IM image format:DeprecationWarning")

COLOURS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def decode(data, *decoders):
    return ImageLoader(ImageTransform(size=(8, 8)), decoders).decode(data)


def encode(form, image=None, **options):
    file = io.BytesIO()
    (image or Image.fromarray(COLOURS)).save(file, form, **options)
    return file.getvalue()


def failure(data, *decoders):
    with pytest.raises(ImageError) as caught:
        decode(data, *decoders)
    return caught.value


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000", "QOI", "PCX"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_an_image_that_is_cut_off_is_truncated(form, kept):
    data = encode(form)
    assert failure(data[: int(len(data) * kept)]).reason == "truncated"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_an_image_of_which_only_the_mark_is_left_is_truncated(form):
    assert failure(encode(form)[:14]).reason == "truncated"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7 document", "a PDF document"),
        (b"PK\x03\x04archive", "a ZIP archive"),
        (b"<!DOCTYPE html><title>404</title>", "an HTML page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "a video"),
        (b"a text\n" * 99, "begins with b'a text"),
        (b"P3 text that begins like a PPM", "known format"),
        (bytes(1000), "known format"),
    ],
)
def test_what_is_no_image_is_named(data, words):
    error = failure(data)
    assert error.reason == "not_an_image"
    assert words in error.one_line()


SAMPLES = {
    "jpegxl": b"\xff\x0a",
    "jpegxr": b"II\xbc\x01",
    "openexr": b"\x76\x2f\x31\x01",
    "hdr": b"#?RADIANCE\n",
    "dicom": bytes(128) + b"DICM",
    "cr2": b"II*\0\x10\0\0\0CR\x02\0",
    "cr3": b"\0\0\0\x18ftypcrx ",
    "raf": b"FUJIFILMCCD-RAW ",
    "orf": b"IIRO",
    "rw2": b"IIU\0",
    "x3f": b"FOVb",
    "xcf": b"gimp xcf v011",
    "djvu": b"AT&TFORM",
    "flif": b"FLIF",
    "bpg": b"BPG\xfb",
}


@pytest.mark.parametrize("form", UNREAD)
def test_a_format_that_nothing_reads_is_unsupported_and_says_what_to_do(form):
    data = SAMPLES[form] + bytes(500)
    assert sniff(data) == form
    assert is_image(data)
    error = failure(data)
    assert error.reason == "unsupported"
    assert UNREAD[form].what in str(error)
    assert "to do: " in str(error)


class Reads:
    """A plugin's decoder."""

    def __init__(self, form, answer):
        self.formats, self.answer = frozenset({form}), answer

    def __call__(self, data):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("name", ["jpegxl", "a name of its own"])
def test_a_plugin_reads_what_nothing_built_in_does(name):
    np.testing.assert_array_equal(decode(SAMPLES["jpegxl"] + bytes(99), Reads(name, COLOURS)), COLOURS)


@pytest.mark.parametrize(
    ("raised", "form", "data", "reason"),
    [
        (ImageError("truncated", "cut"), "jpegxl", SAMPLES["jpegxl"], "truncated"),
        (ImageError("truncated", "cut"), "grey", b"GREY", "truncated"),
        (ValueError("cut"), "grey", b"GREY", "not_an_image"),
        (ValueError("cut"), "jpegxl", SAMPLES["jpegxl"], "unsupported"),
        (ImageError("unsupported", "no"), "png", encode("PNG")[:60], "truncated"),
    ],
)
def test_the_code_is_of_the_decoder_that_knows_most(raised, form, data, reason):
    error = failure(data, Reads(form, raised))
    assert error.reason == reason
    assert str(raised) in str(error)


def test_a_thumbnail_of_a_raw_file_is_not_taken_for_the_photo():
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[50706] = b"\1\4\0\0"
    assert failure(encode("TIFF", tiffinfo=tags)).reason == "unsupported"


def test_what_a_file_makes_pillow_say_is_printable():
    error = failure(b"Image type: RGB image\r\n\x1b[31mred: no\x9bheader\r\n" + bytes(500))
    assert error.one_line().isprintable()


def test_memory_that_does_not_suffice_is_too_large(monkeypatch):
    def load(self):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    assert failure(encode("PNG")).reason == "too_large"


def test_readers_that_start_programs_or_were_added_by_others_are_not_used():
    assert not {"EPS", "WMF", "IPTC", "MPEG", "HEIF"} & set(pillow.PILLOW_FORMATS)
    assert {"PCX", "SGI", "DDS", "TGA", "ICNS", "PSD", "XBM", "SPIDER", "FITS"} <= set(pillow.PILLOW_FORMATS)


def heic(image=None, **options):
    """A lossless HEIC file, as pillow-heif's plugin for Pillow writes it."""
    save = pytest.importorskip("pillow_heif.as_plugin")._save_heif
    image, file = image or Image.fromarray(COLOURS), io.BytesIO()
    image.encoderinfo = {"quality": -1, "chroma": 444, "matrix_coefficients": 0, **options}
    save(image, file, "")
    return file.getvalue()


def by_pillow_heif(data):
    """The reference: with its plugin registered, as its documentation says."""
    from pillow_heif import HeifImageFile

    return np.asarray(ImageOps.exif_transpose(HeifImageFile(io.BytesIO(data))).convert("RGB"))


def test_heic_is_read_with_pillow_heif():
    data = heic()
    assert sniff(data) == "heic"
    np.testing.assert_array_equal(decode(data), by_pillow_heif(data))
    np.testing.assert_allclose(decode(data).astype(int), COLOURS, atol=3)


@pytest.mark.parametrize("mode", ["RGBA", "L", "LA", "I;16"])
def test_heic_of_other_modes(mode):
    image = Image.fromarray(COLOURS).convert("L" if mode == "I;16" else mode)
    data = heic(image if mode != "I;16" else Image.fromarray(np.asarray(image).astype(np.uint16) * 257))
    np.testing.assert_allclose(decode(data).astype(int), np.asarray(image.convert("RGB")), atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("exif", [True, False])
def test_heic_is_turned_once(orientation, exif):
    recorded = Image.Exif()
    recorded[0x0112] = orientation
    image = Image.fromarray(COLOURS)
    image.info["exif"] = recorded.tobytes()
    upright = np.asarray(ImageOps.exif_transpose(image))
    data = heic(image)
    loader = ImageLoader(ImageTransform(size=(8, 8), exif=exif))
    np.testing.assert_allclose(loader.decode(data).astype(int), upright, atol=3)


def test_without_pillow_heif_a_heic_image_says_what_to_install(monkeypatch):
    data, imported = heic(), builtins.__import__

    def missing(name, *arguments, **options):
        if name == "pillow_heif":
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    pillow._heif.cache_clear()
    error = failure(data)
    assert error.reason == "unsupported"
    assert "pip install 'clsbench[heif]'" in str(error)


def test_a_damaged_heic_image_is_truncated():
    data = heic()
    assert failure(data[: len(data) // 2]).reason == "truncated"


NOISE = """
import io, sys, numpy
from PIL import Image
from clsbench.images import pillow
from clsbench.images.loader import ImageLoader
from clsbench.errors import ImageError
from clsbench.transform import ImageTransform

file = io.BytesIO()
Image.fromarray(numpy.random.default_rng(0).integers(0, 256, (64, 64, 3), numpy.uint8)).save(
    file, "TIFF", compression=sys.argv[2]
)
data = bytearray(file.getvalue())
data[40:-400:7] = bytes(len(data[40:-400:7]))
if sys.argv[1] == "loud":
    pillow.silence_libtiff = lambda: None
try:
    ImageLoader(ImageTransform(size=(8, 8))).decode(bytes(data))
except ImageError as error:
    print(error.reason)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="where Pillow's libtiff lies is known of its wheels for Linux")
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_libtiff_says_nothing_on_the_terminal(compression):
    def run(how):
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", NOISE, how, compression], capture_output=True, text=True, check=True
        )

    loud, quiet = run("loud"), run("quiet")
    assert loud.stdout == quiet.stdout == "truncated\n"
    assert loud.stderr
    assert quiet.stderr == ""


def test_what_pillow_logs_is_not_on_the_terminal_of_a_program_without_logging():
    code = "import logging, clsbench.images.pillow; logging.getLogger('PIL.TiffImagePlugin').error('too many samples')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr == b""
