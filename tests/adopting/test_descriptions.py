"""Files as the libraries write them, against their own steps in torchvision, Pillow and numpy."""

import functools
import json
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

from clsbench.adopting.description import Description
from clsbench.adopting.descriptions import describe_beside
from clsbench.adopting.huggingface_config import KEYS as HUGGING_FACES
from clsbench.adopting.huggingface_config import PROCESSORS, describe_huggingface
from clsbench.adopting.onnx_metadata import KEYS as METADATA
from clsbench.adopting.onnx_metadata import describe_metadata
from clsbench.adopting.timm_config import describe_timm
from clsbench.adopting.ultralytics_metadata import describe_ultralytics
from clsbench.errors import ModelError
from clsbench.images.entries import PixelsEntry
from clsbench.images.loader import ImageLoader
from clsbench.transform import ImageTransform, normalise

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
SIDES = {"height": 64, "width": 64}
TIMM: dict[str, Any] = {
    "architecture": "resnet18",
    "num_classes": 3,
    "num_features": 512,
    "pretrained_cfg": {
        "tag": "a1_in1k", "custom_load": False, "input_size": [3, 64, 64], "test_input_size": [3, 80, 80],
        "fixed_input_size": False, "interpolation": "bicubic", "crop_pct": 0.95, "test_crop_pct": 1.0,
        "crop_mode": "center", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "num_classes": 3,
        "pool_size": [7, 7], "first_conv": "conv1", "classifier": "fc",
    },
}  # fmt: skip
ULTRALYTICS = {
    "description": "Ultralytics YOLO11n-cls model trained on imagenet", "author": "Ultralytics", "version": "8.3.40",
    "stride": "1", "task": "classify", "batch": "1", "imgsz": "[64, 64]", "names": "{0: 'ant', 1: \"bee's\"}",
    "args": "{'batch': 1, 'half': False}", "channels": "3",
}  # fmt: skip


def beside(folder, **files):
    """Write files beside a model; the words of their names are joined by dots."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / ".".join(name.rsplit("__", 1))).write_text(text, encoding="utf-8")
    return folder / "model.onnx"


def only(folder, metadata=None, **files):
    (description,) = describe_beside(beside(folder, **files), metadata or {})
    return description


@functools.cache
def china():
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg")


def assert_same_pixels(description, reference, *, flip=False):
    """The network's input by the description is that of a reference: Pillow image -> float32 (h, w, 3)."""
    assert (description.refused, description.noted) == ((), ())
    transform = ImageTransform(**description.transform)
    for width, height in [(301, 200), (90, 259), (64, 64), (203, 160)]:
        pixels = np.ascontiguousarray(china()[:height, :width])
        got = normalise(ImageLoader(transform)(PixelsEntry("", pixels))[None], transform)[0]
        want = np.asarray(reference(Image.fromarray(pixels)), np.float32)
        levels = np.abs(got - want[..., ::-1] if flip else got - want) * np.array(transform.std) * 255
        assert levels.mean() < 0.3, (width, height)
        assert levels.max() < 5


def steps(resize, crop=None, *, filter="bilinear", mean=(0, 0, 0), std=(1, 1, 1), floor=False):
    """Resize, CenterCrop and Normalize of torchvision; the crop of transformers with ``floor``."""

    def middle(image):
        left, top = (image.width - crop) // 2, (image.height - crop) // 2
        return image.crop((left, top, left + crop, top + crop))

    cut = (middle if floor else CenterCrop(crop)) if crop else (lambda image: image)
    found = Compose([Resize(resize, InterpolationMode(filter)), cut, ToTensor(), Normalize(mean, std)])
    return lambda image: found(image).permute(1, 2, 0).numpy()


def test_timms_sizes_are_rounded_down(tmp_path):
    found = only(tmp_path, config__json=TIMM)
    assert found.origin == "config.json (timm)"
    assert_same_pixels(found, steps(
        math.floor(64 / 0.95), 64, filter="bicubic", mean=IMAGENET["image_mean"], std=IMAGENET["image_std"]
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "resize", "crop"),
    [
        ({"crop_mode": "squash", "crop_pct": 0.9}, (71, 71), 64),
        ({"crop_mode": "squash", "crop_pct": 1.0}, (64, 64), None),
        ({"crop_pct": None, "crop_mode": None}, 73, 64),
    ],
)
def test_timms_squash_and_defaults(tmp_path, changes, resize, crop):
    config = {**TIMM, "pretrained_cfg": {**TIMM["pretrained_cfg"], **changes, "mean": [0, 0, 0], "std": [1, 1, 1]}}
    assert_same_pixels(only(tmp_path, config__json=config), steps(resize, crop, filter="bicubic"))


def test_timms_older_flat_layout_and_its_classes(tmp_path):
    flat = {"architecture": "resnet18", "label_names": ["ant", "bee", "cat"], **TIMM["pretrained_cfg"]}
    found = only(tmp_path, config__json=flat)
    assert found.transform == only(tmp_path, config__json=TIMM).transform
    assert found.classes == ("ant", "bee", "cat")
    flat["label_names"] = {"0": "ant", "1": "bee"}
    found = only(tmp_path, config__json=flat)
    assert found.classes is None
    assert found.noted == ("label_names has 2 classes, num_classes is 3: the names are left out",)


def test_timms_border_is_letterbox_with_the_mean(tmp_path):
    config = {**TIMM, "pretrained_cfg": {**TIMM["pretrained_cfg"], "crop_mode": "border", "crop_pct": 1.0}}
    assert only(tmp_path, config__json=config).transform["resize"] == "letterbox"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"crop_pct": 1.15}, "crop_pct is 1.15"),
        ({"crop_mode": "border"}, "it pads, then crops"),
        ({"crop_mode": "five"}, "crop_mode is 'five'; known here: center, squash, border"),
        ({"interpolation": "hamming"}, "interpolation is 'hamming'"),
        ({"input_size": [1, 64, 64]}, "input_size is [1, 64, 64]; known here: 3 channels, height, width"),
        ({"std": [1, 0, 1]}, "std is (1.0, 0.0, 1.0); expected: three numbers, 1e-06 to 1e+06"),
        ({"std": [1e-320] * 3}, "expected: three numbers, 1e-06 to 1e+06"),
        ({"mean": [1e7] * 3}, "expected: three numbers, -1e+06 to 1e+06"),
        ({"mean": [1, "\x1b[31m", 1]}, "mean is [1, '\\x1b[31m', 1]; known here: three numbers"),
        ({"mean": [1e999, 0, 0]}, "mean is [inf, 0, 0]"),
    ],
)
def test_what_timm_asks_for_and_is_not_known_is_refused(tmp_path, changes, said):
    found = only(tmp_path, config__json={**TIMM, "pretrained_cfg": {**TIMM["pretrained_cfg"], **changes}})
    assert len(found.refused) == 1
    assert said in found.refused[0]


@pytest.mark.parametrize(
    ("written", "reference"),
    [
        (  # google/vit-base-patch16-224, before there were image processors
            {"feature_extractor_type": "ViTFeatureExtractor", "resample": 2, "size": 64, **HALF,
             "do_normalize": True, "do_resize": True},
            steps((64, 64), mean=HALF["image_mean"], std=HALF["image_std"]),
        ),
        (  # facebook/deit-base-patch16-224
            {"image_processor_type": "DeiTImageProcessorFast", "size": {"height": 73, "width": 73}, "resample": 3,
             "crop_size": SIDES, "do_center_crop": True, "do_rescale": True, "rescale_factor": 0.00392156862745098,
             **IMAGENET},
            steps((73, 73), 64, filter="bicubic", mean=IMAGENET["image_mean"], std=IMAGENET["image_std"], floor=True),
        ),
        (  # openai/clip-vit-base-patch32
            {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 64}, "resample": 3,
             "crop_size": 64, **HALF, "do_convert_rgb": True},
            steps(64, 64, filter="bicubic", mean=HALF["image_mean"], std=HALF["image_std"], floor=True),
        ),
        (  # microsoft/resnet-50
            {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 64, "crop_pct": 0.875, "resample": 3,
             **IMAGENET},
            steps(73, 64, filter="bicubic", mean=IMAGENET["image_mean"], std=IMAGENET["image_std"], floor=True),
        ),
        (  # facebook/levit-128S
            {"image_processor_type": "LevitImageProcessor", "size": {"shortest_edge": 64}, "crop_size": SIDES,
             "resample": 3, **IMAGENET},
            steps(73, 64, filter="bicubic", mean=IMAGENET["image_mean"], std=IMAGENET["image_std"], floor=True),
        ),
        (  # google/efficientnet-b0, whose head is given what was divided by std twice
            {"image_processor_type": "EfficientNetImageProcessor", "size": SIDES, "resample": 4, "do_rescale": True,
             "rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": True, **HALF},
            lambda image: ((np.asarray(image.resize((64, 64), Image.Resampling.BOX)) / 127.5 - 1) - 0.5) / 0.5 / 0.5,
        ),
        (  # levels as they are
            {"image_processor_type": "ViTImageProcessor", "size": SIDES, "resample": 2, "do_rescale": False,
             "do_normalize": False},
            lambda image: np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR)),
        ),
    ],
    ids=["vit", "deit", "clip", "convnext", "levit", "efficientnet", "levels"],
)  # fmt: skip
def test_hugging_faces_processors(tmp_path, written, reference):
    found = only(tmp_path, preprocessor_config__json=written)
    assert found.origin == "preprocessor_config.json (Hugging Face)"
    assert_same_pixels(found, reference)


def test_mobilevit_reads_blue_first(tmp_path):
    """apple/mobilevit-small."""
    found = only(tmp_path, preprocessor_config__json={
        "feature_extractor_type": "MobileViTFeatureExtractor", "size": 73, "crop_size": 64, "resample": 2,
        "do_center_crop": True, "do_flip_channel_order": True, "do_resize": True,
    })  # fmt: skip
    assert found.transform["color"] == "BGR"
    assert_same_pixels(found, steps(73, 64, floor=True), flip=True)


def test_convnext_squashes_from_384_pixels_on(tmp_path):
    written = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}, "resample": 3, **HALF}
    transform = only(tmp_path, preprocessor_config__json=written).transform
    assert (transform["size"], transform["resize"]) == ((384, 384), "squash")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_processor_type": "PerceiverImageProcessor"}, "its image processor is 'PerceiverImageProcessor'"),
        ({"resample": 5}, "resample is 5"),
        ({"resample": True}, "resample is True"),
        ({"resample": None}, "resample is None"),
        ({"do_pad": True}, "'do_pad' is True, which is not known here"),
        ({"do_resize": False}, "do_resize is not true"),
        ({"do_center_crop": True}, "crop_size is None; known here: a whole number, or {height, width}"),
        ({"do_center_crop": True, "crop_size": 80}, "it resizes to 64 × 64 and crops to 80 × 80, which pads"),
        ({"size": {"shortest_edge": 64}}, "does not crop: images of any size"),
        ({"size": {"longest_edge": 64}}, "size is {'longest_edge': 64}"),
        ({"size": [64, 80]}, "size is [64, 80]"),
        ({"size": 10**400}, "size is 1000000000"),
        ({"image_mean": None}, "image_mean is None"),
        ({"rescale_factor": 0}, "rescale_factor is 0"),
        ({"image_processor_type": None, "size": 64}, "size is 64"),
    ],
)
def test_what_hugging_face_asks_for_and_is_not_known_is_refused(tmp_path, changes, said):
    written = {"image_processor_type": "ViTImageProcessor", "size": SIDES, "resample": 2, **HALF, **changes}
    assert said in only(tmp_path, preprocessor_config__json=written).refused[0]


def test_hugging_faces_classes_are_distinct_and_no_placeholders(tmp_path):
    config = {
        "model_type": "vit",
        "transformers_version": "4.30.0",
        "id2label": {"1": "bee", "0": "crane", "2": "crane"},
    }
    found = only(tmp_path, config__json=config)
    assert (found.origin, found.classes) == ("config.json (Hugging Face)", ("crane (0)", "bee", "crane (2)"))
    assert found.noted == ("classes of the same name got their position: 'crane'",)
    config["id2label"] = {"0": "LABEL_0", "1": "LABEL_1"}
    assert describe_beside(beside(tmp_path, config__json=config), {}) == ()
    config.update(problem_type="multi_label_classification", num_channels=1)
    assert len(only(tmp_path, config__json=config).refused) == 2


def test_files_of_the_hub_lie_above_the_folder_onnx(tmp_path):
    written = {"image_processor_type": "ViTImageProcessor", "size": SIDES, "resample": 2, **HALF}
    beside(tmp_path, preprocessor_config__json=written)
    for name, expected in (("onnx", 1), ("other", 0)):
        (tmp_path / name).mkdir()
        assert len(describe_beside(tmp_path / name / "model.onnx", {})) == expected


def test_ultralytics_crops_squares_and_squashes_all_others(tmp_path):
    found = only(tmp_path, ULTRALYTICS)
    assert found.classes == ("ant", "bee's")
    assert_same_pixels(found, steps(64, 64))
    found = only(tmp_path, {**ULTRALYTICS, "imgsz": "[64, 96]"})
    assert (found.transform["size"], found.transform["resize"]) == ((64, 96), "squash")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "detect"}, "its task is 'detect'"),
        ({"version": "8.0.200"}, "resize without antialiasing"),
        ({"version": ""}, "its version is ''"),
        ({"channels": "1"}, "its channels are '1'"),
        ({"imgsz": "__import__('os').getcwd()"}, 'imgsz is "__import__'),
    ],
)
def test_what_ultralytics_asks_for_and_is_not_known_is_refused(tmp_path, changes, said):
    assert said in only(tmp_path, {**ULTRALYTICS, **changes}).refused[0]


@pytest.mark.parametrize(
    "names", ["(" * 100_000, "{" * 100_000, "-" * 100_000 + "1", "{0: 'a', 2: 'b'}", "1" * 5000, "{}"]
)
def test_names_that_are_no_names_are_noted_and_nothing_breaks(tmp_path, names):
    found = only(tmp_path, {**ULTRALYTICS, "names": names})
    assert (found.classes, found.refused) == (None, ())
    assert "names is no list of class names" in found.noted[0]


LEVELS = {"mean": (123.675 / 255, 116.28 / 255, 103.53 / 255), "std": (58.395 / 255, 57.12 / 255, 57.375 / 255)}


@pytest.mark.parametrize(
    ("metadata", "transform"),
    [
        ({"mean": "[0.485, 0.456, 0.406]", "std": "[0.229, 0.224, 0.225]"},
         {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}),
        ({"mean": "123.675,116.28,103.53", "std": "58.395 57.12 57.375"}, LEVELS),
        ({"Scale": "0.00784313725490196", "mean": "1", "std": "1"}, {"mean": (0.5,) * 3, "std": (0.5,) * 3}),
        ({"pixel_range": "[-1, 1]"}, {"mean": (0.5,) * 3, "std": (0.5,) * 3}),
        ({"Image.BitmapPixelFormat": "Bgr8", "Image.ColorSpaceGamma": "SRGB",
          "Image.NominalPixelRange": "NominalRange_0_255"},
         {"color": "BGR", "mean": (0.0,) * 3, "std": (1 / 255,) * 3}),
        ({"input_size": "[1, 3, 64, 96]", "resize-mode": "Letterbox", "interpolation": "cubic", "crop_pct": "0.9"},
         {"size": (64, 96), "resize": "letterbox", "interpolation": "bicubic", "crop_fraction": 0.9}),
        ({"image_size": "64x64", "channels": "3", "producer": "x"}, {"size": (64, 64)}),
    ],
)  # fmt: skip
def test_metadata_in_common_spellings(tmp_path, metadata, transform):
    found = only(tmp_path, metadata)
    assert (found.refused, found.noted) == ((), ())
    assert set(found.transform) == set(transform)
    for field, value in transform.items():
        assert found.transform[field] == (value if isinstance(value, str) else pytest.approx(value))


@pytest.mark.parametrize(
    "metadata",
    [
        {"classes": '["ant", "bee"]'},
        {"class_names": "ant, bee"},
        {"Labels": "ant\nbee\n"},
        {"names": "{1: 'bee', 0: 'ant'}"},
        {"class_to_idx": '{"bee": 1, "ant": 0}'},
        {"id2label": '{"0": ["n1", "ant"], "1": ["n2", "bee"]}'},
    ],
)
def test_classes_in_common_spellings(tmp_path, metadata):
    assert only(tmp_path, metadata).classes == ("ant", "bee")


@pytest.mark.parametrize(
    ("metadata", "refused", "noted"),
    [
        ({"color": "YUV"}, "the order of the channels is 'yuv'", None),
        ({"interpolation": "area"}, "interpolation is 'area'", None),
        ({"range": "16-235"}, "range is '16-235'", None),
        ({"range": "-1..1", "mean": "0.5", "std": "0.5"}, "which comes first is not said", None),
        ({"mean": "0,0,0", "std": "1,1,1"}, None, "no range says in what unit they are"),
        ({"mean": "0.5"}, None, "mean and std are left out"),
        ({"input_size": "64x96"}, None, "does not say which side is the height"),
        ({"input_size": "large"}, None, "its size is not clear"),
        ({"classes": "ant"}, None, "cannot be used as class names"),
        ({"color": "BGR", "mean": "104,117,123", "std": "1"}, None, "in the order blue, green, red"),
    ],
)
def test_metadata_that_is_not_clear_is_refused_or_noted(tmp_path, metadata, refused, noted):
    found = only(tmp_path, metadata)
    assert (refused or "") in "".join(found.refused)
    assert (len(found.refused), len(found.noted)) == (int(refused is not None), int(noted is not None))
    assert (noted or "") in "".join(found.noted)


@pytest.mark.parametrize("text", ["ant\nbee\n\n", "0 ant\n1 bee", "0: ant\n1: bee\n", "\ufeffant\r\nbee"])
@pytest.mark.parametrize("name", ["labels__txt", "classes__txt", "model__labels", "any__labels"])
def test_lists_of_classes_beside_the_file(tmp_path, text, name):
    found = only(tmp_path, **{name: text})
    assert (found.classes, found.origin) == (("ant", "bee"), name.replace("__", "."))


def test_files_of_other_programs_are_ignored_and_broken_ones_named(tmp_path):
    for text in ('{"theme": "dark"}', "[1, 2]", "{", '{"architecture": 3}'):
        if text != "{":
            assert describe_beside(beside(tmp_path, config__json=text), {}) == ()
    assert describe_beside(beside(tmp_path, config__json="{"), {"producer": "x"}) == ()
    for name, text in (
        ("config__json", '{"id2label": {'),
        ("config__json", '{"model_type": ' + "[" * 100_000),
        ("preprocessor_config__json", "[]"),
        ("preprocessor_config__json", "\x00"),
    ):
        file = beside(tmp_path, config__json="{}")
        with pytest.raises(ModelError, match="a description beside the model cannot be read") as caught:
            describe_beside(beside(tmp_path, **{name: text}), {})
        assert caught.value.facts["where"] == tmp_path / name.replace("__", ".")
        file.with_name(name.replace("__", ".")).unlink()


def test_huge_files_and_lists_that_are_not_utf8_are_model_errors(tmp_path):
    with (tmp_path / "preprocessor_config.json").open("wb") as huge:
        huge.truncate(20_000_000)
    with pytest.raises(ModelError, match="too large"):
        describe_beside(tmp_path / "model.onnx", {})
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfea\x00")
    with pytest.raises(ModelError, match="not UTF-8"):
        describe_beside(tmp_path / "model.onnx", {})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([1e-310, 1e-13, 0.5, 64, 224, 10**400])
    | st.text(max_size=8) | st.sampled_from(["center", "squash", "bicubic"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["0", "1", "height", "width", "shortest_edge"]), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def assert_valid(description: Description) -> None:
    ImageTransform(**{"size": (4, 4), **description.transform})
    assert all(text.isprintable() for text in (*description.refused, *description.noted))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(PROCESSORS)), st.dictionaries(st.sampled_from(sorted(HUGGING_FACES)), VALUES))
def test_whatever_hugging_faces_files_hold_is_stated_or_refused(kind, values):
    written = {"size": SIDES, "crop_size": 64, "resample": 2, **HALF, **values}
    assert_valid(describe_huggingface({"image_processor_type": f"{kind}ImageProcessor", **written}, values, "x"))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from([*TIMM["pretrained_cfg"], "label_names"]), VALUES))
def test_whatever_timms_file_holds_is_stated_or_refused(values):
    assert_valid(describe_timm({**TIMM, "pretrained_cfg": {**TIMM["pretrained_cfg"], **values}}))


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*ULTRALYTICS, *METADATA]), st.text(max_size=9) | VALUES.map(str) | VALUES.map(json.dumps)
    )
)
def test_whatever_metadata_holds_is_stated_refused_or_noted(metadata):
    assert_valid(describe_metadata(metadata))
    assert_valid(describe_ultralytics({**ULTRALYTICS, **metadata}))


def test_millions_of_lines_beside_a_model_are_no_class_names(tmp_path):
    (tmp_path / "labels.txt").write_bytes(b"a\n" * 1_000_001)
    started = time.process_time()
    (found,) = describe_beside(tmp_path / "model.onnx", {})
    assert found.classes is None
    assert "is no list of class names" in found.noted[0]
    assert time.process_time() - started < 10  # a pattern for each line took minutes
