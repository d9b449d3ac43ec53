"""Grey images of more than 8 bits: scaled as numpy does by what the file declares, or refused."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from clsbench.errors import ImageError
from clsbench.images.loader import ImageLoader
from clsbench.images.pixels import GreyRange, to_rgb
from clsbench.transform import ImageTransform

pytestmark = pytest.mark.filterwarnings("ignore:IM image format:DeprecationWarning")

DEEP = np.random.default_rng(0).integers(0, 65536, (40, 50), dtype=np.uint16)
DEEP[0, :3] = 0, 1, 65535


def decode(data):
    return ImageLoader(ImageTransform(size=(8, 8))).decode(data)


def encode(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def scaled(values, low, high):
    """The independent reference: exact fractions of the range, rounded."""
    levels = (np.clip(values.astype(np.float64), low, high) - low) * 255 / (high - low)
    return np.repeat(np.round(levels).astype(np.uint8)[:, :, None], 3, axis=2)


def tiff(values, *, sample_format=1, order="<", photometric=1, tags=()):
    """A TIFF file of one strip; tags are (tag, type, value bytes of 4)."""
    raw, (height, width), bits = (
        values.astype(values.dtype.newbyteorder(order)).tobytes(),
        values.shape,
        values.itemsize * 8,
    )
    short, long = (lambda v: struct.pack(f"{order}HH", v, 0)), (lambda v: struct.pack(f"{order}I", v))
    entries = [
        (256, 4, long(width)), (257, 4, long(height)), (258, 3, short(bits)), (259, 3, short(1)),
        (262, 3, short(photometric)), (273, 4, long(8)), (277, 3, short(1)), (278, 4, long(height)),
        (279, 4, long(len(raw))), (339, 3, short(sample_format)), *tags,
    ]  # fmt: skip
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, value in sorted(entries):
        directory += struct.pack(f"{order}HHI", tag, kind, 1) + value
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(raw))
    return start + raw + directory + bytes(4)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM", "JPEG2000", "IM"])
def test_16_bit_grey_is_scaled_and_rounded_in_every_format_and_byte_order(form, mode):
    image = Image.fromarray(DEEP).convert(mode) if mode == "I;16" else Image.frombytes(
        mode, DEEP.shape[::-1], DEEP.astype(">u2" if mode == "I;16B" else "<u2").tobytes()
    )  # fmt: skip
    try:
        data = encode(image, form)
    except (OSError, ValueError):
        pytest.skip("Pillow does not write this")
    stored = np.asarray(Image.open(io.BytesIO(data)))  # Pillow swaps the bytes of I;16B as it writes JPEG 2000
    assert (form, mode) == ("JPEG2000", "I;16B") or (stored == DEEP).all()
    np.testing.assert_array_equal(decode(data), scaled(stored, 0, 65535))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_16_bit_tiff_is_scaled(compression):
    np.testing.assert_array_equal(
        decode(encode(Image.fromarray(DEEP), "TIFF", compression=compression)), scaled(DEEP, 0, 65535)
    )


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_12_bits_in_16_without_a_declared_range_are_no_black_image(form):
    with pytest.raises(ImageError, match="at most 12 of 16 bits") as caught:
        decode(encode(Image.fromarray(DEEP >> 4), form))
    assert caught.value.reason == "unsupported"
    np.testing.assert_array_equal(decode(encode(Image.fromarray(DEEP >> 3), form)), scaled(DEEP >> 3, 0, 65535))
    assert not decode(encode(Image.fromarray(np.zeros((5, 5), np.uint16)), form)).any()


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_tiff_of_either_byte_order(order):
    np.testing.assert_array_equal(decode(tiff(DEEP, order=order)), scaled(DEEP, 0, 65535))


def test_white_is_zero_is_turned_as_for_8_bits():
    np.testing.assert_array_equal(decode(tiff(DEEP, photometric=0)), 255 - scaled(DEEP, 0, 65535))


def short_tag(tag, value, order="<"):
    return (tag, 3, struct.pack(f"{order}HH", value, 0))


@pytest.mark.parametrize("tag", [281, 341])
def test_12_bits_in_16_are_scaled_by_the_declared_maximum(tag):
    values = DEEP >> 4
    np.testing.assert_array_equal(decode(tiff(values, tags=[short_tag(tag, 4095)])), scaled(values, 0, 4095))


def test_a_declared_minimum_is_black_and_values_beyond_the_range_are_clipped():
    data = tiff(DEEP, tags=[short_tag(280, 1000), short_tag(281, 3000)])
    np.testing.assert_array_equal(decode(data), scaled(DEEP, 1000, 3000))


def test_a_declared_range_that_is_empty_is_ignored():
    data = tiff(DEEP, tags=[short_tag(280, 3000), short_tag(281, 3000)])
    np.testing.assert_array_equal(decode(data), scaled(DEEP, 0, 65535))


@pytest.mark.parametrize("most", [256, 1023, 4095, 10_000, 65_534, 65_535])
@pytest.mark.parametrize("plain", [False, True])
def test_pgm_is_scaled_by_its_maxval(most, plain):
    values = (DEEP.astype(np.uint32) * most // 65535).astype(np.uint16)
    body = " ".join(map(str, values.ravel())).encode() if plain else values.astype(">u2").tobytes()
    data = b"%s\n50 40\n%d\n" % (b"P2" if plain else b"P5", most) + body
    assert abs(decode(data).astype(int) - scaled(values, 0, most)).max() == 0


@pytest.mark.parametrize(
    ("values", "sample_format", "kind"),
    [
        (DEEP.astype(np.int32), 2, "32-bit or signed"),
        (DEEP.astype(np.uint32), 1, "32-bit or signed"),
        (DEEP.astype(np.int16), 2, "32-bit or signed"),
        (DEEP.astype(np.float32), 3, "floating-point"),
    ],
    ids=["int32", "uint32", "int16", "float"],
)
def test_values_without_a_declared_range_are_unsupported(values, sample_format, kind):
    with pytest.raises(ImageError, match=kind) as caught:
        decode(tiff(values, sample_format=sample_format))
    assert caught.value.reason == "unsupported"
    assert "save it as 8-bit PNG" in str(caught.value)


def test_float_with_a_declared_range_is_scaled_and_nan_is_black():
    values = np.linspace(-1, 2, DEEP.size, dtype=np.float32).reshape(DEEP.shape)
    tags = [(340, 11, struct.pack("<f", -0.5)), (341, 11, struct.pack("<f", 1.5))]
    np.testing.assert_array_equal(decode(tiff(values, sample_format=3, tags=tags)), scaled(values, -0.5, 1.5))
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -np.inf
    got = decode(tiff(values, sample_format=3, tags=tags))[0, :3, 0]
    assert got.tolist() == [0, 255, 0]


def test_integers_of_32_bits_with_a_declared_range_are_scaled():
    values = (DEEP.astype(np.int64) * 60_000).astype(np.uint32)
    unsigned = [(341, 4, struct.pack("<I", 60_000 * 65_535))]
    np.testing.assert_array_equal(decode(tiff(values, tags=unsigned)), scaled(values, 0, 60_000 * 65_535))
    signed = DEEP.astype(np.int32) - 32_768
    tags = [(340, 9, struct.pack("<i", -32_768)), (341, 9, struct.pack("<i", 32_767))]
    np.testing.assert_array_equal(decode(tiff(signed, sample_format=2, tags=tags)), scaled(signed, -32_768, 32_767))


@pytest.mark.parametrize("mode", ["I", "F"])
@pytest.mark.parametrize("form", ["TIFF", "IM", "SPIDER"])
def test_what_pillow_writes_without_a_range_is_never_black_or_white(form, mode):
    try:
        data = encode(Image.fromarray(DEEP.astype(np.int32)).convert(mode), form)
    except (OSError, ValueError):
        pytest.skip("Pillow does not write this")
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert caught.value.reason == "unsupported"


def test_16_bit_colours_keep_their_high_byte():
    values = np.random.default_rng(1).integers(0, 65536, (4, 5, 3), dtype=np.uint16)
    data = b"P6\n5 4\n65535\n" + values.astype(">u2").tobytes()
    assert abs(decode(data).astype(int) - (values >> 8)).max() <= 1


def test_a_tiff_whose_strips_do_not_cover_it_is_not_black_where_they_do_not():
    data = tiff(DEEP)
    rows = struct.pack("<HHII", 257, 4, 1, 40)
    with pytest.raises(ImageError, match="do not cover") as caught:
        decode(data.replace(rows, struct.pack("<HHII", 257, 4, 1, 4000)))
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "P", "1", "CMYK", "I;16"])
def test_large_images_are_converted_in_bands_that_leave_no_seam(mode, monkeypatch):
    from clsbench.images import pixels

    colours = np.random.default_rng(2).integers(0, 256, (70, 30, 3), dtype=np.uint8)
    grey = None
    if mode == "I;16":
        image, grey = Image.fromarray(np.ascontiguousarray(DEEP)), GreyRange(0, 65535)
    else:
        image = Image.fromarray(colours).convert(mode)
    whole = to_rgb(image, grey)
    monkeypatch.setattr(pixels, "BAND_PIXELS", 64)
    np.testing.assert_array_equal(to_rgb(image, grey), whole)


@pytest.mark.parametrize(
    ("dtype", "sample_format"), [(np.float16, 3), (np.float64, 3), (np.uint64, 1), (np.complex64, 6)], ids=str
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_that_pillow_does_not_know_are_unsupported(dtype, sample_format, order):
    with pytest.raises(ImageError, match="unknown pixel mode") as caught:
        decode(tiff((DEEP >> 8).astype(dtype), sample_format=sample_format, order=order))
    assert caught.value.reason == "unsupported"
