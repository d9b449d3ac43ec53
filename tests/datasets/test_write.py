import io

import numpy as np
import pytest
from PIL import Image

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.folder import build
from clsbench.datasets.write import write_class_folders
from clsbench.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def dataset(*samples):
    return Dataset(classes=("cat", "dog"), splits={"val": samples})


def test_pixels_bytes_and_files_are_written_and_read_back_the_same(tmp_path):
    (tmp_path / "source.png").write_bytes(png(PIXELS[2]))
    given = dataset(
        Sample("0.png", PIXELS[0], 0), Sample("1.png", png(PIXELS[1]), 1), Sample("2.png", tmp_path / "source.png", 0)
    )
    assert write_class_folders(given, "val", tmp_path / "out") == 3
    for name, pixels in zip(("cat/0.png", "dog/1.png", "cat/2.png"), PIXELS, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / name)), pixels)


def test_what_is_written_is_a_folder_dataset_with_the_same_labels(tmp_path):
    given = dataset(*(Sample(f"{i}.png", PIXELS[0], i % 2) for i in range(6)))
    write_class_folders(given, "val", tmp_path / "train")
    write_class_folders(given, "val", tmp_path / "val")
    read = build(tmp_path)
    assert read.classes == given.classes
    assert {s.name.split("/")[1]: s.label for s in read.samples("val")} == {
        s.name: s.label for s in given.samples("val")
    }


def test_equal_file_names_in_different_folders_do_not_overwrite_each_other(tmp_path):
    given = dataset(Sample("cat/a/1.png", PIXELS[0], 0), Sample("cat/b/1.png", PIXELS[1], 0))
    assert write_class_folders(given, "val", tmp_path / "out") == 2
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2


def test_only_what_was_written_is_counted(tmp_path):
    given = dataset(Sample("1.png", PIXELS[0], 0), Sample("2.png", PIXELS[1], None))
    assert write_class_folders(given, "val", tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["1.png"]


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(DataError, match="not empty"):
        write_class_folders(dataset(Sample("1.png", PIXELS[0], 0)), "val", tmp_path)


def test_a_missing_split_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no train images"):
        write_class_folders(dataset(Sample("1.png", PIXELS[0], 0)), "train", tmp_path / "out")
