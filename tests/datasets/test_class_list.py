import json

import pytest

from clsbench.datasets.class_list import read_class_list
from clsbench.errors import DataError

NAMES = ("ants", "bees", "Œuf de Pâques")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "ants\nbees\nŒuf de Pâques\n"),
        ("classes.names", "\ufeffants\r\nbees \r\nŒuf de Pâques\r\n\r\n"),
        ("list.json", json.dumps(NAMES)),
        ("positions.json", json.dumps({"2": NAMES[2], "0": NAMES[0], "1": NAMES[1]})),
        ("imagenet_class_index.json", json.dumps({str(k): [f"n{k:08}", name] for k, name in enumerate(NAMES)})),
        ("class_to_idx.JSON", json.dumps({name: k for k, name in enumerate(NAMES)})),
    ],
)
def test_the_usual_forms_are_read(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_class_list(tmp_path / name) == NAMES


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("c.txt", b"\xff\xfe", "cannot be read"),
        ("c.json", b"ants", "not valid JSON"),
        ("c.json", b"3", "does not hold names"),
        ("c.json", b'["a", 3]', "does not hold names"),
        ("c.json", b'{"0": "a", "2": "b"}', "2 classes without position 1"),
        ("c.json", b'{"a": 0, "b": 0}', "positions"),
        ("c.json", b"[" * 100_000, "not valid JSON"),
    ],
)
def test_what_names_no_classes_is_refused_with_the_file(tmp_path, name, text, words):
    (tmp_path / name).write_bytes(text)
    with pytest.raises(DataError, match=words) as caught:
        read_class_list(tmp_path / name)
    assert name in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.txt"):
        read_class_list(tmp_path / "nowhere.txt")
