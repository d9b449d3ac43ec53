import pytest

from clsbench.errors import DataError
from clsbench.text_files import check_text, separator_hint


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"\xff\xd8\xff\xe0", "a JPEG image"),
        (b"PK\x03\x04", "a ZIP archive or a spreadsheet"),
        (b"PAR1", "a Parquet table"),
        (b"\x08\n\x12\x08clsbench\0", "binary data"),
        ("path,label\n".encode("utf-16"), "text in UTF-16"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path, content, kind):
    file = tmp_path / "labels.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"(?s)the labels file is not text in UTF-8.*labels\.csv.*got: {kind}"):
        check_text(file, "the labels file")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match="the labels file is a folder"):
        check_text(tmp_path, "the labels file")


@pytest.mark.parametrize("content", ["", "path,label\n", "﻿path\tlabel\r\n", "日本,é\n"])
def test_text_passes(tmp_path, content):
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    check_text(tmp_path / "a.csv", "the file")


@pytest.mark.parametrize(
    ("columns", "found"), [(["a;b"], "';'"), (["a\tb"], "tabs"), (["a|b"], "'|'"), (["a"], None), (["a;b", "c"], None)]
)
def test_columns_with_other_separators_are_recognised(columns, found):
    hint = separator_hint(columns)
    assert hint is None if found is None else f"separated by {found}" in hint
