import pytest

from clsbench.datasets.folder import build
from clsbench.errors import DataError
from clsbench.testing import check_dataset, installed


def names(dataset, split):
    return [sample.name for sample in dataset.samples(split)]


def classes_of(*folders, count=5):
    """Names of images in class folders."""
    return [f"{folder}/{i}.png" for folder in folders for i in range(count)]


def test_it_is_a_dataset(photos):
    check_dataset(installed("dataset", "folder"), photos)


@pytest.mark.parametrize("val_folder", ["val", "valid", "validation"])
@pytest.mark.parametrize("train_folder", ["train", "training"])
def test_given_splits_are_kept_and_names_tell_them_apart(draw, train_folder, val_folder):
    root = draw(f"{train_folder}/cat/1.png", f"{train_folder}/dog/1.png", f"{val_folder}/dog/1.png")
    dataset = build(root)
    assert dataset.classes == ("cat", "dog")
    assert names(dataset, "train") == [f"{train_folder}/cat/1.png", f"{train_folder}/dog/1.png"]
    assert names(dataset, "val") == [f"{val_folder}/dog/1.png"]
    assert [sample.label for sample in dataset.samples("val")] == [1]


@pytest.mark.parametrize(
    ("train", "val", "test"), [("Train", "Val", "Test"), ("TRAINING", "Validation", "TEST"), ("train", "Valid", "Test")]
)
def test_splits_are_found_whatever_the_case_of_their_folders(draw, train, val, test):
    dataset = build(draw(*classes_of(*(f"{folder}/{c}" for folder in (train, val, test) for c in ("cat", "dog")))))
    assert dataset.classes == ("cat", "dog")
    assert [names(dataset, split)[0] for split in ("train", "val", "test")] == [
        f"{folder}/cat/0.png" for folder in (train, val, test)
    ]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_two_folders_that_could_be_one_split_are_refused(draw, split):
    folders = dict.fromkeys(["train", split, split.capitalize()])
    root = draw(*classes_of(*(f"{folder}/{c}" for folder in folders for c in ("cat", "dog")), count=1))
    with pytest.raises(DataError, match=f"could be the {split} split\n.*\n  got: {split.capitalize()}/ and {split}/"):
        build(root)


def test_a_name_is_the_path_below_the_root(draw):
    root = draw("train/cat/1.png", "train/dog/1.png", "val/dog/1.png")
    for split in ("train", "val"):
        for sample in build(root).samples(split):
            assert sample.image.path == str(root / sample.name)
            assert sample.image.read() == (root / sample.name).read_bytes()


def test_a_split_without_some_classes_keeps_the_indices_of_train(draw):
    root = draw("train/a/1.png", "train/b/1.png", "train/c/1.png", "val/c/2.png")
    assert [sample.label for sample in build(root).samples("val")] == [2]


def test_a_class_that_train_does_not_have_is_an_error_that_names_it(draw):
    with pytest.raises(DataError, match="got: Cat"):
        build(draw("train/cat/1.png", "train/dog/1.png", "val/Cat/2.png"))


def test_without_splits_everything_is_train(draw):
    dataset = build(draw(*classes_of("cat", "dog")))
    assert list(dataset.splits) == ["train"]
    assert names(dataset, "train") == classes_of("cat", "dog")
    assert dataset.notes == ()


@pytest.mark.parametrize("given", [(), ("test/cat/9.png",)])
def test_only_the_splits_that_are_there_are_given(draw, given):
    dataset = build(draw(*classes_of("train/cat", "train/dog"), *given))
    assert dataset.classes == ("cat", "dog")
    assert names(dataset, "train") == classes_of("train/cat", "train/dog")
    assert "val" not in dataset.splits
    assert tuple(s.name for s in dataset.splits.get("test", ())) == given


def test_the_test_split_is_not_touched_where_there_is_val(draw):
    dataset = build(draw("train/cat/1.png", "train/dog/1.png", "val/cat/2.png", "test/dog/3.png"))
    assert [names(dataset, split) for split in ("val", "test")] == [["val/cat/2.png"], ["test/dog/3.png"]]


def test_val_and_test_without_train_are_no_classes(draw):
    with pytest.raises(DataError, match=r"no folder of training images\n.*\n  got: val/, test/"):
        build(draw("val/cat/1.png", "val/dog/1.png", "test/cat/2.png", "test/dog/1.png"))


def test_a_class_may_be_called_train(draw):
    assert build(draw(*classes_of("train", "car", "bus"))).classes == ("bus", "car", "train")
    assert build(draw(*classes_of("Train"))).classes == ("Train", "bus", "car", "train")


def test_folders_beside_the_splits_are_left_out_and_named(draw):
    root = draw(*classes_of("train/cat", "train/dog"), "val/cat/1.png", "valid/cat/1.png", "more/cat/1.png")
    assert "folders beside train/ are left out: more, valid" in build(root).notes


def test_loose_pictures_of_a_test_folder_are_not_lost_silently(draw):
    root = draw(*classes_of("train/cat", "train/dog"), "val/cat/1.png", "val/1.png", "test/1.png")
    notes = build(root).notes
    assert "folders beside train/ are left out: test" in notes
    assert "val/: left out, not in a class folder: 1 image" in notes


def test_pictures_deeper_in_a_class_folder_belong_to_the_class(draw):
    root = draw("train/cat/tabby/1.png", "train/dog/1.png", "val/cat/1.png")
    assert [sample.label for sample in build(root).samples("train")] == [0, 1]


def test_what_is_left_out_is_said(draw, tmp_path):
    draw(*classes_of("cat", "dog", count=2), "loose.png")
    (tmp_path / "cow").mkdir()
    (tmp_path / "cat/notes.txt").touch()
    dataset = build(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert [
        word for word in ("not in a class folder: 1 image", "cow", "1 .txt") if word not in " ".join(dataset.notes)
    ] == []


@pytest.mark.parametrize("files", [["cat/1.png"], ["1.png", "2.png"]])
def test_fewer_than_two_classes_are_an_error(draw, files):
    with pytest.raises(DataError, match="at least two classes"):
        build(draw(*files))


@pytest.mark.parametrize("root", [None, "missing"])
def test_no_folder_is_an_error(tmp_path, root):
    with pytest.raises(DataError, match="folder"):
        build(root and tmp_path / root)


@pytest.mark.parametrize("other", [(), ("shape",)])
@pytest.mark.parametrize("layout", ["{}/0", "train/{}/0", "{}/train/0"])
def test_an_attribute_is_chosen_wherever_its_folder_lies(draw, layout, other):
    folders = [layout.format(name) for name in ("colour", *other)]
    root = draw(*classes_of(*folders, *(f"{folder[:-1]}1" for folder in folders)))
    dataset = build(root, attribute="colour")
    assert dataset.classes == ("0", "1")
    assert (len(names(dataset, "train")), list(dataset.splits)) == (10, ["train"])
    assert names(dataset, "train")[0].startswith(layout.format("colour") + "/")


@pytest.mark.parametrize("layout", ["{split}/colour", "colour/{split}"])
def test_given_splits_of_an_attribute_are_kept(draw, layout):
    folders = [f"{layout.format(split=split)}/{name}" for split in ("train", "val", "test") for name in "01"]
    dataset = build(draw(*classes_of(*folders, count=1)), attribute="colour")
    for split in ("train", "val", "test"):
        assert names(dataset, split) == [f"{layout.format(split=split)}/{name}/0.png" for name in "01"]


def test_a_split_without_the_attribute_is_left_out_and_named(draw):
    root = draw(*classes_of("train/colour/0", "train/colour/1", "val/shape/0"))
    assert "val/ is left out: it has no folder colour/" in build(root, attribute="colour").notes


@pytest.mark.parametrize("above", ["", "train/"])
@pytest.mark.parametrize("attribute", ["size", "train", "../colour", "0"])
def test_an_unknown_attribute_is_an_error_that_names_those_there_are(draw, above, attribute):
    folders = [f"{above}{name}/{k}" for name in ("colour", "shape") for k in "01"]
    with pytest.raises(DataError, match=f"no attribute '{attribute}'\n.*\n  got: colour, shape\n"):
        build(draw(*classes_of(*folders)), attribute=attribute)


def test_class_folders_are_no_attributes(draw):
    with pytest.raises(DataError, match=r"no attribute 'cat'\n.*\n  got: no folder that holds class folders"):
        build(draw(*classes_of("cat", "dog")), attribute="cat")


@pytest.mark.parametrize("above", ["", "train/"])
def test_folders_that_look_like_attributes_are_mentioned(draw, above):
    root = draw(*classes_of(*(f"{above}{name}/{k}" for name in ("colour", "shape") for k in "01")))
    dataset = build(root)
    assert dataset.classes == ("colour", "shape")
    assert any("--with data.attribute=colour" in note for note in dataset.notes)
    assert not any("attribute" in note for note in build(root, attribute="shape").notes)


@pytest.mark.parametrize(
    "folders", [["cat", "dog"], ["cat/a", "cat/b", "dog/c"], ["cat/a", "cat/b", "dog/a", "dog/b", "dog"]]
)
def test_folders_that_do_not_look_like_attributes_are_not_mentioned(draw, folders):
    assert not any("attribute" in note for note in build(draw(*classes_of(*folders))).notes)


@pytest.mark.parametrize("above", ["", "train/"])
def test_a_single_attribute_folder_is_an_error_that_names_the_option(draw, above):
    with pytest.raises(DataError, match=r"two classes(.*\n)+.*--with data\.attribute=colour"):
        build(draw(*classes_of(f"{above}colour/0", f"{above}colour/1")))


def test_folders_of_the_system_are_no_classes_and_empty_ones_are_named(paint):
    root = paint("photos/{colour}/{k}.png", 2)
    for folder in ("__MACOSX/red", "$RECYCLE.BIN", "red/@eaDir", ".git", "later"):
        (root / folder).mkdir(parents=True)
    for name in ("README.txt", ".DS_Store", "red/Thumbs.db", "red/@eaDir/0.png", "__MACOSX/red/._0.png"):
        (root / name).touch()
    found = build(root)
    assert found.classes == ("blue", "green", "red")
    assert len(found.samples("train")) == 6
    assert found.notes == (
        "class folders without images are left out: later",
        "4 left out: a hidden folder, or one of the system, such as $RECYCLE.BIN/",
        "not images by their first bytes, left out: 1 .txt",
    )


def test_images_in_folders_of_a_class_folder_are_its_images_and_a_note_says_so(paint):
    root = paint("photos/{colour}/{k}.png", 2)
    (root / "red" / "dark").mkdir()
    (root / "red" / "0.png").rename(root / "red" / "dark" / "0.png")
    found = build(root)
    assert found.classes == ("blue", "green", "red")
    assert found.notes == ("1 image in deeper folders has the class of the topmost one, such as red/dark/0.png",)


def test_a_flat_folder_whose_names_look_like_labels_says_how_to_use_them(paint):
    for pattern, option in (("a/{colour}_{k}.png", "--dataset regex"), ("b/{colour}.{k}.png", "--with 'data.pattern=")):
        with pytest.raises(DataError) as error:
            build(paint(pattern, 3))
        assert option in error.value.facts["to do"]
        assert "blue, green, red" in error.value.facts["to do"]
    with pytest.raises(DataError) as error:
        build(paint("c/IMG_{k}{colour}.png", 1))
    assert error.value.facts["to do"] is None
