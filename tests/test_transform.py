import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from clsbench.errors import ModelError, OptionError
from clsbench.images.entries import PixelsEntry
from clsbench.images.loader import ImageLoader
from clsbench.images.resize import FILTERS
from clsbench.picture_shape import sides as sides_of
from clsbench.transform import ImageTransform, with_changes

sides = st.integers(1, 300)
targets = st.integers(1, 96)
fractions = st.sampled_from([1.0, 0.95, 0.875, 0.5])

transforms = st.builds(
    ImageTransform,
    size=st.tuples(targets, targets),
    resize=st.sampled_from(["crop", "squash", "letterbox"]),
    crop_fraction=st.floats(0.05, 1.0),
    interpolation=st.sampled_from(["bilinear", "bicubic", "lanczos", "box", "nearest"]),
    color=st.sampled_from(["RGB", "L"]),
    exif=st.booleans(),
    mean=st.tuples(*[st.floats(-1, 1)] * 3),
    std=st.tuples(*[st.floats(0.01, 2)] * 3),
)


def noise(width, height):
    return np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def torchvisions_crop(pixels, *, size, fraction, interpolation):
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    steps = Compose([Resize(round(size / fraction), InterpolationMode(interpolation)), CenterCrop(size)])
    return np.asarray(steps(Image.fromarray(pixels)))


def our_crop(pixels, *, size, fraction, interpolation):
    transform = ImageTransform(size=(size, size), crop_fraction=fraction, interpolation=interpolation)
    return ImageLoader(transform)(PixelsEntry("", pixels))


def pillows_crop(pixels, *, size, fraction, interpolation):
    transform = ImageTransform(size=(size, size), crop_fraction=fraction, interpolation=interpolation)
    box = transform.geometry(pixels.shape[1], pixels.shape[0]).box
    return np.asarray(Image.fromarray(pixels).resize((size, size), FILTERS[interpolation], box))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@settings(max_examples=100, deadline=None)
@given(width=sides, height=sides, size=targets, fraction=fractions)
@example(width=500, height=375, size=224, fraction=0.875)
@example(width=333, height=500, size=224, fraction=0.875)
@example(width=600, height=300, size=32, fraction=1.0)
def test_smooth_crops_are_pillows_but_for_two_levels(interpolation, width, height, size, fraction):
    how = {"size": size, "fraction": fraction, "interpolation": interpolation}
    pixels = noise(width, height)
    assert abs(our_crop(pixels, **how) - pillows_crop(pixels, **how).astype(int)).max() <= 2


@pytest.mark.parametrize("interpolation", ["box", "nearest"])
@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (333, 500), (640, 480), (224, 300)])
def test_crops_by_picking_pixels_are_pillows(interpolation, width, height):
    how = {"size": 224, "fraction": 0.875, "interpolation": interpolation}
    pixels = noise(width, height)
    np.testing.assert_array_equal(our_crop(pixels, **how), pillows_crop(pixels, **how))


@settings(max_examples=60, deadline=None)
@given(width=sides, height=sides, size=targets, fraction=fractions)
def test_bilinear_crops_are_torchvisions_but_for_rounding(width, height, size, fraction):
    how = {"size": size, "fraction": fraction, "interpolation": "bilinear"}
    pixels = noise(width, height)
    assert abs(our_crop(pixels, **how) - torchvisions_crop(pixels, **how).astype(int)).max() <= 4


@settings(max_examples=300, deadline=None)
@given(width=st.integers(1, 3000), height=st.integers(1, 3000), size=st.integers(1, 600), fraction=fractions)
@example(width=3000, height=1, size=600, fraction=0.5)
def test_crop_keeps_the_box_that_torchvision_keeps(width, height, size, fraction):
    from torchvision.transforms.functional import _compute_resized_output_size

    resized_h, resized_w = _compute_resized_output_size((height, width), [round(size / fraction)])
    top, left = round((resized_h - size) / 2.0), round((resized_w - size) / 2.0)
    geometry = ImageTransform(size=(size, size), crop_fraction=fraction).geometry(width, height)
    x, y = width / resized_w, height / resized_h
    assert geometry.size == (size, size)
    assert geometry.box == pytest.approx((left * x, top * y, (left + size) * x, (top + size) * y), rel=1e-9)


@given(width=sides, height=sides, transform=transforms)
@settings(deadline=None)
def test_the_box_lies_in_the_picture_and_the_result_in_the_input(width, height, transform):
    geometry = transform.geometry(width, height)
    left, top, right, bottom = geometry.box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert 1 <= geometry.size[0] <= transform.size[0]
    assert 1 <= geometry.size[1] <= transform.size[1]


@given(width=st.integers(8, 300), height=st.integers(8, 300), size=st.tuples(targets, targets))
@settings(deadline=None)
def test_crop_keeps_the_aspect_ratio_of_a_wide_or_tall_input(width, height, size):
    left, top, right, bottom = ImageTransform(size=size).geometry(width, height).box
    across, down = size[1] / (right - left), size[0] / (bottom - top)
    assert math.isclose(across, down, rel_tol=1 / min(size))


@pytest.mark.parametrize(("width", "height"), [(30, 10), (10, 30), (16, 16), (5, 4)])
def test_squash_is_pillows_resize_of_everything_but_for_rounding(width, height):
    pixels = noise(width, height)
    expected = Image.fromarray(pixels).resize((20, 12), Image.Resampling.BICUBIC)
    transform = ImageTransform(size=(12, 20), resize="squash", interpolation="bicubic")
    np.testing.assert_allclose(ImageLoader(transform)(PixelsEntry("", pixels)).astype(int), expected, atol=2)


@pytest.mark.parametrize(
    ("width", "height", "top", "left", "inner"),
    [(40, 20, 5, 0, (10, 20)), (20, 40, 0, 5, (20, 10)), (20, 20, 0, 0, (20, 20)), (1000, 1, 9, 0, (1, 20))],
)
def test_letterbox_fits_the_whole_picture_and_pads_with_the_mean(width, height, top, left, inner):
    transform = ImageTransform(size=(20, 20), resize="letterbox", mean=(0.0, 0.5, 1.0))
    pixels = noise(width, height)
    result = ImageLoader(transform)(PixelsEntry("", pixels))
    inside = (slice(top, top + inner[0]), slice(left, left + inner[1]))
    resized = Image.fromarray(pixels).resize(inner[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_allclose(result[inside].astype(int), resized, atol=2)
    padding = np.ones((20, 20), bool)
    padding[inside] = False
    assert (result[padding] == (0, 128, 255)).all()


def test_grey_is_pillows_grey_in_three_channels():
    pixels = noise(9, 9)
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    result = ImageLoader(ImageTransform(size=(9, 9), color="L"))(PixelsEntry("", pixels))
    np.testing.assert_array_equal(result, np.stack([grey] * 3, axis=2))


@given(transforms)
def test_a_transform_survives_json(transform):
    assert ImageTransform.from_json(json.loads(json.dumps(transform.to_json()))) == transform


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", (0, 8)),
        ("size", (8, -1)),
        ("size", (8.0, 8.0)),
        ("size", (True, True)),
        ("size", (8, 8, 8)),
        ("size", 8),
        ("size", [8, 8]),
        ("resize", "stretch"),
        ("resize", None),
        ("crop_fraction", 0),
        ("crop_fraction", 1.01),
        ("crop_fraction", float("nan")),
        ("crop_fraction", "0.5"),
        ("interpolation", "cubic"),
        ("color", "BGR"),
        ("exif", 1),
        ("mean", (0.5, 0.5)),
        ("mean", 0.5),
        ("mean", (0.5, 0.5, float("inf"))),
        ("std", (0.0, 1.0, 1.0)),
        ("std", (-1.0, 1.0, 1.0)),
        ("std", ("1", "1", "1")),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ModelError, match="not valid") as caught:
        ImageTransform(**{"size": (8, 8), field: value})
    assert caught.value.facts["where"] == field
    assert caught.value.facts["got"] == repr(value)


@pytest.mark.parametrize(
    "values",
    [{}, {"resize": "crop"}, {"size": [8, 8], "padding": 3}, {"size": None}, {"size": "8x8"}, [8, 8], None, "crop"],
)
def test_json_that_is_no_transform_is_a_model_error(values):
    with pytest.raises(ModelError):
        ImageTransform.from_json(values)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("size=96", "size", (96, 96)),
        ("size=96,128", "size", (96, 128)),
        ("resize=squash", "resize", "squash"),
        ("crop-fraction=1", "crop_fraction", 1.0),
        ("interpolation=bicubic", "interpolation", "bicubic"),
        ("exif=false", "exif", False),
        ("mean=0.5", "mean", (0.5, 0.5, 0.5)),
        ("std=0.1, 0.2, 0.3", "std", (0.1, 0.2, 0.3)),
    ],
)
def test_a_field_can_be_changed_as_it_is_typed(text, field, value):
    before = ImageTransform(size=(8, 8))
    assert with_changes(before, [text]) == dataclasses.replace(before, **{field: value})


@pytest.mark.parametrize(
    "text", ["size", "sise=3", "size=0", "size=1,2,3", "size=1.5", "mean=1,2", "std=0", "resize=bend", "exif=maybe",
             "crop_fraction=x", "crop_fraction=2", "mean=nan"]
)  # fmt: skip
def test_a_change_that_cannot_be_is_refused_as_wrong_usage(text):
    with pytest.raises(OptionError, match=rf"where: --transform\n  got: {text}\n  expected: "):
        with_changes(ImageTransform(size=(8, 8)), [text])


def test_padding_is_the_mean_unless_a_colour_is_given_and_then_exact():
    as_before, padded = (ImageTransform(size=(6, 2), resize="letterbox", pad=pad) for pad in (None, (1, 254, 7)))
    assert (as_before.padding, padded.padding) == ((124, 116, 104), (1, 254, 7))
    assert "pad" not in as_before.to_json()
    for transform in (as_before, padded):
        assert ImageTransform.from_json(json.loads(json.dumps(transform.to_json()))) == transform
    pixels = ImageLoader(padded)(PixelsEntry("", np.full((4, 4, 3), 99, np.uint8)))
    assert pixels[:, 0].tolist() == [[1, 254, 7]] * 2 + [[99] * 3] * 2 + [[1, 254, 7]] * 2
    assert with_changes(as_before, ["pad=1,254,7"]) == padded
    for pad in ((1, 2), (1, 2, 256), (1.0, 2, 3), (True, 2, 3), "red"):
        with pytest.raises(ModelError, match="an image transform is not valid"):
            ImageTransform(size=(6, 2), pad=pad)


@pytest.mark.parametrize("size", ["", "a", "1,2,3", "-4", "0", "4,0", "1.5", 0, -1, True, 2.0, (1,), None, "٣"])
def test_a_size_is_one_side_or_two(size):
    assert [sides_of(given) for given in (5, "5", "5, 7", (5, 7))] == [(5, 5), (5, 5), (5, 7), (5, 7)]
    with pytest.raises(OptionError, match="cannot read an image size"):
        sides_of(size)
