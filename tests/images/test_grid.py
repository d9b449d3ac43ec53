import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clsbench.images.grid import TITLE, Tile, save_grid
from clsbench.text import printable, shortened

RED = np.full((4, 6, 3), (250, 10, 10), np.uint8)


def draw(folder, tiles, **options):
    save_grid(tiles, folder / "grid.png", **options)
    with Image.open(folder / "grid.png") as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def coloured(image, colour):
    return int((np.abs(image.astype(int) - colour).max(axis=2) <= 3).sum())


def test_pictures_stand_row_by_row(tmp_path):
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    image = draw(tmp_path, [Tile(p, "") for p in (RED, black, white, black)], columns=2)
    top, bottom = np.array_split(image, 2)
    assert coloured(top[:, : top.shape[1] // 2], (250, 10, 10)) > 1000
    assert coloured(bottom, (250, 10, 10)) == 0
    assert coloured(image[:, image.shape[1] // 2 :], 0) > 2 * 1000


@pytest.mark.parametrize(("count", "columns", "like"), [(4, None, (4, 2)), (5, None, (6, 3)), (3, 1, (3, 1))])
def test_without_columns_the_grid_is_square(tmp_path, count, columns, like):
    assert draw(tmp_path, [Tile(RED, "x")] * count, columns=columns).shape == (
        draw(tmp_path, [Tile(RED, "x")] * like[0], columns=like[1]).shape
    )


def test_more_rows_make_it_higher_and_more_columns_wider(tmp_path):
    sizes = [draw(tmp_path, [Tile(RED, "x")] * 6, columns=columns).shape[:2] for columns in (1, 2, 3, 6)]
    heights, widths = zip(*sizes, strict=True)
    assert sorted(heights, reverse=True) == list(heights)
    assert sorted(widths) == list(widths)
    assert len(set(sizes)) == 4


def test_hundreds_of_rows_can_be_drawn(tmp_path):
    """``show -n`` takes up to 400; no image of matplotlib's may be higher than 65,535 pixels."""
    save_grid([Tile(None, "x")] * 400, tmp_path / "grid.png", columns=1)
    assert (tmp_path / "grid.png").is_file()


def test_a_tile_without_pixels_keeps_its_place_and_its_colour(tmp_path):
    image = draw(tmp_path, [Tile(None, "unreadable", "red"), Tile(RED, "")], columns=2)
    left, right = np.array_split(image, 2, axis=1)
    assert (left.astype(int)[..., 0] - left[..., 1] > 100).sum() > 20
    assert coloured(right, (250, 10, 10)) > 1000


@pytest.mark.parametrize("title", ["$x^", r"\frac", "two\nlines", "tab\there", "蜜蜂", "\udce9", "🐝", "", "a" * 500])
def test_any_title_of_a_tile_is_drawn(tmp_path, title):
    assert draw(tmp_path, [Tile(RED, title)]).any()


@pytest.mark.parametrize("title", ["$x^", "蜜蜂", "\udce9"])
def test_any_title_of_the_grid_is_drawn(tmp_path, title):
    assert draw(tmp_path, [Tile(RED, "x")], title=title).any()


def test_folders_above_the_file_are_made(tmp_path):
    draw(tmp_path / "new" / "folder", [Tile(RED, "x")])


@given(st.text(max_size=60))
def test_a_shortened_text_fits_and_ends_as_the_whole_one(text):
    for line in text.split("\n"):  # as save_grid does
        short = shortened(printable(line), TITLE)
        assert len(short) <= TITLE
        assert short.isprintable()
        if line.isprintable():
            assert short == line or (short[0] == "…" and line.endswith(short[1:]))
