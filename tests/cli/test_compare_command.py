"""``clsbench compare``: predictions of the same images against each other."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

CLASSES = ("ant", "bee", "cat")
IMAGES = 200


def answers(wrong):
    """What a model says that has these images wrong; the label of image k is k % 3."""
    return {f"{k}.png": CLASSES[(k + (k in wrong)) % 3] for k in range(IMAGES)}


def label(path):
    return CLASSES[int(path.removesuffix(".png")) % 3]


#: Right on 140, 170, 169 and 100 images. From A to B 40 are gained and 10 lost.
A, B = answers(range(60)), answers([*range(20), *range(100, 110)])
C, D = answers([*range(20), *range(100, 111)]), answers(range(100))


def write(file, said, *, classes=CLASSES, labelled=label, speed=None):
    """A predictions file with probabilities, and its manifest if a speed is given."""
    with Path(file).open("w", newline="", encoding="utf-8") as lines:
        out = csv.writer(lines)
        out.writerow(["path", "label", "predicted", *(f"p:{name}" for name in classes)])
        for path, answer in said.items():
            chances = [0.8 if name == answer else 0.2 / (len(classes) - 1) for name in classes]
            out.writerow([path, labelled(path), answer, *chances])
    if speed is not None:
        manifest = {"model": {"card": {"classes": list(classes)}}, "throughput": {"images_per_second": speed}}
        Path(f"{file}.json").write_text(json.dumps(manifest))


@pytest.fixture
def two(cli):
    """a.csv and b.csv, of the same images."""
    write("a.csv", A)
    write("b.csv", B)


@pytest.fixture
def compared(cli):
    """compared(file, …): what --json says, after checking that all went well."""

    def run(*arguments):
        done = cli("compare", *arguments, "--json", "facts.json")
        assert done.code == 0, done.stderr
        return json.loads(Path("facts.json").read_text(encoding="utf-8"))

    return run


@pytest.mark.usefixtures("two")
def test_two_files_differ_by_what_mcnemar_and_the_interval_say(compared):
    facts = compared("a.csv", "b.csv")
    assert (facts["a"]["value"], facts["b"]["value"], facts["images"]) == (140 / 200, 170 / 200, 200)
    assert facts["difference"]["value"] == pytest.approx(0.15)
    assert facts["difference"]["low"] < 0.15 < facts["difference"]["high"]
    assert (facts["flips"]["gained"], facts["flips"]["lost"]) == (40, 10)
    assert facts["p"] == pytest.approx(binomtest(10, 50).pvalue)
    assert facts["agreement"] == pytest.approx(np.mean([A[path] == B[path] for path in A]))
    assert facts["files"] == {"a": "a.csv", "b": "b.csv"}


@pytest.mark.usefixtures("two")
def test_the_terminal_ends_in_the_verdict(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("compare", "a.csv", "b.csv")
    assert done.code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("b is better than a by 15")
    assert max(map(len, lines[:-1])) <= 80
    text = " ".join(done.stdout.split())
    assert "40 gained, 10 lost" in text
    assert "140 of 200" in text
    assert "exact McNemar p < 0.001" in text
    assert "\x1b" not in done.stdout + done.stderr


def test_no_difference_is_called_none(cli):
    write("b.csv", B)
    write("c.csv", C)
    assert "No difference between b and c can be shown" in cli("compare", "b.csv", "c.csv").stdout
    done = cli("compare", "b.csv", "c.csv", "--margin", 5)
    assert "equivalent within 5 points" in done.stdout


@pytest.mark.usefixtures("two")
def test_images_are_matched_by_path_and_classes_by_name(compared):
    expected = compared("a.csv", "b.csv")
    shuffled = dict(np.random.default_rng(0).permutation(list(B.items())).tolist())
    write("b.csv", shuffled, classes=("cat", "ant", "bee"))
    assert compared("a.csv", "b.csv") == expected


def test_images_that_one_file_lacks_are_told_and_left_out(cli, compared):
    write("a.csv", {path: A[path] for path in list(A)[5:]})
    write("b.csv", {path: B[path] for path in list(B)[:-1]})
    facts = compared("a.csv", "b.csv")
    assert facts["images"] == facts["a"]["total"] == 194
    assert len(facts["notes"]) == 2
    told = cli("compare", "a.csv", "b.csv", "--quiet").stderr
    assert "left out: 1 image of a not in b, such as 199.png" in told
    assert "left out: 5 images of b not in a, such as 0.png, 1.png, 2.png" in told


def test_a_path_cannot_steer_the_terminal(cli):
    write("a.csv", A | {"\x1b[31m3.png": "ant"}, labelled=lambda path: "ant")
    write("b.csv", B, labelled=lambda path: "ant")
    done = cli("compare", "a.csv", "b.csv")
    assert "of a not in b" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.usefixtures("two")
def test_other_classes_are_refused_with_what_is_missing(refused):
    write("b.csv", {"1.png": "bee"}, classes=("ant", "bee", "wasp"))
    refused(1, ["of different classes", "only in a: cat", "only in b: wasp"], "compare", "a.csv", "b.csv")


@pytest.mark.usefixtures("two")
def test_contradictory_labels_are_refused_unless_a_file_settles_them(refused, cli):
    write("b.csv", B, labelled=lambda path: "cat" if path == "3.png" else label(path))
    refused(1, ["disagree about 1 label", "3.png", "ant", "cat in b"], "compare", "a.csv", "b.csv")
    Path("labels.csv").write_text("path,label\n" + "".join(f"{path},{label(path)}\n" for path in A))
    assert cli("compare", "a.csv", "b.csv", "--labels", "labels.csv").code == 0


@pytest.mark.usefixtures("two")
def test_files_of_other_images_are_refused(refused):
    write("b.csv", {f"elsewhere/{path}": answer for path, answer in B.items()}, labelled=lambda path: "ant")
    refused(1, ["no image in common", "0.png", "elsewhere/0.png"], "compare", "a.csv", "b.csv")


@pytest.mark.usefixtures("two")
def test_labels_may_stand_in_one_file_only(compared, refused):
    expected = compared("a.csv", "b.csv")
    write("b.csv", B, labelled=lambda path: "")
    assert compared("a.csv", "b.csv") == expected
    write("a.csv", A, labelled=lambda path: "")
    refused(1, ["in common has a label", "--labels"], "compare", "a.csv", "b.csv")


@pytest.mark.usefixtures("two")
def test_three_files_and_more_are_ranked(cli, compared):
    write("c.csv", C)
    write("d.csv", D)
    facts = compared("a.csv", "b.csv", "c.csv", "d.csv")
    assert [(model["name"], model["rank"]) for model in facts["models"]] == [("b", 1), ("c", 1), ("a", 3), ("d", 4)]
    assert len(facts["duels"]) == 6
    done = cli("compare", "a.csv", "b.csv", "c.csv", "d.csv")
    assert done.stdout.splitlines()[-1].startswith("b and c share the first rank")


def test_the_plot_shows_speed_against_accuracy(cli):
    write("a.csv", A, speed=100.0)
    write("b.csv", B, speed=50.5)
    done = cli("compare", "a.csv", "b.csv", "--plot", "new/plot.png")
    assert done.code == 0, done.stderr
    assert "50.5" in done.stdout
    with Image.open("new/plot.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.usefixtures("two")
def test_a_manifest_without_a_speed_is_no_error(compared):
    manifest = {"model": {"card": {"classes": CLASSES}}, "throughput": ["fast"]}
    Path("a.csv.json").write_text(json.dumps(manifest))
    assert compared("a.csv", "b.csv")["throughput"] == {"a": None, "b": None}


@pytest.mark.parametrize("way", ["taken", "a.csv"])
def test_a_plot_needs_a_path_of_its_own(refused, way):
    Path("taken").mkdir()
    write("a.csv", A, speed=100.0)
    write("b.csv", B, speed=50.0)
    before = Path("a.csv").read_bytes()
    refused(1 if way == "taken" else 2, [way], "compare", "a.csv", "b.csv", "--plot", way)
    assert Path("a.csv").read_bytes() == before


def test_files_of_one_name_are_told_apart_by_their_folders(compared):
    for name, said in (("x", A), ("y", B)):
        Path(name).mkdir()
        write(f"{name}/preds.csv", said)
    facts = compared("x/preds.csv", "y/preds.csv")
    assert facts["files"] == {"x/preds": "x/preds.csv", "y/preds": "y/preds.csv"}
    write("preds.csv", A)
    assert not [name for name in compared("preds.csv", "y/preds.csv")["files"] if name.startswith("/")]


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (2, ["a.csv"], ["two different files"]),
        (2, ["a.csv", "a.csv"], ["two different files"]),
        (2, ["a.csv", "b.csv", "c.csv", "--margin", "1"], ["--margin", "two files"]),
        (2, ["a.csv", "b.csv", "--margin", "-1"], ["margin"]),
        (2, ["a.csv", "b.csv", "--margin", "nan"], ["margin"]),
        (1, ["a.csv", "b.csv", "--plot", "plot.png"], ["throughput", "--plot", "PREDS.csv.json"]),
        (1, ["a.csv", "nowhere.csv"], ["nowhere.csv"]),
        (2, ["a.csv", "b.csv", "--columns", "path"], ["--columns"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments(refused, code, arguments, words):
    refused(code, words, "compare", *arguments)
