"""Each adapter on tiny files in the real format of its set; nothing is downloaded."""

import gzip
import hashlib
import io
import json
import pickle
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from textwrap import dedent

import numpy as np
import pytest
from PIL import Image

from clsbench.datasets.torchvision_sets import SETS, build
from clsbench.errors import DataError
from clsbench.images.loader import ImageLoader
from clsbench.testing import check_dataset, installed
from clsbench.transform import ImageTransform

datasets = pytest.importorskip("torchvision.datasets")

#: Images of each class in train and in test.
TRAIN, TEST = 5, 2
GREY = np.random.default_rng(0).integers(0, 256, (10 * (TRAIN + TEST), 28, 28), dtype=np.uint8)


def md5(file):
    return hashlib.md5(file.read_bytes()).hexdigest()


def mnist(root, name="MNIST"):
    """idx files: big-endian magic and sizes, then the bytes."""
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    cut = 10 * TRAIN
    for prefix, pixels in (("train", GREY[:cut]), ("t10k", GREY[cut:])):
        labels = np.arange(len(pixels), dtype=np.uint8) % 10
        header = struct.pack(">iiii", 0x803, *pixels.shape)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 0x801, len(labels)) + labels.tobytes())


def cifar(root, monkeypatch, kind, key, classes):
    """Pickled batches of rows, 1,024 bytes a channel; torchvision is told the sums of these instead."""
    folder = root / kind.base_folder
    folder.mkdir(parents=True)

    def dump(name, value):
        (folder / name).write_bytes(pickle.dumps(value))
        return [name, md5(folder / name)]

    def batch(name, seed, count):
        rows = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
        return dump(name, {"data": rows, key: [k % len(classes) for k in range(count)]})

    train = [batch(name, seed, 2 * len(classes)) for seed, (name, _) in enumerate(kind.train_list)]
    monkeypatch.setattr(kind, "train_list", train)
    monkeypatch.setattr(kind, "test_list", [batch(kind.test_list[0][0], 9, len(classes))])
    names = dump(kind.meta["filename"], {kind.meta["key"]: list(classes)})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": names[1]})


def jpeg(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(file)


def pets(root, breeds=("Abyssinian", "great_pyrenees")):
    """Names with a number, and lists of name, class from 1, species and breed."""
    base, number = root / "oxford-iiit-pet", 0
    (base / "annotations").mkdir(parents=True)
    for split, count in (("trainval", TRAIN), ("test", TEST)):
        lines = []
        for k, breed in enumerate(breeds, 1):
            for _ in range(count):
                number += 1
                lines.append(f"{breed}_{number} {k} {1 + breed.islower()} 1\n")
                jpeg(base / "images" / f"{breed}_{number}.jpg")
        (base / "annotations" / f"{split}.txt").write_text("".join(lines))


def flowers(root, monkeypatch):
    """Numbered images; their classes from 1 and the numbers of each split are MATLAB files."""
    from scipy.io import savemat

    base, count = root / "flowers-102", 8
    for i in range(1, count + 1):
        jpeg(base / "jpg" / f"image_{i:05d}.jpg")
    savemat(base / "imagelabels.mat", {"labels": [[77, 1] * (count // 2)]})
    savemat(base / "setid.mat", {"trnid": [[1, 2, 3, 4]], "valid": [[5, 6]], "tstid": [[7, 8]]})
    files = datasets.Flowers102._file_dict
    changed = {key: (files[key][0], md5(base / files[key][0])) for key in ("label", "setid")}
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", {**files, **changed})


def food(root, classes=("apple_pie", "waffles")):
    """Class folders, and lists of their images without the suffix."""
    base = root / "food-101"
    (base / "meta").mkdir(parents=True)
    for split, numbers in (("train", range(TRAIN)), ("test", range(TRAIN, TRAIN + TEST))):
        listed = {name: [f"{name}/{i}" for i in numbers] for name in classes}
        (base / "meta" / f"{split}.json").write_text(json.dumps(listed))
        for names in listed.values():
            for name in names:
                jpeg(base / "images" / f"{name}.jpg")


TEN = tuple(f"thing {k}" for k in range(10))
FILES = {
    "cifar10": lambda root, patch: cifar(root, patch, datasets.CIFAR10, "labels", TEN),
    "cifar100": lambda root, patch: cifar(root, patch, datasets.CIFAR100, "fine_labels", (*TEN, "hundredth")),
    "fashion-mnist": lambda root, patch: mnist(root, "FashionMNIST"),
    "mnist": lambda root, patch: mnist(root),
    "oxford-iiit-pet": lambda root, patch: pets(root),
    "flowers102": flowers,
    "food101": lambda root, patch: food(root),
}


@pytest.fixture
def local(tmp_path, monkeypatch):
    """local(name): the files of a set, in a folder."""

    def make(name):
        FILES[name](tmp_path, monkeypatch)
        return tmp_path

    return make


@pytest.fixture
def offline(monkeypatch):
    def refuse(request, *_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def labels(samples):
    return [sample.label for sample in samples]


def test_every_set_is_tested():
    assert FILES.keys() == SETS.keys()


@pytest.mark.parametrize("options", [{}, {"download": True}])
@pytest.mark.parametrize("name", SETS)
def test_it_is_a_dataset_without_a_network(local, offline, name, options):
    check_dataset(installed("dataset", name), local(name), **options)


@pytest.mark.parametrize("name", SETS)
def test_the_official_splits_are_given_and_known_before(local, name):
    dataset = build(name, local(name), download=False)
    assert list(dataset.splits) == (["train", "val", "test"] if name == "flowers102" else ["train", "test"])
    assert installed("dataset", name).gives == tuple(dataset.splits)


@pytest.mark.parametrize("name", SETS)
def test_a_test_fraction_is_refused_before_anything_is_downloaded(cli, offline, name):
    done = cli("datasets", name, "--test-fraction", "0.1")
    assert done.code == 2
    assert "test split of its own" in done.stderr


@pytest.mark.parametrize("name", SETS)
def test_pictures_are_loaded_as_torchvision_shows_them(local, name):
    root, source = local(name), SETS[name]
    arguments = {k: v for k, v in source.splits["test"].items() if k != "loader"}
    theirs = getattr(datasets, source.kind)(root, **arguments)
    loader = ImageLoader(ImageTransform(size=(4, 5), resize="squash"))
    ours = build(name, root, download=False).samples("test")
    assert labels(ours) == [label for _, label in theirs]
    for sample, (image, _) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(loader.pixels(sample.image), np.asarray(image.convert("RGB")))
        assert loader(sample.image).shape == (4, 5, 3)


@pytest.mark.parametrize("name", ["oxford-iiit-pet", "flowers102", "food101"])
def test_files_are_not_read(local, name):
    root = local(name)
    for file in root.rglob("*.jpg"):
        file.write_bytes(b"")
    for samples in build(name, root, download=False).splits.values():
        for sample in samples:
            assert sample.image.path == str(root / sample.name)


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_pixels_are_views_of_one_array(local, name):
    for samples in build(name, local(name), download=False).splits.values():
        images = [sample.image.pixels for sample in samples]
        assert {image.dtype for image in images} == {np.dtype(np.uint8)}
        assert {image.shape[2] for image in images} == {3}
        assert not any(image.flags.owndata for image in images)


def test_grey_is_not_copied_into_three_channels(local):
    image = build("mnist", local("mnist"), download=False).samples("test")[0].image.pixels
    assert (image.strides[2], image.flags.writeable) == (0, False)


def test_classes_are_torchvisions(local):
    assert build("mnist", local("mnist"), download=False).classes[0] == "0 - zero"
    assert build("fashion-mnist", local("fashion-mnist"), download=False).classes[0] == "T-shirt/top"
    assert build("flowers102", local("flowers102"), download=False).classes[76] == "passion flower"
    assert build("oxford-iiit-pet", local("oxford-iiit-pet"), download=False).classes == (
        "Abyssinian",
        "Great Pyrenees",
    )
    assert build("food101", local("food101"), download=False).classes == ("apple_pie", "waffles")


def test_a_mirrored_digit_is_no_digit(local):
    assert build("mnist", local("mnist"), download=False).mirrored is False
    assert build("fashion-mnist", local("fashion-mnist"), download=False).mirrored is True


def test_the_flowers_keep_their_validation_split(local):
    root = local("flowers102")
    dataset = build("flowers102", root, download=False)
    assert [len(dataset.samples(split)) for split in ("train", "val", "test")] == [4, 2, 2]
    assert dataset.samples("val")[0].name == "flowers-102/jpg/image_00005.jpg"


@pytest.mark.parametrize("name", SETS)
def test_missing_files_say_which_and_what_to_do(tmp_path, name):
    with pytest.raises(DataError, match=f"data set {name} cannot be read") as caught:
        build(name, tmp_path, download=False)
    told = str(caught.value)
    assert [word for word in (str(tmp_path), SETS[name].files, f"clsbench datasets {name}") if word not in told] == []


@pytest.mark.parametrize("name", SETS)
def test_a_failed_download_gives_its_reason(tmp_path, offline, name):
    with pytest.raises(DataError, match=f"data set {name} cannot be downloaded or read(.*\n)+.*no route to host"):
        build(name, tmp_path)


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize(
    ("name", "file"), [("cifar10", "data_batch_2"), ("cifar10", "batches.meta"), ("cifar100", "test")]
)
def test_a_pickle_without_the_known_sum_is_never_loaded(local, offline, tmp_path, name, file, download):
    root = local(name)
    (trap,) = root.rglob(file)

    class Bomb:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'exploded')!r}, 'w')",))

    trap.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match=f"{name} cannot be"):
        build(name, root, download=download)
    assert not (tmp_path / "exploded").exists()


def test_a_damaged_idx_file_is_an_error(local):
    root = local("mnist")
    (root / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"\0" * 20)
    with pytest.raises(DataError, match="mnist cannot be read"):
        build("mnist", root, download=False)


def test_pictures_that_were_not_unpacked_are_counted(local):
    root = local("food101")
    (root / "food-101/images/waffles/1.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 14 files not found\n.*\n  got: food-101/images/waffles/1\.jpg"):
        build("food101", root, download=False)


def test_splits_with_other_classes_are_refused(local):
    root = local("food101")
    (root / "food-101/meta/test.json").write_text('{"waffles": ["waffles/5"]}')
    with pytest.raises(DataError, match="splits of food101 have different classes"):
        build("food101", root, download=False)


def test_without_a_folder_the_cache_is_used_and_stdout_stays_clean(tmp_path, monkeypatch, capsys):
    served = tmp_path / "served"
    mnist(served)

    class Response(io.BytesIO):
        def __init__(self, url):
            print("downloading")  # noqa: T201
            file = served / "MNIST/raw" / url.rpartition("/")[2].removesuffix(".gz")
            super().__init__(gzip.compress(file.read_bytes(), mtime=0))
            self.url, self.length = url, len(self.getvalue())

    sums = [(name, None) for name, _ in datasets.MNIST.resources]
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    monkeypatch.setattr(urllib.request, "urlopen", lambda request: Response(request.full_url))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dataset = build("mnist")
    assert dataset.root == str(tmp_path / "cache/clsbench/datasets")
    assert len(dataset.samples("test")) == 10 * TEST
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "downloading" in captured.err


def test_torch_is_not_imported_before_a_set_is_built(tmp_path):
    code = """
        import sys
        from clsbench.testing import installed
        from clsbench.options import option_types
        for name in ("folder", "csv", "regex", "digits", "cifar10", "food101"):
            assert "val_fraction" not in option_types(installed("dataset", name).build)
        assert not {"torch", "torchvision"} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", dedent(code)], cwd=tmp_path, check=True)
