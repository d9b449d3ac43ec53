"""Fonts chosen by the characters that texts need; one is built here, so none has to be installed."""

import logging

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image

from clsbench.cli.terminal import Terminal
from clsbench.errors import DataError
from clsbench.images import fonts
from clsbench.images.figures import save_figure
from clsbench.images.grid import Tile, save_grid


def font(file, family, characters):
    """A font in which every character is a full black square."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    names = [".notdef", *(f"u{ord(c):04X}" for c in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): name for c, name in zip(characters, names[1:], strict=True)})
    builder.setupGlyf({name: TTGlyphPen(None).glyph() if name == ".notdef" else pen.glyph() for name in names})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(file)
    return str(file)


@pytest.fixture
def system(monkeypatch):
    """system(files): a machine with matplotlib's own fonts, and with these, which its cached list does not have."""
    own = [entry for entry in font_manager.fontManager.ttflist if "mpl-data" in entry.fname]

    def install(*files):
        monkeypatch.setattr(font_manager.fontManager, "ttflist", list(own))
        monkeypatch.setattr(font_manager, "findSystemFonts", lambda: list(files))
        fonts._fallbacks.cache_clear()
        fonts._warn.cache_clear()

    yield install
    fonts._fallbacks.cache_clear()
    fonts._warn.cache_clear()
    font_manager.fontManager._findfont_cached.cache_clear()


def test_a_script_takes_the_font_that_has_its_characters(system, tmp_path, caplog):
    system(font(tmp_path / "a.ttf", "Some", "猫"), font(tmp_path / "b.ttf", "More", "猫犬"))
    assert fonts.families(["cat", "été", "猫 犬"])[-1] == "More"
    assert len(fonts.families(["cat", "été"])) == 1
    assert not caplog.records


def test_scripts_of_several_fonts_take_them_all(system, tmp_path, caplog):
    system(font(tmp_path / "a.ttf", "Han", "猫犬"), font(tmp_path / "b.ttf", "Thai", "แมว"))
    assert set(fonts.families(["猫犬", "แมว"])[-2:]) == {"Han", "Thai"}
    assert not caplog.records


def test_names_are_drawn_with_it_in_a_picture(system, tmp_path):
    system(font(tmp_path / "a.ttf", "Blocks", "猫"))
    save_grid([Tile(None, "猫" * 9)], tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as image:
        black = np.asarray(image.convert("L")) < 60
    assert black.sum() > 400  # nine full squares; a box of a missing glyph is a thin line


def test_where_no_font_has_a_script_a_package_is_named_once(system, tmp_path, caplog):
    system()
    for name in ("猫", "犬", "แมว"):
        save_grid([Tile(None, name)], tmp_path / "grid.png")
    save_grid([Tile(None, "\N{HONEYBEE}")], tmp_path / "grid.png")
    said = [record.getMessage() for record in caplog.records]
    assert [text.split(" are drawn")[0] for text in said] == [
        "Chinese, Japanese and Korean characters", "Thai characters", "symbols"
    ]  # fmt: skip
    assert [text.split("apt install ")[1].split(" ")[0] for text in said] == [
        "fonts-noto-cjk", "fonts-noto-core", "fonts-symbola"
    ]  # fmt: skip
    assert {(record.name, record.levelno) for record in caplog.records} == {("clsbench", logging.WARNING)}


def test_the_command_line_prints_it_as_a_warning(system, tmp_path, capsys):
    system()
    with Terminal(quiet=True).observer():
        save_grid([Tile(None, "猫")], tmp_path / "grid.png")
    assert capsys.readouterr().err.startswith("warning: Chinese, Japanese and Korean characters are drawn as boxes")


def test_a_figure_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def interrupted(figure, file, **options):
        file.write_bytes(b"")
        raise KeyboardInterrupt

    file = tmp_path / "new" / "a.png"
    save_figure(Figure(figsize=(1, 1)), file, dpi=50)
    before = file.read_bytes()
    monkeypatch.setattr(Figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_figure(Figure(), file, dpi=50)
    assert [left.name for left in file.parent.iterdir()] == ["a.png"]
    assert file.read_bytes() == before


def test_a_figure_that_cannot_be_written_is_an_error_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the image cannot be written"):
        save_figure(Figure(), tmp_path / "file" / "a.png", dpi=50)
