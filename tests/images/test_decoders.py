import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image, ImageOps, PngImagePlugin

from clsbench.errors import DataError
from clsbench.images.decoders import SimplejpegDecoder
from clsbench.images.entries import FileEntry
from clsbench.images.limits import MAX_PIXELS
from clsbench.images.loader import ImageLoader
from clsbench.images.pillow import PILLOW_FORMATS
from clsbench.transform import ImageTransform

SIZE = (37, 23)


def picture(mode="RGB", size=SIZE):
    """Smooth, and different in every corner, so that no flip or rotation goes unnoticed."""
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    rgb = np.stack([255 * x, 255 * y, 128 + 127 * np.sin(9 * x * y)], axis=2)
    return Image.fromarray(rgb.astype(np.uint8)).convert(mode)


def encode(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def pillow(data, *, turned=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray((ImageOps.exif_transpose(image) if turned else image).convert("RGB"))


def decode(data, *, exif=True):
    return ImageLoader(ImageTransform(size=(8, 8), exif=exif)).decode(data)


def png(width, height, *, depth, color, rows):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    data = zlib.compress(b"".join(b"\x00" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def sixteen_bit_png(color, channels):
    values = np.random.default_rng(0).integers(0, 65536, (5, 7 * channels), dtype=np.uint16)
    return png(7, 5, depth=16, color=color, rows=[row.astype(">u2").tobytes() for row in values])


def translucent_palette():
    image = picture("P")
    return encode(image, "PNG", transparency=bytes(range(256)))


def animation():
    frames = [picture("P"), Image.new("P", SIZE, 3)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


PICTURES = {
    "baseline JPEG": lambda: encode(picture(), "JPEG", quality=90),
    "JPEG 4:4:4": lambda: encode(picture(), "JPEG", subsampling=0),
    "JPEG 4:2:2": lambda: encode(picture(), "JPEG", subsampling=1),
    "JPEG of one pixel": lambda: encode(picture(size=(1, 1)), "JPEG"),
    "progressive JPEG": lambda: encode(picture(), "JPEG", progressive=True),
    "grey JPEG": lambda: encode(picture("L"), "JPEG"),
    "CMYK JPEG": lambda: encode(picture("CMYK"), "JPEG"),
    "JPEG stored as RGB": lambda: encode(picture(), "JPEG", keep_rgb=True),
    "JPEG with restart markers": lambda: encode(picture(), "JPEG", restart_marker_blocks=1),
    "JPEG with bytes behind its end": lambda: encode(picture(), "JPEG") + b"appended",
    "JPEG of two frames": lambda: encode(picture(), "MPO", save_all=True, append_images=[Image.new("RGB", SIZE)]),
    "PNG": lambda: encode(picture(), "PNG"),
    "RGBA PNG": lambda: encode(picture("RGBA"), "PNG"),
    "LA PNG": lambda: encode(picture("LA"), "PNG"),
    "PA TIFF": lambda: encode(picture("LA").convert("PA"), "TIFF"),
    "RGB PNG with one transparent colour": lambda: encode(picture(), "PNG", transparency=(1, 2, 3)),
    "grey PNG with one transparent level": lambda: encode(picture("L"), "PNG", transparency=3),
    "RGBA WEBP": lambda: encode(picture("RGBA"), "WEBP"),
    "RGBA AVIF": lambda: encode(picture("RGBA"), "AVIF"),
    "RGBA TIFF": lambda: encode(picture("RGBA"), "TIFF"),
    "black and white PNG": lambda: encode(picture("1"), "PNG"),
    "palette PNG": lambda: encode(picture("P"), "PNG"),
    "palette PNG with one transparent colour": lambda: encode(picture("P"), "PNG", transparency=3),
    "palette PNG with bytes transparency": translucent_palette,
    "16-bit RGB PNG": lambda: sixteen_bit_png(2, 3),
    "GIF": lambda: encode(picture("P"), "GIF"),
    "animated GIF": animation,
    "WEBP": lambda: encode(picture(), "WEBP"),
    "lossless RGBA WEBP": lambda: encode(picture("RGBA"), "WEBP", lossless=True),
    "AVIF": lambda: encode(picture(), "AVIF"),
    "BMP": lambda: encode(picture(), "BMP"),
    "TIFF": lambda: encode(picture(), "TIFF"),
    "LZW CMYK TIFF": lambda: encode(picture("CMYK"), "TIFF", compression="tiff_lzw"),
    "PPM": lambda: encode(picture(), "PPM"),
    "PGM": lambda: encode(picture("L"), "PPM"),
    "TGA": lambda: encode(picture(), "TGA"),
    "ICO": lambda: encode(picture(size=(32, 32)), "ICO"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pixels_are_those_of_pillows_convert_rgb(kind):
    data = PICTURES[kind]()
    np.testing.assert_array_equal(decode(data), pillow(data))


def test_memory_that_is_used_again_changes_no_pixel():
    loader = ImageLoader(ImageTransform(size=(8, 8)))
    for size in ((64, 48), (5, 9), (90, 70), (64, 48)):
        data = encode(picture(size=size), "JPEG")
        np.testing.assert_array_equal(loader.decode(data, fleeting=True), pillow(data))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [1, 50, 75, 100])
def test_simplejpeg_gives_pillows_pixels(quality, subsampling):
    noise = np.random.default_rng(quality).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "JPEG", quality=quality, subsampling=subsampling)
    np.testing.assert_array_equal(SimplejpegDecoder()(data), pillow(data))


def test_only_the_first_frame_of_an_animation_is_read():
    np.testing.assert_array_equal(decode(animation()), np.asarray(picture("P").convert("RGB")))


def test_the_suffix_of_a_file_means_nothing(tmp_path):
    data = encode(picture(), "PNG")
    (tmp_path / "photo.jpg").write_bytes(data)
    pixels = ImageLoader(ImageTransform(size=(8, 8))).pixels(FileEntry("photo.jpg", str(tmp_path / "photo.jpg")))
    np.testing.assert_array_equal(pixels, pillow(data))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_pictures_are_data_errors(form, part):
    data = encode(picture(size=(64, 64)), form)
    with pytest.raises(DataError):
        decode(data[: int(part * len(data))])


@pytest.mark.parametrize("data", [b"", b"\n", b"just a text file\n" * 50, b"P3 text that begins like a PPM", b"BM"])
def test_what_is_no_picture_is_a_data_error_of_one_line(data):
    with pytest.raises(DataError) as caught:
        decode(data)
    assert "\n" not in caught.value.one_line()


def jpeg_claiming(width, height):
    data = bytearray(encode(picture(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_claiming(width, height):
    data = bytearray(encode(picture("P"), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        jpeg_claiming(65000, 65000),
        png(65000, 65000, depth=8, color=2, rows=[b"\x00" * 9]),
        gif_claiming(65000, 65000),
    ],
    ids=["JPEG", "PNG", "GIF"],
)
def test_a_decompression_bomb_is_refused_before_it_is_decoded(data):
    with pytest.raises(DataError, match="too large"):
        decode(data)


def test_the_size_limit_is_pillows():
    assert MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    "start", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\xc5\xd0\xd3\xc6" + bytes(28)]
)
def test_postscript_is_never_opened(start, monkeypatch):
    opened = []
    monkeypatch.setattr(EpsImagePlugin.EpsImageFile, "_open", opened.append)
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", opened.append)
    with pytest.raises(DataError, match="known format"):
        decode(start + b"showpage\n")
    assert not opened
    assert "EPS" not in PILLOW_FORMATS


def with_orientation(form, value, endian="<"):
    exif = Image.Exif()
    exif.endian = endian
    exif[0x0112] = value
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(form, {})
    return encode(picture(), form, exif=exif, **options)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_is_turned_like_exif_transpose(form, value):
    data = with_orientation(form, value)
    turned = decode(data)
    assert turned.shape[:2] == (SIZE if value >= 5 else SIZE[::-1])
    np.testing.assert_array_equal(turned, pillow(data, turned=True))


@pytest.mark.parametrize("value", [6, 8])
def test_big_endian_exif_is_understood(value):
    data = with_orientation("JPEG", value, endian=">")
    np.testing.assert_array_equal(decode(data), pillow(data, turned=True))


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_an_orientation_in_xmp_counts(form):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    if form == "JPEG":
        data = encode(picture(), form, xmp=xmp)
    else:
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        data = encode(picture(), form, pnginfo=info)
    assert decode(data).shape[:2] == SIZE
    np.testing.assert_array_equal(decode(data), pillow(data, turned=True))


def test_an_orientation_behind_the_pixels_of_a_png_counts():
    data = with_orientation("PNG", 6)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    np.testing.assert_array_equal(decode(moved), pillow(data, turned=True))


def test_a_png_without_an_orientation_is_decoded_once(monkeypatch):
    decoded, load = [], PngImagePlugin.PngImageFile.load_end
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_end", lambda image: (decoded.append(image), load(image)))
    decode(encode(picture(), "PNG"))
    assert len(decoded) == 1


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_transform_without_exif_leaves_pictures_as_they_are_stored(form):
    data = with_orientation(form, 6)
    np.testing.assert_array_equal(decode(data, exif=False), pillow(data))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(value):
    data = with_orientation("JPEG", value)
    np.testing.assert_array_equal(decode(data), pillow(data))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif", [b"Exif\x00\x00garbage", b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"Exif\x00\x00II*\x00"]
)
def test_a_damaged_exif_block_loses_no_picture(form, exif):
    data = encode(picture(), form, exif=exif)
    np.testing.assert_array_equal(decode(data), pillow(data))


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\x00", b"P6\n", b"RIFF\x00\x00\x00\x00WEBP"]
    ),
)
def test_arbitrary_bytes_raise_nothing_but_data_errors(data, beginning):
    try:
        pixels = decode(beginning + data)
    except DataError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == (3,)


WHOLE = {form: encode(picture(), form) for form in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "QOI", "TGA")}


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damaged_pictures_raise_nothing_but_data_errors(form, changes):
    data = bytearray(WHOLE[form])
    for place, value in changes:
        data[int(place * len(data))] = value
    try:
        pixels = decode(bytes(data))
    except DataError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == (3,)
