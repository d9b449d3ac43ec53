import io
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest

from clsbench import ImageError, OptionError, load
from clsbench.testing import installed, plugin_checks

pytest.importorskip("pydicom", reason="pydicom is not installed")
try:
    from clsbench_dicom.decoder import DicomDecoder
    from clsbench_dicom.frames import codestream_size, rle_sizes
except ImportError:
    pytest.skip("clsbench-dicom is not installed", allow_module_level=True)

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut, set_pixel_data
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

#: Values from -1000 to 1047, each once, as CT stores them: raised by 1024.
RAMP = (np.arange(2048, dtype=np.uint16) + 24).reshape(32, 64)


def dicom(pixels=RAMP, photometric="MONOCHROME2", bits=None, syntax=ExplicitVRLittleEndian, **elements):
    """A DICOM file of native pixels, (H, W) or (H, W, 3), with other elements by keyword."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    dataset.PatientName = "Secret^Person"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        set_pixel_data(dataset, pixels, photometric, bits or 8 * pixels.dtype.itemsize)
    for name, value in elements.items():
        setattr(dataset, name, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def item(**elements):
    part = Dataset()
    for name, value in elements.items():
        setattr(part, name, value)
    return part


def lookup_table(values, first, bits):
    part = item(LUTDescriptor=[len(values), first, bits], LUTData=list(values))
    part["LUTDescriptor"].VR = "US" if first >= 0 else "SS"
    part["LUTData"].VR = "US"
    return part


def grey(data, **options):
    pixels = DicomDecoder(**options)(data)
    assert (pixels[:, :, :1] == pixels).all()
    return pixels[:, :, 0]


#: Files whose pixels are known: the bytes that they were made of.
KNOWN = [
    (dicom(levels), np.repeat(levels[:, :, None], 3, 2))
    for levels in (RAMP[:9, :9].astype(np.uint8), RAMP[::2].astype(np.uint8))
]


@pytest.mark.parametrize("check", plugin_checks("dicom", "decoder", options={"decoder": {"images": KNOWN}}), ids=str)
def test_plugin(check):
    check()


def test_the_dataset_keeps_the_rules(scans):
    for check in plugin_checks("dicom", "dataset", options={"dataset/dicom": {"root": scans}}):
        check()


@pytest.fixture
def scans(tmp_path):
    """Class folders of dark and of light DICOM files, and one JPEG."""
    from PIL import Image

    for name, level in (("dark", 0), ("light", 1000)):
        for k in range(8):
            file = tmp_path / "scans" / name / f"{k}.dcm"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(dicom((RAMP // 8 + level + k).astype(np.uint16), WindowCenter=600, WindowWidth=1400))
    Image.new("RGB", (9, 9), (255, 255, 255)).save(tmp_path / "scans" / "light" / "photo.jpg")
    return tmp_path / "scans"


def test_a_window_of_ones_own_is_the_standards_formula():
    # PS3.3 C.11.2.1.2.1 for c = 40, w = 400, with y from 0 to 255.
    x = RAMP.astype(float) - 1024
    right = np.where(x <= 39.5 - 199.5, 0, np.where(x > 39.5 + 199.5, 255, ((x - 39.5) / 399 + 0.5) * 255))
    found = grey(dicom(RescaleSlope=1, RescaleIntercept=-1024), window="40,400")
    np.testing.assert_array_equal(found, np.rint(right))
    assert found.min() == 0
    assert found.max() == 255


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2.5, 10)])
def test_the_files_window_is_pydicoms(function, slope, intercept):
    data = dicom(
        RescaleSlope=slope, RescaleIntercept=intercept, WindowCenter=[300, 9], WindowWidth=[700, 9],
        VOILUTFunction=function,
    )  # fmt: skip
    dataset = pydicom.dcmread(io.BytesIO(data))
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = intercept, (2**16 - 1) * slope + intercept  # to where pydicom spreads the window
    np.testing.assert_allclose(grey(data), (shown - low) / (high - low) * 255, atol=0.5000001)


def test_lookup_tables_are_pydicoms():
    measured, shown = np.arange(4096)[::-1] // 2, (np.sqrt(np.arange(2048) / 2047) * 4095).astype(int)
    data = dicom(
        ModalityLUTSequence=[lookup_table(measured, 0, 16)], VOILUTSequence=[lookup_table(shown, 100, 12)],
        WindowCenter=1, WindowWidth=2,
    )  # fmt: skip
    dataset = pydicom.dcmread(io.BytesIO(data))
    right = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    np.testing.assert_allclose(grey(data), right / 4095 * 255, atol=0.5000001)


def test_without_a_window_the_values_are_spread_and_padding_does_not_count():
    values = np.array([[-2000, 0, 50, 100]], np.int16)
    assert grey(dicom(values, PixelPaddingValue=-2000)).tolist() == [[0, 0, 128, 255]]
    assert grey(dicom(values, WindowCenter=1, WindowWidth=2), window="range").tolist() == [[0, 243, 249, 255]]


def test_eight_bits_are_shown_as_they_are_and_few_bits_are_spread():
    assert grey(dicom(np.array([[3, 200]], np.uint8))).tolist() == [[3, 200]]
    assert grey(dicom(np.array([[0, 15, 5]], np.uint8), bits=4)).tolist() == [[0, 255, 85]]


def test_low_values_are_light_in_monochrome1():
    np.testing.assert_array_equal(grey(dicom(photometric="MONOCHROME1")), 255 - grey(dicom()))


def test_values_of_32_bits_and_floats_need_no_table():
    wide = RAMP.astype(np.uint32) * 100_003
    data = dicom(PixelData=wide.tobytes(), BitsAllocated=32, BitsStored=32, HighBit=31)
    np.testing.assert_array_equal(grey(data), np.rint((wide - wide.min()) / np.ptp(wide) * 255))


def test_frames_are_chosen_with_their_own_window():
    frames = [
        item(
            PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")],
            FrameVOILUTSequence=[item(WindowCenter=center, WindowWidth=100)],
        )
        for center in (0, 500)
    ]
    data = dicom(np.stack([RAMP, RAMP]), PerFrameFunctionalGroupsSequence=frames, NumberOfFrames=2)
    with pytest.raises(ImageError, match="holds 2 images"):
        DicomDecoder()(data)
    with pytest.raises(ImageError, match="no frame 3"):
        DicomDecoder(frame=3)(data)
    single = dicom(RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=500, WindowWidth=100)
    np.testing.assert_array_equal(grey(data, frame=2), grey(single))
    assert grey(data, frame=1).mean() > grey(data, frame=2).mean()


def test_colours_keep_their_eight_highest_bits():
    colours = np.random.default_rng(0).integers(0, 4096, (5, 7, 3)).astype(np.uint16)
    np.testing.assert_array_equal(DicomDecoder()(dicom(colours, "RGB", 12)), colours >> 4)
    for planes in (0, 1):  # the same file with samples in planes
        data = pydicom.dcmread(io.BytesIO(dicom((colours >> 4).astype(np.uint8), "RGB")))
        data.PlanarConfiguration = planes
        data.PixelData = (colours >> 4).astype(np.uint8).transpose((2, 0, 1) if planes else (0, 1, 2)).tobytes() + b"\0"
        file = io.BytesIO()
        data.save_as(file)
        np.testing.assert_array_equal(DicomDecoder()(file.getvalue()), colours >> 4)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_implicit.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("SC_rgb_rle_16bit.dcm", "SC_rgb_rle.dcm"),
    ],
)
def test_real_files_of_one_image_give_the_same_pixels(name, other):
    one, two = (DicomDecoder()(Path(get_testdata_file(file)).read_bytes()) for file in (name, other))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", ["examples_palette.dcm", "examples_rgb_color.dcm", "SC_rgb_jpeg_dcmtk.dcm"])
def test_colours_of_real_files_are_pydicoms(name):
    dataset = pydicom.dcmread(get_testdata_file(name))
    right = dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        right = pydicom.pixels.apply_color_lut(right, dataset) >> 8
    np.testing.assert_array_equal(DicomDecoder()(Path(get_testdata_file(name)).read_bytes()), right)


def encapsulated(syntax, frame, **elements):
    """A file whose header is that of RAMP, and whose pixels are this frame."""
    dataset = pydicom.dcmread(io.BytesIO(dicom(**elements)))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()


def refused(data, reason, words, **options):
    with pytest.raises(ImageError, match=words) as caught:
        DicomDecoder(**options)(data)
    assert caught.value.reason == reason
    assert "Secret" not in str(caught.value)


def test_headers_are_not_believed():
    from PIL import Image

    refused(dicom(Rows=65535, Columns=65535), "too_large", "too large")
    refused(dicom(Rows=13000, Columns=13000), "truncated", "less than expected")
    refused(dicom(NumberOfFrames=2_000_000_000), "truncated", "less than expected", frame=1)
    file = io.BytesIO()
    Image.new("L", (4000, 4000)).save(file, "JPEG")
    refused(encapsulated(JPEGBaseline8Bit, file.getvalue()), "truncated", "contradicts the image")
    file = io.BytesIO()
    Image.new("L", (900, 700)).save(file, "JPEG2000")
    assert codestream_size(file.getvalue()) == (900, 700)
    refused(encapsulated(JPEG2000Lossless, file.getvalue()), "truncated", "contradicts the image")
    swelling = np.array([2, 64, 64 + 2**15, *[0] * 13], "<u4").tobytes() + bytes([129, 0]) * 2**15
    assert rle_sizes(swelling) == [128 * 2**14, 128 * 2**14]
    refused(encapsulated(RLELossless, swelling), "truncated", "longer than the image")


def test_a_deflated_file_that_swells_is_refused(monkeypatch):
    data = dicom(syntax=DeflatedExplicitVRLittleEndian)
    assert grey(data).shape == RAMP.shape
    monkeypatch.setattr("clsbench_dicom.frames.MAX_INFLATED", 1 << 20)
    head = data[: 144 + int.from_bytes(data[140:144], "little")]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    refused(head + packer.compress(bytes(1 << 24)) + packer.flush(), "too_large", "becomes too large")


def test_what_is_no_single_image_says_why():
    refused(Path(get_testdata_file("test-SR.dcm")).read_bytes(), "unsupported", "no image in it")
    refused(encapsulated(JPEGLSLossless, b"\xff\xd8\xff\xf7"), "unsupported", "a package is missing")
    refused(Path(get_testdata_file("JPGExtended.dcm")).read_bytes(), "unsupported", "a package is missing")
    refused(dicom()[:-100], "truncated", "less than expected")
    refused(dicom()[: -RAMP.size * 2 - 12], "truncated", "ends before its image")
    refused(dicom(WindowCenter=1, WindowWidth=0), "truncated", "unusable window")


@pytest.mark.parametrize("options", [{"window": "40"}, {"window": "a,b"}, {"window": "1,0.5"}, {"frame": 0}])
def test_wrong_options_are_refused(options):
    with pytest.raises(OptionError):
        installed("decoder", "dicom/dicom").build(**options)


def test_nothing_of_the_patient_is_read():
    from clsbench_dicom.decoder import _read

    assert "PatientName" not in _read(dicom())


def mean_model(file):
    """A network whose logits are the mean level, and twice as much."""
    import onnx
    from onnx import TensorProto, helper

    from clsbench import ImageTransform, ModelCard
    from clsbench.card import METADATA_KEY

    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
            helper.make_node("Mul", ["column", "factors"], ["logits"]),
        ],
        "mean",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
            helper.make_tensor("factors", TensorProto.FLOAT, [2], [0.01, 0.02]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    card = ModelCard(classes=("dark", "light"), transform=ImageTransform(size=(8, 8)))
    helper.set_model_props(model, {METADATA_KEY: card.dumps()})
    onnx.save(model, file)
    return file


def test_the_dataset_and_infers_decoder_give_the_same_pixels(scans, tmp_path):
    import clsbench
    from clsbench.images.loader import ImageLoader

    (scans / "report.dcm").write_bytes(Path(get_testdata_file("test-SR.dcm")).read_bytes())
    samples = installed("dataset", "dicom/dicom").build(scans, window="700,1600").splits["train"]
    model = mean_model(tmp_path / "mean.onnx")
    job = clsbench.infer(
        str(scans), model=model, out=tmp_path / "preds.csv", probabilities=True, columns="path,error,reason",
        decoders=["dicom"], options={"decoder.window": "700,1600"}, device="cpu",
    )  # fmt: skip
    assert (job.counts.total, job.counts.errors) == (len(samples) + 1, 1)
    with load(model, decoders=["dicom"], options={"decoder.window": "700,1600"}, device="cpu") as opened:
        loader = ImageLoader(opened.transform)
        for sample in samples[::5]:
            odds = np.exp(loader(sample.image).astype(float).mean() * np.array([0.01, 0.02]))
            assert opened.predict(scans / sample.name).confidence == pytest.approx((odds / odds.sum()).max(), rel=1e-4)
    (row,) = [line for line in (tmp_path / "preds.csv").read_text().splitlines() if line.startswith("report.dcm")]
    assert row.split(",")[1:3] == ["the DICOM file has no image in it; got: Comprehensive SR Storage", "unsupported"]
