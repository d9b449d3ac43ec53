import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clsbench.datasets.dataset import Sample
from clsbench.errors import DataError
from clsbench.images.entries import BytesEntry, FileEntry, PixelsEntry
from clsbench.images.loader import ImageLoader
from clsbench.training.augmentation import Augmentation
from clsbench.training.batches import Batches
from clsbench.training.stored_images import StoredImages
from clsbench.transform import ImageTransform

TRANSFORM = ImageTransform(size=(8, 8))
CPU = torch.device("cpu")


def png(k):
    file = io.BytesIO()
    pixels = np.random.default_rng(k).integers(0, 256, (12, 10 + k % 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


SAMPLES = [Sample(BytesEntry(f"{k}.png", png(k)), k % 3) for k in range(11)]
BROKEN = Sample(BytesEntry("broken.png", b"\x89PNG\r\n\x1a\nbroken"), 0)


class CountingLoader(ImageLoader):
    """Counts what it decodes."""

    decoded = 0

    def decode(self, data, *, fleeting=False):
        self.decoded += 1
        return super().decode(data, fleeting=fleeting)


@pytest.fixture
def prepared(tmp_path):
    """prepared(samples, storage): images that were read once."""
    made = []

    def prepared(samples=SAMPLES, storage="ram", *, policy="none", side=8, heard=lambda count: None, decode=False):
        transform = ImageTransform(size=(side, side))
        augmentation = Augmentation(policy, transform, len(samples))
        made.append(StoredImages(samples, CountingLoader(transform), augmentation, threads=2))
        made[-1].prepare(storage, tmp_path, heard, decode=decode)
        return made[-1]

    yield prepared
    for pictures in made:
        pictures.close()


def epoch(pictures, number, *, shuffle=True):
    images, labels = zip(*Batches(pictures, 4, CPU, shuffle=shuffle).epoch(number), strict=True)
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize("policy", ["none", "basic", "trivial"])
@pytest.mark.parametrize("side", [8, 72])
def test_memory_disk_and_neither_give_the_same_batches(policy, side, prepared):
    kept = [prepared(storage=storage, policy=policy, side=side) for storage in ("ram", "disk", "off")]
    for number in (1, 2):
        first, *others = (epoch(pictures, number) for pictures in kept)
        for other in others:
            torch.testing.assert_close(other, first, rtol=0, atol=0)


def test_without_augmentation_pictures_are_the_image_loaders_in_the_given_order(prepared):
    images, labels = epoch(prepared(), 0, shuffle=False)
    np.testing.assert_array_equal(images, [ImageLoader(TRANSFORM)(sample.image) for sample in SAMPLES])
    assert labels.tolist() == [sample.label for sample in SAMPLES]
    assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)


@pytest.mark.parametrize(("storage", "later"), [("ram", 0), ("disk", 0), ("off", 22)])
def test_kept_pictures_are_decoded_once_and_for_all(storage, later, prepared):
    pictures = prepared(storage=storage, policy="basic")
    first = pictures._loader.decoded
    assert first == (0 if storage == "off" else 11)
    for number in (1, 2):
        epoch(pictures, number, shuffle=False)
    assert pictures._loader.decoded == first + later


@pytest.mark.parametrize("storage", ["ram", "disk", "off"])
def test_unreadable_pictures_are_left_out_with_the_reason(storage, prepared):
    pictures = prepared([*SAMPLES[:2], BROKEN, *SAMPLES[2:5]], storage)
    images, labels = epoch(pictures, 0, shuffle=False)
    np.testing.assert_array_equal(images, [ImageLoader(TRANSFORM)(sample.image) for sample in SAMPLES[:5]])
    assert labels.tolist() == [0, 1, 2, 0, 1]
    with pytest.raises(DataError) as caught:
        ImageLoader(TRANSFORM)(BROKEN.image)
    assert pictures.unreadable == {"broken.png": caught.value.one_line()}
    # Without storage it is decoded in the epoch, and would be tried again in the next.
    assert pictures.indices.tolist() == ([0, 1, 2, 3, 4, 5] if storage == "off" else [0, 1, 3, 4, 5])
    assert list(pictures.failing) == ([2] if storage == "off" else [])


def test_unreadable_pictures_are_found_beforehand_if_asked_even_where_nothing_is_kept(prepared):
    samples = [*SAMPLES, BROKEN]
    assert list(prepared(samples, "off", decode=True).unreadable) == ["broken.png"]
    assert list(prepared(samples, "off", decode=False).unreadable) == []


def test_missing_and_empty_files_are_found_even_where_nothing_is_kept(prepared):
    samples = [
        *SAMPLES,
        Sample(FileEntry("gone.png", str(Path("/nowhere/gone.png"))), 0),
        Sample(BytesEntry("empty.png", b""), 0),
    ]
    assert sorted(prepared(samples, "off").unreadable) == ["empty.png", "gone.png"]


def test_a_whole_batch_of_unreadable_pictures_is_passed_over(prepared):
    samples = [*(Sample(BytesEntry(f"{k}.txt", b"text"), 0) for k in range(4)), *SAMPLES[:4]]
    batches = Batches(prepared(samples, "off"), 4, CPU)
    assert [labels.tolist() for _, labels in batches.epoch(0)] == [[0, 1, 2, 0]]


@pytest.mark.parametrize("storage", ["ram", "disk", "off"])
@pytest.mark.parametrize("samples", [[Sample(BytesEntry("a.png", b"text"), 0)], []])
def test_no_readable_picture_at_all_is_an_error(samples, storage, prepared):
    with pytest.raises(DataError, match="none of the images can be read"):
        epoch(prepared(samples, storage), 0, shuffle=False)


@pytest.mark.parametrize("storage", ["ram", "off"])
def test_digests_are_equal_for_the_same_picture_wherever_it_lies(storage, tmp_path, prepared):
    (tmp_path / "copy.png").write_bytes(png(0))
    pixels = np.zeros((8, 8, 3), np.uint8)
    arrays = [
        Sample(PixelsEntry("black", pixels), 0),
        Sample(PixelsEntry("black too", pixels.copy()), 1),
        Sample(PixelsEntry("white", pixels + 255), 1),
    ]
    digests = prepared(
        [*SAMPLES, Sample(FileEntry("copy.png", str(tmp_path / "copy.png")), 1), *arrays], storage
    ).digests
    assert digests["copy.png"] == digests["0.png"]
    assert digests["black"] == digests["black too"]
    assert len(set(digests.values())) == len(digests) - 2 == len(SAMPLES) + 2


def test_pictures_without_a_label_are_left_out(prepared):
    assert epoch(prepared([Sample(BytesEntry("x.png", png(0)), None), *SAMPLES[:2]]), 0, shuffle=False)[1].tolist() == [
        0,
        1,
    ]


@pytest.mark.parametrize("storage", ["ram", "off"])
def test_every_picture_is_reported_as_read_even_an_unreadable_one(storage, prepared):
    heard = []
    prepared([*SAMPLES, BROKEN], storage, heard=heard.append)
    assert sum(heard) == 12


@pytest.mark.parametrize("policy", ["none", "basic"])
@pytest.mark.parametrize("size", [(40, 30), (72, 80)])
def test_the_room_that_pictures_take_is_known_beforehand(policy, size):
    augmentation = Augmentation(policy, ImageTransform(size=size, crop_fraction=0.5), 11)
    made = StoredImages(SAMPLES, ImageLoader(augmentation.transform), augmentation, threads=1)
    stored = [augmentation.load(ImageLoader(augmentation.transform), sample.image)[0] for sample in SAMPLES]
    assert made.stored_bytes == sum(array.nbytes for array in stored) >= 11 * 3 * size[0] * size[1]


def test_what_is_large_enough_is_hashed_as_validation_sees_it(prepared):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)).resize((300, 200)).save(
        file, "PNG"
    )
    samples = [Sample(BytesEntry("large.png", file.getvalue()), 0), *SAMPLES[:2], BROKEN]
    for policy in ("none", "basic"):
        images = prepared(samples, policy=policy, side=96)
        assert images.hashed.tolist() == [True, False, False, False]
        assert not images.hashes[1:].any()
        if policy == "none":
            plain = images.hashes[0]
    assert np.bitwise_count(plain ^ images.hashes[0]).sum() <= 16  # a whole image, stored to be cropped later
