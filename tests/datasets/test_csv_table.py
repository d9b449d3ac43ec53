import pytest

from clsbench.datasets.csv_table import build
from clsbench.errors import DataError
from clsbench.testing import check_dataset, installed

PICTURES = [f"{name}{i}.png" for name in ("cat", "dog") for i in range(5)]
ROWS = "".join(f"{name},{name[:3]}\n" for name in PICTURES)


@pytest.fixture
def table(draw, tmp_path):
    """table(text): ten images and a file that speaks of them."""

    def write(text, *, encoding="utf-8", name="table.csv"):
        draw(*PICTURES)
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return write


def names(dataset, split):
    return [sample.name for sample in dataset.samples(split)]


def test_it_is_a_dataset(table):
    check_dataset(installed("dataset", "csv"), table(f"path,label\n{ROWS}"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_row_is_a_picture_and_its_label(table, tmp_path, encoding):
    dataset = build(table("note,label, path\nx,dog, ./dog0.png\n\n,cat,cat0.png\ny,dog ,dog1.png\n", encoding=encoding))
    assert dataset.classes == ("cat", "dog")
    assert {(s.name, s.image.path, s.label) for split in dataset.splits.values() for s in split} == {
        (f"{name}.png", str(tmp_path / f"{name}.png"), label) for name, label in (("dog0", 1), ("cat0", 0), ("dog1", 1))
    }


def test_everything_is_train_where_no_split_is_given(table):
    dataset = build(table(f"path,label\n{ROWS}"))
    assert list(dataset.splits) == ["train"]
    assert names(dataset, "train") == PICTURES


@pytest.mark.parametrize(
    "words", [("train", "val", "test"), ("TRAINING", "Valid", "Test"), ("training", "validation", " test")]
)
def test_given_splits_are_kept(table, words):
    rows = [f"{name},{name[:3]},{words[0]}\n" for name in PICTURES[2:]]
    dataset = build(table(f"path,label,split\ncat0.png,cat,{words[1]}\ncat1.png,cat,{words[2]}\n{''.join(rows)}"))
    assert names(dataset, "train") == PICTURES[2:]
    assert (names(dataset, "val"), names(dataset, "test")) == (["cat0.png"], ["cat1.png"])


def test_an_empty_split_column_gives_no_split(table):
    text = "path,label,split\n" + "".join(f"{name},{name[:3]},\n" for name in PICTURES)
    assert list(build(table(text)).splits) == ["train"]


def test_the_split_column_can_be_ignored(table):
    text = "path,label,split\n" + "".join(f"{name},{name[:3]},fold 1\n" for name in PICTURES)
    assert list(build(table(text), split_column=None).splits) == ["train"]


def test_columns_may_have_other_names(table):
    text = "file,class,part\ncat0.png,cat,train\ndog0.png,dog,train\ndog1.png,dog,val\n"
    dataset = build(table(text), path_column="file", label_column="class", split_column="part")
    assert (names(dataset, "train"), names(dataset, "val")) == (["cat0.png", "dog0.png"], ["dog1.png"])


def test_paths_are_relative_to_the_file_or_to_the_images(draw, tmp_path):
    draw("photos/a.png", "photos/b.png")
    (tmp_path / "tables").mkdir()
    file = tmp_path / "tables/t.csv"
    file.write_text("path,label\na.png,x\nb.png,y\n")
    for images in (tmp_path / "photos", str(tmp_path / "photos")):
        assert {s.image.path for s in build(file, images=images).samples("train")} == {
            str(tmp_path / "photos" / name) for name in ("a.png", "b.png")
        }
    file.write_text(f"path,label\n../photos/a.png,x\n{tmp_path}/photos/b.png,y\n")
    assert names(build(file), "train") == ["../photos/a.png", f"{tmp_path.as_posix()}/photos/b.png"]


def test_a_folder_stands_for_the_one_table_in_it(table, tmp_path):
    table(f"path,label\n{ROWS}")
    assert build(tmp_path).root == str(tmp_path / "table.csv")
    table("", name="other.csv")
    with pytest.raises(DataError, match=r"exactly one \.csv file\n.*\n  got: other\.csv, table\.csv"):
        build(tmp_path)


def test_a_folder_without_a_table_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"exactly one \.csv file\n.*\n  got: none"):
        build(tmp_path)


@pytest.mark.parametrize("root", [None, "missing.csv"])
def test_no_file_is_an_error(tmp_path, root):
    with pytest.raises(DataError, match="file"):
        build(root and tmp_path / root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'path'\n.*\n  got: an empty file"),
        ("file,label\ncat0.png,cat\n", "no column 'path'\n.*\n  got: file, label"),
        ("path,class\ncat0.png,cat\n", "no column 'label'"),
        ("path;label\ncat0.png;cat\n", "got: path;label"),
        ("path,label,label\ncat0.png,cat,dog\n", "two columns 'label'"),
        ("path,label\ncat0.png,cat\ndog0.png,\n", "no label\n  where: .*csv:3"),
        ("path,label\ncat0.png,cat\ndog0.png\n", "no label\n  where: .*csv:3"),
        ("path,label\n ,cat\n", "no path\n  where: .*csv:2"),
        ("path,label\na, 1.png,cat\n", "more fields than the header\n  where: .*csv:2"),
        (f"path,label\n{ROWS}./cat1.png,cat\n", "the same path\n  where: .*csv:12\n  got: cat1.png, also in line 3"),
        (
            "path,label\na.png,x\nb.png,y\nc.png,x\nd.png,y\n",
            "4 of 4 files not found\n.*\n  got: a.png, b.png, c.png, …",
        ),
        ("path,label\ncat0.png,cat\ncat1.png,cat\n", "two classes\n.*\n  got: one label for training: cat"),
        ("path,label\n", "two classes\n.*\n  got: no rows"),
        ("path,label,split\ncat0.png,cat,train\ndog0.png,dog,rest\n", "unknown split\n  where: .*csv:3\n  got: rest"),
        ("path,label,split\ncat0.png,cat,train\ndog0.png,dog,\n", "no split, and others have one\n  where: .*csv:3"),
        ("path,label,split\ncat0.png,cat,val\ndog0.png,dog,val\n", "no rows for training"),
        ("path,label,split\ncat0.png,cat,train\ndog0.png,dog,train\ndog1.png,Dog,val\n", "do not have\n.*\n  got: Dog"),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit_are_refused(table, text, message):
    with pytest.raises(DataError, match=message):
        build(table(text))


def test_a_split_column_that_was_asked_for_has_to_be_there(table):
    with pytest.raises(DataError, match="no column 'part'"):
        build(table(f"path,label\n{ROWS}"), split_column="part")


def test_a_table_in_another_encoding_is_refused(table):
    with pytest.raises(DataError, match=r"cannot be read(.*\n)+.*UTF-8"):
        build(table("path,label\ncafé.png,cat\n", encoding="latin-1"))


def test_a_missing_folder_of_images_is_refused(table, tmp_path):
    with pytest.raises(DataError, match="no such folder of images"):
        build(table(f"path,label\n{ROWS}"), images=tmp_path / "missing")
