"""The seam for decoders that take several images at once, at its boundary: a decoder that behaves as one on a GPU."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from clsbench.component import Component
from clsbench.errors import DataError, ImageError, PluginError
from clsbench.guard import Guarded
from clsbench.images.batch_decoders import CALL_PIXELS
from clsbench.images.clock import NO_CLOCK
from clsbench.images.entries import BytesEntry, PixelsEntry
from clsbench.images.loader import ImageLoader
from clsbench.images.resize import resize_pillow
from clsbench.testing import check_decoder
from clsbench.transform import ImageTransform

TRANSFORM = ImageTransform(size=(8, 8), crop_fraction=0.8)


def encoded(seed, form="JPEG", size=(20, 14), **options):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def turned(seed):
    """A JPEG with EXIF orientation 6."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(seed, exif=exif)


class Device:
    """Decodes with Pillow, resizes where it is asked to, and fails as it is told."""

    formats = frozenset({"jpeg"})

    def __init__(self, *, resizes: bool = True, bad: tuple[bytes, ...] = (), lost: bool = False):
        self.resizes, self.bad, self.lost = resizes, set(bad), lost
        self.calls, self._lock = [], threading.Lock()

    def __call__(self, data):
        try:
            return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except OSError as error:
            raise DataError(str(error)) from error

    def decode_batch(self, data, geometries, out, *, interpolation):
        with self._lock:
            self.calls.append(len(data))
        if self.lost:
            raise RuntimeError("the device is lost")
        return [self._one(*row, interpolation) for row in zip(data, geometries, out, strict=True)]

    def _one(self, data, geometry, slot, interpolation):
        if data in self.bad:
            return ValueError("arithmetic coding is not supported")
        try:
            pixels = self(data)
        except Exception as error:  # noqa: BLE001
            return error
        if geometry is None or not self.resizes:
            assert slot is None or slot.shape == (*geometry.size, 3)
            return pixels
        slot[:] = resize_pillow(pixels, geometry, interpolation)
        return None


def loaded(loader, contents):
    """The slots after one call, and the errors by row."""
    slots = np.full((len(contents), *loader.transform.size, 3), 99, np.uint8)
    entries = [
        BytesEntry(str(k), content) if isinstance(content, bytes) else PixelsEntry(str(k), content)
        for k, content in enumerate(contents)
    ]
    found = list(loader.batches.load(entries, slots, NO_CLOCK))
    assert sorted(row for row, _ in found) == list(range(len(contents)))
    return slots, {row: error for row, error in found if error is not None}


def expected(transform, contents):
    """What the loader without the decoder makes of them."""
    loader = ImageLoader(transform)
    return np.stack([loader(BytesEntry("", content)) for content in contents])


@pytest.mark.parametrize("resizes", [True, False])
@pytest.mark.parametrize(
    "transform",
    [
        TRANSFORM,
        ImageTransform(size=(8, 12), resize="letterbox", pad=(1, 2, 3)),
        ImageTransform(size=(8, 8), color="L"),
        ImageTransform(size=(6, 9), resize="squash", exif=False),
    ],
)
def test_it_is_the_one_path_for_pixels(transform, resizes):
    contents = [encoded(0), turned(1), encoded(2, "PNG"), encoded(3, size=(9, 30))]
    device = Device(resizes=resizes)
    loader = ImageLoader(transform, [device])
    slots, errors = loaded(loader, contents)
    assert not errors
    assert device.calls == [3]
    np.testing.assert_allclose(slots.astype(int), expected(transform, contents), atol=2)
    single = np.stack([loader(BytesEntry("", content)) for content in contents])
    np.testing.assert_allclose(slots.astype(int), single, atol=2)
    assert loader.batches.decoded.to_json() == {"decoder": "Device", "images": 3, "on_cpu": 1, "failed": 0}


def test_rows_that_it_cannot_read_go_to_the_cpu_and_only_they():
    odd = encoded(1)
    contents = [encoded(0), odd, encoded(2, "PNG"), encoded(3)[:-100], b"no image", b"", encoded(4)]
    loader = ImageLoader(TRANSFORM, [Device(bad=[odd])])
    slots, errors = loaded(loader, contents)
    assert {row: error.reason for row, error in errors.items()} == {3: "truncated", 4: "not_an_image", 5: "empty"}
    good = [0, 1, 2, 6]
    np.testing.assert_allclose(slots[good].astype(int), expected(TRANSFORM, [contents[k] for k in good]), atol=2)
    told = loader.batches.decoded
    assert (told.images, told.on_cpu, told.failed) == (2, 4, 2)
    assert told.reason == "ValueError: arithmetic coding is not supported"


def test_a_call_that_fails_leaves_its_rows_to_the_cpu():
    contents = [encoded(k) for k in range(5)]
    loader = ImageLoader(TRANSFORM, [Device(lost=True)])
    slots, errors = loaded(loader, contents)
    assert not errors
    np.testing.assert_array_equal(slots, expected(TRANSFORM, contents))
    told = loader.batches.decoded
    assert (told.images, told.failed, told.reason) == (0, 5, "RuntimeError: the device is lost")


def test_calls_are_bounded(monkeypatch):
    monkeypatch.setattr("clsbench.images.batch_loader.CALL_PIXELS", 2 * 20 * 14)
    device = Device()
    loader = ImageLoader(TRANSFORM, [device])
    contents = [encoded(k) for k in range(5)] + [encoded(9, size=(40, 28))]
    _, errors = loaded(loader, contents)
    assert not errors
    assert device.calls == [2, 2, 1], "the last one has more pixels than a call may have"
    monkeypatch.undo()
    device.calls.clear()
    monkeypatch.setattr("clsbench.images.batch_loader.CALL_BYTES", len(contents[0]))
    loaded(ImageLoader(TRANSFORM, [device]), contents[:3])
    assert device.calls == [1, 1, 1]


def test_images_over_the_limit_do_not_reach_it():
    device = Device()
    _, errors = loaded(ImageLoader(TRANSFORM, [device], max_pixels=200), [encoded(0), encoded(1, size=(10, 10))])
    assert device.calls == [1]
    assert isinstance(errors[0], ImageError)
    assert errors[0].reason == "too_large"
    assert CALL_PIXELS <= 1 << 24


def test_a_decoder_before_it_comes_first():
    class First:
        formats = frozenset({"jpeg"})

        def __call__(self, data):
            return np.full((4, 4, 3), 7, np.uint8)

    device = Device()
    slots, _ = loaded(ImageLoader(TRANSFORM, [First(), device]), [encoded(0)])
    assert not device.calls
    assert (slots == 7).all()


def test_without_such_a_decoder_nothing_is_batched():
    assert ImageLoader(TRANSFORM).batches is None


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (lambda n: [], "one answer an image"),
        (lambda n: None, "one answer an image"),
        (lambda n: ["no"] * n, "the pixels of an image"),
        (lambda n: [np.zeros((3, 3, 3), np.uint8)] * n, "the pixels of an image"),
        (lambda n: [np.zeros((14, 20, 3), np.float32)] * n, "the pixels of an image"),
    ],
)
def test_a_wrong_answer_ends_the_job_and_names_the_plugin(answers, says):
    class Wrong(Device):
        def decode_batch(self, data, geometries, out, *, interpolation):
            return answers(len(data))

    loader = ImageLoader(TRANSFORM, [Guarded(Wrong(), "acme/gpu", "distribution acme 1", "decoder")])
    with pytest.raises(PluginError, match=says) as caught:
        loaded(loader, [encoded(0)])
    assert "acme" in str(caught.value)


def test_a_slot_is_not_filled_where_there_is_none():
    class Lazy(Device):
        def decode_batch(self, data, geometries, out, *, interpolation):
            return [None] * len(data)

    with pytest.raises(PluginError, match="the pixels of an image"):
        loaded(ImageLoader(TRANSFORM, [Lazy()]), [turned(0)])


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit])
def test_interrupts_and_what_is_worse_are_not_swallowed(error):
    class Interrupted(Device):
        def decode_batch(self, data, geometries, out, *, interpolation):
            raise error("now")

    loader = ImageLoader(TRANSFORM, [Guarded(Interrupted(), "acme/gpu", "distribution acme 1", "decoder")])
    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else PluginError):
        loaded(loader, [encoded(0)])


def test_the_kit_checks_it():
    jpeg = encoded(0)
    pixels = Device()(jpeg)
    for resizes in (True, False):
        check_decoder(Component("device", lambda resizes=resizes: Device(resizes=resizes)), jpeg, pixels)

    class Swapping(Device):
        """What fails is left out, so that the next image gets its place."""

        def decode_batch(self, *rows, interpolation):
            answers = super().decode_batch(*rows, interpolation=interpolation)
            return [answer for answer in answers if not isinstance(answer, Exception)]

    class Careless(Device):
        """Writes beside its slot."""

        def decode_batch(self, data, geometries, out, *, interpolation):
            answers = super().decode_batch(data, geometries, out, interpolation=interpolation)
            out[-1].base[:] = 0
            return answers

    for wrong, says in ((Swapping, "2 answers for 3 images"), (Careless, "levels from it")):
        with pytest.raises(AssertionError, match=says):
            check_decoder(Component("wrong", wrong), jpeg, pixels)
