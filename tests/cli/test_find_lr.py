"""``clsbench find-lr``: two suggestions, a curve, and nothing else left behind."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from clsbench.models.simple_cnn import build

TINY = ("--with", "model.size=8", "--with", "model.width=8", "--batch-size", 8, "--steps", 30)


@pytest.fixture
def photos(paint):
    return paint("photos/{colour}/{k}.png", 6)


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "weights.safetensors"
    save_file(build(3, size=8, width=8).state_dict(), file)
    return file


def read(file):
    return json.loads(Path(file).read_text(encoding="utf-8"))


def test_it_prints_two_rates_draws_the_curve_and_leaves_no_run(cli, photos, tmp_path):
    done = cli("find-lr", photos, *TINY, "--out", "plots/lr.png", "--json", "lr.json")
    assert done.code == 0, done.stderr
    facts = read("lr.json")
    printed = dict(words[:2] for line in done.stdout.splitlines() if len(words := line.split()) > 2)
    for name in ("valley", "steep"):
        assert float(printed[name]) == pytest.approx(facts[name], rel=0.01)
    assert "curve: plots/lr.png" in done.stdout
    assert f"--lr {facts['valley']:.1e}" in done.stderr
    with Image.open("plots/lr.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
    assert not list(tmp_path.glob("runs/*"))


def test_the_curve_in_json_rises_in_rate_and_holds_both_suggestions(cli, photos):
    assert cli("find-lr", photos, *TINY, "--json", "lr.json").code == 0
    facts = read("lr.json")
    lrs, losses = np.array(facts["lrs"]), np.array(facts["losses"])
    assert lrs.shape == losses.shape
    assert 10 <= len(lrs) <= 30
    assert (np.diff(lrs) > 0).all()
    assert np.isfinite(losses).all()
    assert {facts["valley"], facts["steep"]} <= set(facts["lrs"])
    assert facts["curve"] == "find-lr.png"


@pytest.mark.parametrize(("more", "stage"), [((), "head"), (("--recipe", "scratch"), "everything")])
def test_from_weights_the_first_stage_is_tested(cli, photos, weights, more, stage):
    done = cli("find-lr", photos, *TINY, "--weights", weights, *more, "--json", "lr.json")
    assert done.code == 0, done.stderr
    assert read("lr.json")["stage"] == stage
    assert f"({stage})" in done.stdout


def test_the_same_seed_gives_the_same_curve(cli, photos):
    for name in ("first.json", "second.json"):
        assert cli("find-lr", photos, *TINY, "--json", name).code == 0
    assert read("first.json") == read("second.json")


def test_json_on_stdout_is_json_alone_and_quiet_is_quiet(cli, photos):
    done = cli("find-lr", photos, *TINY, "--json", "-", "-q")
    assert json.loads(done.stdout)["schema"] == 1
    assert done.stderr == ""


def test_the_title_stands_on_one_line_in_80_columns(cli, photos, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("find-lr", photos, *TINY)
    assert "Learning rates for simple-cnn (everything)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "frozen"], ["starts from weights", "--pretrained"]),
        (["--steps", "5"], ["--steps", "20"]),
        (["--batch-size", "0"], ["--batch-size", "at least 1"]),
        (["--head", "cubic"], ["--head", "mlp:WIDTH"]),
        (["--model", "simple-cn"], ["did you mean simple-cnn"]),
        (["--optimizer", "lion"], ["--optimizer", "adamw"]),
        (["--out", "curve.xyz"], ["--out", "curve.xyz", ".png"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_wrong_usage(cli, photos, arguments, words):
    done = cli("find-lr", photos, "--with", "model.size=8", *arguments)
    assert not [word for word in words if word not in done.stderr], done.stderr
    assert done.code == 2


def test_a_folder_where_the_curve_should_be_written_is_refused(cli, photos):
    Path("taken.png").mkdir()
    done = cli("find-lr", photos, *TINY, "--out", "taken.png")
    assert done.code in (1, 2)
    assert "taken.png" in done.stderr
    assert "fault of clsbench" not in done.stderr


def test_the_curve_is_where_the_output_says(cli, photos):
    done = cli("find-lr", photos, *TINY, "--out", "curve", "--json", "lr.json")
    if done.code == 0:
        assert Path(read("lr.json")["curve"]).is_file()
    else:
        assert "--out" in done.stderr


def test_after_the_unfrozen_network_of_a_run_the_head_is_not_trained_alone_again(cli, photos, trained, without_curves):
    trained(photos, *TINY[:-2], "--epochs", 1, "--run", "stage-1")
    done = cli("find-lr", photos, *TINY[-2:], "--weights", "stage-1", "--unfrozen")
    assert done.code == 0, done.stderr
    assert " --freeze-epochs 0 --lr " in done.stderr
    assert "--freeze-epochs" not in cli("find-lr", photos, *TINY).stderr
