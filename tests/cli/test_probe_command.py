"""``clsbench probe`` as a user runs it, on small images of three colours and networks of a few weights."""

import json
from pathlib import Path

import pytest

NETS = "simple-cnn:pretrained=false:size=8:width=4,simple-cnn:pretrained=false:size=8:channels=4"
NAMES = {"simple-cnn:size=8:width=4 (random)", "simple-cnn:size=8:channels=4 (random)"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("clsbench.probing.speed.WINDOW", 0.01)


def rows(file="probe.json"):
    facts = json.loads(Path(file).read_text(encoding="utf-8"))
    return facts, {row["name"]: row for row in facts["models"]}


def test_models_are_ranked_drawn_and_told_how_to_be_trained(cli, photos, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("probe", photos, "--models", NETS, "--folds", 3, "--plot", "p.png", "--json", "probe.json")
    assert done.code == 0, done.stderr
    facts, found = rows()
    assert found.keys() == NAMES
    assert (facts["images"], facts["folds"], facts["failures"]) == (18, 3, {})
    assert all(row["evaluated"] == 18 and row["rank"] == 1 for row in found.values())
    assert Path("p.png").stat().st_size > 1000
    assert "train and val are pooled" in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"next: clsbench train {photos} --model simple-cnn --with model.size=8 --with model.")
    assert max(map(len, done.stdout.split("By linear head")[0].splitlines())) <= 80

    again = cli("probe", photos, "--models", f"{NETS},simple-cnn:pretrained=false:size=10", "--folds", 3,
                "--json", "probe.json")  # fmt: skip
    assert again.code == 0, again.stderr
    found = rows()[1]
    assert {name: row["evaluated"] for name, row in found.items()} == {
        **dict.fromkeys(NAMES, 0), "simple-cnn:size=10 (random)": 18
    }  # fmt: skip
    assert "not evaluated, since features were kept from an earlier call" in again.stderr


def test_the_command_that_it_ends_with_trains_that_network(cli, photos, trained):
    done = cli("probe", photos, "--models", "simple-cnn:pretrained=false:width=4", "--size", 8, "--folds", 2)
    words = done.stderr.strip().splitlines()[-1].removeprefix("next: clsbench train ").split()
    assert words[1:] == ["--model", "simple-cnn", "--size", "8", "--with", "model.width=4"]
    facts = trained(*words, "--epochs", 1)
    assert facts["model"]["options"] == {"width": 4, "size": 8}


def test_a_column_of_a_table_groups_images_and_the_command_at_the_end_does_too(cli, photos):
    files = sorted(photos.rglob("*.*g"))
    lines = [f"{file.relative_to(photos)},{file.parent.name},p{k % 6}" for k, file in enumerate(files)]
    (photos / "table.csv").write_text("\n".join(["path,label,patient", *lines]))
    done = cli("probe", photos / "table.csv", "--models", NETS, "--folds", 2, "--group", "patient")
    assert done.code == 0, done.stderr
    assert "groups: 6, of 18 images, by the column patient" in done.stderr
    assert "--group patient" in done.stderr.strip().splitlines()[-1]


def test_a_model_without_weights_is_told_and_the_others_are_ranked(cli, photos):
    done = cli("probe", photos, "--models", f"simple-cnn,{NETS}", "--folds", 2, "--json", "probe.json")
    assert done.code == 3
    assert "simple-cnn is not ranked: simple-cnn has no pretrained weights" in done.stderr
    assert "NAME:pretrained=false" in done.stderr
    facts, found = rows()
    assert found.keys() == NAMES
    assert facts["failures"].keys() == {"simple-cnn"}


def test_a_run_is_probed_with_its_weights_and_a_warning_where_it_knows_the_images(cli, photos, trained):
    trained(photos, "--with", "model.size=8", "--epochs", 1, "--run", "mine")
    file = "simple-cnn:size=8:weights=runs/mine/best.safetensors"
    done = cli("probe", photos, "--models", f"runs/mine,{file}", "--folds", 2, "--json", "probe.json")
    assert done.code == 0, done.stderr
    assert "runs/mine was trained on images of this data" in done.stderr
    facts, found = rows()
    assert found["runs/mine"]["linear"] == found[file]["linear"]
    assert found["runs/mine"]["pretrained"]
    assert found[file]["pretrained"]
    assert facts["train"][:3] == ["--model", "simple-cnn", "--weights"]


@pytest.mark.parametrize(
    ("code", "words", "arguments"),
    [
        (2, ["unknown model 'nonsense'"], ["--models", "nonsense"]),
        (2, ["no option 'foo'"], ["--models", "simple-cnn:foo=1"]),
        (2, ["KEY=VALUE after each colon"], ["--models", "simple-cnn:random"]),
        (2, ["cannot read the models"], ["--models", "simple-cnn,,"]),
        (2, ["a model is named twice"], ["--models", "simple-cnn,simple-cnn"]),
        (2, ["more folds than images", "2 to 6"], ["--models", NETS, "--folds", 7]),
        (2, ["wrong suffix"], ["--models", NETS, "--plot", "p.jpg"]),
        (1, ["none of the models can be probed", "NAME:pretrained=false"], ["--models", "simple-cnn"]),
    ],
)
def test_wrong_usage_is_explained(code, words, arguments, refused, photos):
    refused(code, words, "probe", photos, *arguments)


def test_the_plot_is_no_input(refused, photos):
    refused(1, ["would be one of the images"], "probe", photos, "--models", NETS,
            "--plot", photos / "train" / "red" / "new.png")  # fmt: skip
