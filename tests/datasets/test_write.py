import io

import numpy as np
import pytest
from PIL import Image

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.folder import build
from clsbench.datasets.labels import from_folders
from clsbench.datasets.write import write_class_folders
from clsbench.errors import DataError
from clsbench.images.entries import BytesEntry, FileEntry, PixelsEntry

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
        Sample(PixelsEntry("0.png", PIXELS[0]), 0),
        Sample(BytesEntry("1.png", png(PIXELS[1])), 1),
        Sample(FileEntry("2.png", str(tmp_path / "source.png")), 0),
    )
    assert write_class_folders(given, "val", tmp_path / "out").images == 3
    for name, pixels in zip(("cat/0.png", "dog/1.png", "cat/2.png"), PIXELS, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / name)), pixels)


def test_what_is_written_is_a_folder_dataset_with_the_same_labels(tmp_path):
    given = dataset(*(Sample(PixelsEntry(f"{i}.png", PIXELS[0]), i % 2) for i in range(6)))
    write_class_folders(given, "val", tmp_path / "train")
    write_class_folders(given, "val", tmp_path / "val")
    read = build(tmp_path)
    assert read.classes == given.classes
    assert {s.name.split("/")[2]: s.label for s in read.samples("val")} == {
        s.name: s.label for s in given.samples("val")
    }


def test_equal_file_names_in_different_folders_do_not_overwrite_each_other(tmp_path):
    given = dataset(Sample(PixelsEntry("cat/a/1.png", PIXELS[0]), 0), Sample(PixelsEntry("cat/b/1.png", PIXELS[1]), 0))
    assert write_class_folders(given, "val", tmp_path / "out").images == 2
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("train/cat/1.png", "cat/1.png"),
        ("photos/train/cat/tabby/1.png", "cat/tabby/1.png"),
        ("cat/cat/1.png", "cat/cat/1.png"),
        ("images/cat_1.png", "cat/images/cat_1.png"),
        ("images/cat", "cat/images/cat.png"),
        ("../more/1.png", "cat/more/1.png"),
        ("/data/../etc/1.jpg", "cat/data/etc/1.jpg.png"),
    ],
)
def test_what_lies_below_the_class_folder_is_kept(tmp_path, name, written):
    write_class_folders(dataset(Sample(PixelsEntry(name, PIXELS[0]), 0)), "val", tmp_path / "out")
    assert [p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("*.png")] == [written]


def test_pictures_that_would_share_a_file_keep_their_whole_path(tmp_path):
    names = ["a/cat/1.png", "b/cat/1.png", "b/cat/2.png"]
    write_class_folders(dataset(*(Sample(PixelsEntry(name, PIXELS[0]), 0) for name in names)), "val", tmp_path / "out")
    written = sorted(p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("*.png"))
    assert written == ["cat/2.png", "cat/a/cat/1.png", "cat/b/cat/1.png"]


def test_two_pictures_are_never_written_to_one_file(tmp_path):
    with pytest.raises(DataError, match="to one file"):
        write_class_folders(
            dataset(Sample(PixelsEntry("x/1.png", PIXELS[0]), 0), Sample(PixelsEntry("../x/1.png", PIXELS[1]), 0)),
            "val",
            tmp_path / "out",
        )


def test_a_class_no_folder_can_be_called_after_is_found_again(tmp_path):
    classes = ("T-shirt/top", "..", "100%", "100%2F")
    samples = [Sample(PixelsEntry(f"{k}.png", PIXELS[0]), k) for k in range(4)]
    write_class_folders(Dataset(classes=classes, splits={"val": samples}), "val", tmp_path / "out")
    names = sorted(p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("*.png"))
    assert [name.count("/") for name in names] == [1] * 4
    labels = from_folders(names, classes, where="out")
    assert [f"{k}.png" for k in labels.index] == [name.split("/")[1] for name in names]
    assert labels.notes == ()


def test_only_what_was_written_is_counted(tmp_path):
    given = dataset(Sample(PixelsEntry("1.png", PIXELS[0]), 0), Sample(PixelsEntry("2.png", PIXELS[1]), None))
    assert write_class_folders(given, "val", tmp_path / "out").images == 1
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["1.png"]


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(DataError, match="not empty"):
        write_class_folders(dataset(Sample(PixelsEntry("1.png", PIXELS[0]), 0)), "val", tmp_path)


def test_a_missing_split_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no train images"):
        write_class_folders(dataset(Sample(PixelsEntry("1.png", PIXELS[0]), 0)), "train", tmp_path / "out")


def test_a_table_cannot_copy_what_is_no_image(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "other").mkdir()
    Image.fromarray(PIXELS[0]).save(tmp_path / "data" / "a.png")
    Image.fromarray(PIXELS[0]).save(tmp_path / "other" / "b.png")
    (tmp_path / "link.png").symlink_to("/etc/passwd")
    (tmp_path / "data" / "c.png").symlink_to("../other/b.png")
    table = tmp_path / "data" / "evil.csv"
    rows = ["/etc/passwd", "a.png", "../other/b.png", "../link.png", "/dev/zero", "c.png"]
    table.write_text("path,label\n" + "".join(f"{row},cat\n" for row in rows))
    samples = [Sample(FileEntry(row, str(tmp_path / "data" / row)), 0) for row in rows]
    given = Dataset(classes=("cat", "dog"), splits={"val": samples}, root=str(table))
    found = write_class_folders(given, "val", tmp_path / "out")
    assert found.not_images == ("/etc/passwd", "../link.png", "/dev/zero")
    assert found.outside == ("../other/b.png", "c.png")
    assert found.images == 3
    written = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert sorted(file.name for file in written) == ["a.png", "b.png", "c.png"]
