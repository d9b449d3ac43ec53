import io

import numpy as np
import pytest
from PIL import Image

from clsbench.errors import DataError, PluginError
from clsbench.images.entries import BytesEntry, FileEntry, PixelsEntry, in_memory
from clsbench.images.formats import sniff
from clsbench.images.loader import ImageLoader
from clsbench.images.resize import FILTERS
from clsbench.transform import ImageTransform

#: How far a faster resize may be from Pillow's, of 255.
RESIZE_BOUND = 2


@pytest.fixture
def photo():
    from sklearn.datasets import load_sample_image

    return np.ascontiguousarray(load_sample_image("china.jpg")[100:220, 50:290])


def encoded(pixels, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


class Fixed:
    """A decoder that answers one colour, or fails."""

    def __init__(self, answer, formats=("png",)):
        self.answer, self.formats = answer, frozenset(formats)

    def __call__(self, data):
        if isinstance(self.answer, Exception):
            raise self.answer
        return np.full((4, 4, 3), self.answer, np.uint8)


def held(content):
    return in_memory("a.png", content)


def test_files_bytes_and_pixels_give_the_same(photo, tmp_path):
    data = encoded(photo)
    (tmp_path / "a.png").write_bytes(data)
    loader = ImageLoader(ImageTransform(size=(32, 32)))
    for entry in (FileEntry("a.png", str(tmp_path / "a.png")), held(data)):
        np.testing.assert_array_equal(loader(entry), loader(held(photo)))


def test_squash_is_pillows_resize(photo):
    got = ImageLoader(ImageTransform(size=(50, 70), resize="squash", interpolation="bicubic"))(held(photo))
    want = np.asarray(Image.fromarray(photo).resize((70, 50), Image.Resampling.BICUBIC))
    assert abs(got.astype(int) - want).max() <= RESIZE_BOUND


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "box"])
def test_crop_is_resizing_everything_and_cropping_the_middle(photo, interpolation):
    got = ImageLoader(ImageTransform(size=(48, 48), crop_fraction=0.75, interpolation=interpolation))(held(photo))
    whole = Image.fromarray(photo).resize((128, 64), Image.Resampling[interpolation.upper()])
    difference = got.astype(int) - np.asarray(whole.crop((40, 8, 88, 56)))
    assert abs(difference).max() <= RESIZE_BOUND


@pytest.mark.parametrize("source_size", [(240, 120), (120, 240)])
def test_letterbox_keeps_the_picture_whole_and_pads_with_the_mean(source_size):
    width, height = source_size
    white = np.full((height, width, 3), 255, np.uint8)
    got = ImageLoader(ImageTransform(size=(64, 64), resize="letterbox", mean=(0.2, 0.4, 0.6)))(held(white))
    got = got if width > height else got.transpose(1, 0, 2)
    assert (got[16:48] == 255).all()
    padding = np.broadcast_to(np.array([51, 102, 153], np.uint8), (16, 64, 3))
    np.testing.assert_array_equal(got[:16], padding)
    np.testing.assert_array_equal(got[48:], padding)


def test_letterbox_of_the_right_shape_has_no_padding(photo):
    letterbox = ImageTransform(size=(60, 120), resize="letterbox")
    squash = ImageTransform(size=(60, 120), resize="squash")
    np.testing.assert_array_equal(ImageLoader(letterbox)(held(photo)), ImageLoader(squash)(held(photo)))


def test_grey_is_repeated_into_three_channels(photo):
    got = ImageLoader(ImageTransform(size=(120, 240), color="L", resize="squash"))(held(photo))
    grey = np.asarray(Image.fromarray(photo).convert("L"))
    for channel in range(3):
        np.testing.assert_array_equal(got[:, :, channel], grey)


def test_a_picture_of_the_right_size_is_not_touched(photo):
    np.testing.assert_array_equal(ImageLoader(ImageTransform(size=(120, 240)))(held(photo)), photo)


def test_a_plugins_decoder_comes_before_the_built_in_ones(photo):
    loader = ImageLoader(ImageTransform(size=(4, 4)), [Fixed(7)])
    assert (loader(held(encoded(photo))) == 7).all()


def test_a_plugins_decoder_sees_only_its_formats(photo):
    loader = ImageLoader(ImageTransform(size=(120, 240)), [Fixed(7, formats=("jpeg",))])
    np.testing.assert_array_equal(loader(held(encoded(photo))), photo)


@pytest.mark.parametrize("failure", [ValueError("only on Tuesdays"), DataError("only on Tuesdays"), RuntimeError()])
def test_where_a_plugins_decoder_fails_the_next_one_reads_the_picture(photo, failure):
    loader = ImageLoader(ImageTransform(size=(120, 240)), [Fixed(failure)])
    np.testing.assert_array_equal(loader(held(encoded(photo))), photo)


@pytest.mark.parametrize("failure", [ValueError("only on Tuesdays"), DataError("only on Tuesdays")])
def test_a_plugins_reason_reaches_the_user(failure):
    loader = ImageLoader(ImageTransform(size=(4, 4)), [Fixed(failure, formats=("unknown",))])
    with pytest.raises(DataError, match="only on Tuesdays"):
        loader(held(b"a format of its own"))


def test_a_plugin_may_bring_a_format_that_clsbench_does_not_know():
    data = b"GREY\x07"
    assert sniff(data) == "unknown"
    loader = ImageLoader(ImageTransform(size=(4, 4)), [Fixed(7, formats=("grey",))])
    assert (loader(held(data)) == 7).all()


def test_an_empty_file_says_so(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(DataError, match="empty"):
        ImageLoader(ImageTransform(size=(4, 4)))(FileEntry("a.jpg", str(tmp_path / "a.jpg")))


@pytest.mark.parametrize("name", ["missing.jpg", ".", "a\0b"])
def test_a_file_that_cannot_be_opened_says_why(tmp_path, name):
    with pytest.raises(DataError, match="cannot be read"):
        ImageLoader(ImageTransform(size=(4, 4)))(FileEntry(name, str(tmp_path / name)))


def jpeg(width, height):
    across, down = np.linspace(0, 6, width), np.linspace(0, 4, height)
    waves = 127 + 120 * np.sin(across[None, :, None] + down[:, None, None] * [1.0, 2.0, 3.0])
    stream = io.BytesIO()
    Image.fromarray(waves.astype(np.uint8)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("width", "height", "decoded"),
    [(4000, 3000, (750, 1000)), (3000, 4000, (1000, 750)), (1024, 1024, (512, 512)), (900, 700, (700, 900))],
)
def test_fast_decode_shrinks_by_powers_of_two_and_keeps_twice_the_target(width, height, decoded):
    loader = ImageLoader(ImageTransform(size=(224, 224), crop_fraction=0.875), fast_decode=True)
    assert loader.decode(jpeg(width, height), fleeting=True).shape[:2] == decoded
    assert loader.decode(jpeg(width, height)).shape[:2] == (height, width)


def test_fast_decode_shows_the_same_picture():
    transform, data = ImageTransform(size=(224, 224)), jpeg(2000, 1500)
    fast, exact = ImageLoader(transform, fast_decode=True)(held(data)), ImageLoader(transform)(held(data))
    assert abs(fast.astype(int) - exact).mean() < 1


def test_without_fast_decode_every_pixel_is_decoded():
    loader = ImageLoader(ImageTransform(size=(8, 8)))
    assert loader.decode(jpeg(800, 600), fleeting=True).shape == (600, 800, 3)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_real_photos_are_pillows_but_for_two_levels(hymenoptera, interpolation):
    transform = ImageTransform(size=(224, 224), crop_fraction=0.875, interpolation=interpolation)
    loader = ImageLoader(transform)
    for file in sorted(hymenoptera.rglob("*.jpg"))[::20]:
        photo = Image.open(file).convert("RGB")
        box = transform.geometry(*photo.size).box
        want = photo.resize((224, 224), FILTERS[interpolation], box)
        assert abs(loader(FileEntry(file.name, str(file))) - np.asarray(want, int)).max() <= 2


class Returning:
    """A decoder that returns what it is told."""

    formats = frozenset({"png"})

    def __init__(self, pixels):
        self.pixels = pixels

    def __call__(self, data):
        return self.pixels


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (np.zeros((4, 5, 4), np.uint8), r"uint8 \(4, 5, 4\)"),
        (np.zeros((4, 5, 3), np.float32), r"float32 \(4, 5, 3\)"),
        (np.zeros((4, 5, 3), np.int8), r"int8 \(4, 5, 3\)"),
        (np.zeros((3, 4, 5), np.uint8), r"uint8 \(3, 4, 5\)"),
        (np.zeros((4, 5), np.uint8), r"uint8 \(4, 5\)"),
        (np.zeros((1, 4, 5, 3), np.uint8), r"uint8 \(1, 4, 5, 3\)"),
        (np.zeros((0, 5, 3), np.uint8), r"uint8 \(0, 5, 3\)"),
        (np.zeros((4, 0, 3), np.uint8), r"uint8 \(4, 0, 3\)"),
        ([[[0, 0, 0]]], "list"),
        (None, "NoneType"),
    ],
    ids=str,
)
def test_a_decoder_that_returns_no_pixels_ends_the_job_and_is_named(photo, wrong, got):
    loader = ImageLoader(ImageTransform(size=(4, 4)), [Returning(wrong)])
    for load in (loader, loader.pixels):
        with pytest.raises(PluginError, match=rf"Returning(.*\n)+  got: {got}\n.*uint8 .*\(H, W, 3\)"):
            load(held(encoded(photo)))


def test_an_entry_of_other_pixels_is_an_error_of_its_image(photo):
    loader = ImageLoader(ImageTransform(size=(4, 4)))
    for wrong in (photo.astype(np.float32), photo.transpose(2, 0, 1), photo[..., 0], photo[:0]):
        with pytest.raises(DataError, match="not an image"):
            loader(PixelsEntry("a.png", wrong))


def test_pixels_that_are_not_contiguous_are_used_as_they_show(photo):
    data, turned = encoded(photo), photo[::-1, ::-1]
    loader = ImageLoader(ImageTransform(size=(120, 240)), [Returning(turned)])
    assert loader.decode(data).flags.c_contiguous
    np.testing.assert_array_equal(loader(held(data)), turned)
    np.testing.assert_array_equal(ImageLoader(ImageTransform(size=(120, 240)))(held(turned)), turned)


class Declaring(Fixed):
    """Remembers the keyword arguments it was called with."""

    def __init__(self, accepts):
        super().__init__(7)
        self.accepts, self.got = frozenset(accepts), None

    def __call__(self, data, **features):
        self.got = set(features)
        return super().__call__(data)


@pytest.mark.parametrize("fast_decode", [False, True])
@pytest.mark.parametrize("accepts", [(), ("scratch",), ("shrink",), ("scratch", "shrink")])
def test_a_decoder_is_given_what_it_accepts_where_its_pixels_are_used_up_at_once(photo, accepts, fast_decode):
    decoder = Declaring(accepts)
    loader = ImageLoader(ImageTransform(size=(4, 4)), [decoder], fast_decode=fast_decode)
    loader(held(encoded(photo)))
    assert decoder.got == set(accepts) - (set() if fast_decode else {"shrink"})
    loader.pixels(held(encoded(photo)))
    assert decoder.got == set()


@pytest.mark.parametrize("defers", [False, True])
def test_the_reason_of_a_decoder_that_defers_is_left_to_the_next(defers):
    decoder = Fixed(DataError("only on Tuesdays"))
    decoder.defers = defers
    with pytest.raises(DataError, match=r"damaged|known format") as caught:
        ImageLoader(ImageTransform(size=(4, 4)), [decoder])(held(b"\x89PNG\r\n\x1a\n"))
    assert ("only on Tuesdays" in str(caught.value)) != defers


def test_a_plugin_error_of_a_decoder_is_not_one_of_its_image(photo):
    with pytest.raises(PluginError, match="broken"):
        ImageLoader(ImageTransform(size=(4, 4)), [Fixed(PluginError("broken"))])(held(encoded(photo)))


class Strange:
    """An entry of a plugin's."""

    name = "strange.png"

    def __init__(self, content):
        self.content = content

    def read(self):
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


@pytest.mark.parametrize(
    ("content", "message"),
    [(OSError("no route to host"), "OSError: no route"), (DataError("encrypted"), "encrypted"), ("text", "got: str")],
)
def test_what_an_entry_does_wrong_is_an_error_of_its_image(content, message):
    with pytest.raises(DataError, match=message):
        ImageLoader(ImageTransform(size=(4, 4)))(Strange(content))


class Ticking:
    """A clock that ticks when it is asked, and writes down the stages."""

    def __init__(self):
        self.now, self.stages = 0.0, []

    def mark(self):
        self.now += 1
        return self.now, self.now

    def lap(self, stage, since):
        assert since == (self.now, self.now), "each stage begins where the last one ended"
        self.stages.append(stage)
        return self.mark()


def test_the_clock_hears_every_stage_once(photo):
    loader, slot = ImageLoader(ImageTransform(size=(4, 4))), np.empty((4, 4, 3), np.uint8)
    for content, stages in (
        (encoded(photo), ["read", "decode", "resize", "copy"]),
        (photo, ["read", "resize", "copy"]),
    ):
        clock = Ticking()
        loader.load_into(held(content), slot, clock)
        assert clock.stages == stages
        np.testing.assert_array_equal(slot, loader(held(content)))


@pytest.mark.parametrize("resize", ["crop", "squash", "squash-crop", "letterbox"])
@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("JPEG", {"quality": 90}), ("WEBP", {}), ("BMP", {})])
def test_every_way_into_the_slot_is_pillows_decoding_and_resizing(photo, tmp_path, form, options, resize):
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, form, **options)
    (tmp_path / "a").write_bytes(stream.getvalue())
    with Image.open(stream) as image:
        pixels = np.asarray(image.convert("RGB"))
    transform = ImageTransform(size=(30, 40), resize=resize, crop_fraction=0.8, mean=(0.5, 0.5, 0.5))
    geometry = transform.geometry(*pixels.shape[1::-1])
    want = np.full((30, 40, 3), 128, np.int64)
    h, w = geometry.size
    top, left = (30 - h) // 2, (40 - w) // 2
    want[top : top + h, left : left + w] = Image.fromarray(pixels).resize((w, h), FILTERS["bilinear"], geometry.box)
    loader = ImageLoader(transform)
    for entry in (FileEntry("a", str(tmp_path / "a")), BytesEntry("a", stream.getvalue()), PixelsEntry("a", pixels)):
        slot = np.zeros((30, 40, 3), np.uint8)
        loader.load_into(entry, slot)
        assert abs(slot - want).max() <= RESIZE_BOUND
