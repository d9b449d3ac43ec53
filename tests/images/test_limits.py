import contextlib
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from clsbench.errors import ImageError
from clsbench.images import limits
from clsbench.images.entries import in_memory
from clsbench.images.limits import FREE_PIXELS, MAX_PIXELS, PixelBudget
from clsbench.images.loader import ImageLoader
from clsbench.transform import ImageTransform

TRANSFORM = ImageTransform(size=(4, 4))


def encoded(form, size=(30, 20)):
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, form)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("fleeting", [False, True])
def test_an_image_beyond_max_pixels_says_its_size_and_the_limit(form, fleeting):
    data = encoded(form)
    assert ImageLoader(TRANSFORM, max_pixels=600).decode(data, fleeting=fleeting).shape == (20, 30, 3)
    with pytest.raises(
        ImageError, match=r"30 × 20 = 600 pixels(.*\n.*)at most 599 pixels(.*\n.*)--max-pixels"
    ) as caught:
        ImageLoader(TRANSFORM, max_pixels=599).decode(data, fleeting=fleeting)
    assert caught.value.reason == "too_large"


def test_a_higher_limit_than_pillows_is_one_for_pillow_too(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    ImageLoader(TRANSFORM, max_pixels=MAX_PIXELS)
    assert 2 * Image.MAX_IMAGE_PIXELS == MAX_PIXELS
    ImageLoader(TRANSFORM, max_pixels=2 * MAX_PIXELS + 1)
    assert 2 * Image.MAX_IMAGE_PIXELS >= 2 * MAX_PIXELS + 1


def test_large_images_wait_for_one_another_and_others_do_not():
    budget, entered = PixelBudget(), []
    side = int(budget.total**0.5)
    budget.admit(side, side)

    def enter(name, width, height):
        budget.admit(width, height)
        entered.append(name)
        budget.release()

    large = threading.Thread(target=enter, args=("large", side, side))
    large.start()
    normal = threading.Thread(target=enter, args=("normal", 4096, 4096))
    normal.start()
    normal.join(5)
    time.sleep(0.05)
    assert entered == ["normal"]
    budget.release()
    large.join(5)
    assert entered == ["normal", "large"]
    assert budget.left == budget.total


def test_one_larger_than_the_budget_takes_it_whole():
    budget = PixelBudget(100 * MAX_PIXELS)
    budget.admit(100_000, 100_000)
    assert budget.left == 0
    budget.admit(5_000, 5_000)  # what the thread held before is given back
    assert budget.left == budget.total - 25_000_000


def test_the_budget_is_never_exceeded(monkeypatch):
    monkeypatch.setattr(limits, "FREE_PIXELS", 10)
    budget, random = PixelBudget(), np.random.default_rng(0)
    budget.total = budget.left = 100
    held, most, lock = [], [], threading.Lock()

    def work(sizes):
        for size in sizes:
            budget.admit(int(size), 1)
            with lock:
                held.append(size)
                most.append(sum(held))
            time.sleep(0.0005)
            with lock:
                held.remove(size)
            budget.release()

    threads = [threading.Thread(target=work, args=(random.integers(11, 100, 30),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert max(most) <= 100
    assert budget.left == 100


@pytest.mark.parametrize("broken", [False, True])
def test_a_loader_gives_the_pixels_back_whatever_happens(broken, monkeypatch):
    monkeypatch.setattr(limits, "FREE_PIXELS", 100)
    loader = ImageLoader(TRANSFORM)
    for form in ("JPEG", "PNG"):
        data = encoded(form)[: -60 if broken else None]
        for load in (loader, loader.pixels):
            with pytest.raises(ImageError) if broken else contextlib.nullcontext():
                load(in_memory("a", data))
            assert loader._budget.left == loader._budget.total


def test_normal_photos_never_wait():
    assert FREE_PIXELS >= 12_000_000
