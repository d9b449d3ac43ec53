from itertools import product

import numpy as np
import pytest
import torch

from clsbench.images.entries import PixelsEntry
from clsbench.images.loader import ImageLoader
from clsbench.training.augmentation import CROP_RATIO, CROP_SCALE, SHIFT, STORED, ZOOM, Augmentation, mixing
from clsbench.transform import ImageTransform

#: Of inputs that are cropped, and of inputs so small that they are shifted instead.
LARGE, SMALL = ImageTransform(size=(72, 80), crop_fraction=0.7), ImageTransform(size=(16, 16), crop_fraction=0.7)
either_size = pytest.mark.parametrize("transform", [LARGE, SMALL], ids=["large", "small"])


def noise(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def where_it_is(width, height):
    """An image whose red says how far right a pixel is, and whose green how far down, of 255."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    return np.round(255 * np.stack([x, y, (x + y) / 2], axis=2)).astype(np.uint8)


def augmented(augmentation, pictures, epoch, indices=None):
    """What becomes of the images; with their indices in the dataset, if not 0, 1, 2, …"""
    loader = ImageLoader(augmentation.transform)
    stored, shapes = zip(*(augmentation.load(loader, PixelsEntry("", picture)) for picture in pictures), strict=True)
    indices = np.arange(len(pictures)) if indices is None else np.array(indices)
    return augmentation.apply(torch.from_numpy(np.stack(stored)), np.array(shapes, np.float32), indices, epoch)


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("resize", ["crop", "squash", "squash-crop", "letterbox"])
def test_without_augmentation_pictures_are_exactly_the_image_loaders(resize, epoch):
    transform = ImageTransform(size=(16, 12), resize=resize, crop_fraction=0.8)
    pictures = [noise(40, 30), noise(17, 50), noise(5, 5)]
    got = augmented(Augmentation("none", transform, 3), pictures, epoch)
    assert got.dtype == torch.uint8
    np.testing.assert_array_equal(got, [ImageLoader(transform)(PixelsEntry("", picture)) for picture in pictures])


@pytest.mark.parametrize("policy", ["basic", "rand", "trivial"])
@pytest.mark.parametrize("size", [(120, 80), (60, 150), (64, 64)])
def test_epoch_0_nearly_shows_what_validation_sees(policy, size):
    transform = ImageTransform(size=(72, 96), crop_fraction=0.8)
    got = augmented(Augmentation(policy, transform, 1), [where_it_is(*size)], 0)[0].numpy()
    want = ImageLoader(transform)(PixelsEntry("", where_it_is(*size))).astype(float)
    assert np.abs(got - want).mean() < 1


def test_pictures_to_be_cropped_are_stored_larger_than_the_input_without_the_ends_of_long_ones():
    stored, shape = Augmentation("basic", LARGE, 1).load(ImageLoader(LARGE), PixelsEntry("", where_it_is(300, 120)))
    assert stored.shape == (round(STORED * 72), round(STORED * 80), 3)
    # Of 300 × 120 pixels those from 70 to 230 are kept: 4 by 3, as wide as is allowed.
    across = where_it_is(300, 120)[0, 70:230, 0]
    columns = np.interp(
        np.linspace(0, 160, stored.shape[1] + 1)[:-1] + 80 / stored.shape[1], np.arange(160) + 0.5, across
    )
    assert np.abs(stored[50, :, 0] - columns).max() <= 2
    left, top, right, bottom = LARGE.geometry(300, 120).box
    assert shape == pytest.approx(((left - 70) / 160, top / 120, (right - 70) / 160, bottom / 120, 160 / 120))


def test_crops_are_as_sharp_as_the_networks_filter_and_within_the_levels():
    contrast = {}
    for interpolation in ("bilinear", "bicubic"):
        transform = ImageTransform(size=(72, 72), interpolation=interpolation)
        crops = augmented(Augmentation("basic", transform, 8), [noise(90, 90)] * 8, 1)
        assert (crops.min() >= 0) & (crops.max() <= 255)
        contrast[interpolation] = float(crops.float().std())
    assert contrast["bicubic"] > 1.1 * contrast["bilinear"]


@pytest.mark.parametrize("policy", ["basic", "rand", "trivial"])
@pytest.mark.parametrize("transform", [SMALL, ImageTransform(size=(72, 72), resize="letterbox")])
def test_what_is_not_cropped_is_stored_as_validation_sees_it(policy, transform):
    stored, _ = Augmentation(policy, transform, 1).load(ImageLoader(transform), PixelsEntry("", noise(90, 40)))
    np.testing.assert_array_equal(stored, ImageLoader(transform)(PixelsEntry("", noise(90, 40))))
    np.testing.assert_array_equal(augmented(Augmentation(policy, transform, 1), [noise(90, 40)], 0)[0], stored)


def boxes(aspect, count=150, **options):
    """Boxes (n, 4) that random crops took from an image, as fractions of its sides, and which were flipped."""
    side = 72
    augmentation = Augmentation("basic", ImageTransform(size=(side, side)), count, **options)
    image = PixelsEntry("", where_it_is(round(200 * aspect), 200))
    stored, shape = augmentation.load(ImageLoader(augmentation.transform), image)
    images = torch.from_numpy(stored).expand(count, -1, -1, -1)
    shapes = np.tile(np.array(shape, np.float32), (count, 1))
    crops = augmentation.apply(images, shapes, np.arange(count), 1).numpy() / 255
    inner = slice(side // 4, -side // 4)
    centres = (np.arange(side) + 0.5)[inner] / side
    width, left = np.polyfit(centres, crops[:, :, inner, 0].mean(axis=1).T, 1)
    height, top = np.polyfit(centres, crops[:, inner, :, 1].mean(axis=2).T, 1)
    left, right = np.minimum(left, left + width), np.maximum(left, left + width)
    return np.stack([left, top, right, top + height], axis=1), width < 0


@pytest.mark.parametrize("aspect", [1.0, 4 / 3, 3 / 4, 16 / 9, 9 / 16, 3.0])
def test_crops_lie_within_the_picture_and_keep_the_stated_shape_and_part_of_the_largest_of_it(aspect):
    left, top, right, bottom = boxes(aspect)[0].T
    assert min(left.min(), top.min()) > -0.01
    assert max(right.max(), bottom.max()) < 1.01
    area, ratio = (right - left) * (bottom - top), aspect * (right - left) / (bottom - top)
    assert ratio.min() > CROP_RATIO[0] - 0.03
    assert ratio.max() < CROP_RATIO[1] + 0.03
    largest = np.minimum(ratio / aspect, aspect / ratio)  # full height or full width, as parts of the image
    assert (area / largest).min() > CROP_SCALE[0] - 0.03
    assert (area / largest).max() < CROP_SCALE[1] + 0.03


def test_crops_of_a_square_use_the_whole_range_of_areas_shapes_and_places():
    left, top, right, bottom = boxes(1.0)[0].T
    area, ratio = (right - left) * (bottom - top), (right - left) / (bottom - top)
    assert area.min() < 0.55
    assert area.max() > 0.9
    assert ratio.min() < 0.8
    assert ratio.max() > 1.25
    assert np.corrcoef(left, top)[0, 1] == pytest.approx(0, abs=0.3)
    assert min(left.std(), top.std()) > 0.05


def test_half_of_the_pictures_are_flipped():
    assert boxes(1.0)[1].mean() == pytest.approx(0.5, abs=0.1)


def test_nothing_is_flipped_where_a_mirrored_picture_means_something_else():
    assert not boxes(1.0, mirrored=False)[1].any()


def moved(picture, right, down, flip):
    """The image moved by whole pixels, its border repeated."""
    h, w = picture.shape[:2]
    rows, columns = np.clip(np.arange(h) + down, 0, h - 1), np.clip(np.arange(w) + right, 0, w - 1)
    return picture[rows][:, columns[::-1] if flip else columns]


@pytest.mark.parametrize(("mirrored", "interpolation"), [(True, "bilinear"), (False, "bicubic")])
def test_small_pictures_are_moved_a_little_in_whole_pixels_and_not_resampled(mirrored, interpolation):
    transform = ImageTransform(size=(32, 48), interpolation=interpolation)
    down, right = round(32 * SHIFT), round(48 * SHIFT)
    moves = list(product(range(-right, right + 1), range(-down, down + 1), (False, True)))
    wanted = np.stack([moved(noise(48, 32), *move) for move in moves])
    seen = set()
    for got in augmented(Augmentation("basic", transform, 150, mirrored=mirrored), [noise(48, 32)] * 150, 1).numpy():
        fitting = np.flatnonzero(np.abs(wanted[:, ::5] - got[::5]).max(axis=(1, 2, 3)) < 0.1)
        assert len(fitting) == 1
        assert np.abs(wanted[fitting[0]] - got).max() < 0.1
        seen.add(moves[fitting[0]])
    assert {x for x, _, _ in seen} == set(range(-right, right + 1))
    assert {y for _, y, _ in seen} == set(range(-down, down + 1))
    assert {f for _, _, f in seen} == ({False, True} if mirrored else {False})


@either_size
@pytest.mark.parametrize("policy", ["basic", "rand", "trivial"])
def test_what_happens_depends_on_seed_epoch_and_picture_and_not_on_the_batch(policy, transform):
    same = [noise(20, 20)] * 8
    augmentation = Augmentation(policy, transform, 8, seed=3)
    first = augmented(augmentation, same, 2)
    again = augmented(Augmentation(policy, transform, 8, seed=3), same[:3], 2, indices=[6, 1, 4])
    torch.testing.assert_close(again, first[[6, 1, 4]], rtol=0, atol=0)
    torch.testing.assert_close(augmented(augmentation, same[:1], 2, indices=[7])[0], first[7], rtol=0, atol=0)
    others = [augmented(augmentation, same, 3), augmented(Augmentation(policy, transform, 8, seed=4), same, 2)]
    for other in [*others, first.roll(1, 0)]:
        assert sum(torch.equal(a, b) for a, b in zip(other, first, strict=True)) <= 4


@either_size
@pytest.mark.parametrize("policy", ["rand", "trivial"])
def test_distorted_pictures_are_uint8_and_not_just_cropped(policy, transform):
    pictures = [noise(20, 20, seed=k) for k in range(12)]
    distorted = augmented(Augmentation(policy, transform, 12), pictures, 1)
    cropped = augmented(Augmentation("basic", transform, 12), pictures, 1)
    assert (distorted.dtype, distorted.shape) == (torch.uint8, (12, *transform.size, 3))
    changed = (distorted - cropped.round()).abs().flatten(1).max(dim=1).values > 1
    assert changed.sum() >= 6


@pytest.mark.parametrize("policy", ["basic", "rand", "trivial"])
def test_augmentation_leaves_the_random_numbers_of_the_network_alone(policy):
    before = torch.get_rng_state()
    augmented(Augmentation(policy, SMALL, 2), [noise(20, 20)] * 2, 1)
    assert torch.equal(torch.get_rng_state(), before)


LEVELS = torch.tensor([10.0, 60.0, 130.0, 250.0])


def mixed(mixup, cutmix):
    """Plain images of the class's level, mixed: images (n, 8, 8, 3), targets (n, 4)."""
    labels = torch.tensor([0, 1, 2, 3, 2, 1])
    images = LEVELS[labels].to(torch.uint8)[:, None, None, None].expand(-1, 8, 8, 3)
    return mixing(mixup, cutmix, 4)(images, labels)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.5, 0.0), (0.0, 1.0), (0.5, 1.0)])
def test_targets_say_how_much_of_each_class_a_mixed_picture_shows(mixup, cutmix):
    torch.manual_seed(0)
    for _ in range(5):
        images, targets = mixed(mixup, cutmix)
        torch.testing.assert_close(targets.sum(1), torch.ones(6))
        torch.testing.assert_close(images.mean(dim=(1, 2, 3)), targets @ LEVELS, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("mixup", "cutmix", "kinds"), [(0.5, 0.0, {"mixup"}), (0.0, 1.0, {"cutmix"}), (0.5, 1.0, {"mixup", "cutmix"})]
)
def test_with_both_each_batch_is_mixed_in_one_of_both_ways(mixup, cutmix, kinds):
    torch.manual_seed(0)
    seen = set()
    for _ in range(30):
        images, targets = mixed(mixup, cutmix)
        if 0.05 < targets[0].max() < 0.95:  # else hardly anything was mixed
            seen.add("cutmix" if images[0].std() > 1 else "mixup")
    assert seen == kinds


def test_no_mixing_is_none():
    assert mixing(0.0, 0.0, 3) is None


@pytest.mark.parametrize("size", [(72, 80), (16, 32)], ids=["large", "small"])
@pytest.mark.parametrize("resize", ["squash", "squash-crop", "letterbox"])
def test_squashed_and_letterboxed_pictures_stay_nearly_whole(resize, size):
    pad = (255, 0, 255)
    transform = ImageTransform(size=size, resize=resize, crop_fraction=0.875, pad=pad)
    pictures = [np.full((30, 90, 3), (0, 200, 0), np.uint8)] * 40
    made = augmented(Augmentation("basic", transform, 40), pictures, 1).float().numpy()
    green = (abs(made - (0, 200, 0)).max(axis=3) < 20).mean(axis=(1, 2))
    seen = ImageLoader(transform)(PixelsEntry("", pictures[0]))
    part = (seen == (0, 200, 0)).all(axis=2).mean()
    if resize != "letterbox":  # edges are repeated, so that nothing but the picture is seen
        assert green.min() == 1
    else:
        assert len({image.tobytes() for image in made}) > 5, "something is done to them"
        padded = (abs(made - pad).max(axis=3) < 20).mean(axis=(1, 2))
        assert (green + padded).min() > 0.85, "the picture and its padding, but for the edge between them"
        assert green.min() > part / ZOOM[1] ** 2 - 0.1
        assert green.max() < part / ZOOM[0] ** 2 + 0.02


def test_squashed_pictures_are_zoomed_and_moved_no_more_than_is_said():
    side, count = 72, 200
    augmentation = Augmentation("basic", ImageTransform(size=(side, side), resize="squash"), count, mirrored=False)
    made = augmented(augmentation, [where_it_is(300, 90)] * count, 1).numpy() / 255
    inner = slice(side // 4, -side // 4)
    centres = (np.arange(side) + 0.5)[inner] / side
    width, left = np.polyfit(centres, made[:, :, inner, 0].mean(axis=1).T, 1)
    height, top = np.polyfit(centres, made[:, inner, :, 1].mean(axis=2).T, 1)
    np.testing.assert_allclose(width, height, atol=0.02)
    assert (width.min(), width.max()) == pytest.approx(ZOOM, abs=0.02)
    assert max(left.max(), top.max(), 1 - (left + width).min(), 1 - (top + height).min()) < 0.125
