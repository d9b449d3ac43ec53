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
from clsbench.transform import ImageTransform, crop_fraction_of, normalise, with_changes

sides = st.integers(1, 300)
targets = st.integers(1, 96)
fractions = st.sampled_from([1.0, 0.95, 0.875, 0.5])

transforms = st.builds(
    ImageTransform,
    size=st.tuples(targets, targets),
    resize=st.sampled_from(["crop", "squash", "squash-crop", "letterbox"]),
    crop_fraction=st.floats(0.05, 1.0),
    interpolation=st.sampled_from(["bilinear", "bicubic", "lanczos", "box", "nearest"]),
    color=st.sampled_from(["RGB", "BGR", "L"]),
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


@settings(max_examples=60, deadline=None)
@given(width=sides, height=sides, size=st.tuples(targets, targets), fraction=fractions)
@example(width=640, height=480, size=(224, 224), fraction=0.875)
def test_squash_crop_is_torchvisions_resize_of_two_sides_and_crop_but_for_rounding(width, height, size, fraction):
    from torchvision.transforms import CenterCrop, Compose, Resize

    steps = Compose([Resize([round(side / fraction) for side in size]), CenterCrop(size)])
    pixels = noise(width, height)
    transform = ImageTransform(size=size, resize="squash-crop", crop_fraction=fraction)
    assert transform.geometry(width, height).size == size
    got = ImageLoader(transform)(PixelsEntry("", pixels))
    assert abs(got.astype(int) - np.asarray(steps(Image.fromarray(pixels)))).max() <= 4


def test_a_fraction_of_whole_pixels_gives_back_the_resized_side():
    kept, resized = np.meshgrid(np.arange(1, 2049), np.arange(1, 2049))
    kept, resized = kept[kept <= resized], resized[kept <= resized]
    assert (np.rint(kept / (kept / resized)) == resized).all()
    geometry = ImageTransform(size=(289, 289), resize="squash-crop", crop_fraction=289 / 346).geometry(346, 692)
    assert geometry.box == pytest.approx((28, 56, 317, 634))  # round(28.5) is 28, as torchvision has it


@pytest.mark.parametrize(
    ("size", "resized", "fraction"),
    [
        ((224, 224), (256, 256), 0.875),
        ((224, 224), (224, 224), 1.0),
        ((96, 192), (112, 224), 96 / 112),
        ((100, 201), (112, 225), 100 / 112),
        ((224, 224), (256, 300), None),
        ((224, 224), (192, 192), None),
    ],
)
def test_the_fraction_of_a_resized_size_is_exact_or_none(size, resized, fraction):
    assert crop_fraction_of(size, resized) == pytest.approx(fraction)


@pytest.mark.parametrize("color", ["RGB", "BGR", "L"])
def test_normalise_is_opencvs_way_to_blue_first_and_torchvisions_numbers(color):
    """Caffe's networks: levels, less a mean in the order blue, green, red."""
    from torchvision.transforms.functional import normalize, to_tensor

    mean, std = (0.406, 0.456, 0.485), (1 / 255, 0.5, 0.25)
    transform = ImageTransform(size=(4, 5), color=color, mean=mean, std=std)
    images = np.stack([noise(5, 4), noise(5, 4)[::-1]])
    got = normalise(images, transform)
    assert (got.dtype, got.shape) == (np.float32, (2, 4, 5, 3))
    for image, result in zip(images, got, strict=True):
        ordered = np.ascontiguousarray(image[:, :, [2, 1, 0]] if color == "BGR" else image)
        want = normalize(to_tensor(ordered), mean, std).permute(1, 2, 0).numpy()
        np.testing.assert_allclose(result, want, rtol=2e-5, atol=1e-6)
    first = (float(images[0, 0, 0, 2 if color == "BGR" else 0]) / 255 - 0.406) * 255
    assert got[0, 0, 0, 0] == pytest.approx(first, rel=1e-5)


def test_the_mean_as_a_colour_is_red_first_whatever_the_network_reads():
    for color, expected in (("RGB", (0, 128, 255)), ("BGR", (255, 128, 0))):
        transform = ImageTransform(size=(4, 2), color=color, mean=(-0.1, 0.5, 1.2), resize="letterbox")
        assert transform.mean_color == transform.padding == expected
        pixels = ImageLoader(transform)(PixelsEntry("", np.full((2, 2, 3), (9, 8, 7), np.uint8)))
        assert pixels[:, 0].tolist() == [list(expected), [9, 8, 7], [9, 8, 7], list(expected)]


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
        ("color", "GBR"),
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
        ("resize=squash-crop", "resize", "squash-crop"),
        ("color=BGR", "color", "BGR"),
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
