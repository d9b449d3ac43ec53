import io

import numpy as np
import pytest
import torch
from PIL import Image

from clsbench.datasets.dataset import Sample
from clsbench.errors import DataError
from clsbench.images.loader import ImageLoader
from clsbench.training.batches import CROP_RATIO, CROP_SCALE, Batches, basic_augmentation, plain, random_box
from clsbench.transform import ImageTransform

LOADER = ImageLoader(ImageTransform(size=(8, 8)))


def png(k):
    file = io.BytesIO()
    pixels = np.random.default_rng(k).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


SAMPLES = [Sample(f"{k}.png", png(k), k % 3) for k in range(23)]


def batches(samples=SAMPLES, load=None, **options):
    return Batches(samples, load or plain(LOADER), **{"batch_size": 4, "threads": 2, **options})


def everything(made, epoch=1):
    images, labels = zip(*made.epoch(epoch), strict=True)
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_threads_change_neither_pictures_nor_order(augmented, shuffle):
    load = basic_augmentation(LOADER, mirrored=True) if augmented else plain(LOADER)
    first, *others = (everything(batches(load=load, shuffle=shuffle, threads=n, seed=5)) for n in (1, 2, 7))
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=0)


def test_validation_sees_what_the_image_loader_gives_in_the_given_order():
    images, labels = everything(batches())
    np.testing.assert_array_equal(images, [LOADER(sample.image) for sample in SAMPLES])
    assert labels.tolist() == [sample.label for sample in SAMPLES]
    assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)


def test_an_epoch_of_training_holds_each_picture_at_most_once_and_whole_batches_only():
    made = batches(shuffle=True)
    sizes = [len(labels) for _, labels in made.epoch(1)]
    images, _ = everything(made)
    assert sizes == [4] * 5
    assert len(made) == 5
    assert len({image.numpy().tobytes() for image in images}) == 20


def test_fewer_pictures_than_a_batch_are_one_batch():
    made = batches(SAMPLES[:3], shuffle=True)
    assert [len(labels) for _, labels in made.epoch(1)] == [3]
    assert len(made) == 1


def test_each_epoch_and_each_seed_has_its_own_order_and_its_own_crops():
    load = basic_augmentation(LOADER, mirrored=True)
    seen = [everything(batches(load=load, shuffle=True, seed=s), e)[0] for s, e in ((0, 1), (0, 2), (1, 1), (0, 1))]
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert torch.equal(seen[0], seen[3])


def test_unreadable_pictures_are_left_out_and_remembered():
    samples = [*SAMPLES[:2], Sample("broken.png", b"\x89PNG\r\n\x1a\nbroken", 2), *SAMPLES[2:5]]
    made = batches(samples)
    images, labels = everything(made)
    np.testing.assert_array_equal(images, [LOADER(sample.image) for sample in SAMPLES[:5]])
    assert labels.tolist() == [sample.label for sample in SAMPLES[:5]]
    assert list(made.unreadable) == ["broken.png"]
    assert made.unreadable["broken.png"]


def test_pictures_without_a_label_are_left_out():
    assert everything(batches([Sample("x.png", png(0), None), *SAMPLES[:2]]))[1].tolist() == [0, 1]


def test_a_whole_batch_of_unreadable_pictures_is_passed_over():
    samples = [*(Sample(f"{k}.txt", b"text", 0) for k in range(4)), *SAMPLES[:4]]
    assert [labels.tolist() for _, labels in batches(samples).epoch(1)] == [[0, 1, 2, 0]]


@pytest.mark.parametrize("samples", [[Sample("a.png", b"text", 0)], []])
def test_no_readable_picture_at_all_is_an_error(samples):
    with pytest.raises(DataError, match="none of the pictures can be read"):
        list(batches(samples).epoch(1))


@pytest.mark.parametrize("mirrored", [True, False])
def test_pictures_are_flipped_only_where_a_mirrored_one_is_as_good(mirrored):
    bright_on_the_right = np.repeat(np.linspace(0, 255, 16).astype(np.uint8)[None, :, None], 16, axis=0).repeat(
        3, axis=2
    )
    load = basic_augmentation(LOADER, mirrored=mirrored)
    pictures = [load(Sample("a", bright_on_the_right, 0), np.random.default_rng(k)).astype(int) for k in range(60)]
    flipped = sum(picture[:, 0].mean() > picture[:, -1].mean() for picture in pictures)
    assert 15 < flipped < 45 if mirrored else flipped == 0


@pytest.mark.parametrize(("width", "height"), [(100, 100), (640, 480), (3, 500), (1, 1)])
def test_random_boxes_lie_inside_the_picture(width, height):
    random = np.random.default_rng(0)
    for _ in range(200):
        left, top, right, bottom = random_box(width, height, random)
        assert 0 <= left < right <= width + 1e-9
        assert 0 <= top < bottom <= height + 1e-9
        if width == height == 100:
            assert (right - left) * (bottom - top) <= width * height * CROP_SCALE[1] + 1e-6
            assert CROP_RATIO[0] * 0.7 <= (right - left) / (bottom - top) <= CROP_RATIO[1] / 0.7
