import numpy as np
import pytest
from PIL import Image

from clsbench.datasets.folder import build
from clsbench.errors import DataError


def draw(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(root / name)


def names(dataset, split):
    return [sample.name for sample in dataset.samples(split)]


@pytest.mark.parametrize("val_folder", ["val", "valid", "validation"])
@pytest.mark.parametrize("train_folder", ["train", "training"])
def test_given_splits_are_kept(tmp_path, train_folder, val_folder):
    draw(tmp_path, f"{train_folder}/cat/1.png", f"{train_folder}/dog/2.png", f"{val_folder}/dog/3.png")
    dataset = build(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert (names(dataset, "train"), names(dataset, "val")) == (["cat/1.png", "dog/2.png"], ["dog/3.png"])
    assert [sample.label for sample in dataset.samples("val")] == [1]


def test_a_split_without_some_classes_keeps_the_indices_of_train(tmp_path):
    draw(tmp_path, "train/a/1.png", "train/b/1.png", "train/c/1.png", "val/c/2.png")
    assert [sample.label for sample in build(tmp_path).samples("val")] == [2]


def test_a_class_that_train_does_not_have_is_an_error_that_names_it(tmp_path):
    draw(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/Cat/2.png")
    with pytest.raises(DataError, match="got: Cat"):
        build(tmp_path)


def test_without_splits_a_part_of_every_class_is_set_aside(tmp_path):
    draw(tmp_path, *(f"{name}/{i}.png" for name in ("cat", "dog") for i in range(10)))
    dataset = build(tmp_path, val_fraction=0.3)
    assert [name.split("/")[0] for name in names(dataset, "val")] == ["cat"] * 3 + ["dog"] * 3
    assert len(names(dataset, "train")) == 14
    assert any("30%" in note for note in dataset.notes)


def test_test_serves_as_validation_where_there_is_no_val_and_is_said_to(tmp_path):
    draw(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/cat/2.png")
    dataset = build(tmp_path)
    assert names(dataset, "val") == ["cat/2.png"]
    assert any("optimistic" in note for note in dataset.notes)


def test_the_test_split_is_not_touched_where_there_is_val(tmp_path):
    draw(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/cat/2.png", "test/dog/3.png")
    dataset = build(tmp_path)
    assert [names(dataset, split) for split in ("val", "test")] == [["cat/2.png"], ["dog/3.png"]]


def test_train_alone_is_split_and_is_no_class(tmp_path):
    draw(tmp_path, *(f"train/{name}/{i}.png" for name in ("cat", "dog") for i in range(5)))
    dataset = build(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert any("has no val/" in note for note in dataset.notes)


def test_pictures_deeper_in_a_class_folder_belong_to_the_class(tmp_path):
    draw(tmp_path, "train/cat/tabby/1.png", "train/dog/1.png", "val/cat/1.png")
    assert [sample.label for sample in build(tmp_path).samples("train")] == [0, 1]


def test_what_is_left_out_is_said(tmp_path):
    draw(tmp_path, *(f"{name}/{i}.png" for name in ("cat", "dog") for i in range(2)), "loose.png")
    (tmp_path / "cow").mkdir()
    (tmp_path / "cat/notes.txt").touch()
    dataset = build(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert [word for word in ("1 images lie outside", "cow", "1 .txt") if word not in " ".join(dataset.notes)] == []


@pytest.mark.parametrize("files", [["cat/1.png"], ["1.png", "2.png"]])
def test_fewer_than_two_classes_are_an_error(tmp_path, files):
    draw(tmp_path, *files)
    with pytest.raises(DataError, match="at least two classes"):
        build(tmp_path)


@pytest.mark.parametrize("root", [None, "missing"])
def test_no_folder_is_an_error(tmp_path, root):
    with pytest.raises(DataError, match="folder"):
        build(root and tmp_path / root)
