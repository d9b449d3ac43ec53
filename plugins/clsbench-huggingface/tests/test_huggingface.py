import io
import json
import os
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clsbench import BytesEntry, DataError, ImageError, ModelError, OptionError
from clsbench.images.loader import ImageLoader
from clsbench.testing import installed, plugin_checks

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
datasets = pytest.importorskip("datasets", reason="datasets is not installed")
try:
    from clsbench_huggingface.dataset import RowEntry
except ImportError:
    pytest.skip("clsbench-huggingface is not installed", allow_module_level=True)

PHOTOS = Path(__file__).parents[4] / "shared" / "data" / "hymenoptera.tar"
TRANSFORMER = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}
SIDE = {"height": 32, "width": 32}

#: Family -> its network, of small numbers, and its image processor.
FAMILIES = {
    "vit": ("ViT", TRANSFORMER, lambda: transformers.ViTImageProcessor(size=SIDE)),
    "dinov2": (
        "Dinov2",
        TRANSFORMER,
        lambda: transformers.BitImageProcessor(size={"shortest_edge": 36}, crop_size=SIDE),
    ),
    "resnet": (
        "ResNet",
        {**STAGES, "embedding_size": 8, "layer_type": "basic"},
        lambda: transformers.ConvNextImageProcessor(size={"shortest_edge": 48}, crop_pct=0.875),
    ),
}
GROUPS = {
    "vit": ["embeddings", "layers.0", "layers.1", "layernorm", "head"],
    "resnet": ["embedder", "encoder.stages.0", "encoder.stages.1", "head"],
}
NAMES = {0: "ant", 1: "bee", 2: "crane", 3: "crane"}


def save(folder, family, teacher=False):
    """A network with random weights and its image processor, as ``save_pretrained`` writes them."""
    prefix, sizes, processor = FAMILIES[family] if not teacher else ("DeiT", TRANSFORMER, FAMILIES["vit"][2])
    config = getattr(transformers, f"{prefix}Config")(**sizes, id2label=NAMES, label2id={"ant": 0, "bee": 1})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = getattr(transformers, f"{prefix}ForImageClassification{'WithTeacher' if teacher else ''}")(config)
        for parameter in network.parameters():  # what they start with is near zero
            parameter.data += 0.1 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def quiet(tmp_path_factory):
    """No progress bars, caches of our own, and no way into a network."""
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))

        def refuse(*arguments, **options):
            raise AssertionError("the network was asked")

        patch.setattr(socket, "getaddrinfo", refuse)
        yield


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Family -> its folder."""
    folder = tmp_path_factory.mktemp("models")
    return {family: save(folder / family, family) for family in ("vit", "resnet")}


def build(num_classes, **options):
    return installed("model", "huggingface/huggingface").build(num_classes, **options)


def photos():
    if not PHOTOS.is_file():
        pytest.skip(f"the photos are not here: {PHOTOS}")
    with tarfile.open(PHOTOS) as archive:
        names = sorted(name for name in archive.getnames() if "val/" in name and name.endswith(".jpg"))
        return [archive.extractfile(name).read() for name in names[::40]]


def test_the_plugin_and_a_model_keep_the_rules(saved):
    options = {"model": {"path": str(saved["resnet"])}}
    for check in plugin_checks("huggingface", "model", options=options):
        check()


@pytest.mark.parametrize("family", ["vit", "resnet"])
def test_logits_are_those_of_transformers_own_pipeline(saved, family):
    ours = build(None, path=str(saved[family]), pretrained=True).eval()
    assert ours.classes == ("ant", "bee", "crane (2)", "crane (3)")
    assert [name for name, _ in ours.layer_groups] == GROUPS[family]
    assert ours.loaded.complete
    assert ours.loaded.head
    images = photos()
    loader = ImageLoader(ours.transform)
    with torch.inference_mode():
        logits = ours(torch.from_numpy(np.stack([loader(BytesEntry("", image)) for image in images])))
    theirs = transformers.AutoModelForImageClassification.from_pretrained(saved[family])
    processor = transformers.AutoImageProcessor.from_pretrained(saved[family])
    opened = [Image.open(io.BytesIO(image)).convert("RGB") for image in images]
    with torch.inference_mode():
        right = theirs(**processor(opened, return_tensors="pt")).logits
    assert right.std(0).max() > 1e-3  # they depend on the images
    torch.testing.assert_close(logits, right, rtol=1e-3, atol=1e-4 * right.abs().max().item())
    pipe = transformers.pipeline("image-classification", model=theirs, image_processor=processor)
    for row, image in zip(logits, opened, strict=True):
        best = pipe(image, top_k=1)[0]
        assert best["label"] == NAMES[int(row.argmax())]
        assert best["score"] == pytest.approx(float(row.softmax(0).max()), rel=1e-3)


def test_a_parameter_of_the_pretraining_alone_is_saved_and_does_not_wait_for_gradients(tmp_path):
    network = build(2, path=str(save(tmp_path, "dinov2")))
    assert "backbone.network.dinov2.embeddings.mask_token" in network.state_dict()
    network(torch.zeros(2, 32, 32, 3, dtype=torch.uint8)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_pretrained_weights_give_a_new_head_its_backbone(saved, tmp_path):
    from safetensors.torch import save_file

    whole, started = (build(k, path=str(saved["vit"]), pretrained=True) for k in (None, 2))
    torch.testing.assert_close(started.backbone.state_dict(), whole.backbone.state_dict())
    assert (started.head.out_features, started.loaded.head) == (2, False)
    from_file = build(4, path=str(saved["vit"]), weights=saved["vit"] / "model.safetensors")
    torch.testing.assert_close(from_file.state_dict(), whole.state_dict())
    save_file(whole.state_dict(), tmp_path / "run.safetensors")
    again = build(2, path=str(saved["vit"]), weights=tmp_path / "run.safetensors")
    torch.testing.assert_close(again.backbone.state_dict(), whole.backbone.state_dict())


def test_two_heads_that_are_averaged_are_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be split"):
        build(2, path=str(save(tmp_path, "vit", teacher=True)), pretrained=True)


def changed(folder, tmp_path, file, **values):
    """A copy of a model with other values in a JSON file; None takes the file away."""
    for one in folder.iterdir():
        (tmp_path / one.name).write_bytes(one.read_bytes())
    if values:
        content = {**json.loads((tmp_path / file).read_text()), **values}
        (tmp_path / file).write_text(json.dumps(content))
    else:
        (tmp_path / file).unlink()
    return str(tmp_path)


@pytest.mark.parametrize(
    ("file", "values", "words"),
    [
        ("preprocessor_config.json", {"do_pad": True}, "cannot be used exactly"),
        ("preprocessor_config.json", {}, "how its images were preprocessed"),
        ("config.json", {"num_channels": 1}, "something other than RGB"),
        ("config.json", {"problem_type": "multi_label_classification"}, "not one class for each image"),
        ("config.json", {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config"}}, "cannot open it"),
        ("config.json", {}, "there is no model in the folder"),
        ("model.safetensors", {}, "transformers cannot open it"),
    ],
)
def test_what_cannot_be_done_exactly_is_refused(saved, tmp_path, file, values, words):
    path = changed(saved["resnet"], tmp_path, file, **values)
    (tmp_path / "evil.py").write_text("raise SystemExit('code of a stranger ran')")
    with pytest.raises(ModelError) as caught:
        build(2, path=path, pretrained=True)
    assert words in str(caught.value)


def test_incomplete_weights_are_refused(saved, tmp_path):
    from safetensors.torch import load_file, save_file

    path = changed(saved["resnet"], tmp_path, "config.json", num_channels=3)
    weights = load_file(saved["resnet"] / "model.safetensors")
    weights.pop("classifier.1.weight")
    save_file(weights, Path(path) / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="incomplete"):
        build(2, path=path, pretrained=True)


def test_a_name_alone_downloads_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="nor a model of that id in the local cache"):
        build(2, path="somebody/some-model")
    with pytest.raises(ModelError, match="no such model"):
        build(2, path="../not a model")
    with pytest.raises(OptionError, match="which model"):
        build(2)
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


def rows(count, split):
    images = []
    for k in range(count):
        file = io.BytesIO()
        Image.fromarray(np.full((5, 6, 3), 20 * k + len(split), np.uint8)).save(file, "PNG")
        images.append({"bytes": file.getvalue(), "path": None})
    return {
        "picture": images,
        "kind": [k % 2 for k in range(count)],
        "words": ["b" if k % 2 else "a" for k in range(count)],
    }


@pytest.fixture(scope="module")
def table():
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "kind": datasets.ClassLabel(names=["cat", "dog"]),
            "words": datasets.Value("string"),
        }
    )
    return datasets.DatasetDict(
        {split: datasets.Dataset.from_dict(rows(n, split), features) for split, n in (("train", 8), ("validation", 4))}
    )


@pytest.fixture(scope="module")
def stored(table, tmp_path_factory):
    """Ways to store it -> the root of each."""
    folder = tmp_path_factory.mktemp("stored")
    table.save_to_disk(folder / "saved")
    (folder / "parquet" / "data").mkdir(parents=True)
    for split, part in table.items():
        part.to_parquet(folder / "parquet" / "data" / f"{split}-00000-of-00001.parquet")
    return {
        "saved": folder / "saved",
        "parquet": folder / "parquet",
        "file": folder / "parquet" / "data" / "train-00000-of-00001.parquet",
    }


def load(root, **options):
    return installed("dataset", "huggingface/huggingface").build(root, **options)


def test_a_dataset_keeps_the_rules(stored):
    for check in plugin_checks("huggingface", "dataset", options={"dataset": {"root": stored["saved"]}}):
        check()


@pytest.mark.parametrize("way", ["saved", "parquet", "file"])
def test_images_and_labels_are_those_of_datasets(table, stored, way):
    found = load(stored[way])
    assert found.classes == ("cat", "dog")
    ours = {"train": "train", **({} if way == "file" else {"val": "validation"})}
    assert list(found.splits) == list(ours)
    for split, theirs in ours.items():
        assert [sample.label for sample in found.splits[split]] == list(table[theirs]["kind"])
        for sample, row in zip(found.splits[split], table[theirs], strict=True):
            np.testing.assert_array_equal(Image.open(io.BytesIO(sample.image.read())), row["picture"])
    assert found.splits["train"][3].name == "train/3"


def test_columns_may_be_named_and_labels_be_texts(stored):
    found = load(stored["saved"], label="words")
    assert found.classes == ("a", "b")
    with pytest.raises(DataError, match="no column 'nothing'"):
        load(stored["saved"], label="nothing")


def test_rows_without_a_label_are_left_out_and_image_files_are_read(tmp_path):
    for k in range(4):
        Image.new("RGB", (4, 4), (60 * k, 0, 0)).save(tmp_path / f"{k}.png")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])})
    paths = [{"bytes": None, "path": str(tmp_path / f"{k}.png")} for k in range(4)]
    made = datasets.Dataset.from_dict({"image": paths, "label": [0, 1, -1, None]}, features)
    made.save_to_disk(tmp_path / "saved")
    found = load(tmp_path / "saved")
    assert [sample.label for sample in found.splits["train"]] == [0, 1]
    assert found.notes == ("train: rows without a label of train are left out: 2",)
    assert found.splits["train"][1].image.read() == (tmp_path / "1.png").read_bytes()


def test_a_row_with_a_url_is_not_followed():
    entry = RowEntry("train/0", [{"image": {"bytes": None, "path": "http://example.org/a.png"}}], 0, "image")
    with pytest.raises(ImageError, match="no image"):
        entry.read()


@pytest.mark.parametrize("root", [None, Path("not-there"), Path("beans/small")])
def test_a_root_that_is_not_there_is_explained(root):
    with pytest.raises(DataError) as caught:
        load(root)
    assert "hf://datasets/" in str(caught.value)
