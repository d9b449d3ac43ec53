import pytest

from clsbench.datasets.regex import build
from clsbench.errors import DataError, OptionError
from clsbench.testing import check_dataset, installed

PETS = [f"images/{breed}_{i}.jpg" for breed in ("great_pyrenees", "Bombay") for i in range(1, 6)]


def labels(dataset):
    return {s.name: dataset.classes[s.label] for samples in dataset.splits.values() for s in samples}


def test_it_is_a_dataset(draw):
    check_dataset(installed("dataset", "regex"), draw(*PETS))


def test_the_label_stands_before_the_number(draw):
    root = draw(*PETS)
    dataset = build(root)
    assert dataset.classes == ("Bombay", "great_pyrenees")
    assert labels(dataset) == {name: name.split("/")[1].rsplit("_", 1)[0] for name in PETS}
    assert list(dataset.splits) == ["train"]
    assert {s.image.path for s in dataset.samples("train")} == {str(root / name) for name in PETS}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^/([^/]+)/", {"a", "b"}),
        (r"_(?P<year>\d+)_(?P<label>\w+)\.png$", {"dog", "cat"}),
        (r"_(\d+)_", {"2023", "2024"}),
    ],
)
def test_the_label_is_the_group_of_that_name_or_the_first(draw, pattern, expected):
    root = draw("a/x_2023_dog.png", "b/x_2024_cat.png")
    assert set(build(root, pattern=pattern).classes) == expected


def test_what_is_left_out_is_said(draw, tmp_path):
    root = draw(*PETS, "w.jpg", "x.jpg", "y.jpg", "z.jpg")
    (tmp_path / "list.txt").touch()
    dataset = build(root)
    assert "4 images left out because the pattern does not match: w.jpg, x.jpg, y.jpg, … (4 in all)" in dataset.notes
    assert any("1 .txt" in note for note in dataset.notes)
    assert set(labels(dataset)) == set(PETS)


def test_an_empty_label_is_no_label(draw):
    notes = build(draw("cat_1.png", "dog_1.png", "_1.png"), pattern=r"/([^/]*)_\d+\.png").notes
    assert notes[0] == "1 image left out because the pattern does not match: _1.png"


def test_a_pattern_that_matches_nothing_shows_three_names_and_itself(draw):
    with pytest.raises(DataError, match="matches no file name") as caught:
        build(draw("a.jpg", "b.jpg", "c.jpg", "d.jpg"), pattern=r"/(\d+)-")
    assert [word for word in ("a.jpg, b.jpg, c.jpg, …", r"/(\d+)-") if word not in str(caught.value)] == []


def test_one_label_is_no_dataset(draw):
    with pytest.raises(DataError, match=r"two classes\n.*\n  got: the label cat alone"):
        build(draw("cat_1.jpg", "cat_2.jpg"))


@pytest.mark.parametrize("pattern", ["(", "*a", r"(?P<label"])
def test_what_is_no_regular_expression_is_refused_with_the_reason(draw, pattern):
    with pytest.raises(OptionError, match=r"not a regular expression\n.*\n  got: .* at position"):
        build(draw(*PETS), pattern=pattern)


def test_a_pattern_without_a_group_is_refused(draw):
    with pytest.raises(OptionError, match="no group"):
        build(draw(*PETS), pattern=r"\w+_\d+")


@pytest.mark.parametrize("root", [None, "missing"])
def test_no_folder_is_an_error(tmp_path, root):
    with pytest.raises(DataError, match="folder"):
        build(root and tmp_path / root)
