"""``clsbench report``: one page about a predictions file, with images that come from one folder only."""

import json
import re
from pathlib import Path

import pytest

SCRIPT = "<script>alert(1)</script>"

EMBEDDED = "data:image/jpeg;base64,"


@pytest.fixture
def pictures(cli, paint):
    """A folder with three blue images, and one beside it that nobody may see."""
    paint("secret/{colour}.png", 1, colours=("blue",))
    return paint("images/{k}.png", 3, colours=("blue",))


@pytest.fixture
def written(cli):
    """written(paths, …): the page about wrong predictions of these images, and what stood on stderr."""

    def write(paths, *arguments, label="ant", predicted="bee"):
        rows = "".join(f"{path},{label},{predicted},0.9\n" for path in paths)
        Path("preds.csv").write_text(f"path,label,predicted,confidence\n{rows}", encoding="utf-8")
        done = cli("report", "preds.csv", *arguments)
        assert done.code == 0, done.stderr
        return Path("preds.html").read_text(encoding="utf-8"), done.stderr

    return write


def test_the_page_stands_beside_the_predictions_and_json_tells_where(written):
    page, _ = written(["0.png"], "--json", "facts.json")
    assert "0.png" in page
    assert EMBEDDED not in page
    facts = json.loads(Path("facts.json").read_text())
    assert (facts["report"], facts["counts"]["judged"]) == ("preds.html", 1)


def test_a_small_page_is_not_of_no_size(cli):
    Path("preds.csv").write_text("path,label,predicted,confidence\n0.png,ant,bee,0.9\n", encoding="utf-8")
    assert re.search(r"^report: preds\.html \([1-9]\d* kB\)$", cli("report", "preds.csv").stdout, re.MULTILINE)


def test_with_images_it_shows_thumbnails(written, pictures):
    page, told = written(["0.png", "1.png", "2.png"], "--images", pictures)
    assert page.count(EMBEDDED) >= 3
    assert "cannot be shown" not in told


def test_pictures_that_are_missing_or_damaged_are_counted(written, pictures):
    (pictures / "1.png").write_bytes(b"no image")
    page, told = written(["0.png", "1.png", "gone.png"], "--images", pictures)
    assert EMBEDDED in page
    assert "2 images cannot be shown" in told


def test_names_are_text_and_never_markup(written, pictures):
    page, _ = written([f"{SCRIPT}.png", "0.png"], "--images", pictures, label=SCRIPT, predicted="<img src=x>")
    assert SCRIPT not in page
    assert "<img src=x>" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("way", ["../secret/blue.png", "{absolute}", "link.png", "folder/blue.png"])
def test_a_path_that_leads_out_of_the_folder_is_not_read(written, pictures, way):
    secret = pictures.parent / "secret" / "blue.png"
    assert secret.is_file()
    (pictures / "link.png").symlink_to(secret)
    (pictures / "folder").symlink_to(secret.parent)
    page, told = written([way.format(absolute=secret)], "--images", pictures)
    assert EMBEDDED not in page
    assert "1 image cannot be shown" in told


def test_a_path_that_no_file_can_have_is_a_picture_that_cannot_be_shown(written, pictures):
    _, told = written(["nul\0.png", f"{'long' * 1000}.png", "0.png"], "--images", pictures)
    assert "2 images cannot be shown" in told


def test_a_path_cannot_steer_the_terminal(written, pictures):
    _, told = written(["\x1b[31mgone.png"], "--images", pictures)
    assert "1 image cannot be shown" in told
    assert "\x1b" not in told


@pytest.mark.parametrize("command", [["report", "preds.csv", "--out"], ["evaluate", "preds.csv", "--html"]])
def test_the_page_never_replaces_the_predictions(cli, written, command):
    written(["0.png"])
    before = Path("preds.csv").read_bytes()
    assert cli(*command, "preds.csv").code in (1, 2)
    assert Path("preds.csv").read_bytes() == before


def test_bad_arguments(refused, written):
    written(["0.png"])
    Path("taken").mkdir()
    refused(1, ["images are not there", "nowhere"], "report", "preds.csv", "--images", "nowhere")
    refused(1, ["taken"], "report", "preds.csv", "--out", "taken")
    refused(1, ["nowhere.csv"], "report", "nowhere.csv")
