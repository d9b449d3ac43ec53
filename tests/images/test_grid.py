import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clsbench.images import grid
from clsbench.images.grid import Tile, fitted_line, save_grid
from clsbench.text import printable

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
    image = draw(tmp_path, [Tile(p, "") for p in (RED, black, white, black)], group=2)
    top, bottom = np.array_split(image, 2)
    assert coloured(top[:, : top.shape[1] // 2], (250, 10, 10)) > 1000
    assert coloured(bottom, (250, 10, 10)) == 0
    assert coloured(image[:, image.shape[1] // 2 :], 0) > 2 * 1000


@pytest.mark.parametrize(("count", "like"), [(4, (4, 2)), (5, (6, 3))])
def test_without_groups_the_grid_is_square(tmp_path, count, like):
    assert draw(tmp_path, [Tile(RED, "x")] * count).shape == (
        draw(tmp_path, [Tile(RED, "x")] * like[0], group=like[1]).shape
    )


def test_more_rows_make_it_higher_and_more_columns_wider(tmp_path):
    sizes = [draw(tmp_path, [Tile(RED, "x")] * 6, group=group).shape[:2] for group in (1, 2, 3, 6)]
    heights, widths = zip(*sizes, strict=True)
    assert sorted(heights, reverse=True) == list(heights)
    assert sorted(widths) == list(widths)
    assert len(set(sizes)) == 4


def test_hundreds_of_rows_can_be_drawn(tmp_path):
    """``show -n`` takes up to 400, of six tiles each; no image of matplotlib's may be higher than 65,535 pixels."""
    height, width, _ = draw(tmp_path, [Tile(None, "x")] * 2400, group=6).shape
    assert max(height, width) < 8000


@pytest.mark.parametrize("group", [None, 1, 2, 6])
@pytest.mark.parametrize("title", ["x", "file.png\nwrong: ant 97.1%\nis bee 2.0%\nloss 3.91"])
def test_sixteen_rows_fit_a_screen(tmp_path, group, title):
    assert max(draw(tmp_path, [Tile(RED, title)] * 16 * (group or 1), group=group).shape) <= 1600


def test_groups_stay_together_where_they_stand_beside_each_other(tmp_path):
    """Sixteen groups of two: however many stand in a row, red is left of its blue."""
    blue = np.full((4, 6, 3), (10, 10, 250), np.uint8)
    image = draw(tmp_path, [Tile(RED, ""), Tile(blue, "")] * 16, group=2)
    row = next(row for row in image if (row == [250, 10, 10]).all(axis=1).any())
    colours = [c for c in row.tolist() if c in ([250, 10, 10], [10, 10, 250])]
    runs = [c for c, before in zip(colours, [None, *colours], strict=False) if c != before]
    assert len(runs) > 2
    assert runs == [[250, 10, 10], [10, 10, 250]] * (len(runs) // 2)


def test_a_tile_without_pixels_keeps_its_place_and_its_colour(tmp_path):
    image = draw(tmp_path, [Tile(None, "unreadable", "red"), Tile(RED, "")], group=2)
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


@pytest.mark.parametrize("title", ["W" * 60, "蜜" * 60, "photos/ants/" + "9" * 60 + ".jpg", "i" * 200])
def test_long_titles_do_not_reach_the_next_tile(tmp_path, title):
    """The title of the left tile is black, that of the right one green: no column has both."""
    image = draw(tmp_path, [Tile(RED, title), Tile(RED, title, "#00aa00")], group=2).astype(int)
    heads = image[: image.shape[0] // 3]
    black = np.flatnonzero((heads.max(axis=2) < 100).any(axis=0))
    green = np.flatnonzero((heads[..., 1] - heads[..., 0] > 100).any(axis=0))
    assert black.size
    assert green.size
    assert black.max() < green.min()
    assert black.min() > 0
    assert green.max() < image.shape[1] - 1


def test_a_title_keeps_its_beginning_and_its_end():
    assert fitted_line("short.jpg", 1.6) == "short.jpg"
    short = fitted_line("wrong: a class with a very long name indeed 97.3%", 1.6)
    assert short.startswith("wrong: ")
    assert short.endswith(" 97.3%")
    assert "…" in short


def test_a_title_of_megabytes_is_not_measured_letter_by_letter(monkeypatch):
    measured, width = [], grid._width
    monkeypatch.setattr(grid, "_width", lambda text: measured.append(len(text)) or width(text))
    assert fitted_line("a" + "B" * 1_000_000 + "c", 1.6).replace("B", "") == "a…c"
    assert max(measured) <= grid.LONGEST + 1


def test_a_long_path_is_measured_a_few_times(monkeypatch):
    measured, width = [], grid._width
    monkeypatch.setattr(grid, "_width", lambda text: measured.append(len(text)) or width(text))
    first, rest, _ = Tile(RED, "x", path="folder/" + "a" * 100_000 + "z.png").lines(1.6)
    assert (first.strip("a"), rest.endswith("z.png")) == ("", True)
    assert len(measured) < 40
    assert max(measured) <= grid.LONGEST + 1


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("ants/1.jpg", ["ants/1.jpg"]),
        ("Bienen & Hummeln äöü/Urlaub 2024 Österreich/892676922.jpg", ["…/892676922.jpg"]),
        ("Bienen & Hummeln/WhatsApp Image 2024-05-07 at 10.02.jpeg", ["WhatsApp Image 2024-05-07", "at 10.02.jpeg"]),
    ],
)
def test_the_file_of_a_tile_can_be_found(path, lines):
    assert Tile(RED, "ant", path=path).lines(1.6) == [*lines, "ant"]


@pytest.mark.parametrize("group", [None, 3])
def test_paths_of_two_lines_have_room_above_their_images(tmp_path, group):
    """The red of the second row begins below what is written above it, also where images are small."""
    path = "photos/" + "9" * 40 + ".jpg"
    for count in (2, 36):
        image = draw(tmp_path, [Tile(RED, "one\ntwo\nthree", "#00aa00", path)] * count, group=group).astype(int)
        green = ((image[..., 1] - image[..., 0] > 100) & (image[..., 1] > 150)).any(axis=1)
        red = (np.abs(image - [250, 10, 10]).max(axis=2) <= 3).any(axis=1)
        assert green.sum() > 20
        assert not (green & red).any()


def test_an_image_stands_right_below_its_title(tmp_path):
    wide = np.full((20, 100, 3), (250, 10, 10), np.uint8)
    image = draw(tmp_path, [Tile(wide, "x", "#00aa00")]).astype(int)
    text = np.flatnonzero((image[..., 1] - image[..., 0] > 100).any(axis=1))
    red = np.flatnonzero((np.abs(image - [250, 10, 10]).max(axis=2) <= 3).any(axis=1))
    assert 0 < red.min() - text.max() < 12


@given(st.text(max_size=60))
def test_a_fitted_text_is_made_of_the_ends_of_the_whole_one(text):
    for line in text.split("\n"):  # as save_grid does
        whole = printable(line)
        start, cut, end = fitted_line(whole, 0.8).partition("…")
        assert whole.startswith(start)
        assert whole.endswith(end)
        assert cut or start == whole


def test_a_path_loses_folders_before_the_name_of_its_file():
    assert fitted_line("validation/bees/709775832_85b4b50.jpg", 1.6).endswith("/709775832_85b4b50.jpg")
    assert fitted_line("val/1.jpg", 1.6) == "val/1.jpg"
    short = fitted_line("wrong: a cat/dog of a very long name indeed 97.3%", 1.6)
    assert short.startswith("wrong: ")
