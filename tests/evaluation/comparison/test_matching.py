from contextlib import ExitStack

import numpy as np
import pytest

from clsbench.errors import DataError
from clsbench.evaluation.comparison.matching import match
from clsbench.predictions.reading import read_predictions

CLASSES = ("ant", "bee", "cat")

ROWS = {
    "0.png": ("ant", "ant"),
    "1.png": ("bee", "cat"),
    "2.png": ("cat", "bee"),
    "3.png": ("ant", "cat"),
}


@pytest.fixture
def table(tmp_path):
    """table(name, {path: (label, predicted)}, classes=…): a name and its table, as match() takes them."""
    with ExitStack() as stack:

        def read(name, rows, classes=CLASSES):
            file = tmp_path / f"{name}.csv"
            head = ",".join(["path", "label", "predicted", *(f"p:{c}" for c in classes)])
            lines = [
                ",".join([path, label, predicted, *(str(float(c == predicted)) if predicted else "" for c in classes)])
                for path, (label, predicted) in rows.items()
            ]
            file.write_bytes("\n".join([head, *lines, ""]).encode("utf-8", "surrogateescape"))
            return name, stack.enter_context(read_predictions(file))

        yield read


def named(matched):
    """path -> label, and what each file predicted, by name."""
    columns = [matched.labels, *(answers.predicted for answers in matched.answers)]
    names = [*matched.classes, None]
    return {path: tuple(names[column[k]] for column in columns) for k, path in enumerate(matched.names)}


def without(*paths):
    return {path: row for path, row in ROWS.items() if path not in paths}


def test_rows_and_classes_are_in_the_order_of_the_first_file(table):
    other = {path: ROWS[path] for path in ("2.png", "0.png", "3.png", "1.png")}
    matched = match([table("a", ROWS), table("b", other, ("cat", "bee", "ant"))])
    assert matched.classes == CLASSES
    assert named(matched) == {path: (label, said, said) for path, (label, said) in ROWS.items()}
    assert [answers.name for answers in matched.answers] == ["a", "b"]
    assert matched.notes == ()


@pytest.mark.parametrize("seed", range(5))
def test_any_orders_and_gaps_give_what_dicts_give(table, seed):
    random = np.random.default_rng(seed)
    truth = {f"{k}.png": CLASSES[random.integers(3)] for k in range(50)}
    files = []
    for _ in range(3):
        kept = random.permutation(list(truth))[: random.integers(30, 51)].tolist()
        files.append({path: (truth[path], CLASSES[random.integers(3)]) for path in kept})
    tables = [table(f"f{k}", rows, tuple(random.permutation(CLASSES))) for k, rows in enumerate(files)]
    common = [path for path in files[0] if path in files[1] and path in files[2]]
    matched = match(tables)
    assert list(matched.names) == common
    assert named(matched) == {path: (truth[path], *(rows[path][1] for rows in files)) for path in common}


def test_images_missing_on_one_side_are_left_out_and_told(table):
    matched = match([table("a", without("0.png")), table("b", without("2.png", "3.png"))])
    assert list(matched.names) == ["1.png"]
    left, right = matched.notes
    assert "left out: 2 images of a not in b, such as 2.png, 3.png" in left
    assert "of b not in a, such as 0.png" in right


def test_labels_come_from_whichever_file_has_them(table):
    halves = [{path: (label if int(path[0]) % 2 == k else "", said) for path, (label, said) in ROWS.items()}
              for k in (0, 1)]  # fmt: skip
    matched = match([table("a", halves[0]), table("b", halves[1])])
    assert [row[0] for row in named(matched).values()] == [label for label, _ in ROWS.values()]


def test_images_without_a_label_are_left_out_and_counted(table):
    rows = ROWS | {"1.png": ("", "cat"), "2.png": ("", "cat")}
    matched = match([table("a", rows), table("b", rows)])
    assert list(matched.names) == ["0.png", "3.png"]
    assert matched.notes == ("left out: 2 images without a label",)


def test_images_without_an_answer_are_told_to_be_mistakes(table):
    """``evaluate`` leaves them out, so that its accuracy is another."""
    matched = match([table("a", ROWS), table("b", ROWS | {"1.png": (ROWS["1.png"][0], "")})])
    assert matched.notes == ("counted as wrong, where evaluate leaves them out: 1 image that b could not classify",)


def test_an_image_that_a_model_could_not_classify_stays_and_has_no_answer(table):
    matched = match([table("a", ROWS), table("b", ROWS | {"1.png": ("bee", "")})])
    assert matched.answers[1].predicted.tolist() == [0, -1, 1, 2]
    assert matched.labels.tolist() == [0, 1, 2, 0]


def test_a_path_that_is_no_utf8_is_matched(table):
    rows = {"caf\udce9.png": ("ant", "bee")}
    assert list(match([table("a", rows), table("b", rows)]).names) == ["caf\udce9.png"]


@pytest.mark.parametrize(
    ("rows", "classes", "words"),
    [
        (ROWS, (*CLASSES, "dog"), ["of different classes", "a and b", "only in b: dog"]),
        ({"1.png": ("bee", "bee")}, ("ant", "bee"), ["of different classes", "only in a: cat"]),
        ({"x/0.png": ("ant", "ant")}, CLASSES, ["no image in common", "0.png", "x/0.png", "the same paths"]),
        (
            ROWS | {"1.png": ("cat", "cat")},
            CLASSES,
            ["disagree", "1.png", "bee in an earlier", "cat in b"],
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_files_that_do_not_go_together_are_refused(table, rows, classes, words):
    with pytest.raises(DataError) as refusal:
        match([table("a", ROWS), table("b", rows, classes)])
    assert not [word for word in words if word not in str(refusal.value)], refusal.value


def test_files_without_a_label_between_them_are_refused(table):
    bare = {path: ("", said) for path, (_, said) in ROWS.items()}
    with pytest.raises(DataError, match="no image that the files have in common has a label"):
        match([table("a", bare), table("b", bare)])


def test_the_third_file_is_held_against_the_first_two(table):
    third = ROWS | {"3.png": ("bee", "bee")}
    with pytest.raises(DataError, match="disagree about 1 label"):
        match([table("a", without("3.png") | {"3.png": ("", "ant")}), table("b", ROWS), table("c", third)])
