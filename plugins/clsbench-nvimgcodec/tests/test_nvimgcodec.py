"""The decoder on the library itself, on the CPU; what a GPU and older versions do, by one that behaves like them."""

import io
import types

import numpy as np
import pytest
from PIL import Image

from clsbench import BytesEntry, Component, DeviceError, Geometry, ImageTransform
from clsbench.testing import check_decoder, installed, plugin_checks

pytest.importorskip("nvidia.nvimgcodec")

NAME = "nvimgcodec/nvimgcodec"


def encoded(seed, form="JPEG", mode="RGB", size=(40, 28), **options):
    noise = np.random.default_rng(seed).integers(0, 256, (7, 10, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize(size).convert(mode).save(file, form, **options)
    return file.getvalue()


def pillows(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture(scope="module")
def decoder():
    return installed("decoder", NAME).build(device="cpu")


def several(decoder, contents, **options):
    nothing = [None] * len(contents)
    return decoder.decode_batch(contents, nothing, nothing, interpolation="bilinear", **options)


@pytest.mark.parametrize(
    "check", plugin_checks("nvimgcodec", options={"decoder/nvimgcodec": {"device": "cpu"}}), ids=str
)
def test_plugin(check):
    check()


def test_with_torch_it_resizes_and_is_a_decoder_too():
    pytest.importorskip("torch")
    resizing, jpeg = installed("decoder", NAME).build(device="cpu", torch_resize=True), encoded(0)
    check_decoder(Component("nvimgcodec", lambda: resizing), jpeg, pillows(jpeg))
    box, slot = Geometry((4.0, 2.0, 36.0, 26.0), (12, 16)), np.zeros((12, 16, 3), np.uint8)
    answers = resizing.decode_batch([jpeg, jpeg], [box, box], [slot, slot], interpolation="bicubic")
    assert answers == [None, None]
    expected = Image.fromarray(pillows(jpeg)).resize((16, 12), Image.Resampling.BICUBIC, box.box)
    assert np.abs(slot.astype(int) - np.asarray(expected)).max() <= 2
    (whole,) = resizing.decode_batch([jpeg], [box], [slot], interpolation="nearest")
    np.testing.assert_array_equal(whole, pillows(jpeg))


def test_on_the_cpu_its_pixels_are_pillows(decoder):
    contents = [encoded(0), encoded(1, mode="L"), encoded(2, progressive=True), encoded(3, quality=30, subsampling=2)]
    for answer, content in zip(several(decoder, contents), contents, strict=True):
        np.testing.assert_array_equal(answer, pillows(content))


def test_each_row_gets_its_own_pixels_or_an_exception(decoder):
    whole = encoded(0, size=(300, 200))
    contents = [encoded(1), whole[:-400], encoded(2, mode="CMYK"), b"\xff\xd8\xffno", encoded(4), b""]
    answers = several(decoder, contents)
    assert [isinstance(answer, Exception) for answer in answers] == [False, True, True, True, False, True]
    assert "CMYK" in str(answers[2])
    for row in (0, 4):
        np.testing.assert_array_equal(answers[row], pillows(contents[row]))


def test_sizes_are_admitted_before_anything_is_decoded(decoder):
    def admit(width, height):
        if width > 100:
            raise ValueError(f"{width} × {height}")

    answers = several(decoder, [encoded(0), encoded(1, size=(120, 10))], admit=admit)
    assert answers[0].shape == (28, 40, 3)
    assert str(answers[1]) == "120 × 10"


def test_orientation_is_left_to_the_loader(decoder):
    exif = Image.Exif()
    exif[0x0112] = 6
    (answer,) = several(decoder, [encoded(0, exif=exif)])
    assert answer.shape == (28, 40, 3)


def test_a_loader_reads_by_it_what_it_reads_without():
    from clsbench.images.loader import ImageLoader

    loader = ImageLoader(ImageTransform(size=(16, 16)), [installed("decoder", NAME).build(device="cpu")])
    plain = ImageLoader(loader.transform)
    entries = [BytesEntry(f"{k}", encoded(k, "PNG" if k == 3 else "JPEG")) for k in range(6)]
    slots = np.zeros((6, 16, 16, 3), np.uint8)
    clock = types.SimpleNamespace(mark=lambda: (0.0, 0.0), lap=lambda stage, since: since)
    assert [error for _, error in loader.batches.load(entries, slots, clock)] == [None] * 6
    np.testing.assert_array_equal(slots, [plain(entry) for entry in entries])
    assert (loader.batches.decoded.images, loader.batches.decoded.on_cpu) == (5, 1)


def test_without_a_gpu_it_says_so_at_once():
    from nvidia import nvimgcodec

    try:
        nvimgcodec.Decoder(backends=[nvimgcodec.Backend(nvimgcodec.BackendKind.GPU_ONLY)])
    except RuntimeError:
        with pytest.raises(DeviceError, match="cannot decode on GPU 0") as caught:
            installed("decoder", NAME).build()
        assert "\x1b" not in str(caught.value)
    else:
        pytest.skip("there is a GPU")


def test_a_list_without_the_failed_images_is_not_trusted(decoder, monkeypatch):
    """Versions before 0.9 leave them out (python/decoder.cpp: "it will not be included in output")."""
    from clsbench_nvimgcodec.decoder import NvimgcodecDecoder

    codec = NvimgcodecDecoder("cpu")
    whole = codec._decoder()
    shorter = types.SimpleNamespace(decode=lambda streams, params: whole.decode(streams, params=params)[1:])
    monkeypatch.setattr(codec, "_decoder", lambda: shorter)
    with pytest.raises(RuntimeError, match="1 images for 2"):
        several(codec, [encoded(0), encoded(1)])


def test_a_library_that_decodes_nothing_is_refused(monkeypatch):
    """Without nvJPEG or a decoder for the GPU, it opens and gives None for every image."""
    from clsbench_nvimgcodec.decoder import NvimgcodecDecoder

    nothing = types.SimpleNamespace(decode=lambda streams, params: [None] * len(streams))
    monkeypatch.setattr(NvimgcodecDecoder, "_open", lambda self: nothing)
    with pytest.raises(DeviceError, match="does not decode"):
        NvimgcodecDecoder("gpu")


def test_without_fancy_upsampling_chroma_differs(decoder):
    content = encoded(0, subsampling=2)
    (rough,) = several(installed("decoder", NAME).build(device="cpu", fancy_upsampling=False), [content])
    assert not np.array_equal(rough, pillows(content))
    assert np.abs(rough.astype(int).mean() - pillows(content).mean()) < 2
