import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsbench.datasets.labels import class_folder, from_csv, from_folders
from clsbench.errors import DataError

CLASSES = ("cat", "dog", "owl")


def folders(names, classes=CLASSES, **options):
    return from_folders(names, classes, where="photos", **options)


@pytest.mark.parametrize("above", ["", "val/", "2024/may/"])
def test_class_folders_are_found_by_name_at_any_depth(above):
    names = [f"{above}{name}/1.png" for name in ("owl", "cat", "dog")]
    labels = folders(names)
    assert (labels.source, labels.index, labels.notes) == ("class folders", [2, 0, 1], ())


def test_pictures_deeper_in_a_class_folder_belong_to_the_class():
    assert folders(["cat/tabby/1.png", "dog/1.png", "owl/1.png"]).index == [0, 1, 2]


@pytest.mark.parametrize("classes", [CLASSES, CLASSES[::-1], ("ant", "cat", "dog", "owl", "yak")])
def test_the_order_of_the_models_classes_does_not_matter(classes):
    labels = folders(["cat/1.png", "owl/1.png"], classes)
    assert [classes[k] for k in labels.index] == ["cat", "owl"]


def test_missing_classes_are_reported_and_shift_nothing():
    labels = folders(["owl/1.png"])
    assert labels.index == [2]
    assert "cat, dog" in labels.notes[0]


@pytest.mark.parametrize("names", [["cat/1.png", "yak/1.png"], ["cat/1.png", "dog/1.png", "owl/1.png", "yak/1.png"]])
def test_an_extra_class_is_an_error_that_names_it(names):
    with pytest.raises(DataError, match="yak"):
        folders(names)


def test_a_renamed_class_is_an_error_that_suggests_the_name():
    with pytest.raises(DataError, match="did you mean 'dog'"):
        folders(["cat/1.png", "dogs/1.png", "owl/1.png"])


def test_unknown_folders_can_be_left_unlabelled():
    labels = folders(["cat/1.png", "yak/1.png"], unknown="ignore")
    assert labels.index == [0, -1]
    assert "yak" in " ".join(labels.notes)


def test_as_many_strange_folders_as_classes_are_not_matched_by_position():
    labels = folders(["a/1.png", "b/1.png", "c/1.png"])
    assert (labels.source, labels.index) == (None, [-1, -1, -1])
    assert "no accuracy" in labels.notes[0]


def test_names_are_compared_exactly():
    assert folders(["CAT/1.png", "Dog/1.png"]).index == [-1, -1]


@given(st.lists(st.text(st.sampled_from("./%25aF0\0"), min_size=1), unique=True))
def test_classes_have_folders_of_their_own(classes):
    folders = [class_folder(name) for name in classes]
    assert len(set(folders)) == len(classes)
    assert not [name for name in folders if name.startswith(".") or "/" in name or "\0" in name]


def test_a_class_with_a_slash_is_found_in_the_folder_it_is_written_to():
    labels = folders(["T-shirt%2Ftop/1.png", "Coat/1.png"], ("Coat", "T-shirt/top"))
    assert (labels.index, labels.notes) == ([1, 0], ())


def test_loose_pictures_have_no_label():
    assert folders(["1.png", "cat/1.png"]).index == [-1, 0]
    assert folders(["1.png"]).notes == ()


def write(tmp_path, text, encoding="utf-8"):
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    return tmp_path / "labels.csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_labels_are_matched_by_path_whatever_their_order(tmp_path, encoding):
    file = write(tmp_path, 'label,note,path\nowl,x,./b.png\ncat,,"a, 1.png"\ndog,,é.png\n', encoding)
    labels = from_csv(file, ["a, 1.png", "b.png", "é.png"], CLASSES)
    assert labels.index == [0, 2, 1]
    assert labels.source == str(file)


def test_pictures_without_a_line_are_unlabelled_and_counted(tmp_path):
    labels = from_csv(write(tmp_path, "path,label\na.png,cat\nz.png,dog\n"), ["a.png", "b.png"], CLASSES)
    assert labels.index == [0, -1]
    assert any(note.startswith("1 image without") for note in labels.notes)


def test_an_empty_label_means_none(tmp_path):
    labels = from_csv(write(tmp_path, "path,label\na.png,cat\nb.png,\nc.png\n"), ["a.png", "b.png", "c.png"], CLASSES)
    assert labels.index == [0, -1, -1]


def test_csv_labels_that_the_model_does_not_know(tmp_path):
    file = write(tmp_path, "path,label\na.png,cat\nb.png,dgo\n")
    with pytest.raises(DataError, match="did you mean 'dog'"):
        from_csv(file, ["a.png", "b.png"], CLASSES)
    assert from_csv(file, ["a.png", "b.png"], CLASSES, unknown="ignore").index == [0, -1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks a column"),
        ("file,class\na.png,cat\n", "lacks a column"),
        ("path,label\na.png,cat\na.png,dog\n", "two labels"),
        ("path,label\nz.png,cat\n", "no path in the labels file"),
        ("path,label\n", "no path in the labels file"),
    ],
)
def test_csv_files_that_do_not_fit_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        from_csv(write(tmp_path, text), ["a.png"], CLASSES)


def test_csv_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        from_csv(tmp_path / "missing.csv", ["a.png"], CLASSES)
    with pytest.raises(DataError, match="cannot be read"):
        from_csv(write(tmp_path, "path,label\né.png,cat\n", "latin-1"), ["a.png"], CLASSES)
